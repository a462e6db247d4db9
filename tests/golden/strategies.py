"""The golden strategies, in the words of requests: bars, features, rules and account of each."""

from dataclasses import dataclass, field
from typing import Any

from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest


@dataclass(frozen=True)
class Strategy:
    """One row: `features` is name -> periods, `rules` a SignalsRequest, `account` a BacktestRequest."""

    name: str
    market: str
    features: dict[str, list[int]]
    rules: dict[str, Any]
    account: dict[str, Any] = field(default_factory=dict)
    sees_trades: bool = False
    """Whether the trades of the bars are there, to decide what happens inside one; only made bars have any."""

    @property
    def is_made(self) -> bool:
        """Whether every machine has its bars."""
        return self.market.startswith("sim_")

    def features_request(self) -> FeaturesRequest:
        specs = [{"name": name, "timeperiod": periods} for name, periods in self.features.items()]
        return FeaturesRequest.model_validate({"features": specs})

    def signals_request(self) -> SignalsRequest:
        return SignalsRequest.model_validate(self.rules)

    def backtest_request(self) -> BacktestRequest:
        return BacktestRequest.model_validate(self.account)


CROSS = {"long_entry": "sma_20 > sma_80", "long_exit": "sma_20 < sma_80"}
FLIP = CROSS | {"short_entry": "sma_20 < sma_80", "short_exit": "sma_20 > sma_80"}
AVERAGES = {"sma": [20, 80]}
BANDS = {
    "long_entry": "close < bbands_lower_20", "long_exit": "close > bbands_middle_20",
    "short_entry": "close > bbands_upper_20", "short_exit": "close < bbands_middle_20",
}  # fmt: skip
FREE = {"commission_rate": 0.0, "slippage_rate": 0.0}

