"""Verdicts on cells made in memory: outcomes, effects and what would decide, as objects."""
import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import pytest
from cell_maker import MAJORITY, make_cell, make_group

from common.inputs.batches import count_training_rows
from common.report.comparisons import Comparison
from common.report.judging import (
    Outcome,
    judge_all,
    judge_batch_size,
    judge_cola,
    judge_noise_scale,
    judge_rates,
    judge_reasons,
    judge_spread,
)
from common.report.judging.reasons import check_searches
from common.report.judging.rules import Measured, decide
from common.report.planning_advice import advise
from common.report.protocol import CLAIMS
from common.report.results import read_results
from common.report.statistics import Effect
from common.studies.conditions import ONE_AT_A_TIME

SIZES = (2, 8, 16, 32, 64)
WOBBLE = (-3e-3, -1e-3, 1e-3, 3e-3)
SUPPORTED, CONTRADICTED, UNDECIDED, SO_FAR = Outcome


def judge_sizes(slope, *, wobble=1.0, sizes=SIZES, instances=4, **settings):
    """The verdict on runs whose score has this slope on log2 of the batch size."""
    cells = [make_cell([0.76 + slope * (math.log2(size) - 4) + wobble * each for each in WOBBLE[:instances]], batch_size=size,
                       **settings) for size in sizes]
    (verdict,) = judge_batch_size(make_group(cells))
    return verdict


# -- batch size: the rule for a direction

def test_smaller_batches_clearly_better_are_supported():
    verdict = judge_sizes(-0.01)
    # 5 times the wobble's sum of squares, 2e-5, on 18 degrees of freedom, over x's 4 * 14.8
    half = 2.100922 * math.sqrt(5 * 2e-5 / 18 / 59.2)
    assert (verdict.outcome, verdict.reason, verdict.needed) == (SUPPORTED, "", None)
    assert (verdict.effect.estimate, verdict.effect.high) == pytest.approx((-0.01, -0.01 + half), abs=1e-8)
    assert (verdict.claim.key, verdict.evaluation_set, verdict.scored, verdict.planned) == ("batch_size", "dev", 20, 20)
    assert verdict.corrected == verdict.effect.p < 1e-6
    assert verdict.anchor == "claim-batch-size"


def test_larger_batches_clearly_better_contradict():
    verdict = judge_sizes(0.01)
    assert (verdict.outcome, verdict.is_negligible) == (CONTRADICTED, False)


def test_an_advantage_that_matters_may_be_excluded():
    verdict = judge_sizes(0.0)
    assert (verdict.outcome, verdict.reason) == (CONTRADICTED, "an effect of the size that matters is excluded")
    assert verdict.is_negligible
    # 0.003 is 0.003 / sqrt(5 * 2e-5 / 18 / 59.2) = 9.79 errors away
    assert verdict.corrected < 1e-7


def test_a_small_advantage_is_supported_and_called_small():
    verdict = judge_sizes(-0.001)
    assert (verdict.outcome, verdict.reason) == (SUPPORTED, "the effect is there, but smaller than what matters")


def test_what_would_decide_an_undecided_claim():
    verdict = judge_sizes(-0.001, wobble=6)
    assert (verdict.outcome, verdict.reason) == (UNDECIDED, "no effect and one that matters are both possible")
    # error sqrt(36 * 5 * 2e-5 / 18 / 59.2) = 0.001838 at 4 instances; 0.003 with 80 % power takes
    # 4 * ((1.960 + 0.842) * 0.001838 / 0.003)^2 = 11.8 by the normal, 4 * ((1.998 + 0.847) * 0.6127)^2 = 12.2 by t(63): 13
    assert verdict.effect.error == pytest.approx(0.0018380, abs=1e-6)
    assert (verdict.needed.smallest, verdict.needed.instances, verdict.needed.runs) == (0.003, 13, 45)
    assert verdict.needed.core_hours == pytest.approx(45)


def test_no_verdict_before_the_planned_runs_are_in():
    verdict = judge_sizes(-0.01, instances=3)
    assert (verdict.outcome, verdict.reason) == (SO_FAR, "15 of 20 planned runs are in")
    assert verdict.effect.estimate == pytest.approx(-0.01)
    assert (verdict.corrected, verdict.needed) == (None, None)


