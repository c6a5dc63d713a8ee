"""The report's section "Why do small batches train better?" on filled stores with known verdicts: literal rows."""
import math
import os

import pytest
import stand_in
from test_report import report, row, written_report

import exp_why_bs
from common.report import figures
from common.report.claims import list_claims
from common.report.comparisons import LABELS, find_comparisons
from common.report.page import Page
from common.report.results import read_results
from common.report.sections import all_glue, appendix, batch_size, learning_rate, why
from common.report.sections.why import REASONS
from common.store.schema import measurements

SIZES = exp_why_bs.STUDY.batch_sizes
CONDITIONS = {condition.name: condition for condition in exp_why_bs.STUDY.conditions}
WOBBLE = (-3e-4, -1e-4, 1e-4, 3e-4)
"""What the slope of each instance has beside the mean: s = 2.582e-4."""
SLOPES = {"as_is": -0.01, "dropout_0": -0.01, "same_steps": 0.0, "linear": -0.005, "sqrt": 0.005, "best_rate": -0.01}


class Filling:
    """Fills a store with runs of the study whose scores lie on a line for each condition and instance."""

    def __init__(self, fill, task="MRPC", checkpoint="mini"):
        self.fill, self.task, self.checkpoint, self.done = fill, task, fill.checkpoint(checkpoint), set()

    def __call__(self, *conditions, instances=4, sizes=SIZES, **slopes):
        for name in conditions or CONDITIONS:
            for size in sizes:
                config = stand_in.make_config(batch_size=size)
                for settings in CONDITIONS[name].settings(config, 3485):
                    best = settings.get("peak_learning_rate") == best_rate(size)
                    if name == "best_rate":
                        self.run("why_bs.best_rate.search", size, settings, 2, min(instances, 2), slopes | {} if best else None)
                    if name != "best_rate" or best:
                        self.run(f"why_bs.{name}", size, settings, 4, instances, slopes)

    def run(self, study, size, settings, asked, instances, slopes):
        """Instances 0 and so on; without slopes every one scores 0.7."""
        config = self.fill.plan(study, self.checkpoint, self.task, asked, batch_size=size, **settings)
        name = study.split(".")[1]
        for k in range(instances):
            if (config.hash, k) not in self.done:
                self.done.add((config.hash, k))
                slope = (SLOPES | slopes)[name] + WOBBLE[k] * (20 if name == "linear" else 1) if slopes is not None else 0
                self.finish(config, k, (0.70 if slopes is None else 0.76) + slope * (math.log2(size) - 4))

    def finish(self, config, k, score):
        """The validation split prefers the higher rates, up to the best of the batch size."""
        run = self.fill.finish(config, k, score)
        value = 0.7 - abs(math.log(config.peak_learning_rate / best_rate(config.batch_size))) / 10
        self.fill.insert(measurements, run=run, split="validation", metric="accuracy", step=9, epoch=5, value=value)


def best_rate(size):
    return 3.2e-4 if size == 64 else 8e-5


@pytest.fixture
def filling(fill):
    return Filling(fill)


def section(text):
    return text.split('## <a id="why"></a>')[1].split('## <a id="all-glue"></a>')[0]


def verdicts(text):
    """What follows "because" in each row of the claims with the strongest evidence -> the cells behind it."""
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in section(text).splitlines()
            if line.startswith('| <a id="claim-why')]
    return {cells[0].split(" because ")[1]: cells[1:] for cells in rows}


def slopes(text):
    """What follows "because" in each row of the first table of slopes -> the cells behind it."""
    table = section(text).split("The slopes that the verdicts compare")[1].split("</details>")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in table.splitlines() if " because " in line]
    return {cells[0].split(" because ")[1]: cells[1:] for cells in rows}


DROPOUT, STEPS, ONE_RATE = "of dropout in training", "as many epochs are more steps", "one rate does not suit every batch size"
LINEAR = "the rate does not grow in proportion to the batch size"
ROOT = "the rate does not grow with the square root of the batch size"