STRATEGIES = (
    # Real bars: a year of quarter hours.
    Strategy(
        "averages cross above the trend with a stop", "btc_15m", {"sma": [30, 150], "ema": [200]},
        {"long_entry": "sma_30 > sma_150 AND close > ema_200 AND (sma_30 - sma_150) / close >= 0.001",
         "long_exit": "sma_30 < sma_150"},
        {"stop_loss_rate": 0.02},
    ),
    Strategy(
        "rsi reversion with a bracket", "btc_15m", {"rsi": [14]},
        {"long_entry": "rsi_14 < 25", "long_exit": "rsi_14 > 60"},
        {"stop_loss_rate": 0.03, "take_profit_rate": 0.02, "maker_rate": 0.0002},
    ),
    Strategy(
        "bands on both sides by a fraction", "btc_15m", {"bbands": [20]}, BANDS,
        {"sizing": {"kind": "fixed_fraction", "fraction": 0.5}, "commission_rate": 0.0004},
    ),
    Strategy(
        "always in the market, long or short, at no cost", "btc_15m", {"ema": [48, 192]},
        {"long_entry": "ema_48 > ema_192", "long_exit": "ema_48 < ema_192", "short_entry": "ema_48 < ema_192",
         "short_exit": "ema_48 > ema_192", "trigger": "level"},
        FREE,
    ),
    Strategy(
        "breakout by the range with a trailing stop", "btc_15m", {"mom": [96], "atr": [96]},
        {"long_entry": "mom_96 > 6 * atr_96", "short_entry": "mom_96 < -6 * atr_96"},
        {"trailing_stop_rate": 0.015, "sizing": {"kind": "fixed_notional", "notional": 5000}, "lot_step": 0.001},
    ),
    Strategy(
        "short where volume peaks in a fall", "btc_15m", {"volume_zscore": [96]},
        {"short_entry": "volume_zscore_96 > 3 AND close < prev_close", "short_exit": "volume_zscore_96 < -0.8"},
        {"stop_loss_rate": 0.01, "take_profit_rate": 0.015, "slippage_rate": 0.0002},
    ),
    Strategy(
        "pullback bought by a limit", "btc_15m", {"ema": [20, 100]},
        {"long_entry": "ema_20 > ema_100 AND close < ema_20", "long_exit": "ema_20 < ema_100"},
        {"entry": {"kind": "limit", "offset_rate": 0.003, "bars": 8}, "maker_rate": 0.0, "stop_loss_rate": 0.015},
    ),
    Strategy(
        "momentum at a target volatility with impact", "btc_15m", {"mom": [192], "sma": [20]},
        {"long_entry": "mom_192 > 0 AND close > sma_20", "long_exit": "mom_192 < 0"},
        {"sizing": {"kind": "volatility_target", "volatility": 0.3}, "impact": {"kind": "square_root"}},
    ),
    Strategy(
        "ten times leverage until it is liquidated", "btc_15m", AVERAGES, FLIP,
        {"leverage": 10, "maintenance_rate": 0.02, "sizing": {"kind": "fixed_fraction", "fraction": 0.8}},
    ),
    Strategy(
        "breakout with a stop of ranges", "btc_15m", {"mom": [96], "atr": [96]},
        {"long_entry": "mom_96 > 5 * atr_96", "long_exit": "mom_96 < 0", "short_entry": "mom_96 < -5 * atr_96",
         "short_exit": "mom_96 > 0"},
        {"stop_loss": {"kind": "feature", "column": "atr_96", "multiple": 3}, "sizing":
         {"kind": "risk_per_trade", "risk": 0.005}},
    ),
    # Real bars: five years of days.
    Strategy(
        "the golden cross", "btc_daily", {"sma": [50, 200]},
        {"long_entry": "sma_50 > sma_200", "long_exit": "sma_50 < sma_200"},
    ),
    Strategy(
        "momentum with risk per trade", "eth_daily", {"mom": [20]},
        {"long_entry": "mom_20 > 0", "long_exit": "mom_20 < 0"},
        {"sizing": {"kind": "risk_per_trade", "risk": 0.02}, "stop_loss_rate": 0.08},
    ),
    Strategy(
        "short below the average with leverage", "eth_daily", {"sma": [100]},
        {"short_entry": "close < sma_100", "short_exit": "close > sma_100"},
        {"leverage": 3, "maintenance_rate": 0.05, "spread_rate": 0.0004},
    ),
    Strategy(
        "rsi on both sides in lots of whole coins", "xlm_daily", {"rsi": [7]},
        {"long_entry": "rsi_7 < 20", "long_exit": "rsi_7 > 60",
         "short_entry": "rsi_7 > 85", "short_exit": "rsi_7 < 40"},
        {"sizing": {"kind": "fixed_notional", "notional": 2500}, "lot_step": 1.0, "min_notional": 100},
    ),
    Strategy(
        "always long between a wide stop and a wide target", "btc_daily", {"sma": [2]},
        {"long_entry": "close > 0", "trigger": "level"},
        {"trailing_stop_rate": 0.12, "take_profit_rate": 0.4},
    ),
    Strategy(
        "days with their volume's share of impact", "xlm_daily", {"bbands": [20]}, BANDS,
        {"initial_cash": 1e8, "impact": {"kind": "volume_share", "factor": 0.5, "cap": 0.05}},
    ),
    Strategy(
        "target volatility by days", "eth_daily", {"sma": [10, 40]},
        {"long_entry": "sma_10 > sma_40", "long_exit": "sma_10 < sma_40"},
        {"sizing": {"kind": "volatility_target", "volatility": 0.4}, "volatility_bars": 30},
    ),
    # Made bars: quarter hours of the simulator.
    Strategy("averages cross", "sim_btc_15m", AVERAGES, CROSS),
    Strategy("averages flip", "sim_btc_15m", AVERAGES, FLIP, {"stop_loss_rate": 0.01}),
    Strategy("bands with every exit there is", "sim_btc_15m", {"bbands": [20]}, BANDS,
             {"stop_loss_rate": 0.008, "take_profit_rate": 0.006, "trailing_stop_rate": 0.01, "maker_rate": 0.0001}),
    Strategy(
        "limits on both sides", "sim_btc_15m", {"rsi": [14]},
        {"long_entry": "rsi_14 < 35", "long_exit": "rsi_14 > 55", "short_entry": "rsi_14 > 65",
         "short_exit": "rsi_14 < 45"},
        {"entry": {"kind": "limit", "offset_rate": 0.001, "bars": 3}, "maker_rate": 0.0002},
    ),
    Strategy("twenty times leverage", "sim_btc_15m", AVERAGES, FLIP, {"leverage": 20, "maintenance_rate": 0.01}),
    Strategy("nothing is ever entered", "sim_btc_15m", AVERAGES, {"long_entry": "close < 0"}),
    # The same bars, and dollar bars, with the trades that they were made of.
    Strategy("bands with every exit there is, in the order of the trades", "sim_btc_15m", {"bbands": [20]}, BANDS,
             {"stop_loss_rate": 0.004, "take_profit_rate": 0.003, "trailing_stop_rate": 0.005, "maker_rate": 0.0001},
             sees_trades=True),
    Strategy("bands with every exit there is, filled at trades", "sim_btc_15m", {"bbands": [20]}, BANDS,
             {"stop_loss_rate": 0.004, "take_profit_rate": 0.003, "trailing_stop_rate": 0.005, "inside_bar": "fills"},
             sees_trades=True),
    Strategy("limits and brackets on dollar bars, filled at trades", "sim_eth_dollar", {"bbands": [20]}, BANDS,
             {"entry": {"kind": "limit", "offset_rate": 0.001, "bars": 5}, "take_profit_rate": 0.008, "inside_bar":
              "fills", "stop_loss_rate": 0.006, "trailing_stop_rate": 0.01, "maker_rate": 0.0}, sees_trades=True),
    # Signals that take time to arrive.
    Strategy("averages flip, heard two seconds late", "btc_15m", AVERAGES, FLIP,
             {"latency_ms": 2_000, "stop_loss_rate": 0.02}),
    Strategy("cross on dollar bars, heard half an hour late", "sim_eth_dollar", AVERAGES, CROSS,
             {"latency_ms": 1_800_000, "stop_loss_rate": 0.02}),
    # Made bars: dollar bars.
    Strategy("cross on dollar bars", "sim_eth_dollar", AVERAGES, CROSS, {"stop_loss_rate": 0.02}),
    Strategy("flip on dollar bars by risk", "sim_eth_dollar", AVERAGES, FLIP,
             {"sizing": {"kind": "risk_per_trade", "risk": 0.01}, "stop_loss_rate": 0.015, "take_profit_rate": 0.03}),
    Strategy("bands on dollar bars with impact by share", "sim_eth_dollar", {"bbands": [20]}, BANDS,
             {"impact": {"kind": "volume_share", "factor": 0.2, "cap": 0.02}, "sizing":
              {"kind": "fixed_fraction", "fraction": 0.25}}),
    Strategy("bands on dollar bars with impact by the root", "sim_eth_dollar", {"bbands": [20]}, BANDS,
             {"impact": {"kind": "square_root", "factor": 0.5, "cap": 0.02}, "initial_cash": 2000}),
    Strategy(
        "short alone on dollar bars, trailing", "sim_eth_dollar", {"mom": [50]}, {"short_entry": "mom_50 < 0"},
        {"trailing_stop_rate": 0.01, "commission_rate": 0.0002, "slippage_rate": 0.0001},
    ),
    Strategy("flip on dollar bars, stop of ranges and target", "sim_eth_dollar", {"sma": [20, 80], "atr": [20]}, FLIP,
             {"stop_loss": {"kind": "feature", "column": "atr_20", "multiple": 2}, "take_profit_rate": 0.04}),
    # Made bars: tick bars of a coin whose price is small and whose lots are whole.
    Strategy("cross in whole coins", "sim_doge_tick", AVERAGES, CROSS, {"lot_step": 1.0, "min_notional": 10}),
    Strategy("flip in bundles, some too small to buy", "sim_doge_tick", AVERAGES, FLIP,
             {"lot_step": 500.0, "min_notional": 1850, "sizing": {"kind": "fixed_notional", "notional": 2000}}),
    Strategy(
        "limits, target and liquidation at once", "sim_doge_tick", {"bbands": [20]}, BANDS,
        {"entry": {"kind": "limit", "offset_rate": 0.002, "bars": 5}, "take_profit_rate": 0.02, "leverage": 8,
         "maintenance_rate": 0.03, "maker_rate": 0.0, "lot_step": 10.0},
    ),
)  # fmt: skip