def test_planned_cells_that_nobody_asked_for_are_missing():
    verdict = judge_sizes(-0.01, sizes=(2, 8, 16, 32))
    assert (verdict.outcome, verdict.reason) == (SO_FAR, "16 of 20 planned runs are in")


def test_more_instances_that_were_asked_for_are_planned():
    assert judge_sizes(-0.01, asked=6).reason == "20 of 30 planned runs are in"


def test_a_diverged_run_is_in_and_has_no_score():
    cells = [make_cell([0.76 - 0.01 * math.log2(size) + each for each in WOBBLE], batch_size=size) for size in SIZES[:-1]]
    cells.append(make_cell([0] * 4, batch_size=64, status="diverged"))
    (verdict,) = judge_batch_size(make_group(cells))
    assert (verdict.outcome, verdict.scored, verdict.planned, verdict.diverged) == (SUPPORTED, 16, 20, 4)


def test_runs_that_had_been_looked_at_are_counted():
    assert judge_sizes(-0.01).seen == 0
    assert judge_sizes(-0.01, finished_at="2026-11-25T21:59:59+00:00").seen == 20
    cells = [make_cell([0.76 + each for each in WOBBLE], batch_size=size, task="SNLI") for size in SIZES]
    (verdict,) = judge_batch_size(make_group(cells, task="SNLI"))
    assert verdict.seen == 5  # instance 0 of each
    # the three others of each cell: the same means up to a shift, so the same slope
    assert (verdict.later.n, verdict.later.estimate) == (15, pytest.approx(verdict.effect.estimate))
    assert judge_sizes(-0.01).later is judge_sizes(-0.01, finished_at="2026").later is None


def test_the_loss_is_the_secondary_outcome():
    verdict = judge_sizes(-0.01, losses=(0.5, 0.5, 0.5, 0.6))
    assert verdict.loss.estimate == pytest.approx(0)
    assert verdict.outcome == SUPPORTED


# -- cells that tell nothing

def test_no_verdict_where_no_cell_is_above_the_majority_class():
    (verdict,) = judge_batch_size(make_group([make_cell([MAJORITY - 0.01 * math.log2(size) + each for each in WOBBLE],
                                                        batch_size=size) for size in SIZES]))
    assert (verdict.outcome, verdict.reason) == (UNDECIDED, "no cell has an interval above the majority class")
    assert verdict.needed is None


def test_no_verdict_that_depends_on_a_collapsed_cell():
    cells = [make_cell([0.72 + each for each in WOBBLE], batch_size=size) for size in SIZES[:-1]]
    group = make_group([*cells, make_cell([MAJORITY] * 4, batch_size=64, collapsed=range(4))])
    (verdict,) = judge_batch_size(group)
    assert (verdict.outcome, verdict.collapsed) == (UNDECIDED, ("batch 64 at 2e-5",))
    assert verdict.reason == "the outcome depends on collapsed cells: batch 64 at 2e-5"
    one_trains = make_cell([MAJORITY] * 4, batch_size=64, collapsed=range(3))
    (verdict,) = judge_batch_size(make_group([*cells, one_trains]))
    assert (verdict.outcome, verdict.collapsed) == (SUPPORTED, ())


def test_a_verdict_stands_where_it_is_the_same_without_the_collapsed_cell():
    cells = [make_cell([0.76 - 0.01 * math.log2(size) + each for each in WOBBLE], batch_size=size) for size in SIZES[:-1]]
    (verdict,) = judge_batch_size(make_group([*cells, make_cell([MAJORITY] * 4, batch_size=64, collapsed=range(4))]))
    assert (verdict.outcome, verdict.collapsed) == (SUPPORTED, ("batch 64 at 2e-5",))


# -- other rows

