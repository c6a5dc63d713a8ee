"""The report's section "Batch size and learning rate" on small stores: literal lines and numbers."""
import os
import re

from test_report import GOOGLE, report, row, written_report

from common.report import figures

RATES = (1e-5, 1e-4, 2e-4, 3e-4)


def section(text: str) -> str:
    return text.split('## <a id="learning-rate"></a>')[1].split('## <a id="why"></a>')[0]


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
    text = written_report()
    matched, mismatched = section(text).split("Every cell on dev_mismatched")
    # half = t(3; 0.975) s / 2 = 3.182446 * 0.0025820 / 2 = 0.0041
    assert row(matched, "64", "1e-4") == ["64", "1e-4", "76.1 ± 0.4 (n = 4)", "80.0 ± 0.0", "-; 1.7†", "76.1"]
    assert row(matched, "128", "2e-4")[2::3] == ["75.7 ± 0.4 (n = 4)", "75.65"]
    assert row(mismatched, "64", "1e-4") == ["64", "1e-4", "77.1 ± 0.4 (n = 4)", "80.0 ± 0.0", "-; 1.7†"]
    assert row(matched.split("Every cell")[0], "128") == ["128", "1e-4: 75.8 ± 0.4 (n = 4)", "2e-4: 75.7 ± 0.4 (n = 4)", "4"]
    assert "Of this set nothing was published." in mismatched and "fits 9808 of the 9815 rows." in matched
    assert [name.split("-", 2)[2] for name in sorted(os.listdir("figures")) if name.startswith("lr_mnli-")] == [
        "mini-mnli-dev-matched.png", "mini-mnli-dev-mismatched.png"]


def test_an_instance_that_lies_apart_in_nearly_every_cell_is_named(fill):
    checkpoint = fill.checkpoint("mini", GOOGLE)
    for number, (batch_size, rate) in enumerate([(size, rate) for size in (64, 128) for rate in RATES]):
        others, last = [0.63, 0.64, 0.65], 0.60 if number else 0.64
        cell(fill, checkpoint, batch_size, rate, *others[number % 3:], *others[:number % 3], last, task="SNLI")
    text = section(report())
    # Below the others by 4 points in seven cells and by 0 in one; chance: 4 * (8 * 3 + 1) / 4 ** 8 = 0.0015
    assert "- Instance 3 has the lowest score in 7 of 8 cells, on average 3.5 points below the others: its head has" in text
    assert text.count("has the lowest score") == 1 and "has the highest score" not in text


def test_an_instance_that_is_lowest_no_more_often_than_chance_explains_is_not_named(fill):
    checkpoint = fill.checkpoint("mini", GOOGLE)
    for number, (batch_size, rate) in enumerate([(size, rate) for size in (64, 128) for rate in RATES]):
        scores = [0.63, 0.64, 0.65, 0.66]
        turned = number % 4 if number > 3 else 0  # instance 0 lowest in five cells of eight: 4 * 1789 / 4 ** 8 = 0.109
        cell(fill, checkpoint, batch_size, rate, *scores[turned:], *scores[:turned], task="SNLI")
    text = section(report())
    assert "SNLI" in text and "has the lowest score" not in text and "has the highest score" not in text


def test_the_title_of_a_figure_names_the_set_where_the_task_has_several(fill, monkeypatch):
    titles, new_axes = [], figures.new_axes
    monkeypatch.setattr(figures, "new_axes", lambda title, **size: titles.append(title) or new_axes(title, **size))
    checkpoint = fill.checkpoint("mini", GOOGLE)
    grid(fill, checkpoint, {64: (0.711, 0.761, 0.754, 0.745), 128: (0.697, 0.758, 0.757, 0.751)})
    report()
    assert [title for title in titles if title] == [
        "MNLI dev_matched: best peak rate 1e-4 for batch 64, 1e-4 for batch 128 (mini)",
        "MNLI dev_mismatched: best peak rate 1e-4 for batch 64, 1e-4 for batch 128 (mini)",
        "MNLI dev_matched: whether equal noise scale means equal score is open (mini, 32 runs)",
        "MNLI dev_mismatched: whether equal noise scale means equal score is open (mini, 32 runs)"]


def test_claims_are_lines_of_the_first_table_and_their_evidence_is_in_the_section(fill):
    grid(fill, fill.checkpoint("mini", GOOGLE), {64: (0.711, 0.761, 0.754, 0.745), 128: (0.697, 0.758, 0.757, 0.751)})
    text = report()
    assert row(text, "batch size 128 is best at peak rate 1e-4 or 2e-4 (the original)")[1:] == [
        "**supported**", "+0.70 [+0.25, +1.15] points of the best rate over the other side", "MNLI dev_matched, mini: 16 runs",
        "[how](#claim-best-rate-128)"]
    assert row(text, "a larger batch needs a larger rate (the original; Smith and Le 2017)")[1] == "**supported**"
    assert "+0.70 [95 % interval" in text and "Where the answer names no checkpoint" not in text
    found = row(section(text), '<a id="claim-best-rate-64"></a>batch size 64 is best at peak rate 1e-4')
    assert found[1:4] + found[-1:] == ["MNLI dev_matched, mini", "16 runs", "+0.70 [+0.25, +1.15]", "**supported**: 4 of "
        "these runs had been seen before the protocol was written; the others alone: +0.70 [+0.25, +1.15]"]
    assert row(section(text), "batch size 64 is best at peak rate 1e-4")[1] == "MNLI dev_mismatched, mini"
    assert ("- On MNLI (mini, 32 runs) the best peak rate is **1e-4 at batch 64**: 76.1 ± 0.4 (n = 4), and **1e-4 at batch "
            "128**: 75.8 ± 0.4 (n = 4). That batch size 64 is best at peak rate 1e-4 is **supported** (+0.70 ") in text


