"""The report's section "All of GLUE" on small stores: literal lines and numbers."""
import os
import re

import pytest
import stand_in
from test_report import GOOGLE, report, row, written_report

import exp_allglue
import exp_bs_mrpc
import exp_lr_mnli
from common.report import published
from common.report.page import show_exactly
from common.store.schema import configs, datasets, studies
from common.store.store import _config_row
from common.studies.names import show_rate
from common.studies.tasks import TASKS

RECIPE = {"batch_size": 8, "peak_learning_rate": 2e-5, "epochs": 4}
ALL = list(TASKS)


def section(text: str, first="all-glue", last="appendix") -> str:
    return text.split(f'# <a id="{first}"></a>')[1].split(f'# <a id="{last}"></a>')[0]


def all_glue(fill, checkpoint, task, *scores, **columns):
    config = fill.plan("allglue", checkpoint, task, **RECIPE | {"batch_size": 64 if task in ("MNLI", "SNLI") else 8})
    fill.finish(config, 0, *scores, **columns)
    return config


def upstream(fill, checkpoint, task, batch_size, rate, *scores, **columns):
    config = fill.plan("allglue_upstream", checkpoint, task, batch_size=batch_size, peak_learning_rate=rate, epochs=4)
    for instance, score in enumerate(scores):
        fill.finish(config, instance, score, **columns)
    return config


def test_an_empty_store_says_so_in_a_line_with_its_command(fill):
    text = section(report())
    assert "The store holds nothing of this study; `python exp_allglue.py --instances 1` fills it." in text
    assert "The store holds no run of CoLA; `python exp_allglue.py --instances 1 --tasks CoLA` trains one." in text
    assert "The store holds nothing of this search; `python exp_allglue.py --grid upstream` fills it." in text


def test_tasks_in_their_order_with_published_values_beside(fill):
    checkpoint = fill.checkpoint("mini", GOOGLE)
    all_glue(fill, checkpoint, "RTE", 166 / 277)
    all_glue(fill, checkpoint, "SST-2", 750 / 872, f1=0.86)
    all_glue(fill, checkpoint, "STS-B", 0.754, spearman=0.733)
    text = section(written_report())
    scores, beside = text.split("Means over the instances")
    assert row(scores, "SST-2, 872 rows")[1:] == ["8", "accuracy **86.0 (n = 1)**", "F1 86.0", "50.9 ± 1.2", "-; 1.7†"]
    assert row(scores, "STS-B, 1500 rows")[1:] == ["8", "Pearson **75.4 (n = 1)**", "Spearman 73.3", "-", "-; 1.7†"]
    assert scores.index("\n| SST-2, ") < scores.index("\n| STS-B, ") < scores.index("\n| RTE, ")
    assert "Matthews" not in scores.split("| task")[1]
    assert row(beside, "SST-2")[1:] == ["86.0", "86.458 (864 of 872 rows)", "86.0", "54.075", "1.7†; 14.0", "85.9"]
    assert row(beside, "RTE")[1:3] == ["59.9", "60.294 (272 of 277 rows)"]
    assert row(beside, "STS-B")[1:3] + row(beside, "STS-B")[-1:] == ["75.4", "-", "Pearson 75.4, Spearman 73.3"]
    assert "GLUE test server, best of 20 settings (Google)" in beside and "is not a usable F1: 54 for SST-2" in beside
    assert ("- Not in the store: CoLA, MRPC, QQP, MNLI, SNLI, QNLI, WNLI. `python exp_allglue.py --instances 1 --tasks CoLA "
            "MRPC QQP MNLI SNLI QNLI WNLI` with this checkpoint and these settings trains what is missing.") in text
    (figure,) = set(os.listdir("figures")) - {"dependencies.png"}
    assert re.fullmatch("allglue-[0-9a-f]{8}-mini-tasks.png", figure) and f"(figures/{figure})" in text
    assert "n = SST-2: 1, STS-B: 1, RTE: 1.*" in text


def test_one_run_of_mnli_is_two_rows(fill):
    all_glue(fill, fill.checkpoint(), "MNLI", 0.7275, 0.7408)
    scores, beside = section(report()).split("Means over the instances")
    assert row(scores, "MNLI dev_matched, 9815 rows")[1:3] == ["64", "accuracy **72.8 (n = 1)**"]
    assert row(scores, "MNLI dev_mismatched, 9832 rows")[1:3] == ["64", "accuracy **74.1 (n = 1)**"]
    assert row(beside, "MNLI dev_matched")[2] == "72.747 (9808 of 9815 rows)"
    assert row(beside, "MNLI dev_mismatched")[-2:] == ["1.7†; 34.2", "74.3"]


