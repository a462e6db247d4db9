"""Bars of klines: longer intervals, minutes without trades, what cannot be made of them."""

import random
from decimal import Decimal

import pytest

from tests.services.bars.runs import T0, columns, imported, run, write_trades
from tickloom.errors import InvalidRequest


def klines(imports, n=10):
    rows = [f"{T0 + i * 900_000_000},{10 + i}.5,{12 + i},{9 + i},{11 + i},{i}.25" for i in range(n)]
    (imports / "k.csv").write_text("date,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    return imported(data_type="klines", interval="15m", files={"AAA": "k.csv"})


def test_klines_become_bars_of_a_longer_interval(imports):
    bars = run(klines(imports), kind="time", interval="1h")
    got = columns(bars, "AAA")
    assert list(got) == ["ts_open", "ts_close", "open", "high", "low", "close", "volume"]
    assert got["open"] == [Decimal("10.5"), Decimal("14.5")]
    assert got["close"] == [Decimal(14), Decimal(18)]
    assert got["volume"] == [Decimal("7"), Decimal("23")]
    facts = bars.facts["symbols"]["AAA"]
    assert (facts["partial"]["volume"], facts["residual"]["volume"]) == ("17.5", "17.5")


def test_minutes_without_trades_leave_the_prices_of_longer_bars_to_those_with_any(imports):
    """Bars of the exchange's minutes have the prices of bars of its trades: it repeats the last close in empty ones."""
    minute, rng, rows = 60_000_000, random.Random(8), []
    for k in sorted(rng.sample(range(1440), 200)):
        price = f"{rng.randint(90, 110)}"
        rows += [(len(rows) + i, T0 + k * minute + i, price, "1", bool(i)) for i in range(rng.randint(1, 3))]
    of_trades = run(imported(data_type="trades", files=write_trades(imports, "AAA", rows)), kind="time", interval="15m")
    lines, last = [], rows[0][2]
    for k in range(1440):
        prices = [row[2] for row in rows if (row[1] - T0) // minute == k]
        last = prices[-1] if prices else last
        lines.append(f"{T0 + k * minute},{','.join(prices[:1] * 3 or [last] * 3)},{last},{len(prices)}")
    (imports / "m.csv").write_text("date,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    of_klines = imported(data_type="klines", interval="1m", files={"AAA": "m.csv"})
    got = columns(run(of_klines, kind="time", interval="15m"), "AAA")
    wanted = columns(of_trades, "AAA")
    at = {ts: i for i, ts in enumerate(got["ts_close"])}
    assert 50 < len(wanted["ts_close"]) < 96
    for name in ("open", "high", "low", "close", "volume"):
        assert [got[name][at[ts]] for ts in wanted["ts_close"]] == wanted[name], name


def test_klines_of_the_same_interval_stay_as_they_are(imports):
    bars = run(klines(imports), kind="time", interval="15m")
    assert columns(bars, "AAA")["close"] == [Decimal(11 + i) for i in range(10)]
    assert bars.facts["symbols"]["AAA"]["partial"] is None


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"kind": "time", "interval": "5m"}, "not a multiple"),
        ({"kind": "tick", "threshold": 5}, "klines become time bars"),
    ],
)
def test_what_cannot_be_made_of_klines_is_refused(imports, spec, reason):
    with pytest.raises(InvalidRequest, match=reason):
        run(klines(imports), **spec)
