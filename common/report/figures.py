"""The figures of the report: drawing functions take and return `ax`, and know nothing of the store.

A batch size has one colour and one marker in every figure, so a grey print and a colour-blind reader lose nothing. Fewer
than three runs are drawn as runs alone: the 95 % interval of two says nothing and would dwarf everything else.
"""
import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report.page import FEWEST
from common.report.statistics import Interval

COLOURS = ("#440154", "#414487", "#2a788e", "#22a884", "#4f9a2e", "#b8a21a", "#c2571a", "#8c2d3c")
"""After viridis, dark enough for white paper: batch sizes 2, 4, 8, ..., 256."""
MARKERS = ("o", ">", "s", "^", "D", "v", "<", "h")
LINES = ("-", (0, (1, 1)), "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 3)))
INK, GREY, SHADE = "#222222", "#767676", "#ececec"
WIDTH, DPI = 7.2, 130
SETTINGS = {"font.family": "DejaVu Sans", "font.size": 11, "axes.titlesize": 11.5, "legend.fontsize": 9.5,
            "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e0e0e0",
            "axes.axisbelow": True, "text.parse_math": False}


@dataclass(frozen=True)
class Style:
    """How one batch size is drawn, in every figure."""

    colour: str
    marker: str
    line: object


@dataclass(frozen=True)
class Column:
    """The runs above one place of the x axis."""

    x: float
    scores: Sequence[float]
    """Of the runs that learnt."""
    interval: Interval
    """Over all scored runs, the collapsed included."""
    batch_size: int = 0
    """Chooses colour and marker."""
    collapsed: Sequence[float] = field(default=())
    """Scores of runs that predict one class."""
    diverged: int = 0
    """Number of runs without a score."""

    @property
    def has_mean(self) -> bool:
        return self.interval.n >= FEWEST


@dataclass(frozen=True)
class Row:
    """The runs beside one name on the y axis."""

    name: str
    column: Column
    sampling: float | None
    """Half of the 95 % interval of the evaluation set's sampling error; None where there is none."""


def style_of(batch_size: int) -> Style:
    """Colour, marker and line of a batch size: powers of two in their order, others by the next lower one."""
    number = (int(math.log2(max(batch_size, 2))) - 1) % len(COLOURS)
    return Style(COLOURS[number], MARKERS[number], LINES[number])


def new_axes(title: str, height: float = 4.4):
    """Fresh axes on a new figure, independent of pyplot's state and of the reader's matplotlibrc."""
    ax = _new_figure(height).add_subplot()
    ax.set_title(_wrap(title), loc="left")
    return ax


def new_panels(title: str, names: Sequence[str]) -> list:
    """Fresh axes with one x and one y axis for all, three in a row and each under its name, on a new figure."""
    rows = -(-len(names) // 3)
    figure = _new_figure(0.9 + 2.2 * rows)
    figure.suptitle(_wrap(title), x=0.01, ha="left", fontsize=SETTINGS["axes.titlesize"])
    panels = figure.subplots(rows, 3, sharey=True, squeeze=False).ravel()
    for ax, name in zip(panels, names, strict=False):
        ax.set_title(name, loc="left", fontsize=10)
        ax.tick_params(labelsize=9)
    for ax in panels[len(names):]:
        ax.remove()
    return list(panels[:len(names)])


def new_halves(title: str, heights: Sequence[int]) -> list:
    """Fresh axes one below the other, as high as these numbers of rows, on a new figure."""
    figure = _new_figure(1.3 + 0.42 * sum(heights) + 0.5 * len(heights))
    figure.suptitle(_wrap(title), x=0.01, ha="left", fontsize=SETTINGS["axes.titlesize"])
    return list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=[rows + 0.6 for rows in heights]).ravel())


def _new_figure(height: float):
    """An empty figure of this height in inches."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcdefaults()
    matplotlib.rcParams.update(SETTINGS)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _wrap(title: str) -> str:
    """A title of at most five lines, in letters that the font has."""
    plain = title.replace("−", "-").encode("latin-1", "replace").decode("latin-1")
    lines = textwrap.wrap(plain, 72, max_lines=5, placeholder=" ...")
    return "\n".join(lines)


def to_png(figure) -> bytes:
    """A figure as a PNG: the same bytes each time, with neither date nor program in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    # savefig draws all twice where there is a layout to be made
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return file.getvalue()


# -- runs, means and their intervals

def draw_runs(ax, columns: Sequence[Column], *, line: bool = True):
    """Every run, beside the mean and its 95 % interval where there are three; a line through all means; returns `ax`.

    Args:
      columns: from left to right, on an x axis that has its scale already.
      line: whether means are joined, in ink: for columns of different batch sizes.
    """
    for column in columns:
        _draw_column(ax, column)
    if line:
        ax.plot(*_means(columns), color=GREY, lw=1.2, zorder=2)
    return ax


