"""The vocabulary of the report: outcome, what would decide, verdict."""
from dataclasses import dataclass
from enum import StrEnum

from common.report.protocol import Claim
from common.report.results import Group
from common.report.statistics import Effect
from common.report.templates import say


def because(reason: str, **values) -> str:
    """A reason in words: a block of sections/reasons.md.j2."""
    return str(say(reason, file="reasons", plain=True, **values))


class Outcome(StrEnum):
    """What the runs say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    """The planned runs are in, and they cannot tell."""
    SO_FAR = "so far"
    """The planned runs are not all in: there is an estimate, and no verdict."""


@dataclass(frozen=True)
class Needed:
    """What would decide an undecided claim: runs enough to see the smallest effect that matters with 80 % power.

    It speaks of more instances on the same rows; they do not make the evaluation set larger.
    """

    smallest: float
    """The effect to be seen, in the unit of the verdict, as a share like its effect."""
    instances: int | None
    """Runs of each cell; None: more than `protocol.MOST_INSTANCES`, so a larger evaluation set or another task is the way."""
    runs: int | None
    """Runs to train beside those that are there; None like `instances`."""
    core_hours: float | None
    """Processor hours of those runs, from the mean time of each cell; None where no time is known, or like `instances`."""


@dataclass(frozen=True)
class Verdict:
    """What the runs of one group say of one claim on one evaluation set."""

    claim: Claim
    outcome: Outcome
    group: Group
    """Checkpoint, task and settings that it is about."""
    evaluation_set: str
    about: str = ""
    """Which part of the group it is about where there are several verdicts on one claim: `Google's search`."""
    effect: Effect | None = None
    """In shares (0.01: one point) with an interval over instances on the same rows; its unit is the claim's. Its p value is not
    corrected. None: nothing to estimate, or an outcome that rests on no estimate (CoLA, variance components)."""
    corrected: float | None = None
    """p value of the test after Holm's correction within the claim's family; None without a test, and while it is so far."""
    with_rows: Effect | None = None
    """The same estimate with an interval over other instances and other rows; None where predictions were not kept."""
    loss: Effect | None = None
    """The secondary outcome: the same test on the loss of the evaluation set, where lower is better. It decides nothing."""
    scored: int = 0
    """Runs with a score that the test rests on."""
    planned: int = 0
    """Runs planned for it, by the protocol or by a user who asked for more."""
    seen: int = 0
    """Scored runs that had been looked at before the protocol was written."""
    later: Effect | None = None
    """The same estimate from the other runs alone, where some but not all had been looked at; None, too, where they are few."""
    reason: str = ""
    """One plain sentence without Markdown: why it is undecided or so far; else what the verdict rests on, or nothing."""
    needed: Needed | None = None
    """What would decide it, where it is undecided and more runs would."""
    collapsed: tuple[str, ...] = ()
    """Names of the cells of the test in which every scored run is collapsed: `batch 2 at 3.2e-4`."""
    diverged: int = 0
    """Runs of its cells that diverged, so have no score."""
    details: object = None
    """What the section shows beside it: a dataclass of the claim's module (slopes, ranking, rectangle, components)."""

    @property
    def anchor(self) -> str:
        """Where the page shows the claim."""
        return f"claim-{self.claim.key.replace('_', '-')}"

    @property
    def is_negligible(self) -> bool:
        """Whether it contradicts the claim because there is no effect that matters, not because the opposite holds."""
        return self.outcome == Outcome.CONTRADICTED and self.reason == because("excluded")
