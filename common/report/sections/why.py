"""The section "Why do small batches do better?": the studies of exp_why_bs.py."""
from statistics import fmean

from common.report import figures
from common.report.cells import METRICS, name_file, show_cell, to_column
from common.report.checkpoints import say_origin
from common.report.claims import Line, pick_same_place, show_estimate, show_outcome, show_runs
from common.report.comparisons import LABELS, PUBLISHED, STUDY, Comparison, find_comparisons, is_begun
from common.report.judging.reasons import Finding
from common.report.judging.rules import has_majority
from common.report.page import Markdown, Page, show_mean, show_points
from common.report.remarks import list_mixed, list_remarks
from common.report.results import Cell, Results
from common.report.sections import from_strongest, noise_scale, pick_claims, spread
from common.report.templates import render, say
from common.studies.conditions import BASE
from common.studies.names import show_rate

COMMAND = "python exp_why_bs.py --instances {}"
REASONS = {f"why_{condition}": condition for condition in LABELS if condition != "as_is"}
"""Claim -> the condition that takes its reason away."""


def write(page: Page, results: Results, claims: dict[str, Line]) -> Markdown:
    """The whole section; one line for each study of which the store holds nothing."""
    reasons = pick_same_place([claims[key] for key in REASONS])
    found = {each.group.id: each for each in find_comparisons(results)}
    groups = from_strongest([each.group for each in found.values()], reasons[0].best if reasons else None)
    return render("why", command=COMMAND.format(4), base=BASE, labels=LABELS, begun=is_begun(results),
                  comparisons=[_describe(page, results, each, claims) for each in (found[group.id] for group in groups)],
                  claims=pick_claims(claims, *REASONS), reasons=reasons,
                  noise_scale=noise_scale.write(page, results, claims), spread=spread.write(page, results, claims))


def _describe(page: Page, results: Results, comparison: Comparison, claims: dict[str, Line]) -> dict:
    group = comparison.group
    page.show(group.cells)
    command = COMMAND.format(max(cell.asked for cell in group.cells))
    command += "" if group.task == PUBLISHED["task"] else f" --task {group.task}"
    return {"group": group, "origin": say_origin(group.checkpoint), "metric": METRICS[group.metric],
            "sizes": {"condition": "condition"} | {f"batch {size}": str(size) for size in comparison.sizes},
            "remarks": list_remarks(group, comparison.name_cell, command), "mixed": list_mixed(group.cells, results),
            "search": _list_search(comparison, group.evaluation_sets),
            "sets": [_describe_set(page, comparison, name, claims) for name in group.evaluation_sets] if group.finished else []}


def _describe_set(page: Page, comparison: Comparison, evaluation_set: str, claims: dict[str, Line]) -> dict:
    group = comparison.group
    rows = [{"condition": LABELS[name], **{str(size): _show(cells.get(size), evaluation_set, name) for size in comparison.sizes}}
            for name, cells in comparison.lines.items()]
    scored = {name: [str(len(cell.scored(evaluation_set))) for _, cell in sorted(cells.items())]
              for name, cells in comparison.lines.items() if _is_scored(cells, evaluation_set)}
    numbers = Markdown("; ".join(f"{LABELS[name]}: {', '.join(each)}" for name, each in scored.items()))
    return {"name": evaluation_set, "rows": rows, "row_count": group.sets[evaluation_set].row_count, "numbers": numbers,
            "slopes": _list_slopes(comparison, evaluation_set, claims),
            "figure": page.draw(name_file(STUDY, group, evaluation_set), _draw(comparison, evaluation_set, claims))}


def _show(cell: Cell | None, evaluation_set: str, condition: str) -> str | None:
    if cell is None:
        return None
    notes = [f"at {show_rate(cell.config.peak_learning_rate)}"] if condition == "best_rate" else []
    return show_cell(cell, evaluation_set, *notes)


def _is_scored(cells: dict[int, Cell], evaluation_set: str) -> bool:
    return any(cell.scored(evaluation_set) for cell in cells.values())


def _list_slopes(comparison: Comparison, evaluation_set: str, claims: dict[str, Line]) -> list[dict]:
    """For each reason the slopes that its verdict compares, and what became of the smallest and the largest batch."""
    rows = []
    for key in REASONS:
        for verdict in claims[key].verdicts:
            if (verdict.group.id, verdict.evaluation_set) == (comparison.group.id, evaluation_set):
                rows.append({"reason": verdict.claim.sentence, "runs": show_runs(verdict), "left": show_estimate(verdict),
                             "verdict": show_outcome(verdict), **_show_finding(verdict.details)})
    return rows


def _show_finding(finding: Finding) -> dict:
    """Slopes as is and under the condition, and the changes at both ends, in points."""
    slopes = [fmean(each) if each else None for each in finding.slopes]
    values = zip(("as_is", "then", "at_smallest", "at_largest"), (*slopes, *(finding.changes or (None, None))), strict=True)
    return {name: None if value is None else show_points(value) for name, value in values}


def _list_search(comparison: Comparison, evaluation_sets: list[str]) -> list[dict]:
    """The cells that the search for the best rate has tried, with the validation score that it chooses by."""
    group = comparison.group
    shown = {cell.config.hash for name, cells in comparison.lines.items() if name != "best_rate" for cell in cells.values()}
    cells = [cell for cell in group.cells if cell.config.hash not in shown]
    return [{"batch": cell.config.batch_size, "rate": show_rate(cell.config.peak_learning_rate),
             "validation": show_mean(cell.last_validation(group.metric)) if cell.last_validation(group.metric) else None,
             **{name: show_cell(cell, name) for name in evaluation_sets}}
            for cell in sorted(cells, key=lambda cell: (cell.config.batch_size, cell.config.peak_learning_rate))]


def _draw(comparison: Comparison, evaluation_set: str, claims: dict[str, Line]):
    """Score against batch size: a panel for each condition, with the means as is in all of them."""
    group = comparison.group
    shown = [name for name, cells in comparison.lines.items() if _is_scored(cells, evaluation_set)]
    outcomes = {LABELS[condition]: each.outcome for key, condition in REASONS.items() for each in claims[key].verdicts
                if (each.group.id, each.evaluation_set) == (group.id, evaluation_set)}
    title = say("figure_why", plain=True, subject=group.name_set(evaluation_set), group=group, outcomes=outcomes.values(),
                supported=[label for label, outcome in outcomes.items() if outcome == "supported"])
    panels = figures.new_panels(title, [LABELS[name] for name in shown])
    as_is = {size: 100 * cell.interval(evaluation_set).mean for size, cell in comparison.lines["as_is"].items()
             if cell.scored(evaluation_set)}
    drawn = []
    for place, (ax, name) in enumerate(zip(panels, shown, strict=True)):
        figures.set_base_2_axis(ax, comparison.sizes, "batch size")
        ax.xaxis.label.set_size(9)
        if place % 3 == 0:
            ax.set_ylabel(f"evaluation {METRICS[group.metric]}", fontsize=9)
        if name != "as_is":
            figures.draw_reference(ax, as_is, "means as is")
        columns = [to_column(cell, evaluation_set, x=size) for size, cell in sorted(comparison.lines[name].items())]
        figures.draw_runs(ax, columns)
        drawn += columns
    if has_majority(group, evaluation_set):
        for ax in panels:
            figures.draw_majority(ax, 100 * group.sets[evaluation_set].majority)
    figures.name_marks(panels[0], drawn)
    return figures.add_legend(panels[0])
