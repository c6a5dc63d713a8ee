"""Which rate is best, does it move with the batch size, and which batch size wins then? The study of exp_lr_mnli.py."""
import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from common.report.judging.batch_size import list_values
from common.report.judging.rules import Measured, Question, is_at_the_floor, judge_family
from common.report.judging.verdict import Verdict, because
from common.report.predictions import sum_over_rows
from common.report.protocol import CLAIMS, Claim
from common.report.published import MNLI_BEST_RATES
from common.report.results import Cell, Group
from common.report.statistics import contrast, mean_interval, welch

STUDY = "lr_mnli"
VARIED = ("batch_size", "peak_learning_rate")
PUBLISHED = {"task": "MNLI", "epochs": 5}


@dataclass(frozen=True)
class Ranking:
    """The cells of a batch size, the highest mean first."""

    cells: tuple[Cell, ...]
    named: tuple[float, ...]
    """The rates that the claim names."""


@dataclass(frozen=True)
class Rectangle:
    """Batch sizes, and the rates at which all of them have two scored runs."""

    sizes: tuple[int, ...]
    rates: tuple[float, ...]


@dataclass(frozen=True)
class Chosen:
    """The cells that the validation split chose, one for each of the two batch sizes."""

    smallest: Cell
    largest: Cell


def judge_rates(group: Group) -> list[Verdict]:
    """The verdicts on every evaluation set of a group that varies batch size and rate."""
    return [verdict for name in group.evaluation_sets for verdict in judge_family(_ask(group, name))]


def _ask(group: Group, name: str) -> list[Question]:
    sizes = sorted({cell.config.batch_size for cell in group.cells})
    questions = [Question(CLAIMS[f"best_rate_{size}"], group, name, _of_size(group.cells, size),
                          _count_missing(CLAIMS[f"best_rate_{size}"], group, (size,)),
                          lambda cells, size=size: measure_best(group, cells, name, MNLI_BEST_RATES[size]))
                 for size in sizes if size in MNLI_BEST_RATES]
    for key, measure in (("shift", measure_shift), ("best_accuracy", measure_best_accuracy)):
        claim = CLAIMS[key]
        questions.append(Question(claim, group, name, group.cells, _count_missing(claim, group, claim.batch_sizes),
                                  lambda cells, measure=measure: measure(group, cells, name)))
    return questions


def _of_size(cells: Sequence[Cell], size: int) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if cell.config.batch_size == size)


def _count_missing(claim: Claim, group: Group, sizes: Sequence[int]) -> int:
    there = {(cell.config.batch_size, cell.config.peak_learning_rate) for cell in group.cells}
    return len({(size, rate) for size in sizes for rate in claim.rates} - there)


def find_gap(group: Group, cells: Sequence[Cell], evaluation_set: str) -> str:
    return because("at_the_floor") if is_at_the_floor(group, cells, evaluation_set) else ""


# -- the best rate

def measure_best(group: Group, cells: Sequence[Cell], evaluation_set: str, named: tuple[float, ...]) -> Measured:
    """The best rate against every rate of the other side; the comparison whose interval reaches lowest is the effect."""
    ranked = sorted((cell for cell in cells if cell.scored(evaluation_set)),
                    key=lambda cell: -cell.interval(evaluation_set).mean)
    details = Ranking(tuple(ranked), named)
    sides = Counter(cell.config.peak_learning_rate in named for cell in ranked)
    if len(sides) < 2:
        return Measured(tuple(ranked), gap=because("one_side"), details=details)
    inside = ranked[0].config.peak_learning_rate in named
    others = [cell for cell in ranked if (cell.config.peak_learning_rate in named) != inside]
    effects = [welch(list_values([ranked[0]], evaluation_set), list_values([other], evaluation_set)) for other in others]
    if None in effects:
        return Measured(tuple(ranked), details=details)
    _, rival = min(zip(effects, others, strict=True), key=lambda pair: pair[0].low)
    return dataclasses.replace(measure_contrast(group, (ranked[0], rival), evaluation_set, (1, -1)), cells=tuple(ranked),
                               gap=find_gap(group, cells, evaluation_set), inside=inside, details=details,
                               p=min(1.0, max(effect.p for effect in effects) * sides[inside]))


