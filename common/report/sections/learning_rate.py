"""The section "Batch size and learning rate": the study of exp_lr_mnli.py."""
import math
from collections import Counter

from common.report import figures, published
from common.report.cells import METRICS, name_file, show_n, show_time, to_column
from common.report.page import MISSING, Page, escape, show_effect, show_exactly, show_interval, show_percent
from common.report.remarks import has_majority, is_hopeless, list_remarks, say_so_far
from common.report.results import Cell, Group, Results
from common.report.sections import write_groups
from common.report.sections.background import is_google_release, say_origin
from common.report.statistics import Effect, contrast, welch
from common.studies.names import show_rate

STUDY = "lr_mnli"
COMMAND = "python exp_lr_mnli.py --instances {}"
VARIED = ("batch_size", "peak_learning_rate")
PUBLISHED = {"task": "MNLI", "epochs": 5}
PUBLISHED_SET = "dev_matched"
BEST_RATES = "batch 64 is best at 1e-4, batch 128 between 1e-4 and 2e-4"
SHIFT = "a larger batch may need a larger rate"


def write(page: Page, results: Results) -> None:
    """The whole section; one line where the store holds nothing of the study."""
    page.heading("Batch size and learning rate", "learning-rate")
    page.text("Which peak learning rate is best, and does it move with the batch size? "
              f"`{COMMAND.format(4)}`: batch sizes 64 and 128 by peak rates 1e-5, 1e-4, 2e-4 and 3e-4, 5 epochs, 4 instances, "
              "on MNLI or another task.")
    groups = results.groups(STUDY, VARIED, PUBLISHED)
    if write_groups(page, results, groups, COMMAND.format(4), _write_group):
        _write_best_rates(page, groups)
        _write_shift(page, groups)


def name_cell(cell: Cell) -> str:
    return f"batch {cell.config.batch_size} at {show_rate(cell.config.peak_learning_rate)}"


def _write_group(page: Page, results: Results, group: Group) -> None:
    page.heading(escape(group.title), f"learning-rate-{group.id}", level=3)
    page.text(f"Checkpoint: {say_origin(group.checkpoint)}. {escape(group.task)}, {group.cells[0].config.epochs} epochs.")
    command = COMMAND.format(max(cell.asked for cell in group.cells))
    command += "" if group.task == PUBLISHED["task"] else f" --task {escape(group.task)}"
    page.items(list_remarks(group, results, name_cell, command))
    if not group.finished:
        return
    for evaluation_set in group.evaluation_sets:
        _write_table(page, group, evaluation_set)
        _write_figure(page, group, evaluation_set)


def _is_published(group: Group, evaluation_set: str) -> bool:
    return group.as_published and evaluation_set == PUBLISHED_SET


def _write_table(page: Page, group: Group, evaluation_set: str) -> None:
    columns = {
        "batch size": lambda cell: str(cell.config.batch_size),
        "peak rate": lambda cell: show_rate(cell.config.peak_learning_rate),
        "n": lambda cell: show_n(cell, evaluation_set),
        METRICS[group.metric]: lambda cell: show_interval(cell.interval(evaluation_set)),
        "F1 x 100": lambda cell: show_interval(cell.interval(evaluation_set, "f1")),
        "training time": show_time,
        "collapsed": lambda cell: str(cell.count_collapsed(evaluation_set)),
        "diverged": lambda cell: str(len(cell.where_status("diverged"))),
    }
    if _is_published(group, evaluation_set):
        columns["published accuracy on MNLI-m, %"] = lambda cell: show_exactly(
            published.MNLI_BY_RATE.get(cell.config.batch_size, {}).get(cell.config.peak_learning_rate))
    page.table(list(columns), [[show(cell) for show in columns.values()] for cell in group.cells])
    page.text(f"Evaluation set {escape(evaluation_set)}, {group.sets[evaluation_set].row_count} rows. Means over the "
              "instances ± half of their 95 % interval. " + _say_published(group, evaluation_set))


def _say_published(group: Group, evaluation_set: str) -> str:
    if _is_published(group, evaluation_set):
        return published.MNLI_ROWS
    if group.as_published:
        return "Of this set nothing was published."
    return "The published values belong to another task, other settings or other rows and are left out here."


