"""The dataset a request names in its URL: all that decides which bytes are served.

The simulator keeps no state that changes bytes, so two runs can never see different archives under one URL:
`seed=7,trades_per_day=20000,fault=id_gap,fault_on=2024-01` is the whole description of a market and its faults.
"""

import re
from dataclasses import dataclass

from exchange_sim.faults import FAULTS

MAX_SEED = 2**63 - 1
MIN_TRADES, MAX_TRADES = 10, 5_000_000
MAX_RETRY_AFTER = 3600
_FAULT_ON = re.compile(r"[\w.-]{1,64}")
MAX_REPUBLISH_AFTER = 1_000_000
_KEYS = ("seed", "trades_per_day", "fault", "fault_on", "retry_after", "republish_after")


class BadDataset(ValueError):
    """The dataset part of a URL says something that no dataset can be."""


@dataclass(frozen=True)
class Dataset:
    """A made market: a seed, a size, and at most one fault.

    seed             0 .. 2**63 - 1
    trades_per_day   mean number of trades of a symbol-day, 10 .. 5,000,000; single days have 0.5 to 1.5 times that
    fault            a name in `faults.FAULTS`, or empty
    fault_on         substring of the archive names that have the fault; empty: all of them
    retry_after      seconds in the Retry-After header of the faults that send one; None: the fault's own
    republish_after  requests for an archive or its CHECKSUM after which the fault `republished` serves the other one
    """

    seed: int = 7
    trades_per_day: int = 20_000
    fault: str = ""
    fault_on: str = ""
    retry_after: int | None = None
    republish_after: int = 2

    def fault_for(self, name: str) -> str:
        """Return the fault that an archive or endpoint of this name has, or an empty string."""
        return self.fault if self.fault_on in name else ""


def parse_dataset(text: str) -> Dataset:
    """Read `key=value,key=value`. Raises BadDataset, which says which part is wrong and what would be right."""
    values: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in _KEYS:
            raise BadDataset(f"{part!r} is neither a mounted folder nor one of {', '.join(_KEYS)} with =value")
        if key in values:
            raise BadDataset(f"{key} is given twice")
        values[key] = value
    fault, fault_on = values.get("fault", ""), values.get("fault_on", "")
    if fault and fault not in FAULTS:
        raise BadDataset(f"fault={fault} is not one of {', '.join(sorted(FAULTS))}")
    if fault_on and (not fault or not _FAULT_ON.fullmatch(fault_on) or ".." in fault_on):
        raise BadDataset(f"fault_on={fault_on} needs a fault, and is a part of an archive name")
    retry_after = _number("retry_after", values["retry_after"], 0, MAX_RETRY_AFTER) if "retry_after" in values else None
    return Dataset(
        _number("seed", values.get("seed", "7"), 0, MAX_SEED),
        _number("trades_per_day", values.get("trades_per_day", "20000"), MIN_TRADES, MAX_TRADES),
        fault,
        fault_on,
        retry_after,
        _number("republish_after", values.get("republish_after", "2"), 0, MAX_REPUBLISH_AFTER),
    )


def _number(key: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise BadDataset(f"{key}={text[:40]} is not a whole number from {low} to {high}")
    return int(text)