def measure_contrast(group: Group, cells: Sequence[Cell], evaluation_set: str, weights: Sequence[float]) -> Measured:
    """A weighted sum of the cells' means against 0."""
    effect = contrast([list_values([cell], evaluation_set) for cell in cells], weights)
    fewest = min(len(cell.scored(evaluation_set)) for cell in cells)
    return Measured(tuple(cells), effect, find_gap(group, cells, evaluation_set),
                    gain=effect.degrees / (fewest - 1) if effect else 1.0,
                    loss=contrast([list_values([cell], evaluation_set, "loss") for cell in cells], weights),
                    with_rows=sum_over_rows(group, cells, evaluation_set, effect, weights))


# -- the shift

def measure_shift(group: Group, cells: Sequence[Cell], evaluation_set: str) -> Measured:
    """Interaction of log2 batch size and log2 rate over the rates at which every batch size has two scored runs."""
    sizes = sorted({cell.config.batch_size for cell in cells})
    ready = [cell for cell in cells if len(cell.scored(evaluation_set)) > 1]
    often = Counter(cell.config.peak_learning_rate for cell in ready)
    rates = sorted(rate for rate, number in often.items() if number == len(sizes))
    return measure_rectangle(group, [cell for cell in ready if cell.config.peak_learning_rate in rates], evaluation_set)


def measure_rectangle(group: Group, cells: Sequence[Cell], evaluation_set: str) -> Measured:
    """The interaction over a full rectangle of cells, by batch size and rate."""
    sizes = sorted({cell.config.batch_size for cell in cells})
    rates = sorted({cell.config.peak_learning_rate for cell in cells})
    cells = sorted(cells, key=lambda cell: (cell.config.batch_size, cell.config.peak_learning_rate))
    details = Rectangle(tuple(sizes), tuple(rates))
    if len(sizes) < 2 or len(rates) < 2:
        return Measured(tuple(cells), details=details)
    return dataclasses.replace(measure_contrast(group, cells, evaluation_set, interaction_weights(sizes, rates)), details=details)


def interaction_weights(sizes: Sequence[float], rates: Sequence[float]) -> list[float]:
    """Weights of the cells' means, by size and then rate, whose sum is the least-squares interaction of the logarithms."""
    return [a * b for a in _slope_weights(sizes) for b in _slope_weights(rates)]


def _slope_weights(places: Sequence[float]) -> list[float]:
    logs = [math.log2(place) for place in places]
    mean = math.fsum(logs) / len(logs)
    spread = math.fsum((each - mean) ** 2 for each in logs)
    return [(each - mean) / spread for each in logs]


# -- the better batch size

def measure_best_accuracy(group: Group, cells: Sequence[Cell], evaluation_set: str) -> Measured:
    """Smallest minus largest batch size, each at the rate that its validation scores choose."""
    sizes = sorted({cell.config.batch_size for cell in cells})
    chosen = [choose_by_validation(_of_size(cells, size), group.metric) for size in sizes[:1] + sizes[1:][-1:]]
    if len(chosen) < 2 or None in chosen:
        return Measured(())
    return dataclasses.replace(measure_contrast(group, chosen, evaluation_set, (1, -1)), details=Chosen(*chosen))


def choose_by_validation(cells: Sequence[Cell], metric: str) -> Cell | None:
    """The cell of the highest mean validation score after the last epoch, of equal ones the lowest rate; None without any."""
    means = [(mean_interval(cell.last_validation(metric)).mean, -cell.config.peak_learning_rate, cell) for cell in cells
             if cell.last_validation(metric)]
    return max(means, key=lambda each: each[:2])[2] if means else None
