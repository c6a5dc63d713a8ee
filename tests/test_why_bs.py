"""The fourth study: what its conditions change, and its search for the best rate from plan to chosen cell."""
import dataclasses
import math
import subprocess
import sys

import pytest
from stand_in import CHECKPOINT_ROW, DATA_ROWS, Threads, make_config, make_result
from test_cli import ROOT, inputs  # noqa: F401

import exp_bs_mrpc
import exp_why_bs
from common.running.options import RunOptions
from common.running.study_run import StudyRun
from common.store.store import InputRows
from common.studies.study import find_best, make_parts

ROWS = 3485  # of MRPC's 3668 for training


def parts_of(study, sizes=(2, 8, 16, 32, 64), rows=ROWS):
    return {part.name: part for part in make_parts(study, [(make_config(batch_size=size), rows) for size in sizes])}


def changed(part):
    usual = make_config()
    return [{name: value for name, value in vars(config).items() if value != getattr(usual, name) and name != "batch_size"}
            for config in part.configs]


def test_each_condition_changes_one_thing():
    parts = parts_of(exp_why_bs.STUDY)
    assert list(parts) == ["why_bs.as_is", "why_bs.dropout_0", "why_bs.same_steps", "why_bs.linear", "why_bs.sqrt",
                           "why_bs.best_rate.search"]
    assert changed(parts["why_bs.as_is"]) == [{}] * 5
    assert changed(parts["why_bs.dropout_0"]) == [{"dropout": 0}] * 5
    # 5 epochs of 217 steps at batch 16; an epoch has 1742, 435, 217, 108 and 54 steps
    assert changed(parts["why_bs.same_steps"]) == [{"steps": 1085, "epochs": 1}, {"steps": 1085, "epochs": 3}, {},
                                                   {"steps": 1085, "epochs": 11}, {"steps": 1085, "epochs": 21}]
    assert [each.get("peak_learning_rate", 2e-5) for each in changed(parts["why_bs.linear"])] == [
        2.5e-6, 1e-5, 2e-5, 4e-5, 8e-5]
    assert [each.get("peak_learning_rate", 2e-5) for each in changed(parts["why_bs.sqrt"])] == [
        7.07e-6, 1.41e-5, 2e-5, 2.83e-5, 4e-5]
    assert [config.peak_learning_rate for config in parts["why_bs.best_rate.search"].choices[0]] == [
        5e-6, 2e-5, 8e-5, 3.2e-4]
    assert [part.instances for part in parts.values()] == [4, 4, 4, 4, 4, 2]


def test_what_is_the_same_computation_has_the_same_hash():
    parts = parts_of(exp_why_bs.STUDY)
    (original,) = make_parts(exp_bs_mrpc.STUDY, [(make_config(batch_size=16), ROWS)])
    for name in ("as_is", "same_steps", "linear", "sqrt"):
        assert parts[f"why_bs.{name}"].configs[2].hash == original.configs[0].hash
    assert parts["why_bs.linear"].configs[4] in parts["why_bs.best_rate.search"].configs
    every = {config for part in parts.values() for config in part.configs}
    assert len(every) == 5 + 5 + 4 + 4 + 4 + 5 * 3 - 1
    (crossed,) = parts_of(exp_why_bs.SPREAD, sizes=(16,)).values()
    assert (crossed.name, crossed.instances, changed(crossed)) == (
        "spread", 5, [{}, {"order": 1}, {"order": 2}, {"order": 3}, {"order": 4}])
    assert crossed.configs[0] == original.configs[0]


def test_few_rows_still_give_a_step():
    assert changed(parts_of(exp_why_bs.STUDY, sizes=(2, 8), rows=9)["why_bs.same_steps"]) == [
        {"steps": 5, "epochs": 2}, {}]


def test_the_best_has_the_highest_mean_once_all_are_tried():
    first, second = make_config(), make_config(peak_learning_rate=1e-4)
    assert find_best({first: [0.7, 0.8], second: [0.9, 0.5]}, 2) == first
    assert find_best({first: [0.7, 0.8], second: [0.9, 0.9]}, 2) == second
    assert find_best({first: [0.7, 0.8], second: [0.8, 0.7]}, 2) == first  # equal: the earlier, so the lower rate
    assert find_best({first: [0.7, 0.8], second: [0.9]}, 2) is None
    assert find_best({first: [0.1, 0.1], second: [-math.inf, 1.0]}, 2) == first


