"""COIN-M: contracts for quantities, and the base currency where other markets have the quote currency."""

from decimal import ROUND_HALF_UP, Decimal

import pytest

from tests.exchange_sim.reading import get_text, url

WORTH = {"BTCUSD_PERP": 100, "ETHUSD_PERP": 10, "ETHUSD_240628": 10}
DAY = "2024-01-05"


def lines(sim, kind, symbol, interval=""):
    text = get_text(sim, "cm", "daily", kind, symbol, DAY, interval=interval)
    header, *rows = text.splitlines()
    return header, [row.split(",") for row in rows]


def base(contracts, price, worth):
    return (Decimal(contracts) * worth / Decimal(price)).quantize(Decimal("1e-8"), ROUND_HALF_UP)


@pytest.mark.parametrize("symbol", WORTH)
def test_trades_are_in_contracts_and_their_fourth_column_is_base_currency(sim, symbol):
    header, rows = lines(sim, "trades", symbol)
    assert header == "id,price,qty,base_qty,time,is_buyer_maker"
    assert all(row[2].isdigit() and int(row[2]) > 0 for row in rows)
    assert all(Decimal(row[3]) == base(row[2], row[1], WORTH[symbol]) for row in rows)
    assert {row[5] for row in rows} == {"true", "false"}
    assert all(len(row[4]) == 13 for row in rows)


@pytest.mark.parametrize("symbol", WORTH)
def test_klines_have_base_volumes_under_headers_that_say_quote(sim, symbol):
    header, rows = lines(sim, "klines", symbol, "1d")
    assert header.split(",")[7] == "quote_volume"
    _, trades = lines(sim, "aggTrades", symbol)
    ((*_, volume, _, base_volume, count, taken, taken_base, _),) = rows
    assert int(volume) == sum(int(trade[2]) for trade in trades)
    assert Decimal(base_volume) == sum(base(trade[2], trade[1], WORTH[symbol]) for trade in trades)
    bought = [trade for trade in trades if trade[6] == "false"]
    assert int(taken) == sum(int(trade[2]) for trade in bought)
    assert Decimal(taken_base) == sum(base(trade[2], trade[1], WORTH[symbol]) for trade in bought)
    assert int(count) == len(lines(sim, "trades", symbol)[1])


def test_rest_history_is_below_dapi_and_agrees_with_the_archive(sim):
    _, rows = lines(sim, "aggTrades", "BTCUSD_PERP")
    answer = sim.get(
        "/datasets/" + url("cm", "daily", "aggTrades", "BTCUSD_PERP", DAY).split("/")[2] + "/dapi/v1/aggTrades",
        params={"symbol": "BTCUSD_PERP", "fromId": rows[0][0], "limit": 3},
    )
    found = [[str(one["a"]), Decimal(one["p"]), Decimal(one["q"]), str(one["T"])] for one in answer.json()]
    assert found == [[row[0], Decimal(row[1]), Decimal(row[2]), row[5]] for row in rows[:3]]


def test_symbols_of_one_market_are_not_on_another(sim):
    assert sim.get(url("spot", "daily", "trades", "BTCUSD_PERP", DAY)).status_code == 404
    assert sim.get(url("cm", "daily", "trades", "BTCUSDT", DAY)).status_code == 404
    assert sim.get("/api/v3/klines", params={"symbol": "BTCUSD_PERP", "interval": "1d"}).status_code == 400