def test_rows_widen_the_interval_where_predictions_were_kept():
    """Batch 2 is right on a row more than batch 64, on 8 rows: sure of the instances, and not of the rows."""
    right = {2: "11111100", 8: "11111100", 16: "11111100", 32: "11111000", 64: "11111000"}
    cells = [make_cell([right[size].count("1") / 8] * 3 + [right[size].count("1") / 8 - 1e-4], batch_size=size,
                       predictions=[right[size]] * 4) for size in SIZES]
    (verdict,) = judge_batch_size(make_group(cells, labels="1" * 8, majority=0.5))
    assert verdict.outcome == SUPPORTED
    assert verdict.with_rows.estimate == verdict.effect.estimate
    assert verdict.effect.high < 0 < verdict.with_rows.high
    assert verdict.reason == "other rows could change this: the interval over instances and rows together includes 0"
    # only the sixth row differs: weights (x - 3.8) / 14.8 of batch 2, 8 and 16 add up to -3.4 / 14.8, the others to 3.4 / 14.8
    assert verdict.with_rows.error == pytest.approx(3.4 / 14.8 / 8, rel=0.02)


# -- the corrected p values decide

def test_a_family_is_corrected_together():
    claims = [CLAIMS["why_linear"], CLAIMS["why_sqrt"]]
    tests = [Measured((), Effect(0.01, 0.001, 0.02, p, 4, 0.004, 3)) for p in (0.02, 0.04)]
    assert [each.outcome for each in decide(claims, tests)] == [SUPPORTED, SUPPORTED]
    tests = [Measured((), Effect(0.01, 0.001, 0.02, p, 4, 0.004, 3)) for p in (0.026, 0.04)]
    assert [(each.outcome, each.corrected) for each in decide(claims, tests)] == [(UNDECIDED, 0.052), (UNDECIDED, 0.052)]
    gone = [Measured(()), tests[1]]
    assert [each.corrected for each in decide(claims, gone)] == [None, 0.08]


@pytest.mark.parametrize(("estimate", "error", "outcome"), [
    (0.0, 0.001, SUPPORTED), (0.002, 0.0004, SUPPORTED), (0.01, 0.001, CONTRADICTED), (-0.01, 0.001, CONTRADICTED),
    (0.0, 0.003, UNDECIDED), (0.003, 0.001, CONTRADICTED)])
def test_equality_is_shown_within_what_matters(estimate, error, outcome):
    test = Measured((), Effect(estimate, 0, 0, 2e-4 if estimate else 1.0, 60, error, 50))
    (decision,) = decide([CLAIMS["one_curve"]], [test])
    assert decision.outcome == outcome


# -- batch size and rate

RATES = (1e-5, 1e-4, 2e-4, 3e-4)


def judge_grid(means, wobble=0.1, validation=None):
    """Verdicts by claim; `means` by batch size and rate."""
    cells = [make_cell([mean + wobble * each for each in WOBBLE], batch_size=size, peak_learning_rate=rate,
                       validation=[validation[size][place] if validation else mean] * 4)
             for size, row in means.items() for place, (rate, mean) in enumerate(zip(RATES, row, strict=True))]
    return {verdict.claim.key: verdict for verdict in judge_rates(make_group(cells, majority=0.5))}


AS_PUBLISHED = {64: (0.711, 0.761, 0.754, 0.745), 128: (0.697, 0.7575, 0.7565, 0.751)}


def test_the_published_means_support_the_published_conclusions():
    found = judge_grid(AS_PUBLISHED)
    assert {key: verdict.outcome for key, verdict in found.items()} == {
        "best_rate_64": SUPPORTED, "best_rate_128": SUPPORTED, "shift": SUPPORTED, "best_accuracy": SUPPORTED}
    assert found["best_rate_64"].effect.estimate == pytest.approx(0.007)  # 2e-4 is the nearest of the other side
    assert found["best_rate_128"].effect.estimate == pytest.approx(0.0065)  # 2e-4 is named, 3e-4 is not
    assert found["shift"].effect.estimate == pytest.approx(0.0040, abs=1e-4)
    assert found["best_accuracy"].effect.estimate == pytest.approx(0.0035)
    assert [found[key].planned for key in found] == [16, 16, 32, 32]
    assert [cell.config.peak_learning_rate for cell in found["best_rate_64"].details.cells] == [1e-4, 2e-4, 3e-4, 1e-5]
    assert found["shift"].details.rates == RATES


