"""COIN-M: quantities are contracts, and what the files say of other amounts is not taken for money."""

from decimal import Decimal
from typing import Any

import pytest

from services.bars.job import BarsJob
from tests.services.download.runs import Stage
from tickloom.contracts import bars
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import StageCall
from tickloom.errors import InvalidRequest
from tickloom.http import Report
from tickloom.identity import artifact_id

SYMBOLS = ["BTCUSD_PERP", "ETHUSD_240628"]
DAYS = {"start": "2024-01-05", "end": "2024-01-06", "symbols": SYMBOLS, "market": "coinm"}


def bars_of(source: Manifest, **spec: Any) -> Manifest:
    request = bars.BarsRequest.model_validate({"spec": spec}).canonical()
    identity = artifact_id("bars", bars.VERSION, request, (source.id,))
    return BarsJob().run(StageCall(artifact_id=identity, request=request, inputs=(source.id,)), Report())


def rows_of(stage: Stage, manifest: Manifest, symbol: str) -> list[dict[str, Any]]:
    return [row for entry in manifest.under(f"{symbol}/") for row in stage.lake.read_table(entry).to_pylist()]


@pytest.mark.parametrize("data_type", ["aggTrades", "trades"])
def test_trades_of_perpetual_and_dated_contracts_are_read_in_contracts(stage: Stage, data_type: str) -> None:
    run = stage.sim(data_type=data_type, **DAYS)
    assert run.facts["market"] == "coinm"
    for symbol in SYMBOLS:
        rows = rows_of(stage, run, symbol)
        assert len(rows) == run.facts["symbols"][symbol]["rows"] > 200
        assert all(row["quantity"] == int(row["quantity"]) > 0 for row in rows)
        assert run.facts["symbols"][symbol]["quantity_scale"] == 0
    assert run.facts["quality"]["ids_missing"] == 0


def test_trades_and_aggregates_hold_the_same_contracts(stage: Stage) -> None:
    whole = [stage.sim(data_type=data_type, **DAYS) for data_type in ("aggTrades", "trades")]
    for symbol in SYMBOLS:
        sums = [sum(Decimal(entry.facts["quantity"]) for entry in run.under(f"{symbol}/")) for run in whole]
        assert sums[0] == sums[1]


def test_klines_have_contracts_and_no_amount_that_the_exchange_rounded(stage: Stage) -> None:
    klines = stage.sim(data_type="klines", interval="1m", **DAYS)
    trades = stage.sim(data_type="trades", **DAYS)
    for symbol in SYMBOLS:
        rows = rows_of(stage, klines, symbol)
        assert not {"notional", "buy_notional", "base_volume"} & rows[0].keys()
        contracts = sum(row["quantity"] for row in rows_of(stage, trades, symbol))
        assert sum(row["volume"] for row in rows) == contracts
        hours = bars_of(klines, kind="time", interval="1h")
        of_trades = rows_of(stage, bars_of(trades, kind="time", interval="1h"), symbol)
        of_klines = [row for row in rows_of(stage, hours, symbol) if row["n_trades"]]
        assert [row["volume"] for row in of_trades] == [row["volume"] for row in of_klines]
        assert [row["close"] for row in of_trades] == [row["close"] for row in of_klines]


def test_volume_bars_count_contracts_and_no_bar_has_a_notional(stage: Stage) -> None:
    source = stage.sim(data_type="trades", **DAYS)
    made = bars_of(source, kind="volume", threshold=500)
    for symbol in SYMBOLS:
        rows = rows_of(stage, made, symbol)
        assert len(rows) > 1
        assert all(row["volume"] >= 500 for row in rows)
        assert not {"notional", "vwap", "buy_notional"} & rows[0].keys()
        facts = made.facts["symbols"][symbol]
        assert not {"notional", "buy_notional"} & (facts.keys() | facts["residual"].keys() | facts["partial"].keys())
        total = sum(row["volume"] for row in rows) + Decimal(facts["residual"]["volume"])
        assert total == sum(row["quantity"] for row in rows_of(stage, source, symbol))


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"kind": "dollar", "threshold": 1000}, "volume bars, counted in contracts"),
        ({"kind": "dollar_imbalance", "expected_trades": 50}, "volume_imbalance bars"),
        ({"kind": "tick", "threshold": 50, "microstructure": ["amihud", "roll"]}, "amihud: these weigh by notional"),
    ],
)
def test_what_weighs_by_notional_is_refused_and_told_what_to_do_instead(
    stage: Stage, spec: dict[str, Any], what: str
) -> None:
    source = stage.sim(start="2024-01-05", symbols=["BTCUSD_PERP"], market="coinm")
    with pytest.raises(InvalidRequest, match=what):
        bars_of(source, **spec)


@pytest.mark.parametrize("data_type", ["aggTrades", "trades"])
def test_minutes_of_trades_are_held_against_the_official_ones_in_contracts(stage: Stage, data_type: str) -> None:
    run = stage.sim(data_type=data_type, **DAYS, quality={"klines": True})
    for certificate in stage.certificates(run):
        compared = certificate["klines"]
        assert compared["equal"] == compared["compared"] > 100


@pytest.mark.parametrize("fault", ["header_present", "header_absent"])
def test_old_files_without_a_header_and_new_ones_with_it_are_the_same(stage: Stage, fault: str) -> None:
    day = {"start": "2024-01-05", "symbols": ["BTCUSD_PERP"], "market": "coinm", "data_type": "trades"}
    found = stage.sim(f"fault={fault}", **day).under("BTCUSD_PERP/")
    assert [entry.sha256 for entry in found] == [entry.sha256 for entry in stage.sim(**day).under("BTCUSD_PERP/")]