def train(job):
    """Validates best at 8e-5 for batch 8 and at 3.2e-4 for batch 32; the dev set would say otherwise."""
    config, _ = job
    best = 8e-5 * config.batch_size / 8
    score = 0.8 - abs(math.log(config.peak_learning_rate / best)) / 100
    return make_result(0.9 - config.peak_learning_rate, measurements=[
        ("validation", "accuracy", 1, 1.0, 0.8 + config.peak_learning_rate), ("validation", "accuracy", 9, 5.0, score),
        ("train", "accuracy", 10, 5.0, 0.99)])


class Inputs:
    """Stands for the input of the study: MRPC with all of its rows."""

    errors, notes = {}, []
    training_rows = {"MRPC": 3668}
    store_rows = InputRows(CHECKPOINT_ROW, DATA_ROWS)

    def make_grid(self, study):
        return [(make_config(**fields), ROWS) for fields in study.cells()]


class PretendedRun(StudyRun):
    """A `StudyRun` that trains in a thread of this process."""

    def _open_executor(self):
        return Threads(1)

    def _make_job(self, threads, config, instance):
        return config, instance


class Study:
    """The study on batch sizes 8 and 32, as the command line runs it but for the training."""

    def __init__(self, store, cache):
        self.options, self.trained = RunOptions(db=store.address, cache=cache), []

    def __call__(self, *names, train=train, **options):
        """Whether all is done, and (batch size, rate, instance) of what was trained, in order."""
        def note(job):
            self.trained.append((job[0].batch_size, job[0].peak_learning_rate, job[1]))
            return train(job)

        self.trained.clear()
        study = dataclasses.replace(exp_why_bs.STUDY, batch_sizes=(8, 32), conditions=tuple(
            each for each in exp_why_bs.STUDY.conditions if each.name in names))
        self.outcome = PretendedRun(study, dataclasses.replace(self.options, **options), Inputs(), note).train()
        return self.outcome.complete, self.trained.copy()


@pytest.fixture
def study(store, tmp_path):
    return Study(store, tmp_path / "cache")


SEARCH = {(size, rate, instance) for size in (8, 32) for instance in (0, 1) for rate in (5e-6, 2e-5, 8e-5, 3.2e-4)}
FOUND = [(8, 8e-5, 2), (8, 8e-5, 3), (32, 3.2e-4, 2), (32, 3.2e-4, 3)]


def asked(store, study):
    """(batch size, rate, instances asked for) of a study in the store."""
    with store.reading() as connection:
        return connection.exec_driver_sql(
            "SELECT batch_size, peak_learning_rate, instances FROM studies JOIN configs ON hash = config WHERE study = ? "
            "ORDER BY 1, 2", (study,)).all()


def test_the_search_comes_first_and_what_it_finds_is_topped_up(study, store):
    complete, trained = study("best_rate")
    assert (complete, set(trained[:16]), sorted(trained[16:])) == (True, SEARCH, FOUND)
    assert str(study.outcome) == f"20 runs of the study are in {store.name}"
    assert asked(store, "why_bs.best_rate") == [(8, 8e-5, 4), (32, 3.2e-4, 4)]
    assert {instances for _, _, instances in asked(store, "why_bs.best_rate.search")} == {2}
    assert study("best_rate") == (True, [])
    assert str(study.outcome) == f"20 runs of the study are in {store.name}; nothing was missing"


def test_all_conditions_have_two_instances_before_any_has_a_third(study, store):
    complete, trained = study(*(condition.name for condition in exp_why_bs.STUDY.conditions))
    assert complete
    # as is, dropout 0, the same steps, linear and square root at two batch sizes; and 6 cells of the search beside 2e-5
    assert [instance for _, _, instance in trained[:32]] == 16 * [0] + 16 * [1]
    assert sorted(instance for _, _, instance in trained[32:]) == 12 * [2] + 12 * [3]
    assert {instances for _, _, instances in asked(store, "why_bs.as_is")} == {4}


def test_what_another_study_has_trained_is_not_trained_again(study):
    study("as_is")
    complete, trained = study("best_rate")
    assert (set(trained[:12]), sorted(trained[12:])) == ({run for run in SEARCH if run[1] != 2e-5}, FOUND)


def test_a_stopped_search_chooses_nothing_and_goes_on(study, store):
    def stopping(job):
        if len(study.trained) > 5:
            raise ValueError("stopped")
        return train(job)

    complete, trained = study("best_rate", train=stopping, fail_fast=True)
    assert (complete, len(trained), asked(store, "why_bs.best_rate")) == (False, 6, [])
    complete, more = study("best_rate")
    assert (complete, len(more), sorted(more[-4:])) == (True, 15, FOUND)
    assert set(trained[:5]).isdisjoint(more)