def test_another_best_rate_contradicts():
    found = judge_grid({64: (0.70, 0.72, 0.74, 0.76), 128: (0.76, 0.74, 0.72, 0.70)})
    assert [found[key].outcome for key in ("best_rate_64", "best_rate_128", "shift")] == [CONTRADICTED] * 3


def test_the_winner_pays_for_having_been_chosen():
    """At batch 128 there are two named rates: the p value against the nearest other rate counts twice."""
    found = judge_grid(AS_PUBLISHED, wobble=1.2)
    assert found["best_rate_128"].outcome == UNDECIDED
    assert found["best_rate_128"].corrected >= 2 * found["best_rate_128"].effect.p
    assert found["best_rate_128"].needed.smallest == 0.003


def test_the_validation_split_chooses_the_rates_that_are_compared():
    found = judge_grid(AS_PUBLISHED, validation={64: (0.9, 0.1, 0.1, 0.1), 128: (0.1, 0.1, 0.1, 0.9)})["best_accuracy"]
    assert (found.details.smallest.config.peak_learning_rate, found.details.largest.config.peak_learning_rate) == (1e-5, 3e-4)
    assert (found.outcome, found.effect.estimate) == (CONTRADICTED, pytest.approx(-0.04))


def test_a_grid_of_other_batch_sizes_waits_for_the_planned_one():
    cells = [make_cell([0.75 + each for each in WOBBLE], batch_size=size, peak_learning_rate=rate)
             for size in (8, 16) for rate in RATES]
    found = judge_rates(make_group(cells, majority=0.5))
    assert {verdict.claim.key: verdict.reason for verdict in found} == {
        "shift": "32 of 64 planned runs are in",
        "best_accuracy": "32 of 64 planned runs are in, none of which can be compared yet"}


# -- reasons

SLOPES = {"as_is": -0.01, "dropout_0": -0.01, "same_steps": 0.0, "linear": -0.005, "sqrt": 0.005, "best_rate": -0.01}


def make_comparison(slopes=SLOPES, instances=4, wide=("linear",), sizes=SIZES, **other):
    """Runs whose scores lie on a line for each condition and instance; `other`: condition -> batch size -> cell."""
    lines = {condition.name: {} for condition in ONE_AT_A_TIME}
    for condition in ONE_AT_A_TIME:
        for size in sizes if condition.name in slopes else ():
            base = make_cell([], batch_size=size).config
            choice = condition.apply(base, count_training_rows(3668, 0.05))
            fields = {name: getattr(choice[-1], name) for name in ("dropout", "steps", "peak_learning_rate", "epochs")}
            scores = [0.76 + (slopes[condition.name] + each * (2 if condition.name in wide else 0.1)) * (math.log2(size) - 4)
                      for each in WOBBLE[:instances]]
            lines[condition.name][size] = make_cell(scores, batch_size=size, **fields)
            if choice == [base]:
                lines[condition.name][size] = lines["as_is"][size]
    for name, cells in other.items():
        lines[name] |= cells
    cells = {cell.config.hash: cell for line in lines.values() for cell in line.values()}
    names = {cell.config.hash: f"{name} {size}" for name, line in lines.items() for size, cell in line.items()}
    return Comparison(make_group(cells.values()), lines, names)


def reasons(comparison):
    return {verdict.claim.key.removeprefix("why_"): verdict for verdict in judge_reasons(comparison)}


def test_reasons_are_supported_contradicted_or_undecided():
    found = reasons(make_comparison())
    assert {name: verdict.outcome for name, verdict in found.items()} == {
        "dropout_0": CONTRADICTED, "same_steps": SUPPORTED, "linear": UNDECIDED, "sqrt": SUPPORTED, "best_rate": CONTRADICTED}
    steps = found["same_steps"]
    # slope then minus half of that as is, for each instance: 0.005 and half of the wobble
    assert (steps.effect.estimate, steps.scored, steps.planned) == (pytest.approx(0.005), 36, 36)
    assert steps.details.sizes == list(SIZES) and steps.details.instances == [0, 1, 2, 3]
    # batch 2 lies 3 doublings below 16 and batch 64 two above: the steps take 3 points there and give 2 here
    assert steps.details.changes == pytest.approx((-0.03, 0.02))
    # what matters is a quarter of the slope as is, and four instances with this wobble cannot see that
    assert found["linear"].needed.smallest == pytest.approx(0.0025)
    assert found["linear"].needed.instances > 4


