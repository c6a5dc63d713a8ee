"""Verdicts as the page shows them: one line for each claim, its evidence from the strongest to the weakest."""
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from common.report.checkpoints import is_demo, is_google_release
from common.report.judging import Outcome, Verdict
from common.report.page import Markdown, escape, show_effect, show_p, show_points
from common.report.protocol import CLAIMS, Claim, Rule
from common.report.results import Group
from common.report.templates import say, show_others, show_runs


@dataclass(frozen=True)
class Line:
    """A claim with everything that was found about it."""

    claim: Claim
    verdicts: tuple[Verdict, ...]
    """The strongest evidence first."""

    @property
    def best(self) -> Verdict | None:
        return self.verdicts[0] if self.verdicts else None

    @property
    def elsewhere(self) -> tuple[Verdict, ...]:
        """Weaker evidence that has decided: otherwise than the strongest, or the same on another task or with another checkpoint;
        one verdict for each task, checkpoint and outcome."""
        found: dict[tuple, Verdict] = {}
        for each in self.verdicts:
            if each.outcome in (Outcome.SUPPORTED, Outcome.CONTRADICTED):
                found.setdefault((each.group.task, each.group.checkpoint.digest, each.outcome), each)
        if self.best:
            found.pop((self.best.group.task, self.best.group.checkpoint.digest, self.best.outcome), None)
        return tuple(found.values())

    def without_name(self, checkpoint) -> "Line":
        """The same where the page has named this checkpoint already."""
        return replace(self, verdicts=tuple(
            replace(each, group=replace(each.group, name="")) if each.group.checkpoint.digest == checkpoint.digest else each
            for each in self.verdicts))

    @property
    def anchor(self) -> str:
        return "claim-" + self.claim.key.replace("_", "-")


def list_claims(verdicts: Iterable[Verdict], keys: Sequence[str] = tuple(CLAIMS)) -> list[Line]:
    """A line for each of these claims, also where nothing was found."""
    found = list(verdicts)
    return [Line(CLAIMS[key], tuple(sorted((each for each in found if each.claim.key == key), key=_weakness))) for key in keys]


def weakness_of(group: Group) -> tuple:
    """Sorts groups from the strongest evidence to the weakest, whatever they say.

    Google's checkpoint comes before any other and the demo's last; then the settings of the original, then the number of runs.
    """
    return (0 if is_google_release(group.checkpoint) else 2 if is_demo(group.checkpoint) else 1,
            len(set(group.differs) - {"task"}), -len(group.finished), group.title, group.id)


def _weakness(verdict: Verdict) -> tuple:
    """The same for verdicts: those that can say something first; of equally many runs, those of the original's task."""
    first, *rest = weakness_of(verdict.group)
    says_nothing = verdict.scored == 0, verdict.outcome is Outcome.SO_FAR, verdict.effect is None
    return (first, *says_nothing, rest[0], -verdict.scored, "task" in verdict.group.differs, *rest[1:], verdict.evaluation_set,
            verdict.about)


def list_places(lines: Sequence[Line]) -> list[list[Line]]:
    """The claims that have a verdict, by the group and evaluation set of their strongest evidence."""
    places: dict[tuple, list[Line]] = {}
    for line in lines:
        if line.best and line.best.outcome is not Outcome.SO_FAR:
            places.setdefault((line.best.group.id, line.best.evaluation_set), []).append(line)
    return list(places.values())


def pick_same_place(lines: Sequence[Line]) -> list[Line]:
    """These claims as one group and evaluation set tells them: its verdict is each one's first.

    Google's checkpoint comes first, then the place where the most of these claims have a verdict, then the strongest evidence.
    """
    places: dict[tuple, list[Verdict]] = {}
    for verdict in (each for line in lines for each in line.verdicts):
        places.setdefault((verdict.group.id, verdict.evaluation_set), []).append(verdict)
    if not places:
        return []
    chosen = min(places.values(), key=_weakness_of_place)
    return [replace(line, verdicts=(verdict, *(each for each in line.verdicts if each is not verdict)))
            for line in lines for verdict in line.verdicts if verdict in chosen]


