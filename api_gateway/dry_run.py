"""What a submission would come to: rows, trials, memory and time, before anything of it is queued or written."""

import json
from collections.abc import Sequence

from api_gateway.costs import FACTOR, Work, bytes_of, scale_of, seconds_of
from api_gateway.models import Estimate, Seconds, Span, StageEstimate
from api_gateway.row_counts import Count, columns_of, made, of_bars, of_download
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.bars import BarsRequest
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.contracts.stages import REQUESTS, STAGES
from tickloom.lake import open_lake
from tickloom.ledger import ledger_url
from tickloom.ledger.pace import recent
from tickloom.ledger.runs import PlannedStage
from tickloom.ledger.trials import stages_above

HOW = (
    "rows are counted in the lake where they are there, bounded by the request, the calendar and the sizes of archives "
    "where they are not, and guessed within bounds where how many bars close follows from the prices; "
    "time is rows, columns and trials at measured rates, scaled by the last runs of this system; memory is measured "
    f"bytes a row; both may be off by a factor of {FACTOR:g}, which the bounds include"
)
LONGEST_DAYS = 3653
SEARCHES = ("signals", "backtest")


class _Chain:
    """The requests of a chain, those of its input included, and what is known of their rows."""

    def __init__(self, planned: Sequence[PlannedStage]) -> None:
        self._lake = open_lake()
        source = planned[0].input_artifact_id
        stages = stages_above(ledger_url(), source) if source else {}
        stages |= {one.stage: (one.artifact_id, one.request) for one in planned}
        self._ids = {stage: artifact for stage, (artifact, _) in stages.items()}
        self.requests = {
            s: REQUESTS[s].model_validate_json(json.dumps(r)) for s, (_, r) in stages.items() if s in REQUESTS
        }
        features, download = self.requests.get("features"), self.requests.get("download")
        self.bars = features.bars if isinstance(features, FeaturesRequest) else None
        self.columns = columns_of(features) if isinstance(features, FeaturesRequest) else 14
        signals = self.requests.get("signals")
        self.trials = signals.n_combinations() if isinstance(signals, SignalsRequest) else 1
        self.klines = download.interval if isinstance(download, DownloadRequest) else None
        self._n_symbols = len(download.all_symbols()) if isinstance(download, DownloadRequest) else 1
        backtest = self.requests.get("backtest")
        self.is_shared = isinstance(backtest, BacktestRequest) and backtest.portfolio is not None
        self._counts: dict[str, Count] = {}

    def is_made(self, stage: str) -> bool:
        return self._lake.find(self._ids[stage]) is not None

    def rows_after(self, stage: str) -> Count:
        """Return the rows that a stage leaves to the next one."""
        if stage not in self._counts:
            self._counts[stage] = self._rows_after(stage)
        return self._counts[stage]

    def _rows_after(self, stage: str) -> Count:
        request, before = self.requests.get(stage), STAGES[: STAGES.index(stage)]
        if request is None:
            return Count(None, f"nothing is known of the {stage} that it would work on")
        if stage == "backtest":  # what the report draws are the bars
            return self.rows_after("signals")
        found = self._lake.find(self._ids[stage])
        if found is not None:
            n_days = self.rows_after(before[-1]).n_days if before else self._days()
            return made(stage, found, self.bars, n_days)
        if isinstance(request, DownloadRequest):
            return of_download(request)
        if isinstance(request, BarsRequest):
            return of_bars(request, self.rows_after("download"), self.klines, self.bars, self._n_symbols)
        return self.rows_after(before[-1])

    def _days(self) -> int | None:
        download = self.requests["download"]
        return of_download(download).n_days if isinstance(download, DownloadRequest) else None


def estimate(planned: Sequence[PlannedStage]) -> Estimate:
    """Return what the planned stages would cost. Raises InvalidRequest."""
    chain = _Chain(planned)
    stages = [_stage(chain, one.stage) for one in planned]
    todo = [one for one in stages if not one.cached]
    return Estimate(
        artifact_id=planned[-1].artifact_id,
        rows=stages[-1].rows,
        trials=next((one.trials for one in stages if one.trials is not None), None),
        memory_bytes=_largest([one.memory_bytes for one in todo]),
        seconds=_sum([one.seconds for one in todo]),
        unknown=[one.stage for one in todo if one.seconds is None],
        how=HOW,
        stages=stages,
    )


def _stage(chain: _Chain, stage: str) -> StageEstimate:
    source = STAGES[max(STAGES.index(stage) - 1, 0)]
    count = chain.rows_after(source)
    cached = chain.is_made(stage)
    n_days = count.n_days or LONGEST_DAYS
    trials = chain.trials if stage in SEARCHES else 1
    memory = seconds = None
    if cached:
        memory, seconds = Span.of(0, 0, 0), Seconds(low=0, expected=0, high=0)
    elif count.rows is not None:
        works = [
            Work(n, trials, chain.columns, n_days, chain.is_shared)
            for n in (count.rows.low, count.rows.expected, count.rows.high)
        ]
        low, expected, high = (bytes_of(stage, work) for work in works)
        memory = Span.of(low / FACTOR, expected, high * FACTOR)
        scale = scale_of(stage, recent(ledger_url(), stage))
        low, expected, high = (scale * seconds_of(stage, work) for work in works)
        seconds = Seconds(low=round(low / FACTOR, 2), expected=round(expected, 2), high=round(high * FACTOR, 2))
    return StageEstimate(
        stage=stage, cached=cached, rows=count.rows, trials=trials if stage in SEARCHES else None,
        memory_bytes=memory, seconds=seconds, how=count.how,
    )  # fmt: skip


def _largest(spans: Sequence[Span | None]) -> Span | None:
    """Return the largest of those that are known; None where none of them is."""
    known = [span for span in spans if span is not None]
    if spans and not known:
        return None
    return max(known, key=lambda span: span.high, default=Span.of(0, 0, 0))


def _sum(times: Sequence[Seconds | None]) -> Seconds | None:
    """Return the sum of those that are known; None where none of them is."""
    known = [one for one in times if one is not None]
    if times and not known:
        return None
    return Seconds(
        low=round(sum(one.low for one in known), 2),
        expected=round(sum(one.expected for one in known), 2),
        high=round(sum(one.high for one in known), 2),
    )