def test_a_reason_is_estimated_from_later_instances_alone():
    comparison = make_comparison({name: SLOPES[name] for name in ("as_is", "same_steps")})
    for line in comparison.lines.values():
        for cell in line.values():
            cell.runs[0].finished_at = "2026-11-25T21:00:00+00:00"
    found = reasons(comparison)["same_steps"]
    assert (found.outcome, found.seen, found.scored) == (SUPPORTED, 9, 36)
    # 0.005 and half of a wobble of -0.1, 0.1 and 0.3 thousandths
    assert (found.later.n, found.later.estimate) == (3, pytest.approx(0.00505))


def test_nothing_to_explain_where_small_batches_do_not_do_better():
    found = reasons(make_comparison(SLOPES | {"as_is": 0.0}))
    assert {(verdict.outcome, verdict.reason) for verdict in found.values()} == {
        (UNDECIDED, "as is, small batches do not clearly do better, so there is nothing to explain")}


def test_a_reason_waits_for_its_own_runs_alone():
    slopes = {name: SLOPES[name] for name in ("as_is", "same_steps")}
    found = reasons(make_comparison(slopes))
    assert found["same_steps"].outcome == SUPPORTED
    assert found["dropout_0"].outcome == SO_FAR
    assert found["dropout_0"].reason == "20 of 40 planned runs are in, none of which can be compared yet"
    assert (found["linear"].outcome, found["linear"].planned) == (SO_FAR, 36)
    assert found["linear"].effect is None


def test_a_condition_whose_cells_collapse_is_told_apart_from_one_that_says_no():
    """With as many steps batch 2 falls to one class in every run: that takes the slope away, and tells nothing."""
    fine = make_comparison({"as_is": -0.01, "same_steps": -0.01})
    gone = make_cell([MAJORITY] * 4, batch_size=2, collapsed=range(4), steps=1085, epochs=1)
    found = reasons(dataclasses.replace(fine, lines=fine.lines | {"same_steps": fine.lines["same_steps"] | {2: gone}},
                                        names=fine.names | {gone.config.hash: "as many steps, batch 2"}))["same_steps"]
    assert (found.outcome, found.collapsed) == (UNDECIDED, ("as many steps, batch 2",))
    assert found.reason == "the outcome depends on collapsed cells: as many steps, batch 2"
    assert found.effect.estimate > 0  # with the cell the advantage seems to vanish
    assert reasons(fine)["same_steps"].outcome == CONTRADICTED


def test_rows_widen_the_interval_of_a_reason():
    right = {2: "11111110", 8: "11111100", 16: "11111100", 32: "11111100", 64: "11111000"}

    def make(predictions, **settings):
        return {size: make_cell([digits.count("1") / 8 + (size == 2) * each / 100 for each in WOBBLE], batch_size=size,
                                predictions=[digits] * 4, **settings) for size, digits in predictions.items()}

    lines = {condition.name: {} for condition in ONE_AT_A_TIME} | {
        "as_is": make(right), "dropout_0": make(dict.fromkeys(SIZES, "11111100"), dropout=0.0)}
    cells = [cell for line in lines.values() for cell in line.values()]
    found = reasons(Comparison(make_group(cells, labels="1" * 8, majority=0.5), lines, {}))["dropout_0"]
    assert found.outcome == SUPPORTED
    # no slope is left; half of that as is: row 6 is lost at batch 64 (2.2 / 14.8), row 7 won at batch 2 (-2.8 / 14.8)
    assert found.effect.estimate == pytest.approx((2.8 + 2.2) / 14.8 / 8 / 2, rel=1e-3)
    assert found.effect.low > 0 > found.with_rows.low
    assert found.with_rows.error == pytest.approx(math.hypot(2.8, 2.2) / 14.8 / 8 / 2, rel=0.2)
    lines["as_is"][2].runs[0].outputs.clear()  # the other instances know as much of the rows
    again = reasons(Comparison(make_group(cells, labels="1" * 8, majority=0.5), lines, {}))["dropout_0"]
    assert again.with_rows.error == pytest.approx(found.with_rows.error)


