"""The results store: its constraints, its views, and who may write what when several processes share it."""
import contextlib
import dataclasses
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from stand_in import (
    CHECKPOINT,
    CHECKPOINT_ROW,
    DATA,
    ENVIRONMENT,
    ENVIRONMENT_ROW,
    make_config,
    make_evaluation,
    make_result,
    plan,
)

from common import UserError
from common.store.owner import Owner
from common.store.schema import APPLICATION_ID, VERSION
from common.store.store import InputRows, RunLost, Store

HERE = Path(__file__).parent


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    """Where the store is: every test of this file holds on both, unless it says `on_sqlite`."""
    return str(tmp_path / "results.db") if request.param == "sqlite" else request.getfixturevalue("database")


on_sqlite = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


@pytest.fixture
def store(address):
    store = Store(address)
    yield store
    store.close()


@pytest.fixture
def sql(address):
    """Runs one statement on the store's database, behind the program's back; gives the rows."""
    def run(statement, *values):
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            else:
                statement = statement.replace("?", "%s")
            done = connection.exec_driver_sql(statement, values)
            return [tuple(row) for row in done] if done.returns_rows else []

    engine = sa.create_engine(address if "://" in address else f"sqlite:///{address}")
    yield run
    engine.dispose()


@pytest.fixture
def planned(store, config):
    """The store with one pending run."""
    plan(store, [config])
    return store


def train(store, config, instance, owner, result):
    store.record(store.find_claim(config, instance, owner), owner, result)


# -- constraints

def test_an_instance_is_there_once(planned, config, sql):
    with pytest.raises(sa.exc.IntegrityError, match="(?i)unique constraint.*runs.*config.*instance"):
        sql("INSERT INTO runs (config, instance) VALUES (?, 0)", config.hash)


@pytest.mark.parametrize("assignment, constraint", [
    ("status = 'finished'", "status_known"),
    ("status = NULL", "(?i)not.null"),
    ("status = 'running'", "running_has_owner"),
    ("owner = 'somebody'", "running_has_owner"),
    ("instance = -1", "instance_natural"),
    ("config = 'unknown'", "(?i)foreign key"),
    ("environment = 'unknown'", "(?i)foreign key"),
])
def test_runs_have_constraints(planned, sql, assignment, constraint):
    with pytest.raises(sa.exc.IntegrityError, match=constraint):
        sql(f"UPDATE runs SET {assignment}")


@pytest.mark.parametrize("value, kind, constraint", [
    (None, "finite", "finite_has_value"), (0.5, "nan", "finite_has_value"), (None, "huge", "kind_known")])
def test_measurements_have_constraints(planned, sql, value, kind, constraint):
    with pytest.raises(sa.exc.IntegrityError, match=constraint):
        sql("INSERT INTO measurements (run, split, metric, step, epoch, value, kind) "
            "VALUES (1, 'train', 'loss', 1, 0.1, ?, ?)",
            value, kind)


@pytest.mark.parametrize("row_count, collapsed, constraint", [(0, 0, "rows_scored"), (1, 2, "collapsed_bool")])
def test_evaluations_have_constraints(planned, sql, row_count, collapsed, constraint):
    with pytest.raises(sa.exc.IntegrityError, match=constraint):
        sql("INSERT INTO evaluations (run, evaluation_set, row_count, metric, collapsed) VALUES (1, 'dev', ?, "
            "'accuracy', ?)",
            row_count, collapsed)


def test_the_programs_own_connections_keep_foreign_keys_too(planned):
    with pytest.raises(sa.exc.IntegrityError, match="(?i)foreign key"), planned.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM configs"))


# -- planning

def test_planning_twice_changes_nothing(planned, config, sql):
    tables = ("checkpoints", "datasets", "configs", "runs", "studies")
    before = [sql(f"SELECT * FROM {table}") for table in tables]
    assert [len(rows) for rows in before] == [1, 2, 1, 1, 1]
    plan(planned, [config])
    assert [sql(f"SELECT * FROM {table}") for table in tables] == before


def test_a_study_remembers_the_most_instances_asked_for(store, config, sql):
    for instances in (2, 5, 3):
        plan(store, [config], instances)
    assert sql("SELECT study, instances FROM studies") == [("bs_mrpc", 5)]
    assert sql("SELECT count(*) FROM runs") == [(5,)]


def test_two_studies_share_a_configuration(store, config, sql):
    plan(store, [config], 2)
    plan(store, [config], 1, study="lr_mrpc")
    assert sql("SELECT study, instances FROM studies ORDER BY study") == [("bs_mrpc", 2), ("lr_mrpc", 1)]
    assert sql("SELECT count(*) FROM runs") == [(2,)]