def test_an_empty_store_says_so_in_a_line_for_each_study(fill):
    text = section(written_report())
    assert "The store holds nothing of this study; `python exp_why_bs.py --instances 4` fills it." in text
    assert "No task has 8 scored runs of one checkpoint that differ in batch size and rate alone" in text
    assert "The store holds nothing of this design; `python exp_why_bs.py --grid crossed` fills it." in text
    assert os.listdir("figures") == ["dependencies.png"]


def test_the_section_says_the_grid_that_the_script_runs(fill):
    study = exp_why_bs.STUDY
    assert (study.batch_sizes, study.peak_learning_rates, study.epochs, study.instances) == ((2, 8, 16, 32, 64), (2e-5,), 5, 4)
    assert "at batch sizes 2, 8, 16, 32 and 64 from peak rate 2e-5 and 5 epochs, 4 instances." in section(report())
    assert list(LABELS) == list(CONDITIONS) and list(REASONS.values()) == list(CONDITIONS)[1:]


def test_reasons_with_what_their_verdicts_compare(filling):
    filling()
    text = report()
    # slope then minus half of that as is, for each instance: mean +- WOBBLE / 2, so s = 1.291e-4 and half = 3.182446 s / 2
    found = verdicts(text)
    assert {reason: (cells[1], cells[2], cells[-1].split(":")[0]) for reason, cells in found.items()} == {
        DROPOUT: ("40 runs", "−0.50 [−0.52, −0.48]", "**contradicted**"),
        STEPS: ("36 runs", "+0.50 [+0.48, +0.52]", "**supported**"),
        LINEAR: ("36 runs", "+0.00 [−0.80, +0.80]", "**undecided**"),
        ROOT: ("36 runs", "+1.00 [+0.98, +1.02]", "**supported**"),
        ONE_RATE: ("40 runs", "−0.50 [−0.52, −0.48]", "**contradicted**")}
    # batch 2 lies 3 doublings below 16 and batch 64 two above: the steps take 3 points there and give 2 here
    assert slopes(text)[STEPS] == ["36 runs", "−1.00", "+0.00", "+0.50 [+0.48, +0.52]", "−3.00", "+2.00"]
    assert row(text, f"small batches do better because {STEPS} (an open question of the original)")[1:] == [
        "**supported**", "+0.50 [+0.48, +0.52] points for each doubling of the batch size", "MRPC, mini: 36 runs",
        "[how](#claim-why-same-steps)"]
    assert ("- **Why?** Five reasons were tested on MRPC (mini) by taking each away: **supported** more steps in as many "
            "epochs (36 runs; without it −3.0 points at batch 2 and +2.0 at 64), a rate that does not grow with its square "
            "root (36 runs; without it −4.5 points at batch 2 and +3.0 at 64); **contradicted** dropout in training (40 "
            "runs; without it +0.0 points at batch 2 and +0.0 at 64), one rate for every batch size (40 runs; without it "
            "+0.0 points at batch 2 and +0.0 at 64); **undecided** a rate that does not grow in proportion to the batch "
            "size (36 runs; without it −1.5 points at batch 2 and +1.0 at 64).") in text


def test_the_title_of_the_figure_names_every_panel_that_is_a_reason_and_is_not_cut(fill, monkeypatch):
    drawn, new_panels = [], figures.new_panels
    monkeypatch.setattr(figures, "new_panels", lambda *words: drawn.append(new_panels(*words)) or drawn[-1])
    name = "standin_uncased_L-4_H-256_A-4_of_a_million_steps_on_another_corpus"
    filling = Filling(fill, checkpoint=name)
    filling(dropout_0=0.0, linear=0.02, best_rate=0.0)
    report()
    assert drawn[0][0].figure.get_suptitle().replace("\n", " ") == (
        "MRPC: small batches keep less than half of their advantage with dropout 0, as many steps, rate in proportion, rate by "
        f"square root or best rate of each ({name})")


def test_reasons_that_another_task_has_decided_are_named_beside_them(filling):
    """On RTE the runs of two reasons are in: the square root is one, as on MRPC, and dropout is one, which it is not there."""
    filling()
    filling.task = "RTE"
    filling("as_is", "sqrt")
    filling("dropout_0", dropout_0=0.0)
    assert ("a rate that does not grow with its square root (36 runs; without it −4.5 points at batch 2 and +3.0 at 64; also on "
            "RTE); **contradicted** dropout in training (40 runs; without it +0.0 points at batch 2 and +0.0 at 64; "
            "**supported** on RTE), one rate for every batch size (40 runs;") in report()


