"""Thresholds and bricks finer than the trades, and trades finer than those before them: no bar moves."""

import random
from decimal import Decimal
from itertools import accumulate

import pytest

from tests.services.bars.runs import DAY_US, T0, columns, imported, run, write_trades


def on_tenths(finer=False):
    """Trades of three days in tenths; the last trade of all may have another two decimals."""
    rng, rows = random.Random(4), []
    for day in range(3):
        for k in range(40):
            price, quantity = f"{rng.randint(990, 1010) / 10}", f"{rng.randint(1, 40) / 10}"
            rows.append((len(rows), T0 + day * DAY_US + 1000 * k, price, quantity, k % 2 == 0))
    if finer:
        rows[-1] = (*rows[-1][:2], "100.125", "0.123", True)
    return rows


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "volume", "threshold": "1.25", "excess": "carry"},
        {"kind": "volume", "threshold": "1.25", "excess": "split"},
        {"kind": "dollar", "threshold": "70.0005", "excess": "carry"},
        {"kind": "dollar", "threshold": "70.0005", "excess": "split", "microstructure": True},
        {"kind": "dollar", "target_bars_per_day": 50, "excess": "split"},
        {"kind": "volume", "target_bars_per_day": 50, "excess": "split", "threshold": "0.333"},
        {"kind": "renko", "size": "0.25"},
    ],
    ids=lambda spec: "-".join(map(str, spec.values())),
)
def test_c1_a_later_day_with_finer_decimals_moves_no_bar_of_a_threshold_between_them(imports, spec):
    files = write_trades(imports, "AAA", on_tenths(finer=True))
    short = imported(data_type="trades", files=files, start_date="2024-01-05", end_date="2024-01-06")
    few, many = (columns(run(of, **spec), "AAA") for of in (short, imported(data_type="trades", files=files)))
    assert len(few["close"]) > 20
    for name, values in few.items():
        assert many[name][: len(values)] == values, name


@pytest.mark.parametrize("kind", ["volume", "dollar"])
def test_c1_a_later_trade_of_the_day_with_finer_decimals_moves_no_cut(imports, kind):
    spec = {"kind": kind, "threshold": 7, "excess": "split"}
    few, many = (
        columns(run(imported(data_type="trades", files=write_trades(imports, name, rows)), **spec), name)
        for name, rows in (
            ("AAA", on_tenths()[:39]),
            ("BBB", [*on_tenths()[:39], (39, T0 + 10**6, "100", "0.001", True)]),
        )
    )
    assert len(few["close"]) > 8
    for name, values in few.items():
        assert many[name][: len(values)] == values, name


@pytest.mark.parametrize("excess", ["carry", "split"])
def test_a_threshold_finer_than_the_trades_fills_bars_exactly(imports, excess):
    source = imported(data_type="trades", files=write_trades(imports, "AAA", on_tenths()))
    made = run(source, kind="volume", threshold="1.25", excess=excess)
    got, facts = columns(made, "AAA"), made.facts["symbols"]["AAA"]
    passed = 0
    for volume in accumulate(got["volume"]):
        assert volume // Decimal("1.25") > passed
        assert excess == "carry" or volume == (passed + 1) * Decimal("1.25")
        passed = volume // Decimal("1.25")
    assert sum(got["volume"]) + Decimal(facts["residual"]["volume"]) == sum(Decimal(row[3]) for row in on_tenths())
    assert facts["quantity_scale"] == made.files[0].facts["quantity_scale"] == 2


def test_a_brick_finer_than_the_prices_is_a_brick(imports):
    rows = [(i, T0 + i, price, "1", True) for i, price in enumerate(["100", "101", "99"])]
    made = run(imported(data_type="trades", files=write_trades(imports, "AAA", rows)), kind="renko", size="0.5")
    assert columns(made, "AAA")["bricks"] == [2, -3]
