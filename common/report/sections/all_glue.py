"""The section "All of GLUE": both studies of exp_allglue.py."""
import math
from dataclasses import dataclass
from statistics import median

from common.report import figures, published
from common.report.cells import METRICS, name_file, show_n, show_time, to_column
from common.report.page import MISSING, Page, escape, show_exactly, show_interval, show_percent
from common.report.remarks import equals_majority, has_majority, list_run_remarks, warn_of_rows
from common.report.results import Cell, Group, Results, Suite
from common.report.sections import say_empty
from common.report.sections.background import say_origin
from common.report.statistics import mean_interval, sampling_error
from common.studies.names import show_rate
from common.studies.tasks import TASKS

STUDY, UPSTREAM = "allglue", "allglue_upstream"
COMMAND = "python exp_allglue.py --instances {}"
UPSTREAM_COMMAND = "python exp_allglue.py --grid upstream"
PUBLISHED = {"epochs": 4, "peak_learning_rate": 2e-5}
NORMAL_95 = 1.96
COLUMNS = {"accuracy": "accuracy, %", "f1": "F1 x 100", "matthews": "Matthews x 100", "pearson": "Pearson x 100",
           "spearman": "Spearman x 100"}


@dataclass(frozen=True)
class Line:
    """One row of a table: a configuration on one of its evaluation sets."""

    task: str
    group: Group
    cell: Cell
    evaluation_set: str

    @property
    def data(self):
        return self.group.sets[self.evaluation_set]

    @property
    def name(self) -> str:
        """Task and set, the set only where there are several."""
        return self.task + (f" {self.evaluation_set}" if len(self.group.evaluation_sets) > 1 else "")

    @property
    def zero(self) -> float:
        """The score that tells nothing of the model: the majority class, 0 for a correlation."""
        return self.data.majority if has_majority(self.group, self.evaluation_set) else 0.0

    @property
    def sampling(self) -> float | None:
        """Standard error of the accuracy by the size of the evaluation set; None where there is no accuracy."""
        mean = self.cell.interval(self.evaluation_set, "accuracy").mean
        return None if mean is None else sampling_error(mean, self.data.row_count)

    @property
    def published(self) -> published.Score | None:
        score = published.ALL_GLUE.get((self.group.task, self.evaluation_set))
        same = self.group.as_published and score and score.batch_size == self.cell.config.batch_size
        return score if same else None


def write(page: Page, results: Results) -> None:
    """The whole section; one line for each study of which the store holds nothing."""
    page.heading("All of GLUE", "all-glue")
    page.text("What does BERT-mini reach on each task with one plain recipe? "
              f"`{COMMAND.format(1)}`: batch size 8 (64 for MNLI and SNLI) at peak rate 2e-5, 4 epochs, 1 instance.")
    suites = results.suites(STUDY, ("batch_size",), PUBLISHED)
    if not suites:
        page.text(say_empty(COMMAND.format(1)))
    for suite in suites:
        _write_suite(page, results, suite)
    searches = results.suites(UPSTREAM, ("batch_size", "peak_learning_rate"), PUBLISHED)
    _write_cola(page, suites, searches)
    _write_searches(page, results, searches)


def _lines(suite: Suite) -> list[Line]:
    return [Line(suite.name_task(group), group, cell, evaluation_set) for group in suite.groups for cell in group.cells
            for evaluation_set in group.evaluation_sets]


def _write_suite(page: Page, results: Results, suite: Suite) -> None:
    page.heading(escape(suite.title), f"all-glue-{suite.id}", level=3)
    page.text(f"Checkpoint: {say_origin(suite.checkpoint)}. {suite.cells[0].config.epochs} epochs, peak learning rate "
              f"{show_rate(suite.cells[0].config.peak_learning_rate)}.")
    lines = _lines(suite)
    command = COMMAND.format(max(cell.asked for cell in suite.cells))
    page.items(list_run_remarks(suite.cells, results, _name_cell, command)
               + _missing_tasks(suite, command) + _warnings(lines) + _uninformative(lines))
    if not any(cell.finished for cell in suite.cells):
        return
    _write_scores(page, lines)
    _write_published(page, suite, lines)
    _write_figure(page, suite, lines)


def _name_cell(cell: Cell) -> str:
    return f"{escape(cell.config.task)}, batch {cell.config.batch_size}"


