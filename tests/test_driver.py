"""The driver of a study, with pretended training: what is missing is trained, once, whatever dies meanwhile."""
import contextlib
import math
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import Silence, Threads, Training, make_config, make_evaluation, make_result, plan

from common import UserError
from common.running.driver import Driver
from common.running.executor import WorkerError
from common.running.outbox import Outbox
from common.running.planning import Need, find_needs
from common.running.progress import Display
from common.store.owner import Owner
from common.store.store import Claim
from common.studies.study import Study

HERE = Path(__file__).parent
SIZES = (2, 8, 16)
FROM_RUNS = "FROM runs r JOIN configs c ON c.hash = r.config ORDER BY batch_size"


@pytest.fixture
def study(store, tmp_path):
    """Runs a study in this process; returns the driver when all is over."""
    def run(train=None, *, sizes=SIZES, instances=2, workers=2, **options):
        retry = {"retry_failed": options.pop("retry_failed", False)}
        needs = plan(store, [make_config(batch_size=size) for size in sizes], instances, **retry)
        with Threads(workers) as executor:
            driver = Driver(store, executor, lambda *job: job, Silence(), Outbox(tmp_path / "outbox", store.full_name),
                            train or Training(tmp_path / "runs"), **options)
            driver.run(needs)
        return driver
    return run


@pytest.fixture
def sql(store, tmp_path):
    def run(statement):
        with sqlite3.connect(tmp_path / "results.db") as connection:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows
    return run


