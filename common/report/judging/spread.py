"""How much of the spread between runs comes from the head's initial values, and how much from data order?"""
from collections.abc import Sequence

from common.report.judging.rules import Measured, Question, equals_majority, has_majority, judge_family
from common.report.judging.verdict import Verdict, because
from common.report.protocol import CLAIMS
from common.report.results import Cell, Group
from common.report.statistics import cross
from common.studies.conditions import ORDERS

STUDY = "spread"
VARIED = ("order",)
PUBLISHED = {"task": "MRPC", "epochs": 5, "peak_learning_rate": 2e-5, "batch_size": 16}


def judge_spread(group: Group) -> list[Verdict]:
    """The verdict on both factors, on every evaluation set of a crossed design; `details` is the `Crossed` of both."""
    missing = max(0, ORDERS - len(group.cells))
    return [verdict for name in group.evaluation_sets for verdict in judge_family([
        Question(CLAIMS[f"spread_{part}"], group, name, group.cells, missing,
                 lambda cells, part=part, name=name: measure_factor(group, cells, name, part), name_order)
        for part in ("head", "order")])]


def name_order(cell: Cell) -> str:
    return f"order {cell.config.order}"


def measure_factor(group: Group, cells: Sequence[Cell], evaluation_set: str, part: str) -> Measured:
    """The F test of heads or orders over the table of scores."""
    heads, _, table = find_table(cells, evaluation_set)
    found = cross(table) if table else None
    scored = tuple(cell for cell in cells if cell.scored(evaluation_set))
    is_flat = has_majority(group, evaluation_set) and all(equals_majority(group, cell, evaluation_set) for cell in scored)
    if found is None or is_flat:
        return Measured(scored, gap=because("no_spread_crossed", heads=len(heads), orders=len(scored)))
    return Measured(scored, p=(found.rows if part == "head" else found.columns).p, details=found)


def find_table(cells: Sequence[Cell], evaluation_set: str) -> tuple[list[int], list[int], list[list[float]]]:
    """Heads, orders, and the score of every head with every order: the heads that are scored in all orders that have any."""
    scores = {cell.config.order: cell.scores(evaluation_set) for cell in cells if cell.scores(evaluation_set)}
    if not scores:
        return [], [], []
    heads = sorted(set.intersection(*map(set, scores.values())))
    return heads, list(scores), [[each[head] for each in scores.values()] for head in heads]