def _weakness_of_place(verdicts: Sequence[Verdict]) -> tuple:
    """Sorts the places of `pick_same_place`."""
    strongest = min(map(_weakness, verdicts))
    return strongest[0], sum(each.outcome is Outcome.SO_FAR for each in verdicts) - len(verdicts), strongest


def show_line(line: Line) -> dict:
    """The row of a claim in the first table: the strongest evidence."""
    best, link = line.best, Markdown(f"[how](#{line.anchor})")
    claim = Markdown(f"{escape(line.claim.sentence)} ({escape(line.claim.source)})")
    if best is None:
        return {"claim": claim, "verdict": "no runs", "effect": None, "evidence": None, "link": link}
    others = show_others(line)
    return {"claim": claim, "verdict": Markdown(f"{show_outcome(best)} ({others})") if others else show_outcome(best),
            "effect": show_estimate(best, unit=True), "evidence": f"{show_place(best)}: {show_runs(best)}", "link": link}


def show_evidence(line: Line, verdict: Verdict, *, first: bool) -> dict:
    """A row of a study's table of claims; the first of a claim carries its anchor."""
    anchor = Markdown(f'<a id="{line.anchor}"></a>') if first else Markdown("")
    claim = Markdown(anchor + escape(line.claim.sentence))
    return {"claim": claim, "where": show_place(verdict), "runs": show_runs(verdict), "effect": show_estimate(verdict),
            "p": None if verdict.corrected is None else Markdown(show_p(verdict.corrected).removeprefix("= ")),
            "with_rows": show_effect(verdict.with_rows),
            "loss": None if verdict.loss is None else show_loss(verdict),
            "verdict": show_verdict(verdict)}


def show_outcome(verdict: Verdict) -> Markdown:
    return Markdown(f"**{verdict.outcome.value}**")


def show_verdict(verdict: Verdict) -> Markdown:
    """Outcome, why it is undecided, and what would decide it."""
    said = [verdict.reason, show_needed(verdict), show_seen(verdict)]
    words = "; ".join(each.rstrip(".") for each in said if each)
    return Markdown(f"{show_outcome(verdict)}: {words}" if words else show_outcome(verdict))


def show_seen(verdict: Verdict) -> str:
    """How many of its runs had been looked at before the protocol was written, and what the others say by themselves."""
    if not verdict.seen or verdict.outcome is Outcome.SO_FAR:
        return ""
    return say("seen", verdict=verdict, later=show_effect(verdict.later))


def show_needed(verdict: Verdict) -> str:
    """What would decide it: `12 instances of each cell (56 runs more, about 9 core-hours) would show 0.3 points`."""
    needed = verdict.needed
    if needed is None:
        return ""
    return say("needed", needed=needed, is_variance=verdict.claim.rule is Rule.FACTOR, smallest=f"{needed.smallest:g}",
               points=Markdown(show_points(needed.smallest).lstrip("+")))


def show_estimate(verdict: Verdict, *, unit: bool = False) -> Markdown | None:
    """Estimate and interval in points; with its unit if asked for."""
    shown = show_effect(verdict.effect)
    return Markdown(f"{shown} {verdict.claim.unit}") if shown and unit else shown


def show_loss(verdict: Verdict) -> str:
    """The secondary outcome in units of the loss, where lower is better."""
    loss = verdict.loss
    return f"{loss.estimate:+.3f} [{loss.low:+.3f}, {loss.high:+.3f}]".replace("-", "−")


def show_place(verdict: Verdict) -> str:
    """Where it was found: task and set, what is left of the settings, checkpoint."""
    words = verdict.group.name_set(verdict.evaluation_set), verdict.about, verdict.group.title_without_task
    return ", ".join(filter(None, words))


def show_claims(lines: Sequence[Line]) -> dict:
    """What a study says of its claims: the strongest evidence of each, the rest, and how they were tested."""
    told = [line for line in lines if line.verdicts]
    return {"first": [show_evidence(line, line.best, first=True) for line in told],
            "loss": [show_evidence(line, verdict, first=False) for line in told for verdict in line.verdicts if verdict.loss],
            "weaker": [show_evidence(line, verdict, first=False) for line in told for verdict in line.verdicts[1:]],
            "missing": [line for line in lines if not line.verdicts],
            "tests": [line.claim for line in lines]}
