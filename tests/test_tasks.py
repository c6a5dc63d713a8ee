"""The table of tasks against the published figures, and what a wrong name is answered."""
import pytest

from common import UserError
from common.studies.tasks import TASKS, get_task, has_official_rows

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
    ("sst", " Did you mean SST-2?"), ("MNLI-x", " Did you mean MNLI?"), ("sts", " Did you mean STS-B?"),
    ("", ""), ("squad2.0/../x", ""), ("日本", "")])
def test_an_unknown_task_is_answered_with_a_guess_and_the_list(wrong, guess):
    with pytest.raises(UserError) as refusal:
        get_task(wrong)
    assert str(refusal.value) == f"there is no task {wrong!r}.{guess} Tasks: {NAMES}"


def test_known_names_are_found():
    assert get_task("MRPC").texts == ("#1 String", "#2 String")
    assert get_task("MNLI-m") is get_task("MNLI-mm") is TASKS["MNLI"]


@pytest.mark.parametrize("name, task", [
    ("mrpc", "MRPC"), ("cola", "CoLA"), ("COLA", "CoLA"), ("sst2", "SST-2"), ("sst-2", "SST-2"), ("SST2", "SST-2"),
    ("stsb", "STS-B"), ("sts-b", "STS-B"), ("sts_b", "STS-B"), ("mnli", "MNLI"), ("mnli_matched", "MNLI"),
    ("mnli-mm", "MNLI"), ("mnli_mismatched", "MNLI"), ("snli", "SNLI"), ("Qnli", "QNLI"), ("rte", "RTE"), ("wnli", "WNLI"),
    ("qqp", "QQP")])
def test_names_are_found_in_any_case_and_as_hugging_face_has_them(name, task):
    assert get_task(name) is TASKS[task]


def test_classes_on_the_hub_have_its_numbers_and_our_names():
    """Orders of `label_classes` in Hugging Face's scripts for glue and snli."""
    assert {name: task.hub.labels and list(task.hub.labels.items()) for name, task in TASKS.items()} == {
        "CoLA": [("unacceptable", "0"), ("acceptable", "1")], "SST-2": [("negative", "0"), ("positive", "1")],
        "MRPC": [("not_equivalent", "0"), ("equivalent", "1")], "QQP": [("not_duplicate", "0"), ("duplicate", "1")],
        "STS-B": None,
        "MNLI": [("entailment", "entailment"), ("neutral", "neutral"), ("contradiction", "contradiction")],
        "SNLI": [("entailment", "entailment"), ("neutral", "neutral"), ("contradiction", "contradiction")],
        "QNLI": [("entailment", "entailment"), ("not_entailment", "not_entailment")],
        "RTE": [("entailment", "entailment"), ("not_entailment", "not_entailment")],
        "WNLI": [("not_entailment", "0"), ("entailment", "1")]}
    for task in TASKS.values():
        assert task.is_regression or sorted(task.hub.labels.values()) == sorted(task.labels)


def test_the_digest_decides_what_is_official_where_it_is_known():
    mrpc = "abde22d3446298dcc18754ae983043eaf42eabef626614801d4d3a0fc996ed50"
    assert has_official_rows("MRPC", mrpc, 3668, 3668)
    assert not has_official_rows("MRPC", "0" * 64, 3668, 3668)
    assert has_official_rows("QQP", "0" * 64, 40430, 40430)
    assert not has_official_rows("QQP", "0" * 64, 40431, 40430)
    assert has_official_rows("SciTail", "0" * 64, 5, 5)
