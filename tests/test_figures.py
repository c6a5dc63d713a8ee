"""What can be read off a figure, where a picture would hide it."""
import pytest

from common.report import figures


def draw(ax):
    """Labels of the x axis that lie within the axes, as the picture shows them."""
    figures.to_png(ax)
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
