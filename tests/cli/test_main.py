"""The command line against a gateway on a real port: what it prints, and the code it ends with."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from api_gateway.app import create_gateway
from cli.main import main
from cli.probes import free_port
from tests.cli.gateway import ARTIFACTS, TASK, FakeGateway, as_json, serving, status
from tests.conftest import REPOSITORY
from tests.tickloom.serving import served
from tickloom.contracts.artifact import Part
from tickloom.lake import Lake
from tickloom.settings import settings

PROBLEM = {"title": "x", "status": 503, "detail": "the [exchange] cannot be reached", "next": "use venue sim"}


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with serving(FakeGateway()) as fake:
        yield fake


def environment(home: Path, url: str) -> dict[str, str]:
    return os.environ | {"TICKLOOM_HOME": str(home), "TICKLOOM_URL": url, "COLUMNS": "200", "NO_COLOR": "1"}


@dataclass
class Ended:
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def tickloom(url: str, home: Path, *arguments: str) -> Ended:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tickloom", *arguments])
        for name, value in environment(home, url).items():
            patch.setenv(name, value)
        settings.cache_clear()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
    settings.cache_clear()
    return Ended(code, out.getvalue(), err.getvalue())


CERTIFICATES = [
    {"symbol": "BTCUSDT", "month": "2022-01", "grade": "A", "rows": 1234, "reasons": [], "days": {}},
    {
        "symbol": "BTCUSDT", "month": "2022-02", "grade": "D", "rows": 1000, "reasons": ["9 ids are missing."],
        "days": {"2022-02-03": {"grade": "E", "reasons": ["9 ids are missing."]}},
    },
]  # fmt: skip


def test_help_names_every_command_and_exit_code_and_is_quick() -> None:
    best = 9.0
    for _ in range(3):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime  # of the clock, neighbours would take their share
        answer = subprocess.run(
            [sys.executable, "-m", "cli.main", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        best = min(best, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun)
    for word in ("up", "demo", "run", "submit", "status", "ls", "show", "cancel", "verify", "gc", "130 interrupted"):
        assert word in answer.stdout
    assert best < 1.0, "help imports too much; it takes 0.2 s on an idle machine"


def test_help_imports_none_of_the_heavy_libraries() -> None:
    heavy = ("pandas", "pyarrow", "httpx", "fastapi", "ray", "sqlalchemy", "rich.table")
    code = f"import sys, cli.main; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_followed_run_that_succeeds_ends_with_0(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.statuses = [status("STARTED", at="bars"), status()]
    answer = tickloom(gateway.url, tmp_path, "run", "configs/demo.yaml", "--follow")
    assert answer.returncode == 0, answer.stderr
    assert f"task {TASK} is SUCCESS" in answer.stdout
    assert "bars: STARTED BTCUSDT [2022-01-03]" in answer.stderr
    assert "warning: one file had a gap" in answer.stderr
    _, path, headers, body = gateway.submissions()[0]
    assert (path, headers["content-type"]) == ("/submit_pipeline", "application/yaml")
    assert body == (REPOSITORY / "configs" / "demo.yaml").read_bytes()


def test_of_several_files_the_later_replace_sections_of_the_earlier(gateway: FakeGateway, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("download: {venue: sim, symbols: [ETHUSDT], start_date: 2022-01, end_date: 2022-01}")
    answer = tickloom(gateway.url, tmp_path, "run", "configs/demo.yaml", str(other))
    assert answer.returncode == 0, answer.stderr
    body = json.loads(gateway.submissions()[0][3])
    assert body["download"] == {"venue": "sim", "symbols": ["ETHUSDT"], "start_date": "2022-01", "end_date": "2022-01"}
    assert body["backtest"]["stop_loss_rate"] == 0.02
    as_text = tmp_path / "other.json"
    as_text.write_text('{\n\t"name": "tabs"\n}')
    assert tickloom(gateway.url, tmp_path, "run", "configs/demo.yaml", str(as_text)).returncode == 0
    assert json.loads(gateway.submissions()[1][3])["name"] == "tabs"
    as_text.write_text("{")
    answer = tickloom(gateway.url, tmp_path, "run", str(as_text))
    assert (answer.returncode, "is no JSON" in answer.stderr) == (2, True)
    other.write_text("[download]")
    answer = tickloom(gateway.url, tmp_path, "run", "configs/demo.yaml", str(other))
    assert (answer.returncode, "must hold the sections of a pipeline" in answer.stderr) == (2, True)


def test_a_followed_run_that_fails_ends_with_1_and_says_what_to_do(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.statuses = [status("FAILURE", at="download", error=PROBLEM)]
    answer = tickloom(gateway.url, tmp_path, "run", "configs/demo.yaml", "-f")
    assert answer.returncode == 1
    assert f"error: task {TASK} failed in download: the [exchange] cannot be reached" in answer.stderr
    assert "next:  use venue sim" in answer.stderr
    answer = tickloom(gateway.url, tmp_path, "run", "configs/demo.yaml", "-f", "--json")
    assert answer.returncode == 1
    assert as_json(answer.stdout)["state"] == "FAILURE"
    assert as_json(answer.stderr)["next"] == "use venue sim"


@pytest.mark.parametrize("words", [("run", "configs/demo.yaml"), ("submit", "backtest", "{}", "--input", TASK)])
def test_a_dry_run_tells_what_it_would_take_and_submits_nothing(
    words: tuple[str, ...], gateway: FakeGateway, tmp_path: Path
) -> None:
    answer = tickloom(gateway.url, tmp_path, *words, "--dry-run")
    assert answer.returncode == 0, answer.stderr
    told = ("by the [calendar]", "?", "found, nothing to do", "without bars, not known")
    for text in ("2,160 (0 to 2,160)", "64", "1.0 s (0.2 s to 4.0 s)", *told):
        assert text in answer.stdout
    assert [path.partition("?")[2] for _, path, _, _ in gateway.submissions()] == ["dry_run=true"]
    answer = tickloom(gateway.url, tmp_path, *words, "--dry-run", "--json")
    assert as_json(answer.stdout)["dry_run"] is True


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("run", "{file}", "--dry-run"), "signals.long_exit"),
        (("run", "{file}"), "signals.long_exit"),
        (("run", "configs/demo.yaml", "{file}"), "signals.long_exit"),
        (("probe", "configs/demo.yaml", "{file}"), "signals.long_exit"),
        (("submit", "signals", "{signals}", "--input", TASK, "--dry-run"), "long_exit"),
        (("submit", "signals", "{signals}", "--input", TASK), "long_exit"),
    ],
)
def test_a_rule_outside_the_grammar_is_refused_before_anything_runs(
    words: tuple[str, ...], field: str, tmp_path: Path
) -> None:
    signals = '{"long_entry": "close > 1", "long_exit": "close < AVG(close)"}'
    file = tmp_path / "chain.yaml"
    file.write_text((REPOSITORY / "configs" / "demo.yaml").read_text().partition("signals:")[0] + f"signals: {signals}")
    with served(create_gateway()) as url:
        answer = tickloom(url, tmp_path, *(w.format(file=file, signals=signals) for w in words))
    assert answer.returncode == 2, answer.stderr
    assert f"{field}: character 9: AVG is over all bars at once" in answer.stderr
    assert "docs/signals.md lists what a rule may use" in answer.stderr


def test_a_run_that_is_not_followed_answers_at_once(gateway: FakeGateway, tmp_path: Path) -> None:
    answer = tickloom(gateway.url, tmp_path, "run", "configs/demo.yaml", "--json")
    assert answer.returncode == 0
    assert as_json(answer.stdout) == {"task_id": TASK, "created": True, "status_url": f"/status/{TASK}"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "no/such.yaml"], 2, "no/such.yaml cannot be read"),
        (["submit", "bards", "{}"], 2, "'bards' is none of download, bars"),
        (["submit", "bars", '{"spec":'], 2, "neither a JSON object nor a file"),
        (["submit", "bars", "[1]"], 2, "neither a JSON object nor a file"),
        (["submit", "bars", '{"spec": "nonsense"}'], 2, "spec: nonsense"),
        (["status", "e" * 32], 4, "no task has the id"),
        (["status", "../tasks"], 2, "is not an id"),
        (["cancel", "e" * 32], 4, "no task has the id"),
        (["show", "e" * 64], 4, "no artifact has the id"),
        (["ls", "--limit", "0"], 2, "--limit"),
        (["nonsense"], 2, "No such command"),
        (["up", "--venue", "nasdaq"], 2, "nasdaq"),
    ],
)
def test_what_is_wrong_is_named_and_has_its_exit_code(
    gateway: FakeGateway, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    answer = tickloom(gateway.url, tmp_path, *arguments)
    assert answer.returncode == code
    assert words in answer.stderr
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr


def test_no_gateway_is_3_and_names_the_way_out(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    answer = tickloom(url, tmp_path, "status")
    assert answer.returncode == 3
    assert "tickloom up" in answer.stdout
    answer = tickloom(url, tmp_path, "ls", "--json")
    assert answer.returncode == 3
    assert as_json(answer.stderr)["type"] == "urn:tickloom:problem:unreachable"


def test_the_status_of_the_system_is_3_while_a_part_is_down(gateway: FakeGateway, tmp_path: Path) -> None:
    assert tickloom(gateway.url, tmp_path, "status").returncode == 0
    gateway.parts["broker"] = False
    answer = tickloom(gateway.url, tmp_path, "status")
    assert answer.returncode == 3
    assert "these do not answer it: broker" in answer.stdout
    assert as_json(tickloom(gateway.url, tmp_path, "status", "--json").stdout)["answering"]["broker"] is False


def test_an_interrupted_wait_is_130_and_leaves_the_task_alone(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.statuses = [status("STARTED", at="bars")]
    command = [sys.executable, "-m", "cli.main", "status", TASK, "--follow"]
    process = subprocess.Popen(
        command, env=environment(tmp_path, gateway.url), cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert all(method == "GET" for method, *_ in gateway.requests)


def test_a_submission_from_a_file_keeps_its_dates_as_text(gateway: FakeGateway, tmp_path: Path) -> None:
    file = tmp_path / "download.yaml"
    file.write_text("symbols: [BTCUSDT]\nstart_date: 2022-01-03\nend_date: 2022-01\n")
    assert tickloom(gateway.url, tmp_path, "submit", "download", str(file)).returncode == 0
    assert tickloom(gateway.url, tmp_path, "submit", "bars", '{"spec": 1}', "--input", TASK).returncode == 0
    bodies = [(path, json.loads(body)) for _, path, _, body in gateway.submissions()]
    assert bodies == [
        ("/submit_download", {"symbols": ["BTCUSDT"], "start_date": "2022-01-03", "end_date": "2022-01"}),
        ("/submit_bars", {"spec": 1, "input": TASK}),
    ]


def test_lists_tasks_and_artifacts_are_shown_for_people_and_for_scripts(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.tasks = [status() for _ in range(7)]
    gateway.files[ARTIFACTS["viz"]] = {"report.html": b"<html>"}
    gateway.statuses = [status("FAILURE", at="bars", error=PROBLEM)]
    assert len(as_json(tickloom(gateway.url, tmp_path, "ls", "-n", "5", "--json").stdout)) == 5
    assert tickloom(gateway.url, tmp_path, "ls").stdout.count(TASK) == 7
    shown = tickloom(gateway.url, tmp_path, "show", ARTIFACTS["viz"])
    assert shown.returncode == 0
    for text in ('{"title": "[x]"}', "report.html", ARTIFACTS["bars"], "6 B"):
        assert text in shown.stdout
    shown = tickloom(gateway.url, tmp_path, "show", TASK)
    assert "the [exchange] cannot be reached" in shown.stdout
    assert "next:  use venue sim" in shown.stdout
    cancelled = tickloom(gateway.url, tmp_path, "cancel", TASK)
    assert cancelled.stdout == f"task {TASK} is REVOKED\n"


def test_a_recheck_is_asked_for_by_task_by_artifact_or_for_all(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.files[ARTIFACTS["viz"]] = {"report.html": b"<html>"}
    for arguments in ((ARTIFACTS["viz"],), (TASK,), ("--all", "-n", "7")):
        done = tickloom(gateway.url, tmp_path, "recheck", *arguments)
        assert done.stdout.startswith(f"task {TASK}\n"), done
    assert [request[1] for request in gateway.submissions()] == [
        f"/artifacts/{ARTIFACTS['viz']}/recheck",
        f"/artifacts/{ARTIFACTS['viz']}/recheck",
        "/recheck?limit=7",
    ]
    followed = tickloom(gateway.url, tmp_path, "recheck", TASK, "--follow")
    assert "12 archives compared: 1 are other ones now" in followed.stdout
    for wrong in ((), (TASK, "--all")):
        assert tickloom(gateway.url, tmp_path, "recheck", *wrong).returncode == 2


def test_what_is_stale_is_shown_as_such(gateway: FakeGateway, tmp_path: Path) -> None:
    stale = {"since": "2026-01-01T00:00:00Z", "detail": "made from [old]", "next": "submit again", "archives": []}
    gateway.tasks = [status() | {"stale": stale}]
    gateway.files[ARTIFACTS["viz"]] = {"report.html": b"<html>"}
    gateway.stale = stale
    assert "SUCCESS, stale" in tickloom(gateway.url, tmp_path, "ls").stdout
    shown = tickloom(gateway.url, tmp_path, "show", ARTIFACTS["viz"]).stdout
    assert "stale: made from [old]\nnext:  submit again" in shown


def test_a_demo_uses_the_system_that_is_up_and_tells_what_came_of_it(gateway: FakeGateway, tmp_path: Path) -> None:
    metrics = {
        "total_return": 0.1234, "buy_and_hold_return": -0.5, "sharpe_ratio": None, "max_drawdown": -0.02,
        "n_trades": 1234, "win_rate": 0.5, "fees_paid": 1.5,
    }  # fmt: skip
    chosen = {"combo": 3, "parameters": {"fast": 5, "slow": 50}, "metrics": metrics}
    results = {"objective": "sharpe_ratio", "n_combos": 64, "best": {"BTCUSDT": chosen}}
    gateway.files[ARTIFACTS["backtest"]] = {"results.json": json.dumps(results).encode()}
    gateway.files[ARTIFACTS["viz"]] = {"report.html": b"<html>"}
    gateway.files[ARTIFACTS["download"]] = {"quality/certificates.json": json.dumps(CERTIFICATES).encode()}
    answer = tickloom(gateway.url, tmp_path, "demo")
    assert answer.returncode == 0, answer.stderr
    for text in (
        "best of 64 combinations",
        "BTCUSDT",
        "fast=5 slow=50",
        "+12.34%",
        "-50.00%",
        "1,234",
        "next",
        "data quality D",
    ):
        assert text in answer.stdout
    report = tmp_path / "reports" / "demo" / "report.html"
    assert report.read_bytes() == b"<html>"
    assert str(report) in answer.stdout
    told = as_json(tickloom(gateway.url, tmp_path, "demo", "--json").stdout)
    assert told["report"] == str(report)
    assert told["results"] == results
    assert told["grades"] == {"BTCUSDT 2022-01": "A", "BTCUSDT 2022-02": "D"}


def test_the_certificates_behind_a_task_or_an_artifact_are_shown(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.files[ARTIFACTS["viz"]] = {}
    gateway.files[ARTIFACTS["download"]] = {"quality/certificates.json": json.dumps(CERTIFICATES).encode()}
    for id in (TASK, ARTIFACTS["viz"]):
        shown = tickloom(gateway.url, tmp_path, "certificate", id)
        assert shown.returncode == 0, shown.stderr
        for text in ("BTCUSDT: data quality D (1 x A, 1 x D)", "2022-02", "1,234", "9 ids", "2022-02-03 E: 9 ids"):
            assert text in shown.stdout
    assert as_json(tickloom(gateway.url, tmp_path, "certificate", TASK, "--json").stdout) == CERTIFICATES


def test_data_without_certificates_are_4_and_say_so(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.files[ARTIFACTS["viz"]] = {}
    answer = tickloom(gateway.url, tmp_path, "certificate", ARTIFACTS["viz"])
    assert (answer.returncode, "has no file" in answer.stderr) == (4, True)


def test_verify_and_gc_end_with_1_only_when_damage_was_left(tmp_path: Path) -> None:
    assert tickloom("", tmp_path, "verify").returncode == 0
    lake = Lake(str(tmp_path / "lake"))
    lake.put_part("bars", "a" * 64, Part(files=(lake.add_bytes("x", b"x"),)))
    assert as_json(tickloom("", tmp_path, "verify", "--json").stdout)["damages"] == []
    for path in (tmp_path / "lake" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    found = tickloom("", tmp_path, "verify")
    assert found.returncode == 1
    assert "missing: the bytes of x" in found.stdout
    assert tickloom("", tmp_path, "verify", "--repair").returncode == 0
    assert tickloom("", tmp_path, "verify").returncode == 0
    assert as_json(tickloom("", tmp_path, "gc", "--dry-run", "--json").stdout)["objects"] == []
