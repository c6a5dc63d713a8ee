"""Intervals and tests on cases worked out by hand or taken from tables."""
import math

import pytest

from common.report.statistics import (
    Effect,
    Interval,
    Spread,
    binomial_tail,
    contrast,
    count_instances,
    count_levels,
    cross,
    holm,
    linear_trend,
    mean_effect,
    mean_interval,
    p_against,
    power_of_crossed,
    power_of_t,
    rank_correlation,
    sampling_error,
    slope,
    slope_within,
    welch,
)


def test_interval_of_four_values():
    # mean 5, s = sqrt(20 / 3) = 2.581989, t(3; 0.975) = 3.182446 from the table: half = 3.182446 * 2.581989 / 2
    interval = mean_interval([2, 4, 6, 8])
    assert (interval.mean, interval.n) == (5, 4)
    assert interval.half == pytest.approx(4.108520, abs=1e-6)
    assert (interval.low, interval.high) == pytest.approx((0.891480, 9.108520), abs=1e-6)


def test_interval_of_two_values_at_another_confidence():
    # s / sqrt(2) = 1 and t(1; 0.95) = 6.313752
    assert mean_interval([1, 3], confidence=0.90).half == pytest.approx(6.313752, abs=1e-6)


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert mean_interval([0.7]) == Interval(0.7, None, None, 1)
    assert mean_interval([0.7]).half is None
    assert mean_interval([]) == Interval(None, None, None, 0)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value):
    for test in (lambda: mean_interval([0.7, value]), lambda: linear_trend([1, 2, 3], [1, 2, value]),
                 lambda: welch([1, 2], [1, value])):
        with pytest.raises(ValueError, match="not finite"):
            test()


@pytest.mark.parametrize(("share", "rows", "error"), [(0.5, 100, 0.05), (0.7, 408, 0.022687), (1.0, 10, 0.0)])
def test_sampling_error(share, rows, error):
    assert sampling_error(share, rows) == pytest.approx(error, abs=1e-6)


def test_so_many_of_some_trials_by_hand():
    # six, seven or eight of eight: (28 * 9 + 8 * 3 + 1) / 4 ** 8
    assert binomial_tail(6, 8, 0.25) == pytest.approx(277 / 65536)
    assert binomial_tail(0, 8, 0.25) == pytest.approx(1)
    assert binomial_tail(5, 5, 0.2) == pytest.approx(0.00032)


def test_trend_of_four_points():
    # slope 4 / 5; y - line = 0.2, -0.6, 0.6, -0.2, so s^2 = 0.8 / 2 and the slope's error sqrt(0.4 / 5) = sqrt(0.08)
    trend = linear_trend([1, 2, 3, 4], [2, 2, 4, 4])
    assert trend.estimate == pytest.approx(0.8)
    assert trend.p == pytest.approx(0.105573, abs=1e-6)  # t = 2.828427 on 2 degrees: 1 - t / sqrt(2 + t^2)
    assert (trend.low, trend.high) == pytest.approx((-0.416974, 2.016974), abs=1e-6)  # t(2; 0.975) = 4.302653
    assert trend.n == 4


def test_trend_without_any_scatter():
    trend = linear_trend([1, 2, 3], [6, 4, 2])
    assert (trend.estimate, trend.p) == (-2, pytest.approx(0, abs=1e-7))


@pytest.mark.parametrize(("x", "y"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0.68] * 3)])
def test_no_trend_where_there_is_nothing_to_test(x, y):
    assert linear_trend(x, y) is None


def test_welch_of_two_small_samples():
    # variances 1 and 4 over n = 3: error sqrt(5 / 3), degrees (5/3)^2 / ((1/9 + 16/9) / 2) = 50 / 17; the rest from
    # scipy.stats.ttest_ind(equal_var=False)
    effect = welch([4, 5, 6], [1, 3, 5])
    assert effect.estimate == 2
    assert effect.n == 6
    assert effect.p == pytest.approx(0.220881, abs=1e-6)
    assert (effect.low, effect.high) == pytest.approx((-2.155400, 6.155400), abs=1e-6)


def test_no_welch_without_spread_or_with_single_values():
    assert welch([1], [2, 3]) is None
    assert welch([], []) is None
    assert welch([1, 1], [2, 2]) is None