def test_one_run_of_each_cell_decides_nothing(fill):
    checkpoint = fill.checkpoint()
    for batch_size in (64, 128):
        for rate in RATES:
            cell(fill, checkpoint, batch_size, rate, 0.7 + rate)
    text = report()
    assert row(section(text), '<a id="claim-best-rate-64"></a>batch size 64 is best at peak rate 1e-4')[2:] == [
        "4 of 16 runs", "**so far**: 4 of 16 planned runs are in"]
    assert "Which rate is best at batch 64 and 128, and whether a larger batch needs a larger rate, is open: MNLI" in text


def test_a_high_rate_that_diverges_is_counted_and_in_no_mean(fill):
    checkpoint = fill.checkpoint()
    cell(fill, checkpoint, 64, 1e-4, *around(0.76))
    config = cell(fill, checkpoint, 64, 3e-4, 0.70, 0.71)
    for instance in (2, 3):
        fill.finish(config, instance, status="diverged")
    text = section(report())
    assert row(text.split("Every cell on dev_mismatched")[0], "64", "3e-4")[2:] == [
        "70.0, 71.0 (n = 2 of 4, 2 diverged)", "80.0, 80.0", "-; 1.7†", "74.5"]
    assert "- 2 runs diverged and have no score (batch 64 at 3e-4: 2)." in text


def test_tasks_and_checkpoints_stand_apart_and_missing_runs_name_their_command(fill):
    first, second = fill.checkpoint("first"), fill.checkpoint("second")
    cell(fill, first, 64, 1e-4, 0.60, task="RTE")
    cell(fill, second, 64, 1e-4, *around(0.62), task="RTE")
    cell(fill, second, 64, 1e-4, 0.5, 0.5, task="RTE", asked=2, limit_train=500)
    cell(fill, second, 64, 1e-4, *around(0.75))
    parts = re.split(r'\n####? <a id="learning-rate-[0-9a-f]{8}"></a>', section(report()))[1:]
    assert [part.splitlines()[0] for part in parts] == [
        "second", "second, RTE", "first, RTE", "second, first 500 training rows, RTE"]
    assert ("- **Not complete: 1 of 4 runs are finished** (batch 64 at 1e-4: 1 of 4). `python exp_lr_mnli.py --instances 4 "
            "--task RTE` with this checkpoint") in parts[2]
    assert row(parts[2], "64", "1e-4") == ["64", "1e-4", "60.0 (n = 1 of 4)", "80.0", "-; 1.7†"]
    assert row(parts[1], "64", "1e-4")[2] == "62.0 ± 0.4 (n = 4)" and row(parts[3], "64", "1e-4")[2] == "50.0, 50.0 (n = 2)"
    assert "2020: accuracy" in parts[0] and "2020: accuracy" not in parts[1] + parts[2] + parts[3]
    assert "The published values belong to another task, other settings or other rows" in parts[1]


def test_collapsed_regressions_have_no_score_and_are_told(fill):
    cell(fill, fill.checkpoint(), 64, 1e-4, 0.7, task="STS-B", asked=2)
    config = cell(fill, fill.checkpoint("other"), 64, 3e-4, task="STS-B", asked=1)
    fill.finish(config, 0, None, collapsed=1)
    text = section(report())
    assert row(text, "64", "3e-4")[2:] == ["- (n = 0 of 1, 1 collapsed)", "-; 1.7†"]
    assert "- 1 collapsed run predicted one value for every row: that has no correlation, so no score" in text


def test_a_level_far_below_the_points_is_told_in_the_legend_alone():
    for value, lines, label in ((74.0, 2, "majority class (74.0 %), shaded below"), (35.4, 2, "majority class (35.4 %): below")):
        ax = figures.new_axes("x")
        ax.plot([1, 2], [75.0, 76.0])
        figures.draw_majority(ax, value)
        assert (len(ax.lines), ax.lines[-1].get_label()) == (lines, label)
        assert ax.get_ylim()[0] > 73


def test_of_equally_many_runs_those_of_the_originals_task_come_first(fill):
    checkpoint = fill.checkpoint("mini")
    cell(fill, checkpoint, 64, 1e-4, 0.70, task="RTE")
    cell(fill, checkpoint, 128, 1e-4, 0.71, task="RTE")
    cell(fill, checkpoint, 64, 1e-4, 0.60)
    assert row(report(), "batch size 64 is best at peak rate 1e-4 (the original)")[-2] == "MNLI dev_matched, mini: 1 of 16 runs"