def test_a_configuration_is_stored_with_the_columns_people_filter_by(store, sql):
    config = make_config(batch_size=16, limit_train=100, vary="head,order")
    plan(store, [config])
    assert sql("SELECT hash, json FROM configs") == [(config.hash, config.to_json())]
    assert sql("SELECT task, batch_size, peak_learning_rate, epochs, steps, dropout, vary, seed, dtype, limit_train, "
               "recipe FROM configs") == [("MRPC", 16, 2e-5, 5, None, 0.1, "head,order", 0, "float32", 100, 1)]


# -- recording

def test_a_finished_run_in_all_tables(planned, config, owner, sql):
    train(planned, config, 0, owner, make_result())
    assert sql("SELECT status, owner, attempt, training_seconds, total_seconds, environment, error FROM runs") == [
        ("done", None, 1, 10.0, 12.0, ENVIRONMENT, None)]
    assert sql("SELECT evaluation_set, row_count, metric, score, accuracy, f1, matthews, loss, collapsed FROM "
               "evaluations") == [
        ("dev", 408, "accuracy", 0.75, 0.75, 0.8, None, 0.5, 0)]
    assert sql("SELECT split, metric, step, epoch, value, kind FROM measurements ORDER BY split") == [
        ("train", "loss", 435, 1.0, 0.6, "finite"), ("validation", "accuracy", 435, 1.0, 0.7, "finite")]


@pytest.mark.parametrize("broken", [
    {"measurements": [("train", "loss", 1, 0.1, 0.5), ("train", "loss", 1, 0.1, 0.5)]},
    {"evaluations": [make_evaluation(), make_evaluation()]},
    {"evaluations": [make_evaluation(row_count=0)]},
])
def test_a_result_is_written_whole_or_not_at_all(planned, config, owner, sql, broken):
    claim = planned.find_claim(config, 0, owner)
    with pytest.raises(sa.exc.IntegrityError):
        planned.record(claim, owner, make_result(**broken))
    assert sql("SELECT status, attempt, finished_at FROM runs") == [("running", 1, None)]
    for table in ("evaluations", "measurements", "environments"):
        assert sql(f"SELECT count(*) FROM {table}") == [(0,)]
    planned.record(claim, owner, make_result())
    assert sql("SELECT status FROM runs") == [("done",)]


def test_values_that_are_not_finite_are_stored_by_kind(planned, config, owner, sql):
    values = [("train", "loss", step, 0.1, value) for step, value in enumerate([0.5, math.nan, math.inf, -math.inf])]
    train(planned, config, 0, owner, make_result(measurements=values, evaluations=[], diverged=True))
    assert sql("SELECT step, value, kind FROM measurements ORDER BY step") == [
        (0, 0.5, "finite"), (1, None, "nan"), (2, None, "inf"), (3, None, "-inf")]
    assert sql("SELECT status FROM runs") == [("diverged",)]


def test_a_failed_run_keeps_its_error(planned, config, owner, sql):
    planned.fail(planned.find_claim(config, 0, owner), owner, "out of memory")
    assert sql("SELECT status, owner, failures, error FROM runs") == [("failed", None, 1, "out of memory")]


def test_a_run_given_back_has_not_failed(planned, config, owner, sql):
    planned.release(planned.find_claim(config, 0, owner), owner)
    assert sql("SELECT status, owner, failures FROM runs") == [("pending", None, 0)]


# -- predictions of rows

def predict(content, width=1, evaluation_set="dev"):
    return {"evaluation_set": evaluation_set, "width": width, "content": content}


LABELS = [{"data": DATA, "set_name": "dev", "width": 1, "content": b"1101"}]


def test_predictions_are_a_row_for_each_row_of_the_set(store, config, owner, sql):
    plan(store, [config], 2, label_rows=LABELS)
    train(store, config, 0, owner, make_result(outputs=[predict("1001")]))
    train(store, config, 1, owner, make_result(outputs=[predict("1111")]))
    assert sql('SELECT run, evaluation_set, "row", predicted, label, correct FROM predictions ORDER BY run, "row"') == [
        (1, "dev", 1, 1, 1, 1), (1, "dev", 2, 0, 1, 0), (1, "dev", 3, 0, 0, 1), (1, "dev", 4, 1, 1, 1),
        (2, "dev", 1, 1, 1, 1), (2, "dev", 2, 1, 1, 1), (2, "dev", 3, 1, 0, 0), (2, "dev", 4, 1, 1, 1)]
    assert sql("SELECT run, sum(correct) FROM predictions GROUP BY run ORDER BY run") == [(1, 3), (2, 3)]