def test_contrast_of_two_samples_is_welch_s_test_and_of_three_by_hand():
    assert contrast([[1, 2, 3], [2, 4, 9]], [1, -1]) == welch([1, 2, 3], [2, 4, 9])
    # means 2, 5, 9 with weights 1, -2, 1; variances of the means 1, 1, 1: error sqrt(1 + 4 + 1), degrees 36 / 18
    effect = contrast([[1, 3], [4, 6], [8, 10]], [1, -2, 1])
    assert (effect.estimate, effect.n) == (1, 6)
    assert effect.high - effect.estimate == pytest.approx(4.302653 * math.sqrt(6), abs=1e-5)
    assert contrast([[1, 1], [2, 2], [3, 4]], [1, -1, 0]) is None
    assert contrast([[1], [2, 3]], [1, -1]) is None


def test_paired_differences_of_student_s_sleep_data():
    # Student 1908, ten patients and two drugs: mean difference 1.58, t = 4.0621 on 9 degrees, p = 0.002833
    differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    effect = mean_effect(differences)
    assert (effect.estimate, effect.n, effect.p) == (pytest.approx(1.58), 10, pytest.approx(0.002833, abs=1e-6))
    assert (effect.low, effect.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)


def test_no_paired_test_without_spread_or_of_one_pair():
    assert mean_effect([]) is None
    assert mean_effect([0.1]) is None
    assert mean_effect([0.1, 0.1, 0.1]) is None


def test_holm_by_hand():
    # smallest first: 4 x 0.01, 3 x 0.02 = 0.06, 2 x 0.03 = 0.06, 1 x 0.04 raised to 0.06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9, 0.001]) == pytest.approx([1.0, 1.0, 0.003])
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_slope_by_hand():
    assert slope([1, 2, 3, 4], [2, 2, 4, 4]) == pytest.approx(0.8)


def test_slope_within_groups_by_hand():
    # within each group x is -1, 1 or -1, 0, 1; the groups' levels 10 and 100 do not count.
    # y left over: -1, 1 and -2, -1, 3: slope (1 + 1 + 2 + 3) / 4 = 7 / 4; residuals 0.75, -0.75, -0.25, -1, 1.25
    # sum of squares 0.5625 * 2 + 0.0625 + 1 + 1.5625 = 3.75 on 5 - 2 - 1 = 2 degrees: error sqrt(1.875 / 4)
    effect = slope_within(["a", "a", "b", "b", "b"], [1, 3, 5, 6, 7], [9, 11, 98, 99, 103])
    assert (effect.estimate, effect.n) == (pytest.approx(1.75), 5)
    assert effect.high - effect.estimate == pytest.approx(4.302653 * math.sqrt(1.875 / 4), abs=1e-6)
    assert slope_within([1, 1, 2, 2], [1, 1, 2, 2], [1, 2, 3, 4]) is None  # x differs between groups only
    assert slope_within([1, 2, 3], [1, 2, 3], [1, 2, 3]) is None  # every group has a single point


def test_rank_correlation_by_hand_and_against_scipy():
    # no ties: 1 - 6 sum(d^2) / (n (n^2 - 1)), with d = 2, 2, -2, 2, -3, -1
    assert rank_correlation([1, 2, 3, 4, 5, 6], [3, 4, 1, 6, 2, 5]).r == pytest.approx(1 - 6 * 26 / 210)
    from scipy.stats import spearmanr

    x, y = [1, 1, 2, 3, 3, 3, 4], [0.5, 0.7, 0.7, 0.4, 0.9, 0.9, 1.0]
    found = rank_correlation(x, y)
    assert found.r == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    # r = 0 at n = 7: z has the error 1 / 2, so the interval ends at tanh(1.959964 / 2)
    zero = rank_correlation([1, 2, 3, 4, 5, 6, 7], [4, 4, 1, 7, 1, 4, 4])
    assert (zero.r, zero.high, zero.low) == pytest.approx((0, 0.753058, -0.753058), abs=1e-6)


def test_rank_correlation_at_its_ends():
    assert rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]).low == 1
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None
    assert rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None


