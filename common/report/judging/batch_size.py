"""Does a smaller batch reach the better accuracy? The study of exp_bs_mrpc.py."""
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.report.judging.rules import Measured, Question, is_at_the_floor, judge_family
from common.report.judging.verdict import Verdict, because
from common.report.predictions import sum_over_rows
from common.report.protocol import CLAIMS
from common.report.results import Cell, Group
from common.report.statistics import Effect, linear_trend, welch

STUDY = "bs_mrpc"
VARIED = ("batch_size",)
PUBLISHED = {"task": "MRPC", "epochs": 5, "peak_learning_rate": 2e-5}


@dataclass(frozen=True)
class Ends:
    """Beside the slope; decides nothing."""

    difference: Effect | None
    """Smallest minus largest batch size, Welch's test."""
    validation: Effect | None
    """The slope of the validation score after the last epoch."""


def judge_batch_size(group: Group) -> list[Verdict]:
    """The verdict on every evaluation set of a group that varies the batch size alone."""
    claim = CLAIMS["batch_size"]
    missing = len(set(claim.batch_sizes) - {cell.config.batch_size for cell in group.cells})
    return [verdict for name in group.evaluation_sets for verdict in judge_family([Question(
        claim, group, name, group.cells, missing, lambda cells, name=name: measure_slope(group, cells, name))])]


def measure_slope(group: Group, cells: Sequence[Cell], evaluation_set: str) -> Measured:
    """Slope of the score on log2 of the batch size over all runs."""
    cells = sorted((cell for cell in cells if cell.scored(evaluation_set)), key=lambda cell: cell.config.batch_size)
    x = [math.log2(cell.config.batch_size) for cell in cells for _ in cell.scored(evaluation_set)]
    effect = linear_trend(x, list_values(cells, evaluation_set))
    weights = weigh_cells(cells, evaluation_set, slope_weights(x, [0] * len(x))) if effect else []
    return Measured(tuple(cells), effect, because("at_the_floor") if is_at_the_floor(group, cells, evaluation_set) else "",
                    gain=len(cells), loss=measure_loss(linear_trend, x, list_values(cells, evaluation_set, "loss")),
                    with_rows=sum_over_rows(group, cells, evaluation_set, effect, weights),
                    details=_measure_ends(group, cells, evaluation_set))


def measure_loss(test: Callable[..., Effect | None], *arguments) -> Effect | None:
    """The same test on the loss; None where a run has none."""
    return test(*arguments) if all(arguments) else None


def _measure_ends(group: Group, cells: Sequence[Cell], evaluation_set: str) -> Ends:
    ends = [list_values([cell], evaluation_set) for cell in (*cells[:1], *cells[1:][-1:])]
    validation = [(math.log2(cell.config.batch_size), value) for cell in cells for value in cell.last_validation(group.metric)]
    return Ends(welch(*ends) if len(ends) == 2 else None,
                linear_trend([x for x, _ in validation], [value for _, value in validation]))


def list_values(cells: Sequence[Cell], evaluation_set: str, column: str = "score") -> list[float]:
    """A column of `evaluations` of every scored run, cell by cell; empty where any run lacks it."""
    values = [getattr(row, column) for cell in cells for row in cell.scored(evaluation_set)]
    return [] if any(value is None or not math.isfinite(value) for value in values) else values


def weigh_cells(cells: Sequence[Cell], evaluation_set: str, weights: Sequence[float]) -> list[float]:
    """The weight of every cell's mean, from those of its scored runs, cell by cell."""
    each = iter(weights)
    return [sum(next(each) for _ in cell.scored(evaluation_set)) for cell in cells]


def slope_weights(x: Sequence[float], levels: Sequence) -> list[float]:
    """Weights of the runs' values whose sum is the slope on x with a level of its own for each group of runs."""
    members = {level: [value for value, each in zip(x, levels, strict=True) if each == level] for level in levels}
    centered = [value - sum(members[level]) / len(members[level]) for value, level in zip(x, levels, strict=True)]
    spread = math.fsum(each * each for each in centered)
    return [each / spread for each in centered]
