"""Smith and Le's claim, tested on all runs of the store: what counts of rate and batch size is rate x rows / batch size."""
import dataclasses
import itertools
import math

from common.inputs.batches import count_training_rows
from common.report import figures
from common.report.cells import METRICS, name_file
from common.report.page import MISSING, Page, escape, show_effect, show_interval, show_percent
from common.report.remarks import has_majority, is_hopeless
from common.report.results import Cell, Group, Results
from common.report.sections.learning_rate import judge_shift, measure_shift
from common.report.statistics import Correlation, Effect, rank_correlation, sampling_error, slope_within
from common.studies.names import show_rate

ALL = "every run"
"""Stands for a study that holds all configurations of the store."""
VARIED = ("batch_size", "peak_learning_rate", "order", "vary", "seed")
PUBLISHED = {"task": "MRPC", "epochs": 5}
LEAST = 8
"""Fewest scored runs that are drawn and tested."""
ONE_CURVE = "what counts of rate and batch size is the noise scale, rate x rows / batch size (Smith and Le 2017)"
SQUARE_ROOT = "what counts of rate and batch size is rate / square root of the batch size (Malladi et al. 2022, for Adam)"
BEST_BATCH = "the best batch size grows with the rate (Smith and Le 2017)"


def write(page: Page, results: Results) -> None:
    """The whole subsection; one line where no group has runs enough."""
    page.heading("Do all runs lie on one curve?", "why-noise-scale", level=3)
    page.text("Smith and Le 2017 hold the *noise scale* g = ε (N / B - 1) ≈ ε N / B to decide how well a network "
              "generalises: ε is the rate, N the rows of the training split, B the batch size. Runs of equal g should score "
              "alike, and the best batch size should grow in proportion to the rate. Theirs is stochastic gradient descent; "
              "with momentum m the scale becomes ε N / (B (1 - m)), with m as the weight of the old direction. Ours is AdamW "
              "with beta1 0.9: the same in all runs, so that the factor 1 / (1 - 0.9) is left out and moves every point alike. "
              "But Adam divides each gradient by the root of its mean square. Where noise outweighs the gradient's mean, a "
              "step's noise then has one size whatever B is, and its drift grows as sqrt(B): their ratio goes as ε / sqrt(B), "
              "not as ε / B. Malladi et al. 2022 derive for Adam that the rate should grow with the square root of B (with "
              "beta1, beta2 and epsilon rescaled, too, which no run here does). So ε / sqrt(B) is tested beside g. ε is the peak "
              "rate: the schedule has the same shape in every run.")
    everything = dataclasses.replace(results, studies={ALL: dict.fromkeys(results.configs, 0)})
    places = [(group, name) for group in everything.groups(ALL, VARIED, PUBLISHED) for name in group.evaluation_sets
              if is_testable(group, name)]
    if not places:
        page.text(f"No task has {LEAST} scored runs of one checkpoint that differ in batch size and rate alone, at two or more "
                  "of each; `python exp_why_bs.py --instances 4` or `python exp_lr_mnli.py --instances 4` trains such runs.")
        return
    for group, name in places:
        _write_figure(page, group, name)
    _write_curves(page, places)
    _write_best(page, places)


def is_testable(group: Group, evaluation_set: str) -> bool:
    """Whether there are runs enough, at two or more batch sizes and rates."""
    scored = [cell for cell in group.cells if cell.scored(evaluation_set)]
    return (sum(len(cell.scored(evaluation_set)) for cell in scored) >= LEAST
            and len({cell.config.batch_size for cell in scored}) > 1
            and len({cell.config.peak_learning_rate for cell in scored}) > 1)


def _points(group: Group, evaluation_set: str) -> list[tuple[Cell, float]]:
    return [(cell, row.score) for cell in group.cells for row in cell.scored(evaluation_set)]


def noise_scale(group: Group, cell: Cell) -> float:
    """Peak rate x rows of the training split / batch size."""
    rows, config = group.sets["train"].row_count, cell.config
    return (config.peak_learning_rate * count_training_rows(min(rows, config.limit_train or rows), config.validation)
            / config.batch_size)


def _name(group: Group) -> str:
    """Title and task; the title names the task itself where it is not the original's."""
    return group.title if "task" in group.differs else f"{group.title}, {group.task}"


