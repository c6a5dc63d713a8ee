"""The report's section "Batch size and learning rate" on small stores: literal lines and numbers."""
import os
from pathlib import Path

import pytest
from test_report import GOOGLE, report, row

from common.report import figures
from common.report.sections.learning_rate import measure_shift

RATES = (1e-5, 1e-4, 2e-4, 3e-4)


def section(text: str) -> str:
    return text.split('## <a id="learning-rate"></a>')[1].split('## <a id="batch-size"></a>')[0]


def text_of_summary() -> str:
    return Path("REPORT.md").read_text().split('<a id="input"></a>')[0]


def conclusions(text: str) -> list[str]:
    """The tables about the best rates and about their shift."""
    return text.split('### <a id="learning-rate-best"></a>')[1].split('### <a id="learning-rate-shift"></a>')


def cell(fill, checkpoint, batch_size, rate, *scores, task="MNLI", asked=4, **settings):
    config = fill.plan("lr_mnli", checkpoint, task, asked, batch_size=batch_size, peak_learning_rate=rate, epochs=5,
                       **settings)
    for instance, score in enumerate(scores):
        fill.finish(config, instance, *([score, score + 0.01] if task == "MNLI" else [score]))
    return config


def around(mean):
    """Four scores of this mean, s = 0.00258."""
    return [mean - 0.003, mean - 0.001, mean + 0.001, mean + 0.003]


def grid(fill, checkpoint, means, **more):
    for batch_size, each in means.items():
        for rate, mean in zip(RATES, each, strict=True):
            cell(fill, checkpoint, batch_size, rate, *around(mean), **more)


def test_an_empty_study_says_so_in_a_line_with_its_command(fill):
    assert "The store holds nothing of this study; `python exp_lr_mnli.py --instances 4` fills it." in section(report())


def test_mnli_has_a_table_and_a_figure_for_each_set_and_published_values_on_one(fill):
    grid(fill, fill.checkpoint("mini", GOOGLE), {64: (0.711, 0.761, 0.754, 0.745), 128: (0.697, 0.758, 0.757, 0.751)})
    text = section(report())
    matched, mismatched = text.split("Evaluation set dev_matched, 9815 rows.")
    # half = t(3; 0.975) s / 2 = 3.182446 * 0.0025820 / 2 = 0.0041
    assert row(matched, "64", "1e-4") == ["64", "1e-4", "4 of 4", "76.1 ± 0.4", "80.0 ± 0.0", "1m42s", "0", "0", "76.1"]
    assert row(matched, "128", "2e-4")[3:4] + row(matched, "128", "2e-4")[-1:] == ["75.7 ± 0.4", "75.65"]
    assert row(mismatched, "64", "1e-4") == ["64", "1e-4", "4 of 4", "77.1 ± 0.4", "80.0 ± 0.0", "1m42s", "0", "0"]
    assert "Of this set nothing was published." in mismatched and "fits 9808 of the 9815 rows." in mismatched
    assert [name.split("-", 2)[2] for name in sorted(os.listdir("figures")) if name.startswith("lr_mnli-")] == [
        "mini-mnli-dev-matched.png", "mini-mnli-dev-mismatched.png"]
    summary = text_of_summary()
    assert row(summary, "batch 64 is best at 1e-4, batch 128 between 1e-4 and 2e-4", "mini",
               "MNLI dev_matched, batch 128")[3:] == ["16", "**supported**", "[test](#learning-rate-best)"]
    assert row(summary, "a larger batch may need a larger rate; qualitatively consistent with Smith and Le 2017", "mini",
               "MNLI dev_mismatched")[3:5] == ["32", "**supported**"]
    best, shift = conclusions(text)
    assert row(best, "mini", "dev_matched", "64")[3:] == [
        "16", "1e-4 (76.1 ± 0.4)", "2e-4 (75.4 ± 0.4)", "1e-4", "+0.70 [+0.25, +1.15], p = 0.009", "**supported**"]
    assert row(best, "mini", "dev_matched", "128")[4:] == [
        "1e-4 (75.8 ± 0.4)", "2e-4 (75.7 ± 0.4)", "1e-4 to 2e-4", "+0.70 [+0.25, +1.15], p = 0.009", "**supported**"]
    assert row(shift, "mini", "dev_matched")[2:5] == ["64, 128", "1e-5, 1e-4, 2e-4, 3e-4", "32"]
    assert row(shift, "mini", "dev_matched")[-1] == "**supported**"


def test_conclusions_are_contradicted_where_the_store_says_otherwise(fill):
    grid(fill, fill.checkpoint(), {64: (0.70, 0.72, 0.74, 0.76), 128: (0.76, 0.74, 0.72, 0.70)})
    best, shift = conclusions(report())
    assert row(best, "mini", "dev_matched", "64")[4:] == [
        "3e-4 (76.0 ± 0.4)", "2e-4 (74.0 ± 0.4)", "1e-4", "+4.00 [+3.55, +4.45], p < 0.001", "**contradicted**"]
    assert row(best, "mini", "dev_matched", "128")[4] == "1e-5 (76.0 ± 0.4)"
    assert row(best, "mini", "dev_matched", "128")[-1] == "**contradicted**"
    assert row(shift, "mini", "dev_matched")[-1] == "**contradicted**"