def _missing_tasks(suite: Suite, command: str) -> list[str]:
    missing = [task for task in TASKS if task not in {group.task for group in suite.groups}]
    return [f"Not in the store: {', '.join(missing)}. `{command} --tasks {' '.join(missing)}` with this checkpoint "
            "and settings trains what is missing."] if missing else []


def _warnings(lines: list[Line]) -> list[str]:
    return [f"{escape(line.name)}: {warning}" for line in lines
            for warning in warn_of_rows([line.cell], line.evaluation_set, line.data.row_count)]


def _uninformative(lines: list[Line]) -> list[str]:
    """Which scores tell nothing of the model, or little on so few rows."""
    equal, near = [], []
    for line in lines:
        mean = line.cell.interval(line.evaluation_set).mean
        if mean is None or not has_majority(line.group, line.evaluation_set):
            continue
        if equals_majority(line.group, line.cell, line.evaluation_set):
            equal.append(escape(line.name))
        elif mean - line.data.majority <= 2 * line.sampling:
            near.append(escape(line.name))
    return ([f"**Uninformative** ({', '.join(equal)}): every score equals the majority class."] if equal else []) + (
        [f"Not above the majority class by more than two sampling errors of the set ({', '.join(near)})."] if near else [])


def _write_scores(page: Page, lines: list[Line]) -> None:
    """Our scores: the main metric in bold, and of the others those that occur."""
    metrics = [metric for metric in COLUMNS if any(line.cell.interval(line.evaluation_set, metric).n for line in lines)]
    rows = []
    for line in lines:
        cell, evaluation_set = line.cell, line.evaluation_set
        rows.append([escape(line.task), escape(evaluation_set), str(line.data.row_count), str(cell.config.batch_size),
                     show_n(cell, evaluation_set), *(_show_metric(line, metric) for metric in metrics), show_time(cell),
                     show_percent(line.data.majority), show_percent(line.sampling),
                     str(cell.count_collapsed(evaluation_set)), str(len(cell.where_status("diverged")))])
    page.table(["task", "set", "rows", "batch size", "n", *(COLUMNS[metric] for metric in metrics), "training time",
                "majority class, %", "sampling error of accuracy, points", "collapsed", "diverged"], rows)
    page.text("Bold: the main metric of the task. Means over the instances ± half of their 95 % interval; one run has "
              "no interval.")


def _show_metric(line: Line, metric: str) -> str:
    shown = show_interval(line.cell.interval(line.evaluation_set, metric))
    return f"**{shown}**" if metric == line.group.metric and shown != MISSING else shown


def _write_published(page: Page, suite: Suite, lines: list[Line]) -> None:
    """The published values beside ours, where settings and rows are the same."""
    rows = []
    for line in lines:
        score = line.published
        server = published.GOOGLE_TEST_SERVER.get((line.group.task, line.evaluation_set))
        if not line.group.as_published or not (score or server):
            continue
        there = [show_exactly(score.accuracy), f"{score.rows} of {line.data.official_rows}", show_exactly(score.f1),
                 f"{score.minutes} min"] if score else [MISSING] * 4
        ours = line.cell.interval(line.evaluation_set)
        rows.append([escape(line.task), escape(line.evaluation_set), show_interval(ours), there[0], there[1],
                     show_interval(line.cell.interval(line.evaluation_set, "f1")), there[2], show_time(line.cell),
                     there[3], server or MISSING])
    if not rows:
        page.text("The published values belong to other settings or other rows and are left out here.")
        return
    page.table(["task", "set", "our main metric x 100", "accuracy of 2020, %", "its rows", "our F1 x 100",
                "F1 row of 2020 (no usable F1)", "our training time", "training time of 2020",
                "GLUE test server, best of 20 settings (Google)"], rows)
    page.items(published.ALL_GLUE_NOTES)