def _write_figure(page: Page, group: Group, evaluation_set: str) -> None:
    """Score against peak rate: every run, and a line of means for each batch size."""
    rates = sorted({cell.config.peak_learning_rate for cell in group.cells})
    sizes = sorted({cell.config.batch_size for cell in group.cells})
    ax = figures.new_axes(f"{group.task} {evaluation_set}: {group.title}")
    figures.set_base_2_axis(ax, rates, "peak learning rate", [show_rate(rate) for rate in rates])
    ax.set_ylabel(f"evaluation {METRICS[group.metric]}")
    figures.draw_lines(ax, {f"batch {size}: mean, 95 % interval": [
        to_column(cell, evaluation_set, x=cell.config.peak_learning_rate) for cell in _of_size(group, size)]
        for size in sizes})
    if _is_published(group, evaluation_set) and is_google_release(group.checkpoint):
        _draw_published(ax, sizes, rates)
    if has_majority(group, evaluation_set):
        majority = group.sets[evaluation_set].majority
        figures.draw_level(ax, 100 * majority, f"majority class ({show_percent(majority)} %)")
    figures.add_legend(ax)
    numbers = ", ".join(f"{name_cell(cell)}: {len(cell.scored(evaluation_set))}" for cell in group.cells)
    what = f"Evaluation {METRICS[group.metric]}"
    page.figure(name_file(STUDY, group, f"{group.task} {evaluation_set}"), ax,
                f"{what} against peak learning rate, {escape(group.title)}, {escape(evaluation_set)}",
                f"{what}, over the {group.sets[evaluation_set].row_count} rows of {escape(evaluation_set)}, against "
                "peak learning rate (logarithmic axis), a line for each batch size: every run, their mean and its 95 % "
                f"interval. The lines are moved a little apart. n = {numbers}.")


def _draw_published(ax, sizes: list[int], rates: list[float]) -> None:
    for style, size in enumerate(sizes):
        points = {rate: 100 * share for rate, share in published.MNLI_BY_RATE.get(size, {}).items() if rate in rates}
        if points:
            figures.draw_published(ax, points, f"published 2020, batch {size}", style)


def _of_size(group: Group, size: int) -> list[Cell]:
    return [cell for cell in group.cells if cell.config.batch_size == size]


def _write_best_rates(page: Page, groups: list[Group]) -> None:
    """The original's conclusion about where the best rates lie, tested against every group."""
    places = [(group, name, size) for group in groups for name in group.evaluation_sets
              for size in sorted({cell.config.batch_size for cell in group.cells})]
    rows = [_best_row(*place) for place in places]
    page.heading("The best rates of the original, tested", "learning-rate-best", level=3)
    page.text(f"The original concludes on MNLI-m: **{BEST_RATES}**. The "
              "test, for each checkpoint, task and set by itself: the rate of the highest mean is compared by Welch's "
              "test with every rate of the other side, which are the rates not named by the original if it is a named "
              "one, and the named ones if not. Where all of these 95 % intervals lie above 0 the conclusion is "
              "supported or contradicted, else undecided; undecided, too, where no cell has an interval above the majority "
              "class. The comparison whose interval reaches lowest is shown. The best rate is chosen on the same scores, "
              "which favours a verdict, and no correction is made for testing several times. Diverged runs have no "
              "score and take no part; they are counted. On another task the verdict says whether the conclusion carries over.")
    page.table(["checkpoint", "set", "batch size", "runs", "best rate", "second best", "original's best",
                "best minus nearest of the other side, points", "the conclusion is"],
               rows)
    for (group, name, size), (title, _, _, runs, *_, verdict) in zip(places, rows, strict=True):
        if verdict != MISSING:
            page.verdict(BEST_RATES, title, f"{escape(group.task)} {escape(name)}, batch {size}", runs, verdict,
                         "learning-rate-best")


def _best_row(group: Group, evaluation_set: str, size: int) -> list[str]:
    cells = _of_size(group, size)
    ranked = sorted((cell for cell in cells if cell.scored(evaluation_set)),
                    key=lambda cell: -cell.interval(evaluation_set).mean)
    shown = [f"{show_rate(cell.config.peak_learning_rate)} ({show_interval(cell.interval(evaluation_set))})"
             for cell in ranked[:2]] + [MISSING] * 2
    named = published.MNLI_BEST_RATES.get(size, ())
    effect, verdict = judge_best(ranked, named, evaluation_set)
    if effect and is_hopeless(group, evaluation_set):
        verdict = "**undecided**: no cell has an interval above the majority class"
    return [escape(group.title), escape(evaluation_set), str(size),
            str(sum(len(cell.scored(evaluation_set)) for cell in cells)), *shown[:2],
            " to ".join(map(show_rate, named)) or MISSING, show_effect(effect),
            verdict + _say_diverged(cells) + say_so_far(group)]


def judge_best(ranked: list[Cell], named: tuple[float, ...], evaluation_set: str) -> tuple[Effect | None, str]:
    """Whether the best rate is one of those named, and the comparison that decides; `ranked`: highest mean first."""
    if not named:
        return None, MISSING
    sides = Counter(cell.config.peak_learning_rate in named for cell in ranked)
    if len(sides) < 2:
        return None, "**undecided**: not both named and other rates have runs"
    inside = ranked[0].config.peak_learning_rate in named
    others = [cell for cell in ranked if (cell.config.peak_learning_rate in named) != inside]
    effects = [welch(_scores(ranked[0], evaluation_set), _scores(other, evaluation_set)) for other in others]
    if None in effects:
        return None, "**undecided**: too few runs, or no spread to test"
    nearest = min(effects, key=lambda effect: effect.low)
    if nearest.low <= 0:
        return nearest, f"**undecided** at n = {nearest.n}"
    return nearest, "**supported**" if inside else "**contradicted**"