def start(folder, *arguments):
    return subprocess.Popen([sys.executable, HERE / "stand_in.py", folder, *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


# -- what is missing

def test_all_that_is_missing_is_trained_once(study, store, tmp_path, sql):
    driver = study()
    assert driver.failures == []
    assert Training(tmp_path / "runs").count("ended") == {(size, k): 1 for size in (2, 8, 16) for k in (0, 1)}
    assert sql("SELECT batch_size, n FROM cells ORDER BY batch_size") == [(2, 2), (8, 2), (16, 2)]
    assert sql("SELECT DISTINCT status, owner, attempt FROM runs") == [("done", None, 1)]
    assert sorted(driver.display.heard) == ["finished"] * 6 + ["started"] * 6


def test_a_run_of_several_threads_takes_as_many_places(study):
    """Of four places batch size 2 takes three and batch size 8 the last; 16 waits until one of them has ended."""
    order = []

    def train(job):
        order.append(f"start {job[0].batch_size}")
        time.sleep(0.3 if job[0].batch_size == 8 else 0.6)
        order.append(f"end {job[0].batch_size}")
        return make_result()

    study(train, instances=1, workers=4, places=lambda config: 3 if config.batch_size == 2 else 1)
    assert sorted(order[:2]) == ["start 2", "start 8"]
    assert order[2:4] == ["end 8", "start 16"]


def test_a_second_call_trains_nothing(study, tmp_path, sql):
    study()
    before = sql("SELECT * FROM runs"), sorted(os.listdir(tmp_path / "runs"))
    assert study().display.heard == []
    assert (sql("SELECT * FROM runs"), sorted(os.listdir(tmp_path / "runs"))) == before


def test_five_instances_after_four_train_one_more_of_each(study, tmp_path, sql):
    study(instances=4)
    assert len(study(instances=5).display.heard) == 6
    assert Training(tmp_path / "runs").count("begun") == {(size, k): 1 for size in (2, 8, 16) for k in range(5)}
    study(instances=3)
    assert sql("SELECT batch_size, n FROM cells ORDER BY batch_size") == [(2, 5), (8, 5), (16, 5)]


def test_another_batch_size_trains_only_that(study, tmp_path):
    study(sizes=(2, 8), instances=1)
    study(sizes=(2, 8, 32), instances=1)
    assert Training(tmp_path / "runs").count("begun") == {(2, 0): 1, (8, 0): 1, (32, 0): 1}


def test_first_instances_come_first_and_long_runs_before_short_ones(study, store, tmp_path):
    order = []

    def train(job):
        config, instance = job
        order.append((config.batch_size, instance))
        return make_result(total_seconds=float(config.batch_size))

    study(train, instances=1, workers=1)
    study(train, instances=3, workers=1)
    assert order == [(2, 0), (8, 0), (16, 0), (16, 1), (8, 1), (2, 1), (16, 2), (8, 2), (2, 2)]
    order.clear()
    study(train, sizes=(64, 32), instances=2, workers=1)  # both estimated by batch size 16
    assert order == [(32, 0), (64, 0), (32, 1), (64, 1)]


def test_estimates_come_from_stored_times(study, store):
    study(lambda job: make_result(total_seconds=100.0 / job[0].batch_size), instances=2)
    needs = find_needs(store,
                       [make_config(batch_size=size, epochs=epochs) for size, epochs in ((2, 5), (8, 10), (64, 5))], 3)
    assert [(need.have, need.missing) for need in needs] == [(2, [2]), (0, [0, 1, 2]), (0, [0, 1, 2])]
    # 12.5 s for 10 epochs instead of 5 at batch 8, and 6.25 s at batch 16 for batch 64, in proportion to the tokens
    assert [need.seconds for need in needs] == pytest.approx([50.0, 24.941, 5.732], abs=1e-3)
    assert find_needs(None, [make_config()], 2)[0].seconds is None


def test_a_task_that_never_ran_is_estimated_from_the_speed_of_another(study, store):
    """MRPC: 2175 steps of (100 + 8 x 53) tokens, and a quarter of the 408 rows that are scored: 1,145,106 tokens in 100 s."""
    study(lambda job: make_result(total_seconds=100.0), sizes=(8,), instances=1)
    rte, mnli, part = find_needs(store, [make_config(task="RTE", data="a"), make_config(task="MNLI", data="b", batch_size=64),
                                         make_config(task="RTE", data="a", limit_train=400)], 1)
    # RTE: 5 x 295 steps of 100 + 8 x 67 tokens, 277 rows; MNLI: 5 x 5829 steps of 100 + 64 x 40, 19,647 rows
    assert rte.seconds == pytest.approx(100 * (1475 * 636 + 277 * 67 / 4) / 1_145_106)
    assert mnli.seconds == pytest.approx(100 * (29145 * 2660 + 19647 * 40 / 4) / 1_145_106)
    assert part.seconds == pytest.approx(100 * (235 * 636 + 277 * 67 / 4) / 1_145_106)
    (few,) = find_needs(store, [make_config(task="MNLI", data="b", batch_size=64)], 1, rows={"MNLI": 39674})
    assert few.seconds == pytest.approx(100 * (5 * 588 * 2660 + 19647 * 40 / 4) / 1_145_106)
    assert find_needs(store, [make_config(checkpoint="f" * 64)], 1)[0].seconds is None


def test_a_grid_is_every_task_with_every_batch_size_and_rate():
    def cells(study):
        return [tuple(cell.values()) for cell in study.cells()]

    study = Study("s", ("MRPC", "RTE"), (8, 16), (1e-5, 2e-5), epochs=3, instances=4)
    assert cells(study) == [("MRPC", 8, 1e-5, 3), ("MRPC", 8, 2e-5, 3), ("MRPC", 16, 1e-5, 3), ("MRPC", 16, 2e-5, 3),
                            ("RTE", 8, 1e-5, 3), ("RTE", 8, 2e-5, 3), ("RTE", 16, 1e-5, 3), ("RTE", 16, 2e-5, 3)]
    study = Study("s", ("MNLI", "RTE"), (8,), (2e-5,), epochs=3, instances=1, batch_sizes_of={"MNLI": (64, 128)})
    assert cells(study) == [("MNLI", 64, 2e-5, 3), ("MNLI", 128, 2e-5, 3), ("RTE", 8, 2e-5, 3)]
    study = Study("s", ("RTE",), (8,), (2e-5,), epochs=3, instances=1, settings={"seed": 7, "epochs": 2},
                  sweeps={"dropout": (0.0, 0.2), "warmup": (0.1, 0.3)})
    assert study.cells() == [{"task": "RTE", "batch_size": 8, "peak_learning_rate": 2e-5, "epochs": 2, "seed": 7,
                              "dropout": dropout, "warmup": warmup}
                             for dropout, warmup in ((0.0, 0.1), (0.0, 0.3), (0.2, 0.1), (0.2, 0.3))]


# -- ends

def test_a_diverged_run_is_recorded_without_scores_and_not_repeated(study, sql):
    def train(job):
        return make_result(diverged=True, evaluations=[], measurements=[("train", "loss", 3, 0.1, float("nan"))])

    assert study(train, sizes=(8,), instances=1).failures == []
    assert study(train, sizes=(8,), instances=1).display.heard == []
    assert sql("SELECT status, score, collapsed FROM results") == [("diverged", None, None)]
    assert sql("SELECT count(*) FROM cells") == [(0,)]
    assert sql("SELECT step, value, kind FROM curves") == [(3, None, "nan")]


def test_a_collapsed_run_is_recorded_with_its_scores(study, sql):
    study(lambda job: make_result(evaluations=[make_evaluation(0.68, collapsed=1)]), sizes=(8,), instances=2)
    assert sql("SELECT n, collapsed, mean FROM cells") == [(2, 2, 0.68)]


def raising(bad):
    """Training that raises for one batch size."""
    def train(job):
        if job[0].batch_size == bad:
            raise WorkerError(f"{bad} is bad", "the traceback")
        return make_result()
    return train


def test_a_failure_is_stored_shown_and_told_and_the_others_go_on(study, sql):
    driver = study(raising(8), instances=1)
    ((config, instance, error),) = driver.failures
    assert (config.batch_size, instance, str(error)) == (8, 0, "8 is bad")
    assert sorted(driver.display.heard) == ["failed", "finished", "finished", "started", "started", "started"]
    assert sql(f"SELECT batch_size, status, failures, error {FROM_RUNS}") == [
        (2, "done", 0, None), (8, "failed", 1, "8 is bad"), (16, "done", 0, None)]


def test_fail_fast_stops_at_the_first_failure_and_gives_the_rest_back(study, sql):
    driver = study(raising(2), instances=2, workers=1, fail_fast=True)
    assert [(config.batch_size, instance) for config, instance, _ in driver.failures] == [(2, 0)]
    assert sql("SELECT status, count(*) FROM runs GROUP BY status ORDER BY status") == [("failed", 1), ("pending", 5)]


def test_a_run_that_failed_three_times_is_given_up_until_asked_for(study, store, sql):
    for tries in (1, 2, 3):
        assert len(study(raising(8), sizes=(8,), instances=1).failures) == 1
        assert sql("SELECT status, failures FROM runs") == [("failed", tries)]
    assert study(raising(8), sizes=(8,), instances=1).display.heard == []
    (need,) = find_needs(store, [make_config()], 1)
    assert (need.have, need.missing, need.given_up) == (0, [], [0])
    driver = study(sizes=(8,), instances=1, retry_failed=True)
    assert driver.display.heard == ["started", "finished"]
    assert sql("SELECT status, attempt, failures, error FROM runs") == [("done", 4, 0, None)]


def test_an_instance_set_aside_is_replaced_by_the_next_number(study, store, tmp_path, sql):
    study(sizes=(8,), instances=2)
    connection = sqlite3.connect(tmp_path / "results.db")
    connection.execute("UPDATE runs SET set_aside = 'throttled' WHERE instance = 0")
    connection.commit()
    connection.close()
    (need,) = find_needs(store, [make_config()], 2)
    assert (need.have, need.wanted, need.missing) == (1, [1, 2], [2])
    study(sizes=(8,), instances=2)
    assert Training(tmp_path / "runs").count("begun") == {(8, 0): 1, (8, 1): 1, (8, 2): 1}
    assert sql("SELECT n FROM cells") == [(2,)]
    assert study(sizes=(8,), instances=2).display.heard == []


# -- others at work on the same grid

def test_a_run_lost_to_another_process_is_waited_for(study, store, monkeypatch, sql):
    """The other one's result stands; ours is dropped, and the study does not end before theirs is there."""
    other = Owner("elsewhere", "boot", 1, "7")

    def train(job):
        if sql("SELECT owner FROM runs") != [(str(other),)]:
            steal = sqlite3.connect(store.url.database)
            steal.execute("UPDATE runs SET owner = ?, attempt = 2", (str(other),))
            steal.commit()
            steal.close()
        return make_result(0.1)

    record_all = store.record_all

    def record_and_let_the_other_finish(results, owner):
        (claim,) = lost = record_all(results, owner)
        assert record_all({claim.__class__(claim.run, claim.config, claim.instance, 2): make_result(0.9)}, other) == []
        return lost

    monkeypatch.setattr(store, "record_all", record_and_let_the_other_finish)
    driver = study(train, sizes=(8,), instances=1)
    assert driver.display.heard == ["started", "lost", "found"]
    assert driver.failures == []
    assert sql("SELECT score FROM results") == [(0.9,)]


@pytest.mark.parametrize("end, heard",
                         [("done", ["found"]), ("failed", ["failed"]), ("pending", ["started", "finished"])])
def test_a_run_that_another_driver_holds_is_waited_for(study, store, monkeypatch, end, heard):
    """Finished there: found. Failed there: it is missing here too. Given back: trained here."""
    plan(store, [make_config()])
    other = Owner("elsewhere", "boot", 1, "7")
    claim = store.find_claim(make_config(), 0, other)
    ends = {"done": lambda: store.record(claim, other, make_result()), "failed": lambda: store.fail(claim, other, "no"),
            "pending": lambda: store.release(claim, other)}
    take, calls = store.take, []

    def take_while_the_other_ends(*arguments):
        calls.append(arguments)
        if len(calls) == 3:  # the driver was refused the run twice
            ends[end]()
        return take(*arguments)

    monkeypatch.setattr(store, "take", take_while_the_other_ends)
    driver = study(sizes=(8,), instances=1)
    assert driver.display.heard == ["waiting", "waiting", *heard]
    told = [str(error) for _, _, error in driver.failures]
    assert told == (["it failed in another process"] if end == "failed" else [])


def test_whoever_waits_for_another_call_is_told_once(capsys):
    display = Display([], lambda: 1)
    display.waiting(2)
    display.waiting(1)
    display.close()
    assert capsys.readouterr().err == (
        "waiting for 2 runs that another call is training; if that call dies, training goes on here\n")


def test_each_line_says_how_long_the_study_takes_yet(capsys, config):
    """The long run comes first: its minute says 20 seconds for each of the others."""
    short = make_config(batch_size=64)
    display = Display([Need(config, 0, [0], [0], [], 30.0), Need(short, 0, [0, 1], [0, 1], [], 10.0)], lambda: 1)
    display.started(Claim(1, config, 0, 0))
    display.finished(Claim(1, config, 0, 0), make_result(0.7, total_seconds=60.0))
    display.found(short, 0)
    display.started(Claim(3, short, 1, 0))
    display.failed(short, 1, ValueError("no"))
    display.close()
    assert capsys.readouterr().err == (
        "[1/3] MRPC batch=8 rate=2e-5 instance=0  dev accuracy 0.7000  1m00s  40s left\n"
        "[2/3] MRPC batch=64 rate=2e-5 instance=0  was trained by another process  20s left\n"
        "[3/3] MRPC batch=64 rate=2e-5 instance=1  FAILED: no  0s left\n")


def test_a_log_on_a_full_disk_does_not_stop_a_study(monkeypatch, config):
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        display = Display([Need(config, 0, [0], [0], [], None)], lambda: 1)
        display.failed(config, 0, ValueError("no"))
        display.close()
        assert display.done == 1
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


def test_two_drivers_at_once_share_one_grid(tmp_path, sql):
    both = [start(tmp_path, "--instances", 4, "--seconds", 0.1) for _ in range(2)]
    assert [finish(process)[0] for process in both] == [0, 0]
    assert Training(tmp_path / "runs").count("begun") == {(size, k): 1 for size in (2, 8, 16, 32, 64) for k in range(4)}
    assert sql("SELECT DISTINCT n FROM cells") == [(4,)]
    workers = {path.name.split("-")[3] for path in (tmp_path / "runs").iterdir()}
    assert len(workers) == 2  # both of them did some


def test_a_killed_driver_costs_only_what_was_in_work(tmp_path, sql):
    process = start(tmp_path, "--instances", 4, "--seconds", 0.3)
    training = Training(tmp_path / "runs")
    wait_until(lambda: len(training.count("ended")) >= 4)
    process.kill()
    finish(process)
    begun, ended = training.count("begun"), training.count("ended")
    recorded = set(sql("SELECT batch_size, instance FROM results"))
    assert 4 <= len(ended) < 20
    assert len(ended) - len(recorded) <= 2
    assert finish(start(tmp_path, "--instances", 4, "--seconds", 0.01))[0] == 0
    again = training.count("begun")
    assert set(again) == {(size, k) for size in (2, 8, 16, 32, 64) for k in range(4)}
    repeated = {run for run, times in again.items() if times > 1}
    assert set(begun) - set(ended) <= repeated <= set(begun) - recorded  # at most one for each worker
    assert len(set(begun) - recorded) <= 2
    assert sql("SELECT DISTINCT n FROM cells") == [(4,)]


def test_kills_do_not_lose_or_repeat_a_finished_run(tmp_path, sql):
    training = Training(tmp_path / "runs")
    for kill in range(5):
        before = len(training.count("begun"))
        process = start(tmp_path, "--instances", 6, "--seconds", 0.05)
        wait_until(lambda: len(training.count("begun")) > before + 1 or process.poll() is not None)  # noqa: B023
        time.sleep(0.017 * kill)
        process.kill()
        finish(process)
        assert sql("PRAGMA integrity_check") == [("ok",)]
        finished = dict(sql("SELECT run, finished_at FROM results"))
    assert finish(start(tmp_path, "--instances", 6, "--seconds", 0.01))[0] == 0
    assert finished.items() <= dict(sql("SELECT run, finished_at FROM results")).items()
    assert sql("SELECT batch_size, n FROM cells ORDER BY 1") == [(2, 6), (8, 6), (16, 6), (32, 6), (64, 6)]
    assert sum(training.count("begun").values()) <= 30 + 5 * 2


# -- a store that cannot be written

FULL = "the results store cannot be written: the disk is full"


@pytest.fixture
def full(store, monkeypatch):
    """A store that takes two results at most and then has no room, until the fixture's value is called."""
    record_all, taken = store.record_all, []

    def record_while_there_is_room(results, owner):
        if len(taken) + len(results) > 2:
            raise UserError(FULL)
        taken.extend(results)
        return record_all(results, owner)

    monkeypatch.setattr(store, "record_all", record_while_there_is_room)
    return lambda: monkeypatch.setattr(store, "record_all", record_all)


def test_what_was_trained_while_the_store_was_full_is_recorded_by_the_next_call(study, full, tmp_path, sql):
    with pytest.raises(UserError, match=f"{FULL}; what was trained is kept in .*/outbox/[0-9a-f]+: call again to record it"):
        study(sizes=(2, 8, 16, 32), instances=1, workers=3)
    begun = Training(tmp_path / "runs").count("begun")
    assert begun == Training(tmp_path / "runs").count("ended")
    assert len(begun) >= 3
    (recorded,), = sql("SELECT count(*) FROM results")
    assert recorded <= 2  # those that ended at the same time are recorded together, or none of them is
    full()
    driver = study(sizes=(2, 8, 16, 32), instances=1)
    assert sorted(driver.display.heard) == ["finished"] * (4 - recorded) + ["started"] * (4 - recorded)
    assert Training(tmp_path / "runs").count("begun") == {(size, 0): 1 for size in (2, 8, 16, 32)}
    assert sql("SELECT batch_size, n, mean FROM cells ORDER BY 1") == [(size, 1, 0.75) for size in (2, 8, 16, 32)]
    assert [path for path in (tmp_path / "outbox").rglob("*") if path.is_file()] == []


def test_a_file_system_without_room_costs_no_training(store, tmp_path, sql):
    """The operating system lets the store's file grow by a page and no more, until the second call."""
    arguments = ("--instances", 40, "--seconds", 0, "--batch-sizes", 2, 16)
    plan(store, [make_config(batch_size=size) for size in (2, 16)], 40)
    store.close()
    limit = (tmp_path / "results.db").stat().st_size + 4096
    process = subprocess.Popen([sys.executable, HERE / "stand_in.py", tmp_path, *map(str, arguments)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    returned, output, errors = finish(process)
    assert (returned, output) == (2, "")
    assert errors.startswith(f"error: the results store {tmp_path}/results.db cannot be written: the disk is full")
    assert "; what was trained is kept in " in errors and errors.count("\n") == 1
    assert sql("PRAGMA integrity_check") == [("ok",)]
    assert 0 < sql("SELECT count(*) FROM results")[0][0] < 80
    assert finish(start(tmp_path, *arguments))[0] == 0
    assert sql("SELECT DISTINCT n FROM cells") == [(40,)]
    assert set(Training(tmp_path / "runs").count("begun").values()) == {1}


def test_without_room_for_the_outbox_either_the_loss_is_told(study, full, tmp_path):
    (tmp_path / "outbox").touch()
    with pytest.raises(UserError, match="[12] trained runs? could not be kept in .* either, and must be trained again"):
        study()


def test_a_result_is_the_same_after_a_stay_in_the_outbox(tmp_path, config):
    box = Outbox(tmp_path, "results.db")
    result = make_result(0.1 + 0.2, measurements=[("train", "loss", 1, 1 / 3, value) for value in (math.inf, -math.inf, 1e-310)])
    assert box.save(config, 3, result)
    assert box.find(config, 3) == result
    assert box.find(config, 2) is None
    assert box.find(make_config(batch_size=16), 3) is None
    assert Outbox(tmp_path, "other.db").find(config, 3) is None
    box.save(config, 3, make_result(measurements=[("train", "loss", 1, 0.5, math.nan)]))
    assert math.isnan(box.find(config, 3).measurements[0][4])
    box.remove(config, 3)
    assert box.find(config, 3) is None


def test_a_result_that_an_older_version_left_in_the_outbox_is_recorded(tmp_path, config):
    box = Outbox(tmp_path, "results.db")
    box.save(config, 0, make_result())
    (path,) = box.folder.iterdir()
    path.write_text(path.read_text().replace('"artifact_error": ""', '"not_kept": "no room"'))
    assert box.find(config, 0) == make_result(artifact_error="no room")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"unknown": 1}', b"\xff"])
def test_a_damaged_file_in_the_outbox_is_no_result(tmp_path, config, content):
    box = Outbox(tmp_path, "results.db")
    box.save(config, 0, make_result())
    (path,) = box.folder.iterdir()
    path.write_bytes(content)
    assert box.find(config, 0) is None


def test_a_result_is_kept_while_the_driver_still_waits_for_the_store(study, store, tmp_path, monkeypatch, sql):
    """The driver is held up in recording one run when the other ends: a kill now would not cost the other."""
    record_all, kept = store.record_all, []

    def slow(*arguments):
        if not kept:
            folder = Outbox(tmp_path / "outbox", store.full_name).folder
            wait_until(lambda: len(list(folder.iterdir())) == 2)
            kept.extend(folder.iterdir())
        return record_all(*arguments)

    monkeypatch.setattr(store, "record_all", slow)
    study(Training(tmp_path / "runs", 0.2), sizes=(2, 8), instances=1, workers=2)
    assert len(kept) == 2
    assert sql("SELECT count(*) FROM results") == [(2,)]


def test_what_another_process_recorded_meanwhile_leaves_the_outbox(study, store, tmp_path, owner):
    box = Outbox(tmp_path / "outbox", store.full_name)
    needs = plan(store, [make_config()])
    box.save(make_config(), 0, make_result(0.1))
    store.record(store.find_claim(make_config(), 0, owner), owner, make_result(0.9))
    with Threads(1) as executor:
        Driver(store, executor, None, Silence(), box, None).run(needs)
    assert list(box.folder.iterdir()) == []


# -- signals, and processes of their own

@pytest.mark.parametrize("number, status, sentence", [
    (signal.SIGTERM, 143, "terminated; finished runs are in the store, call again to go on\n"),
    (signal.SIGINT, 130, "stopped; finished runs are in the store, call again to go on\n")])
def test_a_stopped_driver_gives_back_what_it_holds(tmp_path, sql, number, status, sentence):
    process = start(tmp_path, "--batch-sizes", 2, 11, "--instances", 1, "--fresh")  # 11 never ends
    training = Training(tmp_path / "runs")
    wait_until(lambda: sql("SELECT count(*) FROM results") == [(1,)] and (11, 0) in training.count("begun"))
    process.send_signal(number)
    returned, output, errors = finish(process)
    assert (returned, output, errors) == (status, "", sentence)
    assert sql(f"SELECT batch_size, status, owner, failures {FROM_RUNS}") == [
        (2, "done", None, 0), (11, "pending", None, 0)]
    assert living_workers(tmp_path) == []


def test_dying_workers_cost_their_own_run_only(tmp_path, sql):
    returned, output, errors = finish(start(tmp_path, "--batch-sizes", 2, 3, 5, 7, 9, 13, 16, "--instances", 1, "--fresh"))
    assert returned == 1
    assert errors == ""
    assert output.splitlines() == [
        "3: its process ended with exit status 3",
        "5: its process was killed (signal 9), perhaps for lack of memory: try fewer --workers",
        "7: ValueError: seven is",
        "9: out of memory: try fewer --workers or a smaller batch",
        "13: out of memory: try fewer --workers or a smaller batch"]
    assert sql(f"SELECT batch_size, status {FROM_RUNS}") == [
        (2, "done"), (3, "failed"), (5, "failed"), (7, "failed"), (9, "failed"), (13, "failed"),
        (16, "done")]


def test_a_run_whose_process_crashes_three_times_is_left_alone(tmp_path, sql):
    for failures in (1, 2, 3, 3):
        _, _, errors = finish(start(tmp_path, "--batch-sizes", 2, 3, "--instances", 1, "--fresh", "--seconds", 0))
        assert errors == ""
        assert sql(f"SELECT batch_size, failures {FROM_RUNS}") == [(2, 0), (3, failures)]
    assert Training(tmp_path / "runs").count("begun") == {(2, 0): 1, (3, 0): 3}


def test_workers_end_with_a_killed_driver(tmp_path):
    process = start(tmp_path, "--batch-sizes", 11, "--instances", 2, "--fresh")
    wait_until(lambda: len(Training(tmp_path / "runs").count("begun")) == 2)
    assert len(living_workers(tmp_path)) == 2
    process.kill()
    finish(process)
    wait_until(lambda: living_workers(tmp_path) == [])


UNGUARDED = """
import sys
print("the script runs", flush=True)
sys.path[:0] = [{here!r}, {root!r}]
from stand_in import report_steps
from common.running.processes import FreshProcesses

executor = FreshProcesses(1)
executor._context.set_forkserver_preload(["common.running.driver"])  # without TensorFlow it starts in a moment
print(executor.submit(report_steps, None).result().evaluations[0]["score"])
executor.kill()
"""


def test_a_script_without_a_main_guard_does_not_run_again_in_its_workers(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED.format(here=str(HERE), root=str(HERE.parent)))
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("the script runs\n0.75\n", "")


def wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def living_workers(folder) -> list[int]:
    """Processes that pretended to train in this folder and are still there."""
    numbers = {int(path.name.split("-")[3]) for path in (folder / "runs").iterdir()}
    return [number for number in numbers if is_alive(number)]


def is_alive(number: int) -> bool:
    stat = Path(f"/proc/{number}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
