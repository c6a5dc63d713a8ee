"""Kept classifiers: the same answers as the trained one, for any text, and never half-written."""
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import transformers_environment
from safetensors import safe_open

from common import UserError
from common.demo import write_checkpoint, write_task
from common.files import new_folder, sha256_of
from common.inputs.checkpoint import get_checkpoint
from common.inputs.encoder import SIZES
from common.inputs.reading import load_glue
from common.inputs.tokens import Encoding, encode_texts
from common.running.processes import FreshProcesses
from common.running.retraining import retrain
from common.studies.config import RunConfig
from common.studies.names import name_folder
from common.studies.tasks import TASKS
from common.training.artifacts import ArtifactFolders
from common.training.classifier import load_classifier
from common.training.job import Job
from common.training.run import train_run
from common.training.saved_classifier import PARTS, PARTS_OF_FORMAT_1, SavedClassifier, write_classifier

pytestmark = pytest.mark.tensorflow
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The demo's checkpoint, and its MRPC, RTE, STS-B and SST-2."""
    folder = tmp_path_factory.mktemp("sample")
    for name in ("checkpoint", "MRPC", "RTE", "STS-B", "SST-2"):
        (folder / name).mkdir()
        write_checkpoint(folder / name) if name == "checkpoint" else write_task(TASKS[name], folder / name)
    return folder


@pytest.fixture(scope="module")
def processes():
    with FreshProcesses(2) as executor:
        yield executor


def make_job(sample, task="MRPC", artifacts=None, **settings):
    checkpoint = get_checkpoint(str(sample / "checkpoint" / "demo_L-2_H-64_A-2.zip"), sample / "cache")
    data = load_glue(TASKS[task], sample / task, allow_other_rows=True)
    config = RunConfig(**{"task": task, "data": data.digest, "checkpoint": checkpoint.digest, "batch_size": 8,
                          "peak_learning_rate": 1e-3, "epochs": 1} | settings)
    return Job(config, 1, checkpoint, sample / task, sample / "cache", 1, artifacts or ArtifactFolders())


@pytest.fixture(scope="module")
def kept(processes, sample):
    """A run of MRPC whose classifier is kept: (job, result, folder of the classifier)."""
    job = make_job(sample, artifacts=ArtifactFolders(models=sample / "models"))
    result = processes.submit(train_run, job).result()
    return job, result, sample / "models" / name_folder(job.config, 1)


def test_a_kept_classifier_scores_as_its_run_did(tf, kept, sample):
    job, result, folder = kept
    assert sorted(path.name for path in folder.iterdir()) == sorted(PARTS)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    classify = load_classifier(folder)
    dev = load_glue(TASKS["MRPC"], sample / "MRPC", allow_other_rows=True).sets["dev"]
    right = [classify.labels.index(label) == truth for label, truth in zip(classify(dev.texts), dev.labels, strict=True)]
    (row,) = result.evaluations
    assert np.mean(right) == row["accuracy"]
    assert classify.about["scores"] == {"dev": {"accuracy": row["accuracy"]}}
    assert (classify.about["config_hash"], classify.about["instance"]) == (job.config.hash, 1)


def test_it_answers_for_words_that_it_has_never_seen(tf, kept):
    classify = load_classifier(kept[2])
    pairs = [("the minister bought a ship .", "the zebra xylophoned !"), ("", "a")]
    assert set(classify(pairs)) <= {"0", "1"}
    shares = classify.probabilities(pairs)
    assert shares.shape == (2, 2) and np.allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(classify.logits(pairs[:1]), classify.logits(pairs)[:1], atol=1e-5)
    assert classify([]) == []


def test_a_wrong_number_of_texts_is_refused(tf, kept):
    with pytest.raises(UserError) as caught:
        load_classifier(kept[2])(["alone"])
    assert str(caught.value) == "MRPC takes 2 text(s) for each answer, not 1: ('alone',)"


def test_the_line_of_the_documentation_in_a_program_of_its_own(kept):
    (line,) = re.findall("from common import load_classifier; .*", (ROOT / "docs/studies.md").read_text())
    line = re.sub('"models/[^"]*"', repr(str(kept[2])), line)
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout in ("['0']\n", "['1']\n")


