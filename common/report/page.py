"""A Markdown page under construction, and how numbers and foreign text are written on it."""
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report.statistics import Effect, Interval

MISSING = "-"
LONGEST_TEXT = 200
"""Characters of a foreign text that the page shows; error messages can be endless."""


@dataclass
class Page:
    """Blocks of Markdown in reading order, and the pictures that they show.

    Text given to it is Markdown; whatever comes from the store goes through `escape` first.
    """

    title: str
    blocks: list[str] = field(default_factory=list)
    figures: dict[str, bytes] = field(default_factory=dict)
    """File name below `figures/` -> PNG."""
    contents: list[str] = field(default_factory=list)
    verdicts: list[list[str]] = field(default_factory=list)
    """Rows for the summary: conclusion, checkpoint, what was scored, runs, verdict, link to the test."""

    def heading(self, text: str, anchor: str, level: int = 2) -> None:
        self.blocks.append(f'{"#" * level} <a id="{anchor}"></a>{text}')
        self.contents.append(f"{'  ' * (level - 2)}- [{text}](#{anchor})")

    def text(self, paragraph: str) -> None:
        self.blocks.append(paragraph)

    def items(self, lines: Sequence[str]) -> None:
        if lines:
            self.blocks.append("\n".join(f"- {line}" for line in lines))

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from tabulate import tabulate

        self.blocks.append(tabulate(rows, headers, tablefmt="github", disable_numparse=True))

    def figure(self, name: str, ax, alt: str, caption: str) -> None:
        """A picture of these axes with its caption; `name` is its file name."""
        from common.report.figures import to_png

        self.figures[name] = to_png(ax)
        self.blocks.append(f"![{alt}](figures/{name})")
        self.blocks.append(f"*{caption}*")

    def verdict(self, conclusion: str, checkpoint: str, scored: str, runs: str, verdict: str, anchor: str) -> None:
        """Notes for the summary what the test below `anchor` found, on how many runs."""
        self.verdicts.append([conclusion, checkpoint, scored, runs, verdict, f"[test](#{anchor})"])

    def append(self, other: "Page") -> None:
        """Puts another page's blocks behind this one's."""
        self.blocks += other.blocks
        self.contents += other.contents
        self.figures |= other.figures

    def markdown(self, opening: Sequence[str]) -> str:
        """The whole page: title, opening paragraphs, contents, blocks."""
        parts = [f"# {self.title}", *opening, "## Contents", "\n".join(self.contents), *self.blocks]
        return "\n\n".join(parts) + "\n"


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


def show_interval(interval: Interval) -> str:
    """Mean and half width, times 100; a single run has no interval."""
    if interval.n == 0:
        return MISSING
    return show_percent(interval.mean) + (f" ± {show_percent(interval.half)}" if interval.half is not None else "")


def show_effect(effect: Effect | None) -> str:
    """Estimate, interval and p value of a test, in points."""
    if effect is None:
        return MISSING
    return (f"{100 * effect.estimate:+.2f} [{100 * effect.low:+.2f}, {100 * effect.high:+.2f}], "
            f"p {show_p(effect.p)}")


def show_p(p: float) -> str:
    """A p value with the sign before it: `= 0.043`."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def short(digest: str) -> str:
    """The first digits of a digest, enough to tell it from others."""
    return escape(digest[:12])


def count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
