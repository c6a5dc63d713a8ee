"""What a reader must know beside the numbers of a group: what is missing, left out, mixed or uninformative."""
from collections import Counter
from collections.abc import Callable, Sequence

from common.report.judging.rules import equals_majority, has_majority, is_above_floor
from common.report.page import FEWEST, Markdown, count, escape, show_number, show_percent
from common.report.results import Cell, Group, Results
from common.report.statistics import mean_interval, sampling_error

Name = Callable[[Cell], str]
"""How a study names a cell: `batch 64`."""
LISTED = 6
"""Incomplete cells that are named."""
SHOWN = 3
"""Different reasons or errors that are shown, and different values of a mixed environment."""
ENVIRONMENT_FIELDS = {"processor": "processor", "cores": "cores", "threads": "threads of a run", "platform": "platform",
                      "python": "Python", "tensorflow": "TensorFlow", "tf_models": "Model Garden", "numpy": "NumPy",
                      "settings": "switches that change arithmetic", "gpu": "GPU"}


def list_remarks(group: Group, name: Name, command: str) -> list[Markdown]:
    """Lines about the runs of a group; `command` is what trains the missing ones."""
    lines = list_run_remarks(group.cells, name, command)
    for each in group.evaluation_sets:
        about = [*_rows(group, each), *_collapsed(group, name, each), *_uninformative(group, name, each)]
        lines += [f"{escape(each)}: {line}" for line in about] if len(group.evaluation_sets) > 1 else about
    return [Markdown(line) for line in lines]


def list_run_remarks(cells: Sequence[Cell], name: Name, command: str) -> list[Markdown]:
    """Of those lines, what needs no score: runs that are missing or without a score. Cells of one name are added up."""
    return [Markdown(line) for line in (_completeness(cells, name, command), *_left_out(cells, name))]


def list_mixed(cells: Sequence[Cell], results: Results) -> list[Markdown]:
    """Lines about what differs between the environments of these runs."""
    return [Markdown(line) for line in _mixed(cells, results)]


def warn_of_rows(cells: Sequence[Cell], evaluation_set: str, rows: int) -> list[str]:
    """A warning where runs are scored on another number of rows than the set has."""
    short = [row for cell in cells for row in cell.scored(evaluation_set) if row.row_count != rows]
    return [f"**{count(len(short), 'run')} scored on another number of rows than the {rows} of the set: the numbers "
            "below do not compare.**"] if short else []


def _completeness(cells: Sequence[Cell], name: Name, command: str) -> str:
    done, wanted = Counter(), Counter()
    for cell in cells:
        done[name(cell)] += len(cell.finished)
        wanted[name(cell)] += cell.wanted
    short = [f"{each}: {done[each]} of {wanted[each]}" for each in wanted if done[each] < wanted[each]]
    done = f"{done.total()} of {wanted.total()} runs are finished"
    if not short:
        return f"Complete: {done}."
    more = f"; and {len(short) - LISTED} more" if len(short) > LISTED else ""
    return (f"**Not complete: {done}** ({'; '.join(short[:LISTED])}{more}). `{command}` with this checkpoint and these "
            "settings trains the rest.")


def _left_out(cells: Sequence[Cell], name: Name) -> list[str]:
    kinds = {"diverged and have no score": (lambda run: run.status == "diverged" and run.set_aside is None, None),
             "failed": (lambda run: run.status == "failed" and run.set_aside is None, lambda run: run.error),
             "set aside by hand": (lambda run: run.set_aside is not None, lambda run: run.set_aside)}
    lines = []
    for kind, (belongs, reason) in kinds.items():
        found = [(name(cell), run) for cell in cells for run in cell.runs if belongs(run)]
        where = ", ".join(f"{each}: {number}" for each, number in Counter(each for each, _ in found).items())
        if where:
            chosen = [run for _, run in found]
            why = f": {_most_frequent([reason(run) or 'no reason given' for run in chosen])}" if reason else ""
            did = kind if len(chosen) > 1 else kind.replace("have", "has")
            lines.append(f"{count(len(chosen), 'run')} {did} ({where}){why}.")
    return lines


def _mixed(cells: Sequence[Cell], results: Results) -> list[str]:
    rows = [results.environments[run.environment] for cell in cells for run in cell.finished if run.environment]
    values = {words: [str(value) for row in rows if (value := getattr(row, field)) is not None]
              for field, words in ENVIRONMENT_FIELDS.items()} | {"code": [_name_code(row) for row in rows]}
    mixed = [f"{words} ({_most_frequent(each)})" for words, each in values.items() if len(set(each)) > 1]
    return [f"These runs differ in {', '.join(mixed)}."] if mixed else []


def _name_code(environment) -> str:
    """The code that takes part in a number, by its digest; runs from before it was recorded have only a revision."""
    if environment.code_digest:
        return f"code {environment.code_digest[:12]}"
    return f"revision {environment.code or 'unknown'}"


def _rows(group: Group, evaluation_set: str) -> list[str]:
    data = group.sets[evaluation_set]
    scored = [row for cell in group.cells for row in cell.scored(evaluation_set)]
    warning = warn_of_rows(group.cells, evaluation_set, data.row_count)
    if warning:
        return warning
    if not scored or not has_majority(group, evaluation_set):
        return []
    mean = mean_interval([row.accuracy for row in scored]).mean
    return [f"Every run is scored on all {data.row_count} rows. The majority class is {show_percent(data.majority)} % of them; "
            f"the standard error that comes from so few rows is {show_number(100 * sampling_error(mean, data.row_count))} points "
            f"at {show_percent(mean)} %."]


def _collapsed(group: Group, name: Name, evaluation_set: str) -> list[str]:
    without = []
    for cell in group.cells:
        scored = cell.scored(evaluation_set)
        if any(row.collapsed for row in scored):
            rest = [row.score for row in scored if not row.collapsed]
            without.append(f"{name(cell)}: {len(scored) - len(rest)} of {len(scored)}, "
                           + (f"mean of the others {show_percent(mean_interval(rest).mean)}" if rest else "no others"))
    lines = [f"Collapsed runs ({'; '.join(without)})."] if without else []
    unscored = sum(cell.count_collapsed(evaluation_set) - sum(row.collapsed for row in cell.scored(evaluation_set))
                   for cell in group.cells)
    if unscored:
        lines.append(f"{count(unscored, 'collapsed run')} predicted one value for every row: that has no correlation, "
                     "so no score, and is in no mean.")
    return lines


def _uninformative(group: Group, name: Name, evaluation_set: str) -> list[str]:
    if not has_majority(group, evaluation_set):
        return []
    equal, unclear = [], []
    for cell in group.cells:
        if equals_majority(group, cell, evaluation_set):
            equal.append(name(cell))
        elif len(cell.scored(evaluation_set)) >= FEWEST and not is_above_floor(group, cell, evaluation_set):
            unclear.append(name(cell))
    lines = []
    if equal:
        lines.append(f"**Uninformative** ({'; '.join(equal)}): every score equals the majority class.")
    if unclear:
        lines.append(f"Not above the majority class at this n ({'; '.join(unclear)}): the mean's interval reaches it.")
    return lines


def _most_frequent(texts: list[str]) -> str:
    """Foreign texts with how often each occurs, the most frequent first."""
    known = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{escape(text)}, {count(number, 'run')}" for text, number in known[:SHOWN]]
    return "; ".join(shown + ([f"and {count(len(known) - SHOWN, 'other')}"] if len(known) > SHOWN else []))
