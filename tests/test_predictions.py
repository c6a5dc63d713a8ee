"""Rows: intervals over runs and rows, agreement, ensembles and the search, on cases with known answers."""
import math
from dataclasses import replace

import numpy as np
import pytest

from common.report.predictions import (
    Search,
    check_search,
    mean_over_rows,
    measure_agreement,
    measure_churn,
    over_rows,
    read_correct,
    vote,
)
from common.report.results import Cell, Digits, Group, Run, read_results
from common.report.statistics import Effect, mean_effect
from common.store.schema import digest_of_output, labels, outputs
from common.studies.config import RunConfig


class Score:
    """A row of `evaluations`."""

    collapsed = 0

    def __init__(self, score):
        self.score = self.accuracy = score


def make_cell(predictions, right="1111", rate=2e-5):
    """A cell with a run for each string of predicted classes."""
    config = RunConfig(task="MRPC", data="d", checkpoint="c", batch_size=8, peak_learning_rate=rate, epochs=5)
    runs = []
    for instance, digits in enumerate(predictions):
        score = sum(a == b for a, b in zip(digits, right, strict=True)) / len(right)
        runs.append(Run(config.hash, instance, "done", None, None, None, None, outputs={"dev": Digits(1, digits.encode())},
                        evaluations={"dev": Score(score)}))
    return Cell(config, len(runs), tuple(runs))


def make_group(*cells, right="1111"):
    return Group("g", "mini", None, "MRPC", {}, {}, cells, {"dev": Digits(1, right.encode())})


def test_right_and_wrong_by_run_and_row():
    cell = make_cell(["1110", "1010"])
    assert read_correct(make_group(cell), cell, "dev").tolist() == [[1, 1, 1, 0], [1, 0, 1, 0]]
    assert read_correct(make_group(cell, right="11111"), cell, "dev") is None
    assert read_correct(Group("g", "mini", None, "MRPC", {}, {}, (cell,)), cell, "dev") is None
    cell.runs[1].outputs.clear()  # a run from before predictions were kept
    assert read_correct(make_group(cell), cell, "dev").tolist() == [[1, 1, 1, 0]]
    cell.runs[0].outputs.clear()
    assert read_correct(make_group(cell), cell, "dev") is None


def test_variance_over_runs_and_rows_of_a_table_by_hand():
    # runs 0.75 and 0.5: s^2 = 0.03125, over runs 0.015625. Rows 1, 0.5, 1, 0: s^2 = 0.6875 / 3, over rows 0.6875 / 12.
    # Left of runs and rows: six of +-0.125 and two of +-0.375: 0.375 / 3 = 0.125, in the mean 0.125 / 8 = 0.015625.
    # Rows alone: 0.6875 / 12 - 0.015625 = 0.0416667. t(1; 0.975) = 12.706205, t(3; 0.975) = 3.182446
    cell = make_cell(["1110", "1010"])
    both = mean_over_rows(make_group(cell), cell, "dev")
    assert (both.mean, both.n) == (0.625, 2)
    assert both.half == pytest.approx(math.hypot(12.706205 * 0.125, 3.182446 * math.sqrt(0.0416667)), abs=1e-5)


def test_a_difference_of_cells_on_the_same_rows_has_no_variance_from_rows_that_both_get_right():
    first, second = np.tile([1.0, 1.0, 0.0, 0.0], (2, 1)), np.tile([1.0, 1.0, 1.0, 0.0], (2, 1))
    effect = Effect(-0.25, 0, 0, 0, 4, error=0.0, degrees=2)
    both = over_rows(effect, [1, -1], [first, second])
    assert both.error == pytest.approx(0.25)  # rows 0, 0, -1, 0: s^2 = 0.25, over four rows 0.0625
    assert both.high == pytest.approx(-0.25 + 3.182446 * 0.25, abs=1e-6)
    assert both.p == pytest.approx(0.391002, abs=1e-6)  # t(3) beyond -+1


def test_runs_without_predictions_leave_the_variance_of_rows_to_the_others():
    cell = make_cell(["1110", "1010"])
    whole = mean_over_rows(make_group(cell), cell, "dev")
    cell.runs[0].outputs.clear()
    part = mean_over_rows(make_group(cell), cell, "dev")
    assert (part.mean, part.n) == (whole.mean, whole.n)
    # rows 1, 0, 1, 0: s^2 = 1 / 3, over rows 1 / 12; one run has no interaction to take off
    assert part.half == pytest.approx(math.hypot(12.706205 * 0.125, 3.182446 * math.sqrt(1 / 12)), abs=1e-5)