def test_predicted_values_of_a_regression_have_no_right_and_wrong(store, config, owner, sql):
    plan(store, [config], label_rows=[{"data": DATA, "set_name": "dev", "width": 8, "content": b"  5.0000  0.2500"}])
    train(store, config, 0, owner, make_result(outputs=[predict("  4.7500 -0.1250", 8)]))
    assert sql('SELECT predicted, label, correct FROM predictions ORDER BY "row"') == [
        (pytest.approx(4.75), 5, None), (pytest.approx(-0.125), pytest.approx(0.25), None)]


def test_predictions_without_labels_and_of_runs_set_aside(store, config, owner, sql):
    plan(store, [config], 2)
    train(store, config, 0, owner, make_result(outputs=[predict("10")]))
    train(store, config, 1, owner, make_result(outputs=[predict("11")]))
    sql("UPDATE runs SET set_aside = 'noise' WHERE id = 2")
    assert sql('SELECT run, predicted, label FROM predictions ORDER BY "row"') == [(1, 1, None), (1, 0, None)]


def test_a_prediction_that_was_changed_is_noticed(store, config, owner, sql):
    plan(store, [config])
    train(store, config, 0, owner, make_result(outputs=[predict("10")]))
    assert store.where_altered() == []
    sql("UPDATE outputs SET width = 2")
    assert store.where_altered() == ["the predictions of run 1"]
    sql("DELETE FROM outputs")  # left out to save room: nothing is wrong with the run
    assert store.where_altered() == []


# -- views

@pytest.fixture
def filled(store, owner):
    """Batch size 8 with scores 0.70, 0.72, 0.77; 16 with 0.71 and a diverged run."""
    eight, sixteen = make_config(batch_size=8), make_config(batch_size=16)
    plan(store, [eight], 4)
    plan(store, [sixteen], 3)
    for instance, score in enumerate([0.70, 0.72, 0.77]):
        train(store, eight, instance, owner, make_result(score))
    train(store, sixteen, 0, owner, make_result(0.71, evaluations=[make_evaluation(0.71, collapsed=1)]))
    train(store, sixteen, 1, owner,
          make_result(evaluations=[], diverged=True, measurements=[("train", "loss", 7, 0.1, math.nan)]))
    return store


def test_the_view_results(filled, sql):
    assert sql("SELECT task, evaluation_set, checkpoint, batch_size, peak_learning_rate, epochs, instance, status, "
               "metric, score, accuracy, row_count, collapsed, training_seconds FROM results ORDER BY batch_size, "
               "instance") == [
        ("MRPC", "dev", "uncased_L-4_H-256_A-4", 8, 2e-5, 5, 0, "done", "accuracy", 0.70, 0.70, 408, 0, 10.0),
        ("MRPC", "dev", "uncased_L-4_H-256_A-4", 8, 2e-5, 5, 1, "done", "accuracy", 0.72, 0.72, 408, 0, 10.0),
        ("MRPC", "dev", "uncased_L-4_H-256_A-4", 8, 2e-5, 5, 2, "done", "accuracy", 0.77, 0.77, 408, 0, 10.0),
        ("MRPC", "dev", "uncased_L-4_H-256_A-4", 16, 2e-5, 5, 0, "done", "accuracy", 0.71, 0.71, 408, 1, 10.0),
        ("MRPC", None, "uncased_L-4_H-256_A-4", 16, 2e-5, 5, 1, "diverged", None, None, None, None, None, 10.0)]


def test_the_view_cells(filled, sql):
    rows = sql("SELECT batch_size, evaluation_set, n, mean, sd, lowest, highest, mean_accuracy, mean_f1, collapsed, "
               "mean_training_seconds, checkpoint_digest FROM cells ORDER BY batch_size")
    # deviations of 0.70, 0.72, 0.77 from 0.73: -0.03, -0.01, 0.04; sum of squares 0.0026, over n - 1 = 2
    assert rows == [
        (8, "dev", 3, pytest.approx(0.73), pytest.approx(math.sqrt(0.0013)), 0.70, 0.77, pytest.approx(0.73),
         pytest.approx(0.8), 0, 10.0, CHECKPOINT),
        (16, "dev", 1, 0.71, None, 0.71, 0.71, 0.71, 0.8, 1, 10.0, CHECKPOINT)]


def test_the_view_curves(filled, sql):
    assert sql("SELECT batch_size, instance, split, metric, epoch, step, examples, value, kind FROM curves "
               "WHERE metric = 'loss' ORDER BY batch_size, instance") == [
        (8, 0, "train", "loss", 1.0, 435, 3480, 0.6, "finite"), (8, 1, "train", "loss", 1.0, 435, 3480, 0.6, "finite"),
        (8, 2, "train", "loss", 1.0, 435, 3480, 0.6, "finite"), (16, 0, "train", "loss", 1.0, 435, 6960, 0.6, "finite"),
        (16, 1, "train", "loss", 0.1, 7, 112, None, "nan")]