def draw_line(ax, columns: Sequence[Column], label: str):
    """As `draw_runs` for one batch size, the means joined by its own line with a label; returns `ax`."""
    style = style_of(columns[0].batch_size)
    for column in columns:
        _draw_column(ax, column)
    ax.plot(*_means(columns), color=style.colour, ls=style.line, lw=1.6, zorder=2)
    ax.plot([], [], color=style.colour, ls=style.line, marker=style.marker, ms=6.5, label=label)
    return ax


def _means(columns: Sequence[Column]) -> tuple[list[float], list[float]]:
    """Places and means of the columns with a score, be it of one run: a line must leave out no batch size or rate."""
    scored = [column for column in columns if column.interval.n]
    return [column.x for column in scored], [column.interval.mean for column in scored]


def _draw_column(ax, column: Column) -> None:
    style, shown = style_of(column.batch_size), column.has_mean
    scores = [(score, style.marker) for score in column.scores] + [(score, "x") for score in column.collapsed]
    places = _beside(column.x, len(scores)) if shown else _astride(column.x, len(scores))
    for x, (score, marker) in zip(places, scores, strict=True):
        ax.plot(x, score, ls="", marker=marker, ms=5.5, mfc="white", mec=style.colour, mew=1.2, zorder=3)
    if shown:
        ax.errorbar([column.x], [column.interval.mean], yerr=[column.interval.half], fmt=style.marker, color=style.colour,
                    ms=7, capsize=4, elinewidth=1.6, zorder=4)
    for number in range(column.diverged):  # no score, so no height: at the upper edge
        ax.plot(column.x, 0.97 - 0.05 * number, ls="", marker="^", ms=6, mfc=INK, mec=INK, zorder=3,
                transform=ax.get_xaxis_transform())


def _beside(x: float, count: int) -> list[float]:
    """Places to the right of x on a logarithmic axis, so that runs hide neither each other nor the interval."""
    gap = min(0.09, 0.4 / max(count, 1))
    return [x * 2 ** (0.14 + gap * place) for place in range(count)]


def _astride(x: float, count: int) -> list[float]:
    """Places about x on a logarithmic axis, a little apart, so that equal scores show as two."""
    return [x * 2 ** (0.11 * (place - (count - 1) / 2)) for place in range(count)]


def name_marks(ax, columns: Sequence[Column]):
    """Legend entries of the kinds of marks that occur; returns `ax`."""
    kinds = {"mean, 95 % interval": ("o", GREY, any(column.has_mean for column in columns)),
             "one run": ("o", "white", any(column.scores for column in columns)),
             "collapsed run (one class)": ("x", GREY, any(column.collapsed for column in columns)),
             "diverged run (no score)": ("^", INK, any(column.diverged for column in columns))}
    for name, (marker, face, occurs) in kinds.items():
        if occurs:
            ax.plot([], [], ls="", marker=marker, ms=6, mfc=face, mec=INK if face == INK else GREY, label=name)
    return ax


