"""The rules that all claims share: when runs are in, collapsed cells, the majority class, and from effects to outcomes."""
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.report.judging.verdict import Needed, Outcome, Verdict, because
from common.report.protocol import LEVEL, MOST_INSTANCES, POWER, SEEN_FIRST, SEEN_UNTIL, Claim, Rule
from common.report.results import Cell, Group, Run
from common.report.statistics import Effect, Spread, count_instances, count_levels, holm, p_against
from common.studies.names import show_rate


@dataclass(frozen=True)
class Measured:
    """What the test of one claim found over one choice of cells."""

    cells: tuple[Cell, ...]
    """Those whose scored runs it rests on, each once."""
    effect: Effect | None = None
    gap: str = ""
    """Why no outcome can be had from it, whatever the effect: `no cell has an interval above the majority class`."""
    p: float | None = None
    """p value of the test where it is not the effect's own."""
    inside: bool = True
    """`Rule.WINNER`: whether the winner is one of the named."""
    smallest: float | None = None
    """The smallest effect that matters where it follows from the runs."""
    gain: float = 1.0
    """Degrees of freedom that one more instance of each cell adds."""
    loss: Effect | None = None
    with_rows: Effect | None = None
    details: object = None

    @property
    def p_value(self) -> float | None:
        if self.effect is None:
            return self.p
        return self.effect.p if self.p is None else self.p


Measure = Callable[[tuple[Cell, ...]], Measured]
"""Tests a claim on the cells that are given: some of its own, or these with some of their runs."""


def name_cell(cell: Cell) -> str:
    return f"batch {cell.config.batch_size} at {show_rate(cell.config.peak_learning_rate)}"


@dataclass(frozen=True)
class Question:
    """A claim put to the runs of a group: which cells were planned, and how it is measured."""

    claim: Claim
    group: Group
    evaluation_set: str
    cells: tuple[Cell, ...]
    """All cells of the claim that the store knows, each once."""
    missing: int
    """Planned cells that the store does not know."""
    measure: Measure
    name_cell: Callable[[Cell], str] = name_cell

    @property
    def collapsed(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if is_collapsed(cell, self.evaluation_set))

    @property
    def not_collapsed(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if not is_collapsed(cell, self.evaluation_set))

    @property
    def planned(self) -> int:
        return self.missing * self.claim.instances + sum(max(self.wanted(cell), len(cell.ended)) for cell in self.cells)

    @property
    def is_complete(self) -> bool:
        return not self.missing and all(len(cell.ended) >= self.wanted(cell) for cell in self.cells)

    def wanted(self, cell: Cell) -> int:
        """Planned runs of a cell: the protocol's, or those that were asked for if they are more."""
        return max(self.claim.instances, cell.asked)


# -- cells that tell nothing

def find_floor(group: Group, evaluation_set: str) -> float | None:
    """The score that tells nothing of the model: the majority class's accuracy, 0 for a correlation; None where unknown."""
    return group.sets[evaluation_set].majority if group.metric == "accuracy" else 0.0


def has_majority(group: Group, evaluation_set: str) -> bool:
    """Whether the main metric is one that naming the majority class scores on."""
    return group.metric == "accuracy" and group.sets[evaluation_set].majority is not None


def is_above_floor(group: Group, cell: Cell, evaluation_set: str) -> bool:
    """Whether the whole interval of the mean lies above the score that tells nothing."""
    low, floor = cell.interval(evaluation_set).low, find_floor(group, evaluation_set)
    return low is not None and floor is not None and low > floor


def equals_majority(group: Group, cell: Cell, evaluation_set: str) -> bool:
    """Whether every score of a cell is the majority class's."""
    data, scored = group.sets[evaluation_set], cell.scored(evaluation_set)
    return bool(scored) and all(abs(row.score - data.majority) < 0.5 / data.row_count for row in scored)


def is_at_the_floor(group: Group, cells: Sequence[Cell], evaluation_set: str) -> bool:
    """Whether no cell has an interval above the score that tells nothing, so that nothing can be concluded."""
    return find_floor(group, evaluation_set) is not None and not any(
        is_above_floor(group, cell, evaluation_set) for cell in cells)


