"""Files for the GLUE server: names, headers, rows and words, literally."""
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common import UserError
from common.inputs.reading import load_tests
from common.studies.tasks import TASKS
from common.training.classifier import Classifier
from common.training.glue_server import write_predictions

VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n"
CLASSES = {"CoLA": "0 1", "SST-2": "0 1", "MRPC": "0 1", "QQP": "0 1", "WNLI": "0 1", "QNLI": "entailment not_entailment",
           "RTE": "entailment not_entailment", "MNLI": "contradiction entailment neutral"}
HEADERS = {"CoLA": "index\tsentence", "SST-2": "index\tsentence", "MRPC": "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
           "QQP": "id\tquestion1\tquestion2",
           "STS-B": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2",
           "MNLI": "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
                   "sentence2_parse\tsentence1\tsentence2",
           "QNLI": "index\tquestion\tsentence", "RTE": "index\tsentence1\tsentence2", "WNLI": "index\tsentence1\tsentence2"}


class Fixed(Classifier):
    """Answers with given logits."""

    def __init__(self, labels, logits):
        self.about, self._given = {"labels": labels}, np.array(logits, np.float32)

    def predict(self, tokens):
        assert len(tokens) == len(self._given)
        return self._given


def write_tests(task, folder, rows, header=None):
    folder.mkdir(parents=True)
    names = (header or HEADERS[task]).split("\t")
    for name in ("test_matched.tsv", "test_mismatched.tsv") if task == "MNLI" else ("test.tsv",):
        lines = ["\t".join(names)] + ["\t".join([str(number), *"a" * (len(names) - 1)]) for number in range(rows)]
        (folder / name).write_text("\n".join(lines) + "\n")


def predict(task, tmp_path, labels, logits):
    (tmp_path / "vocab.txt").write_text(VOCABULARY)
    job = SimpleNamespace(config=SimpleNamespace(task=task, max_length=128, lower_case=None), data_folder=tmp_path / task,
                          cache=tmp_path, checkpoint=SimpleNamespace(vocab=tmp_path / "vocab.txt"))
    write_predictions(Fixed(labels, logits), job, tmp_path / "out")
    return {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}


@pytest.mark.tensorflow
@pytest.mark.parametrize("task", CLASSES)
def test_the_file_of_a_task(task, tmp_path):
    labels = CLASSES[task].split()
    write_tests(task, tmp_path / task, rows=3)
    logits = [[0.0] * (len(labels) - 1) + [1.0], [1.0] + [0.0] * (len(labels) - 1), [0.0] * (len(labels) - 1) + [9.0]]
    written = predict(task, tmp_path, labels, logits)
    content = f"index\tprediction\n0\t{labels[-1]}\n1\t{labels[0]}\n2\t{labels[-1]}\n"
    names = ["MNLI-m.tsv", "MNLI-mm.tsv"] if task == "MNLI" else [f"{task}.tsv"]
    assert written == dict.fromkeys(names, content)
    assert TASKS[task].labels == tuple(labels)


@pytest.mark.tensorflow
def test_scores_stay_within_0_and_5(tmp_path):
    write_tests("STS-B", tmp_path / "STS-B", rows=3)
    assert predict("STS-B", tmp_path, None, [[-0.3], [3.14159], [5.2]]) == {
        "STS-B.tsv": "index\tprediction\n0\t0.000\n1\t3.142\n2\t5.000\n"}


@pytest.mark.tensorflow
def test_the_diagnostic_set_where_it_is_at_hand(tmp_path):
    write_tests("MNLI", tmp_path / "MNLI", rows=1)
    (tmp_path / "diagnostic").mkdir()
    (tmp_path / "diagnostic" / "diagnostic.tsv").write_text("index\tsentence1\tsentence2\n0\ta\tb\n")
    written = predict("MNLI", tmp_path, ["contradiction", "entailment", "neutral"], [[0, 0, 1]])
    assert written == dict.fromkeys(["MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv"], "index\tprediction\n0\tneutral\n")


def test_snli_is_no_task_of_the_server(tmp_path):
    assert load_tests(TASKS["SNLI"], tmp_path) is None


def test_another_number_of_rows_is_refused_unless_allowed(tmp_path):
    write_tests("RTE", tmp_path / "RTE", rows=3)
    with pytest.raises(UserError) as caught:
        load_tests(TASKS["RTE"], tmp_path / "RTE")
    assert str(caught.value) == (f"{tmp_path}/RTE/test.tsv has 3 rows where the official file has 3000, and the GLUE server "
                                 "takes no other number; fetch it again, or pass --allow-other-rows")
    assert len(load_tests(TASKS["RTE"], tmp_path / "RTE", allow_other_rows=True).sets["RTE.tsv"]) == 3


def test_a_broken_row_of_qqp_is_an_error_here(tmp_path):
    """Every row must be predicted; of the labelled files such rows are left out."""
    write_tests("QQP", tmp_path / "QQP", rows=1)
    with open(tmp_path / "QQP" / "test.tsv", "a") as file:
        file.write("1\tonly one\n")
    with pytest.raises(UserError, match="test.tsv:3: expected 3 columns, found 2"):
        load_tests(TASKS["QQP"], tmp_path / "QQP", allow_other_rows=True)


def test_official_numbers_of_rows():
    """The rows that the server wants, headers not counted."""
    assert {test.upload: test.rows for task in TASKS.values() for test in task.tests} == {
        "CoLA.tsv": 1063, "SST-2.tsv": 1821, "MRPC.tsv": 1725, "QQP.tsv": 390965, "STS-B.tsv": 1379, "MNLI-m.tsv": 9796,
        "MNLI-mm.tsv": 9847, "AX.tsv": 1104, "QNLI.tsv": 5463, "RTE.tsv": 3000, "WNLI.tsv": 146}


@pytest.mark.skipif("BERT_GLUE_TEST_DATA" not in os.environ, reason="BERT_GLUE_TEST_DATA names no folder of real data")
@pytest.mark.parametrize("task", ["CoLA", "SST-2", "MRPC", "STS-B", "RTE", "WNLI"])
def test_official_files_have_them(task):
    folder = Path(os.environ["BERT_GLUE_TEST_DATA"]) / "glue_data" / task
    ((_, examples),) = load_tests(TASKS[task], folder).sets.items()
    assert all(len(row) == len(TASKS[task].texts) and all(row) for row in examples.texts)
