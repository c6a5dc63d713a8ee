"""The words of the report: Markdown templates in sections/, and what they may call.

Headings, sentences and captions are in the templates; Python computes the values. A value is escaped unless it is `Markdown`,
which only this project's own code makes. An undefined name is an error, and so is a value that is None.
"""
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from common.report.page import MISSING, Markdown, count, escape, show_number, show_percent, show_points
from common.studies.names import show_rate

FOLDER = Path(__file__).parent / "sections"
"""Where the templates are, beside the Python of each section."""


def render(name: str, /, **values) -> Markdown:
    """A template as Markdown.

    Args:
      name: `batch_size` for sections/batch_size.md.j2.
      values: what the template names.
    """
    text = _environment(plain=False).get_template(f"{name}.md.j2").render(values)
    return Markdown(re.sub(r"\n{3,}", "\n\n", text).strip())


def list_contents(text: str) -> Markdown:
    """Links to the headings of a page, as a list of two levels."""
    found = re.findall(r'^(##|###) <a id="([a-z0-9-]+)"></a>(.*)$', text, re.MULTILINE)
    return Markdown("\n".join(f"{'  ' * (len(marks) - 2)}- [{title}](#{anchor})" for marks, anchor, title in found))


def say(name: str, /, *, file: str = "sentences", plain: bool = False, **values) -> Markdown:
    """One sentence: a block of sections/sentences.md.j2.

    Args:
      file: another template than `sentences` that has it.
      plain: as text for a picture: nothing is escaped, and the stars of bold are left out.
    """
    template = _environment(plain).get_template(f"{file}.md.j2")
    text = " ".join("".join(template.blocks[name](template.new_context(values))).split())
    text = re.sub(r" ([;:.,])(?= |$)", r"\1", text)
    return Markdown(text.replace("**", "").replace("`", "") if plain else text)


@cache
def _environment(plain: bool):
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(FOLDER), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              autoescape=False, finalize=_show_plain if plain else _show)
    environment.globals |= {"table": table, "lines": lines, "say": say, "brackets": partial(_brackets, environment.finalize)}
    environment.filters |= {"percent": show_percent, "number": show_number, "rate": show_rate, "plural": count, "ours": Markdown,
                            "words": join_words, "effect": show_effect_in_words, "points": lambda share: f"{100 * share:.2f}",
                            "runs": show_runs, "outcome": show_outcome, "others": show_others, "beside": show_other_places,
                            "change": show_change, "with_sets": _with_sets}
    return environment


def _show(value) -> str:
    """What `{{ value }}` puts on the page."""
    if value is None:
        raise ValueError("a template shows None; the value is missing")
    return value if isinstance(value, Markdown) else escape(value)


def _show_plain(value) -> str:
    if value is None:
        raise ValueError("a template shows None; the value is missing")
    return str(value)


def _brackets(show: Callable, *words: str) -> Markdown:
    """` (a, b)` of the words that there are, or nothing."""
    shown = [show(word) for word in words if word]
    return Markdown(f" ({', '.join(shown)})" if shown else "")


def _with_sets(columns: dict, evaluation_sets: Sequence[str], metric: str) -> dict:
    """Columns with one more for each evaluation set."""
    return columns | {f"{escape(name)} {metric}": name for name in evaluation_sets}


def show_effect_in_words(effect) -> Markdown:
    """`−0.54 [95 % interval −0.73 to −0.35]`."""
    return Markdown(f"{show_points(effect.estimate)} [95 % interval {show_points(effect.low)} to {show_points(effect.high)}]")


def show_change(share: float) -> str:
    """A difference in points to one decimal, with its sign: `+19.4`, `−24.4`."""
    return f"{round(100 * share, 1) + 0.0:+.1f}".replace("-", "−")


def show_runs(verdict) -> str:
    """`21 runs`, `10 of 20 runs`."""
    if verdict.scored < verdict.planned:
        return f"{verdict.scored} of {verdict.planned} runs"
    return count(verdict.scored, "run")


def show_outcome(verdict) -> Markdown:
    """The outcome in a sentence: `**supported**`, `open so far`."""
    return Markdown("open so far" if verdict.outcome == "so far" else f"**{verdict.outcome}**")


def show_others(line) -> Markdown:
    """What weaker evidence on a claim says where it has decided: `also on SNLI; **contradicted** with mini`, or nothing."""
    best, places = line.best, {}
    for each in sorted(line.elsewhere, key=lambda each: (each.outcome != best.outcome, _has_other_checkpoint(each, best))):
        word = "also" if each.outcome == best.outcome else show_outcome(each)
        places.setdefault(word, {}).setdefault(each.group.checkpoint.digest, []).append(each)
    return Markdown("; ".join(f"{word} {join_words([show_other_places(same, best) for same in found.values()])}"
                              for word, found in places.items()))


def show_other_places(verdicts: Sequence, best) -> Markdown:
    """Where weaker evidence is from, beside the strongest: `on SNLI`, `with mini`, `on MRPC, first 500 training rows`.

    Args:
      verdicts: of one checkpoint, which is named once: `with mini on RTE and on SNLI`.
      best: the strongest evidence.
    """
    group, tasks = verdicts[0].group, [each.group.task for each in verdicts]
    if not _has_other_checkpoint(verdicts[0], best):
        return join_words([f"on {_name_place(each, best)}" for each in verdicts])
    places = [] if tasks == [best.group.task] else [f"on {task}" for task in tasks]
    return Markdown(f"with {escape(group.name or group.checkpoint.name)} {join_words(places)}".rstrip())


def _has_other_checkpoint(verdict, best) -> bool:
    return verdict.group.checkpoint.digest != best.group.checkpoint.digest


def _name_place(verdict, best) -> str:
    """`SNLI`; on the task of the strongest evidence what else is different: `MRPC, first 500 training rows`."""
    if verdict.group.task != best.group.task:
        return verdict.group.task
    return ", ".join(filter(None, [verdict.group.name_set(verdict.evaluation_set), verdict.group.title_without_task]))


def table(rows: Sequence[Mapping], columns: Mapping[str, str]) -> Markdown:
    """A table of these columns; one that is None in every row is left out.

    Args:
      rows: values by name; None is shown as a dash.
      columns: heading, in Markdown from this program -> name of the value.
    """
    from tabulate import tabulate

    used = {heading: name for heading, name in columns.items() if any(row[name] is not None for row in rows)}
    cells = [[MISSING if row[name] is None else _show(row[name]) for name in used.values()] for row in rows]
    return Markdown(tabulate(cells, list(used), tablefmt="github", disable_numparse=True))


def lines(items: Sequence[str]) -> Markdown:
    """A list of these items; nothing where there are none."""
    return Markdown("\n".join(f"- {_show(item)}" for item in items))


def join_words(items: Sequence[str], last: str = "and") -> Markdown:
    """`a`, `a and b`, `a, b and c`."""
    shown = [_show(item) for item in items]
    return Markdown(f" {last} ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]])))
