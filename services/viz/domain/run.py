"""A finished run as the report sees it: per symbol the bars, the best trial's trades and curve, and every trial."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tickloom.contracts.probe import ProbeVerdict
from tickloom.kernel import F64, I8, I64, Bool
from tickloom.tries import Tries

METRICS = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "max_drawdown_duration",
    "win_rate",
    "profit_factor",
    "exposure",
    "turnover",
    "fees_paid",
    "n_trades",
    "final_equity",
    "buy_and_hold_return",
)
"""The metrics of a trial, in the order in which they are shown."""

Value = int | float | str | None
Metrics = Mapping[str, int | float | None]


@dataclass(frozen=True)
class Bars:
    """One symbol's bars in time order, arrays (n_bars,); `places` is the number of decimals of a price."""

    ts_open: I64
    ts_close: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    places: int


@dataclass(frozen=True)
class Curve:
    """The account at each bar's close, arrays (n_bars,): quote currency; `drawdown` a fraction, at most 0."""

    ts: I64
    equity: F64
    drawdown: F64
    buy_and_hold: F64


@dataclass(frozen=True)
class Trades:
    """The best trial's trades in order, arrays (n_trades,). An open trade has exit_bar -1, exit_ts -1, exit_price NaN.

    side +1 long, -1 short; bars are indices into the symbol's bars; prices are fills, slippage included; `pnl` is net
    of `fees` and `slippage`, all three quote currency. inside_bar says what decided a trade: "bars" alone, inside a bar
    its "trades", or a "guess". n_untraded: how many of its first and last fill are in bars in which nothing traded.
    `symbol` is told of an account of many symbols only.
    """

    side: I8
    entry_bar: I64
    exit_bar: I64
    entry_ts: I64
    exit_ts: I64
    entry_price: F64
    exit_price: F64
    quantity: F64
    fees: F64
    slippage: F64
    pnl: F64
    reason: Sequence[str]
    is_open: Bool
    inside_bar: Sequence[str]
    n_untraded: I64
    symbol: Sequence[str] = ()


@dataclass(frozen=True)
class Trials:
    """Every trial of one symbol: lists of equal length, by parameter and by metric; undefined is None."""

    combo: Sequence[int]
    parameters: Mapping[str, Sequence[Value]]
    metrics: Mapping[str, Sequence[int | float | None]]

    def row(self, index: int) -> dict[str, int | float | None]:
        """Return one trial's metrics."""
        return {name: column[index] for name, column in self.metrics.items()}


@dataclass(frozen=True)
class Account:
    """What only an account of many symbols has, at each moment at which bars close, arrays (n_rows,).

    gross, net  exposures as fractions of equity; n_held: symbols with a position
    symbols, limits  as portfolio.json of the backtest has them, see docs/portfolio.md
    """

    ts: I64
    gross: F64
    net: F64
    n_held: I64
    symbols: Sequence[Mapping[str, Any]]
    limits: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class SymbolRun:
    """All that is known of one symbol, or of many on one `account`.

    `best` is the best trial's index in `trials`; `luck` as in docs/backtest.md.
    """

    symbol: str
    bars: Bars
    curve: Curve
    trades: Trades
    trials: Trials
    best: int
    luck: Mapping[str, Any]
    account: Account | None = None

    def metrics(self) -> dict[str, int | float | None]:
        """Return the best trial's metrics."""
        return self.trials.row(self.best)

    def parameters(self) -> dict[str, Value]:
        """Return the best trial's parameters."""
        return {name: column[self.best] for name, column in self.trials.parameters.items()}


@dataclass(frozen=True)
class Step:
    """One stage of the run: what was asked, and what came out under which id."""

    stage: str
    id: str
    version: int
    request: Mapping[str, Any]
    facts: Mapping[str, Any]
    n_files: int
    n_bytes: int
    n_rows: int


@dataclass(frozen=True)
class Run:
    """What the report is about. `steps` run from the first stage to the backtest; `quality` is one record a source.

    earlier         what other searches have tried on the same data, by symbol
    probe           what the look-ahead detector said, None of a run that was not probed
    certificates  one a symbol and month, as the download stage writes them; none of a download of an older version
    """

    symbols: Sequence[SymbolRun]
    steps: Sequence[Step]
    quality: Sequence[Mapping[str, Any]]
    earlier: Mapping[str, Tries]
    certificates: Sequence[Mapping[str, Any]] = ()
    probe: ProbeVerdict | None = None

    def step(self, stage: str) -> Step:
        """Return one stage of the chain. Raises KeyError for a stage that is not in it."""
        for step in self.steps:
            if step.stage == stage:
                return step
        raise KeyError(stage)

    def request(self, stage: str) -> Mapping[str, Any]:
        """Return what a stage was asked."""
        return self.step(stage).request
