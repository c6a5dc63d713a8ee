"""What the runs predicted, row by row: intervals over other rows, agreement between instances, and their ensemble.

Runs are on axis 0 and rows of the evaluation set on axis 1 of every array. Nothing here draws random numbers but
`check_search`, whose seed is fixed: the same store gives the same numbers.
"""
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from common.report.results import Cell, Digits, Group, Run
from common.report.statistics import CONFIDENCE, Effect, Interval, mean_interval, sampling_error

DRAWS = 2000
"""Validation splits that `check_search` draws."""


@dataclass(frozen=True)
class Agreement:
    """How far the runs of a cell predict the same, and what they reach together."""

    runs: int
    """Those whose predictions were kept."""
    rows: int
    churn: float
    """Share of the rows that two runs predict differently, mean over the pairs; 0 for a single run."""
    accuracy: float
    """Mean over the runs."""
    ensemble: float
    """Accuracy of the majority vote; of classes with equally many votes the lowest number wins."""
    no_run_right: int
    """Rows that no run gets right."""
    every_run_right: int


@dataclass(frozen=True)
class Search:
    """A choice that a validation split has made."""

    tried: tuple[Cell, ...]
    chosen: Cell
    instances: int
    """Of each candidate, whose mean decided."""
    rows: int
    """Of the validation split."""


@dataclass(frozen=True)
class SearchCheck:
    """How well a validation split chooses among candidates."""

    rows: int
    """Of the validation split."""
    error: float
    """Standard error of an accuracy on so many rows, at the chosen candidate's."""
    instances: int
    """Runs of each candidate whose mean was taken in the draws; 0 where predictions were not kept."""
    near: int
    """Other candidates whose validation score lies within one standard error of the chosen one's."""
    other: float | None
    """How often another split of that size would choose another candidate; None where predictions were not kept."""
    cost: float | None
    """Accuracy on the whole evaluation set that such choices lose on average against the best candidate there."""


# -- reading

def where_kept(cell: Cell, evaluation_set: str) -> list[Run]:
    """Scored runs whose predicted classes were kept; a run from before they were, or of a regression, has none."""
    kept = [run for run in cell.scored_runs(evaluation_set) if evaluation_set in run.outputs]
    return [run for run in kept if run.outputs[evaluation_set].width == 1]


def read_predictions(cell: Cell, evaluation_set: str):
    """Class numbers of the runs `where_kept` (runs x rows); None where there are none, or not of equally many rows."""
    import numpy as np

    kept = [run.outputs[evaluation_set] for run in where_kept(cell, evaluation_set)]
    return None if len({len(each.content) for each in kept}) != 1 else np.stack([_to_numbers(each) for each in kept])


def read_labels(group: Group, evaluation_set: str):
    """Class numbers as an array (rows); None where they were not kept or are no classes."""
    kept = group.labels.get(evaluation_set)
    return None if kept is None or kept.width != 1 else _to_numbers(kept)


def read_correct(group: Group, cell: Cell, evaluation_set: str):
    """1 where a run is right, else 0, of the runs `where_kept` (runs x rows); None where that is not known."""
    predicted, labels = read_predictions(cell, evaluation_set), read_labels(group, evaluation_set)
    if predicted is None or labels is None or predicted.shape[1] != len(labels):
        return None
    return (predicted == labels).astype(float)


def _to_numbers(digits: Digits):
    import numpy as np

    return np.frombuffer(bytes(digits.content), np.uint8) - ord("0")


# -- two sources of chance

def over_rows(effect: Effect, weights: Sequence[float], values: Sequence) -> Effect:
    """The same effect with an interval over other runs and other rows together; it is never narrower than over runs alone.

    The estimate is a weighted sum of the cells' means over runs and rows. With runs and rows as crossed random factors its
    variance is that over runs (the effect's own) plus that over rows, less their interaction, which both contain: the method
    of moments for the two-way layout, Searle, Casella, McCulloch, "Variance Components", chapter 4. The half widths of the two
    parts add up by their squares, each with its own degrees of freedom: Zou and Donner 2008, Statistics in Medicine 27.

    Args:
      effect: the estimate, with its error over runs.
      weights: of the cells' means in the estimate.
      values: an array (runs x rows) for each cell: 1 where right, or any value whose mean over rows is what was tested. Runs
        may be missing; the variance over rows is estimated from those that are there.
    """
    from scipy.special import stdtrit

    rows = values[0].shape[1]
    shared = sum(weight ** 2 / len(table) * _interaction(table) / rows for weight, table in zip(weights, values, strict=True))
    by_row = sum(weight * table.mean(axis=0) for weight, table in zip(weights, values, strict=True))
    of_rows = max(0.0, float(by_row.var(ddof=1)) / rows - shared)

    def half(p: float) -> float:
        return math.hypot(float(stdtrit(effect.degrees, p / 2)) * effect.error,
                          float(stdtrit(rows - 1, p / 2)) * math.sqrt(of_rows))

    width = half(1 - CONFIDENCE)
    return Effect(effect.estimate, effect.estimate - width, effect.estimate + width, _find_p(half, abs(effect.estimate)),
                  effect.n, math.hypot(effect.error, math.sqrt(of_rows)))