def test_a_run_that_fails_holds_up_its_own_search_alone_and_is_tried_once_in_a_call(study, store):
    def failing(job):
        if (job[0].batch_size, job[0].peak_learning_rate, job[1]) == (32, 5e-6, 1):
            raise ValueError("no luck")
        return train(job)

    complete, trained = study("best_rate", train=failing)
    assert (complete, len(trained), sorted(trained[16:])) == (False, 18, FOUND[:2])
    assert asked(store, "why_bs.best_rate") == [(8, 8e-5, 4)]
    assert study("best_rate") == (True, [(32, 5e-6, 1), (32, 3.2e-4, 2), (32, 3.2e-4, 3)])


def test_a_rate_that_diverges_is_not_chosen(study, store):
    def diverging(job):
        return make_result(diverged=True, evaluations=[]) if job == (make_config(peak_learning_rate=8e-5), 1) else train(job)

    study("best_rate", train=diverging)
    assert asked(store, "why_bs.best_rate") == [(8, 2e-5, 4), (32, 3.2e-4, 4)]


def test_an_instance_set_aside_is_replaced_in_the_search(study, store):
    study("best_rate", train=lambda job: train(job) if job[1] else make_result(measurements=[
        ("validation", "accuracy", 9, 5.0, 1 - 1000 * job[0].peak_learning_rate)]))
    assert asked(store, "why_bs.best_rate") == [(8, 5e-6, 4), (32, 5e-6, 4)]
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET set_aside = 'wrong' WHERE instance = 0")
    complete, trained = study("best_rate")
    assert set(trained[:6]) == {run[:2] + (2,) for run in SEARCH if run[1] != 5e-6}
    assert asked(store, "why_bs.best_rate") == [(8, 5e-6, 4), (8, 8e-5, 4), (32, 5e-6, 4), (32, 3.2e-4, 4)]


# -- the command line

@pytest.fixture
def dry_run(inputs, tmp_path):  # noqa: F811
    """Rows of the plan that the script prints, for 40 rows of MRPC; or its refusal."""
    def call(*arguments):
        done = subprocess.run([sys.executable, ROOT / "exp_why_bs.py", "--checkpoint", inputs / "tiny.zip", "--glue-dir",
                               inputs / "glue", "--allow-other-rows", "--dry-run", "--workers", "2", *arguments],
                              cwd=tmp_path, capture_output=True, text=True, env={"BERT_GLUE_CACHE": str(inputs / "cache")})
        assert done.returncode == (2 if done.stderr else 0)
        return done.stderr.splitlines()[-1:] or [line.split() for line in done.stdout.splitlines()]
    return call


def test_plan_of_the_conditions(dry_run):
    plan = dry_run("--batch-sizes", "8", "16", "--conditions", "as_is", "dropout_0", "same_steps", "best_rate")
    assert plan[0] == ["task", "batch", "rate", "epochs", "changed", "have", "need", "will", "run", "gave", "up", "estimate"]
    assert [row[1:-4] for row in plan[2:7]] == [["8", "2e-5", "5"], ["16", "2e-5", "5"], ["8", "2e-5", "5", "dropout=0"],
                                                ["16", "2e-5", "5", "dropout=0"], ["8", "2e-5", "3", "steps=10"]]
    assert [row[1:3] + row[-4:] for row in plan[7:-2]] == [
        [size, rate, "0", "2", "2", "unknown"] for size in ("8", "16") for rate in ("5e-6", "8e-5", "3.2e-4")]
    assert " ".join(plan[-1]) == "why_bs.best_rate: 2 choices will be made by a search; then up to 4 more runs"


@pytest.mark.parametrize("flags", [("--grid", "crossed"), ("--vary", "head,order")])  # and as it was called before
def test_plan_of_the_crossed_design(dry_run, flags):
    plan = dry_run(*flags)
    assert [row[1:-4] for row in plan[2:7]] == [["16", "2e-5", "5"]] + [
        ["16", "2e-5", "5", f"order={order}"] for order in range(1, 5)]
    assert " ".join(plan[-1]).startswith("25 runs would be trained")


def test_conditions_that_there_are_not(dry_run):
    assert dry_run("--conditions", "warm") == [
        "exp_why_bs.py: error: argument --conditions: invalid choice: 'warm' (choose from 'as_is', 'dropout_0', "
        "'same_steps', 'linear', 'sqrt', 'best_rate')"]
    assert dry_run("--conditions", "as_is", "--grid", "crossed") == [
        "exp_why_bs.py: error: --conditions are those of the study's own grid; leave out --grid or --conditions"]
