"""GET /artifacts/<id>: manifests, lineage, files, and tables as Parquet, CSV or JSON.

An artifact can be read once the ledger has it. Files are found by their name in the manifest, never by a path.
"""

import mimetypes
from html import escape
from typing import Annotated, Literal

import pyarrow as pa
from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, HTMLResponse, Response

from api_gateway import export
from api_gateway.models import ArtifactView, LineageStep, StaleView
from api_gateway.status import stale_view
from tickloom.contracts.artifact import FileEntry, Manifest
from tickloom.errors import UnknownArtifact, UnknownFile
from tickloom.http import problems
from tickloom.lake import open_lake
from tickloom.ledger import editions, ledger_url, runs

router = APIRouter(tags=["artifacts"])
Id = Annotated[str, Path(min_length=1, max_length=64, description="an artifact's id")]
# Reports bring their own scripts; a page of ours must not lend them its origin.
SANDBOX = {"content-security-policy": "sandbox allow-scripts allow-downloads", "x-content-type-options": "nosniff"}


def committed(artifact_id: str) -> Manifest:
    """Return the manifest of an artifact that the ledger knows. Raises UnknownArtifact."""
    if runs.artifact(ledger_url(), artifact_id) is None:
        raise UnknownArtifact(artifact_id)
    return open_lake().manifest(artifact_id)


@router.get("/artifacts/{artifact_id}", responses=problems(UnknownArtifact), summary="Manifest and lineage")
def show(artifact_id: Id) -> ArtifactView:
    """Show an artifact's files and facts, and every artifact it was made from."""
    manifest = committed(artifact_id)
    lake, steps = open_lake(), [manifest]
    while steps[-1].inputs:
        steps.append(lake.manifest(steps[-1].inputs[0]))
    stale = editions.stale(ledger_url(), [step.id for step in steps])
    return ArtifactView(
        manifest=manifest,
        stale=stale_view(stale.get(manifest.id)),
        lineage=[
            LineageStep(
                id=step.id,
                stage=step.stage,
                request=step.request,
                files=len(step.files),
                rows=sum(entry.rows or 0 for entry in step.files),
                bytes=sum(entry.bytes for entry in step.files),
                stale=stale_view(stale.get(step.id)),
            )
            for step in steps[1:]
        ],
    )


@router.get(
    "/artifacts/{artifact_id}/files/{name:path}",
    response_class=Response,
    responses=problems(UnknownFile),
    summary="Download a file",
)
def file(
    artifact_id: Id,
    name: Annotated[str, Path(max_length=300, description="its name in the manifest")],
    as_made: Annotated[bool, Query(description="a page of a stale artifact without the notice that it is")] = False,
) -> Response:
    """Return a file of an artifact as it is. Only a page of a stale artifact begins with a notice that says so."""
    entry = _entry(committed(artifact_id), name)
    if entry.name.endswith(".html") and not as_made:
        stale = stale_view(editions.stale(ledger_url(), [artifact_id]).get(artifact_id))
        if stale is not None:
            return HTMLResponse(_with_notice(open_lake().read_bytes(entry), stale), headers=SANDBOX)
    kind = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
    path = open_lake().path(entry)
    headers = SANDBOX | {"etag": f'"{entry.sha256}"'}
    if path is None:
        return Response(open_lake().read_bytes(entry), media_type=kind, headers=headers)
    return FileResponse(path, media_type=kind, headers=headers)


def _with_notice(page: bytes, stale: StaleView) -> bytes:
    notice = f"<b>Stale since {escape(stale.since[:10])}</b>: {escape(stale.detail)}. Next: {escape(stale.next)}."
    style = "margin:0;padding:12px 24px;background:#8a1c1c;color:#fff;font:15px/1.4 system-ui,sans-serif"
    before, body, after = page.partition(b"<body>")
    return before + body + f'<p role="alert" style="{style}">{notice}</p>'.encode() + after


def _entry(manifest: Manifest, name: str) -> FileEntry:
    entry = manifest.file(name)
    if entry is None:
        raise UnknownFile(manifest.id, name)
    return entry


@router.get(
    "/artifacts/{artifact_id}/data",
    response_class=Response,
    responses=problems(UnknownFile),
    summary="Read the rows of its tables",
)
def data(
    artifact_id: Id,
    file: Annotated[
        str, Query(max_length=300, description="a table's name, or a prefix such as BTCUSDT/; all if empty")
    ] = "",
    format: Annotated[Literal["parquet", "csv", "json"], Query()] = "json",
    limit: Annotated[int, Query(ge=1, le=1_000_000, description="rows")] = 1000,
) -> Response:
    """Return the first rows of an artifact's tables, exact decimals kept exact."""
    manifest = committed(artifact_id)
    entries = [entry for entry in manifest.files if entry.rows is not None and entry.name.startswith(file)]
    if not entries:
        raise UnknownFile(artifact_id, file)
    exact = [entry for entry in entries if entry.name == file]
    return _render(_rows(exact or entries, limit), format)


def _rows(entries: list[FileEntry], limit: int) -> pa.Table:
    """Read the tables one after another until there are enough rows; several are told apart by a column `file`."""
    lake, tables, left = open_lake(), [], limit
    for entry in entries:
        table = lake.read_table(entry)[:left]
        if len(entries) > 1:
            table = table.add_column(0, "file", pa.array([entry.name] * table.num_rows, pa.string()))
        tables.append(table)
        left -= table.num_rows
        if left <= 0:
            break
    return pa.concat_tables(tables, promote_options="permissive")


def _render(table: pa.Table, format: str) -> Response:
    if format == "parquet":
        return Response(export.parquet(table), media_type="application/vnd.apache.parquet")
    if format == "csv":
        return Response(export.csv(table), media_type="text/csv; charset=utf-8")
    return Response(export.json(table), media_type="application/json")
