"""Progress on the terminal and in a log."""

import io

from rich.console import Console

from tests.cli.gateway import status
from tickloom.progress import Bars, left, note, rate


def drawn(*statuses: dict, terminal: bool) -> str:
    sink = io.StringIO()
    with Bars(Console(file=sink, force_terminal=terminal, width=160, color_system=None)) as bars:
        for found in statuses:
            bars.show(found)
    return sink.getvalue()


def test_a_terminal_shows_a_bar_per_stage_with_its_rate() -> None:
    text = drawn(status("STARTED", at="bars"), terminal=True)
    for words in ("download", "bars", "viz", "1.2 M rows/s", "50 %", "75 s left", "BTCUSDT [2022-01-03]", "✓"):
        assert words in text


def test_a_log_has_a_line_per_change_and_no_more() -> None:
    lines = drawn(
        status("STARTED", at="bars"), status("STARTED", at="bars"), status("SUCCESS", at="bars"), terminal=False
    ).splitlines()
    assert [line for line in lines if line.startswith("bars")] == [
        "bars: STARTED BTCUSDT [2022-01-03]",
        "bars: SUCCESS 1,000 rows",
    ]
    assert len(lines) == 7


def test_rates_are_written_as_people_read_them() -> None:
    assert [rate(value) for value in (None, 0, 12, 1500, 2.5e6, 3e9)] == [
        "", "", "12 rows/s", "1.5 k rows/s", "2.5 M rows/s", "3.0 G rows/s",
    ]  # fmt: skip


def test_times_left_are_written_as_people_read_them() -> None:
    seconds = (None, 0.0, 4.4, 119, 121, 7300, 200_000)
    assert [left(value) for value in seconds] == [
        "", "0 s left", "4 s left", "119 s left", "2 min left", "2 h left", "2 d left",
    ]  # fmt: skip


def test_a_search_tells_its_finished_trials_and_the_best_so_far() -> None:
    best = {
        "symbol": "BTCUSDT",
        "parameters": {"fast": 5, "slow": 0.25},
        "objective": "sharpe_ratio",
        "value": 1.23456,
    }
    stage = status("STARTED", at="backtest")["stages"][4] | {"trials": {"done": 1040, "total": 2000}}
    assert note(stage) == "1,040 of 2,000 trials"
    assert note(stage | {"best": best}) == "1,040 of 2,000 trials, best sharpe_ratio 1.23 (BTCUSDT fast 5, slow 0.25)"
    assert note(stage | {"state": "SUCCESS"}) == "1,000 rows, 1,040 of 2,000 trials"


def test_a_note_tells_why_a_stage_is_tried_again() -> None:
    stage = status("RETRY", at="bars", error={"detail": "the service went away"})["stages"][1]
    assert note(stage) == "the service went away"
    assert note(stage | {"state": "STARTED", "attempt": 2}) == "attempt 2 BTCUSDT [2022-01-03]"
    assert note(stage | {"cached": True}) == "found, nothing to do"
