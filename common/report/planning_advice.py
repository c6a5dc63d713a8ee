"""What the store says of a study's claims before more is trained: verdicts so far, and what would decide the rest."""
from collections.abc import Collection

from common.report.judging import Outcome, Verdict, judge_study
from common.report.protocol import POWER, Rule
from common.report.results import read_results
from common.store.store import Store


def advise(store: Store, study: str, *, tasks: Collection[str] = (), checkpoint: str | None = None) -> list[str]:
    """A plain line for each claim that a study tests and the store has runs of; for `--dry-run`.

    Args:
      study: name of the study, as in `Study.name`.
      tasks: speak of these tasks alone; empty: of all.
      checkpoint: digest; speak of this checkpoint alone.

    Raises:
      UserError: a run is not what was recorded.
    """
    return [say(verdict) for verdict in judge_study(read_results(store), study)
            if verdict.scored and (not tasks or verdict.group.task in tasks)
            and checkpoint in (None, verdict.group.checkpoint.digest)]


def say(verdict: Verdict) -> str:
    """The verdict, and what would decide it, in one line: `MRPC dev, mini: ...: undecided; 13 instances of each cell ...`."""
    where = f"{verdict.group.task} {verdict.evaluation_set}, {verdict.group.title_without_task}"
    about = f" ({verdict.about})" if verdict.about else ""
    return f"{where}: {verdict.claim.sentence}{about}: {verdict.outcome}{_say_estimate(verdict)}{_say_more(verdict)}"


def _say_estimate(verdict: Verdict) -> str:
    if verdict.effect is None:
        return ""
    low, high = (f"{100 * end:+.2f}" for end in (verdict.effect.low, verdict.effect.high))
    return f", {100 * verdict.effect.estimate:+.2f} [{low}, {high}] {verdict.claim.unit}"


def _say_more(verdict: Verdict) -> str:
    if verdict.needed is None:
        return f" ({verdict.reason})" if verdict.outcome in (Outcome.SO_FAR, Outcome.UNDECIDED) else ""
    return f"; to see {say_size(verdict)} with {100 * POWER:g} % power takes {say_needed(verdict)}"


def say_size(verdict: Verdict) -> str:
    """The effect that more runs would show, with its unit: `0.3 points for each doubling of the batch size`."""
    if verdict.claim.rule == Rule.FACTOR:
        return f"a variance of {verdict.needed.smallest:g} times the rest's"
    return f"{100 * verdict.needed.smallest:.2g} {verdict.claim.unit}"


def say_needed(verdict: Verdict) -> str:
    """What would decide it: `13 instances of each cell, 45 more runs, 6.2 core-hours`."""
    needed = verdict.needed
    if needed.instances is None:
        return "more than 100 instances of each cell: a larger evaluation set or another task would tell more"
    hours = "" if needed.core_hours is None else f", {needed.core_hours:.1f} core-hours"
    cells = "heads and as many orders" if verdict.claim.rule == Rule.FACTOR else "instances of each cell"
    return f"{needed.instances} {cells}, {needed.runs} more runs{hours}"
