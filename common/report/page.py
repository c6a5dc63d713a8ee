"""What the sections hand to the page, and how numbers and foreign text are written on it."""
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from common.report.statistics import Effect, mean_interval

MISSING = "-"
FEWEST = 3
"""Fewest runs that get a mean and an interval: the interval of two says nothing."""
LONGEST_TEXT = 200
"""Characters of a foreign text that the page shows; error messages can be endless."""


class Markdown(str):
    """Text that is Markdown from this program, shown as it is; every other value is escaped."""

    __slots__ = ()


@dataclass
class Page:
    """What the sections hand to the page beside their Markdown."""

    figures: dict = field(default_factory=dict)
    """File name below `figures/` -> the figure, of matplotlib, which is not drawn yet."""
    shown: set[str] = field(default_factory=set)
    """Hashes of the configurations whose runs stand in some table."""

    def draw(self, name: str, ax) -> str:
        """Keeps the figure of these axes under this file name; returns the name."""
        self.figures[name] = ax.figure
        return name

    def show(self, cells: Iterable) -> None:
        """Notes that the runs of these cells stand in a table."""
        self.shown |= {cell.config.hash for cell in cells}


def escape(text) -> str:
    """Foreign text made inert: no HTML, no Markdown, no link and no line break in it works."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) > LONGEST_TEXT:
        line = line[:LONGEST_TEXT - 3] + "..."
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    line = re.sub(r"([\\`*\[\]()|~$!#])", r"\\\1", line)
    line = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)  # within a word it is no emphasis
    return line.replace("://", "&#58;//").replace("www.", "www&#46;").replace("@", "&#64;")


def show_number(value: float | None, digits: int = 1) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def show_percent(share: float | None) -> str:
    """A share as a number of percent, without the sign."""
    return MISSING if share is None else show_number(100 * share)


def show_exactly(share: float | None) -> str:
    """A published share as percent, with the digits it was published with."""
    if share is None:
        return MISSING
    digits = f"{100 * share:.3f}".rstrip("0")
    return digits + "0" if digits.endswith(".") else digits


def show_scores(values: Sequence[float], wanted: int) -> Markdown:
    """Scores of runs in percent: `78.4 ± 0.6 (n = 4)`, and below three runs the runs themselves: `78.4, 80.1 (n = 2 of 4)`."""
    number = f"n = {len(values)}" + (f" of {wanted}" if len(values) < wanted else "")
    return Markdown(f"{show_mean(values)} ({number})")


def show_mean(values: Sequence[float]) -> str:
    """Mean and half of its interval in percent; below three runs the runs themselves."""
    if not values:
        return MISSING
    if len(values) < FEWEST:
        return ", ".join(map(show_percent, values))
    interval = mean_interval(values)
    return f"{show_percent(interval.mean)} ± {show_percent(interval.half)}"


def show_effect(effect: Effect | None) -> Markdown | None:
    """Estimate and interval of a test, in points."""
    if effect is None:
        return None
    return Markdown(f"{show_points(effect.estimate)} [{show_points(effect.low)}, {show_points(effect.high)}]")


def show_points(share: float) -> str:
    """A difference in points, with its sign: `+0.54`, `−0.54`."""
    return f"{100 * share:+.2f}".replace("-", "−")


def show_p(p: float) -> str:
    """A p value with the sign before it: `= 0.043`."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def short(digest: str) -> str:
    """The first digits of a digest, enough to tell it from others."""
    return escape(digest[:12])


def count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
