"""The figures of the report: drawing functions take and return `ax`, and know nothing of the store.

What is told apart by colour is told apart by marker and line style as well, and the colours get lighter in the order of
the lines: a grey print and a colour-blind reader lose nothing.
"""
import dataclasses
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report.statistics import Interval

COLOURS = ("#440154", "#3b528b", "#21918c", "#3fb25c", "#dcbc2a")
"""After viridis, from dark to light in steps that differ in grey; the last is darker, because yellow fades on white."""
MARKERS = ("o", "s", "^", "D", "v")
LINES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
INK, GREY, BAND = "#222222", "#767676", "#cfcfcf"
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


@dataclass(frozen=True)
class Row:
    """The instances beside one name on the y axis."""

    name: str
    column: Column
    sampling: float | None
    """Half of the 95 % interval of the evaluation set's sampling error; None where there is none."""


def new_axes(title: str):
    """Fresh axes on a figure of their own, independent of pyplot's state and of the reader's matplotlibrc."""
    ax = _new_figure(7.2, 4.5).add_subplot()
    ax.set_title(_shorten(title), loc="left")
    return ax


def new_panels(title: str, names: Sequence[str]) -> list:
    """Fresh axes with one y axis for all, three in a row and each under its name, on a figure of their own."""
    rows = -(-len(names) // 3)
    figure = _new_figure(10.0, 0.9 + 2.9 * rows)
    figure.suptitle(_shorten(title), x=0.01, ha="left", fontsize=SETTINGS["axes.titlesize"])
    panels = figure.subplots(rows, 3, sharey=True, squeeze=False).ravel()
    for ax, name in zip(panels, names, strict=False):
        ax.set_title(name, loc="left", fontsize=SETTINGS["font.size"])
    for ax in panels[len(names):]:
        ax.remove()
    return list(panels[:len(names)])


def _new_figure(width: float, height: float):
    """An empty figure of this size in inches."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcdefaults()
    matplotlib.rcParams.update(SETTINGS)
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _shorten(title: str) -> str:
    return textwrap.shorten(title.encode("ascii", "replace").decode(), 75, placeholder=" ...")


def to_png(ax) -> bytes:
    """The figure of these axes as a PNG: the same bytes each time, with neither date nor program in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    # savefig draws all twice where there is a layout to be made
    FigureCanvasAgg(ax.figure).print_png(file, metadata={"Software": None})
    return file.getvalue()


def draw_instances(ax, columns: Sequence[Column], label: str = "mean, 95 % interval", style: int = 0):
    """Every instance as a point, and the line of means with their intervals; returns `ax`.

    Args:
      columns: from left to right, on an x axis that has its scale already.
      label: of the line of means in the legend.
      style: which colour, marker and line; another for each call on the same axes.
    """
    for column in columns:
        _draw_points(ax, column, *_style(style))
    _draw_means(ax, columns, label, style)
    _name_points(ax, columns, *_style(style))
    return ax


def draw_lines(ax, lines: dict[str, Sequence[Column]]):
    """As `draw_instances` for several lines on one logarithmic axis: side by side, points outwards; returns `ax`."""
    for number, (label, columns) in enumerate(lines.items()):
        side = 2 * (number % 2) - 1
        shift = side * (0.03 + 0.05 * (number // 2))
        columns = [dataclasses.replace(column, x=column.x * 2 ** shift) for column in columns]
        for column in columns:
            _draw_points(ax, column, *_style(number), side=side, start=0.08, gap=0.05)
        _draw_means(ax, columns, label, number)
    _name_points(ax, [column for columns in lines.values() for column in columns], GREY, "o")
    return ax


def draw_rows(ax, rows: Sequence[Row]):
    """One row for each name, from above: every instance, their mean with its interval and the set's sampling error.

    Returns `ax`; 0 on the x axis is where a score tells nothing of the model.
    """
    colour = COLOURS[0]
    for place, row in enumerate(rows):
        _draw_row(ax, place, row, colour)
    ax.axvline(0, color=GREY, ls=(0, (5, 4)), lw=1.3, zorder=1, label="majority class")
    ax.set_yticks(range(len(rows)), labels=[row.name for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.plot([], [], color=BAND, lw=9, solid_capstyle="butt", label="sampling error of the set, 95 %")
    ax.plot([], [], ls="", marker="o", ms=7, color=colour, label="mean (with 95 % interval)")
    _name_points(ax, [row.column for row in rows if row.column.interval.n > 1 or row.column.collapsed
                      or row.column.diverged], colour, "o")
    return ax


def _style(number: int) -> tuple[str, str]:
    return COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]


def _draw_row(ax, place: int, row: Row, colour: str) -> None:
    column, interval = row.column, row.column.interval
    if interval.n and row.sampling:
        ax.plot([interval.mean - row.sampling, interval.mean + row.sampling], [place, place], color=BAND, lw=9,
                solid_capstyle="butt", zorder=2)
    shapes = ["o"] * len(column.scores) + ["x"] * len(column.collapsed)
    for score, shape in zip([*column.scores, *column.collapsed], shapes, strict=True):
        if interval.n > 1 or shape == "x":
            ax.plot(score, place + 0.27, ls="", marker=shape, ms=5, mfc="white", mec=colour, mew=1.2, zorder=3)
    if interval.n:
        ax.errorbar([interval.mean], [place], xerr=[interval.half or 0.0], fmt="o", color=colour, ms=7,
                    capsize=4 if interval.half else 0, elinewidth=1.6, zorder=4)
    for number in range(column.diverged):
        ax.plot(0.98 - 0.02 * number, place, ls="", marker="^", ms=7, mfc=INK, mec=INK,
                transform=ax.get_yaxis_transform(), zorder=3)


def _draw_means(ax, columns: Sequence[Column], label: str, style: int) -> None:
    colour, marker = _style(style)
    places = [column.x for column in columns if column.interval.n]
    intervals = [column.interval for column in columns if column.interval.n]
    means = [interval.mean for interval in intervals]
    ax.plot(places, means, color=colour, ls=LINES[style % len(LINES)], lw=1.8, marker=marker, ms=7, zorder=4,
            label=label)
    ax.errorbar(places, means, yerr=[interval.half or 0.0 for interval in intervals], fmt="none", ecolor=colour,
                capsize=5, elinewidth=1.6, zorder=4)


def draw_curves(ax, curves: dict[str, Sequence[tuple[float, float]]]):
    """One line of (x, y) points for each label, dark to light in their order; returns `ax`."""
    for number, (label, points) in enumerate(curves.items()):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)],
                 "ls": LINES[number % len(LINES)]}
        ax.plot([x for x, _ in points], [y for _, y in points], lw=1.8, ms=6, label=label, **style)
    return ax


def draw_clouds(ax, clouds: dict[str, Sequence[tuple[float, float]]]):
    """Points (x, y) on a logarithmic x axis, those of one label in one colour and marker; returns `ax`.

    The labels are moved a little apart, so that points of equal x do not hide each other; open from the sixth label on.
    """
    from matplotlib.ticker import LogLocator

    ax.set_xscale("log")
    places = [x for points in clouds.values() for x, _ in points]
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(places) < 5000 * min(places) else (1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")  # else numbers in TeX's notation
    for number, (label, points) in enumerate(clouds.items()):
        colour, marker = _style(number)
        shift = 2 ** (0.16 * (number - (len(clouds) - 1) / 2))
        ax.plot([x * shift for x, _ in points], [y for _, y in points], ls="", marker=marker, ms=5.5, mec=colour, mew=1.1,
                mfc=colour if number < len(COLOURS) else "white", label=label, zorder=3)
    return ax


def draw_reference(ax, points: dict[float, float], label: str):
    """A line of means to compare with, without their runs; returns `ax`."""
    ax.plot(list(points), list(points.values()), color=GREY, ls=(0, (2, 2)), lw=1.6, zorder=2, label=label)
    return ax


def draw_level(ax, value: float, label: str):
    """A horizontal line to compare with, such as the majority class; returns `ax`.

    Where it lies so far below the points that it would flatten them, the legend alone tells of it.
    """
    style = {"color": GREY, "ls": (0, (5, 4)), "lw": 1.3, "zorder": 1}
    low, high = ax.get_ylim()
    if value < low - 2 * (high - low):
        ax.plot([], [], label=f"{label}: below", **style)
    else:
        ax.axhline(value, label=label, **style)
    return ax


def draw_published(ax, points: dict[float, float], label: str, style: int = 0):
    """Published means, plainly another kind of mark than ours; `style` tells several apart; returns `ax`."""
    marker, size = (("*", 10), ("P", 7))[style % 2]
    ax.plot(list(points), list(points.values()), color=INK, ls=":", lw=1.3, marker=marker, ms=size, mfc="white", zorder=5,
            label=label)
    return ax


def set_base_2_axis(ax, places: Sequence[float], name: str, labels: Sequence[str] | None = None):
    """A base-2 x axis with a tick at each place; returns `ax`."""
    ax.set_xscale("log", base=2)
    ax.set_xlim(min(places) / 1.5, max(places) * 1.5)
    ax.set_xticks(places, labels=labels or [str(place) for place in places])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(name)
    return ax


def add_legend(ax):
    """A legend below the axes, where it hides no point, for all axes of the figure; returns `ax`."""
    entries = {}
    for each in ax.figure.axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    ax.figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=min(len(entries), 3), frameon=False,
                     columnspacing=1.4, handletextpad=0.6)
    return ax


def _draw_points(ax, column: Column, colour: str, marker: str, side: int = 1, start: float = 0.14,
                 gap: float = 0.09) -> None:
    shapes = [marker] * len(column.scores) + ["x"] * len(column.collapsed)
    scores = [*column.scores, *column.collapsed]
    for x, score, shape in zip(_beside(column.x, len(scores), side, start, gap), scores, shapes, strict=True):
        ax.plot(x, score, ls="", marker=shape, ms=5.5, mfc="white", mec=colour, mew=1.2, zorder=3)
    for x in _beside(column.x, column.diverged, -side, start, gap):  # no score, so no height: at the upper edge
        ax.plot(x, 0.97, ls="", marker="^", ms=7, mfc=INK, mec=INK, transform=ax.get_xaxis_transform(), zorder=3)


def _name_points(ax, columns, colour, marker) -> None:
    """Legend entries of the kinds of points that occur."""
    kinds = {"one run": (marker, "white", colour, any(column.scores for column in columns)),
             "collapsed run (one class)": ("x", colour, colour, any(column.collapsed for column in columns)),
             "diverged run (no score)": ("^", INK, INK, any(column.diverged for column in columns))}
    for name, (shape, face, edge, occurs) in kinds.items():
        if occurs:
            ax.plot([], [], ls="", marker=shape, ms=5.5, mfc=face, mec=edge, label=name)


def _beside(x: float, count: int, side: int, start: float, widest: float) -> list[float]:
    """Places on one side of x on a logarithmic axis, so that points hide neither each other nor the interval."""
    gap = min(widest, 4.5 * widest / max(count, 1))
    return [x * 2 ** (side * (start + gap * place)) for place in range(count)]