def _write_figure(page: Page, suite: Suite, lines: list[Line]) -> None:
    """How far every run is above the score that tells nothing."""
    several = len({line.name for line in lines}) < len(lines)
    rows = [figures.Row(line.name + (f", batch {line.cell.config.batch_size}" if several else ""),
                        to_column(line.cell, line.evaluation_set, zero=line.zero),
                        100 * NORMAL_95 * line.sampling if has_majority(line.group, line.evaluation_set)
                        and line.sampling is not None else None) for line in lines]
    ax = figures.draw_rows(figures.new_axes(suite.title), rows)
    ax.set_xlabel("points above the majority class")
    figures.add_legend(ax)
    page.figure(name_file(STUDY, suite, "tasks"), ax,
                f"Points above the majority class for every task, {escape(suite.title)}",
                "Evaluation accuracy in points above the majority class of the set; for CoLA Matthews x 100 and for "
                "STS-B Pearson x 100, where 0 tells nothing. The grey bar is where 95 % of dev sets of this size would "
                "put the mean. n = " + ", ".join(f"{escape(line.name)}: {len(line.cell.scored(line.evaluation_set))}"
                                         for line in lines) + ".")


def _write_cola(page: Page, suites: list[Suite], searches: list[Suite]) -> None:
    """Why the original may have left CoLA out, answered from the store."""
    page.heading("Why was CoLA left out?", "all-glue-cola", level=3)
    page.text("The original leaves CoLA out and does not remember why. The likely answer: **BERT-mini predicts one "
              "class for every sentence**, which makes Matthews correlation 0; Google's test-server result is Matthews "
              "0.0. The test, for each checkpoint by itself: supported where every run is collapsed; contradicted "
              f"where none is and each has a Matthews correlation above {NORMAL_95} / sqrt(rows), the 5 % bound of the "
              "chi-squared test of independence; else undecided.")
    rows = [_cola_row(suite, group, what) for what, found in (("one recipe", suites), ("Google's search", searches))
            for suite in found for group in suite.groups if group.task == "CoLA"]
    if not rows:
        page.text(f"The store holds no run of CoLA; `{COMMAND.format(1)} --tasks CoLA` trains one.")
        return
    page.table(["checkpoint", "study", "n", "collapsed", "Matthews x 100, lowest to highest", "accuracy, %",
                "majority class, %", "the answer is"], rows)
    for title, what, runs, *_, verdict in rows:
        page.verdict("open question, why CoLA was left out: BERT-mini predicts one class", title, f"CoLA dev, {what}",
                     runs.split()[0], verdict, "all-glue-cola")


def _cola_row(suite: Suite, group: Group, what: str) -> list[str]:
    scored = [row for cell in group.cells for row in cell.scored("dev")]
    matthews = [row.matthews for row in scored]
    spread = f"{show_percent(min(matthews))} to {show_percent(max(matthews))}" if scored else MISSING
    accuracy = mean_interval([row.accuracy for row in scored]).mean
    return [escape(suite.title), what, f"{len(scored)} of {group.wanted}", str(sum(row.collapsed for row in scored)), spread,
            show_percent(accuracy), show_percent(group.sets["dev"].majority), judge_cola(scored)]


def judge_cola(scored: list) -> str:
    """What the runs say of "BERT-mini predicts one class on CoLA"; `scored` are rows of `evaluations`."""
    if not scored:
        return "**undecided**: no run has a score"
    if all(row.collapsed for row in scored):
        return f"**supported** at n = {len(scored)}"
    if all(not row.collapsed and row.matthews > NORMAL_95 / math.sqrt(row.row_count) for row in scored):
        return f"**contradicted** at n = {len(scored)}"
    return f"**undecided** at n = {len(scored)}"


def _write_searches(page: Page, results: Results, searches: list[Suite]) -> None:
    """Google's grid for every task, with what it selects."""
    page.heading("Google's search: five batch sizes by four rates", "all-glue-upstream", level=3)
    page.text("Google published the best of 20 settings for each task, 4 epochs each; the original skipped this search. "
              f"`{UPSTREAM_COMMAND}`: batch sizes 8, 16, 32, 64 and 128 by peak rates 3e-5, 5e-5, 1e-4 and 3e-4, 1 instance.")
    if not searches:
        page.text(say_empty(UPSTREAM_COMMAND, "search"))
        return
    page.text("**A score that was selected is optimistic**: the cell is chosen on the very rows that it is scored on, "
              "so part of its lead is luck, the more the more cells there are and the fewer rows. The median of the "
              "cells and the number of cells within one sampling error of the best show how much the choice matters. "
              "Google's value is from the test set.")
    for suite in searches:
        _write_search(page, results, suite)


