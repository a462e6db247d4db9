"""What the look-ahead detector said of a run, as a caveat of its report."""

from services.viz.domain.calendar import moment_text
from services.viz.domain.caveats import Caveat
from services.viz.domain.words import plural
from tickloom.contracts.probe import ProbeLeak, ProbeVerdict


def probe_caveats(verdict: ProbeVerdict | None) -> list[Caveat]:
    """Return what is to be said: nothing of a run that was not probed."""
    if verdict is None:
        return []
    if verdict.leak is not None:
        is_late = verdict.leak.kind == "warm_up"
        title = "A warm-up is too short" if is_late else "It looks ahead"
        return [Caveat("error", title, _late(verdict.leak) if is_late else _leak(verdict.leak))]
    traded = f", fills of {verdict.n_traded:,} of {plural(verdict.n_combos, 'trial')}" if verdict.n_traded else ""
    refused = (
        f" {plural(verdict.refused, 'run')} told nothing, for a stage refused the data." if verdict.refused else ""
    )
    text = (
        f"No look-ahead found in {plural(verdict.cuts, 'cut')}: {verdict.rows:,} rows in "
        f"{plural(verdict.columns, 'column')}{traded} are the same whatever came later.{refused}"
    )
    return [Caveat("note", "Probed for look-ahead", text)]


def _late(leak: ProbeLeak) -> str:
    return (
        f"{leak.stage}, column {leak.column} ({leak.table}) at {moment_text(leak.published)}: {leak.whole} with all "
        f"the data, {leak.other} with data that begin later, after as many bars as the feature says that it needs."
    )


def _leak(leak: ProbeLeak) -> str:
    return (
        f"{leak.stage}, column {leak.column} ({leak.table}), published at {moment_text(leak.published)}: {leak.whole} "
        f"with all the data, {leak.other} without what came later. What comes after that stage inherits it: do not "
        "believe this report before it is corrected."
    )
