"""Runs that are trained again for what is to be kept of them, with stand-ins for training."""
import dataclasses
from pathlib import Path

from stand_in import Silence, Threads, make_config, make_result, plan

from common.running.driver import Driver
from common.running.outbox import Outbox
from common.running.planning import find_needs
from common.running.retraining import RetrainingStore, find_missing_artifacts
from common.studies.names import name_folder
from common.training.artifacts import ArtifactFolders


def drive(retraining, needs, train):
    with Threads(1) as executor:
        driver = Driver(retraining, executor, lambda *job: job, Silence(), retraining, train)
        driver.run(needs)
    return driver


def test_what_is_asked_for_and_not_there_is_found(store, config, owner, tmp_path):
    """Instance 0 done and kept, 1 done and not kept, 2 diverged, 3 not trained yet."""
    plan(store, [config], 4)
    for instance, result in enumerate((make_result(), make_result(), make_result(diverged=True, evaluations=[]))):
        store.record(store.find_claim(config, instance, owner), owner, result)
    artifacts = ArtifactFolders(models=tmp_path / "models")
    (tmp_path / "models" / name_folder(config, 0)).mkdir(parents=True)
    needs = find_needs(store, [config], 4)
    assert [need.missing for need in find_missing_artifacts(artifacts, store, needs)] == [[1]]
    assert needs[0].missing == [3]
    assert find_missing_artifacts(artifacts, store, needs, [(config, 1, OSError("disk is full"))]) == []
    assert find_missing_artifacts(ArtifactFolders(), store, needs) == []
    assert find_missing_artifacts(artifacts, None, needs) == []


def test_training_again_writes_nothing_and_tells_of_other_scores(store, config, owner):
    plan(store, [config], 2)
    for instance, score in enumerate((0.75, 0.7)):
        store.record(store.find_claim(config, instance, owner), owner, make_result(score))
    before = Path(store.address).read_bytes()
    (need,) = find_needs(store, [config], 2)
    retraining = RetrainingStore(store)
    driver = drive(retraining, [dataclasses.replace(need, missing=[0, 1])], lambda job: make_result(0.75))
    assert driver.failures == []
    assert retraining.differences == [(config, 1, "dev", 0.75, 0.7)]
    assert Path(store.address).read_bytes() == before


def test_a_failure_while_training_again_is_told_and_not_stored(store, config, owner):
    plan(store, [config], 1)
    store.record(store.find_claim(config, 0, owner), owner, make_result())

    def fail(job):
        raise OSError("disk is full")

    (need,) = find_needs(store, [config], 1)
    driver = drive(RetrainingStore(store), [dataclasses.replace(need, missing=[0])], fail)
    assert [(number, str(error)) for _, number, error in driver.failures] == [(0, "disk is full")]
    assert store.where_state(config)[0][0] == "done"


def test_numbers_are_stored_when_the_classifier_could_not_be_kept(store, config, tmp_path):
    needs = plan(store, [config], 1)
    with Threads(1) as executor:
        driver = Driver(store, executor, lambda *job: job, Silence(), Outbox(tmp_path, "s"),
                        lambda job: make_result(artifact_error="/models/a cannot be written (No space left on device)"))
        driver.run(needs)
    assert store.where_state(config)[0][0] == "done"
    assert [str(error) for _, _, error in driver.failures] == [
        "its numbers are in the store, but /models/a cannot be written (No space left on device); fix that and call again"]


def test_folders_are_named_after_the_run():
    assert name_folder(make_config(), 3) == f"MRPC-batch8-rate2e-05-{make_config().hash[:12]}-instance3"
