"""Names of archives, and which of them cover a range of days."""

from datetime import date

import pytest

from services.download.domain.archives import Archive, period_of, plan
from tickloom.contracts.download import DownloadRequest


def request(**fields):
    whole = {"symbols": ["BTCUSDT"], "start_date": "2022-01", "end_date": "2022-01"} | fields
    return DownloadRequest.model_validate(whole)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "/data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-01.zip"),
        ({"data_type": "trades"}, "/data/spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2022-01.zip"),
        ({"market": "usdm"}, "/data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-01.zip"),
        (
            {"data_type": "klines", "interval": "15m"},
            "/data/spot/monthly/klines/BTCUSDT/15m/BTCUSDT-15m-2022-01.zip",
        ),
        (
            {"start_date": "2022-01-03", "end_date": "2022-01-03"},
            "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-01-03.zip",
        ),
        (
            {"symbols": ["币安人生USDT"]},
            "/data/spot/monthly/aggTrades/%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT/"
            "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT-aggTrades-2022-01.zip",
        ),
    ],
)
def test_a_path_is_spelled_as_the_exchange_spells_it(fields, path):
    assert plan(request(**fields))[0][0].path == path


def test_whole_months_are_monthly_archives_and_other_days_daily_ones():
    (archives,) = plan(request(start_date="2021-12-30", end_date="2022-03-01"))
    assert [a.label for a in archives] == ["2021-12-30", "2021-12-31", "2022-01", "2022-02", "2022-03-01"]


def test_a_month_named_by_its_days_is_that_month():
    assert plan(request(start_date="2024-02-01", end_date="2024-02-29")) == plan(
        request(start_date="2024-02", end_date="2024-02")
    )


def test_each_symbol_has_its_own_archives():
    first, second = plan(request(symbols=["BTCUSDT", "ETHUSDT"]))
    assert (first[0].symbol, second[0].symbol) == ("BTCUSDT", "ETHUSDT")


def test_a_month_knows_its_days_and_when_it_can_be_expected():
    month = Archive("spot", "trades", "", "BTCUSDT", date(2024, 2, 1), True)
    assert [a.first for a in month.dailies()] == [date(2024, 2, d) for d in range(1, 30)]
    assert (month.published, month.daily(date(2024, 2, 3)).published) == (date(2024, 3, 15), date(2024, 2, 5))


@pytest.mark.parametrize(
    ("stem", "period"),
    [
        ("BTCUSDT-trades-2024-01-05", (date(2024, 1, 5), date(2024, 1, 5))),
        ("BTCUSDT-15m-2024-02", (date(2024, 2, 1), date(2024, 2, 29))),
        ("BTCUSDT-trades-2024-02-30", None),
        ("my-data", None),
    ],
)
def test_the_period_of_an_archive_can_be_read_from_its_name(stem, period):
    assert period_of(stem) == period