def _find_p(half: Callable[[float], float], distance: float) -> float:
    """The p value at which an interval of this half width reaches so far, by bisection of its logarithm."""
    low, high = -700.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if half(math.exp(middle)) < distance else (middle, high)
    return math.exp(high)


def sum_over_rows(group: Group, cells: Sequence[Cell], evaluation_set: str, effect: Effect | None,
                  weights: Sequence[float]) -> Effect | None:
    """`over_rows` for a weighted sum of the scores' means of these cells; None where a cell has no kept predictions."""
    correct = [read_correct(group, cell, evaluation_set) for cell in cells]
    return None if effect is None or any(each is None for each in correct) else over_rows(effect, weights, correct)


def mean_over_rows(group: Group, cell: Cell, evaluation_set: str) -> Interval | None:
    """Mean accuracy of a cell with its interval over other instances and other rows; None where predictions were not kept."""
    correct = read_correct(group, cell, evaluation_set)
    scores = [row.accuracy for row in cell.scored(evaluation_set) if row.accuracy is not None]
    if correct is None or len(scores) < 2:
        return None
    interval = mean_interval(scores)
    effect = Effect(interval.mean, interval.low, interval.high, 0.0, len(scores), _error(scores), len(scores) - 1)
    both = over_rows(effect, [1], [correct])
    return Interval(both.estimate, both.low, both.high, len(scores))


def _interaction(table) -> float:
    """Mean square of what runs and rows do not add up to; 0 for a single run, where it cannot be told apart."""
    runs, rows = table.shape
    if runs < 2:
        return 0.0
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    return float((left ** 2).sum()) / ((runs - 1) * (rows - 1))


def _error(values: Sequence[float]) -> float:
    return math.sqrt(variance(values) / len(values))


# -- agreement

def measure_agreement(group: Group, cell: Cell, evaluation_set: str) -> Agreement | None:
    """Churn, ensemble and hard rows of a cell; None where its predictions or the labels were not kept."""
    import numpy as np

    predicted = read_predictions(cell, evaluation_set)
    labels = read_labels(group, evaluation_set)
    if predicted is None or labels is None or predicted.shape[1] != len(labels):
        return None
    correct = predicted == labels
    return Agreement(len(predicted), len(labels), measure_churn(predicted), float(correct.mean()),
                     float(np.mean(vote(predicted) == labels)), int((~correct.any(axis=0)).sum()), int(correct.all(axis=0).sum()))


def measure_churn(predicted) -> float:
    """Share of the rows that two runs predict differently, mean over all pairs of runs; 0 for a single run."""
    pairs = [(a, b) for a in range(len(predicted)) for b in range(a)]
    return sum(float((predicted[a] != predicted[b]).mean()) for a, b in pairs) / len(pairs) if pairs else 0.0


def vote(predicted):
    """The class with the most votes for each row; of classes with equally many the lowest number."""
    import numpy as np

    votes = np.stack([(predicted == number).sum(axis=0) for number in range(int(predicted.max()) + 1)])
    return votes.argmax(axis=0)


# -- the search for the best rate

def check_search(group: Group, search: Search, evaluation_set: str) -> SearchCheck | None:
    """What a validation split of that size can choose among these candidates; None where the chosen has no score.

    Other splits are drawn from the rows of the evaluation set, without replacement, and scored by what the same runs predicted
    there; each candidate's score is the mean over as many instances as the search took, or as predictions were kept of.
    """
    scored, rows = [row.accuracy for row in search.chosen.scored(evaluation_set) if row.accuracy is not None], search.rows
    if not scored or rows < 1:
        return None
    error = sampling_error(sum(scored) / len(scored), rows)
    near = _count_near(search, group.metric, error)
    correct = [read_correct(group, cell, evaluation_set) for cell in search.tried]
    if any(each is None or each.shape[1] < rows for each in correct):
        return SearchCheck(rows, error, 0, near, None, None)
    used = min(search.instances, *map(len, correct))
    place = [cell.config for cell in search.tried].index(search.chosen.config)
    return SearchCheck(rows, error, used, near, *_draw_splits([each[:used].mean(axis=0) for each in correct], place, rows))


def _count_near(search: Search, metric: str, error: float) -> int:
    means = {cell.config: fmean(values) for cell in search.tried
             if (values := cell.last_validation(metric)[:search.instances])}
    top = means.pop(search.chosen.config, -math.inf)
    return sum(top - mean <= error for mean in means.values())


def _draw_splits(means: Sequence, place: int, rows: int) -> tuple[float, float]:
    """How often a draw of so many rows chooses another candidate than this one, and what the choices cost on average."""
    import numpy as np

    table, random = np.stack(means), np.random.default_rng(0)
    overall = table.mean(axis=1)
    choices = np.array([table[:, random.choice(table.shape[1], rows, replace=False)].mean(axis=1).argmax()
                        for _ in range(DRAWS)])
    return float((choices != place).mean()), float((overall.max() - overall[choices]).mean())