def test_training_again_gives_the_same_weights(processes, kept, sample):
    job, result, folder = kept
    again = dataclasses.replace(job, artifacts=ArtifactFolders(models=sample / "again"))
    assert again.artifacts.is_incomplete(job.config, 1) and not job.artifacts.is_incomplete(job.config, 1)
    assert processes.submit(retrain, again).result().evaluations == result.evaluations
    for name in PARTS:
        assert (sample / "again" / folder.name / name).read_bytes() == (folder / name).read_bytes()


def test_a_regression_and_a_task_of_single_texts(processes, sample, tf):
    jobs = [make_job(sample, task, ArtifactFolders(models=sample / "models"), epochs=2, dtype=dtype)
            for task, dtype in (("STS-B", "float32"), ("SST-2", "bfloat16"))]
    for future in [processes.submit(train_run, job) for job in jobs]:
        future.result()
    score, label = [load_classifier(job.artifacts.models / name_folder(job.config, 1)) for job in jobs]
    (answer,) = score([("a ship", "a ship")])
    assert isinstance(answer, float) and score.labels is None
    assert label(["a trader sold the house and it was charming .",
                  ("the captain found a violin and it was dreadful .",)]) == ["1", "0"]
    with pytest.raises(UserError, match="STS-B is a regression and has no classes"):
        score.probabilities([("a", "b")])


def test_a_folder_that_cannot_be_written_does_not_cost_the_numbers(processes, sample):
    (sample / "file").write_text("no folder")
    job = make_job(sample, artifacts=ArtifactFolders(models=sample / "file"), limit_train=40)
    result = processes.submit(train_run, job).result()
    assert len(result.evaluations) == 1
    assert result.artifact_error.startswith(f"{sample}/file") and "cannot be written (" in result.artifact_error


def test_a_run_that_diverges_keeps_nothing(processes, sample):
    job = make_job(sample, artifacts=ArtifactFolders(models=sample / "diverged"), peak_learning_rate=1e30, clip_norm=1e30)
    assert processes.submit(train_run, job).result().diverged
    assert not (sample / "diverged").exists()


@pytest.mark.parametrize(("damage", "sentence"), [
    (lambda folder: (folder / "vocab.txt").unlink(),
     "is not a saved classifier: it has no vocab.txt; give a folder that --save-models"),
    (lambda folder: (folder / "model.safetensors").unlink(),
     "is not a saved classifier: it has no model.safetensors; give a folder that"),
    (lambda folder: (folder / "classifier.json").write_text("{"), "its JSON files are damaged; delete it and call again with"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"torn"), "are damaged (another SHA-256); delete it and"),
    (lambda folder: (folder / "classifier.json").write_text(json.dumps({"format": 3, "weights_sha256": "0"})),
     "has the format 3, this program knows 2; update the program")])
def test_what_is_no_classifier_is_refused(tmp_path, damage, sentence):
    for name in PARTS:
        (tmp_path / name).write_text(json.dumps({"format": 2, "weights_sha256": "0"} | dict.fromkeys(SIZES, 1)))
    damage(tmp_path)
    with pytest.raises(UserError) as caught:
        load_classifier(tmp_path)
    assert sentence in str(caught.value)


# -- other programs, older versions

SENTENCES = [("He bought the house, didn't he?", "The HOUSE was purchased by Café Müller."), ("naïve  text\twith tabs", "x" * 90),
             ("U.S. stocks fell 3.5% on Friday (Reuters) .", "$1,200 -- 50/50 & more; \"quoted\" text"), ("", "one")]


@pytest.mark.slow
def test_transformers_gives_the_same_logits(tf, kept, sample, tmp_path):
    """The demo's trained classifier, and one of BERT-mini's size with a real vocabulary and a head of random weights."""
    python = transformers_environment.find_python()
    folders = {kept[2]: [("the minister bought a ship .", "a ship was bought"), ("in may", "the captain sold it .")]}
    if "BERT_GLUE_TEST_DATA" in os.environ:
        archive = Path(os.environ["BERT_GLUE_TEST_DATA"]) / "checkpoints" / "standin_uncased_L-4_H-256_A-4.zip"
        folders[write_untrained(get_checkpoint(str(archive), tmp_path), tmp_path)] = SENTENCES
    done = subprocess.run([python, "-c", transformers_environment.PROGRAM], capture_output=True, text=True,
                          input=json.dumps({str(folder): texts for folder, texts in folders.items()}))
    assert done.returncode == 0, done.stderr
    for folder, theirs in json.loads(done.stdout).items():
        ours = load_classifier(folder)
        assert theirs["labels"] == {"0": "0", "1": "1"}
        assert theirs["ids"] == encode_texts(folders[Path(folder)], Encoding(Path(folder) / "vocab.txt", 128))[0]
        np.testing.assert_allclose(ours.logits(folders[Path(folder)]), theirs["logits"], atol=5e-6)


