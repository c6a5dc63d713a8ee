"""Do all runs lie on one curve of the noise scale, and does the best batch size grow with the rate? Every run of the store."""
import dataclasses
import itertools
import math
from collections.abc import Sequence

from common.report.judging.batch_size import list_values, measure_loss, slope_weights, weigh_cells
from common.report.judging.learning_rate import find_gap, measure_rectangle
from common.report.judging.rules import Measured, Question, judge_family
from common.report.judging.verdict import Verdict, because
from common.report.predictions import sum_over_rows
from common.report.protocol import CLAIMS
from common.report.results import Cell, Group, Results
from common.report.statistics import slope_within

ALL = "every run"
"""Stands for a study that holds all configurations of the store."""
VARIED = ("batch_size", "peak_learning_rate", "order", "vary", "seed")
PUBLISHED = {"task": "MRPC", "epochs": 5}
LEAST = 8
"""Fewest scored runs that are drawn and tested."""


def find_groups(results: Results) -> list[Group]:
    """Every run of a checkpoint and task that differs in batch size, rate, head or data order alone, whatever its study."""
    asked = {config: max((study.get(config, 0) for study in results.studies.values()), default=0) for config in results.configs}
    return dataclasses.replace(results, studies={ALL: asked}).groups(ALL, VARIED, PUBLISHED)


def is_testable(group: Group, evaluation_set: str) -> bool:
    """Whether there are runs enough, at two or more batch sizes and rates."""
    scored = [cell for cell in group.cells if cell.scored(evaluation_set)]
    return (sum(len(cell.scored(evaluation_set)) for cell in scored) >= LEAST
            and len({cell.config.batch_size for cell in scored}) > 1
            and len({cell.config.peak_learning_rate for cell in scored}) > 1)


def judge_noise_scale(group: Group) -> list[Verdict]:
    """The verdicts on every evaluation set of a group with runs enough."""
    return [verdict for name in group.evaluation_sets if is_testable(group, name) for verdict in judge_family(_ask(group, name))]


def _ask(group: Group, name: str) -> list[Question]:
    questions = [Question(CLAIMS[key], group, name, group.cells, 0,
                          lambda cells, power=power: measure_curve(group, cells, name, power))
                 for key, power in (("one_curve", 1), ("square_root", 1 / 2))]
    return [*questions, Question(CLAIMS["best_batch"], group, name, group.cells, 0,
                                 lambda cells: measure_rectangle(group, find_rectangle(cells, name), name))]


def measure_curve(group: Group, cells: Sequence[Cell], evaluation_set: str, power: float) -> Measured:
    """Slope of the score on log2 of the batch size among runs of equal rate / batch size to this power."""
    cells = [cell for cell in cells if cell.scored(evaluation_set)]
    runs = [cell for cell in cells for _ in cell.scored(evaluation_set)]
    scales, x = [find_scale(cell, power) for cell in runs], [math.log2(cell.config.batch_size) for cell in runs]
    effect = slope_within(scales, x, list_values(cells, evaluation_set)) if runs else None
    weights = weigh_cells(cells, evaluation_set, slope_weights(x, scales)) if effect else []
    gap = find_gap(group, cells, evaluation_set) or ("" if effect else because("no_shared_scale"))
    return Measured(tuple(cells), effect, gap,
                    gain=len(cells), loss=measure_loss(slope_within, scales, x, list_values(cells, evaluation_set, "loss")),
                    with_rows=sum_over_rows(group, cells, evaluation_set, effect, weights))


def find_scale(cell: Cell, power: float) -> int:
    """Number of the scale. Rates have two or three digits: scales that differ by less than 1 % are meant to be equal."""
    return round(math.log2(cell.config.peak_learning_rate / cell.config.batch_size ** power) * 50)


def find_rectangle(cells: Sequence[Cell], evaluation_set: str) -> list[Cell]:
    """The largest full rectangle of batch sizes and rates with two scored runs in each cell."""
    ready = {(cell.config.batch_size, cell.config.peak_learning_rate): cell for cell in merge(cells)
             if len(cell.scored(evaluation_set)) > 1}
    sizes, every = sorted({size for size, _ in ready}), sorted({rate for _, rate in ready})
    best: tuple = ((), [])
    for number in range(2, len(sizes) + 1):
        for chosen in itertools.combinations(sizes, number):
            rates = [rate for rate in every if all((size, rate) in ready for size in chosen)]
            if len(rates) > 1 and len(rates) * number > len(best[0]) * len(best[1]):
                best = (chosen, rates)
    return [ready[size, rate] for size in best[0] for rate in best[1]]


def merge(cells: Sequence[Cell]) -> list[Cell]:
    """Cells of one batch size and rate as one, whatever their data order."""
    merged: dict[tuple[int, float], Cell] = {}
    for cell in cells:
        key = cell.config.batch_size, cell.config.peak_learning_rate
        merged[key] = dataclasses.replace(merged[key], runs=merged[key].runs + cell.runs) if key in merged else cell
    return list(merged.values())
