"""What a reader must know beside the numbers of a group: what is missing, left out, mixed or uninformative."""
from collections import Counter
from collections.abc import Callable

from common.report.page import count, escape, show_number, show_percent
from common.report.results import Cell, Group, Results
from common.stats import mean_interval, sampling_error

Name = Callable[[Cell], str]
"""How a study names a cell: `batch 64`."""
SHOWN = 3
"""Different reasons or errors that are shown, and different values of a mixed environment."""
ENVIRONMENT_FIELDS = {"processor": "processor", "cores": "cores", "threads": "threads of a run", "platform": "platform",
                      "python": "Python", "tensorflow": "TensorFlow", "tf_models": "Model Garden", "numpy": "NumPy",
                      "code": "code revision"}


def list_remarks(group: Group, results: Results, name: Name, command: str) -> list[str]:
    """Lines of Markdown about the runs of a group; `command` is what trains the missing ones."""
    lines = [_completeness(group, name, command), *_left_out(group, name), *_mixed(group, results)]
    for each in group.evaluation_sets:
        about = [*_rows(group, each), *_collapsed(group, name, each), *_uninformative(group, name, each)]
        lines += [f"{escape(each)}: {line}" for line in about] if len(group.evaluation_sets) > 1 else about
    return lines


def has_majority(group: Group, evaluation_set: str) -> bool:
    """Whether the main metric is one that naming the majority class scores on."""
    return group.metric == "accuracy" and group.sets[evaluation_set].majority is not None


def is_above_majority(group: Group, cell: Cell, evaluation_set: str) -> bool:
    """Whether the whole interval of the mean lies above the majority class."""
    low = cell.interval(evaluation_set).low
    return low is not None and low > group.sets[evaluation_set].majority


def _completeness(group: Group, name: Name, command: str) -> str:
    done = f"{len(group.finished)} of {group.wanted} runs are finished"
    short = [f"{name(cell)}: {len(cell.finished)} of {cell.wanted}" for cell in group.cells
             if len(cell.finished) < cell.wanted]
    if not short:
        return f"Complete: {done}."
    return (f"**Not complete: {done}** ({'; '.join(short)}). `{command}` with this checkpoint and settings trains "
            "the rest.")


def _left_out(group: Group, name: Name) -> list[str]:
    kinds = {"diverged: no score, in no mean": (lambda run: run.status == "diverged" and run.set_aside is None, None),
             "failed": (lambda run: run.status == "failed" and run.set_aside is None, lambda run: run.error),
             "set aside by hand": (lambda run: run.set_aside is not None, lambda run: run.set_aside)}
    lines = []
    for kind, (belongs, reason) in kinds.items():
        found = {name(cell): [run for run in cell.runs if belongs(run)] for cell in group.cells}
        where = ", ".join(f"{cell}: {len(runs)}" for cell, runs in found.items() if runs)
        if where:
            chosen = [run for runs in found.values() for run in runs]
            why = f": {_most_frequent([reason(run) or 'no reason given' for run in chosen])}" if reason else ""
            lines.append(f"{count(len(chosen), 'run')} {kind} ({where}){why}.")
    return lines


def _mixed(group: Group, results: Results) -> list[str]:
    rows = [results.environments[run.environment] for run in group.finished if run.environment]
    mixed = [f"{words} ({_most_frequent([str(getattr(row, field) or 'unknown') for row in rows])})"
             for field, words in ENVIRONMENT_FIELDS.items() if len({getattr(row, field) for row in rows}) > 1]
    return [f"This comparison mixes {', '.join(mixed)}."] if mixed else []


def _rows(group: Group, evaluation_set: str) -> list[str]:
    data = group.sets[evaluation_set]
    scored = [row for cell in group.cells for row in cell.scored(evaluation_set)]
    short = [row for row in scored if row.row_count != data.row_count]
    if short:
        return [f"**{count(len(short), 'run')} scored on another number of rows than the {data.row_count} of the set: "
                "the numbers below do not compare.**"]
    if not scored or not has_majority(group, evaluation_set):
        return []
    mean = mean_interval([row.accuracy for row in scored]).mean
    return [f"Every run is scored on all {data.row_count} rows. Majority class {show_percent(data.majority)} %; "
            f"sampling error of the set {show_number(100 * sampling_error(mean, data.row_count))} points at "
            f"{show_percent(mean)} %."]


def _collapsed(group: Group, name: Name, evaluation_set: str) -> list[str]:
    without = []
    for cell in group.cells:
        scored = cell.scored(evaluation_set)
        if any(row.collapsed for row in scored):
            rest = [row.score for row in scored if not row.collapsed]
            without.append(f"{name(cell)}: {len(scored) - len(rest)} of {len(scored)}, "
                           + (f"mean of the others {show_percent(mean_interval(rest).mean)}" if rest else "no others"))
    return [f"Collapsed runs ({'; '.join(without)})."] if without else []


def _uninformative(group: Group, name: Name, evaluation_set: str) -> list[str]:
    if not has_majority(group, evaluation_set):
        return []
    data = group.sets[evaluation_set]
    equal, unclear = [], []
    for cell in group.cells:
        scores = [row.score for row in cell.scored(evaluation_set)]
        if scores and all(abs(score - data.majority) < 0.5 / data.row_count for score in scores):
            equal.append(name(cell))
        elif len(scores) > 1 and not is_above_majority(group, cell, evaluation_set):
            unclear.append(name(cell))
    lines = []
    if equal:
        lines.append(f"**Uninformative** ({', '.join(equal)}): every score equals the majority class.")
    if unclear:
        lines.append(f"Not above the majority class at this n ({', '.join(unclear)}): the mean's interval reaches it.")
    return lines


def _most_frequent(texts: list[str]) -> str:
    """Foreign texts with how often each occurs, the most frequent first."""
    known = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{escape(text)}, {count(number, 'run')}" for text, number in known[:SHOWN]]
    return "; ".join(shown + ([f"and {count(len(known) - SHOWN, 'other')}"] if len(known) > SHOWN else []))
