"""Scores of five rows, worked out by hand."""
import math
import warnings

import numpy as np
import pytest

from common.inputs.reading import encode_rows
from common.studies.tasks import TASKS
from common.training.metrics import encode_predictions, score

LABELS = [1, 1, 1, 0, 0]
LOGITS = [[0, 1], [0, 1], [1, 0], [0, 1], [2, 0]]
"""Predicts 1 1 0 1 0: of class 1 two hit, one missed, one false alarm; of class 0 one hit."""


def row_of(task, labels, logits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return score(TASKS[task], np.array(labels), np.array(logits, np.float32))


def test_a_row_for_the_store():
    row = row_of("MRPC", LABELS, LOGITS)
    # minus log softmax of the right class is log(1 + exp(other logit - its own)): by -1, -1, 1, 1 and -2
    loss = (2 * math.log1p(math.exp(-1)) + 2 * math.log1p(math.exp(1)) + math.log1p(math.exp(-2))) / 5
    assert row.pop("loss") == pytest.approx(loss, rel=1e-12)
    assert row.pop("f1") == pytest.approx(2 / 3)
    assert row == {"accuracy": 0.6, "matthews": None, "pearson": None, "spearman": None, "row_count": 5,
                   "metric": "accuracy", "score": 0.6, "collapsed": 0}


def test_f1_is_macro_where_glue_has_none():
    # class 1: 2*2 / (2*2 + 1 + 1) = 2/3; class 0: 2*1 / (2*1 + 1 + 1) = 1/2
    assert row_of("RTE", LABELS, LOGITS)["f1"] == pytest.approx(7 / 12)
    # classes of MNLI: 2/3, 2/3 and 1
    row = row_of("MNLI", [0, 0, 1, 2, 2], [[5, 0, 0], [0, 5, 0], [0, 5, 0], [0, 0, 5], [0, 0, 5]])
    assert (row["accuracy"], row["f1"]) == (0.8, pytest.approx(7 / 9))


def test_matthews():
    row = row_of("CoLA", LABELS, LOGITS)
    # (TP TN - FP FN) / sqrt((TP+FP)(TP+FN)(TN+FP)(TN+FN)) = (2*1 - 1*1) / sqrt(3 * 3 * 2 * 2)
    assert row["matthews"] == pytest.approx(1 / 6)
    assert row["score"] == row["matthews"]
    assert row["metric"] == "matthews"


def test_one_predicted_class_is_collapsed():
    row = row_of("CoLA", LABELS, [[0, 1]] * 5)
    assert (row["collapsed"], row["matthews"], row["accuracy"]) == (1, 0.0, 0.6)
    row = row_of("MRPC", LABELS, [[1, 0]] * 5)
    assert (row["collapsed"], row["f1"], row["accuracy"]) == (1, 0.0, 0.4)


def test_regression():
    row = row_of("STS-B", [0, 1, 2, 3, 5], [[1], [0], [2], [3], [4]])
    # deviations: -2.2 -1.2 -0.2 0.8 2.8 and -1 -2 0 1 2; products sum to 11, squares to 14.8 and 10
    assert row.pop("pearson") == pytest.approx(11 / math.sqrt(148))
    assert row.pop("score") == pytest.approx(11 / math.sqrt(148))
    assert row.pop("spearman") == pytest.approx(1 - 6 * 2 / (5 * 24))  # two ranks differ by one
    assert row == {"accuracy": None, "f1": None, "matthews": None, "loss": pytest.approx(0.6), "row_count": 5,
                   "metric": "pearson", "collapsed": 0}


def test_a_constant_has_no_correlation():
    row = row_of("STS-B", [0, 1, 2, 3, 5], [[2.5]] * 5)
    assert (row["pearson"], row["spearman"], row["score"], row["collapsed"]) == (None, None, None, 1)
    assert row["loss"] == pytest.approx(3.05)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("task, labels, logits", [
    ("MRPC", [0, 0, 0, 0, 0], [[0.0, 1.0] for _ in range(5)]), ("STS-B", [0, 1, 2, 3, 5], [[1.0] for _ in range(5)])])
def test_logits_that_are_not_finite_are_no_prediction(task, labels, logits, bad):
    """Argmax of NaN is class 0: taken for predictions they would score 1.0 here."""
    logits = [list(row) for row in logits]
    logits[3][0] = bad
    assert row_of(task, labels, logits) is None
    assert row_of(task, labels, [[bad] * len(row) for row in logits]) is None


def test_huge_logits_do_not_overflow():
    row = row_of("MRPC", [0, 0, 1], [[1e30, -1e30], [1e4, 0], [0, 1e4]])
    assert (row["accuracy"], row["loss"]) == (1.0, 0.0)
    assert row_of("MRPC", [1, 0], [[1000, 0], [0, 0]])["loss"] == pytest.approx((1000 + math.log(2)) / 2)


def test_rows_for_the_store():
    assert encode_predictions(TASKS["MRPC"], np.array(LOGITS, np.float32)) == (1, b"11010")
    assert encode_rows(TASKS["MNLI"], np.array([0, 2, 1])) == (1, b"021")
    assert encode_predictions(TASKS["STS-B"], np.array([[3.25], [-0.12345], [1e9], [-1e9]], np.float32)) == (
        8, b"  3.2500 -0.12359999.000-999.000")
