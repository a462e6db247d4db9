"""The ledger: the one record of what was asked, who works on it, and what came of it.

`runs` is the gateway's side (accept, cancel, read), `leases` the worker's (claim, renew, commit, fail, reconcile).
"""

from tickloom.ledger import leases, runs
from tickloom.ledger.database import LedgerUnavailable, ledger_url, migrate, now_us, transaction

__all__ = ["LedgerUnavailable", "leases", "ledger_url", "migrate", "now_us", "runs", "transaction"]
