"""The section "Why do small batches train better?": the studies of exp_why_bs.py."""
import dataclasses
import math
from dataclasses import dataclass

from common.report import figures
from common.report.cells import METRICS, name_file, show_n, to_column
from common.report.comparisons import LABELS, PUBLISHED, STUDY, Comparison, find_comparisons, is_begun
from common.report.page import MISSING, Page, count, escape, show_effect, show_interval, show_p, show_percent
from common.report.remarks import has_majority, is_hopeless, list_remarks, say_so_far
from common.report.results import Cell, Results
from common.report.sections import noise_scale, say_empty, spread
from common.report.sections.background import say_origin
from common.report.statistics import Effect, holm, mean_effect, slope
from common.studies.conditions import BASE
from common.studies.names import show_rate

COMMAND = "python exp_why_bs.py --instances {}"
LEVEL = 0.05
HYPOTHESES = {
    "dropout_0": "because of dropout in training",
    "same_steps": "because as many epochs are more steps",
    "linear": "because the rate does not grow in proportion to the batch size",
    "sqrt": "because the rate does not grow with the square root of the batch size",
    "best_rate": "because one rate does not suit every batch size"}
"""Condition -> the reason that it takes away: "small batches do better ..."."""


@dataclass(frozen=True)
class Finding:
    """What one condition says of its hypothesis on one evaluation set."""

    condition: str
    sizes: list[int]
    """Batch sizes at which both conditions have the instances below."""
    instances: list[int]
    slopes: tuple[list[float], list[float]]
    """Of every instance: as is, and under the condition."""
    left: Effect | None
    """Slope under the condition minus half of that as is."""


def write(page: Page, results: Results) -> None:
    """The whole section; one line for each study of which the store holds nothing."""
    page.heading("Why do small batches train better?", "why")
    page.text("The original leaves the question open: batch normalisation? dropout not disabled? "
              f"`{COMMAND.format(4)}` changes one thing at a time on MRPC, or another task, at batch sizes 2, 8, 16, 32 and 64 "
              "from peak rate 2e-5 and 5 epochs, 4 instances.")
    page.items(_list_facts())
    comparisons = find_comparisons(results)
    if not comparisons:
        page.text(f"The store has no runs *as is* to compare with; `{COMMAND.format(4)} --conditions as_is` trains them."
                  if is_begun(results) else say_empty(COMMAND.format(4)))
    for comparison in comparisons:
        _write_comparison(page, results, comparison)
    if comparisons:
        _write_hypotheses(page, comparisons)
    noise_scale.write(page, results)
    spread.write(page, results)


def _list_facts() -> list[str]:
    return [
        "**Batch normalisation** is no reason: BERT has none. It has layer normalisation, which takes its mean and variance "
        "over the numbers of one token, so that a row is computed alike in a batch of any size.",
        "**Dropout** is on in training and off whenever a set is scored, here as in the original's recipe. What it does in "
        "training is the condition *dropout 0*.",
        f"*{LABELS['same_steps']}*: the number of optimizer steps that batch size {BASE} takes in 5 epochs, at every batch size. "
        f"*{LABELS['linear']}*, *{LABELS['sqrt']}*: the peak rate times batch size / {BASE}, or times its square root, so that "
        f"it is lower below {BASE} and higher above; at {BASE} these three are the runs as is. *{LABELS['best_rate']}*: of 1/4, "
        "1, 4 and 16 times the rate, the one with the highest mean validation score over two instances, which belong to "
        "the four that are scored; the evaluation set has no part in the choice."]


# -- what was measured

def _write_comparison(page: Page, results: Results, comparison: Comparison) -> None:
    group = comparison.group
    page.heading(escape(group.title), f"why-{group.id}", level=3)
    page.text(f"Checkpoint: {say_origin(group.checkpoint)}. {escape(group.task)}.")
    command = COMMAND.format(max(cell.asked for cell in group.cells))
    command += "" if group.task == PUBLISHED["task"] else f" --task {escape(group.task)}"
    page.items(list_remarks(group, results, comparison.name_cell, command))
    if not group.finished:
        return
    for evaluation_set in group.evaluation_sets:
        _write_table(page, comparison, evaluation_set)
        _write_figure(page, comparison, evaluation_set)


