"""The table of tasks against the published figures, and what a wrong name is answered."""
import pytest

from common import UserError
from common.studies.tasks import TASKS, get_task

NAMES = "CoLA, SST-2, MRPC, QQP, STS-B, MNLI, SNLI, QNLI, RTE, WNLI"


@pytest.mark.parametrize("name, train_rows, evaluation_rows", [
    ("CoLA", 8551, {"dev": 1043}), ("SST-2", 67349, {"dev": 872}), ("MRPC", 3668, {"dev": 408}),
    ("QQP", 363846, {"dev": 40430}), ("STS-B", 5749, {"dev": 1500}),
    ("MNLI", 392702, {"dev_matched": 9815, "dev_mismatched": 9832}), ("SNLI", 549367, {"dev": 9842}),
    ("QNLI", 104743, {"dev": 5463}), ("RTE", 2490, {"dev": 277}), ("WNLI", 635, {"dev": 71})])
def test_official_row_counts(name, train_rows, evaluation_rows):
    assert TASKS[name].train_rows == train_rows
    assert TASKS[name].evaluation_rows == evaluation_rows


def test_the_table_holds_these_tasks_and_no_other():
    assert ", ".join(TASKS) == NAMES


@pytest.mark.parametrize("name, outputs, metric, f1", [
    ("CoLA", 2, "matthews", "macro"), ("SST-2", 2, "accuracy", "macro"), ("MRPC", 2, "accuracy", "binary"),
    ("QQP", 2, "accuracy", "binary"), ("STS-B", 1, "pearson", None), ("MNLI", 3, "accuracy", "macro"),
    ("SNLI", 3, "accuracy", "macro"), ("QNLI", 2, "accuracy", "macro"), ("RTE", 2, "accuracy", "macro"),
    ("WNLI", 2, "accuracy", "macro")])
def test_head_and_metrics(name, outputs, metric, f1):
    task = TASKS[name]
    assert (task.outputs, task.metric) == (outputs, metric)
    assert task.is_regression == (f1 is None)
    assert f1 in (None, task.f1)


@pytest.mark.parametrize("wrong, guess", [
    ("sst", " Did you mean SST-2?"), ("mrpc", " Did you mean MRPC?"), ("MNLI-x", " Did you mean MNLI?"),
    ("cola", " Did you mean CoLA?"), ("stsb", " Did you mean STS-B?"), ("", ""), ("squad2.0/../x", ""), ("日本", "")])
def test_an_unknown_task_is_answered_with_a_guess_and_the_list(wrong, guess):
    with pytest.raises(UserError) as refusal:
        get_task(wrong)
    assert str(refusal.value) == f"there is no task {wrong!r}.{guess} Tasks: {NAMES}"


def test_known_names_are_found():
    assert get_task("MRPC").texts == ("#1 String", "#2 String")
    assert get_task("MNLI-m") is get_task("MNLI-mm") is TASKS["MNLI"]