def write_untrained(checkpoint, folder):
    """The folder of a classifier with this encoder."""
    from common.training.weights import get_weights

    head = {"head/logits/kernel": np.random.RandomState(0).normal(0, 0.1, (256, 2)), "head/logits/bias": np.array([0.1, -0.2])}
    weights = get_weights(checkpoint, folder) | {name: value.astype(np.float32) for name, value in head.items()}
    about = {"format": 2, "task": "MRPC", "labels": ["0", "1"], "texts": 2, "max_length": 128, "lower_case": True,
             "config": {"dropout": 0.1, "dtype": "float32"}}
    write_classifier(SavedClassifier(about, checkpoint.config, checkpoint.vocab, weights), folder / "untrained")
    return folder / "untrained"


def test_the_files_for_transformers(kept):
    """What its loaders read: names of the model and of the labels, the tanh form of GELU, lowercasing."""
    config, tokenizer = (json.loads((kept[2] / name).read_text()) for name in ("config.json", "tokenizer_config.json"))
    assert config["architectures"] == ["BertForSequenceClassification"] and config["model_type"] == "bert"
    assert (config["hidden_act"], config["layer_norm_eps"]) == ("gelu_new", 1e-12)
    assert (config["id2label"], config["label2id"]) == ({"0": "0", "1": "1"}, {"0": 0, "1": 1})
    assert tokenizer == {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 128}
    with safe_open(kept[2] / "model.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}
        assert {"bert.encoder.layer.1.attention.self.query.weight", "classifier.weight", "classifier.bias"} <= set(file.keys())


def test_a_folder_of_format_1_still_loads(tf, kept, tmp_path):
    """As the first release wrote it."""
    classify = load_classifier(kept[2])
    np.savez(tmp_path / "weights.npz", **classify._saved.weights)
    (tmp_path / "vocab.txt").write_bytes((kept[2] / "vocab.txt").read_bytes())
    (tmp_path / "bert_config.json").write_text(json.dumps(kept[0].checkpoint.config))
    about = {name: value for name, value in classify.about.items() if name != "lower_case"}
    (tmp_path / "classifier.json").write_text(json.dumps(
        about | {"format": 1, "weights_sha256": sha256_of(tmp_path / "weights.npz")}))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PARTS_OF_FORMAT_1)
    pairs = [("the minister bought a ship .", "a ship was bought")]
    np.testing.assert_array_equal(load_classifier(tmp_path).logits(pairs), classify.logits(pairs))


# -- folders

def test_a_folder_appears_whole_and_takes_the_place_of_an_older_one(tmp_path):
    for content in ("old", "new"):
        with new_folder(tmp_path / "a" / "b") as folder:
            (folder / "file").write_text(content)
            assert folder.name.startswith(".b.")
        assert (tmp_path / "a" / "b" / "file").read_text() == content
    assert os.listdir(tmp_path / "a") == ["b"]


def test_a_folder_whose_filling_fails_leaves_the_older_one(tmp_path):
    with new_folder(tmp_path / "b") as folder:
        (folder / "file").write_text("old")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "b") as folder:
        (folder / "file").write_text("half")
        1 / 0  # noqa: B018
    assert (tmp_path / "b" / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["b"]


def test_who_is_killed_while_filling_leaves_no_folder_of_that_name(tmp_path):
    program = f"""if True:
        import os, pathlib
        from common.files import new_folder
        with new_folder(pathlib.Path({str(tmp_path)!r}) / "b") as folder:
            (folder / "file").write_text("half")
            os.kill(os.getpid(), 9)"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == -9
    assert [path.name.startswith(".b.") for path in tmp_path.iterdir()] == [True]
