"""The ledger: the one record of what was asked, who works on it, and what came of it.

`runs` is the gateway's side (accept, cancel, read), `leases` the worker's (claim, renew, commit, fail, reconcile).
`editions` tells which artifacts are stale, because an exchange has replaced an archive.
"""

from tickloom.ledger import editions, leases, runs
from tickloom.ledger.database import LedgerUnavailable, ledger_url, migrate, now_us, transaction

__all__ = ["LedgerUnavailable", "editions", "leases", "ledger_url", "migrate", "now_us", "runs", "transaction"]
