"""The section "Batch size on MRPC": the study of exp_bs_mrpc.py."""
import math

from common.report import figures, published
from common.report.cells import METRICS, name_file, show_n, show_time, to_column
from common.report.page import MISSING, Page, escape, show_effect, show_exactly, show_interval, show_percent
from common.report.remarks import has_majority, is_hopeless, list_remarks, say_so_far
from common.report.results import Cell, Group, Results
from common.report.sections import write_groups
from common.report.sections.background import is_google_release, say_origin
from common.report.statistics import Effect, linear_trend, mean_interval, welch

STUDY = "bs_mrpc"
COMMAND = "python exp_bs_mrpc.py --instances {}"
VARIED = ("batch_size",)
PUBLISHED = {"task": "MRPC", "epochs": 5, "peak_learning_rate": 2e-5}
CONCLUSION = "best accuracy at smaller batch sizes"


def write(page: Page, results: Results) -> None:
    """The whole section; one line where the store holds nothing of the study."""
    page.heading("Batch size on MRPC", "batch-size")
    page.text("How does evaluation accuracy depend on the batch size, and how fast does validation accuracy rise? "
              f"`{COMMAND.format(4)}`: batch sizes 2, 8, 16, 32 and 64 at peak rate 2e-5, 5 epochs, 4 instances.")
    groups = results.groups(STUDY, VARIED, PUBLISHED)
    if write_groups(page, results, groups, COMMAND.format(4), _write_group):
        _write_conclusions(page, groups)
        _write_notes(page)


def name_cell(cell: Cell) -> str:
    return f"batch {cell.config.batch_size}"


def _write_group(page: Page, results: Results, group: Group) -> None:
    config = group.cells[0].config
    page.heading(escape(group.title), f"batch-size-{group.id}", level=3)
    page.text(f"Checkpoint: {say_origin(group.checkpoint)}. {escape(group.task)}, {config.epochs} epochs, peak "
              f"learning rate {config.peak_learning_rate:g}.")
    command = COMMAND.format(max(cell.asked for cell in group.cells))
    page.items(list_remarks(group, results, name_cell, command))
    if not group.finished:
        return
    for evaluation_set in group.evaluation_sets:
        _write_table(page, group, evaluation_set)
        _write_scores(page, group, evaluation_set)
    _write_curves(page, group)


def _write_table(page: Page, group: Group, evaluation_set: str) -> None:
    columns = {
        "batch size": lambda cell: str(cell.config.batch_size),
        "n": lambda cell: show_n(cell, evaluation_set),
        METRICS[group.metric]: lambda cell: show_interval(cell.interval(evaluation_set)),
        "F1 x 100": lambda cell: show_interval(cell.interval(evaluation_set, "f1")),
        f"validation {METRICS[group.metric]}": lambda cell: show_interval(
            mean_interval(cell.last_validation(group.metric))),
        "steps": lambda cell: MISSING if cell.steps is None else str(cell.steps),
        "training time": show_time,
        "collapsed": lambda cell: str(cell.count_collapsed(evaluation_set)),
        "diverged": lambda cell: str(len(cell.where_status("diverged"))),
    }
    if group.as_published:
        columns |= {
            "published accuracy, %": lambda cell: show_exactly(
                published.MRPC_BY_BATCH_SIZE.get(cell.config.batch_size)),
            "published validation accuracy, %": lambda cell: show_exactly(
                published.MRPC_VALIDATION_BY_BATCH_SIZE.get(cell.config.batch_size)),
        }
    page.table(list(columns), [[show(cell) for show in columns.values()] for cell in group.cells])
    page.text(f"Evaluation set {escape(evaluation_set)}, {group.sets[evaluation_set].row_count} rows. Means over the "
              "instances ± half of their 95 % interval. "
              + (published.MRPC_ROWS if group.as_published else
                 "The published values belong to other settings or other rows and are left out here."))


def _write_scores(page: Page, group: Group, evaluation_set: str) -> None:
    """Evaluation score against batch size: every instance, and the means."""
    data = group.sets[evaluation_set]
    ax = figures.new_axes(f"{group.task}: {group.title}")
    figures.set_base_2_axis(ax, [cell.config.batch_size for cell in group.cells], "batch size")
    ax.set_ylabel(f"evaluation {METRICS[group.metric]}")
    figures.draw_instances(ax, [to_column(cell, evaluation_set) for cell in group.cells])
    if has_majority(group, evaluation_set):
        figures.draw_level(ax, 100 * data.majority, f"majority class ({show_percent(data.majority)} %)")
    if group.as_published and is_google_release(group.checkpoint):
        ours = [cell.config.batch_size for cell in group.cells]
        figures.draw_published(ax, {size: 100 * share for size, share in published.MRPC_BY_BATCH_SIZE.items()
                                    if size in ours}, "published mean (2020)")
    figures.add_legend(ax)
    numbers = ", ".join(f"{name_cell(cell)}: {len(cell.scored(evaluation_set))}" for cell in group.cells)
    page.figure(name_file(STUDY, group, evaluation_set), ax,
                f"Evaluation {METRICS[group.metric]} against batch size, {escape(group.title)}",
                f"Evaluation {METRICS[group.metric]}, over the {data.row_count} rows of {escape(evaluation_set)}, "
                f"against batch size (base-2 axis): every run, their mean and its 95 % interval. n = {numbers}.")


