"""Everything that can go wrong between an exchange's archive and a partition in the lake, by name."""

from typing import Self

from tickloom.errors import BadRequest, Conflict, NotFound, Problem, TickloomError, Unavailable


class BadSource(TickloomError):
    """What the source holds cannot be used as it is."""

    status = 502
    next_step = "leave out the days it covers, or wait until the exchange has corrected it, and submit again"

    def of_import(self) -> Self:
        """Return the same error as one of a file in the import folder: it is for the user to correct."""
        self.status = BadRequest.status
        if self.next_step == BadSource.next_step:
            self.next_step = "correct the file, or take a better one, and submit again"
        return self


class ExchangeUnreachable(Unavailable):
    """No connection to the exchange could be made."""

    next_step = "check the network, or use the simulator: `make up VENUE=sim`"

    def __str__(self) -> str:
        return f"{self.args[0]} cannot be reached ({self.args[1]}): {self.next_step}"


class ExchangeFailed(Unavailable):
    """The exchange answers, but does not deliver the file."""

    next_step = "try again later: what was downloaded so far is kept"

    def __str__(self) -> str:
        return f"{self.args[0]} failed {self.args[1]} times, the last time with: {self.args[2]}"


class ExchangeRefused(BadSource):
    """The exchange refuses to deliver the file."""

    next_step = "check that this address may use the exchange (a firewall or a country rule answers like this)"

    def __str__(self) -> str:
        return f"{self.args[0]} was refused with HTTP status {self.args[1]}"


class RateLimited(Unavailable):
    """The exchange asks for a longer pause than a task may take."""

    next_step = "submit again after the pause: what was downloaded so far is kept"

    def __str__(self) -> str:
        return f"{self.args[0]} asks to be left alone until {self.args[1]}"


class ExchangeBanned(Unavailable):
    """The exchange has banned this address for a while; nothing is asked of it until then."""

    retryable = False
    next_step = "wait until the ban is over, then submit again: what was downloaded so far is kept"

    def __str__(self) -> str:
        return f"{self.args[0]} has banned this address until {self.args[1]}"


class RedirectRefused(BadSource):
    """The exchange sent the download elsewhere."""

    next_step = "set the address that it moved to as TICKLOOM_BINANCE_ARCHIVE_URL, if it can be trusted"

    def __str__(self) -> str:
        return f"{self.args[0]} redirects to {self.args[1]}: data is taken from the configured address alone"


class NotPublished(NotFound):
    """The exchange has not published this archive yet."""

    next_step = (
        "submit again at that time, or ask for days that are published: a day appears the day after. "
        "A symbol that is misspelt looks like this too"
    )

    def problem(self) -> Problem:
        """Return the problem with one member more: `retry_at`, the time in UTC from which on trying again is of use."""
        return super().problem() | {"retry_at": self.args[1]}

    def __str__(self) -> str:
        return f"{self.args[0]} is not published yet: try again at {self.args[1]}"


class NoSuchArchive(NotFound):
    """The exchange has no such archive, and none is to be expected."""

    next_step = (
        "check the symbol, the market and the days: it was not listed then, or is spelt otherwise, or the exchange "
        "never had or has removed the archive. Of a symbol just listed the first archive appears two days later"
    )

    def __str__(self) -> str:
        last = f"the last of {self.args[1]} that was found is of {self.args[2]}"
        none = f"and none of {self.args[1]} on all the days asked for that are over"
        return f"the exchange has no archive {self.args[0]}, {last if self.args[2] else none}"


class NothingThere(NotFound):
    """The archives are there, but they hold nothing of what was asked for."""

    next_step = "ask for days on which the symbol traded"

    def __str__(self) -> str:
        return f"{self.args[0]}: no row between {self.args[1]} and {self.args[2]}"


class ChecksumMismatch(BadSource):
    """The file is not the one that the exchange's checksum was made from, twice in a row."""

    next_step = "the archive may be in the course of being replaced: try again in an hour"

    def __str__(self) -> str:
        return f"{self.args[0]} has SHA-256 {self.args[2]}, and its CHECKSUM says {self.args[1]}"


class ChecksumUnusable(BadSource):
    """The exchange's CHECKSUM file is missing or does not speak of its archive."""

    def __str__(self) -> str:
        return f"{self.args[0]}.CHECKSUM {self.args[1]}: an archive that cannot be verified is not taken"