def _write_table(page: Page, comparison: Comparison, evaluation_set: str) -> None:
    group = comparison.group
    page.table(["condition", *(f"batch {size}" for size in comparison.sizes)],
               [[LABELS[name], *(_show_cell(cells.get(size), evaluation_set, name) for size in comparison.sizes)]
                for name, cells in comparison.lines.items()])
    page.text(f"Evaluation {METRICS[group.metric]}, set {escape(evaluation_set)}, {group.sets[evaluation_set].row_count} rows: "
              "means over the instances ± half of their 95 % interval (scored of asked for).")


def _show_cell(cell: Cell | None, evaluation_set: str, condition: str) -> str:
    if cell is None:
        return MISSING
    notes = [show_n(cell, evaluation_set)]
    if condition == "best_rate":
        notes.append(f"at {show_rate(cell.config.peak_learning_rate)}")
    for number, what in ((cell.count_collapsed(evaluation_set), "collapsed"), (len(cell.where_status("diverged")), "diverged")):
        notes += [f"{number} {what}"] if number else []
    return f"{show_interval(cell.interval(evaluation_set))} ({', '.join(notes)})"


def _write_figure(page: Page, comparison: Comparison, evaluation_set: str) -> None:
    """Score against batch size: a panel for each condition, with the means as is in all of them."""
    group = comparison.group
    shown = [name for name, cells in comparison.lines.items() if any(cell.scored(evaluation_set) for cell in cells.values())]
    panels = figures.new_panels(f"{group.task}: {group.title}", [LABELS[name] for name in shown])
    as_is = {size: 100 * cell.interval(evaluation_set).mean for size, cell in comparison.lines["as_is"].items()
             if cell.scored(evaluation_set)}
    for place, (ax, name) in enumerate(zip(panels, shown, strict=True)):
        figures.set_base_2_axis(ax, comparison.sizes, "batch size")
        if place % 3 == 0:
            ax.set_ylabel(f"evaluation {METRICS[group.metric]}")
        if name != "as_is":
            figures.draw_reference(ax, as_is, "means as is")
        figures.draw_instances(ax, [to_column(cell, evaluation_set, x=size)
                                    for size, cell in sorted(comparison.lines[name].items())])
    if has_majority(group, evaluation_set):
        majority = group.sets[evaluation_set].majority
        for ax in panels:
            figures.draw_level(ax, 100 * majority, f"majority class ({show_percent(majority)} %)")
    figures.add_legend(panels[0])
    numbers = "; ".join(f"{LABELS[name]}: " + ", ".join(
        str(len(cell.scored(evaluation_set))) for _, cell in sorted(comparison.lines[name].items())) for name in shown)
    what = f"Evaluation {METRICS[group.metric]}"
    page.figure(name_file(STUDY, group, evaluation_set), panels[0],
                f"{what} against batch size under each condition, {escape(group.title)}",
                f"{what}, over the {group.sets[evaluation_set].row_count} rows of {escape(evaluation_set)}, against batch size "
                "(base-2 axis): every run, their mean and its 95 % interval, a panel for each condition, all on one scale. "
                f"n by batch size = {numbers}.")


# -- what it says

def _write_hypotheses(page: Page, comparisons: list[Comparison]) -> None:
    page.heading("Which reason holds?", "why-hypotheses", level=3)
    page.text("The rule, written without a look at any run with something changed: the *advantage* of small batches is the "
              "least-squares slope of the score on log2 of the batch size, in points for each doubling, negative where small "
              "batches do better. An instance number has the same initial head at every batch size and under every condition, "
              "so each instance gives one slope, and the conditions are compared in pairs. A reason is **supported** where, "
              "with it taken away, less than half of the advantage is left, **refuted** where more than half is: the slope "
              "under the condition minus half of the slope as is, tested against 0 by Student's paired t test, and its p value "
              f"corrected by Holm's method for the {len(HYPOTHESES)} reasons tested on one set, at {LEVEL:g}. Else it is "
              "undecided; undecided, too, where the slope as is has no 95 % interval below 0 (nothing is there to be "
              "explained), no cell has an interval above the majority class, or every run of a batch size is collapsed under the "
              "condition (a clause that came with the first such runs: their score tells nothing of the model). The slope can "
              "also vanish because small batches get worse: "
              "the last two columns are the mean changes at the smallest and the largest batch size. The intervals are not "
              "corrected. Instances differ "
              "in the head alone; other data orders and other rows may say otherwise.")
    rows = []
    for comparison in comparisons:
        group = comparison.group
        for name in group.evaluation_sets:
            for row in _test(comparison, name):
                rows.append([escape(group.title), escape(name), *row])
                if row[1] != "0":
                    page.verdict(f"open question: small batches do better {row[0]}", escape(group.title),
                                 f"{escape(group.task)} {escape(name)}", row[1], row[-1], "why-hypotheses")
    page.table(["checkpoint", "set", "small batches do better", "runs", "instances", "slope as is", "slope then",
                "slope then minus half of that as is, points", "p, corrected", "change at the smallest batch, points",
                "change at the largest", "the reason is"], rows)


