"""Microstructure columns from a request to the table, and on from there into features and rules."""

import math
import random
import zipfile
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from services.features.job import FeaturesJob
from services.signals.job import SignalsJob
from tests.services.bars.runs import DAY_US, T0, columns, drawn_trades, imported, run, write_trades
from tickloom.contracts import features, signals
from tickloom.contracts.events import StageCall
from tickloom.errors import InvalidRequest
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.lake import open_lake

COLUMNS = [
    "volume_imbalance", "signed_volume", "signed_notional", "signed_count",
    "kyle_lambda", "kyle_sxy", "kyle_sxx", "amihud", "roll_covariance", "roll_spread", "large_trade_share",
    "burstiness", "realized_variance", "bipower_variation", "jump_share",
]  # fmt: skip
ALL = {"microstructure": True, "large_trade": 100}


def made(days=3, per_day=200):
    """Days of a price that walks, finer on the second of them: so the scale of all is finer."""
    rng, price = random.Random(7), 10_000

    def drawn(day):
        nonlocal price
        price += rng.choice([-2, -1, 0, 0, 0, 1, 2])
        return f"{Decimal(price) / 100}" + ("1" if day == 1 else ""), f"{rng.uniform(0.1, 2):.3f}"

    return drawn_trades(rng, (sorted(rng.randrange(DAY_US) for _ in range(per_day)) for _ in range(days)), drawn)


@pytest.fixture
def source(imports):
    return imported(data_type="trades", files=write_trades(imports, "AAA", made()))


def call_of(stage, contract, version, request, source):
    body = contract.model_validate(request).canonical()
    return StageCall(artifact_id=artifact_id(stage, version, body, (source.id,)), request=body, inputs=(source.id,))


def test_every_column_that_is_asked_for_is_in_the_table_with_its_kind(source):
    bars = run(source, kind="tick", threshold=17, **ALL)
    table = open_lake().read_table(bars.under("AAA/")[0])
    assert table.column_names[-len(COLUMNS) :] == COLUMNS
    kinds = dict(zip(table.schema.names, map(str, table.schema.types), strict=True))
    assert [kinds[name] for name in COLUMNS[:4]] == ["decimal64(18, 3)"] * 2 + ["decimal64(18, 6)", "int64"]
    assert {kinds[name] for name in COLUMNS[4:]} == {"double"}
    bare = run(source, kind="tick", threshold=17)
    assert columns(bare, "AAA") == {k: v for k, v in columns(bars, "AAA").items() if k not in COLUMNS}
    got = columns(bars, "AAA")
    assert got["signed_volume"] == [2 * b - v for b, v in zip(got["buy_volume"], got["volume"], strict=True)]


def test_what_is_not_defined_is_null_and_never_infinite(source):
    got = columns(run(source, kind="tick", threshold=1, **ALL), "AAA")
    assert got["kyle_lambda"] == got["burstiness"] == got["jump_share"] == [None] * 600
    got = columns(run(source, kind="tick", threshold=17, **ALL), "AAA")
    values = [value for name in COLUMNS[4:] for value in got[name] if value is not None]
    assert all(map(math.isfinite, values))
    assert None in got["roll_spread"]


def test_equal_requests_are_one_artifact_and_different_ones_are_not(source):
    spec = {"kind": "tick", "threshold": 17}
    assert (
        run(source, **spec, microstructure=["roll", "kyle"]).id
        == run(source, **spec, microstructure=["kyle", "roll", "roll"]).id
    )
    assert run(source, **spec, microstructure=False).id == run(source, **spec).id
    assert run(source, **spec, **ALL).id != run(source, **spec, **ALL | {"large_trade": 101}).id


