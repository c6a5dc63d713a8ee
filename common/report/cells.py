"""How the studies show a cell: its columns in their tables, its place in their figures."""
import re

from common.report import figures
from common.report.page import MISSING
from common.report.results import Cell, Group
from common.report.statistics import mean_interval
from common.studies.names import show_seconds

METRICS = {"accuracy": "accuracy, %", "matthews": "Matthews correlation x 100", "pearson": "Pearson correlation x 100",
           "spearman": "Spearman correlation x 100"}
"""Main metric -> how a table or an axis calls it."""


def show_n(cell: Cell, evaluation_set: str) -> str:
    return f"{len(cell.scored(evaluation_set))} of {cell.wanted}"


def show_time(cell: Cell) -> str:
    """Mean training time of a run."""
    return MISSING if cell.training_seconds is None else show_seconds(cell.training_seconds)


def to_column(cell: Cell, evaluation_set: str, x: float | None = None, zero: float = 0.0) -> figures.Column:
    """The runs of a cell for a figure, in points above `zero`, at its batch size or at `x`."""
    scored = [(100 * (row.score - zero), row.collapsed) for row in cell.scored(evaluation_set)]
    return figures.Column(x=cell.config.batch_size if x is None else x,
                          scores=[score for score, collapsed in scored if not collapsed],
                          collapsed=[score for score, collapsed in scored if collapsed],
                          interval=mean_interval([score for score, _ in scored]),
                          diverged=len(cell.where_status("diverged")))


def name_file(study: str, group: Group, what: str) -> str:
    """File name of a figure: the group's digest tells it apart, the words are for people."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{group.checkpoint.name[:40]} {what}".lower()).strip("-")
    return f"{study}-{group.id}-{words}.png"
