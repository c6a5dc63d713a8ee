"""The section "All of GLUE": both studies of exp_allglue.py."""
from dataclasses import dataclass
from statistics import median

from common.report import figures, published
from common.report.cells import METRICS, name_file, show_cell, show_cost, show_f1, to_column
from common.report.checkpoints import say_origin
from common.report.claims import Line as ClaimLine
from common.report.claims import weakness_of
from common.report.judging.rules import equals_majority, has_majority
from common.report.page import MISSING, Markdown, Page, escape, show_exactly, show_mean, show_percent
from common.report.remarks import list_mixed, list_run_remarks, warn_of_rows
from common.report.results import Cell, Group, Results, Suite
from common.report.sections import pick_claims
from common.report.statistics import sampling_error
from common.report.templates import render, say
from common.studies.names import show_rate
from common.studies.tasks import TASKS

STUDY, UPSTREAM = "allglue", "allglue_upstream"
COMMAND = "python exp_allglue.py --instances {}"
UPSTREAM_COMMAND = "python exp_allglue.py --grid upstream"
PUBLISHED = {"epochs": 4, "peak_learning_rate": 2e-5}
NORMAL_95 = 1.96
OTHERS = {"accuracy": "accuracy", "matthews": "Matthews", "pearson": "Pearson", "spearman": "Spearman"}


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
        return self.group.name_set(self.evaluation_set, self.task)

    @property
    def is_part(self) -> bool:
        """Whether it was trained or scored on fewer rows than the official ones."""
        return _is_part(self.data) or _is_part(self.group.sets["train"])

    @property
    def mark(self) -> str:
        return " (part)" if self.is_part else ""

    @property
    def rows(self) -> str:
        """`8402 of 40430 rows; trained on 21714 of 363846`; of an official set its size alone."""
        train = self.group.sets["train"]
        return f"{_count(self.data)} rows" + (f"; trained on {_count(train)}" if _is_part(train) else "")

    @property
    def has_majority(self) -> bool:
        return has_majority(self.group, self.evaluation_set)

    @property
    def zero(self) -> float:
        """The score that tells nothing of the model: the majority class, 0 for a correlation."""
        return self.data.majority if self.has_majority else 0.0

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


def _is_part(data) -> bool:
    return data.row_count < (data.official_rows or 0)


def _count(data) -> str:
    return f"{data.row_count} of {data.official_rows}" if _is_part(data) else f"{data.row_count}"


def write(page: Page, results: Results, claims: dict[str, ClaimLine]) -> Markdown:
    """The whole section; one line for each study of which the store holds nothing."""
    suites = _from_strongest(results.suites(STUDY, ("batch_size",), PUBLISHED))
    searches = _from_strongest(results.suites(UPSTREAM, ("batch_size", "peak_learning_rate"), PUBLISHED))
    return render("all_glue", command=COMMAND.format(1), upstream_command=UPSTREAM_COMMAND,
                  suites=[_describe(page, results, each) for each in suites],
                  searches=[_describe_search(page, results, suite) for suite in searches],
                  claims=pick_claims(claims, "cola"), cola=claims["cola"].best,
                  cola_rows=_list_cola(suites, "one recipe") + _list_cola(searches, "Google's search"))


def _from_strongest(suites: list[Suite]) -> list[Suite]:
    return sorted(suites, key=lambda suite: (weakness_of(suite.groups[0])[:2], -sum(len(cell.finished) for cell in suite.cells),
                                             suite.title))


def _describe(page: Page, results: Results, suite: Suite) -> dict:
    page.show(suite.cells)
    lines = [Line(suite.name_task(group), group, cell, name) for group in suite.groups for cell in group.cells
             for name in group.evaluation_sets]
    command = COMMAND.format(max(cell.asked for cell in suite.cells))
    done = any(cell.finished for cell in suite.cells)
    return {"suite": suite, "config": suite.cells[0].config, "origin": say_origin(suite.checkpoint), "done": done,
            "remarks": [*list_run_remarks(suite.cells, _name_cell, command), *_missing_tasks(suite, command), *_parts(lines),
                        *_warnings(lines), *_uninformative(lines)],
            "mixed": list_mixed(suite.cells, results), "rows": [_row(line) for line in lines],
            "published": [_beside(line) for line in lines if _has_published(line)],
            "numbers": Markdown(", ".join(f"{escape(line.name)}{line.mark}: {len(line.cell.scored(line.evaluation_set))}"
                                          for line in lines)),
            "figure": page.draw(name_file(STUDY, suite, "tasks"), _draw(suite, lines)) if done else None}


def _name_cell(cell: Cell) -> str:
    return f"{escape(cell.config.task)}, batch {cell.config.batch_size}"