def test_one_run_of_each_cell_decides_nothing(fill):
    checkpoint = fill.checkpoint()
    for batch_size in (64, 128):
        for rate in RATES:
            cell(fill, checkpoint, batch_size, rate, 0.7 + rate)
    best, shift = conclusions(report())
    assert row(best, "mini", "dev_matched", "64")[-2:] == [
        "-", "**undecided**: too few runs, or no spread to test (so far: 8 of 32 runs)"]
    assert row(shift, "mini", "dev_matched")[2:6] == ["64, 128", "-", "0", "-"]


def test_no_verdict_where_no_cell_is_above_the_majority_class(fill):
    grid(fill, fill.checkpoint(), {64: (0.30, 0.34, 0.33, 0.32), 128: (0.30, 0.33, 0.33, 0.32)})
    best, shift = conclusions(report())
    assert row(best, "mini", "dev_matched", "64")[-1] == "**undecided**: no cell has an interval above the majority class"
    assert row(shift, "mini", "dev_matched")[-1] == "**undecided**: no cell has an interval above the majority class"


def test_other_batch_sizes_have_no_conclusion_to_test(fill):
    checkpoint = fill.checkpoint()
    cell(fill, checkpoint, 32, 1e-4, *around(0.75))
    cell(fill, checkpoint, 64, 1e-4, *around(0.76))
    best, _ = conclusions(report())
    assert row(best, "mini", "dev_matched", "32")[5:] == ["-", "-", "-", "-"]
    assert row(best, "mini", "dev_matched", "64")[-1] == "**undecided**: not both named and other rates have runs"


def test_a_high_rate_that_diverges_is_counted_and_in_no_mean(fill):
    checkpoint = fill.checkpoint()
    cell(fill, checkpoint, 64, 1e-4, *around(0.76))
    config = cell(fill, checkpoint, 64, 3e-4, 0.70, 0.71)
    for instance in (2, 3):
        fill.finish(config, instance, status="diverged")
    text = section(report())
    assert row(text.split("Evaluation set dev_matched")[0], "64", "3e-4")[2:] == [
        "2 of 4", "70.5 ± 6.4", "80.0 ± 0.0", "1m42s", "0", "2", "74.5"]
    assert "- 2 runs diverged: no score, in no mean (batch 64 at 3e-4: 2)." in text
    assert row(conclusions(text)[0], "mini", "dev_matched", "64")[-1].endswith("; diverged and left out: 2")


def test_tasks_and_checkpoints_stand_apart_and_missing_runs_name_their_command(fill):
    first, second = fill.checkpoint("first"), fill.checkpoint("second")
    cell(fill, first, 64, 1e-4, 0.60, task="RTE")
    cell(fill, second, 64, 1e-4, *around(0.62), task="RTE")
    cell(fill, second, 64, 1e-4, 0.5, 0.5, task="RTE", asked=2, limit_train=500)
    cell(fill, second, 64, 1e-4, *around(0.75))
    parts = section(report()).split('\n### <a id="learning-rate-')[1:5]
    assert [part.splitlines()[0].split("</a>")[1] for part in parts] == [
        "first, RTE", "second", "second, RTE", "second, quick look at the first 500 training rows, RTE"]
    assert ("- **Not complete: 1 of 4 runs are finished** (batch 64 at 1e-4: 1 of 4). `python exp_lr_mnli.py --instances 4 "
            "--task RTE` with this checkpoint") in parts[0]
    assert row(parts[0], "64") == ["64", "1e-4", "1 of 4", "60.0", "80.0", "1m42s", "0", "0"]
    assert row(parts[2], "64")[3] == "62.0 ± 0.4" and row(parts[3], "64")[3] == "50.0 ± 0.0"
    assert "published accuracy" in parts[1] and "published accuracy" not in parts[0] + parts[2] + parts[3]
    assert "The published values belong to another task, other settings or other rows" in parts[2]


def test_collapsed_regressions_have_no_score_and_are_told(fill):
    cell(fill, fill.checkpoint(), 64, 1e-4, 0.7, task="STS-B", asked=2)
    config = cell(fill, fill.checkpoint("other"), 64, 3e-4, task="STS-B", asked=1)
    fill.finish(config, 0, None, collapsed=1)
    text = section(report())
    assert row(text, "64", "3e-4")[2:] == ["0 of 1", "-", "-", "1m42s", "1", "0"]
    assert "- 1 collapsed run predicted one value for every row: that has no correlation, so no score" in text


def test_shift_of_four_cells():
    # slopes 0.01 at batch 64 and 0.03 at 128 for one doubling of the rate; each cell: variance 2e-4 / 2 = 1e-4 of its mean
    # all weights are 1: error sqrt(4e-4) = 0.02 on (4e-4)^2 / (4 * 1e-8) = 4 degrees
    effect = measure_shift([64, 128], [1e-4, 2e-4], [[0.69, 0.71], [0.70, 0.72], [0.69, 0.71], [0.72, 0.74]])
    assert (effect.estimate, effect.n) == (pytest.approx(0.02), 8)
    assert effect.high - effect.estimate == pytest.approx(2.776445 * 0.02)
    assert measure_shift([64], [1e-4, 2e-4], [[1, 2], [1, 2]]) is None
    assert measure_shift([64, 128], [1e-4], [[1, 2], [1, 2]]) is None


def test_a_level_far_below_the_points_is_told_in_the_legend_alone():
    for value, lines, label in ((74.0, 2, "majority"), (35.4, 2, "majority: below")):
        ax = figures.new_axes("x")
        ax.plot([1, 2], [75.0, 76.0])
        figures.draw_level(ax, value, "majority")
        assert (len(ax.lines), ax.lines[-1].get_label()) == (lines, label)
        assert ax.get_ylim()[0] > 73