def is_collapsed(cell: Cell, evaluation_set: str) -> bool:
    """Whether every scored run predicts one class for every row."""
    scored = cell.scored(evaluation_set)
    return bool(scored) and all(row.collapsed for row in scored)


# -- from questions to verdicts

def judge_family(questions: Sequence[Question]) -> list[Verdict]:
    """Verdicts on claims that are tested on the same runs, corrected together.

    Every claim is tested with its collapsed cells and without them; outcomes that differ leave it undecided.
    """
    tests = [each.measure(each.cells) for each in questions]
    without = [each.measure(each.not_collapsed) if each.collapsed else test for each, test in zip(questions, tests, strict=True)]
    claims, level = [each.claim for each in questions], LEVEL / len(questions)
    return [_conclude(_describe(question, test, found), question, test, checked.outcome, level) for question, test, found, checked
            in zip(questions, tests, decide(claims, tests), decide(claims, without), strict=True)]


@dataclass(frozen=True)
class Decision:
    outcome: Outcome
    reason: str
    corrected: float | None


def decide(claims: Sequence[Claim], tests: Sequence[Measured]) -> list[Decision]:
    """The outcome of each claim of a family; a test without an effect counts as one with p = 1."""
    corrected = holm([1.0 if test.gap or test.p_value is None else test.p_value for test in tests])
    margins = holm([_margin(claim, test) for claim, test in zip(claims, tests, strict=True)])
    return [_decide(*each) for each in zip(claims, tests, corrected, margins, strict=True)]


def _margin(claim: Claim, test: Measured) -> float:
    """p value against the smallest effect that matters: for a direction in that direction, for equality on both sides."""
    if test.gap or test.effect is None or claim.rule not in (Rule.MORE, Rule.LESS, Rule.EQUAL):
        return 1.0
    ends = {Rule.MORE: (claim.smallest,), Rule.LESS: (-claim.smallest,), Rule.EQUAL: (claim.smallest, -claim.smallest)}
    inside = all(test.effect.estimate * end < end * end for end in ends[claim.rule])
    return max(p_against(test.effect, end) for end in ends[claim.rule]) if inside else 1.0


def _decide(claim: Claim, test: Measured, corrected: float, margin: float) -> Decision:
    if test.gap or test.p_value is None:
        return Decision(Outcome.UNDECIDED, test.gap or because("no_spread"), None)
    is_clear, is_small = corrected < LEVEL, margin < LEVEL
    undecided = because("undecided", rule=claim.rule)
    if claim.rule == Rule.EQUAL:
        outcome = Outcome.SUPPORTED if is_small else Outcome.CONTRADICTED if is_clear else Outcome.UNDECIDED
        return Decision(outcome, "" if outcome != Outcome.UNDECIDED else undecided, margin if is_small else corrected)
    agrees = _agrees(claim, test)
    if is_clear:
        return Decision(Outcome.SUPPORTED if agrees else Outcome.CONTRADICTED,
                        because("small") if agrees and is_small else "", corrected)
    if is_small:
        return Decision(Outcome.CONTRADICTED, because("excluded"), margin)
    return Decision(Outcome.UNDECIDED, undecided, corrected)


def _agrees(claim: Claim, test: Measured) -> bool:
    """Whether the estimate points the way of the claim."""
    if claim.rule == Rule.WINNER:
        return test.inside
    return test.effect is None or (test.effect.estimate < 0 if claim.rule == Rule.LESS else test.effect.estimate > 0)


def _describe(question: Question, test: Measured, found: Decision) -> Verdict:
    """The verdict as far as the test itself goes."""
    group, name = question.group, question.evaluation_set
    scored = [run for cell in test.cells for run in cell.scored_runs(name)]
    seen = sum(was_seen(run, group) for run in scored)
    return Verdict(question.claim, found.outcome, group, name, effect=test.effect, corrected=found.corrected,
                   with_rows=test.with_rows, loss=test.loss, scored=len(scored), planned=question.planned, seen=seen,
                   later=question.measure(leave_out_seen(question)).effect if 0 < seen < len(scored) else None,
                   reason=found.reason, collapsed=tuple(map(question.name_cell, question.collapsed)),
                   diverged=sum(len(cell.where_status("diverged")) for cell in question.cells), details=test.details)