def _write_curves(page: Page, group: Group) -> None:
    """Mean validation score against examples seen, a line for each batch size."""
    curves = {f"{name_cell(cell)} (n = {len(cell.last_validation(group.metric))})":
              [(examples, 100 * value) for examples, value in cell.validation_curve(group.metric)]
              for cell in group.cells if cell.last_validation(group.metric)}
    if not curves:
        return
    ax = figures.new_axes(f"{group.task}: {group.title}")
    ax.set_xlabel("examples seen")
    ax.set_ylabel(f"validation {METRICS[group.metric]}")
    figures.draw_curves(ax, curves)
    figures.add_legend(ax)
    page.figure(name_file(STUDY, group, "validation"), ax,
                f"Validation {METRICS[group.metric]} against examples seen, {escape(group.title)}",
                f"Validation {METRICS[group.metric]}, over the 5 % of the training rows that were split off, after "
                "every epoch against examples seen: mean over the instances, a line for each batch size.")


def _write_conclusions(page: Page, groups: list[Group]) -> None:
    """The original's conclusion about batch size, tested against every group."""
    page.heading("The conclusion of the original, tested", "batch-size-conclusion", level=3)
    page.text(f"The original concludes: **{CONCLUSION}**. The test, for each checkpoint by "
              "itself: the least-squares slope of the score on log2 of the batch size over all runs, in points for "
              "each doubling. Where its 95 % interval lies below 0 the conclusion is supported, above 0 contradicted, "
              "else undecided; undecided, too, where no batch size has an interval above the majority class. Welch's test of the "
              "smallest against the largest batch is given beside it and decides nothing. No correction "
              "is made for testing several times.")
    rows = []
    for group in groups:
        for evaluation_set in group.evaluation_sets:
            scores = [(cell, [row.score for row in cell.scored(evaluation_set)]) for cell in group.cells]
            rows.append(_test_row(group, f"evaluation ({escape(evaluation_set)})", scores,
                                  is_hopeless(group, evaluation_set)))
            title, _, runs, *_, verdict = rows[-1]
            page.verdict(CONCLUSION, title, f"{escape(group.task)} {escape(evaluation_set)}", runs, verdict,
                         "batch-size-conclusion")
        scores = [(cell, cell.last_validation(group.metric)) for cell in group.cells]
        rows.append(_test_row(group, "validation, last epoch", scores, hopeless=False))
    page.table(["checkpoint", "score", "runs", "slope for each doubling, points", "smallest minus largest batch, "
                "points", "the conclusion is"], rows)


def _test_row(group: Group, what: str, scores: list[tuple[Cell, list[float]]], hopeless: bool) -> list[str]:
    points = [(math.log2(cell.config.batch_size), score) for cell, each in scores for score in each]
    trend = linear_trend([x for x, _ in points], [y for _, y in points])
    ends = welch(scores[0][1], scores[-1][1]) if len(scores) > 1 else None
    verdict = judge(trend) if not hopeless else "**undecided**: no batch size has an interval above the majority class"
    return [escape(group.title), what, str(len(points)), show_effect(trend), show_effect(ends),
            verdict + say_so_far(group)]


def judge(trend: Effect | None) -> str:
    """What a slope for each doubling of the batch says of "best accuracy at smaller batch sizes"."""
    if trend is None:
        return "**undecided**: too few runs, or no spread to test"
    if trend.high < 0:
        return "**supported**"
    if trend.low > 0:
        return "**contradicted**"
    return f"**undecided** at n = {trend.n}"


def _write_notes(page: Page) -> None:
    page.heading("Notes", "batch-size-notes", level=3)
    page.items([
        "The number of epochs is the same, so a smaller batch also means more optimizer steps (column *steps*) at the "
        "same rate. This study cannot tell the two apart; [a later section](#why) asks which of them it is.",
        "The original asks whether batch normalisation or dropout explains the difference. BERT has no batch "
        "normalisation, and dropout is off when a set is scored; what dropout in training does, [a later section](#why) asks.",
        "A verdict on a stand-in is about that stand-in only.",
        "The published means were read off figures and carry no interval, so no test compares them with ours.",
    ])
