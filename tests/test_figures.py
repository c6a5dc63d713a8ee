"""What can be read off a figure, where a picture would hide it."""
import pytest

from common.report import figures
from common.report.statistics import mean_interval


def draw(ax):
    """Labels of the x axis that lie within the axes, as the picture shows them."""
    figures.to_png(ax.figure)
    low, high = ax.get_xlim()
    return [label.get_text() for which in ("major", "minor") for tick, label in
            zip(ax.get_xticks(minor=which == "minor"), ax.get_xticklabels(which=which), strict=True)
            if low <= tick <= high and label.get_text()]


@pytest.mark.parametrize("places, labels", [
    ((0.0012, 0.0035), ["0.0015", "0.002", "0.0025", "0.003", "0.0035"]),
    ((0.0011, 0.035), ["0.001", "0.002", "0.005", "0.01", "0.02"]),
    ((1e-6, 10.0), ["1e−06", "1e−05", "0.0001", "0.001", "0.01", "0.1", "1", "10"])])
def test_a_logarithmic_axis_has_plain_numbers(places, labels):
    ax = figures.draw_clouds(figures.new_axes("clouds"), {2: [(place, 70.0) for place in places]})
    assert draw(ax) == labels


@pytest.mark.parametrize("draw_lined", [figures.draw_runs, lambda ax, columns: figures.draw_line(ax, columns, "batch 8")])
def test_a_line_goes_through_every_mean_also_that_of_one_or_two_runs(draw_lined):
    scores = {2: [80.0, 78.0], 8: [78.0, 77.0, 76.0], 16: [75.0], 32: []}
    columns = [figures.Column(x, runs, mean_interval(runs), batch_size=8) for x, runs in scores.items()]
    ax = draw_lined(figures.new_axes("runs"), columns)
    line, = (line for line in ax.lines if line.get_linestyle() != "None" and len(line.get_xdata()) > 1)
    assert list(zip(*line.get_data(), strict=True)) == [(2, 79.0), (8, 77.0), (16, 75.0)]
