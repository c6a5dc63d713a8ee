"""What a reader must know beside the numbers of a group: what is missing, left out, mixed or uninformative.

The sentences are in sections/remarks.md.j2.
"""
import functools
from collections import Counter
from collections.abc import Callable, Sequence

from common.report.judging.rules import equals_majority, has_majority, is_above_floor
from common.report.page import FEWEST, Markdown, count, escape, show_number
from common.report.results import Cell, Group, Results
from common.report.statistics import binomial_tail, mean_interval, sampling_error
from common.report.templates import say

_say = functools.partial(say, file="remarks")

Name = Callable[[Cell], str]
"""How a study names a cell: `batch 64`."""
LISTED = 6
"""Incomplete cells that are named."""
SHOWN = 3
"""Different reasons or errors that are shown, and different values of a mixed environment."""
RARE = 0.01
"""An instance is named if chance makes one that is lowest, or highest, in as many cells less often than this."""
ENVIRONMENT_FIELDS = {"processor": "processor", "cores": "cores", "threads": "threads of a run", "platform": "platform",
                      "python": "Python", "tensorflow": "TensorFlow", "tf_models": "Model Garden", "numpy": "NumPy",
                      "settings": "switches that change arithmetic", "gpu": "GPU"}


def list_remarks(group: Group, name: Name, command: str) -> list[Markdown]:
    """Lines about the runs of a group; `command` is what trains the missing ones."""
    lines = list_run_remarks(group.cells, name, command)
    for each in group.evaluation_sets:
        about = [*_rows(group, each), *_collapsed(group, name, each), *_uninformative(group, name, each),
                 *_lies_apart(group, each)]
        lines += [Markdown(f"{escape(each)}: {line}") for line in about] if len(group.evaluation_sets) > 1 else about
    return lines


def list_run_remarks(cells: Sequence[Cell], name: Name, command: str) -> list[Markdown]:
    """Of those lines, what needs no score: runs that are missing or without a score. Cells of one name are added up."""
    return [_completeness(cells, name, command), *_left_out(cells, name)]


def list_mixed(cells: Sequence[Cell], results: Results) -> list[Markdown]:
    """Lines about what differs between the environments of these runs."""
    rows = [results.environments[run.environment] for cell in cells for run in cell.finished if run.environment]
    values = {words: [str(value) for row in rows if (value := getattr(row, field)) is not None]
              for field, words in ENVIRONMENT_FIELDS.items()} | {"code": [_name_code(row) for row in rows]}
    mixed = [f"{words} ({_most_frequent(each)})" for words, each in values.items() if len(set(each)) > 1]
    return [_say("mixed", fields=Markdown(", ".join(mixed)))] if mixed else []


def warn_of_rows(cells: Sequence[Cell], evaluation_set: str, rows: int) -> list[Markdown]:
    """A warning where runs are scored on another number of rows than the set has."""
    short = [row for cell in cells for row in cell.scored(evaluation_set) if row.row_count != rows]
    return [_say("other_rows", number=len(short), rows=rows)] if short else []


def _completeness(cells: Sequence[Cell], name: Name, command: str) -> Markdown:
    done, wanted = Counter(), Counter()
    for cell in cells:
        done[name(cell)] += len(cell.finished)
        wanted[name(cell)] += cell.wanted
    short = [f"{each}: {done[each]} of {wanted[each]}" for each in wanted if done[each] < wanted[each]]
    if not short:
        return _say("complete", done=done.total(), wanted=wanted.total())
    return _say("incomplete", done=done.total(), wanted=wanted.total(), cells=Markdown("; ".join(short[:LISTED])),
                more=len(short) - LISTED, command=Markdown(command))


