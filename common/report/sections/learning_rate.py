"""The section "Batch size and learning rate": the study of exp_lr_mnli.py."""
from common.report import figures, published
from common.report.cells import METRICS, name_file, show_cell, show_cost, show_f1, to_column
from common.report.checkpoints import is_google_release, say_origin
from common.report.claims import Line, list_places, pick_same_place
from common.report.judging.learning_rate import PUBLISHED, STUDY, VARIED
from common.report.judging.rules import has_majority
from common.report.page import Markdown, Page, show_exactly, show_mean
from common.report.remarks import list_mixed, list_remarks
from common.report.results import Cell, Group, Results
from common.report.sections import from_strongest, pick_claims
from common.report.templates import render, say
from common.studies.names import show_rate
from common.studies.tasks import get_task

COMMAND = "python exp_lr_mnli.py --instances {}"
PUBLISHED_SET = "dev_matched"
QUESTIONS = ("best_rate_64", "best_rate_128", "shift")
"""The claims that the answer tells."""


def write(page: Page, results: Results, claims: dict[str, Line]) -> Markdown:
    """The whole section; one line where the store holds nothing of the study."""
    groups = from_strongest(results.groups(STUDY, VARIED, PUBLISHED), claims["best_rate_64"].best)
    return render("learning_rate", command=COMMAND.format(4), groups=[_describe(page, results, group) for group in groups],
                  claims=pick_claims(claims, *QUESTIONS, "best_accuracy"), answer=say_answer(claims))


def say_answer(claims: dict[str, Line]) -> Markdown | None:
    """What the strongest evidence on each claim says: the best rates there, then the claims; None where the study has no run."""
    lines = [claims[key] for key in QUESTIONS]
    told = pick_same_place(lines)
    if not told:
        return None
    return say("learning_rate", strongest=told[0].best, places=[_describe_place(each) for each in list_places(lines)])


def _describe_place(lines: list[Line]) -> dict:
    group, name = lines[0].best.group, lines[0].best.evaluation_set
    return {"lines": lines, "group": group, "best": list_best(group, name),
            "runs": sum(len(cell.scored(name)) for cell in group.cells)}


def name_cell(cell: Cell) -> str:
    return f"batch {cell.config.batch_size} at {show_rate(cell.config.peak_learning_rate)}"


def list_best(group: Group, evaluation_set: str) -> list[dict]:
    """For each batch size the two rates of the highest means."""
    found = []
    for size in sorted({cell.config.batch_size for cell in group.cells}):
        ranked = sorted((cell for cell in _of_size(group, size) if cell.scored(evaluation_set)),
                        key=lambda cell: -cell.interval(evaluation_set).mean)
        if ranked:
            shown = [Markdown(f"{show_rate(cell.config.peak_learning_rate)}: {show_cell(cell, evaluation_set)}")
                     for cell in ranked[:2]]
            rates = [cell.config.peak_learning_rate for cell in ranked]
            found.append({"batch": size, "rate": rates[0], "score": show_cell(ranked[0], evaluation_set), "best": shown[0],
                          "tried": len(ranked), "second": shown[1] if len(shown) > 1 else None,
                          "border": {min(rates): "lowest", max(rates): "highest"}.get(rates[0], "")})
    return found


def _describe(page: Page, results: Results, group: Group) -> dict:
    page.show(group.cells)
    command = COMMAND.format(max(cell.asked for cell in group.cells))
    command += "" if group.task == PUBLISHED["task"] else f" --task {group.task}"
    return {"group": group, "config": group.cells[0].config, "origin": say_origin(group.checkpoint),
            "metric": METRICS[group.metric], "remarks": list_remarks(group, name_cell, command),
            "mixed": list_mixed(group.cells, results),
            "sets": [_describe_set(page, group, name) for name in group.evaluation_sets] if group.finished else []}


def _describe_set(page: Page, group: Group, evaluation_set: str) -> dict:
    shown = group.as_published and evaluation_set == PUBLISHED_SET
    best = list_best(group, evaluation_set)
    return {"name": evaluation_set, "row_count": group.sets[evaluation_set].row_count, "published": shown, "best": best,
            "other_set": group.as_published and not shown,
            "rows": [_row(cell, evaluation_set, shown) for cell in group.cells],
            "numbers": Markdown("; ".join(f"batch {size}: " + ", ".join(
                str(len(cell.scored(evaluation_set))) for cell in _of_size(group, size))
                for size in sorted({cell.config.batch_size for cell in group.cells}))),
            "figure": page.draw(name_file(STUDY, group, f"{group.task} {evaluation_set}"),
                                _draw(group, evaluation_set, best, shown))}


def _row(cell: Cell, evaluation_set: str, shown: bool) -> dict:
    size, rate = cell.config.batch_size, cell.config.peak_learning_rate
    speed, minutes = show_cost(cell)
    there = published.MNLI_BY_RATE.get(size, {}).get(rate)
    last = cell.last_validation(get_task(cell.config.task).metric)
    return {"batch": size, "rate": show_rate(rate), "score": show_cell(cell, evaluation_set),
            "f1": show_f1(cell, evaluation_set), "validation": show_mean(last) if last else None,
            "cost": None if minutes is None else f"{speed or '-'}; {minutes}",
            "published": show_exactly(there) if shown and there else None}


def _of_size(group: Group, size: int) -> list[Cell]:
    return [cell for cell in group.cells if cell.config.batch_size == size]


def _draw(group: Group, evaluation_set: str, best: list[dict], shown: bool):
    """Score against peak rate: every run, and a line of means for each batch size."""
    rates = sorted({cell.config.peak_learning_rate for cell in group.cells})
    sizes = sorted({cell.config.batch_size for cell in group.cells if cell.finished})
    ax = figures.new_axes(say("figure_learning_rate", plain=True, subject=group.name_set(evaluation_set), group=group, best=best))
    figures.set_base_2_axis(ax, rates, "peak learning rate", [show_rate(rate) for rate in rates])
    ax.set_ylabel(f"evaluation {METRICS[group.metric]}")
    drawn = []
    for size in sizes:
        columns = [to_column(cell, evaluation_set, x=cell.config.peak_learning_rate) for cell in _of_size(group, size)]
        figures.draw_line(ax, columns, f"batch {size}")
        drawn += columns
    if shown and is_google_release(group.checkpoint):
        _draw_published(ax, sizes, rates)
    if has_majority(group, evaluation_set):
        figures.draw_majority(ax, 100 * group.sets[evaluation_set].majority)
    return figures.add_legend(figures.name_marks(ax, drawn))


def _draw_published(ax, sizes: list[int], rates: list[float]) -> None:
    for style, size in enumerate(sizes):
        points = {rate: 100 * share for rate, share in published.MNLI_BY_RATE.get(size, {}).items() if rate in rates}
        if points:
            figures.draw_published(ax, points, f"published 2020, batch {size}", style)
