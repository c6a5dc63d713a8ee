"""Does a smaller batch reach the better accuracy? The study of exp_bs_mrpc.py."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.report.judging.rules import AT_THE_FLOOR, Measured, Question, is_at_the_floor, judge_family
from common.report.judging.verdict import Verdict
from common.report.predictions import over_rows, read_correct
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
    x = [math.log2(cell.config.batch_size) for cell in cells for _ in cell.scored(evaluation_set)]
    effect = linear_trend(x, list_values(cells, evaluation_set))
    ends = sorted(cells, key=lambda cell: cell.config.batch_size)
    beside = Ends(welch(*(list_values([cell], evaluation_set) for cell in (ends[0], ends[-1]))) if len(ends) > 1 else None,
                  linear_trend([math.log2(cell.config.batch_size) for cell in cells for _ in cell.last_validation(group.metric)],
                               [value for cell in cells for value in cell.last_validation(group.metric)]))
    return Measured(tuple(cells), effect, AT_THE_FLOOR if is_at_the_floor(group, cells, evaluation_set) else "",
                gain=len(cells), loss=linear_trend(x, list_values(cells, evaluation_set, "loss")), details=beside,
                with_rows=slope_over_rows(group, cells, evaluation_set, effect, x, [0] * len(x)))


def list_values(cells: Sequence[Cell], evaluation_set: str, column: str = "score") -> list[float]:
    """A column of `evaluations` of every scored run, cell by cell; empty where any run lacks it."""
    values = [getattr(row, column) for cell in cells for row in cell.scored(evaluation_set)]
    return [] if any(value is None or not math.isfinite(value) for value in values) else values


def slope_over_rows(group: Group, cells: Sequence[Cell], evaluation_set: str, effect: Effect | None, x: Sequence[float],
                    levels: Sequence) -> Effect | None:
    """A least-squares slope with an interval over other rows, too; None where predictions were not kept.

    Args:
      x: of every scored run, cell by cell.
      levels: the group of runs of each, which has a level of its own.
    """
    cells = [cell for cell in cells if cell.scored(evaluation_set)]
    correct = [read_correct(group, cell, evaluation_set) for cell in cells]
    if effect is None or any(each is None for each in correct):
        return None
    weights = iter(slope_weights(x, levels))
    return over_rows(effect, [sum(next(weights) for _ in cell.scored(evaluation_set)) for cell in cells], correct)


def slope_weights(x: Sequence[float], levels: Sequence) -> list[float]:
    """Weights of the runs' values whose sum is the slope on x with a level of its own for each group of runs."""
    members = {level: [value for value, each in zip(x, levels, strict=True) if each == level] for level in levels}
    centered = [value - sum(members[level]) / len(members[level]) for value, level in zip(x, levels, strict=True)]
    spread = math.fsum(each * each for each in centered)
    return [each / spread for each in centered]