def test_a_run_set_aside_is_left_out_of_every_view(filled, sql):
    sql("UPDATE runs SET set_aside = 'the machine throttled' WHERE instance = 2")
    assert sql("SELECT n, mean, sd FROM cells WHERE batch_size = 8") == [
        (2, pytest.approx(0.71), pytest.approx(math.sqrt(0.0002)))]
    assert sql("SELECT DISTINCT instance FROM results WHERE batch_size = 8 ORDER BY 1") == [(0,), (1,)]
    assert sql("SELECT DISTINCT instance FROM curves WHERE batch_size = 8 ORDER BY 1") == [(0,), (1,)]


def test_an_undefined_score_is_not_counted(store, config, owner, sql):
    plan(store, [config], 2)
    train(store, config, 0, owner, make_result(0.5))
    train(store, config, 1, owner, make_result(evaluations=[make_evaluation(None, collapsed=1)]))
    assert sql("SELECT n, mean, sd, collapsed FROM cells") == [(1, 0.5, None, 1)]


def test_pending_running_and_failed_runs_are_in_no_view(store, config, owner, sql):
    plan(store, [config], 3)
    store.find_claim(config, 0, owner)
    store.fail(store.find_claim(config, 1, owner), owner, "no")
    for view in ("results", "cells", "curves"):
        assert sql(f"SELECT count(*) FROM {view}") == [(0,)]


def test_environments_of_an_older_program_and_of_this_one_are_recorded_together(store, config, owner, sql):
    """A result may have waited in the outbox while the program was updated."""
    plan(store, [config], 2)
    now = ENVIRONMENT_ROW | {"digest": "f" * 64, "code_digest": "a" * 64, "settings": "{}", "gpu": "NVIDIA H100"}
    claims, _ = store.take([(config, 0), (config, 1)], 2, owner)
    results = {claims[0]: make_result(), claims[1]: make_result(environment=now)}
    assert store.record_all(results, owner) == []
    assert sql("SELECT digest, code_digest, settings, gpu FROM environments ORDER BY digest") == [
        ("e" * 64, None, None, None), ("f" * 64, "a" * 64, "{}", "NVIDIA H100")]


# -- claims

ANOTHER = Owner("elsewhere", "boot", 1, "7")


def test_the_first_so_many_that_are_free_are_taken(store, config, owner):
    """Instance 0 done, 1 in work elsewhere, 2 failed; of 3, 4 and 5 two are asked for."""
    plan(store, [config], 6)
    train(store, config, 0, owner, make_result())
    store.find_claim(config, 1, ANOTHER)
    store.fail(store.find_claim(config, 2, owner), owner, "out of memory")
    wanted = [(config, instance) for instance in (1, 3, 0, 2, 4, 5)]
    claims, others = store.take(wanted, 2, owner)
    assert [(claim.instance, claim.attempt) for claim in claims] == [(3, 1), (4, 1)]
    assert others == {(config, 1): "running", (config, 0): "done", (config, 2): "failed"}
    claims, others = store.take(wanted, 9, ANOTHER)
    assert [claim.instance for claim in claims] == [1, 5]  # what it holds already is its own
    assert others[config, 3] == others[config, 4] == "running"


def test_takers_of_a_thousand_runs_in_any_order_get_each_once(store):
    """More than are looked up at once, by eight that would block each other if each locked its runs in its own order."""
    configs = [make_config(batch_size=size) for size in range(1, 51)]
    plan(store, configs, 20)
    wanted = [(config, instance) for config in configs for instance in range(20)]
    owners = [Owner("here", "boot", number, "7") for number in range(8)]

    def work(owner):
        order = random.Random(owner.process).sample(wanted, len(wanted))
        return [claim.run for _ in range(10) for claim in store.take(order, 15, owner)[0][:15]]

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(work, owners))
    assert [len(set(each)) for each in taken] == [15] * 8  # an owner asking again is told what it holds
    assert len({run for each in taken for run in each}) == 120


def test_one_of_two_owners_gets_a_run(planned, config, owner, sql):
    claim = planned.find_claim(config, 0, owner)
    assert (claim.config, claim.instance, claim.attempt) == (config, 0, 1)
    assert planned.find_claim(config, 0, ANOTHER) is None
    assert sql("SELECT status, owner, attempt FROM runs") == [("running", str(owner), 1)]


@pytest.mark.parametrize("end", ["done", "diverged", "failed"])
def test_a_finished_run_is_not_taken(planned, config, owner, sql, end):
    sql("UPDATE runs SET status = ?", end)
    assert planned.find_claim(config, 0, owner) is None


