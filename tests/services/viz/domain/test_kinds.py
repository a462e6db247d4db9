"""Every kind of bars has a name that a reader understands."""

import pytest
from pydantic import TypeAdapter

from services.viz.domain.kinds import kind_text
from tickloom.contracts.bars import BarSpec

SPECS = [
    ({"kind": "time", "interval": "15m"}, "15m bars"),
    ({"kind": "tick", "threshold": 1}, "tick bars of 1 trade"),
    ({"kind": "tick", "target_bars_per_day": 50}, "tick bars, about 50 a day"),
    ({"kind": "volume", "threshold": "2500.5", "excess": "split"}, "volume bars of 2,500.5, trades cut to size"),
    ({"kind": "dollar", "threshold": 1000000}, "dollar bars of 1,000,000"),
    (
        {"kind": "dollar", "target_bars_per_day": 1200, "threshold": 5, "excess": "carry", "reset": "daily"},
        "dollar bars, about 1,200 a day, excess carried over, begun anew each day",
    ),
    ({"kind": "volume_imbalance", "expected_trades": 1000}, "volume imbalance bars of about 1,000 trades"),
    (
        {"kind": "tick_run", "expected_trades": 2000, "reset": "daily"},
        "tick run bars of about 2,000 trades, begun anew each day",
    ),
    ({"kind": "range", "size": "25"}, "range bars of 25"),
    ({"kind": "renko", "size": "0.12"}, "Renko bars of 0.12"),
]


@pytest.mark.parametrize(("spec", "text"), SPECS)
def test_a_spec_is_named_in_words(spec, text):
    assert kind_text(TypeAdapter(BarSpec).validate_python(spec).canonical()) == text


def test_what_is_not_known_is_still_named():
    assert kind_text({}) == "unnamed bars"
    assert kind_text({"kind": "moon"}) == "moon bars"
