"""The Python face of a running system: submit work, follow it, read what it made as pandas frames.

    from tickloom import Client
    run = Client().pipeline("configs/demo.yaml")
    run.wait(progress=True)
    run.equity()

A submission carries an Idempotency-Key, so that repeating it after a broken connection is safe, and is repeated.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import quote

import httpx

from tickloom.contracts.download import CERTIFICATES
from tickloom.errors import InvalidRequest, NotFound, Problem, RemoteProblem, TickloomError, Unavailable, UnknownFile
from tickloom.frames import frame_of
from tickloom.settings import settings

if TYPE_CHECKING:
    import pandas as pd

Status = dict[str, Any]
PATIENCE_S = 10.0
LOST_PATIENCE_S = 120.0
POLL_FIRST_S, POLL_LAST_S = 0.15, 1.0
DONE = ("SUCCESS", "FAILURE", "REVOKED")
_AGAIN = (429, 502, 503, 504)


class Unreachable(Unavailable):
    """The gateway does not answer."""

    next_step = "start it with `tickloom up`, or set TICKLOOM_URL to where it is"

    def __str__(self) -> str:
        return f"no gateway answers at {self.args[0]}: {self.args[1]}"


class RunFailed(RemoteProblem):
    """A task ended without success. `status` of the task is in `task`."""

    def __init__(self, task: Status) -> None:
        super().__init__(task.get("error") or _revoked(task))
        self.args = (task,)
        self.task = task

    def __str__(self) -> str:
        state = "was cancelled" if self.task["state"] == "REVOKED" else f"failed in {self.task['stage']}"
        return f"task {self.task['task_id']} {state}: {self.body.get('detail', '')}"


class NotInTime(Unavailable):
    """A task takes longer than the caller wants to wait."""

    next_step = "wait again, or longer: the task goes on by itself"

    def __str__(self) -> str:
        return f"task {self.args[0]} is {self.args[1]} after {self.args[2]:.0f} s"


def _revoked(task: Status) -> Problem:
    title = f"The task is {task.get('state')}."
    return {"title": title, "status": 409, "detail": title, "next": "submit it again", "retryable": False}


class Client:
    """Speaks to one gateway. Safe to share between threads.

    `url`: default is TICKLOOM_URL, else the gateway on this machine. `token`: default is TICKLOOM_API_TOKEN.
    `patience_s`: how long a gateway that does not answer is tried again.
    Every method raises Unreachable, and RemoteProblem with the gateway's own words when it refuses.
    """

    def __init__(self, url: str = "", token: str = "", *, patience_s: float = PATIENCE_S) -> None:
        self.url = (url or settings().gateway()).rstrip("/")
        self.patience_s = patience_s
        token = token or settings().api_token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        # trust_env: a proxy for the outside world is not the way to a gateway on this machine
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=bool(settings().url))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # requests -------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request, again while the gateway is away or busy. Raises Unreachable, RemoteProblem."""
        return self._send(method, path, self.patience_s, **options)

    def _send(self, method: str, path: str, patience_s: float, **options: Any) -> httpx.Response:
        give_up, pause = time.monotonic() + patience_s, 0.1
        while True:
            wait_s = pause * random.uniform(0.5, 1.0)  # noqa: S311  not a secret
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if time.monotonic() + wait_s > give_up:
                    raise Unreachable(self.url, str(error) or type(error).__name__) from error
            else:
                if answer.status_code < 400:
                    return answer
                wait_s = max(wait_s, _retry_after(answer))
                if answer.status_code not in _AGAIN or time.monotonic() + wait_s > give_up:
                    raise RemoteProblem(_problem(answer))
            time.sleep(wait_s)
            pause = min(pause * 2, 2.0)

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self.request(method, path, **options).json()

    # submissions ----------------------------------------------------------------------------------------------

    def pipeline(self, source: Mapping[str, Any] | str | Path) -> "Run":
        """Submit a chain of stages: a mapping, or the path of a YAML or JSON file. Raises InvalidRequest."""
        return self._submit("/submit_pipeline", **_pipeline_body(source))

    def estimate(
        self, source: Mapping[str, Any] | str | Path | None = None, *, stage: str = "", input: str = ""
    ) -> dict[str, Any]:
        """Return the rows, trials, memory and time that a chain would take, or a `stage`; nothing is submitted."""
        if stage:
            assert source is None or isinstance(source, Mapping)
            options: dict[str, Any] = {"json": _stage_body(source, input)}
        else:
            options = _pipeline_body(source or {})
        return cast(dict[str, Any], self._json("POST", f"/submit_{stage or 'pipeline'}?dry_run=true", **options))

    def submit(self, stage: str, request: Mapping[str, Any] | None = None, *, input: str = "") -> "Run":
        """Submit one stage; `input` is the task or artifact that it works on, for all but download."""
        return self._submit(f"/submit_{stage}", json=_stage_body(request, input))

    def _submit(self, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> "Run":
        key = {"idempotency-key": uuid.uuid4().hex}
        accepted = self._json("POST", path, headers=key | dict(headers or {}), **options)
        return Run(self, accepted["task_id"], created=bool(accepted.get("created", True)))

    # looking --------------------------------------------------------------------------------------------------

    def run(self, task_id: str) -> "Run":
        """Return a task that was submitted before. Nothing is asked until something is wanted of it."""
        return Run(self, task_id)

    def status(self, task_id: str) -> Status:
        """Return how far a task is."""
        return cast(Status, self._json("GET", f"/status/{_part(task_id)}"))

    def cancel(self, task_id: str) -> Status:
        """Revoke a task for good."""
        return cast(Status, self._json("DELETE", f"/tasks/{_part(task_id)}"))

    def recheck(self, artifact_id: str) -> "Run":
        """Have the exchange asked whether the archives behind an artifact are still the same. What is not, is stale."""
        accepted = self._json("POST", f"/artifacts/{_part(artifact_id)}/recheck")
        return Run(self, accepted["task_id"], created=accepted["created"])

    def recheck_all(self, limit: int = 100) -> list["Run"]:
        """Do that for every download that is not stale, at most `limit`, those first that waited longest for it."""
        accepted = self._json("POST", "/recheck", params={"limit": limit})["tasks"]
        return [Run(self, one["task_id"], created=one["created"]) for one in accepted]

    def tasks(self, *, state: str = "", kind: str = "", limit: int = 50) -> list[Status]:
        """Return the newest tasks, at most `limit`."""
        return list(self._tasks({"state": state, "kind": kind}, limit))

    def _tasks(self, filters: Mapping[str, str], limit: int) -> Iterator[Status]:
        cursor: str | None = None
        while limit > 0:
            query = {**filters, "cursor": cursor, "limit": min(limit, 1000)}
            page = self._json("GET", "/tasks", params={name: value for name, value in query.items() if value})
            yield from page["tasks"]
            limit, cursor = limit - len(page["tasks"]), page["next"]
            if cursor is None or not page["tasks"]:
                return

    def artifact(self, artifact_id: str) -> dict[str, Any]:
        """Return an artifact's `manifest` and `lineage`."""
        return cast(dict[str, Any], self._json("GET", f"/artifacts/{_part(artifact_id)}"))

    def file(self, artifact_id: str, name: str) -> bytes:
        """Return a file of an artifact."""
        return self.request("GET", f"/artifacts/{_part(artifact_id)}/files/{quote(name)}").content

    def certificates(self, id: str) -> list[dict[str, Any]]:
        """Return the quality certificates of the data behind a task or an artifact, one a symbol and month.

        Raises NotFound, also where the data were downloaded before there were certificates.
        """
        artifact_id = id if len(id) == 64 else self.run(id).artifact_id()
        view = self.artifact(artifact_id)
        steps = [view["manifest"], *view["lineage"]]
        source = next((step["id"] for step in steps if step["stage"] == "download"), artifact_id)
        return cast(list[dict[str, Any]], json.loads(self.file(source, CERTIFICATES)))

    def data(self, artifact_id: str, name: str = "") -> "pd.DataFrame":
        """Return the rows of an artifact's tables, one below the other: of the table `name`, or of all that start so.

        Exact decimals become float64, times become UTC timestamps; the first of `ts`, `ts_close` is the index. Where
        several tables are read, `file` says which a row is from.
        """
        files = self.artifact(artifact_id)["manifest"]["files"]
        tables = [entry["name"] for entry in files if entry.get("rows") is not None]
        wanted = [name] if name in tables else [table for table in tables if table.startswith(name)]
        if not wanted:
            raise UnknownFile(artifact_id, name)
        import pandas as pd

        frames = [frame_of(self.file(artifact_id, table)) for table in wanted]
        if len(frames) == 1:
            return frames[0]
        for table, frame in zip(wanted, frames, strict=True):
            frame.insert(0, "file", table)
        return pd.concat(frames)

    def parts(self) -> dict[str, bool]:
        """Return which parts of the system answer."""
        answer = self._http.get("/readyz")
        if answer.status_code not in (200, 503):
            raise RemoteProblem(_problem(answer))
        return dict(answer.json()["parts"])

    def alive(self) -> bool:
        """Return whether a gateway answers, without trying twice."""
        try:
            return self._http.get("/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


class Run:
    """A task: follow it, cancel it, read what it made."""

    def __init__(self, client: Client, task_id: str, *, created: bool = False) -> None:
        self.client, self.id, self.created = client, task_id, created

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    def status(self) -> Status:
        """Return how far it is."""
        return self.client.status(self.id)

    def cancel(self) -> Status:
        """Revoke it for good."""
        return self.client.cancel(self.id)

    def wait(self, timeout: float | None = None, progress: bool | Callable[[Status], None] = False) -> Status:
        """Wait until it has ended; return its status. `progress` draws bars, or is called with every status.

        A gateway that goes away meanwhile is waited for. Raises RunFailed, NotInTime.
        """
        if progress is True:
            from tickloom.progress import Bars

            with Bars() as bars:
                return self._wait(timeout, bars.show)
        return self._wait(timeout, progress or (lambda _: None))

    def _wait(self, timeout: float | None, show: Callable[[Status], None]) -> Status:
        begun, pause = time.monotonic(), POLL_FIRST_S
        while True:
            path = f"/status/{_part(self.id)}"
            status = cast(Status, self.client._send("GET", path, max(self.client.patience_s, LOST_PATIENCE_S)).json())
            show(status)
            if status["state"] == "SUCCESS":
                return status
            if status["state"] in DONE:
                raise RunFailed(status)
            if timeout is not None and time.monotonic() - begun > timeout:
                raise NotInTime(self.id, status["state"], timeout)
            time.sleep(pause)
            pause = min(pause * 1.2, POLL_LAST_S)

    def artifact_id(self, stage: str = "") -> str:
        """Return the id of the artifact of one of its stages, by default the last. Raises NotFound."""
        status = self.status()
        if not stage:
            return str(status["artifact_id"])
        for row in status["stages"]:
            if row["stage"] == stage:
                return str(row["artifact_id"])
        raise UnknownStage(self.id, stage)

    def certificates(self) -> list[dict[str, Any]]:
        """Return the quality certificates of its data, one a symbol and month."""
        return self.client.certificates(self.id)

    def equity(self, symbol: str = "") -> "pd.DataFrame":
        """Return the best trial's account at the close of each bar, indexed by UTC time; with several symbols, all."""
        return self._by_symbol("equity", symbol)

    def trades(self, symbol: str = "") -> "pd.DataFrame":
        """Return the best trial's trades; with several symbols, all of them."""
        return self._by_symbol("trades", symbol)

    def _by_symbol(self, folder: str, symbol: str) -> "pd.DataFrame":
        frame = self.client.data(self.artifact_id("backtest"), f"{folder}/{symbol}.parquet" if symbol else f"{folder}/")
        if "file" in frame:
            frame["file"] = frame["file"].str.removeprefix(f"{folder}/").str.removesuffix(".parquet")
            frame = frame.rename(columns={"file": "symbol"})
        return frame

    def grid(self) -> "pd.DataFrame":
        """Return a row per symbol and parameter set: the parameters and the metrics."""
        return self.client.data(self.artifact_id("backtest"), "grid.parquet")

    def results(self) -> dict[str, Any]:
        """Return the best trial of each symbol, with its parameters and metrics."""
        return cast(dict[str, Any], json.loads(self.client.file(self.artifact_id("backtest"), "results.json")))

    def report(self, path: str | Path) -> Path:
        """Save the report's files in the folder `path` and return the path of `report.html`."""
        folder, made = Path(path), self.artifact_id("viz")
        for entry in self.client.artifact(made)["manifest"]["files"]:
            target = folder / entry["name"]
            if not target.resolve().is_relative_to(folder.resolve()):
                raise RemoteProblem({"status": 502, "detail": f"{entry['name']!r} leads out of {folder}"})
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.client.file(made, entry["name"]))
        return folder / "report.html"


class UnknownStage(NotFound):
    """The task has no such stage."""

    next_step = "`tickloom status ID` lists its stages"

    def __str__(self) -> str:
        return f"task {self.args[0]} has no {self.args[1]} stage"


def _stage_body(request: Mapping[str, Any] | None, input: str) -> dict[str, Any]:
    return dict(request or {}) | ({"input": input} if input else {})


def _pipeline_body(source: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """Return how a chain is sent. Raises InvalidRequest."""
    if isinstance(source, Mapping):
        body, kind = json.dumps(source, allow_nan=False).encode(), "application/json"
    else:
        path = Path(source)
        try:
            body = path.read_bytes()
        except OSError as error:
            raise InvalidRequest("file", f"{path} cannot be read: {error.strerror}") from error
        kind = "application/json" if path.suffix == ".json" else "application/yaml"
    return {"content": body, "headers": {"content-type": kind}}


def _part(text: str) -> str:
    """Return an id fit for a path: whatever was typed, it names one thing below the call."""
    if not text or not text.isalnum():
        raise InvalidRequest("id", f"{text!r} is not an id: 32 or 64 hexadecimal digits")
    return text


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0


def _problem(answer: httpx.Response) -> Problem:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and "detail" in body:
        return {"status": answer.status_code} | body
    url = answer.request.url
    detail = f"{answer.request.method} {url.path} was answered {answer.status_code} by {url.host}"
    title = answer.reason_phrase
    return {"title": title, "status": answer.status_code, "detail": detail, "next": TickloomError.next_step}