CLAIM = """
import sys
from stand_in import make_config
from common.store.owner import Owner
from common.store.store import Store
claim = Store(sys.argv[1]).find_claim(make_config(), 0, Owner.of_this_process())
print("taken" if claim else "not taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def claimant(planned, address):
    """A living process that has taken the run."""
    process = subprocess.Popen([sys.executable, "-c", CLAIM, address], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"})
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_run_is_taken_over_as_soon_as_its_process_is_dead(planned, config, owner, claimant):
    assert planned.find_claim(config, 0, owner) is None
    claimant.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, claimant.pid, os.WEXITED | os.WNOWAIT)  # dead, but its parent has not fetched it: a zombie
    claim = planned.find_claim(config, 0, owner)
    assert claim.attempt == 2


def test_a_stopped_process_keeps_its_run(planned, config, owner, claimant, sql):
    claimant.send_signal(signal.SIGSTOP)
    sql("UPDATE runs SET heartbeat = heartbeat - 1000000")
    assert planned.find_claim(config, 0, owner) is None


def test_a_process_number_used_again_is_another_process(planned, config, owner, sql):
    planned.find_claim(config, 0, owner)
    sql("UPDATE runs SET owner = ?", str(dataclasses.replace(owner, started="1")))
    assert planned.find_claim(config, 0, owner).attempt == 2


@pytest.mark.parametrize("unseen", [{"boot": "another-boot"}, {"namespace": "4026532999"}, {"namespace": ""}])
@pytest.mark.parametrize("silent, taken", [(100, False), (140, True)])
def test_a_holder_that_cannot_be_seen_from_here_is_judged_by_the_lease(planned, config, owner, sql, unseen, silent, taken):
    """Of this host's name, but of another boot or machine, another container, or of a store from before owners named theirs."""
    planned.find_claim(config, 0, owner)
    holder = dataclasses.replace(owner, process=999_999, **unseen)
    sql("UPDATE runs SET owner = ?, heartbeat = heartbeat - ?", str(holder), silent)
    assert (planned.find_claim(config, 0, owner) is not None) == taken


@pytest.mark.parametrize("silent, taken", [(100, False), (140, True)])
def test_a_run_of_another_machine_is_taken_over_after_the_lease(planned, config, owner, sql, silent, taken):
    planned.find_claim(config, 0, ANOTHER)
    assert planned.find_claim(config, 0, owner) is None
    sql("UPDATE runs SET heartbeat = heartbeat - ?", silent)
    assert (planned.find_claim(config, 0, owner) is not None) == taken


def test_a_heartbeat_renews_the_lease(planned, config, owner, sql):
    planned.find_claim(config, 0, ANOTHER)
    sql("UPDATE runs SET heartbeat = heartbeat - 140")
    silent = sql("SELECT heartbeat FROM runs")
    planned.beat(owner)
    assert sql("SELECT heartbeat FROM runs") == silent  # another owner's run is left alone
    planned.beat(ANOTHER)
    assert planned.find_claim(config, 0, owner) is None


def test_what_was_taken_over_is_not_written(planned, config, owner, sql):
    late = planned.find_claim(config, 0, ANOTHER)
    sql("UPDATE runs SET heartbeat = heartbeat - 140")
    claim = planned.find_claim(config, 0, owner)
    for write in (lambda: planned.record(late, ANOTHER, make_result(0.1)),
                  lambda: planned.fail(late, ANOTHER, "too late")):
        with pytest.raises(RunLost, match="run 1 was taken over"):
            write()
    planned.release(late, ANOTHER)
    assert sql("SELECT status, owner, attempt, error FROM runs") == [("running", str(owner), 2, None)]
    assert sql("SELECT count(*) FROM evaluations") == sql("SELECT count(*) FROM environments") == [(0,)]
    planned.record(claim, owner, make_result(0.9))
    with pytest.raises(RunLost):
        planned.record(late, ANOTHER, make_result(0.1))
    assert sql("SELECT score FROM results") == [(0.9,)]


def test_of_results_recorded_together_the_lost_ones_are_told(store, config, owner, sql):
    plan(store, [config], 3)
    claims = [store.find_claim(config, instance, owner) for instance in range(3)]
    sql("UPDATE runs SET owner = ?, attempt = 2 WHERE id = ?", str(ANOTHER), claims[1].run)
    lost = store.record_all({claim: make_result(claim.instance / 10) for claim in claims}, owner)
    assert lost == [claims[1]]
    assert sql("SELECT instance, score FROM results ORDER BY 1") == [(0, 0.0), (2, 0.2)]
    assert sql("SELECT count(*) FROM measurements") == [(4,)]


def test_a_result_is_recorded_once(planned, config, owner, sql):
    claim = planned.find_claim(config, 0, owner)
    planned.record(claim, owner, make_result(0.9))
    for _ in range(3):
        with pytest.raises(RunLost):
            planned.record(claim, owner, make_result(0.1))
    assert sql("SELECT score FROM results") == [(0.9,)]