def _write_figure(page: Page, group: Group, evaluation_set: str) -> None:
    points = _points(group, evaluation_set)
    clouds = {f"batch {size}": [(noise_scale(group, cell), 100 * score) for cell, score in points
                                if cell.config.batch_size == size]
              for size in sorted({cell.config.batch_size for cell, _ in points})}
    ax = figures.new_axes(f"{group.task} {evaluation_set}: {group.title}")
    ax.set_xlabel("noise scale: peak rate x training rows / batch size")
    ax.set_ylabel(f"evaluation {METRICS[group.metric]}")
    figures.draw_clouds(ax, clouds)
    if has_majority(group, evaluation_set):
        majority = group.sets[evaluation_set].majority
        figures.draw_level(ax, 100 * majority, f"majority class ({show_percent(majority)} %)")
    figures.add_legend(ax)
    what = f"Evaluation {METRICS[group.metric]}"
    page.figure(name_file("noise_scale", group, f"{group.task} {evaluation_set}"), ax,
                f"{what} against the noise scale, {escape(group.title)}, {escape(evaluation_set)}",
                f"{what}, over the {group.sets[evaluation_set].row_count} rows of {escape(evaluation_set)}, against rate x rows "
                f"/ batch size (logarithmic axis): every scored run of {escape(group.task)} in the store that has this "
                f"checkpoint, {group.cells[0].config.epochs} epochs and the recipe but for batch size, rate, head and data "
                "order, whichever "
                f"study it was trained for. {escape(group.title)}, {len(points)} runs.")


def _write_curves(page: Page, places: list[tuple[Group, str]]) -> None:
    page.text("The rule: among runs of equal scale the slope of the score on log2 of the batch size, in points for "
              "each doubling (least squares with a level of its own for every value of the scale, so that no shape of the "
              "curve is assumed; t test). Where its 95 % interval leaves out 0, runs of equal scale score differently, and the "
              "claim is **refuted**. Where even the interval's farther end, times the doublings between smallest and largest "
              "batch size, stays below the evaluation set's sampling error, it is **supported**. Else it is undecided; "
              "undecided, too, where no two batch sizes share a scale or no cell has an interval above the majority class. Runs "
              "that share a head are taken as independent. No correction is made for testing several times. The rank correlation "
              "(Spearman's, over runs, interval by Fisher's z) says how far the score rises or falls with g throughout; a "
              "curve with a best place "
              "within has a small one.")
    rows = []
    for group, name in places:
        correlation = _correlate(group, name)
        effects = {claim: within_scale(group, name, power) for claim, power in ((ONE_CURVE, 1), (SQUARE_ROOT, 1 / 2))}
        verdicts = {claim: _judge(group, name, effect) for claim, effect in effects.items()}
        runs = str(len(_points(group, name)))
        rows.append([escape(_name(group)), escape(name), runs, _show_correlation(correlation),
                     *(text for claim in effects for text in (show_effect(effects[claim]), verdicts[claim]))])
        for claim, verdict in verdicts.items():
            page.verdict(claim, escape(group.title), f"{escape(group.task)} {escape(name)}", runs, verdict, "why-noise-scale")
    page.table(["checkpoint and task", "set", "runs", "rank correlation of score and g", "slope at equal ε N / B, points",
                "one curve in it is", "slope at equal ε / sqrt(B), points", "one curve in that is"], rows)


def _correlate(group: Group, evaluation_set: str) -> Correlation | None:
    points = _points(group, evaluation_set)
    return rank_correlation([noise_scale(group, cell) for cell, _ in points], [score for _, score in points])


def within_scale(group: Group, evaluation_set: str, power: float) -> Effect | None:
    """Slope of the score on log2 of the batch size among runs of equal rate / batch size to this power."""
    points = _points(group, evaluation_set)
    # Rates of two or three digits: scales that differ by less than 1 % are meant to be equal.
    scales = [round(math.log2(cell.config.peak_learning_rate / cell.config.batch_size ** power) * 50) for cell, _ in points]
    return slope_within(scales, [math.log2(cell.config.batch_size) for cell, _ in points], [score for _, score in points])


def _judge(group: Group, evaluation_set: str, effect: Effect | None) -> str:
    if is_hopeless(group, evaluation_set):
        return "**undecided**: no cell has an interval above the majority class"
    points = _points(group, evaluation_set)
    sizes = [cell.config.batch_size for cell, _ in points]
    bound = None
    if has_majority(group, evaluation_set):
        bound = sampling_error(sum(score for _, score in points) / len(points), group.sets[evaluation_set].row_count)
    return judge_curve(effect, math.log2(max(sizes) / min(sizes)), bound)