def test_why_is_answered_where_the_most_reasons_have_a_verdict(filling):
    filling.task = "RTE"
    filling()
    filling.task = "MRPC"
    filling("as_is", "dropout_0")
    text = report()
    assert "- **Why?** Five reasons were tested on RTE (mini) by taking each away: **supported** a rate that does not" in text
    assert "dropout in training (40 runs; without it +0.0 points at batch 2 and +0.0 at 64; also on MRPC), one rate" in text
    assert row(text, f"small batches do better because {DROPOUT} (an open question of the original)")[1:4:2] == [
        "**contradicted** (also on MRPC)", "RTE, mini: 40 runs"]


def test_a_checkpoint_that_agrees_on_two_tasks_is_named_once(fill):
    """All five reasons of `deep` are in on MRPC; `mini` has that of the square root on RTE and on SNLI."""
    Filling(fill, checkpoint="deep")()
    other = Filling(fill)
    for other.task in ("RTE", "SNLI"):
        other("as_is", "sqrt")
    assert "at 64; also with mini on RTE and on SNLI); **contradicted** dropout in training (40" in report()


def test_the_table_has_every_condition_and_the_rates_that_were_found(filling):
    filling()
    text = section(written_report())
    assert row(text, "as is") == ["as is", "79.0 ± 0.1 (n = 4)", "77.0 ± 0.0 (n = 4)", "76.0 ± 0.0 (n = 4)",
                                  "75.0 ± 0.0 (n = 4)", "74.0 ± 0.1 (n = 4)"]
    assert row(text, "rate by square root")[3:] == row(text, "as is")[3:4] + ["76.5 ± 0.0 (n = 4)", "77.0 ± 0.1 (n = 4)"]
    assert row(text, "best rate of each")[1::4] == ["79.0 ± 0.1 (n = 4, at 8e-5)", "74.0 ± 0.1 (n = 4, at 3.2e-4)"]
    # 5 + 5 + 4 + 4 + 4 cells of 4; the search has 15 more, one of them linear's, of which 5 chosen have 4 and the rest 2
    assert "- Complete: 126 of 126 runs are finished." in text
    assert sorted(os.listdir("figures"))[2].endswith("-mini-dev.png")
    # the search has four rates at each of five batch sizes; those that stand in another line of the table are left out here
    assert row(text, "2", "5e-6") == ["2", "5e-6", "42.3, 42.3", "70.0, 70.0 (n = 2)"]
    assert "n by batch size = as is: 4, 4, 4, 4, 4; dropout 0: 4, 4, 4, 4, 4;" in text


def test_a_partly_run_study_shows_n_of_n_and_compares_what_both_have(filling):
    filling("as_is")
    filling("same_steps", instances=3)
    filling("dropout_0", instances=1, sizes=(2, 8))
    text = report()
    assert row(section(text), "dropout 0") == ["dropout 0", "79.1 (n = 1 of 4)", "77.0 (n = 1 of 4)", "-", "-", "-"]
    # 3 doublings of -3, -1, 1 hundredths of a point: s = 0.06 and half = 4.302653 * 0.06 / sqrt(3) about 76.03
    assert row(section(text), "as many steps")[1] == "76.0 ± 0.1 (n = 3 of 4)"
    assert row(section(text), "best rate of each") == ["best rate of each", "-", "-", "-", "-", "-"]
    # three pairs: 0.5 and -0.015, -0.005, +0.005: mean 0.495, s = 0.01 and half = 4.302653 * 0.01 / sqrt(3)
    assert verdicts(text)[STEPS][2] == "+0.50 [+0.47, +0.52]" and verdicts(text)[STEPS][-1].startswith("**so far**")
    assert slopes(text)[STEPS][1:3] == ["−1.01", "−0.01"]
    assert slopes(text)[DROPOUT][1:4] == ["−1.03", "−1.03", "-"]
    assert row(text, f"small batches do better because {ONE_RATE} (an open question of the original)")[1] == "**so far**"
    assert "**Not complete: 34 of 44 runs are finished** (dropout 0, batch 2: 1 of 4; dropout 0, batch 8: 1 of 4; " in text