def test_variance_components_by_hand():
    # row means 2, 6, 7 and column means 4, 6 of mean 5: left over -1/0/1 as below.
    # rows: 2 * ((9 + 1 + 4) / 2) = 14; columns: 3 * 2 = 6; left (0, 0), (-1, 1), (1, -1): 4 / 2 = 2
    found = cross([[1, 3], [4, 8], [7, 7]])
    assert found.residual == pytest.approx(2)
    assert (found.rows.f, found.rows.variance) == pytest.approx((7, 6))
    assert (found.columns.f, found.columns.variance) == pytest.approx((3, 4 / 3))
    assert found.rows.p == pytest.approx(1 / 8)  # 2 and 2 degrees: 1 / (1 + F)
    # quantiles of F(2, 2): 39 and 1 / 39; (7 / 39 - 1) / 2 is below 0, (7 * 39 - 1) / 2 = 136
    assert found.rows.ratio == pytest.approx((0, 136))
    assert found.columns.p == pytest.approx(0.225403, abs=1e-6)  # F(1, 2) = t^2: t = 1.732051 on 2 degrees, two-sided
    assert found.p == pytest.approx(2 * (1 + 2 * 14 / 6) ** -0.5)  # F(2, 1) = 7 / 3: P(above) = (1 + 2 F)^(-1 / 2)


def test_no_components_where_there_is_no_residual():
    assert cross([[1, 2], [3, 4]]) is None
    assert cross([[1, 2, 3]]) is None
    assert cross([]) is None


# -- power

@pytest.mark.parametrize(("size", "error", "gain", "instances"), [
    # Cohen 1988, tables 2.4.1; G*Power 3: one sample of d = 0.5 and 1.0, two samples of d = 0.5 and 0.8
    (0.5, 1.0, 1, 34), (1.0, 1.0, 1, 10), (0.5, math.sqrt(2), 2, 64), (0.8, math.sqrt(2), 2, 26)])
def test_instances_for_a_power_of_80_percent(size, error, gain, instances):
    seen = Effect(0.0, -1.0, 1.0, 1.0, 1, error=error, degrees=0)  # the spread of a single instance
    assert count_instances(Spread(seen, 1, gain), size, level=0.05, power=0.8, most=100) == instances
    assert count_instances(Spread(seen, 1, gain), size, level=0.05, power=0.8, most=instances - 1) is None


def test_instances_from_the_spread_of_four():
    # paired differences 1, 2, 3, 4: s = 1.290994, so d = 1 needs an effect of 1.290994, and ten pairs
    seen = mean_effect([1, 2, 3, 4])
    assert (seen.error, seen.degrees) == (pytest.approx(1.290994 / 2, abs=1e-6), 3)
    assert count_instances(Spread(seen, 4, 1), 1.290994, level=0.05, power=0.8, most=100) == 10


def test_power_of_a_t_test():
    # G*Power 3: one sample of 34, d = 0.5: 0.8077775
    assert power_of_t(0.5, 1 / math.sqrt(34), 33, 0.05) == pytest.approx(0.8077775, abs=1e-6)
    assert power_of_t(0.0, 1.0, 10, 0.05) == pytest.approx(0.05)


def test_p_against_another_value_than_0():
    # mean 2.5, error 0.645497: t = 2.5 / 0.645497 = 3.872983 against 0, and 0 against 2.5
    seen = mean_effect([1, 2, 3, 4])
    assert p_against(seen, 0) == pytest.approx(seen.p)
    assert p_against(seen, 2.5) == 1
    # t(3; 0.975) = 3.182446 errors away
    assert p_against(seen, 2.5 + 3.182446 * 0.645497) == pytest.approx(0.05, abs=1e-6)


def test_levels_of_a_crossed_design():
    import numpy as np

    random = np.random.default_rng(0)
    found = 0
    for _ in range(1000):
        table = random.normal(size=(5, 5)) + math.sqrt(0.5) * random.normal(size=(5, 1))
        found += cross(table.tolist()).rows.p < 0.05
    assert power_of_crossed(5, 0.5, 0.05) == pytest.approx(found / 1000, abs=0.04)
    # F(1, 1; 0.95) = 161.4476 and F(1, 1) is the square of a Cauchy variable: P(F > x) = 1 - 2 / pi * atan(sqrt(x))
    assert power_of_crossed(2, 80.2238, 0.05) == pytest.approx(0.5, abs=1e-4)
    assert count_levels(80.2239, level=0.05, power=0.5, most=9) == 2
    assert count_levels(0.0, level=0.05, power=0.5, most=9) is None
