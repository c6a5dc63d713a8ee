"""The protocol: the page says what the table holds, and the thresholds are those of the published numbers."""
import math
from pathlib import Path

import pytest

import exp_bs_mrpc
import exp_lr_mnli
import exp_why_bs
from common.report import published
from common.report.protocol import CLAIMS, LEVEL, POWER, SEEN_UNTIL, Rule, describe_family

PAGE = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()


@pytest.mark.parametrize("family", sorted({claim.family for claim in CLAIMS.values()}))
def test_the_page_says_what_the_table_holds(family):
    assert describe_family(family) in PAGE


def test_the_page_names_level_power_rules_and_what_had_been_looked_at():
    assert (LEVEL, POWER, SEEN_UNTIL) == (0.05, 0.8, "2026-11-25T22:00:00")
    assert "p < 0.05 after Holm" in PAGE and "80 % power" in PAGE and "before 2026-11-25 22:00 UTC" in PAGE
    assert [rule for rule in Rule if f"\n| {rule} |" not in PAGE] == []


def test_the_planned_cells_are_those_of_the_studies():
    bs, lr, why, spread = exp_bs_mrpc.STUDY, exp_lr_mnli.STUDY, exp_why_bs.STUDY, exp_why_bs.SPREAD
    assert (CLAIMS["batch_size"].batch_sizes, CLAIMS["batch_size"].instances) == (bs.batch_sizes, bs.instances)
    assert (CLAIMS["shift"].batch_sizes, CLAIMS["shift"].rates) == (lr.batch_sizes, lr.peak_learning_rates)
    assert [f"why_{condition.name}" for condition in why.conditions[1:]] == [
        key for key, claim in CLAIMS.items() if claim.family == "why"]
    assert (CLAIMS["why_sqrt"].batch_sizes, CLAIMS["spread_head"].instances) == (why.batch_sizes, spread.instances)


def test_the_smallest_effects_are_half_of_the_published_ones_rounded_down():
    sizes, means = zip(*published.MRPC_BY_BATCH_SIZE.items(), strict=True)
    assert -slope_on_log2(sizes, means) == pytest.approx(0.00628, abs=1e-5)
    assert CLAIMS["batch_size"].smallest == 0.003
    by_size = [slope_on_log2(*zip(*published.MNLI_BY_RATE[size].items(), strict=True)) for size in (64, 128)]
    assert by_size[1] - by_size[0] == pytest.approx(0.0040, abs=1e-4)
    assert CLAIMS["shift"].smallest == 0.002
    means = published.MNLI_BY_RATE[64]
    assert means[1e-4] - means[2e-4] == pytest.approx(0.007)
    assert CLAIMS["best_rate_64"].smallest == 0.003


def slope_on_log2(places, values):
    logs = [math.log2(place) for place in places]
    middle = sum(logs) / len(logs)
    return sum((x - middle) * y for x, y in zip(logs, values, strict=True)) / sum((x - middle) ** 2 for x in logs)