def test_where_a_condition_changes_nothing_its_runs_are_those_as_is(filling):
    filling("as_is")
    filling("same_steps", sizes=(2, 8))
    text = report()
    assert row(section(text), "as many steps")[1:] == [
        "76.0 ± 0.1 (n = 4)", "76.0 ± 0.0 (n = 4)", "76.0 ± 0.0 (n = 4)", "-", "-"]
    assert row(section(text), "rate in proportion")[1:] == ["-"] * 5


def test_a_search_that_is_not_done_has_chosen_nothing(filling):
    filling("as_is")
    filling("best_rate", instances=1)
    text = section(report())
    assert row(text, "best rate of each") == ["best rate of each", "-", "-", "-", "-", "-"]
    assert "best rate of each, batch 8 at 5e-6: 1 of 2" in text


def test_runs_as_is_may_be_those_of_the_batch_size_study(filling):
    filling("dropout_0")
    assert "The store has no runs *as is* to compare with; `python exp_why_bs.py --instances 4 --conditions as_is`" in report()
    filling("as_is")
    with filling.fill.store.writing() as connection:
        connection.exec_driver_sql("UPDATE studies SET study = 'bs_mrpc' WHERE study = 'why_bs.as_is'")
    text = report()
    assert row(section(text), "as is")[1] == "79.0 ± 0.1 (n = 4)"
    assert verdicts(text)[DROPOUT][-1] == "**contradicted**"


def test_a_task_with_runs_as_is_takes_nothing_from_another_whose_runs_are_of_the_batch_size_study(fill):
    """Found in a store with MRPC and SNLI: from the first SNLI run on, the whole MRPC comparison was gone."""
    first, second = Filling(fill), Filling(fill, "SNLI", "other")
    first("as_is", "dropout_0")
    with fill.store.writing() as connection:
        connection.exec_driver_sql("UPDATE studies SET study = 'bs_mrpc' WHERE study = 'why_bs.as_is'")
    second("as_is", instances=1)
    results = read_results(fill.store)
    found = {each.group.task: each for each in find_comparisons(results)}
    assert {task: [len(cells) for cells in each.lines.values()] for task, each in found.items()} == {
        "MRPC": [5, 5, 0, 0, 0, 0], "SNLI": [5, 0, 0, 0, 0, 0]}
    assert sum(len(cell.finished) for cell in found["MRPC"].group.cells) == 40


def test_every_finished_run_stands_in_a_table_or_is_listed_with_the_reason(fill):
    """Two tasks, two checkpoints, limited rows, every study; and runs that no study of the report asked for."""
    first, second = Filling(fill), Filling(fill, "SNLI", "other")
    first("as_is", "dropout_0", instances=2)
    with fill.store.writing() as connection:
        connection.exec_driver_sql("UPDATE studies SET study = 'bs_mrpc' WHERE study = 'why_bs.as_is'")
    second("as_is", "best_rate", instances=2)
    plans = {"lr": fill.plan("lr_mnli", first.checkpoint, "RTE", 1, batch_size=64, peak_learning_rate=1e-4, epochs=5),
             "all": fill.plan("allglue", second.checkpoint, "WNLI", 1, batch_size=8, epochs=4),
             "limited": fill.plan("bs_mrpc", second.checkpoint, "MRPC", 1, batch_size=8, epochs=5, limit_train=500),
             "alone": fill.plan("why_bs.dropout_0", second.checkpoint, "MRPC", 1, batch_size=8, dropout=0.0, epochs=5,
                                limit_train=600),
             "mine": fill.plan("mine", first.checkpoint, "QNLI", 1, batch_size=8, epochs=4)}
    for config in plans.values():
        fill.finish(config, 0, 0.6123)
    text = report()
    results = read_results(fill.store)
    page = Page()
    claims = {line.claim.key: line for line in list_claims([])}
    for study in (batch_size, learning_rate, why, all_glue):
        study.write(page, results, claims)
    left = appendix.list_elsewhere(page, results)
    assert len(results.finished()) == sum(run.config in page.shown for run in results.finished()) + sum(
        each["runs"] for each in left) == 20 + 40 + 5
    assert [(each["config"], each["runs"], each["scores"], each["reason"]) for each in left] == [
        (plans["alone"].hash[:12], 1, "61.2", "why_bs.dropout_0: no runs as is of the same settings to compare with"),
        (plans["mine"].hash[:12], 1, "61.2", "mine: this report has no section for it")]
    assert row(text, "MRPC, other, batch 8 at 2e-5, 5 epochs, dropout=0 limit_train=600")[1:3] == ["1", "61.2"]
    assert "></a>other, first 500 training rows\n" in text and "quick look" not in text


