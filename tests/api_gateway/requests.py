"""Requests that the gateway accepts, and how many runs there are."""

from tickloom.ledger import ledger_url, runs

DOWNLOAD = {"symbols": ["BTCUSDT", "ETHUSDT"], "start_date": "2022-01", "end_date": "2022-03"}
BARS = {"spec": {"kind": "dollar", "threshold": 1000000}}
SIGNALS = {"long_entry": "sma_{fast} > sma_{slow}", "parameters": {"fast": [5], "slow": [20]}}
PIPELINE = {
    "name": "x",
    "download": DOWNLOAD,
    "bars": BARS,
    "features": {"features": [{"name": "sma", "timeperiod": [5, 20]}]},
    "signals": SIGNALS,
    "backtest": {"stop_loss_rate": 0.02},
    "viz": {},
}


def rows() -> int:
    return len(runs.listing(ledger_url(), state=None, kind=None, limit=100, before=None))
