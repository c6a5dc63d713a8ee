"""QQP, MNLI, SNLI and QNLI from small files in their exact official formats to results, through the script of a study."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_files import make_table, write_arrow, write_json_lines, write_parquet
from test_commands import ask

from common.demo import write_checkpoint
from common.inputs.reading import read_examples
from common.studies.tasks import TASKS

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
ROOT = Path(__file__).parent.parent
PARSES = "sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse"
ANNOTATORS = "label1 label2 label3 label4 label5"
NLI = ("entailment", "neutral", "contradiction")
HEADERS = {  # as in the files of gluebenchmark.com and nlp.stanford.edu/projects/snli, in their order
    "QQP/train.tsv": "id qid1 qid2 question1 question2 is_duplicate",
    "QQP/dev.tsv": "id qid1 qid2 question1 question2 is_duplicate",
    "MNLI/train.tsv": f"index promptID pairID genre {PARSES} sentence1 sentence2 label1 gold_label",
    "MNLI/dev_matched.tsv": f"index promptID pairID genre {PARSES} sentence1 sentence2 {ANNOTATORS} gold_label",
    "MNLI/dev_mismatched.tsv": f"index promptID pairID genre {PARSES} sentence1 sentence2 {ANNOTATORS} gold_label",
    "SNLI/snli_1.0_train.txt": f"gold_label {PARSES} sentence1 sentence2 captionID pairID {ANNOTATORS}",
    "SNLI/snli_1.0_dev.txt": f"gold_label {PARSES} sentence1 sentence2 captionID pairID {ANNOTATORS}",
    "QNLI/train.tsv": "index question sentence label",
    "QNLI/dev.tsv": "index question sentence label",
}
ROWS = {"train": 60, "dev": 20}
BROKEN = {"QQP": "77\t78\t79\tWhy is there\na break?\tWhy?\t0\n"}


def write_file(path, header):
    """Rows whose label is told by the second text; every column of the header is filled."""
    task, train = path.parent.name, "train" in path.name
    columns = header.split()
    lines = ["\t".join(columns)]
    for number in range(ROWS["train" if train else "dev"]):
        kind = number % (3 if task in ("MNLI", "SNLI") else 2)
        second = ("the trader sold the house .", "the trader bought \"a ship", "perhaps the mayor")[kind]
        row = dict.fromkeys(columns, "x") | {name: str(number) for name in ("index", "id") if name in columns}
        row |= {"sentence1": "the trader sold the house at night .", "question1": "the trader sold it ?", "sentence2": second,
                "question2": second, "question": "the trader ?", "sentence": second}
        row |= {"is_duplicate": str(kind), "label": ("entailment", "not_entailment")[kind % 2], "gold_label": NLI[kind]}
        row |= dict.fromkeys(ANNOTATORS.split(), "" if task == "SNLI" and train else "neutral") | {"label1": "neutral"}
        if task == "SNLI" and number % 10 == 9:
            row["gold_label"] = "-"  # the annotators did not agree
        lines.append("\t".join(row[name] for name in columns))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n" + (BROKEN.get(task, "") if train else ""))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a finished call of exp_allglue.py on the four tasks."""
    folder = tmp_path_factory.mktemp("formats")
    (folder / "checkpoint").mkdir()
    write_checkpoint(folder / "checkpoint", layers=1)
    (folder / "glue").mkdir()
    for name, header in HEADERS.items():
        write_file(folder / "glue" / name, header)
    done = subprocess.run(
        [sys.executable, ROOT / "exp_allglue.py", "--tasks", "QQP", "MNLI", "SNLI", "QNLI", "--glue-dir", "glue", "--checkpoint",
         "checkpoint/demo_L-1_H-64_A-2.zip", "--allow-other-rows", "--batch-sizes", "4", "--rates", "1e-3", "--epochs", "4"],
        cwd=folder, capture_output=True, text=True, timeout=300, env=os.environ | {"BERT_GLUE_CACHE": str(folder / "cache")})
    assert done.returncode == 0, done.stderr
    return folder


def test_the_same_rows_in_the_forms_of_the_hub_share_these_runs(done, tmp_path):
    """With other label numbers, columns, file names and folders: a dry run finds every run."""
    forms = {"QQP": (write_parquet, "qqp/{}-00000-of-00001.parquet"), "MNLI": (write_arrow, "mnli/{}/data-00000-of-00001.arrow"),
             "SNLI": (write_parquet, "snli/plain_text/{}-00000-of-00001.parquet"), "QNLI": (write_json_lines, "qnli/{}.jsonl")}
    for name in HEADERS:
        task, file = name.split("/")
        examples = read_examples(TASKS[task], done / "glue" / name)
        split = file.removeprefix("snli_1.0_").partition(".")[0].replace("dev", "validation")
        write, pattern = forms[task]
        write(tmp_path / pattern.format(split), make_table(task, examples.labels, examples.texts))
    found = subprocess.run(
        [sys.executable, ROOT / "exp_allglue.py", "--tasks", "qqp", "mnli", "snli", "qnli", "--glue-dir", tmp_path,
         "--checkpoint", "checkpoint/demo_L-1_H-64_A-2.zip", "--allow-other-rows", "--batch-sizes", "4", "--rates", "1e-3",
         "--epochs", "4", "--dry-run"], cwd=done, capture_output=True, text=True, timeout=100,
        env=os.environ | {"BERT_GLUE_CACHE": str(done / "cache"), "BERT_GLUE_OFFLINE": "1"})
    assert found.returncode == 0, found.stderr
    assert "0 runs would be trained" in found.stdout


def test_every_set_is_scored_on_its_labelled_rows(done):
    assert ask(done / "results.db", "select task, evaluation_set, row_count, metric, epochs from results order by 1, 2") == [
        ("MNLI", "dev_matched", 20, "accuracy", 4), ("MNLI", "dev_mismatched", 20, "accuracy", 4),
        ("QNLI", "dev", 20, "accuracy", 4), ("QQP", "dev", 20, "accuracy", 4),
        ("SNLI", "dev", 18, "accuracy", 4)]  # 2 of 20 rows have no gold label


def test_training_sets_lose_what_has_no_label_and_what_is_broken(done):
    assert ask(done / "results.db", "select task, row_count, official_rows from datasets where set_name = 'train' "
                                    "order by 1") == [("MNLI", 60, 392702), ("QNLI", 60, 104743), ("QQP", 60, 363846),
                                                      ("SNLI", 54, 549367)]


def test_mnli_is_one_run_and_its_labels_are_those_of_the_gold_column(done):
    """The annotators' columns all say neutral; the gold labels are told by the second text and can be learnt."""
    assert ask(done / "results.db", "select count(*) from runs join configs on hash = config where task = 'MNLI'") == [(1,)]
    scores = dict(ask(done / "results.db", "select task, min(accuracy) from results group by task"))
    assert min(scores.values()) > 0.6, scores