def test_diverged_and_collapsed_runs_are_counted_and_their_pairs_left_out(filling):
    filling("as_is", instances=3)
    filling("dropout_0", instances=2)
    as_is, dropout_0 = (stand_in.make_config(checkpoint=filling.checkpoint, batch_size=64, **settings)
                        for settings in ({}, {"dropout": 0}))
    filling.fill.finish(as_is, 3, status="diverged")
    filling.fill.finish(dropout_0, 3, 0.69, collapsed=1)
    text = report()
    assert row(section(text), "as is")[5] == "74.0 ± 0.1 (n = 3 of 4, 1 diverged)"
    assert row(section(text), "dropout 0")[5].endswith("(n = 3 of 4, 1 collapsed)")


def test_another_task_stands_apart_with_its_command(fill):
    filling = Filling(fill, "RTE")
    for name in ("as_is", "dropout_0"):
        filling(name, instances=1)
    text = section(report())
    assert "></a>mini, RTE\n" in text
    assert "`python exp_why_bs.py --instances 4 --task RTE` with this checkpoint" in text


# -- the noise scale

def fill_scales(filling, score, rates=(5e-6, 2e-5, 8e-5), sizes=(2, 8, 32)):
    """Rates and batch sizes in steps of 4, so that many cells share a scale; two instances each."""
    for rate in rates:
        for size in sizes:
            config = filling.fill.plan("any", filling.checkpoint, "MRPC", 2, batch_size=size, peak_learning_rate=rate)
            for k in (0, 1):
                filling.fill.finish(config, k, score(math.log2(rate / 2e-5), math.log2(size)) + (-1) ** k * 1e-3)


def test_scores_on_one_curve_of_the_noise_scale(filling):
    fill_scales(filling, lambda rate, size: 0.75 - 0.002 * (rate - size + 1) ** 2)
    text = written_report()
    # g in steps of 4: five scales, 18 runs. Each pair is +-0.001 about the curve: slope 0 on 18 - 5 - 1 degrees of freedom
    # residual 18e-6 / 12; x within the scales: 2 scales of two sizes 2 apart, 4 runs each of 1: 8, twice; 12 of -2, 0, 2: 16
    half = 2.178813 * math.sqrt(1.5e-6 / (4 + 4 + 16))
    found = row(section(text), '<a id="claim-one-curve"></a>runs of equal rate x rows / batch size score alike')
    assert found[1:4] == ["MRPC, mini", "18 runs", f"+0.00 [−{100 * half:.2f}, +{100 * half:.2f}]"]
    assert len([name for name in os.listdir("figures") if name.startswith("noise_scale-")]) == 1


def test_rank_correlation_of_score_and_scale(filling):
    fill_scales(filling, lambda rate, size: 0.75 + 0.01 * (rate - size))
    correlation = section(report()).split("Rank correlation of score and g: ")[1]
    assert correlation.startswith("+0.9") and float(correlation.split()[0]) > 0.95


def test_one_rate_or_few_runs_draw_no_curve(filling):
    fill_scales(filling, lambda rate, size: 0.75, rates=(2e-5,), sizes=(2, 4, 8, 16, 32))
    fill_scales(filling, lambda rate, size: 0.75, rates=(1e-5,), sizes=())
    assert "No task has 8 scored runs" in section(report())


