"""Whole runs in fresh processes, on small data through the real way from files to a result."""
import dataclasses
import functools
import glob
import json
import os
import resource
import shutil
import signal
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from common.demo import BERT, write_checkpoint, write_task
from common.inputs.checkpoint import get_checkpoint
from common.inputs.reading import load_glue
from common.running.executor import WorkerError
from common.running.processes import FreshProcesses
from common.studies.config import RunConfig
from common.studies.tasks import TASKS
from common.training.job import Job
from common.training.run import train_run
from common.training.saved_state import SavedState, digest_of
from common.training.trainer import Trainer

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def processes():
    with FreshProcesses(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The demo's checkpoint with one layer, its MRPC, and MRPC with a development set of five rows."""
    folder = tmp_path_factory.mktemp("sample")
    for name in ("checkpoint", "MRPC", "five"):
        (folder / name).mkdir()
    write_checkpoint(folder / "checkpoint", layers=1)
    write_task(TASKS["MRPC"], folder / "MRPC")
    (folder / "five" / "train.tsv").write_bytes((folder / "MRPC" / "train.tsv").read_bytes())
    five = (folder / "MRPC" / "dev.tsv").read_text().splitlines()[:6]
    (folder / "five" / "dev.tsv").write_text("\n".join(five) + "\n")
    return folder


def make_job(sample, data="MRPC", instance=0, threads=1, **settings):
    folder = sample / data
    checkpoint = get_checkpoint(str(sample / "checkpoint" / "demo_L-1_H-64_A-2.zip"), sample / "cache")
    config = RunConfig(**{"task": "MRPC", "checkpoint": checkpoint.digest, "batch_size": 8, "peak_learning_rate": 1e-3,
                          "epochs": 2, "data": load_glue(TASKS["MRPC"], folder, allow_other_rows=True).digest} | settings)
    return Job(config, instance, checkpoint, folder, sample / "cache", threads)


def measured(result):
    return result.measurements, result.evaluations, result.outputs


@pytest.fixture(scope="module")
def train(processes, sample):
    """Trains the job of these settings; returns a future, the same one for the same settings."""
    return functools.cache(lambda **settings: processes.submit(train_run, make_job(sample, **settings)))


def test_a_run_learns_and_measures_what_the_recipe_says(train, sample):
    result = train().result()
    assert not result.diverged
    (row,) = result.evaluations
    assert (row["evaluation_set"], row["row_count"], row["collapsed"]) == ("dev", 240, 0)
    assert row["accuracy"] > 0.85  # the majority class has 0.68
    (output,) = result.outputs
    labels = np.array(load_glue(TASKS["MRPC"], sample / "MRPC", allow_other_rows=True).sets["dev"].labels)
    right = sum(int(predicted) == label for predicted, label in zip(output["content"], labels, strict=True))
    assert (output["evaluation_set"], output["width"], right / 240) == ("dev", 1, row["accuracy"])
    assert 0.5 < result.cpu_seconds < 120
    # 600 rows: 570 to train on, 71 steps of 8 an epoch, the remainder dropped; 30 to validate on.
    validation = [(metric, step, epoch) for split, metric, step, epoch, _ in result.measurements if split == "validation"]
    assert validation == [("accuracy", 71, 1.0), ("loss", 71, 1.0), ("accuracy", 142, 2.0), ("loss", 142, 2.0)]
    rates = {step: value for _, metric, step, _, value in result.measurements if metric == "learning_rate"}
    assert len(rates) == 20
    assert rates[142] == pytest.approx(1e-3 / 142, rel=1e-3)
    assert {place: result.environment[place] for place in ("threads", "tensorflow")} == {"threads": 1,
                                                                                        "tensorflow": "2.20.0"}


def use_autograph(argument, report):
    """Has TensorFlow rewrite a function, for which it writes a file; returns such files."""
    import tensorflow as tf

    @tf.function
    def halve(number):
        while number > 1:
            number /= 2
        return number

    assert 0.5 < float(halve(tf.constant(3.0))) < 1
    return list_generated_files()


def list_generated_files():
    return glob.glob(f"{tempfile.gettempdir()}/__autograph_generated_file*.py")


def test_files_that_tensorflow_generates_end_with_the_run(processes):
    files = processes.submit(use_autograph, None).result()
    assert len(files) > 0
    assert [name for name in files if Path(name).parent.exists()] == []


SHORT = {"epochs": 1, "batch_size": 64}


def test_same_job_same_bits_and_instances_differ(processes, train, sample):
    first, again, other = train(**SHORT), processes.submit(train_run, make_job(sample, **SHORT)), train(instance=1, **SHORT)
    assert measured(first.result()) == measured(again.result())
    assert measured(first.result()) != measured(other.result())


def test_order_varies_only_when_asked_and_is_crossed_with_heads(train):
    """Instance 0 is the same run either way. An order by number is that of the instance of that number, under any head."""
    settings = [{}, {"instance": 1}, {"order": 1}, {"instance": 1, "order": 1},
                {"vary": "head,order"}, {"vary": "head,order", "instance": 1}]
    losses = [tuple(m[4] for m in run.result().measurements if m[1] == "loss")
              for run in [train(**each, **SHORT) for each in settings]]
    assert len(set(losses[:4])) == 4
    assert losses[4] == losses[0] and losses[5] == losses[3]


def test_a_number_of_steps_of_its_own(train):
    """570 rows: 8 steps of 64 an epoch. Fewer than an epoch has, and more than the epochs have; each ends validated."""
    results = [train(batch_size=64, steps=steps, epochs=epochs) for steps, epochs in ((5, 1), (19, 3), (8, 1))]
    places = [[(step, epoch) for split, metric, step, epoch, _ in result.result().measurements
               if (split, metric) == ("validation", "loss")] for result in results]
    assert places == [[(5, 0.625)], [(8, 1.0), (16, 2.0), (19, 2.375)], [(8, 1.0)]]
    rates = [{step: value for _, metric, step, _, value in result.result().measurements if metric == "learning_rate"}
             for result in results]
    assert [max(each) for each in rates] == [5, 19, 8]
    assert rates[1][19] == pytest.approx(1e-3 / 19, rel=1e-3)  # the schedule ends where the steps do
    assert measured(results[2].result()) == measured(train(**SHORT).result())


# -- going on after a kill

def train_until(argument, report):
    """As `train_run`, but the process is killed at a step; leaves the state of the last step behind."""
    job, step = argument
    SavedState.remove = lambda self: None
    return train_run(job, lambda progress: os.kill(os.getpid(), signal.SIGKILL) if progress.step == step else None)


def state_of(job) -> dict:
    """What the saved state says about itself, once its content has proved to be that."""
    (path,) = (job.cache / "resume").glob(f"{job.config.hash}-{job.instance}.npz")
    with np.load(path, allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        assert digest_of([arrays[name] for name in sorted(arrays.files) if name != "about"]) == about["digest"]
    return about


def test_a_run_killed_again_and_again_goes_on_and_ends_in_the_same_bits(processes, sample, tmp_path):
    """Kills within an epoch, at its end (17), in the first step after it, and in the last step (34)."""
    whole = dataclasses.replace(make_job(sample, batch_size=32), save_seconds=0)
    expected = processes.submit(train_until, (whole, None)).result()
    job = dataclasses.replace(whole, cache=tmp_path)
    for step in (5, 17, 18, 34):
        with pytest.raises(WorkerError, match="signal 9"):
            processes.submit(train_until, (job, step)).result()
        assert state_of(job)["steps_done"] == step - 1
    result = processes.submit(train_until, (job, None)).result()
    assert measured(result) == measured(expected)
    assert state_of(job)["digest"] == state_of(whole)["digest"]
    assert state_of(job)["steps_done"] == 34
    assert result.training_seconds < result.total_seconds


def test_a_short_run_saves_nothing(processes, sample, tmp_path):
    job = dataclasses.replace(make_job(sample, steps=12), cache=tmp_path)
    with pytest.raises(WorkerError, match="signal 9"):
        processes.submit(train_until, (job, 10)).result()
    assert not (tmp_path / "resume").exists()


@pytest.fixture(scope="module")
def killed(processes, sample, tmp_path_factory):
    """A job of 12 steps whose state was saved before its process was killed, and what it should measure."""
    job = dataclasses.replace(make_job(sample, steps=12), cache=tmp_path_factory.mktemp("killed"), save_seconds=0)
    with pytest.raises(WorkerError, match="signal 9"):
        processes.submit(train_until, (job, 10)).result()
    return job, measured(processes.submit(train_run, make_job(sample, steps=12)).result())


def test_a_state_that_cannot_be_trusted_is_not_used(processes, killed, tmp_path):
    """Torn, changed, of another environment; a run that went on from the last one would have other numbers."""
    job, expected = killed
    (saved,) = (job.cache / "resume").iterdir()
    job = dataclasses.replace(job, cache=tmp_path)
    (tmp_path / "resume").mkdir()
    path = tmp_path / "resume" / saved.name
    with np.load(saved, allow_pickle=False) as arrays:
        content = dict(arrays)
    about = json.loads(str(content["about"]))
    state = SavedState(job, about["environment"])

    path.write_bytes(saved.read_bytes()[:-1000])
    assert state.restore(None, None) == []
    content["0003"] = content["0003"] + 1
    np.savez(path, **content)
    assert state.restore(None, None) == []
    about |= {"environment": "e" * 64, "digest": digest_of([content[name] for name in sorted(content) if name != "about"])}
    np.savez(path, **(content | {"about": np.array(json.dumps(about))}))
    assert state.restore(None, None) == []
    assert measured(processes.submit(train_run, job).result()) == expected
    assert list((tmp_path / "resume").iterdir()) == []


def train_without_room(job, report):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    return train_run(job)


def test_a_disk_without_room_for_the_state_costs_no_run(processes, killed, tmp_path):
    job, expected = killed
    for folder in ("tokens", "weights", "checkpoints"):
        if (job.cache / folder).exists():
            shutil.copytree(job.cache / folder, tmp_path / folder)
    assert measured(processes.submit(train_without_room, dataclasses.replace(job, cache=tmp_path)).result()) == expected
    assert list((tmp_path / "resume").iterdir()) == []


def test_a_restore_that_misses_a_variable_is_noticed(processes, killed):
    job, _ = killed
    with pytest.raises(WorkerError, match="could not be restored; remove that file"):
        processes.submit(train_without_the_slots, job).result()


def train_without_the_slots(job, report):
    def forgetful(trainer, state, steps_done):
        for variable, value in zip(trainer.model.variables, state, strict=False):
            variable.assign(value)
        trainer.steps_done = steps_done

    Trainer.restore = forgetful
    return train_run(job)


@pytest.mark.slow
def test_bert_mini_size_gives_the_same_bits(processes, sample, tmp_path):
    """Small models hide what more than one thread does to the order of sums; this has BERT-mini's size."""
    mini = BERT | {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024,
                   "max_position_embeddings": 512}
    with zipfile.ZipFile(sample / "checkpoint" / "demo_L-1_H-64_A-2.zip") as archive:
        (tmp_path / "vocab.txt").write_bytes(archive.read("vocab.txt"))
    words = len((tmp_path / "vocab.txt").read_text().splitlines())
    (tmp_path / "bert_config.json").write_text(json.dumps(mini | {"vocab_size": words}))
    from common.demo import save_random_weights

    processes.submit(save_random_weights, tmp_path).result()
    checkpoint = get_checkpoint(str(tmp_path), sample / "cache")
    job = make_job(sample, threads=2, checkpoint=checkpoint.digest, batch_size=32, steps=20)
    job = dataclasses.replace(job, checkpoint=checkpoint)
    first, again = [processes.submit(train_run, job) for _ in range(2)]
    assert measured(first.result()) == measured(again.result())


def test_five_rows_are_five_rows(processes, sample):
    (row,) = processes.submit(train_run, make_job(sample, "five", limit_train=100, epochs=1)).result().evaluations
    assert row["row_count"] == 5
    assert row["accuracy"] in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def test_a_run_that_learns_nothing_is_marked_collapsed(processes, sample):
    (row,) = processes.submit(train_run, make_job(sample, batch_size=64, epochs=5, peak_learning_rate=2e-5)).result().evaluations
    assert row["collapsed"] == 1
    assert row["row_count"] == 240


def test_a_run_that_diverges_has_no_score(processes, sample):
    result = processes.submit(train_run, make_job(sample, peak_learning_rate=1e30, clip_norm=1e30, epochs=1)).result()
    assert result.diverged
    assert result.evaluations == []


def train_and_list_generated_files(job, report):
    return train_run(job), list_generated_files()


def test_row_limit_and_no_source_is_rewritten(processes, sample):
    """AutoGraph's reading and rewriting of sources would be half the processor time of so short a run."""
    result, files = processes.submit(train_and_list_generated_files, make_job(sample, limit_train=100, epochs=1)).result()
    assert max(step for _, _, step, _, _ in result.measurements) == 95 // 8
    assert files == []


def test_changed_files_are_noticed(processes, sample):
    job = make_job(sample)
    with pytest.raises(WorkerError, match="changed while the study ran"):
        processes.submit(train_run, dataclasses.replace(job, config=dataclasses.replace(job.config, data="other"))).result()


def test_a_run_reads_no_text_that_another_has_encoded(processes, train, sample, tmp_path):
    job = make_job(sample, steps=1)
    train().result()
    assert processes.submit(train_run, dataclasses.replace(job, data_folder=tmp_path / "gone")).result().evaluations
