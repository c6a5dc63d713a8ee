"""The figures of the report: drawing functions take and return `ax`, and know nothing of the store.

What is told apart by colour is told apart by marker and line style as well, and the colours get lighter in the order of
the lines: a grey print and a colour-blind reader lose nothing.
"""
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.stats import Interval

COLOURS = ("#440154", "#3b528b", "#21918c", "#3fb25c", "#dcbc2a")
"""After viridis, from dark to light in steps that differ in grey; the last is darker, because yellow fades on white."""
MARKERS = ("o", "s", "^", "D", "v")
LINES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
INK, GREY = "#222222", "#767676"
SETTINGS = {"font.family": "DejaVu Sans", "font.size": 11, "axes.titlesize": 12, "legend.fontsize": 9.5,
            "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e4e4",
            "axes.axisbelow": True, "text.parse_math": False}


@dataclass(frozen=True)
class Column:
    """The instances above one place of the x axis."""

    x: float
    scores: Sequence[float]
    """Of the runs that learnt."""
    interval: Interval
    """Over all scored runs, the collapsed included."""
    collapsed: Sequence[float] = field(default=())
    """Scores of runs that predict one class."""
    diverged: int = 0
    """Number of runs without a score."""


def new_axes(title: str):
    """Fresh axes on a figure of their own, independent of pyplot's state and of the reader's matplotlibrc."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcdefaults()
    matplotlib.rcParams.update(SETTINGS)
    figure = Figure(figsize=(7.2, 4.5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    ax.set_title(textwrap.shorten(title.encode("ascii", "replace").decode(), 75, placeholder=" ..."), loc="left")
    return ax


def to_png(ax) -> bytes:
    """The figure of these axes as a PNG: the same bytes each time, with neither date nor program in it."""
    file = io.BytesIO()
    ax.figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def draw_instances(ax, columns: Sequence[Column], label: str = "mean, 95 % interval", style: int = 0):
    """Every instance as a point, and the line of means with their intervals; returns `ax`.

    Args:
      columns: from left to right, on an x axis that has its scale already.
      label: of the line of means in the legend.
      style: which colour, marker and line; another for each call on the same axes.
    """
    colour, marker = COLOURS[style % len(COLOURS)], MARKERS[style % len(MARKERS)]
    for column in columns:
        _draw_points(ax, column, colour, marker)
    places = [column.x for column in columns if column.interval.n]
    intervals = [column.interval for column in columns if column.interval.n]
    means = [interval.mean for interval in intervals]
    ax.plot(places, means, color=colour, ls=LINES[style % len(LINES)], lw=1.8, marker=marker, ms=7, zorder=4,
            label=label)
    ax.errorbar(places, means, yerr=[interval.half or 0.0 for interval in intervals], fmt="none", ecolor=colour,
                capsize=5, elinewidth=1.6, zorder=4)
    _name_points(ax, columns, colour, marker)
    return ax


def draw_curves(ax, curves: dict[str, Sequence[tuple[float, float]]]):
    """One line of (x, y) points for each label, dark to light in their order; returns `ax`."""
    for number, (label, points) in enumerate(curves.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)],
                 "ls": LINES[number % len(LINES)]}
        ax.plot([x for x, _ in points], [y for _, y in points], lw=1.8, ms=6, label=label, **style)
    return ax


def draw_level(ax, value: float, label: str):
    """A horizontal line to compare with, such as the majority class; returns `ax`."""
    ax.axhline(value, color=GREY, ls=(0, (5, 4)), lw=1.3, zorder=1, label=label)
    return ax


def draw_published(ax, points: dict[float, float], label: str):
    """Published means, plainly another kind of mark than ours; returns `ax`."""
    ax.plot(list(points), list(points.values()), color=INK, ls=":", lw=1.3, marker="*", ms=10, mfc="white", zorder=2,
            label=label)
    return ax


def set_base_2_axis(ax, places: Sequence[int], name: str):
    """A base-2 x axis with a tick at each place; returns `ax`."""
    ax.set_xscale("log", base=2)
    ax.set_xlim(min(places) / 1.5, max(places) * 1.5)
    ax.set_xticks(places, labels=[str(place) for place in places])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(name)
    return ax


def add_legend(ax):
    """A legend below the axes, where it hides no point; returns `ax`."""
    handles, labels = ax.get_legend_handles_labels()
    ax.figure.legend(handles, labels, loc="outside lower center", ncols=min(len(handles), 3), frameon=False)
    return ax


def _draw_points(ax, column: Column, colour: str, marker: str) -> None:
    shapes = [marker] * len(column.scores) + ["x"] * len(column.collapsed)
    scores = [*column.scores, *column.collapsed]
    for x, score, shape in zip(_beside(column.x, len(scores), 1), scores, shapes, strict=True):
        ax.plot(x, score, ls="", marker=shape, ms=5.5, mfc="white", mec=colour, mew=1.2, zorder=3)
    for x in _beside(column.x, column.diverged, -1):  # no score, so no height: at the upper edge
        ax.plot(x, 0.97, ls="", marker="^", ms=7, mfc=INK, mec=INK, transform=ax.get_xaxis_transform(), zorder=3)


def _name_points(ax, columns, colour, marker) -> None:
    """Legend entries of the kinds of points that occur."""
    kinds = {"one run": (marker, "white", colour, any(column.scores for column in columns)),
             "collapsed run (one class)": ("x", colour, colour, any(column.collapsed for column in columns)),
             "diverged run (no score)": ("^", INK, INK, any(column.diverged for column in columns))}
    for name, (shape, face, edge, occurs) in kinds.items():
        if occurs:
            ax.plot([], [], ls="", marker=shape, ms=5.5, mfc=face, mec=edge, label=name)


def _beside(x: float, count: int, side: int) -> list[float]:
    """Places on one side of x on a logarithmic axis, so that points hide neither each other nor the interval."""
    gap = min(0.09, 0.4 / max(count, 1))
    return [x * 2 ** (side * (0.14 + gap * place)) for place in range(count)]