def judge_curve(effect: Effect | None, doublings: float, bound: float | None) -> str:
    """Whether runs of equal scale score alike.

    Args:
      effect: slope of the score on log2 of the batch size at equal scale.
      doublings: between the smallest and the largest batch size.
      bound: what counts as alike, over all doublings: the sampling error of the set; None: nothing can.
    """
    if effect is None:
        return "**undecided**: no two batch sizes share a scale, or too few runs do"
    if effect.low > 0 or effect.high < 0:
        return "**refuted**"
    if bound is not None and max(-effect.low, effect.high) * doublings < bound:
        return "**supported**"
    return f"**undecided** at n = {effect.n}"


def _show_correlation(correlation: Correlation | None) -> str:
    return MISSING if correlation is None else f"{correlation.r:+.2f} [{correlation.low:+.2f}, {correlation.high:+.2f}]"


# -- the best batch size

def _write_best(page: Page, places: list[tuple[Group, str]]) -> None:
    page.heading("Does the best batch size grow with the rate?", "why-best-batch", level=3)
    page.text("At each rate that was run with two batch sizes or more, the batch size of the highest mean. In proportion "
              "would be: twice the batch size at twice the rate. The rule: how much the slope of the score on log2 of the "
              "batch size rises with each doubling of the rate, a weighted sum of cell means tested as Welch's, over the "
              "largest full rectangle of batch sizes and rates with two scored runs in each cell. Where its 95 % interval lies "
              "above 0 a higher rate does more for larger batches and the claim is **supported**, below 0 **contradicted**, else "
              "undecided. It does not say that the growth is in proportion.")
    best, tests = [], []
    for group, name in places:
        place = [escape(_name(group)), escape(name)]
        best += [place + row for row in _list_best(group, name)]
        sizes, rates, cells = find_rectangle(group, name)
        effect = measure_shift(sizes, rates, [[row.score for row in cell.scored(name)] for cell in cells])
        verdict = judge_shift(effect)
        if effect and is_hopeless(group, name):
            verdict = "**undecided**: no cell has an interval above the majority class"
        runs = str(sum(len(cell.scored(name)) for cell in cells))
        tests.append(place + [", ".join(map(str, sizes)) or MISSING, ", ".join(map(show_rate, rates)) or MISSING, runs,
                              show_effect(effect), verdict])
        if effect:
            page.verdict(BEST_BATCH, escape(group.title), f"{escape(group.task)} {escape(name)}", runs, verdict, "why-best-batch")
    page.table(["checkpoint and task", "set", "peak rate", "batch sizes", "best batch size", "second best"], best)
    page.table(["checkpoint and task", "set", "batch sizes", "rates", "runs",
                "rise of the slope, points for each doubling of both", "the claim is"], tests)


def _list_best(group: Group, evaluation_set: str) -> list[list[str]]:
    rows = []
    for rate in sorted({cell.config.peak_learning_rate for cell in group.cells}):
        cells = _merge([cell for cell in group.cells if cell.config.peak_learning_rate == rate and cell.scored(evaluation_set)])
        ranked = sorted(cells, key=lambda cell: -cell.interval(evaluation_set).mean)
        if len(ranked) > 1:
            rows.append([show_rate(rate), ", ".join(str(cell.config.batch_size) for cell in cells),
                         *(f"{cell.config.batch_size} ({show_interval(cell.interval(evaluation_set))}, n = "
                           f"{len(cell.scored(evaluation_set))})" for cell in ranked[:2])])
    return rows


def _merge(cells: list[Cell]) -> list[Cell]:
    """Cells of one batch size and rate as one, whatever their data order."""
    merged = {}
    for cell in cells:
        key = cell.config.batch_size, cell.config.peak_learning_rate
        merged[key] = dataclasses.replace(merged[key], runs=merged[key].runs + cell.runs) if key in merged else cell
    return list(merged.values())


def find_rectangle(group: Group, evaluation_set: str) -> tuple[list[int], list[float], list[Cell]]:
    """Batch sizes, rates at which all of these have two scored runs, and the cells by batch size and rate: the most there are."""
    ready = {(cell.config.batch_size, cell.config.peak_learning_rate): cell for cell in _merge(list(group.cells))
             if len(cell.scored(evaluation_set)) > 1}
    sizes = sorted({size for size, _ in ready})
    every = sorted({rate for _, rate in ready})
    best = ([], [])
    for number in range(2, len(sizes) + 1):
        for chosen in itertools.combinations(sizes, number):
            rates = [rate for rate in every if all((size, rate) in ready for size in chosen)]
            if len(rates) > 1 and len(rates) * number > len(best[0]) * len(best[1]):
                best = (list(chosen), rates)
    return *best, [ready[size, rate] for size in best[0] for rate in best[1]]
