"""What the runs predicted, row by row: other rows, agreement, ensembles, and what a validation split can choose."""
from collections.abc import Iterator
from statistics import fmean

from common.report.claims import Line
from common.report.comparisons import Comparison, find_comparisons
from common.report.judging.noise_scale import find_groups
from common.report.judging.reasons import check_searches
from common.report.judging.rules import is_collapsed, name_cell
from common.report.page import FEWEST, Markdown, Page, show_mean, show_number, show_percent, show_points
from common.report.predictions import Agreement, SearchCheck, mean_over_rows, measure_agreement
from common.report.results import Cell, Group, Results
from common.report.sections import from_strongest
from common.report.templates import render
from common.studies.names import show_rate


def write(page: Page, results: Results, claims: dict[str, Line]) -> Markdown:
    """The whole section; one line where no two runs of a cell have predictions."""
    places = [(group, name, list_agreements(group, name)) for group in from_strongest(find_groups(results))
              for name in group.evaluation_sets]
    searches = [row for comparison in find_comparisons(results) for row in list_searches(comparison)]
    return render("rows", places=[_describe(*place) for place in places if place[2]], searches=searches)


def list_agreements(group: Group, evaluation_set: str) -> list[tuple[Cell, Agreement]]:
    """Cells of which two runs or more have predictions."""
    found = [(cell, measure_agreement(group, cell, evaluation_set)) for cell in group.cells]
    return [(cell, each) for cell, each in found if each is not None and each.runs > 1]


def _describe(group: Group, evaluation_set: str, found: list[tuple[Cell, Agreement]]) -> dict:
    churn, rows = [each.churn for _, each in found], found[0][1].rows
    gains = [each.ensemble - each.accuracy for _, each in found if each.runs >= FEWEST]
    return {"group": group, "set": evaluation_set, "rows": rows, "cells": len(found),
            "churn": Markdown(" to ".join(dict.fromkeys(map(show_percent, (min(churn), max(churn)))))),
            "gain": show_points(fmean(gains)) if gains else None, "each": [_show(group, evaluation_set, *pair) for pair in found]}


def _show(group: Group, evaluation_set: str, cell: Cell, found: Agreement) -> dict:
    both = mean_over_rows(group, cell, evaluation_set)
    order = f", order {cell.config.order}" if cell.config.order else ""
    is_enough = found.runs >= FEWEST
    return {"cell": name_cell(cell) + order, "runs": found.runs, "churn": show_percent(found.churn),
            "accuracy": Markdown(show_mean([row.accuracy for row in cell.scored(evaluation_set)])),
            "both": Markdown(f"± {show_percent(both.half)}") if both and both.n >= FEWEST else None,
            "ensemble": show_percent(found.ensemble) if is_enough else None,
            "none": Markdown(f"{found.no_run_right} ({show_percent(found.no_run_right / found.rows)} %)")}


def list_searches(comparison: Comparison) -> Iterator[dict]:
    """A row for every batch size whose best rate a validation split has chosen."""
    for name in comparison.group.evaluation_sets:
        for size, check in check_searches(comparison, name).items():
            chosen = comparison.lines["best_rate"][size]
            collapsed = " (every run collapsed)" if is_collapsed(chosen, name) else ""
            yield {"group": f"{comparison.group.task}, {comparison.group.title_without_task}", "set": name, "size": size,
                   "rate": Markdown(show_rate(chosen.config.peak_learning_rate) + collapsed), **_show_check(check)}


def _show_check(check: SearchCheck) -> dict:
    known = check.other is not None
    return {"split": f"{check.rows}; {show_number(100 * check.error)}", "near": check.near,
            "other": f"{show_percent(check.other)} %" if known else None, "cost": f"{100 * check.cost:.2f}" if known else None}
