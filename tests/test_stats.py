"""Intervals and tests on cases worked out by hand or taken from tables."""
import math

import pytest

from common.stats import Interval, contrast, linear_trend, mean_interval, sampling_error, welch


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