def _conclude(verdict: Verdict, question: Question, test: Measured, checked: Outcome, level: float) -> Verdict:
    """The verdict after what all claims share: runs that are missing, collapsed cells, what would decide, other rows.

    Args:
      checked: the outcome without the collapsed cells.
      level: see `find_needed`.
    """
    if not question.is_complete:
        ended = sum(len(cell.ended) for cell in question.cells)
        reason = because("incomplete", ended=ended, planned=question.planned, scored=verdict.scored)
        return dataclasses.replace(verdict, outcome=Outcome.SO_FAR, corrected=None, reason=reason)
    if checked != verdict.outcome:
        reason = because("depends_on_collapsed", cells=verdict.collapsed)
        return dataclasses.replace(verdict, outcome=Outcome.UNDECIDED, reason=reason)
    if verdict.outcome == Outcome.UNDECIDED:
        return verdict if test.gap else dataclasses.replace(verdict, needed=find_needed(question, test, level))
    return dataclasses.replace(verdict, reason=verdict.reason or (because("other_rows") if _includes_0(test.with_rows) else ""))


def _includes_0(effect: Effect | None) -> bool:
    return effect is not None and effect.low <= 0 <= effect.high


def leave_out_seen(question: Question) -> tuple[Cell, ...]:
    """The question's cells with the runs that had not been looked at."""
    return tuple(dataclasses.replace(cell, runs=tuple(run for run in cell.runs if not was_seen(run, question.group)))
                 for cell in question.cells)


def was_seen(run: Run, group: Group) -> bool:
    """Whether somebody had looked at the run before the protocol was written."""
    return run.instance == 0 and group.task in SEEN_FIRST or (run.finished_at or "") < SEEN_UNTIL


# -- what would decide

def find_needed(question: Question, test: Measured, level: float) -> Needed | None:
    """Instances, runs and hours that see the smallest effect that matters; None where there is no spread to tell it from.

    Where the runs that are there were enough to see that effect, the true one lies between: half of it is to be seen then.

    Args:
      level: what Holm's correction asks of the smallest p value of the family.
    """
    smallest = test.smallest or question.claim.smallest
    count = _count_levels if question.claim.rule == Rule.FACTOR else _count_instances
    if not smallest or count == _count_instances and (test.effect is None or not test.effect.error):
        return None
    present = min(len(cell.scored(question.evaluation_set)) for cell in test.cells)
    instances = count(test, present, smallest, level)
    if instances is not None and instances <= present:
        smallest /= 2
        instances = count(test, present, smallest, level)
    return find_cost(question, smallest, instances, test.cells)


def _count_instances(test: Measured, present: int, size: float, level: float) -> int | None:
    return count_instances(Spread(test.effect, present, test.gain), size, level=level, power=POWER, most=MOST_INSTANCES)


def _count_levels(test: Measured, present: int, size: float, level: float) -> int | None:
    return count_levels(size, level=level, power=POWER, most=MOST_INSTANCES)


def find_cost(question: Question, smallest: float, instances: int | None, cells: Sequence[Cell]) -> Needed:
    """Runs and processor hours that bring every cell to so many instances; a crossed design grows by as many orders, too."""
    if instances is None:
        return Needed(smallest, None, None, None)
    more = [(max(0, instances - len(cell.scored(question.evaluation_set))), _mean_core_seconds(cell)) for cell in cells]
    if question.claim.rule == Rule.FACTOR:
        more += [(instances, more[0][1])] * max(0, instances - len(cells))
    hours = None if any(each is None for _, each in more) else sum(number * each for number, each in more) / 3600
    return Needed(smallest, instances, sum(number for number, _ in more), hours)


def _mean_core_seconds(cell: Cell) -> float | None:
    known = [run.core_seconds for run in cell.where_status("done") if run.core_seconds is not None]
    return sum(known) / len(known) if known else None