def _write_shift(page: Page, groups: list[Group]) -> None:
    """The original's conclusion that a larger batch may need a larger rate, tested against every group."""
    page.heading("Does a larger batch need a larger rate?", "learning-rate-shift", level=3)
    places = [(group, name) for group in groups for name in group.evaluation_sets]
    rows = [_shift_row(*place) for place in places]
    page.text(f"The original concludes: **{SHIFT}**, and the best accuracy is at smaller batch sizes with smaller rates. "
              "It calls that qualitatively consistent with Smith and Le 2017, whose theory lets the best batch size grow in "
              "proportion to the rate; the verdict is on that, too. If so, a higher rate does more for "
              "the larger batch. The test: the slope of the score on log2 of the rate, over the cells' means, and how "
              "much it rises with each doubling of the batch. That is a weighted sum of means, tested as Welch's, with "
              "Satterthwaite's degrees of freedom and no assumption of equal variances. Where the 95 % interval lies "
              "above 0 the conclusion is supported, below 0 contradicted, else undecided; undecided, too, where no "
              "cell has an interval above the majority class. It uses the rates at which every batch size has two scored "
              "runs. It does not find the best rate itself: that is in the table above. With the same number of epochs a larger "
              "batch takes fewer steps; the study cannot tell that apart.")
    page.table(["checkpoint", "set", "batch sizes", "rates", "runs", "rise of the slope, points for each doubling of both",
                "the conclusion is"],
               rows)
    for (group, name), (title, _, _, _, runs, *_, verdict) in zip(places, rows, strict=True):
        page.verdict(f"{SHIFT}; qualitatively consistent with Smith and Le 2017", title,
                     f"{escape(group.task)} {escape(name)}", runs, verdict, "learning-rate-shift")


def _shift_row(group: Group, evaluation_set: str) -> list[str]:
    sizes, rates, cells = _rectangle(group, evaluation_set)
    effect = measure_shift(sizes, rates, [_scores(cell, evaluation_set) for cell in cells])
    verdict = judge_shift(effect)
    if effect and is_hopeless(group, evaluation_set):
        verdict = "**undecided**: no cell has an interval above the majority class"
    return [escape(group.title), escape(evaluation_set), ", ".join(map(str, sizes)),
            ", ".join(map(show_rate, rates)) or MISSING, str(sum(len(cell.scored(evaluation_set)) for cell in cells)),
            show_effect(effect), verdict + _say_diverged(group.cells) + say_so_far(group)]


def _rectangle(group: Group, evaluation_set: str) -> tuple[list[int], list[float], list[Cell]]:
    """Batch sizes, the rates at which all of them have two scored runs, and those cells by batch size and rate."""
    sizes = sorted({cell.config.batch_size for cell in group.cells})
    ready = [cell for cell in group.cells if len(cell.scored(evaluation_set)) > 1]
    often = Counter(cell.config.peak_learning_rate for cell in ready)
    rates = sorted(rate for rate, number in often.items() if number == len(sizes))
    return sizes, rates, [cell for cell in ready if cell.config.peak_learning_rate in rates]


def measure_shift(sizes: list[int], rates: list[float], samples: list[list[float]]) -> Effect | None:
    """Least-squares interaction of log2 batch size and log2 rate; None where there is nothing to test.

    Args:
      samples: scores of each cell, by batch size and then rate.
    """
    if len(sizes) < 2 or len(rates) < 2:
        return None
    by_size, by_rate = _slope_weights(sizes), _slope_weights(rates)
    return contrast(samples, [a * b for a in by_size for b in by_rate])


def _slope_weights(places: list[float]) -> list[float]:
    """Weights of the values at these places whose sum is the slope on log2 of the place."""
    logs = [math.log2(place) for place in places]
    mean = math.fsum(logs) / len(logs)
    spread = math.fsum((each - mean) ** 2 for each in logs)
    return [(each - mean) / spread for each in logs]


def judge_shift(effect: Effect | None) -> str:
    """What the interaction says of "a larger batch may need a larger rate"."""
    if effect is None:
        return "**undecided**: too few runs, or no spread to test"
    if effect.low > 0:
        return "**supported**"
    return "**contradicted**" if effect.high < 0 else f"**undecided** at n = {effect.n}"


def _scores(cell: Cell, evaluation_set: str) -> list[float]:
    return [row.score for row in cell.scored(evaluation_set)]


def _say_diverged(cells: list[Cell]) -> str:
    number = sum(len(cell.where_status("diverged")) for cell in cells)
    return f"; diverged and left out: {number}" if number else ""