def _missing_tasks(suite: Suite, command: str) -> list[Markdown]:
    missing = [task for task in TASKS if task not in {group.task for group in suite.groups}]
    return [Markdown(f"Not in the store: {', '.join(missing)}. `{command} --tasks {' '.join(missing)}` with this checkpoint "
                     "and these settings trains what is missing.")] if missing else []


def _parts(lines: list[Line]) -> list[Markdown]:
    parts = [line for line in lines if line.is_part]
    return [Markdown(f"Trained or scored on parts of the official sets: {_names(parts)}.")] if parts else []


def _warnings(lines: list[Line]) -> list[Markdown]:
    return [Markdown(f"{escape(line.name)}: {warning}") for line in lines
            for warning in warn_of_rows([line.cell], line.evaluation_set, line.data.row_count)]


def _is_near(line: Line) -> bool:
    """Whether the mean is not above the majority class by more than two standard errors of the set."""
    mean = line.cell.interval(line.evaluation_set).mean
    return mean is not None and mean - line.data.majority <= 2 * line.sampling


def _uninformative(lines: list[Line]) -> list[Markdown]:
    """Which scores tell nothing of the model, or little on so few rows."""
    known = [line for line in lines if line.has_majority]
    equal = [line for line in known if equals_majority(line.group, line.cell, line.evaluation_set)]
    near = [line for line in known if line not in equal and _is_near(line)]
    told = []
    if equal:
        told.append(f"**Uninformative** ({_names(equal)}): every score equals the majority class.")
    if near:
        told.append(f"Not above the majority class by more than two standard errors of the set ({_names(near)}).")
    return [Markdown(each) for each in told]


def _names(lines: list[Line]) -> str:
    return ", ".join(escape(line.name) for line in lines)


def _row(line: Line) -> dict:
    cell, evaluation_set = line.cell, line.evaluation_set
    speed, minutes = show_cost(cell)
    majority = None if line.data.majority is None else show_percent(line.data.majority)
    error = "" if line.sampling is None else f" ± {show_percent(line.sampling)}"
    return {"task": f"{line.name}, {line.rows}", "batch": cell.config.batch_size,
            "main": Markdown(f"{METRICS[line.group.metric].split(' ')[0].rstrip(',')} **{show_cell(cell, evaluation_set)}**"),
            "others": _show_others(line) or None, "majority": majority and majority + error,
            "cost": None if minutes is None else f"{speed or MISSING}; {minutes}"}


def _show_others(line: Line) -> str:
    """The metrics that are not the task's main one."""
    scored = line.cell.scored(line.evaluation_set)
    shown = []
    for name, words in OTHERS.items():
        values = [value for row in scored if (value := getattr(row, name)) is not None]
        if values and name != line.group.metric:
            shown.append(f"{words} {show_mean(values)}")
    f1 = show_f1(line.cell, line.evaluation_set)
    return "; ".join(([f"F1 {f1}"] if f1 else []) + shown)


def _has_published(line: Line) -> bool:
    return line.group.as_published and bool(line.published or published.GOOGLE_TEST_SERVER.get(
        (line.group.task, line.evaluation_set)))


def _beside(line: Line) -> dict:
    """The published values beside ours, where settings and rows are the same."""
    score, minutes = line.published, show_cost(line.cell)[1]
    return {"task": line.name, "ours": show_mean([row.score for row in line.cell.scored(line.evaluation_set)]),
            "accuracy": score and Markdown(f"{show_exactly(score.accuracy)} ({score.rows} of {line.data.official_rows} rows)"),
            "f1": show_f1(line.cell, line.evaluation_set), "f1_2020": score and show_exactly(score.f1),
            "minutes": f"{minutes or MISSING}; {score.minutes if score else MISSING}",
            "server": published.GOOGLE_TEST_SERVER.get((line.group.task, line.evaluation_set))}


def _draw(suite: Suite, lines: list[Line]):
    """How far every run is above the score that tells nothing: accuracies in one half, correlations in the other."""
    several = len({line.name for line in lines}) < len(lines)
    halves = {"points of accuracy above the majority class": [line for line in lines if line.has_majority],
              "correlation x 100; 0 tells nothing": [line for line in lines if not line.has_majority]}
    halves = {name: each for name, each in halves.items() if each}
    scored = [line for line in lines if line.has_majority and line.cell.scored(line.evaluation_set)]
    above = sum(not _is_near(line) for line in scored)
    title = say("figure_all_glue", plain=True, title=suite.title, tasks=len(scored), above=above)
    axes = figures.new_halves(title, [len(each) for each in halves.values()])
    drawn = []
    for ax, (name, each) in zip(axes, halves.items(), strict=True):
        rows = [figures.Row(line.name + line.mark + (f", batch {line.cell.config.batch_size}" if several else ""),
                            to_column(line.cell, line.evaluation_set, zero=line.zero),
                            100 * NORMAL_95 * line.sampling if line.has_majority and line.sampling is not None else None)
                for line in each]
        figures.draw_rows(ax, rows, name)
        drawn += [row.column for row in rows]
    axes[0].plot([], [], color="#bdbdbd", lw=8, solid_capstyle="butt", label="95 % by the rows of the set")
    return figures.add_legend(figures.name_marks(axes[0], drawn))