def test_the_best_batch_size_at_each_rate(filling):
    fill_scales(filling, lambda rate, size: 0.75 - 0.002 * (rate - size + 3) ** 2)
    text = section(report())
    best = {rate: row(text, rate)[1:] for rate in ("5e-6", "2e-5", "8e-5")}
    assert best["5e-6"] == ["2, 8, 32", "2: 75.1, 74.9 (n = 2)", "8: 74.3, 74.1 (n = 2)"]
    assert [best[rate][1].split(":")[0] for rate in best] == ["2", "8", "32"]
    # the slope on log2 B at a rate is -0.002 d/ds (r - s + 3)^2 at the middle size: it rises by 0.4 points for each doubling
    assert row(text, '<a id="claim-best-batch"></a>the best batch size grows with the rate')[3].startswith("+0.40 [+")


# -- heads and orders

def fill_spread(fill, checkpoint, heads, orders, rest=0.001, instances=5, task="MRPC", **settings):
    for order in range(5):
        config = fill.plan("spread", checkpoint, task, 5, batch_size=16, order=order, **settings)
        for k in range(instances):
            left = rest * (-1) ** (k + order) if k < 4 and order < 4 else 0  # rows and columns of it add up to 0
            fill.finish(config, k, 0.75 + heads * (k - 2) + orders * (order - 2) + left)


@pytest.mark.parametrize(("heads", "orders", "verdicts", "larger"), [
    (0.01, 0.0, ["**supported**", "**undecided**"], "The larger of the two is the head's initial values"),
    (0.0, 0.01, ["**undecided**", "**supported**"], "The larger of the two is data order and dropout masks"),
    (0.01, 0.01, ["**supported**", "**supported**"], "Which of the two is larger is undecided (p = 1.000)."),
    (0.0, 0.0, ["**undecided**", "**undecided**"], "Which of the two is larger is undecided (p = 1.000).")])
def test_heads_and_orders(fill, heads, orders, verdicts, larger):
    fill_spread(fill, fill.checkpoint(), heads, orders)
    text = section(report())
    rows = [row(text, name) for name in ("the head's initial values", "data order and dropout masks")]
    claims = [row(text, f'<a id="claim-spread-{part}"></a>{name} add to the spread between runs')
              for part, name in (("head", "the head's initial values"), ("order", "data order and dropout masks"))]
    assert [each[-1].split(":")[0] for each in claims] == verdicts
    assert larger in text
    # the rest: 16 cells of 1e-6 on 16 degrees of freedom
    assert row(text, "the rest")[1] == "0.10"
    if heads:  # 5 s^2 of -2 .. 2 points = 5 * 2.5e-4: (12.5e-4 - 1e-6) / 5
        assert rows[0][1] == "1.58" and rows[0][4] == "F = 1250.00, p < 0.001"
    else:
        assert rows[0][1:3] == ["0 (estimate below 0)", "0.0"]


def test_weaker_evidence_that_has_decided_is_named_at_once(fill):
    """On all rows of MRPC the order is undecided; on a part of RTE it is decided, and on one of SNLI it is undecided, too."""
    checkpoint = fill.checkpoint()
    fill_spread(fill, checkpoint, 0.01, 0.0)
    fill_spread(fill, checkpoint, 0.01, 0.01, task="RTE", limit_train=500)
    fill_spread(fill, checkpoint, 0.01, 0.0, task="SNLI", limit_train=500)
    text = report()
    assert row(text, "data order and dropout masks add to the spread between runs (Dodge et al. 2020)")[1] == \
        "**undecided** (**supported** on RTE)"
    assert row(text, "the head's initial values add to the spread between runs (Dodge et al. 2020)")[1] == \
        "**supported** (also on RTE and on SNLI)"
    assert text.count("initial values add to the spread between runs is **supported** (also on RTE and on SNLI), that data order "
                      "and dropout masks do is **undecided** (**supported** on RTE).\n") == 2


def test_a_partly_run_design_uses_the_heads_that_have_every_order(fill):
    fill_spread(fill, fill.checkpoint(), 0.01, 0.002, instances=3)
    text = section(report())
    assert row(text, "head 0")[1:] == ["72.7", "72.7", "73.1", "73.1", "73.4"]
    assert "Heads 3, orders 5, set dev." in text
    assert "**so far**: 15 of 25 planned runs are in" in text


def test_a_single_head_tells_nothing(fill):
    fill_spread(fill, fill.checkpoint(), 0.01, 0.002, instances=1)
    assert "**so far**: 5 of 25 planned runs are in" in section(report())
