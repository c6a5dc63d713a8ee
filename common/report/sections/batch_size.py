"""The section "Batch size": the study of exp_bs_mrpc.py."""
from common.inputs.batches import count_training_rows
from common.report import figures, published
from common.report.cells import METRICS, list_numbers, name_file, show_cell, show_cost, show_f1, to_column
from common.report.checkpoints import is_google_release, say_origin
from common.report.claims import Line
from common.report.judging.batch_size import PUBLISHED, STUDY, VARIED
from common.report.judging.rules import has_majority
from common.report.page import Markdown, Page, show_exactly, show_mean, show_number
from common.report.remarks import list_mixed, list_remarks
from common.report.results import Cell, Group, Results
from common.report.sections import from_strongest, pick_claims
from common.report.statistics import sampling_error
from common.report.templates import render, say

COMMAND = "python exp_bs_mrpc.py --instances {}"


def write(page: Page, results: Results, claims: dict[str, Line]) -> Markdown:
    """The whole section; one line where the store holds nothing of the study."""
    groups = from_strongest(results.groups(STUDY, VARIED, PUBLISHED))
    line = claims["batch_size"]
    return render("batch_size", command=COMMAND.format(4), line=line, claims=pick_claims(claims, "batch_size"),
                  groups=[_describe(page, results, group, line) for group in groups])


def name_cell(cell: Cell) -> str:
    return f"batch {cell.config.batch_size}"


def name_figure(group: Group, evaluation_set: str) -> str:
    """File name of the figure of scores; the page opens with the one of the strongest evidence."""
    return name_file(STUDY, group, evaluation_set)


def _describe(page: Page, results: Results, group: Group, line: Line) -> dict:
    """What the template shows of a group."""
    page.show(group.cells)
    command = COMMAND.format(max(cell.asked for cell in group.cells))
    done = bool(group.finished)
    return {"group": group, "config": group.cells[0].config, "origin": say_origin(group.checkpoint), "done": done,
            "metric": METRICS[group.metric], "remarks": list_remarks(group, name_cell, command),
            "mixed": list_mixed(group.cells, results),
            "sets": [_describe_set(page, group, name, line) for name in group.evaluation_sets] if done else [],
            "curves": _describe_curves(page, group) if done else None}


def _describe_set(page: Page, group: Group, evaluation_set: str, line: Line) -> dict:
    verdict = next((each for each in line.verdicts if each.group.id == group.id and each.evaluation_set == evaluation_set), None)
    return {"name": evaluation_set, "rows": [_row(group, cell, evaluation_set) for cell in group.cells],
            "row_count": group.sets[evaluation_set].row_count, "numbers": list_numbers(group.cells, evaluation_set),
            "figure": page.draw(name_figure(group, evaluation_set), _draw_scores(group, evaluation_set, verdict))}


def _row(group: Group, cell: Cell, evaluation_set: str) -> dict:
    size, speed, minutes = cell.config.batch_size, *show_cost(cell)
    last = cell.last_validation(group.metric)
    shown = group.as_published
    return {"batch": size, "score": show_cell(cell, evaluation_set), "f1": show_f1(cell, evaluation_set),
            "validation": show_mean(last) if last else None, "steps": cell.steps,
            "cost": None if minutes is None else f"{speed or '-'}; {minutes}",
            "published": f"{show_exactly(published.MRPC_BY_BATCH_SIZE[size])}; "
                         f"{show_exactly(published.MRPC_VALIDATION_BY_BATCH_SIZE[size])}"
                         if shown and size in published.MRPC_BY_BATCH_SIZE else None}


def _draw_scores(group: Group, evaluation_set: str, verdict):
    """Evaluation score against batch size: every run, and the means."""
    columns = [to_column(cell, evaluation_set) for cell in group.cells]
    title = say("figure_batch_size", plain=True, subject=group.name_set(evaluation_set), verdict=verdict, group=group,
                runs=len(group.finished))
    ax = figures.new_axes(title)
    figures.set_base_2_axis(ax, [cell.config.batch_size for cell in group.cells], "batch size")
    ax.set_ylabel(f"evaluation {METRICS[group.metric]}")
    figures.draw_runs(ax, columns)
    if group.as_published and is_google_release(group.checkpoint):
        ours = [cell.config.batch_size for cell in group.cells]
        figures.draw_published(ax, {size: 100 * share for size, share in published.MRPC_BY_BATCH_SIZE.items()
                                    if size in ours}, "published mean (2020)")
    if has_majority(group, evaluation_set):
        figures.draw_majority(ax, 100 * group.sets[evaluation_set].majority)
    return figures.add_legend(figures.name_marks(ax, columns))


def _describe_curves(page: Page, group: Group) -> dict | None:
    """Validation score against examples seen, a panel for each batch size; None where no run has any."""
    cells = [cell for cell in group.cells if cell.last_validation(group.metric)]
    if not cells:
        return None
    train = group.sets["train"]
    given = min(train.row_count, cells[0].config.limit_train or train.row_count)
    held_out = given - count_training_rows(given, cells[0].config.validation)
    last = [value for cell in cells for value in cell.last_validation(group.metric)]
    error = sampling_error(sum(last) / len(last), held_out) if group.metric == "accuracy" else None
    panels = figures.new_panels(say("figure_validation", plain=True, group=group, rows=held_out, error=error),
                                [f"{name_cell(cell)} (n = {len(cell.last_validation(group.metric))})" for cell in cells])
    for place, (ax, cell) in enumerate(zip(panels, cells, strict=True)):
        figures.draw_curves(ax, cell.config.batch_size, cell.validation_curves(group.metric), [
            (examples, 100 * value) for examples, value in cell.validation_curve(group.metric)])
        ax.set_xlabel("examples seen", fontsize=9)
        ax.set_xlim(left=0)
        if place % 3 == 0:
            ax.set_ylabel(f"validation {METRICS[group.metric]}", fontsize=9)
    if train.majority is not None and group.metric == "accuracy":
        for ax in panels:
            figures.draw_majority(ax, 100 * train.majority, "majority class of the training file")
        figures.add_legend(panels[0])
    return {"figure": page.draw(name_file(STUDY, group, "validation"), panels[0]), "rows": held_out,
            "error": None if error is None else show_number(100 * error)}