def test_the_same_owner_cannot_write_for_an_earlier_attempt(planned, config, owner, sql):
    early = planned.find_claim(config, 0, owner)
    planned.fail(early, owner, "first")
    plan(planned, [config])
    planned.find_claim(config, 0, owner)
    with pytest.raises(RunLost):
        planned.record(early, owner, make_result())


def test_what_was_given_back_and_taken_by_another_is_not_written(planned, config, owner):
    early = planned.find_claim(config, 0, owner)
    planned.release(early, owner)
    assert planned.find_claim(config, 0, ANOTHER).attempt == early.attempt + 1 == 2
    with pytest.raises(RunLost):
        planned.record(early, owner, make_result())


def test_an_owner_is_written_and_read_back():
    owner = Owner("a/host", "boot-id", 4711, "99", "4026531836")
    assert str(owner) == "a/host/boot-id@4026531836/4711/99"
    assert Owner.parse("a/host/boot-id@4026531836/4711/99") == owner
    assert Owner.parse("a/host/boot-id/4711/99") == Owner("a/host", "boot-id", 4711, "99", "")  # of an older program
    assert str(Owner("a/host", "boot-id", 4711, "99")) == "a/host/boot-id/4711/99"
    assert Owner.of_this_process().process == os.getpid()
    assert not Owner.of_this_process().is_gone(lease_is_over=True)


# -- opening

def refusal(address, **options) -> str:
    with pytest.raises(UserError) as error:
        Store(address, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@on_sqlite
def test_a_store_is_marked_and_opened_again(store, tmp_path, config, sql):
    assert sql("PRAGMA application_id") == [(APPLICATION_ID,)]
    assert sql("SELECT version FROM schema_version") == [(VERSION,)]
    plan(store, [config])
    again = Store(tmp_path / "results.db", create=False)
    assert again.where_state(config) == {0: ("pending", 0, False)}
    again.close()


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE photos (name)")
    connection.close()
    before = path.read_bytes()
    assert refusal(path) == (f"the database {path} belongs to another program (it has the table 'photos'); name "
                             "another with --db")
    assert path.read_bytes() == before


@on_sqlite
@pytest.mark.parametrize("change, sentence", [
    (f"UPDATE schema_version SET version = {VERSION + 1}",
     f"has schema version {VERSION + 1}, this program knows {VERSION}; update the program"),
    ("DELETE FROM schema_version",
     "does not say which schema version it has; restore a copy of it or name another with --db")])
@pytest.mark.parametrize("create", [False, True])
def test_another_schema_version_is_refused(store, sql, tmp_path, change, sentence, create):
    sql(change)
    assert refusal(tmp_path / "results.db", create=create) == f"the results store {tmp_path}/results.db {sentence}"


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "results.db"
    path.write_text("These are my results, all of them.\n" * 100)
    assert refusal(path) == (f"the results store {path} cannot be read: the file is not an SQLite database; name another "
                             "with --db (file is not a database)")
    assert path.read_text().startswith("These are my results")


@on_sqlite
def test_a_damaged_store_is_one_sentence(store, tmp_path, config, sql):
    plan(store, [config], 500)
    store.close()
    path = tmp_path / "results.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(UserError,
                       match=r"results\.db cannot be read: the file is damaged; restore a copy of it or name anoth"):
        Store(path).where_state(config)


def test_places_where_no_store_can_be(tmp_path):
    assert refusal(tmp_path) == f"the results store {tmp_path} is a folder; name a file with --db"
    assert refusal(tmp_path / "none" / "results.db") == (
        f"the folder of the results store {tmp_path}/none/results.db does not exist; create it or name another place "
        f"with --db")
    assert refusal("") == "the results store has no name; name a file with --db"
    assert refusal("/proc/results.db") == (
        "the results store /proc/results.db cannot be read: the file cannot be opened; check its permissions or name "
        "another with --db (unable to open database file)")


def test_a_missing_store_is_not_made_where_results_are_wanted(tmp_path):
    assert refusal(tmp_path / "results.db", create=False) == (
        f"there is no results store at {tmp_path}/results.db; run one of the exp_*.py scripts first or name another "
        f"with --db")
    assert not (tmp_path / "results.db").exists()
    (tmp_path / "results.db").touch()
    assert refusal(tmp_path / "results.db", create=False) == (
        f"{tmp_path}/results.db holds no results yet; run one of the exp_*.py scripts first")


@pytest.mark.parametrize("name", ["what?.db", "100%.db", "a%20b.db", "a#b.db", "a b&c=d.db", "ünï.db", "a:b.db"])
def test_any_file_name_is_taken_literally(tmp_path, config, name):
    store = Store(tmp_path / name)
    plan(store, [config])
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