def test_the_search_says_how_well_its_split_could_choose():
    comparison = make_comparison()
    check = check_searches(comparison, "dev")[8]
    assert (check.rows, check.other) == (183, None)  # 3668 - 3485 rows; no predictions were kept
    mean = 0.76 + 0.01
    assert check.error == pytest.approx(math.sqrt(mean * (1 - mean) / 183), abs=1e-4)


# -- the noise scale

def make_scales(score, wobble=1e-3, rates=(5e-6, 2e-5, 8e-5), sizes=(2, 8, 32), **settings):
    return make_group([make_cell([score(math.log2(rate / 2e-5), math.log2(size)) + sign * wobble for sign in (1, -1)], asked=2,
                                 batch_size=size, peak_learning_rate=rate, **settings) for rate in rates for size in sizes])


def test_scores_on_one_curve_of_the_noise_scale():
    found = {verdict.claim.key: verdict for verdict in judge_noise_scale(
        make_scales(lambda rate, size: 0.75 - 0.002 * (rate - size + 1) ** 2))}
    # g in steps of 4: five scales, 18 runs. Each pair is +-0.001 about the curve: slope 0 on 18 - 5 - 1 degrees of freedom
    # residual 18e-6 / 12; x within the scales: 2 scales of two sizes 2 apart, 4 runs each of 1: 8, twice; 12 of -2, 0, 2: 16
    half = 2.178813 * math.sqrt(1.5e-6 / (4 + 4 + 16))
    one = found["one_curve"]
    assert (one.outcome, one.effect.high) == (SUPPORTED, pytest.approx(half, abs=1e-8))
    assert found["square_root"].outcome == CONTRADICTED
    # the slope on log2 B at a rate is -0.002 d/ds (r - s + 1)^2 at the middle size: it rises by 0.4 points for each doubling
    assert (found["best_batch"].outcome, found["best_batch"].effect.estimate) == (SUPPORTED, pytest.approx(0.004))
    assert found["best_batch"].details.sizes == (2, 8, 32)
    assert (one.scored, one.planned) == (18, 18)


def test_few_runs_are_not_tested():
    assert judge_noise_scale(make_scales(lambda rate, size: 0.75, rates=(2e-5,))) == []
    assert judge_noise_scale(make_scales(lambda rate, size: 0.75, rates=(2e-5, 4e-5), sizes=(2,))) == []


def test_no_two_batch_sizes_on_one_scale():
    found = {verdict.claim.key: verdict for verdict in judge_noise_scale(
        make_scales(lambda rate, size: 0.75 - rate / 100, rates=(2e-5, 3e-5), sizes=(2, 512)))}
    assert (found["one_curve"].outcome, found["one_curve"].reason) == (
        UNDECIDED, "no two batch sizes share a scale, or too few runs do")


# -- heads and orders

def make_design(heads, orders, rest=0.001, instances=5, number=5):
    cells = []
    for order in range(number):
        scores = [0.75 + heads * (k - 2) + orders * (order - 2) + (rest * (-1) ** (k + order) if k < 4 and order < 4 else 0)
                  for k in range(instances)]
        cells.append(make_cell(scores, asked=5, batch_size=16, order=order))
    return {verdict.claim.key: verdict for verdict in judge_spread(make_group(cells))}


@pytest.mark.parametrize(("heads", "orders", "outcomes"), [
    (0.01, 0.0, [SUPPORTED, UNDECIDED]), (0.0, 0.01, [UNDECIDED, SUPPORTED]), (0.01, 0.01, [SUPPORTED, SUPPORTED])])