def test_parts_of_the_official_sets_are_marked(fill):
    for name, rows, official in (("train", 21714, 363846), ("dev", 8402, 40430)):
        fill.insert(datasets, digest="part", set_name=name, task="QQP", row_count=rows, official_rows=official, majority=0.63)
    checkpoint = fill.checkpoint("mini", GOOGLE)
    for task, data in (("QQP", "part"), ("QNLI", TASKS["QNLI"].digest or "QNLI")):
        config = stand_in.make_config(task=task, data=data, checkpoint=checkpoint, **RECIPE)
        fill.insert(configs, **_config_row(config))
        fill.insert(studies, study="allglue", config=config.hash, instances=1)
        fill.finish(config, 0, 0.74)
    text = section(report())
    assert row(text, "QQP, 8402 of 40430 rows; trained on 21714 of 363846")[1:3] == ["8", "accuracy **74.0 (n = 1)**"]
    assert row(text, "QNLI, 5463 rows")[2] == "accuracy **74.0 (n = 1)**"
    assert "- Trained or scored on parts of the official sets: QQP." in text
    assert "n = QQP (part): 1, QNLI: 1.*" in text


def test_instances_get_an_interval_and_a_partly_run_study_says_what_is_missing(fill):
    checkpoint = fill.checkpoint()
    config = fill.plan("allglue", checkpoint, "MRPC", asked=4, **RECIPE)
    for instance in range(3):
        fill.finish(config, instance, (310 + instance) / 408)
    fill.plan("allglue", checkpoint, "RTE", asked=4, **RECIPE)
    text = section(report())
    # mean 311 of 408, half = t(2; 0.975) / sqrt(3) = 2.484138 rows
    assert row(text, "MRPC, 408 rows")[2] == "accuracy **76.2 ± 0.6 (n = 3 of 4)**"
    assert row(text, "RTE, 277 rows")[2] == "accuracy **- (n = 0 of 4)**"
    assert ("- **Not complete: 3 of 8 runs are finished** (MRPC, batch 8: 3 of 4; RTE, batch 8: 0 of 4). `python "
            "exp_allglue.py --instances 4` with this checkpoint") in text


def test_scores_that_tell_nothing_are_named(fill):
    checkpoint = fill.checkpoint()
    all_glue(fill, checkpoint, "MRPC", 0.6838, collapsed=1)
    all_glue(fill, checkpoint, "RTE", 0.56)
    all_glue(fill, checkpoint, "WNLI", 28 / 71)
    text = section(report())
    assert "- **Uninformative** (MRPC): every score equals the majority class." in text
    assert "- Not above the majority class by more than two standard errors of the set (RTE, WNLI)." in text


@pytest.mark.parametrize(("runs", "shown"), [
    ([(0.0, 1)], ["1 of 1", "1", "0.0 to 0.0", "69.1", "69.1"]),
    ([(0.15, 0), (0.22, 0)], ["2 of 2", "0", "15.0 to 22.0", "69.1", "69.1"]),
    ([], ["0 of 1", "0", "69.1"]),
])
def test_why_cola_was_left_out(fill, runs, shown):
    config = fill.plan("allglue", fill.checkpoint(), "CoLA", **RECIPE)
    for instance, (matthews, collapsed) in enumerate(runs):
        fill.finish(config, instance, matthews, collapsed=collapsed, accuracy=0.6913)
    assert row(section(report()), "mini, one recipe")[1:] == shown


def test_a_collapsed_run_of_sts_b_has_no_score_and_is_counted(fill):
    all_glue(fill, fill.checkpoint(), "STS-B", None, collapsed=1)
    assert row(section(report()), "STS-B, 1500 rows")[2:] == ["Pearson **- (n = 0 of 1, 1 collapsed)**", "-; 1.7†"]


def test_checkpoints_limited_and_other_rows_stand_apart(fill):
    first, second = fill.checkpoint("first"), fill.checkpoint("second")
    all_glue(fill, first, "MRPC", 300 / 408)
    all_glue(fill, second, "MRPC", 310 / 408)
    fill.finish(fill.plan("allglue", second, "MRPC", limit_train=500, **RECIPE), 0, 280 / 408)
    one, two, quick = re.split(r'\n####? <a id="all-glue-[0-9a-f]{8}"></a>', section(report()))[1:]
    assert [part.splitlines()[0] for part in (one, two, quick)] == [
        "first", "second", "second, first 500 training rows"]
    assert [row(part, "MRPC, 408 rows")[2] for part in (one, two, quick)] == [
        f"accuracy **{score} (n = 1)**" for score in ("73.5", "76.0", "68.6")]
    assert "304 of 400" in one and "2020: accuracy" not in quick
    assert "The published values belong to other settings or other rows and are left out here." in quick