def draw_rows(ax, rows: Sequence[Row], zero: str):
    """One row for each name, from above: every run, their mean with its interval and the set's sampling error.

    Returns `ax`; 0 on the x axis is where a score tells nothing of the model, called `zero`.
    """
    for place, row in enumerate(rows):
        _draw_row(ax, place, row)
    low = min(0.0, ax.get_xlim()[0])
    ax.axvspan(low, 0, color=SHADE, zorder=0)
    ax.set_xlim(left=low)
    ax.axvline(0, color=GREY, ls=(0, (5, 4)), lw=1.3, zorder=1)
    ax.set_xlabel(zero)
    ax.set_yticks(range(len(rows)), labels=[row.name for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    return ax


def _draw_row(ax, place: int, row: Row) -> None:
    column, interval, style = row.column, row.column.interval, style_of(row.column.batch_size)
    if interval.n and row.sampling:
        ax.plot([interval.mean - row.sampling, interval.mean + row.sampling], [place, place], color="#bdbdbd", lw=8,
                solid_capstyle="butt", zorder=2)
    height = place + (0.27 if column.has_mean else 0)
    marks = [(score, style.marker) for score in column.scores] + [(score, "x") for score in column.collapsed]
    for score, marker in marks:
        ax.plot(score, height, ls="", marker=marker, ms=5.5, mfc="white", mec=style.colour, mew=1.3, zorder=3)
    if column.has_mean:
        ax.errorbar([interval.mean], [place], xerr=[interval.half], fmt=style.marker, color=style.colour, ms=7, capsize=4,
                    elinewidth=1.6, zorder=4)
    for number in range(column.diverged):
        ax.plot(0.98 - 0.02 * number, place, ls="", marker="^", ms=6, mfc=INK, mec=INK,
                transform=ax.get_yaxis_transform(), zorder=3)


# -- curves and clouds

def draw_curves(ax, batch_size: int, runs: Sequence[Sequence[tuple[float, float]]], mean: Sequence[tuple[float, float]]):
    """Curves of the runs of one batch size, and their mean where there are three; returns `ax`."""
    style = style_of(batch_size)
    for run in runs:
        ax.plot([x for x, _ in run], [y for _, y in run], color=style.colour, lw=0.9, alpha=0.75, marker=style.marker, ms=2.5,
                zorder=3)
    if len(runs) >= FEWEST:
        ax.plot([x for x, _ in mean], [y for _, y in mean], color=style.colour, lw=2.4, marker=style.marker, ms=5.5, zorder=4)
    return ax


def draw_clouds(ax, clouds: dict[int, Sequence[tuple[float, float]]]):
    """Runs (x, y) of each batch size on a logarithmic x axis, hollow, so that equal places show; returns `ax`."""
    from matplotlib.ticker import LogLocator

    ax.set_xscale("log")
    places = [x for points in clouds.values() for x, _ in points]
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(places) < 5000 * min(places) else (1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")  # else numbers in TeX's notation
    for batch_size, points in clouds.items():
        style = style_of(batch_size)
        ax.plot([x for x, _ in points], [y for _, y in points], ls="", marker=style.marker, ms=6, mec=style.colour, mew=1.3,
                mfc="none", label=f"batch {batch_size}", zorder=3)
    return ax


# -- what runs are compared with

def draw_reference(ax, points: dict[float, float], label: str):
    """A line of means to compare with, without their runs; returns `ax`."""
    ax.plot(list(points), list(points.values()), color=GREY, ls=(0, (2, 2)), lw=1.4, zorder=1.5, label=label)
    return ax


def draw_majority(ax, value: float, label: str = "majority class"):
    """Shades where a score is no better than naming the most frequent class; returns `ax`.

    Where that lies so far below the points that it would flatten them, the legend alone tells of it.
    """
    low, high = ax.get_ylim()
    if value < low - 2 * (high - low):
        ax.plot([], [], color=GREY, ls=(0, (5, 4)), lw=1.3, label=f"{label} ({value:.1f} %): below")
        return ax
    low = min(low, value - 0.1 * (high - low))
    ax.axhspan(low, value, color=SHADE, zorder=0)
    ax.axhline(value, color=GREY, ls=(0, (5, 4)), lw=1.3, zorder=1, label=f"{label} ({value:.1f} %), shaded below")
    ax.set_ylim(low, max(high, value + 0.02 * (high - low)))
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
    ax.set_xlim(min(places) / 1.5, max(places) * 1.6)
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


# -- what depends on what

BOXES = {"GLUE files": (0.0, 3), "checkpoint": (0.0, 2), "configuration": (0.0, 1), "instance": (0.0, 0),
         "rows": (1.25, 3), "vocabulary": (1.25, 2.25), "weights": (1.25, 1.55), "token ids": (2.5, 2.7),
         "rate, split,\norder, ...": (2.5, 1), "initial values\nof the head": (2.5, 0), "run": (3.75, 1.55),
         "store": (4.75, 1.55), "report": (5.75, 1.55)}
ARROWS = (("GLUE files", "rows"), ("checkpoint", "vocabulary"), ("checkpoint", "weights"), ("rows", "token ids"),
          ("vocabulary", "token ids"), ("token ids", "run"), ("weights", "run"), ("configuration", "rate, split,\norder, ..."),
          ("instance", "initial values\nof the head"), ("rate, split,\norder, ...", "run"),
          ("initial values\nof the head", "run"), ("run", "store"), ("store", "report"))


def draw_dependencies(ax):
    """The way from the files to the report as boxes and arrows; returns `ax`."""
    ax.set_axis_off()
    ax.set_xlim(-0.55, 6.3)
    ax.set_ylim(-0.5, 3.5)
    labels = {name: ax.text(x, y, name, ha="center", va="center", fontsize=9.5, zorder=3,
                            bbox={"boxstyle": "round,pad=0.4", "fc": "white", "ec": INK}) for name, (x, y) in BOXES.items()}
    ax.figure.draw_without_rendering()  # else no box has a size for the arrows to end at
    for start, end in ARROWS:
        ax.annotate("", BOXES[end], BOXES[start], zorder=1, arrowprops={
            "arrowstyle": "-|>", "mutation_scale": 13, "color": GREY, "lw": 1.2, "shrinkA": 4, "shrinkB": 4,
            "patchA": labels[start].get_bbox_patch(), "patchB": labels[end].get_bbox_patch()})
    return ax
