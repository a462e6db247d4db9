"""The dataset in a URL: what it may say, and how it says no."""

import pytest

from exchange_sim.dataset import BadDataset, Dataset, parse_dataset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed=7", Dataset()),
        ("trades_per_day=10,seed=0", Dataset(0, 10)),
        (f"seed={2**63 - 1},trades_per_day=5000000", Dataset(2**63 - 1, 5_000_000)),
        ("fault=id_gap,fault_on=BTCUSDT-trades-2024", Dataset(fault="id_gap", fault_on="BTCUSDT-trades-2024")),
        ("fault=banned,retry_after=0", Dataset(fault="banned", retry_after=0)),
    ],
)
def test_what_a_dataset_may_say(text, expected):
    assert parse_dataset(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nosuchmount", "neither a mounted folder nor"), ("", "neither a mounted folder"), ("seed", "neither"),
        ("colour=red", "neither"), ("seed=7,", "neither"), ("seed=7,seed=7", "twice"), ("seed=-1", "whole number"),
        ("seed=1e3", "whole number"), ("seed=٧", "whole number"), (f"seed={2**63}", "whole number"),
        ("seed=" + "9" * 5000, "whole number"), ("trades_per_day=9", "from 10 to 5000000"),
        ("trades_per_day=5000001", "from 10"), ("fault=nosuch", "is not one of"), ("fault_on=x", "needs a fault"),
        ("fault=id_gap,fault_on=../x", "part of an archive name"), ("fault=id_gap,fault_on=..", "part of an archive"),
    ],
)  # fmt: skip
def test_what_it_may_not_say_is_answered_with_the_reason(sim, text, reason):
    with pytest.raises(BadDataset, match=reason):
        parse_dataset(text)
    if text and "/" not in text:
        answer = sim.get(f"/datasets/{text}/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-01.zip")
        assert answer.status_code == 400
        assert reason in answer.json()["detail"]
        assert sim.get(f"/datasets/{text}/api/v3/exchangeInfo").status_code == 400
