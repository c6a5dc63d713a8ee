"""Why do small batches do better? Each condition of exp_why_bs.py takes one reason away."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.inputs.batches import count_training_rows
from common.report.comparisons import Comparison
from common.report.judging.batch_size import slope_weights
from common.report.judging.rules import Measured, Question, is_at_the_floor, judge_family
from common.report.judging.verdict import Verdict, because
from common.report.predictions import Search, SearchCheck, check_search, over_rows, read_correct, where_kept
from common.report.protocol import CLAIMS, Claim
from common.report.results import Cell, Group
from common.report.statistics import Effect, mean_effect, slope
from common.studies.conditions import BASE, ONE_AT_A_TIME
from common.studies.study import Condition

Line = dict[int, Cell]
"""Batch size -> cell of a condition."""


@dataclass(frozen=True)
class Finding:
    """What one condition says of its reason on one evaluation set."""

    condition: str
    sizes: list[int]
    """Batch sizes at which both conditions have the instances below."""
    instances: list[int]
    slopes: tuple[list[float], list[float]]
    """Of every instance: as is, and under the condition."""
    left: Effect | None
    """Slope under the condition minus half of that as is."""
    changes: tuple[float, float] | None
    """Mean change from as is, over the pairs, at the smallest and the largest batch size."""


def judge_reasons(comparison: Comparison) -> list[Verdict]:
    """The verdict on every reason, on every evaluation set of a comparison."""
    reasons = [condition for condition in ONE_AT_A_TIME if condition.name != "as_is"]
    return [verdict for name in comparison.group.evaluation_sets
            for verdict in judge_family([_ask(comparison, condition.name, name) for condition in reasons])]


def _ask(comparison: Comparison, condition: str, evaluation_set: str) -> Question:
    as_is, then = comparison.lines["as_is"], comparison.lines[condition]
    claim = CLAIMS[f"why_{condition}"]
    cells = {cell.config.hash: cell for cell in (*as_is.values(), *then.values())}

    def measure(chosen: tuple[Cell, ...]) -> Measured:
        return measure_reason(comparison.group, condition, _keep(as_is, chosen), _keep(then, chosen), evaluation_set)

    return Question(claim, comparison.group, evaluation_set, tuple(cells.values()), _count_missing(claim, as_is, then),
                    measure, comparison.name_cell)


def _keep(line: Line, cells: Sequence[Cell]) -> Line:
    kept = {cell.config.hash: cell for cell in cells}
    return {size: kept[cell.config.hash] for size, cell in line.items() if cell.config.hash in kept}


def _count_missing(claim: Claim, as_is: Line, then: Line) -> int:
    """Planned cells that are not in the store; at the base batch size a scaled condition is the cell as is."""
    sizes = {*claim.batch_sizes, *as_is}
    shared = 0 if claim.key in ("why_dropout_0", "why_best_rate") else int(BASE not in then)
    return len(sizes - set(as_is)) + len(sizes - set(then)) - shared


def measure_reason(group: Group, condition: str, as_is: Line, then: Line, evaluation_set: str) -> Measured:
    """Slope under the condition minus half of the slope as is, paired by instance."""
    finding = find_out(condition, as_is, then, evaluation_set)
    advantage = mean_effect(find_out("as_is", as_is, as_is, evaluation_set).slopes[0] or [0.0])
    used = [line[size] for line in (as_is, then) for size in finding.sizes]
    cells = tuple({cell.config.hash: cell for cell in used}.values())
    return Measured(cells, finding.left, _find_gap(group, as_is, advantage, finding, evaluation_set), details=finding,
                smallest=abs(advantage.estimate) / 4 if advantage else None,
                loss=find_out(condition, as_is, then, evaluation_set, "loss").left,
                with_rows=_over_rows(group, finding, as_is, then, evaluation_set))


def _find_gap(group: Group, as_is: Line, advantage: Effect | None, finding: Finding, evaluation_set: str) -> str:
    if is_at_the_floor(group, list(as_is.values()), evaluation_set):
        return because("at_the_floor_as_is")
    if advantage is None or finding.left is None:
        return because("no_spread")
    return because("nothing_to_explain") if advantage.high >= 0 else ""


def find_out(condition: str, as_is: Line, then: Line, evaluation_set: str, column: str = "score") -> Finding:
    """Slopes of the instances that both conditions have at every batch size that both have at all."""
    before, after = ({size: cell.scores(evaluation_set, column) for size, cell in cells.items()} for cells in (as_is, then))
    sizes = sorted(size for size in before if before[size] and after.get(size))
    if len(sizes) < 2:
        return Finding(condition, [], [], ([], []), None, None)
    instances = sorted(set.intersection(*(set(scores[size]) for scores in (before, after) for size in sizes)))
    logs = [math.log2(size) for size in sizes]
    slopes = tuple([slope(logs, [scores[size][number] for size in sizes]) for number in instances] for scores in (before, after))
    left = mean_effect([b - a / 2 for a, b in zip(*slopes, strict=True)]) if instances else None
    changes = tuple(sum(after[size][k] - before[size][k] for k in instances) / len(instances)
                    for size in (sizes[0], sizes[-1])) if instances else None
    return Finding(condition, sizes, instances, slopes, left, changes)


def _over_rows(group: Group, finding: Finding, as_is: Line, then: Line, evaluation_set: str) -> Effect | None:
    """The effect with an interval over other rows, too: what each row adds to it, for each instance that has all predictions."""
    lines = ((as_is, -1 / 2), (then, 1))
    kept = set(finding.instances).intersection(*(
        {run.instance for run in where_kept(line[size], evaluation_set)} for line, _ in lines for size in finding.sizes))
    if finding.left is None or not kept:
        return None
    logs = [math.log2(size) for size in finding.sizes]
    tables = [share * weight * correct for line, share in lines
              for weight, size in zip(slope_weights(logs, [0] * len(logs)), finding.sizes, strict=True)
              if (correct := _by_instance(group, line[size], evaluation_set, sorted(kept))) is not None]
    return over_rows(finding.left, [1], [sum(tables)]) if len(tables) == 2 * len(logs) else None


def _by_instance(group: Group, cell: Cell, evaluation_set: str, instances: Sequence[int]):
    """1 where right, of these instances in this order (runs x rows); None where that is not known."""
    correct = read_correct(group, cell, evaluation_set)
    places = {run.instance: place for place, run in enumerate(where_kept(cell, evaluation_set))}
    return None if correct is None else correct[[places[number] for number in instances]]


def check_searches(comparison: Comparison, evaluation_set: str) -> dict[int, SearchCheck]:
    """Batch size -> how well the validation split chose its best rate, where the search is done."""
    condition = next(each for each in ONE_AT_A_TIME if each.search)
    found = {size: check_search(comparison.group, _find_search(comparison, condition, size, chosen), evaluation_set)
             for size, chosen in comparison.lines[condition.name].items() if size in comparison.lines["as_is"]}
    return {size: check for size, check in found.items() if check}


def _find_search(comparison: Comparison, condition: Condition, size: int, chosen: Cell) -> Search:
    """The cells that the search of a batch size has tried."""
    base, rows = comparison.lines["as_is"][size].config, comparison.group.sets["train"].row_count
    used = min(rows, base.limit_train or rows)
    training = count_training_rows(used, base.validation)
    cells = {cell.config: cell for cell in comparison.group.cells}
    tried = tuple(cells[config] for config in condition.apply(base, training) if config in cells)
    return Search(tried, chosen, condition.search, used - training)