READ_AND_WRITE = """
import sys
from stand_in import make_config, plan
from common import UserError
from common.store.store import Store
store = Store(sys.argv[1])
print(len(store.where_state(make_config())), "runs")
try:
    plan(store, [make_config()], 2)
except UserError as error:
    print(error)
"""


@on_sqlite
def test_a_store_that_cannot_be_written_can_still_be_read(planned, config, owner, tmp_path):
    train(planned, config, 0, owner, make_result(0.75))
    planned.close()
    path = tmp_path / "results.db"
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    said = run_program(READ_AND_WRITE, path, obeys_file_modes=True)
    assert said == (f"1 runs\nthe results store {path} cannot be written: it is read-only; make it writable or name "
                    "another with --db (attempt to write a readonly database)\n")


@on_sqlite
def test_a_locked_store_is_waited_for_and_then_named(planned, config, tmp_path, monkeypatch):
    monkeypatch.setattr("common.store.connection.BUSY_SECONDS", 0.2)
    impatient = Store(tmp_path / "results.db")
    holder = sqlite3.connect(tmp_path / "results.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UserError) as error:
        plan(impatient, [config], 2)
    assert str(error.value) == (f"the results store {tmp_path}/results.db cannot be written: another program has locked "
                                "it; close that program and call again (database is locked)")
    assert impatient.where_state(config) == {0: ("pending", 0, False)}  # reading goes on
    holder.execute("ROLLBACK")
    holder.close()
    plan(impatient, [config], 2)
    assert len(impatient.where_state(config)) == 2
    impatient.close()


@on_sqlite
def test_a_run_is_recorded_once_the_store_is_no_longer_locked(planned, config, owner, tmp_path, sql):
    """Another program writes for some seconds, then a third one reads for some; `make chaos` gives them 40 seconds."""
    claim = planned.find_claim(config, 0, owner)
    seconds = 20 if os.environ.get("BERT_GLUE_CHAOS") else 1.5

    def hold():
        for begin in ("BEGIN EXCLUSIVE", "BEGIN"):
            with contextlib.closing(sqlite3.connect(tmp_path / "results.db", isolation_level=None, timeout=60)) as holder:
                holder.execute(begin)
                holder.execute("SELECT * FROM runs").fetchall()
                held.set()
                time.sleep(seconds)

    held, began = threading.Event(), time.monotonic()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    planned.record(claim, owner, make_result(0.75))
    assert time.monotonic() - began > seconds
    thread.join()
    assert sql("SELECT status, score FROM results") == [("done", 0.75)]
    print(f"\n| store locked for writing, then held up by a reader | 1 | recorded after {2 * seconds} s |")


@on_sqlite
def test_ctrl_c_is_heard_while_the_store_is_locked(planned, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "results.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        process = subprocess.Popen([sys.executable, HERE / "stand_in.py", tmp_path], stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == (None, "stopped; finished runs are in the store, call again to go on\n")
        assert time.monotonic() - began < 5
        assert process.returncode == 130


@on_sqlite
def test_a_full_disk_leaves_no_half_of_a_result(planned, config, owner, sql):
    claim = planned.find_claim(config, 0, owner)
    result = make_result(measurements=[("train", "loss", step, 0.1, 0.5) for step in range(5000)])

    def limit(connection, _record):
        connection.execute("PRAGMA max_page_count = 40")

    planned.engine.dispose()
    sa.event.listen(planned.engine, "connect", limit)
    with pytest.raises(UserError, match=r"cannot be written: the disk is full; free some space and call again"):
        planned.record(claim, owner, result)
    sa.event.remove(planned.engine, "connect", limit)
    planned.engine.dispose()
    assert sql("SELECT status FROM runs") == [("running",)]
    assert sql("SELECT count(*) FROM measurements") == [(0,)]
    planned.record(claim, owner, result)
    assert sql("SELECT count(*) FROM measurements") == [(5000,)]


@pytest.mark.parametrize("address", [
    "postgresql+psycopg://anna:s3cret@127.0.0.1:1/results", "postgresql://anna:s3cret@127.0.0.1:99999999/results",
    "nosuchbase://anna:s3cret@127.0.0.1/results"])
def test_a_password_is_never_shown(address):
    sentence = refusal(address)
    assert "s3cret" not in sentence
    assert "anna:***@127.0.0.1" in sentence


@pytest.mark.parametrize("address", ["://", "postgresql://anna:s3cret@127.0.0.1:port/results"])
def test_an_address_that_is_none(address):
    assert refusal(address) == ("the --db address is neither a path nor a database URL such as "
                                "postgresql+psycopg://user@host/name")


# -- several processes

def run_program(program: str, *arguments, obeys_file_modes=False) -> str:
    """What a Python program prints; with `obeys_file_modes` even root may not write what is read-only."""
    command = [sys.executable, "-c", program, *arguments]
    if obeys_file_modes and os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may write anything, and there is no setpriv to take that from it")
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"})
    assert done.returncode == 0, done.stderr
    return done.stdout


RACE = """
import multiprocessing, sys
from pathlib import Path
from stand_in import make_config, make_result, plan
from common.store.owner import Owner
from common.store.store import Store

def work(folder, address, barrier, number):
    barrier.wait()
    store = Store(address)
    plan(store, [make_config()], 40)
    barrier.wait()
    owner = Owner.of_this_process()
    for instance in range(40):
        claim = store.find_claim(make_config(), instance, owner)
        if claim:
            (folder / f"{instance}-by-{number}").touch()
            store.record(claim, owner, make_result(number / 100))

context = multiprocessing.get_context("fork")
barrier = context.Barrier(16)
processes = [context.Process(target=work, args=(Path(sys.argv[1]), sys.argv[2], barrier, number))
             for number in range(16)]
for process in processes:
    process.start()
for process in processes:
    process.join()
print([process.exitcode for process in processes])
"""


def test_sixteen_processes_create_one_store_and_take_every_run_once(tmp_path, address, sql):
    assert run_program(RACE, tmp_path, address) == f"{[0] * 16}\n"
    taken = sorted(path.name.split("-by-") for path in tmp_path.glob("*-by-*"))
    assert sorted(int(instance) for instance, _ in taken) == list(range(40))
    rows = sql("SELECT instance, score FROM results ORDER BY instance")
    assert sql("SELECT version FROM schema_version") == [(VERSION,)]
    assert dict(rows) == {int(instance): int(number) / 100 for instance, number in taken}
    assert len(rows) == 40


def test_the_archive_of_a_checkpoint_that_first_came_as_a_folder_is_added(store, config):
    def rows():
        with store.reading() as connection:
            return connection.exec_driver_sql("SELECT name, archive_sha256 FROM checkpoints").all()

    as_folder = CHECKPOINT_ROW | {"archive_sha256": None, "name": "folder"}
    store.plan("bs_mrpc", {config: [0]}, 1, InputRows(as_folder, []))
    assert rows() == [("folder", None)]
    store.plan("bs_mrpc", {config: [0]}, 1, InputRows(CHECKPOINT_ROW, []))
    store.plan("bs_mrpc", {config: [0]}, 1, InputRows(as_folder, []))
    assert rows() == [("uncased_L-4_H-256_A-4", "a" * 64)]


def test_how_a_checkpoint_takes_text_is_decided_once_and_added_to_an_older_store(tmp_path):
    """Version 4 did not keep it."""
    def ask():
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT name, lower_case FROM checkpoints").fetchall()

    path = Path(shutil.copy(Path(__file__).parent / "stores" / "version-4.db", tmp_path / "results.db"))
    of_the_store = make_config(data="d" * 64)
    for lower_case in (1, 0):
        store = Store(path)
        assert ask() == [("uncased_L-4_H-256_A-4", 1 if lower_case == 0 else None)]
        store.plan("bs_mrpc", {of_the_store: [0]}, 1, InputRows(CHECKPOINT_ROW | {"lower_case": lower_case}, []))
        store.close()
        assert ask() == [("uncased_L-4_H-256_A-4", 1)]


@pytest.mark.parametrize("replace", ["by another", "by nothing"])
def test_a_store_that_is_replaced_while_it_is_in_use(config, owner, tmp_path, replace):
    """What `git checkout results.db` does: the path leads to another file than the one that is open."""
    store = Store(tmp_path / "results.db")
    plan(store, [config])
    claim = store.find_claim(config, 0, owner)
    shutil.copy(tmp_path / "results.db", tmp_path / "old.db")
    (tmp_path / "results.db").unlink()
    if replace == "by another":
        (tmp_path / "old.db").rename(tmp_path / "results.db")
    with pytest.raises(UserError) as error:
        store.record(claim, owner, make_result())
    assert str(error.value) == (
        f"the results store {tmp_path}/results.db cannot be written: the file was replaced or removed while it was in use, "
        "perhaps by git checkout; leave it alone while a study runs, and call again (attempt to write a readonly database)")


def test_a_store_that_is_emptied_while_it_is_in_use(config, tmp_path):
    store = Store(tmp_path / "results.db")
    plan(store, [config])
    (tmp_path / "results.db").write_bytes(b"")
    with pytest.raises(UserError, match="was emptied or replaced while it was in use; restore a copy of it and call again"):
        store.where_state(config)
