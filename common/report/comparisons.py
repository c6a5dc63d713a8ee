"""The comparisons of exp_why_bs.py: which runs stand for each condition, at each batch size."""
import dataclasses
import math
from dataclasses import dataclass

from common.inputs.batches import count_training_rows
from common.report.results import Cell, Group, Results
from common.studies.conditions import ONE_AT_A_TIME
from common.studies.names import show_rate
from common.studies.study import Condition, find_best

STUDY = "why_bs"
AS_IS = f"{STUDY}.as_is"
PLAIN = "bs_mrpc"
"""The study of batch sizes, whose runs are those as is of the same settings."""
PUBLISHED = {"task": "MRPC", "epochs": 5, "peak_learning_rate": 2e-5}
LABELS = {"as_is": "as is", "dropout_0": "dropout 0", "same_steps": "as many steps", "linear": "rate in proportion",
          "sqrt": "rate by square root", "best_rate": "best rate of each"}
"""Condition -> how tables and figures call it."""


@dataclass(frozen=True)
class Comparison:
    """The conditions of one checkpoint, task and base settings."""

    group: Group
    """As is; its cells are those of every condition and of the search, each once."""
    lines: dict[str, dict[int, Cell]]
    """Condition -> batch size -> cell, where there is one."""
    names: dict[str, str]
    """Hash of a configuration -> how remarks call its cell."""

    @property
    def sizes(self) -> list[int]:
        return sorted(self.lines["as_is"])

    def name_cell(self, cell: Cell) -> str:
        return self.names[cell.config.hash]


def find_comparisons(results: Results) -> list[Comparison]:
    """Every checkpoint, task and base settings of the study.

    Runs as is are those of the study itself and those of exp_bs_mrpc.py, whatever other tasks and checkpoints have: without
    a run of any condition to compare with, the latter stand in their own section alone.
    """
    own, plain = results.studies.get(AS_IS, {}), results.studies.get(PLAIN, {})
    asked = {config: max(own.get(config, 0), plain.get(config, 0)) for config in own | plain}
    everything = dataclasses.replace(results, studies=results.studies | {AS_IS: asked})
    found = [_compare(everything, group) for group in everything.groups(AS_IS, ("batch_size",), PUBLISHED)]
    return [each for each in found if any(cell.config.hash in own for cell in each.lines["as_is"].values())
            or any(cells for name, cells in each.lines.items() if name != "as_is")]


def is_begun(results: Results) -> bool:
    return any(name.startswith(f"{STUDY}.") for name in results.studies)


def _compare(results: Results, group: Group) -> Comparison:
    found = {condition: _find_line(results, group, condition) for condition in ONE_AT_A_TIME}
    cells, names = {}, {}
    for condition, (line, tried) in found.items():
        for cell in (*line.values(), *tried):
            key = cell.config.hash
            cells[key] = max(cells.get(key, cell), cell, key=lambda each: each.asked)
            names.setdefault(key, _name(condition, cell, bool(tried)))
    return Comparison(dataclasses.replace(group, cells=tuple(cells.values())),
                      {condition.name: line for condition, (line, _) in found.items()}, names)


def _find_line(results: Results, group: Group, condition: Condition) -> tuple[dict[int, Cell], list[Cell]]:
    """Batch size -> cell of a condition; and the cells that its search has tried."""
    study, rows = f"{STUDY}.{condition.name}", group.sets["train"].row_count
    line, tried, unchanged = {}, [], {}
    for base in group.cells:
        size, limit = base.config.batch_size, base.config.limit_train or rows
        choice = condition.apply(base.config, count_training_rows(min(rows, limit), base.config.validation))
        candidates = [cell for config in choice if (cell := results.find_cell(f"{study}.search", config))]
        tried += candidates
        chosen = _find_best(candidates, len(choice), group.metric) if condition.search else choice[0]
        cell = chosen and results.find_cell(study, chosen)
        if cell:
            line[size] = cell
        if choice == [base.config]:
            unchanged[size] = base
    # Where a condition changes nothing its runs are those as is, whether or not they were asked for again.
    return (dict(sorted((unchanged | line).items())) if line else {}), tried


def _name(condition: Condition, cell: Cell, searched: bool) -> str:
    return (f"{LABELS[condition.name]}, batch {cell.config.batch_size}"
            + (f" at {show_rate(cell.config.peak_learning_rate)}" if searched else ""))


def _find_best(tried: list[Cell], choices: int, metric: str):
    """The configuration that the search has chosen; None while it is not done."""
    if len(tried) < choices:
        return None
    scores = {cell.config: [run.validation[metric][-1][1] if run.status == "done" and metric in run.validation else -math.inf
                            for run in cell.finished][:cell.asked] for cell in tried}
    return find_best(scores, max(cell.asked for cell in tried))
