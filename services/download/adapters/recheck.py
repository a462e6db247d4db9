"""Asking an exchange for the checksums of archives that were read before: a few hundred bytes for each of them."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed

from services.download.adapters.fetch import Fetcher
from services.download.domain.editions import Comparison
from tickloom.http import Report

AT_ONCE = 4


def ask_again(
    fetcher: Fetcher, base_url: str, archives: Mapping[str, str], report: Report, tell: Callable[[int], None]
) -> Comparison:
    """Compare archives (path -> SHA-256, "" where there was none) with what the exchange serves now.

    fetcher  gives up when the report is cancelled
    tell     is called with how many archives were asked for so far, and raises StageCancelled to end it all

    Raises what Fetcher.checksum raises, and StageCancelled.
    """
    found = Comparison()
    with ThreadPoolExecutor(AT_ONCE, "recheck") as pool:
        asked = {pool.submit(fetcher.checksum, base_url + path): path for path in archives}
        try:
            for n, answer in enumerate(as_completed(asked), 1):
                found.note(asked[answer], archives[asked[answer]], answer.result())
                tell(n)
        except BaseException:
            report.cancelled.set()  # those that wait for their turn need not wait any longer
            pool.shutdown(cancel_futures=True)
            raise
    return found