def _write_search(page: Page, results: Results, suite: Suite) -> None:
    page.heading(escape(suite.title), f"all-glue-upstream-{suite.id}", level=4)
    page.text(f"Checkpoint: {say_origin(suite.checkpoint)}. {suite.cells[0].config.epochs} epochs.")
    page.items(list_run_remarks(suite.cells, results, lambda cell: escape(cell.config.task), UPSTREAM_COMMAND)
               + _missing_tasks(suite, UPSTREAM_COMMAND))
    places = [(suite.name_task(group), group, name) for group in suite.groups if group.finished
              for name in group.evaluation_sets]
    if not places:
        return
    page.table(["task", "set", "cells with a score", "selected", "n", "its score x 100", "median of the cells",
                "within one sampling error", "majority class, %", "GLUE test server, best of 20 settings (Google)"],
               [_selection_row(*place) for place in places])
    for place in places:
        _write_grid(page, *place)


def select(group: Group, evaluation_set: str) -> Cell | None:
    """The cell of the highest mean; of equal ones the smallest batch and rate."""
    scored = [cell for cell in group.cells if cell.scored(evaluation_set)]
    return max(scored, key=lambda cell: cell.interval(evaluation_set).mean, default=None)


def _selection_row(task: str, group: Group, evaluation_set: str) -> list[str]:
    best = select(group, evaluation_set)
    means = [cell.interval(evaluation_set).mean for cell in group.cells if cell.scored(evaluation_set)]
    grid = [cell for cell in group.cells if cell.config.batch_size in published.GOOGLE_BATCH_SIZES
            and cell.config.peak_learning_rate in published.GOOGLE_RATES and cell.scored(evaluation_set)]
    server = published.GOOGLE_TEST_SERVER.get((group.task, evaluation_set)) if group.as_published else None
    chosen = [MISSING] * 5 if best is None else [
        _name_setting(best), show_n(best, evaluation_set), show_interval(best.interval(evaluation_set)),
        show_percent(median(means)), _count_near(group, best, evaluation_set, means)]
    return [escape(task), escape(evaluation_set), f"{len(grid)} of "
            f"{len(published.GOOGLE_BATCH_SIZES) * len(published.GOOGLE_RATES)}", *chosen,
            show_percent(group.sets[evaluation_set].majority), server or MISSING]


def _name_setting(cell: Cell) -> str:
    return f"batch {cell.config.batch_size} at {show_rate(cell.config.peak_learning_rate)}"


def _count_near(group: Group, best: Cell, evaluation_set: str, means: list[float]) -> str:
    """How many of the other cells the set is too small to tell from the best."""
    if not has_majority(group, evaluation_set):
        return MISSING
    top = best.interval(evaluation_set).mean
    error = sampling_error(top, group.sets[evaluation_set].row_count)
    return f"{sum(top - mean <= error for mean in means) - 1} of {len(means) - 1}"


def _write_grid(page: Page, task: str, group: Group, evaluation_set: str) -> None:
    cells = {(cell.config.batch_size, cell.config.peak_learning_rate): cell for cell in group.cells}
    sizes = sorted({size for size, _ in cells} | set(published.GOOGLE_BATCH_SIZES))
    rates = sorted({rate for _, rate in cells} | set(published.GOOGLE_RATES))
    best = select(group, evaluation_set)
    page.table(["batch size", *(f"rate {show_rate(rate)}" for rate in rates)],
               [[str(size), *(_show_place(cells.get((size, rate)), best, evaluation_set) for rate in rates)]
                for size in sizes])
    page.text(f"{escape(task)}, {escape(evaluation_set)}, {group.sets[evaluation_set].row_count} rows: "
              f"{METRICS[group.metric]}, mean and n; the selected cell in bold.")


def _show_place(cell: Cell | None, best: Cell | None, evaluation_set: str) -> str:
    if cell is None or not cell.finished:
        return MISSING
    shown = f"{show_interval(cell.interval(evaluation_set))} (n = {len(cell.scored(evaluation_set))})"
    shown = f"**{shown}**" if cell is best else shown
    kinds = {"collapsed": cell.count_collapsed(evaluation_set), "diverged": len(cell.where_status("diverged"))}
    return ", ".join([shown, *(f"{number} {kind}" for kind, number in kinds.items() if number)])