class TooLarge(BadSource):
    """The file is larger than any archive may be."""

    def __str__(self) -> str:
        return f"{self.args[0]} has more than {self.args[1]:,} bytes"


class BadArchive(BadSource):
    """The zip is damaged, or holds something else than the one file it should."""

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


class ZipBomb(BadArchive):
    """The file would grow out of all proportion when it is unpacked."""


class BadHeader(BadSource):
    """The columns are not those that this kind of file has."""

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


class BadRow(BadSource):
    """A row holds something that cannot be a trade or a kline."""

    def of_table(self) -> Self:
        """Return the same error with the row of a table in place of the line of a text: headers do not count."""
        return type(self)(*self.args[:3], "row")

    def __str__(self) -> str:
        line = self.args[3] if len(self.args) > 3 else "line"
        return f"{self.args[0]}, {line} {self.args[1]}: {self.args[2]}"


class BadAnswer(BadSource):
    """The exchange's REST API answered with something that cannot be trades."""

    next_step = "submit again with `repair_requests: 0`, which leaves missing ids missing, and says so"

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


class DoesNotFit(BadSource):
    """A number of the source has more digits than can be kept exactly.

    Fields: the source, what the number is, the number and where it stands, the finest number beside it and where.
    """

    def __str__(self) -> str:
        name, what, value, where, other, there = self.args
        return f"{name}: the {what} {value} ({where}) needs more than 18 digits beside {other} ({there}), on one scale"


class ConflictingRows(BadSource):
    """Two rows have the same id and say different things."""

    def __str__(self) -> str:
        return f"{self.args[0]}: the rows of id {self.args[1]} contradict each other"


class IdOnTwoDays(BadSource):
    """Two days have a row of one id: which of them is the trade, or whether both are, the exchange does not say."""

    next_step = "ask for the days up to the first of the two, and for those from the second on, as two downloads"

    def __str__(self) -> str:
        symbol, first, second, trade_id, count = self.args
        more = f", and {count - 1:,} more" if count > 1 else ""
        return f"{symbol}: {first} and {second} both have a trade of id {trade_id}{more}, and their times differ"


class WrongPeriod(BadSource):
    """Not one row is of the period that the source is about."""

    def __str__(self) -> str:
        return f"{self.args[0]}: none of its {self.args[1]:,} rows lies between {self.args[2]} and {self.args[3]}"


class WrongInterval(BadSource):
    """The klines are of another interval than was said."""

    next_step = "name the interval that the klines have; the bars stage makes longer ones of them"

    def __str__(self) -> str:
        return f"{self.args[0]}: klines are {self.args[1]:,} s apart, and the interval is {self.args[2]:,} s"


class QualityTooLow(BadSource):
    """The data are not as good as the request demands."""

    next_step = (
        "leave these months out, ask with `quality: {on_failure: drop_day}` to leave out the bad days alone, or with a "
        "lower `minimum`; docs/quality.md says what each grade means"
    )

    def __str__(self) -> str:
        bad = [f"{symbol} {month} has grade {grade}: {reasons}" for symbol, month, grade, reasons in self.args[1][:10]]
        more = f"; and {len(self.args[1]) - 10} more" if len(self.args[1]) > 10 else ""
        return f"the minimum is {self.args[0]}, but {'; '.join(bad)}{more}"


class FileOutside(BadRequest):
    """The path leads out of the import folder."""

    next_step = "copy the file into the import folder (TICKLOOM_IMPORT_DIR) and name it relative to that folder"

    def __str__(self) -> str:
        return f"files: {self.args[0]!r} leads out of the import folder"


class FileMissing(NotFound):
    """The import folder has no such file."""

    next_step = "copy the file into the import folder (TICKLOOM_IMPORT_DIR) and name it relative to that folder"

    def __str__(self) -> str:
        return f"files: the import folder has no file {self.args[0]!r}"


class FileChanged(Conflict):
    """The file is not the one that the request was accepted with."""

    next_step = "submit again: the request will then stand for the file as it is now"

    def __str__(self) -> str:
        return f"files: {self.args[0]!r} had SHA-256 {self.args[1]} at submission, now it has {self.args[2]}"


class FileUnreadable(BadRequest):
    """The file is not of a kind that can be imported."""

    next_step = "see docs/download.md for the kinds of files and the names of columns that are understood"

    def __str__(self) -> str:
        return f"files: {self.args[0]!r}: {self.args[1]}"