def test_heads_and_orders(heads, orders, outcomes):
    found = make_design(heads, orders)
    assert [found[key].outcome for key in ("spread_head", "spread_order")] == outcomes
    assert found["spread_head"].details.residual == pytest.approx(1e-6)
    assert (found["spread_head"].scored, found["spread_head"].planned) == (25, 25)
    assert found["spread_head"].anchor == "claim-spread-head"


def test_levels_that_would_decide_a_design():
    order = make_design(0.01, 0.0)["spread_order"]
    assert order.needed.smallest == 0.5
    assert order.needed.runs == order.needed.instances ** 2 - 25
    assert order.needed.core_hours == pytest.approx(order.needed.runs)


def test_a_partly_run_design_has_no_verdict_yet():
    found = make_design(0.01, 0.0, instances=3)
    assert [verdict.reason for verdict in found.values()] == ["15 of 25 planned runs are in"] * 2
    assert make_design(0.01, 0.0, number=4)["spread_head"].reason == "20 of 25 planned runs are in"


# -- CoLA

@pytest.mark.parametrize(("matthews", "collapsed", "outcome"), [
    ([0.0], [0], SUPPORTED), ([0.2], [], CONTRADICTED), ([0.05], [], UNDECIDED), ([0.0, 0.2], [0], UNDECIDED)])
def test_why_cola_was_left_out(matthews, collapsed, outcome):
    cell = make_cell(matthews, asked=len(matthews), collapsed=collapsed, task="CoLA", metric="matthews")
    (verdict,) = judge_cola(make_group([cell], task="CoLA"), "one recipe")
    assert (verdict.outcome, verdict.about, verdict.scored, verdict.effect) == (outcome, "one recipe", len(matthews), None)


def test_cola_waits_for_its_runs():
    (verdict,) = judge_cola(make_group([make_cell([0.2], asked=2, task="CoLA")], task="CoLA"), "one recipe")
    assert (verdict.outcome, verdict.reason) == (SO_FAR, "1 of 2 planned runs are in")


# -- over a store

def test_every_study_of_a_store_is_judged_and_a_dry_run_can_say_so(fill):
    checkpoint = fill.checkpoint("mini")
    for size in SIZES:
        config = fill.plan("bs_mrpc", checkpoint, "MRPC", 4, batch_size=size)
        for k, each in enumerate(WOBBLE):
            fill.finish(config, k, 0.76 - 0.001 * (math.log2(size) - 4) + 6 * each)
    for rate in (1e-4, 2e-4):
        config = fill.plan("lr_mnli", checkpoint, "RTE", 4, batch_size=64, peak_learning_rate=rate)
        fill.finish(config, 0, 0.6)
    fill.finish(fill.plan("allglue", checkpoint, "CoLA", epochs=4), 0, 0.0, collapsed=1)
    found = judge_all(read_results(fill.store))
    assert [(verdict.claim.key, verdict.outcome) for verdict in found] == [
        ("batch_size", UNDECIDED), ("best_rate_64", SO_FAR), ("shift", SO_FAR), ("best_accuracy", SO_FAR), ("cola", SUPPORTED)]
    assert advise(fill.store, "bs_mrpc") == [
        "MRPC dev, mini: smaller batch sizes reach the better accuracy: undecided, -0.10 [-0.49, +0.29] points for each doubling "
        "of the batch size; to see 0.3 points for each doubling of the batch size with 80 % power takes 13 instances of each "
        "cell, 45 more runs, 1.3 core-hours"]
    assert advise(fill.store, "bs_mrpc", tasks=("RTE",)) == advise(fill.store, "bs_mrpc", checkpoint="x") == []
    assert advise(fill.store, "lr_mnli") == [
        "RTE dev, mini: batch size 64 is best at peak rate 1e-4: so far (2 of 16 planned runs are in)"]
    assert advise(fill.store, "why_bs") == []


def test_advice_needs_nothing_heavy():
    code = ("import sys; from common.report import planning_advice, judging; "
            "print([name for name in ('tensorflow', 'scipy', 'matplotlib', 'pandas') if name in sys.modules])")
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