def test_the_search_of_google_names_the_best_cell_and_warns(fill):
    checkpoint = fill.checkpoint()
    upstream(fill, checkpoint, "RTE", 8, 1e-4, 170 / 277)
    upstream(fill, checkpoint, "RTE", 16, 5e-5, 160 / 277)
    upstream(fill, checkpoint, "RTE", 128, 3e-4, 172 / 277)
    upstream(fill, checkpoint, "RTE", 128, 3e-5, 146 / 277, collapsed=1)
    fill.finish(upstream(fill, checkpoint, "RTE", 8, 3e-4), 0, status="diverged")
    upstream(fill, checkpoint, "RTE", 64, 3e-4)
    text = section(report(), "all-glue-upstream")
    assert "Every cell of the grid: RTE<" in text and "are no error" not in text
    assert "**A score that was selected is optimistic**" in text
    # means 62.1, 61.4, 57.8, 52.7: median 59.6; sampling error at 62.1 % 2.9 points: one other cell is within
    assert row(text, "RTE") == ["RTE", "4 of 20", "batch 128 at 3e-4", "62.1 (n = 1)", "59.6", "1 of 3", "57.9"]
    grid = text[text.index("| batch size"):]
    assert row(grid, "8") == ["8", "-", "-", "61.4 (n = 1)", "- (n = 0 of 1, 1 diverged)"]
    assert row(grid, "32") == ["32", "-", "-", "-", "-"]
    assert row(grid, "64") == ["64", "-", "-", "-", "-"]
    assert row(grid, "128") == ["128", "52.7 (n = 1, 1 collapsed)", "-", "-", "**62.1 (n = 1)**"]
    assert "- **Not complete: 5 of 6 runs are finished** (RTE: 5 of 6). `python exp_allglue.py --grid upstream`" in text
    assert "`python exp_allglue.py --grid upstream --tasks CoLA SST-2 MRPC QQP STS-B MNLI SNLI QNLI WNLI`" in text


def test_cola_in_the_search_of_google_is_judged_too(fill):
    checkpoint = fill.checkpoint()
    upstream(fill, checkpoint, "CoLA", 8, 1e-4, 0.2)
    upstream(fill, checkpoint, "CoLA", 8, 3e-4, 0.0, collapsed=1)
    assert row(section(report()), "mini, Google's search")[1:4] == ["2 of 2", "1", "0.0 to 20.0"]


def test_the_grid_of_google_is_the_one_that_is_run():
    assert published.GOOGLE_BATCH_SIZES == exp_allglue.UPSTREAM.batch_sizes == (8, 16, 32, 64, 128)
    assert tuple(sorted(exp_allglue.UPSTREAM.peak_learning_rates)) == published.GOOGLE_RATES


def test_the_sections_say_the_grids_that_the_scripts_run(fill):
    text = report()
    all_glue, rates, sizes = exp_allglue.STUDY, exp_lr_mnli.STUDY, exp_bs_mrpc.STUDY
    assert "batch size 8 (64 for MNLI and SNLI) at peak rate 2e-5, 4 epochs, 1 instance." in text
    assert (all_glue.batch_sizes, all_glue.batch_sizes_of) == ((8,), {"MNLI": (64,), "SNLI": (64,)})
    assert (all_glue.peak_learning_rates, all_glue.epochs, all_glue.instances) == ((2e-5,), 4, 1)
    assert "batch sizes 64 and 128 by peak rates 1e-5, 1e-4, 2e-4 and 3e-4, 5 epochs, 4 instances, on MNLI" in text
    assert (rates.batch_sizes, rates.peak_learning_rates) == ((64, 128), (1e-5, 1e-4, 2e-4, 3e-4))
    assert (rates.epochs, rates.instances) == (5, 4)
    assert "batch sizes 2, 8, 16, 32 and 64 at peak rate 2e-5, 5 epochs, 4 instances." in text
    assert (sizes.batch_sizes, sizes.peak_learning_rates) == ((2, 8, 16, 32, 64), (2e-5,))
    assert (sizes.epochs, sizes.instances) == (5, 4)


def test_published_accuracies_are_whole_numbers_of_the_rows_that_they_cover():
    correct = {"SST-2": [747], "MRPC": [304], "QQP": [35383], "MNLI": [7135, 7278], "SNLI": [8348], "QNLI": [4597],
               "RTE": [164], "WNLI": [25]}
    assert list(dict.fromkeys(task for task, _ in published.ALL_GLUE)) == list(correct)
    for (task, _), count in zip(published.ALL_GLUE, sum(correct.values(), []), strict=True):
        score = published.ALL_GLUE[task, _]
        assert abs(count / score.rows - score.accuracy) < 1e-5
    assert [score.batch_size for score in published.ALL_GLUE.values()] == [8, 8, 8, 64, 64, 64, 8, 8, 8]
    assert all(score.rows == (TASKS[task].evaluation_rows[name] - 1) // 8 * 8
               for (task, name), score in published.ALL_GLUE.items())


def test_published_numbers_keep_their_digits():
    assert [show_exactly(share) for share in (0.77, 0.7725, 0.72747, 0.7, None)] == ["77.0", "77.25", "72.747", "70.0", "-"]
    assert [show_rate(rate) for rate in (1e-5, 2.5e-4, 0.1)] == ["1e-5", "2.5e-4", "1e-1"]


def test_what_depends_on_what_is_drawn(fill):
    text = written_report()
    assert '<a id="dependencies"></a>What depends on what' in text and "](figures/dependencies.png)" in text
    assert os.listdir("figures") == ["dependencies.png"]


def test_scores_of_wnli_below_the_majority_class_are_explained(fill):
    upstream(fill, fill.checkpoint(), "WNLI", 8, 1e-4, 24 / 71)
    assert "Scores below the majority class are no error: of the 71 official rows" in section(report(), "all-glue-upstream")
