"""`tickloom verify` and `tickloom gc`: the lake's maintenance, with a bar and a summary."""

from dataclasses import asdict

from cli.output import FAILED, OK, console, print_json, size
from tickloom.lake import maintenance, open_lake
from tickloom.ledger import ledger_url, migrate


def verify(*, repair: bool, as_json: bool) -> int:
    """Check the lake and tell; return the exit code: damage that was found and left is a failure."""
    migrate(ledger_url())
    found = _verify(repair=repair, as_json=as_json)
    if as_json:
        print_json(asdict(found))
    else:
        out = console()
        counts = f"{found.manifests:,} artifacts, {found.parts:,} parts, {found.objects:,} objects"
        out.print(f"{counts}, {size(found.bytes)} hashed", highlight=False)
        for damage in found.damages:
            out.print(f"{damage.name}: {damage.reason}", markup=False, highlight=False, soft_wrap=True)
            for artifact in damage.artifacts:
                out.print(f"    needed by artifact {artifact}", markup=False, highlight=False, soft_wrap=True)
        if not found.damages:
            out.print("nothing is damaged")
        elif repair:
            out.print(f"removed {len(found.removed)} names; submit again what needs them, and they are made anew")
        else:
            out.print(f"damaged or missing: {len(found.damages)}. `tickloom verify --repair` removes what is damaged;")
            out.print("submit again what needs it or what is missing, and it is made anew")
    return FAILED if found.damages and not repair else OK


def _verify(*, repair: bool, as_json: bool) -> maintenance.Verified:
    lake = open_lake()
    if as_json:
        return maintenance.verify(lake, ledger_url(), repair=repair)
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("verify"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        bar = bars.add_task("verify", total=None)
        return maintenance.verify(
            lake,
            ledger_url(),
            repair=repair,
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )


def gc(*, dry_run: bool, as_json: bool) -> None:
    """Collect and tell."""
    migrate(ledger_url())
    found = maintenance.gc(open_lake(), ledger_url(), dry_run=dry_run)
    if as_json:
        print_json(asdict(found) | {"dry_run": dry_run})
        return
    out = console()
    for kind in ("manifests", "parts", "objects"):
        for name in getattr(found, kind):
            out.print(name, markup=False, highlight=False, soft_wrap=True)
    verb = "would remove" if dry_run else "removed"
    out.print(
        f"{verb} {len(found.temporary)} temporary folders, {len(found.manifests)} manifests, {len(found.parts)} parts, "
        f"{len(found.objects)} objects: {size(found.bytes)}",
        highlight=False,
    )
    if found.held_back:
        out.print(found.held_back, markup=False, highlight=False, soft_wrap=True)