def _list_cola(suites: list[Suite], what: str) -> list[dict]:
    return [_cola_row(suite, group, what) for suite in suites for group in suite.groups if group.task == "CoLA"]


def _cola_row(suite: Suite, group: Group, what: str) -> dict:
    scored = [row for cell in group.cells for row in cell.scored("dev")]
    matthews = [row.matthews for row in scored]
    return {"where": f"{suite.title}, {what}", "runs": f"{len(scored)} of {group.wanted}",
            "collapsed": sum(row.collapsed for row in scored),
            "matthews": f"{show_percent(min(matthews))} to {show_percent(max(matthews))}" if scored else None,
            "accuracy": show_percent(sum(row.accuracy for row in scored) / len(scored)) if scored else None,
            "majority": show_percent(group.sets["dev"].majority)}


# -- Google's search

def select(group: Group, evaluation_set: str) -> Cell | None:
    """The cell of the highest mean; of equal ones the smallest batch and rate."""
    scored = [cell for cell in group.cells if cell.scored(evaluation_set)]
    return max(scored, key=lambda cell: cell.interval(evaluation_set).mean, default=None)


def _describe_search(page: Page, results: Results, suite: Suite) -> dict:
    page.show(suite.cells)
    places = [(suite.name_task(group), group, name) for group in suite.groups if group.finished
              for name in group.evaluation_sets]
    return {"suite": suite, "config": suite.cells[0].config, "origin": say_origin(suite.checkpoint),
            "remarks": [*list_run_remarks(suite.cells, lambda cell: escape(cell.config.task), UPSTREAM_COMMAND),
                        *_missing_tasks(suite, UPSTREAM_COMMAND)],
            "mixed": list_mixed(suite.cells, results), "selected": [_selection_row(*place) for place in places],
            "grids": [_describe_grid(*place) for place in places]}


def _selection_row(task: str, group: Group, evaluation_set: str) -> dict:
    best = select(group, evaluation_set)
    means = [cell.interval(evaluation_set).mean for cell in group.cells if cell.scored(evaluation_set)]
    grid = [cell for cell in group.cells if cell.config.batch_size in published.GOOGLE_BATCH_SIZES
            and cell.config.peak_learning_rate in published.GOOGLE_RATES and cell.scored(evaluation_set)]
    server = published.GOOGLE_TEST_SERVER.get((group.task, evaluation_set)) if group.as_published else None
    return {"task": group.name_set(evaluation_set, task),
            "cells": f"{len(grid)} of {len(published.GOOGLE_BATCH_SIZES) * len(published.GOOGLE_RATES)}",
            "selected": best and _name_setting(best), "score": best and show_cell(best, evaluation_set),
            "median": best and show_percent(median(means)), "near": best and _count_near(group, best, evaluation_set, means),
            "server": server}


def _name_setting(cell: Cell) -> str:
    return f"batch {cell.config.batch_size} at {show_rate(cell.config.peak_learning_rate)}"


def _count_near(group: Group, best: Cell, evaluation_set: str, means: list[float]) -> str | None:
    """How many of the other cells the set is too small to tell from the best."""
    if not has_majority(group, evaluation_set):
        return None
    top = best.interval(evaluation_set).mean
    error = sampling_error(top, group.sets[evaluation_set].row_count)
    return f"{sum(top - mean <= error for mean in means) - 1} of {len(means) - 1}"


def _describe_grid(task: str, group: Group, evaluation_set: str) -> dict:
    cells = {(cell.config.batch_size, cell.config.peak_learning_rate): cell for cell in group.cells}
    sizes = sorted({size for size, _ in cells} | set(published.GOOGLE_BATCH_SIZES))
    rates = sorted({rate for _, rate in cells} | set(published.GOOGLE_RATES))
    best = select(group, evaluation_set)
    return {"task": task, "set": evaluation_set, "row_count": group.sets[evaluation_set].row_count,
            "metric": METRICS[group.metric],
            "columns": {"batch size": "batch"} | {f"rate {show_rate(rate)}": show_rate(rate) for rate in rates},
            "rows": [{"batch": size} | {show_rate(rate): _show_place(cells.get((size, rate)), best, evaluation_set)
                                        for rate in rates} for size in sizes]}


def _show_place(cell: Cell | None, best: Cell | None, evaluation_set: str) -> str | None:
    if cell is None or not cell.finished:
        return None
    shown = show_cell(cell, evaluation_set)
    return Markdown(f"**{shown}**") if cell is best else shown