def test_features_keep_the_columns_and_rules_read_them(source):
    bars = run(source, kind="tick", threshold=17, **ALL)
    request = {"features": [{"name": "sma", "timeperiod": 2}]}
    made_of = FeaturesJob().run(
        call_of("features", features.FeaturesRequest, features.VERSION, request, bars), Report()
    )
    table = open_lake().read_table(made_of.files[0]).to_pydict()
    got = columns(bars, "AAA")
    for name in COLUMNS:
        assert table[name] == [None if value is None else float(value) for value in got[name]]
    assert [name for name in table if features.is_feature(name)] == ["sma_2"]  # so a pipeline can know what is not made
    rule = "signed_volume > 0 AND kyle_lambda > 0 AND roll_spread IS NOT NULL AND prev_burstiness < 1"
    masks = SignalsJob().run(
        call_of("signals", signals.SignalsRequest, signals.VERSION, {"long_entry": rule, "trigger": "level"}, made_of),
        Report(),
    )
    (entry,) = masks.under("AAA/")
    changes = open_lake().read_table(entry).to_pydict()
    mask = np.zeros(len(got["close"]), np.int8)
    for bar, value in zip(changes["bar"], changes["mask"], strict=True):
        mask[bar:] = value
    wanted = [
        i > 0 and got["signed_volume"][i] > 0 and got["kyle_lambda"][i] > 0 and got["roll_spread"][i] is not None
        for i in range(len(mask))
    ]
    assert (mask != 0).tolist() == wanted
    assert 3 < sum(wanted) < len(wanted) - 3


def test_klines_hold_no_trades_to_measure(imports):
    rows = [f"{T0 + i * 900_000_000},10,12,9,11,5" for i in range(8)]
    (imports / "k.csv").write_text("date,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    klines = imported(data_type="klines", interval="15m", files={"AAA": "k.csv"})
    with pytest.raises(InvalidRequest, match="klines do not hold the trades"):
        run(klines, kind="time", interval="1h", microstructure=["roll"])


@pytest.mark.parametrize(
    "fields", [{"microstructure": ["large_trades"]}, {"large_trade": 5}, {"microstructure": ["spread"]}]
)
def test_a_measure_that_is_unknown_or_lacks_its_size_is_refused(source, fields):
    with pytest.raises(ValueError, match="large_trade"):
        run(source, kind="tick", threshold=5, **fields)


def test_real_trades_measure_what_independent_programs_make_of_them(shared_data, imports):
    """Golden numbers: NumPy's least squares and covariance, polars' sums, over 12,215 real trades in bars of 100."""
    (imports / "t.zip").write_bytes(
        (shared_data / "trades/vision_layout/spot/NEXOUSDT-trades-2024-07-24.zip").read_bytes()
    )
    bars = run(
        imported(data_type="trades", files={"NEXOUSDT": "t.zip"}), kind="tick", threshold=100, microstructure=True
    )
    got = columns(bars, "NEXOUSDT")
    names = ("id", "price", "qty", "quote", "ts", "maker", "best")
    with zipfile.ZipFile(imports / "t.zip") as archive:
        trades = pl.read_csv(archive.read(archive.namelist()[0]), has_header=False, new_columns=list(names))
    assert len(got["close"]) == len(trades) // 100 == 122
    for number in range(122):
        bar = trades[number * 100 : number * 100 + 100]
        price, ts = bar["price"].to_numpy(), bar["ts"].to_numpy().astype(np.float64)
        signed = bar["qty"].to_numpy() * np.where(bar["maker"].to_numpy(), -1, 1)
        change, pause = np.diff(price), np.diff(ts)
        slope = np.linalg.lstsq(signed[1:, None], change, rcond=None)[0][0]
        covariance = np.cov(change[1:], change[:-1])[0, 1]
        moves = np.abs(change[np.abs(change) > 1e-9])
        share = 1 - np.pi / 2 * moves.size / (moves.size - 1) * (moves[1:] * moves[:-1]).sum() / (moves**2).sum()
        notional = (price * bar["qty"].to_numpy()).sum()
        for name, value in {
            "kyle_lambda": slope,
            "roll_covariance": covariance,
            "burstiness": (pause.std() - pause.mean()) / (pause.std() + pause.mean()),
            "realized_variance": (change**2).sum(),
            "jump_share": max(share, 0.0),
            "amihud": abs(price[-1] / price[0] - 1) / notional,
            "signed_volume": signed.sum(),
        }.items():
            assert float(got[name][number]) == pytest.approx(value, rel=1e-7, abs=1e-15), (name, number)
        if covariance < 0:
            assert got["roll_spread"][number] == pytest.approx(2 * math.sqrt(-covariance), rel=1e-7)