def test_the_group_of_the_answer_comes_first(fill):
    """RTE is closer to the original, but has one run of each cell; the answer tells of SNLI, which is complete."""
    checkpoint = fill.checkpoint("mini")
    for size in (64, 128):
        for rate in RATES:
            cell(fill, checkpoint, size, rate, 0.6 + rate, task="RTE", asked=1)
            cell(fill, checkpoint, size, rate, *around(0.6 + 100 * rate), task="SNLI", limit_train=4000)
    text = section(report())
    assert re.findall(r'\n####? <a id="learning-rate-[0-9a-f]{8}"></a>(.*)', text) == [
        "mini, first 4000 training rows, SNLI", "mini, RTE"]
    assert "**3e-4 at batch 64**, the highest that was tried: 63.0 ± 0.4 (n = 4), and **3e-4 at batch 128**" in text


def test_the_answer_names_a_checkpoint_that_is_not_the_one_it_has_named_first(fill):
    mini, strong = fill.checkpoint("mini"), fill.checkpoint("strong", "b" * 64)
    fill.cell(mini, 2, [310, 312, 311, 313])
    fill.cell(mini, 64, [298, 299, 300, 299])
    claim = "batch size 64 is best at peak rate 1e-4 (the original)"
    for checkpoint, evidence in ((strong, "MNLI dev_matched, strong: 1 of 16 runs"), (mini, "MNLI dev_matched: 2 of 16 runs")):
        cell(fill, checkpoint, 64, 1e-4, *(0.76, 0.77)[:int(evidence.split(": ")[1][0])])
        opening = report().split("## Contents")[0]
        assert "it is mini. This is a stand-in" in opening
        assert row(opening, claim)[-2] == evidence


def on_two_tasks(fill, *, of_128):
    """4,000 rows of SNLI, complete and clear, and all rows of MNLI: batch 64 complete and noisy, a few runs of batch 128."""
    checkpoint = fill.checkpoint("mini")
    grid(fill, checkpoint, {64: (0.50, 0.60, 0.63, 0.61), 128: (0.44, 0.57, 0.60, 0.62)}, task="SNLI", limit_train=4000)
    for rate, mean in zip(RATES, (0.50, 0.64, 0.65, 0.645), strict=True):
        cell(fill, checkpoint, 64, rate, *(mean + 10 * (score - mean) for score in around(mean)))
        cell(fill, checkpoint, 128, rate, *around(mean)[:of_128])


def test_each_claim_is_told_from_where_its_evidence_is_strongest(fill):
    """On MNLI the planned runs of batch 64 alone are in, and undecided."""
    on_two_tasks(fill, of_128=3)
    answer = next(line for line in report().splitlines() if line.startswith("**Answer.** On MNLI"))
    assert re.sub(r" \[[^]]*]", "", answer) == (
        "**Answer.** On MNLI (mini, 28 runs) the best peak rate is **2e-4 at batch 64**: 65.0 ± 4.1 (n = 4), and **2e-4 at batch "
        "128**: 64.9 ± 0.5 (n = 3 of 4). That batch size 64 is best at peak rate 1e-4 is **undecided** (**contradicted** on "
        "SNLI). On SNLI (mini, first 4000 training rows, 32 runs) the best peak rate is **2e-4 at batch 64**: 63.0 ± 0.4 "
        "(n = 4), and **3e-4 at batch 128**, the highest that was tried: 62.0 ± 0.4 (n = 4). That batch size 128 is best at "
        "peak rate 1e-4 or 2e-4 is **contradicted** (+2.00 points of the best rate over the other side); that a larger batch "
        "needs a larger rate is **supported** (+1.14 points for each doubling of both batch size and rate).")


def test_what_another_task_has_decided_is_told_beside_each_claim(fill):
    on_two_tasks(fill, of_128=4)
    answer = next(line for line in report().splitlines() if line.startswith("**Answer.** On MNLI"))
    assert "best at peak rate 1e-4 is **undecided** (**contradicted** on SNLI); that batch size 128" in answer
    assert "at peak rate 1e-4 or 2e-4 is **undecided** (**contradicted** on SNLI); that a larger" in answer
    assert answer.endswith("that a larger batch needs a larger rate is **undecided** (**supported** on SNLI).")


def test_evidence_that_can_test_a_claim_comes_before_more_that_cannot(fill):
    """On MNLI no two batch sizes share a rate / square root of the batch size."""
    checkpoint = fill.checkpoint("mini")
    grid(fill, checkpoint, {64: (0.50, 0.60, 0.63, 0.61), 128: (0.50, 0.57, 0.60, 0.62)})
    for size, rate in ((64, 1e-4), (64, 2e-4), (256, 1e-4), (256, 2e-4)):
        cell(fill, checkpoint, size, rate, *around(0.6), task="SNLI", limit_train=4000)
    claim = "runs of equal rate / square root of the batch size score alike (Malladi et al. 2022, for Adam)"
    assert row(report(), claim)[-2] == "SNLI, mini, first 4000 training rows: 16 runs"