def test_without_a_difference_between_rows_the_interval_is_that_over_runs():
    effect = mean_effect([0.5, 0.6, 0.7])
    both = over_rows(effect, [1], [np.repeat([[0.5], [0.6], [0.7]], 9, axis=1)])
    assert (both.low, both.high, both.p) == pytest.approx((effect.low, effect.high, effect.p))


def test_the_interval_covers_what_other_runs_and_rows_would_give():
    """Runs and rows of known variances about a mean of 0.3: the interval over both holds it as often as it says."""
    random, runs, rows, held, held_by_runs = np.random.default_rng(1), 5, 40, 0, 0
    for _ in range(400):
        of_runs, of_rows = 0.05 * random.normal(size=(runs, 1)), 0.5 * random.normal(size=(1, rows))
        table = 0.3 + of_runs + of_rows + random.normal(size=(runs, rows))
        effect = mean_effect(table.mean(axis=1).tolist())
        both = over_rows(effect, [1], [table])
        held += both.low <= 0.3 <= both.high
        held_by_runs += effect.low <= 0.3 <= effect.high
    assert 0.92 < held / 400 < 0.99
    assert held_by_runs / 400 < 0.92  # the runs alone know nothing of the rows


def test_churn_and_votes():
    predicted = np.array([[0, 1, 2, 0], [0, 2, 1, 0], [0, 1, 0, 1]])
    # pairs: 2, 2 and 3 of 4 rows differ
    assert measure_churn(predicted) == pytest.approx((2 + 2 + 3) / 12)
    assert measure_churn(predicted[:1]) == 0
    # the third row has a vote for each class: the lowest number wins
    assert vote(predicted).tolist() == [0, 1, 0, 0]


def test_agreement_of_a_cell():
    cell = make_cell(["1110", "1010", "1100"])
    found = measure_agreement(make_group(cell), cell, "dev")
    assert (found.runs, found.rows, found.no_run_right, found.every_run_right) == (3, 4, 1, 1)
    assert (found.ensemble, found.accuracy) == (0.75, pytest.approx(7 / 12))
    assert found.churn == pytest.approx((1 + 1 + 2) / 12)


def test_what_a_store_holds_is_read_with_its_runs(fill):
    config = fill.plan("bs_mrpc", fill.checkpoint("mini"), "MRPC", 2)
    fill.insert(labels, data=config.data, set_name="dev", width=1, content=b"1100")
    for instance, digits in enumerate((b"1111", b"0100")):
        run = fill.finish(config, instance, 0.5 + instance / 4)
        fill.insert(outputs, run=run, evaluation_set="dev", width=1, content=digits,
                    digest=digest_of_output(config.hash, instance, {"evaluation_set": "dev", "width": 1, "content": digits}))
    (group,) = read_results(fill.store).groups("bs_mrpc", ("batch_size",), {"task": "MRPC", "epochs": 5})
    found = measure_agreement(group, group.cells[0], "dev")
    assert (found.churn, found.accuracy, found.ensemble, found.no_run_right, found.every_run_right) == (0.75, 0.625, 0.75, 0, 1)


def test_values_of_a_regression_are_no_classes():
    cell = make_cell(["1110", "1010"])
    for run in cell.runs:
        run.outputs["dev"] = Digits(4, b"1.50" * 4)
    assert measure_agreement(make_group(cell), cell, "dev") is None


def test_how_well_a_split_chooses():
    # the better candidate is right on 12 of 20 rows, the other on 8 others: a split of one row finds the better in 12 of 20
    better, other = make_cell(["1" * 12 + "0" * 8], "1" * 20), make_cell(["0" * 12 + "1" * 8], "1" * 20, rate=4e-5)
    group = make_group(better, other, right="1" * 20)
    search = Search((better, other), better, 1, 1)
    check = check_search(group, search, "dev")
    assert check.error == pytest.approx(math.sqrt(0.6 * 0.4))
    assert check.other == pytest.approx(0.4, abs=0.03)
    assert check.cost == pytest.approx(0.4 * 0.2, abs=0.006)
    assert (check.rows, check.instances, check.near) == (1, 1, 0)
    for cell, value in ((better, 0.7), (other, 0.3)):
        cell.runs[0].validation["accuracy"] = [(9, value)]
    assert check_search(group, search, "dev").near == 1  # one standard error is 0.49
    assert check_search(group, replace(search, rows=20), "dev").near == 0
    assert check_search(group, replace(search, rows=20), "dev").other == 0
    # of one instance each predictions were kept, and the draws are the same each time
    assert check_search(group, replace(search, instances=2), "dev").other == check.other
    other.runs[0].outputs.clear()
    assert check_search(group, search, "dev").other is None
