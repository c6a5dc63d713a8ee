"""How the studies show a cell: its scores and its cost in their tables, its place in their figures."""
import re
from collections.abc import Sequence

from common.report import figures
from common.report.page import Markdown, show_number, show_scores
from common.report.results import Cell, Group
from common.report.statistics import mean_interval

METRICS = {"accuracy": "accuracy, %", "matthews": "Matthews correlation x 100", "pearson": "Pearson correlation x 100",
           "spearman": "Spearman correlation x 100"}
"""Main metric -> how a table or an axis calls it."""
WALL = "†"
"""Marks a cost that is the clock's, of runs from before processor time was recorded."""


def show_cell(cell: Cell, evaluation_set: str, *notes: str) -> Markdown:
    """Scores of a cell's runs, with how many collapsed or diverged: `78.4 ± 0.6 (n = 4)`."""
    shown = show_scores([row.score for row in cell.scored(evaluation_set)], cell.wanted)
    counts = {"collapsed": cell.count_collapsed(evaluation_set), "diverged": len(cell.where_status("diverged"))}
    words = [*notes, *(f"{number} {what}" for what, number in counts.items() if number)]
    return Markdown(shown[:-1] + "".join(f", {word}" for word in words) + ")")


def show_f1(cell: Cell, evaluation_set: str) -> str | None:
    """F1 of a cell's runs, times 100; None where there is none."""
    interval = cell.interval(evaluation_set, "f1")
    if not interval.n:
        return None
    values = [row.f1 for row in cell.scored(evaluation_set) if row.f1 is not None]
    return show_scores(values, len(values)).rsplit(" (", 1)[0]


def show_cost(cell: Cell) -> tuple[str | None, str | None]:
    """Examples trained for each second of processor time, and core-minutes of a run: means over the runs.

    Where a run has no processor time, its training time by the clock times its threads replaces it, and is marked.
    """
    runs = [run for run in cell.where_status("done") if run.core_seconds is not None]
    if not runs:
        return None, None
    mark = WALL if any(run.cpu_seconds is None for run in runs) else ""
    mean = sum(run.core_seconds for run in runs) / len(runs) / 60
    speed = cell.steps * cell.config.batch_size / (60 * mean) if cell.steps and mean else None
    return None if speed is None else f"{speed:.0f}{mark}", show_number(mean) + mark


def to_column(cell: Cell, evaluation_set: str, x: float | None = None, zero: float = 0.0) -> figures.Column:
    """The runs of a cell for a figure, in points above `zero`, at its batch size or at `x`."""
    scored = [(100 * (row.score - zero), row.collapsed) for row in cell.scored(evaluation_set)]
    return figures.Column(x=cell.config.batch_size if x is None else x, batch_size=cell.config.batch_size,
                          scores=[score for score, collapsed in scored if not collapsed],
                          collapsed=[score for score, collapsed in scored if collapsed],
                          interval=mean_interval([score for score, _ in scored]),
                          diverged=len(cell.where_status("diverged")))


def list_numbers(cells: Sequence[Cell], evaluation_set: str) -> Markdown:
    """Scored runs of each cell, for a caption; one number where all are equal."""
    numbers = [len(cell.scored(evaluation_set)) for cell in cells]
    if len(set(numbers)) == 1:
        return Markdown(f"{numbers[0]} at each place")
    return Markdown(", ".join(map(str, numbers)) + " from left to right")


def name_file(study: str, group: Group, what: str) -> str:
    """File name of a figure: the group's digest tells it apart, the words are for people."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{group.checkpoint.name[:40]} {what}".lower()).strip("-")
    return f"{study}-{group.id}-{words}.png"