def _test(comparison: Comparison, evaluation_set: str) -> list[list[str]]:
    """A row for each hypothesis: what is tested, and the verdict."""
    lines, group = comparison.lines, comparison.group
    findings = [find_out(name, lines["as_is"], lines[name], evaluation_set) for name in HYPOTHESES]
    corrected = holm([finding.left.p if finding.left else 1.0 for finding in findings])
    advantage = find_out("as_is", lines["as_is"], lines["as_is"], evaluation_set)
    hopeless = is_hopeless(dataclasses.replace(group, cells=tuple(lines["as_is"].values())), evaluation_set)
    rows = []
    for finding, p in zip(findings, corrected, strict=True):
        verdict = judge(mean_effect(advantage.slopes[0]), finding.left, p)
        if not lines[finding.condition]:
            verdict = "**undecided**: not run"
        elif hopeless:
            verdict = "**undecided**: no cell as is has an interval above the majority class"
        elif collapsed := _find_collapsed(lines[finding.condition], finding.sizes, evaluation_set):
            verdict = f"**undecided**: every run of batch {collapsed[0]} is collapsed then"
        runs = sum(len(lines[name][size].scored(evaluation_set)) for name in ("as_is", finding.condition)
                   for size in finding.sizes)
        both = f"{len(finding.instances)} at batch {', '.join(map(str, finding.sizes))}" if finding.instances else MISSING
        rows.append([HYPOTHESES[finding.condition], str(runs), both, *map(_show_slope, finding.slopes),
                     show_effect(finding.left), show_p(p).removeprefix("= ") if finding.left else MISSING,
                     *_show_changes(finding, lines, evaluation_set), verdict + say_so_far(group)])
    return rows


def _find_collapsed(cells: dict[int, Cell], sizes: list[int], evaluation_set: str) -> list[int]:
    """The batch sizes whose every scored run is collapsed."""
    return [size for size in sizes if cells[size].count_collapsed(evaluation_set) == len(cells[size].scored(evaluation_set))]


def find_out(condition: str, as_is: dict[int, Cell], then: dict[int, Cell], evaluation_set: str) -> Finding:
    """Slopes of the instances that both conditions have at every batch size that both have at all."""
    before, after = ({size: cell.scores(evaluation_set) for size, cell in cells.items()} for cells in (as_is, then))
    sizes = sorted(size for size in before if before[size] and after.get(size))
    if len(sizes) < 2:
        return Finding(condition, [], [], ([], []), None)
    instances = sorted(set.intersection(*(set(scores[size]) for scores in (before, after) for size in sizes)))
    logs = [math.log2(size) for size in sizes]
    slopes = tuple([slope(logs, [scores[size][number] for size in sizes]) for number in instances] for scores in (before, after))
    left = mean_effect([b - a / 2 for a, b in zip(*slopes, strict=True)])
    return Finding(condition, sizes, instances, slopes, left)


def judge(advantage: Effect | None, left: Effect | None, p: float) -> str:
    """What a condition says of the reason that it takes away.

    Args:
      advantage: slope as is.
      left: slope under the condition minus half of the slope as is.
      p: corrected, of `left`.
    """
    if left is None or advantage is None:
        return "**undecided**: too few runs, or no spread to test"
    if advantage.high >= 0:
        return f"**undecided**: as is, small batches do not do better at n = {advantage.n}"
    if p >= LEVEL:
        return f"**undecided** at {count(left.n, 'pair')}"
    return "**supported**" if left.estimate > 0 else "**refuted**"


def _show_slope(slopes: list[float]) -> str:
    return f"{100 * sum(slopes) / len(slopes):+.2f}" if slopes else MISSING


def _show_changes(finding: Finding, lines: dict, evaluation_set: str) -> list[str]:
    """Mean change from as is, over the pairs, at the smallest and the largest batch size."""
    if not finding.instances:
        return [MISSING] * 2
    changes = []
    for size in (finding.sizes[0], finding.sizes[-1]):
        before, after = (lines[name][size].scores(evaluation_set) for name in ("as_is", finding.condition))
        changes.append(f"{100 * sum(after[k] - before[k] for k in finding.instances) / len(finding.instances):+.2f}")
    return changes