def _left_out(cells: Sequence[Cell], name: Name) -> list[Markdown]:
    kinds = {"diverged": (lambda run: run.status == "diverged" and run.set_aside is None, lambda run: None),
             "failed": (lambda run: run.status == "failed" and run.set_aside is None, lambda run: run.error),
             "set_aside": (lambda run: run.set_aside is not None, lambda run: run.set_aside)}
    lines = []
    for kind, (belongs, reason) in kinds.items():
        found = [(name(cell), run) for cell in cells for run in cell.runs if belongs(run)]
        where = ", ".join(f"{each}: {number}" for each, number in Counter(each for each, _ in found).items())
        if found:
            reasons = _most_frequent([reason(run) or "no reason given" for _, run in found])
            lines.append(_say(kind, number=len(found), cells=Markdown(where), reasons=Markdown(reasons)))
    return lines


def _name_code(environment) -> str:
    """The code that takes part in a number, by its digest; runs from before it was recorded have only a revision."""
    if environment.code_digest:
        return f"code {environment.code_digest[:12]}"
    return f"revision {environment.code or 'unknown'}"


def _rows(group: Group, evaluation_set: str) -> list[Markdown]:
    data = group.sets[evaluation_set]
    scored = [row for cell in group.cells for row in cell.scored(evaluation_set)]
    warning = warn_of_rows(group.cells, evaluation_set, data.row_count)
    if warning:
        return warning
    if not scored or not has_majority(group, evaluation_set):
        return []
    mean = mean_interval([row.accuracy for row in scored]).mean
    return [_say("all_rows", rows=data.row_count, majority=data.majority, mean=mean,
                 error=show_number(100 * sampling_error(mean, data.row_count)))]


def _collapsed(group: Group, name: Name, evaluation_set: str) -> list[Markdown]:
    cells = []
    for cell in group.cells:
        scored = cell.scored(evaluation_set)
        if any(row.collapsed for row in scored):
            rest = [row.score for row in scored if not row.collapsed]
            cells.append(_say("collapsed_cell", name=Markdown(name(cell)), collapsed=len(scored) - len(rest), scored=len(scored),
                              others=mean_interval(rest).mean if rest else None))
    lines = [_say("collapsed", cells=Markdown("; ".join(cells)))] if cells else []
    unscored = sum(cell.count_collapsed(evaluation_set) - sum(row.collapsed for row in cell.scored(evaluation_set))
                   for cell in group.cells)
    return lines + ([_say("collapsed_without_score", number=unscored)] if unscored else [])


def _uninformative(group: Group, name: Name, evaluation_set: str) -> list[Markdown]:
    if not has_majority(group, evaluation_set):
        return []
    equal, unclear = [], []
    for cell in group.cells:
        if equals_majority(group, cell, evaluation_set):
            equal.append(name(cell))
        elif len(cell.scored(evaluation_set)) >= FEWEST and not is_above_floor(group, cell, evaluation_set):
            unclear.append(name(cell))
    return [_say(kind, cells=Markdown("; ".join(each)))
            for kind, each in (("uninformative", equal), ("not_above", unclear)) if each]


def _lies_apart(group: Group, evaluation_set: str) -> list[Markdown]:
    """Instances whose score is the lowest, or the highest, in more cells than chance explains: their head is the same in all."""
    cells = [scores for cell in group.cells if len(scores := cell.scores(evaluation_set)) >= FEWEST]
    instances = set.intersection(*map(set, cells)) if cells else set()
    if len(instances) < FEWEST:
        return []
    lines = []
    for instance in sorted(instances):
        gaps = [[scores[instance] - scores[other] for other in instances - {instance}] for scores in cells]
        for end, number in (("lowest", sum(max(each) < 0 for each in gaps)), ("highest", sum(min(each) > 0 for each in gaps))):
            if len(instances) * binomial_tail(number, len(cells), 1 / len(instances)) < RARE:
                mean = mean_interval([gap for each in gaps for gap in each]).mean
                lines.append(_say("lies_apart", instance=instance, end=end, number=number, cells=len(cells),
                                  gap=show_number(100 * abs(mean)), side="below" if mean < 0 else "above"))
    return lines


def _most_frequent(texts: list[str]) -> str:
    """Foreign texts with how often each occurs, the most frequent first."""
    known = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{escape(text)}, {count(number, 'run')}" for text, number in known[:SHOWN]]
    return "; ".join(shown + ([f"and {count(len(known) - SHOWN, 'other')}"] if len(known) > SHOWN else []))
