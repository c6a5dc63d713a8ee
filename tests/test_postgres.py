"""PostgreSQL as the shared store: several drivers, a server that goes away and comes back, owners on other machines."""
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from stand_in import Silence, Threads, Training, make_config, make_evaluation, make_result, plan

from common import UserError
from common.running.driver import Driver
from common.running.outbox import Outbox
from common.store.owner import Owner
from common.store.store import RunLost, Store

HERE = Path(__file__).parent
ELSEWHERE = Owner("elsewhere", "boot", 1, "7")


@pytest.fixture
def store(database):
    store = Store(database)
    yield store
    store.close()


@pytest.fixture
def outbox(tmp_path, store):
    return Outbox(tmp_path / "outbox", store.full_name)


def ask(store, query):
    with store.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def start(folder, database, *arguments):
    return subprocess.Popen([sys.executable, HERE / "stand_in.py", folder, "--db", database, *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- several drivers

def test_drivers_at_once_share_one_grid_on_a_store_that_is_not_there_yet(tmp_path, database):
    drivers = [start(tmp_path, database, "--instances", 4, "--seconds", 0.1) for _ in range(3)]
    assert [(driver.communicate(timeout=120), driver.returncode) for driver in drivers] == [(("", ""), 0)] * 3
    assert Training(tmp_path / "runs").count("begun") == {(size, k): 1 for size in (2, 8, 16, 32, 64) for k in range(4)}
    store = Store(database)
    assert ask(store, "SELECT batch_size, n FROM cells ORDER BY 1") == [(2, 4), (8, 4), (16, 4), (32, 4), (64, 4)]
    store.close()


def test_a_killed_driver_costs_only_what_was_in_work(tmp_path, database):
    training = Training(tmp_path / "runs")
    first = start(tmp_path, database, "--instances", 3, "--seconds", 0.3)
    wait_until(lambda: len(training.count("ended")) >= 3)
    first.kill()
    first.communicate()
    store = Store(database)
    recorded = set(ask(store, "SELECT batch_size, instance FROM results"))
    begun = set(training.count("begun"))
    second = start(tmp_path, database, "--instances", 3, "--seconds", 0.01)
    assert (second.communicate(timeout=60), second.returncode) == (("", ""), 0)
    assert {run for run, times in training.count("begun").items() if times > 1} <= begun - recorded
    assert len(begun - recorded) <= 2
    assert ask(store, "SELECT DISTINCT n FROM cells") == [(3,)]
    store.close()


# -- a server that goes away

@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_restarted_while_runs_train_loses_and_repeats_nothing(tmp_path, postgres, database, how):
    """Three restarts; the driver waits for the server each time, and says so."""
    training = Training(tmp_path / "runs")
    driver = start(tmp_path, database, "--instances", 6, "--seconds", 0.2)
    for finished in (4, 10, 16):
        wait_until(lambda: len(training.count("ended")) >= finished)  # noqa: B023
        postgres.stop(how)
        time.sleep(0.5)
        postgres.start()
    output, errors = driver.communicate(timeout=60)
    assert (driver.returncode, output) == (0, "")
    assert "waiting for the store: the results store postgresql+psycopg://anna:***@127.0.0.1:" in errors
    assert "s3cret" not in errors
    assert training.count("begun") == {(size, k): 1 for size in (2, 8, 16, 32, 64) for k in range(6)}
    store = Store(database)
    assert ask(store, "SELECT DISTINCT n FROM cells") == [(6,)]
    assert ask(store, "SELECT DISTINCT status, attempt, owner FROM runs") == [("done", 1, None)]
    store.close()


def test_a_server_that_stays_away_ends_the_study_in_one_sentence(store, postgres, config, outbox):
    store.patience = 1
    needs = plan(store, [config])

    def train(job):
        postgres.stop()
        return make_result()

    try:
        with Threads(1) as executor, pytest.raises(UserError, match="no server answers there; start it") as error:
            Driver(store, executor, lambda *job: job, Silence(), outbox, train).run(needs)
    finally:
        postgres.start()
    assert "s3cret" not in str(error.value)
    assert "; what was trained is kept in " in str(error.value)
    assert outbox.find(config, 0) == make_result()
    store.patience = 60
    assert store.where_state(config) == {0: ("running", 0, False)}  # held by a process that will be gone


def answer_lost(store):
    """Makes the store lose the answer to its next COMMIT: obeyed, but not known to be."""
    def lose(connection):
        sa.event.remove(store.engine, "commit", lose)
        connection.connection.dbapi_connection.commit()
        raise sa.exc.OperationalError("COMMIT", {}, psycopg.OperationalError("lost"), connection_invalidated=True)

    sa.event.listen(store.engine, "commit", lose)


def test_a_commit_whose_answer_is_lost_is_found_to_be_obeyed(store, config, owner):
    plan(store, [config], 2)
    answer_lost(store)
    claim = store.find_claim(config, 0, owner)
    assert (claim.instance, claim.attempt) == (0, 1)
    answer_lost(store)
    store.record(claim, owner, make_result(0.9))
    assert ask(store, "SELECT score FROM results") == [(0.9,)]
    with pytest.raises(RunLost):
        store.record(claim, owner, make_result(0.1))
    claim = store.find_claim(config, 1, owner)
    answer_lost(store)
    store.fail(claim, owner, "out of memory")
    assert ask(store, "SELECT status, attempt, error FROM runs ORDER BY instance") == [
        ("done", 1, None), ("failed", 1, "out of memory")]
    with pytest.raises(RunLost):
        store.fail(claim, owner, "another error")


def test_connections_cut_at_any_time_lose_and_repeat_nothing(store, tmp_path, postgres, outbox):
    needs = plan(store, [make_config(batch_size=size) for size in range(20, 30)], 5)
    over = threading.Event()

    def cut():
        with postgres.administer() as connection:
            while not over.wait(0.2):
                connection.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
                                           "pg_backend_pid() AND backend_type = 'client backend'")

    saboteur = threading.Thread(target=cut)
    saboteur.start()
    try:
        with Threads(4) as executor:
            driver = Driver(store, executor, lambda *job: job, Silence(), outbox, Training(tmp_path / "runs", 0.1))
            driver.run(needs)
    finally:
        over.set()
        saboteur.join()
    assert driver.failures == []
    assert set(Training(tmp_path / "runs").count("begun").values()) == {1}
    assert ask(store, "SELECT count(*), min(n), max(n) FROM cells") == [(10, 5, 5)]


def test_queries_of_one_reader_see_one_state(store, config, owner):
    """A report must not count runs before, and their scores after, somebody recorded one."""
    plan(store, [config], 2)
    with store.reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM results").scalar()
        store.record(store.find_claim(config, 0, owner), owner, make_result())
        assert (before, connection.exec_driver_sql("SELECT count(*) FROM results").scalar()) == (0, 0)
    assert ask(store, "SELECT count(*) FROM results") == [(1,)]


# -- owners on other machines

def test_a_lease_runs_by_the_databases_clock_and_ends_for_one_contender(store, config, owner, monkeypatch):
    """This machine's clock is a day ahead, which nobody minds."""
    monkeypatch.setattr(time, "time", lambda clock=time.time: clock() + 86400)
    plan(store, [config])
    late = store.find_claim(config, 0, ELSEWHERE)
    monkeypatch.setattr("common.store.store.LEASE_SECONDS", 2)
    for _ in range(3):
        time.sleep(1)
        assert store.find_claim(config, 0, owner) is None
        store.beat(ELSEWHERE)
    contenders = [Owner(owner.host, owner.boot, owner.process, str(number)) for number in range(8)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        def contend(contender):
            while time.monotonic() < began + 6:
                claim = store.find_claim(config, 0, contender)
                if claim:
                    return time.monotonic() - began
                time.sleep(0.1)

        monkeypatch.setattr(Owner, "is_gone", lambda self, lease_is_over: self == ELSEWHERE and lease_is_over)
        taken = [seconds for seconds in threads.map(contend, contenders) if seconds is not None]
    assert len(taken) == 1
    assert 2 <= taken[0] < 5
    with pytest.raises(RunLost):
        store.record(late, ELSEWHERE, make_result())


# -- what people see

@pytest.mark.parametrize("change, remedy", [
    (lambda url: url.set(password="wr0ng"), "give the password in PGPASSWORD or in ~/.pgpass"),
    (lambda url: url._replace(password=None), "give the password in PGPASSWORD or in ~/.pgpass"),
    (lambda url: url.set(database="nowhere"), "create it, or name another with --db"),
    (lambda url: url.set(port=1), "no server answers there; start it, or correct host and port in --db"),
])
def test_a_store_that_cannot_be_reached_is_one_sentence_without_the_password(database, change, remedy, monkeypatch):
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    url = change(sa.make_url(database)).render_as_string(hide_password=False)
    with pytest.raises(UserError) as error:
        Store(url)
    sentence = str(error.value)
    assert remedy in sentence
    assert "\n" not in sentence and "s3cret" not in sentence and "wr0ng" not in sentence


def test_the_password_may_come_from_the_file_of_libpq(database, tmp_path, monkeypatch):
    url = sa.make_url(database)
    (tmp_path / "pgpass").write_text(f"127.0.0.1:{url.port}:*:anna:s3cret\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    store = Store(url._replace(password=None).render_as_string())
    plan(store, [make_config()])
    assert len(store.where_state(make_config())) == 1
    store.close()


def test_names_are_ordered_as_in_sqlite_whatever_the_databases_language(store):
    for study in ("b_1", "B1", "b2", "a"):
        plan(store, [make_config()], study=study)
    assert ask(store, "SELECT study FROM studies ORDER BY study") == [("B1",), ("a",), ("b2",), ("b_1",)]


def test_scores_come_back_to_the_last_bit(store, config, owner):
    plan(store, [config])
    score = 0.1 + 0.2
    store.record(store.find_claim(config, 0, owner), owner, make_result(evaluations=[make_evaluation(score)]))
    assert ask(store, "SELECT score, mean FROM results JOIN cells USING (config)") == [(0.30000000000000004,) * 2]
