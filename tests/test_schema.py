"""Upgrading a store of an older schema: nothing lost, nothing half-done, and a backup first."""
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from stand_in import make_config, make_evaluation, make_result, plan
from test_report import report

from common import UserError
from common.report.results import read_results
from common.running.planning import find_needs
from common.store.schema import VERSION
from common.store.store import Store

FROZEN = Path(__file__).parent / "stores"
VERSIONS = range(1, VERSION)
"""Every released schema version but this one; a store of each is kept, made by the program of its time."""
CELLS_OF_1 = [(8, 2, 0.71, 0.014142135623731), (16, 1, 0.71, None)]
VIEWS = ("results", "cells", "curves")


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path):
    """A copy of the frozen store of an older version."""
    shutil.copy(FROZEN / f"version-{request.param}.db", tmp_path / "results.db")
    return tmp_path / "results.db"


def ask(path, statement):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def views(path):
    return [ask(path, f"SELECT * FROM {view} ORDER BY config, run" if view != "cells" else "SELECT * FROM cells ORDER BY config")
            for view in VIEWS]


def version(path):
    return ask(path, "SELECT version FROM schema_version")[0][0]


def in_a_fork(function, *arguments) -> int:
    """Exit code of a function that runs in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def upgrade(path):
    Store(path).close()


def test_an_old_store_gives_the_same_results_after_its_upgrade(old, capsys):
    before, was = views(old), version(old)
    upgrade(old)
    assert capsys.readouterr().err == (f"the results store {old} was upgraded from schema version {was} to {VERSION}; the old "
                                       f"one is in {old}.v{was}-backup\n")
    assert version(old) == VERSION
    assert views(old) == before
    cells = ask(old, "SELECT batch_size, n, mean, sd FROM cells ORDER BY batch_size")
    assert [row[:3] for row in cells] == [row[:3] for row in CELLS_OF_1]
    assert [row[3] for row in cells] == [pytest.approx(CELLS_OF_1[0][3]), None]
    assert ask(old, "PRAGMA integrity_check") == [("ok",)]
    upgrade(old)
    assert capsys.readouterr().err == ""


def test_the_backup_is_the_store_as_it_was(old):
    before, was = views(old), version(old)
    rows = ask(old, "SELECT * FROM runs")
    upgrade(old)
    backup = old.with_name(f"results.db.v{was}-backup")
    assert sorted(os.listdir(old.parent)) == ["results.db", backup.name]
    assert (version(backup), views(backup), ask(backup, "SELECT * FROM runs")) == (was, before, rows)


def test_a_backup_is_never_replaced(old):
    mine = old.with_name(f"results.db.v{version(old)}-backup")
    mine.write_text("mine")
    upgrade(old)
    assert mine.read_text() == "mine"
    assert ask(f"{mine}-2", "SELECT count(*) FROM results") == [(4,)]


def test_an_upgraded_store_has_the_schema_of_a_new_one(old, tmp_path):
    upgrade(old)
    upgrade(tmp_path / "new.db")
    names = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
    assert ask(old, names) == ask(tmp_path / "new.db", names)
    for kind, name in ask(old, names):
        pragma = f"PRAGMA {'index_info' if kind == 'index' else 'table_info'}({name})"
        assert ask(old, pragma) == ask(tmp_path / "new.db", pragma), name
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'view' ORDER BY 1"
    assert ask(old, sql) == ask(tmp_path / "new.db", sql)
    for path in (old, tmp_path / "new.db"):
        assert ask(path, "SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'") == [("measurements",)]


def test_work_goes_on_in_an_upgraded_store(old, owner):
    """In the store of version 1: instances 0 and 1 of batch size 8 finished, 2 set aside, 3 pending; 16: 2 failed three times."""
    store, of_eight = Store(old), make_config(data="d" * 64)
    eight, sixteen = find_needs(store, [of_eight, make_config(data="d" * 64, batch_size=16)], 4)
    assert (eight.have, eight.wanted, eight.missing) == (2, [0, 1, 3, 4], [3, 4])
    assert (sixteen.have, sixteen.missing, sixteen.given_up) == (2, [3], [2])
    plan(store, [of_eight], 4)
    store.record(store.find_claim(of_eight, 3, owner), owner, make_result(0.8))
    store.close()
    assert ask(old, "SELECT n, highest FROM cells WHERE batch_size = 8") == [(3, 0.8)]


def test_reading_an_old_store_leaves_it_as_it_is(old):
    before = old.read_bytes()
    store = Store(old, create=False)
    results = read_results(store)
    assert [len(results.finished()), len(results.runs)] == [4, 7]
    with store.reading() as connection:
        assert connection.execute(sa.text("SELECT n FROM cells ORDER BY batch_size")).scalars().all() == [2, 1]
    store.close()
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == ["results.db"]


def killed_at(path, number):
    """An upgrade whose process is killed after its statement of that number."""
    done = iter(range(1, 1000))

    def count(*_):
        if next(done) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", count)
    upgrade(path)


def test_an_upgrade_killed_after_any_statement_was_done_or_not(old, tmp_path):
    before, was, content = views(old), version(old), old.read_bytes()
    for number in range(1, 100):
        code = in_a_fork(killed_at, old, number)
        assert version(old) in ((was, VERSION) if code else (VERSION,))
        assert views(old) == before
        assert ask(old, "PRAGMA integrity_check") == [("ok",)]
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert 15 < number < 60
    assert ask(f"{old}.v{was}-backup", "SELECT count(*) FROM results") == [(4,)]
    assert not list(tmp_path.glob(".*.new"))
    old.write_bytes(content)


def test_eight_at_once_upgrade_once(old, capfd):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=upgrade, args=(old,)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert capfd.readouterr().err.count("was upgraded") == 1
    assert len(os.listdir(old.parent)) == 2
    assert version(old) == VERSION


def without_room(path, answers):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        upgrade(path)
    except UserError as error:
        answers.put(str(error))


def test_no_room_for_a_backup_is_no_upgrade(old):
    before = old.read_bytes()
    answers = multiprocessing.get_context("fork").SimpleQueue()
    assert in_a_fork(without_room, old, answers) == 0
    was = version(old)
    assert answers.get().startswith(f"the results store {old} cannot be backed up to {old}.v{was}-backup (")
    assert old.read_bytes() == before
    assert os.listdir(old.parent) == ["results.db"]


def test_an_old_store_that_is_damaged_is_not_upgraded(old):
    content = bytearray(old.read_bytes())
    content[20000:24000] = b"\xa5" * 4000
    old.write_bytes(content)
    for create in (False, True):
        with pytest.raises(UserError, match=r"results\.db (is damaged|cannot be read: the file is damaged)"):
            Store(old, create=create)
    assert old.read_bytes() == content
    assert os.listdir(old.parent) == ["results.db"]


def test_the_report_of_an_old_store_is_that_of_the_upgraded_one(old, monkeypatch):
    monkeypatch.chdir(old.parent)
    first = report()
    upgrade(old)
    assert report() == first
    assert "| 70.0, 72.0 (n = 2 of 4) " in first


# -- PostgreSQL

@pytest.fixture(params=VERSIONS)
def old_database(request):
    """A PostgreSQL database with a store of an older version, as pg_dump wrote it."""
    pytest.importorskip("postgres_server")
    database = request.getfixturevalue("database")
    ask_database(database, (FROZEN / f"version-{request.param}.sql").read_text())
    return database


def ask_database(url, *statements):
    """Runs statements on a database behind the program's back; gives the rows of the last."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.connection.driver_connection.execute(statement)
        return result.fetchall() if result.description else []


CELLS = "SELECT batch_size, n, mean, sd FROM cells ORDER BY batch_size"
FINISHED = "SELECT run, status, score, config FROM results ORDER BY run"


def test_an_old_database_is_upgraded_and_its_tables_are_kept(old_database, capsys):
    (place,), = ask_database(old_database, "SELECT current_schema()")
    before = ask_database(old_database, CELLS), ask_database(old_database, FINISHED)
    (was,), = ask_database(old_database, "SELECT version FROM schema_version")
    upgrade(old_database)
    assert capsys.readouterr().err.endswith(f" was upgraded from schema version {was} to {VERSION}; the old one is in "
                                            f"its schema {place}_v{was}_backup\n")
    assert (ask_database(old_database, CELLS), ask_database(old_database, FINISHED)) == before
    assert [row[:3] for row in before[0]] == [row[:3] for row in CELLS_OF_1]
    assert ask_database(old_database, "SELECT version FROM schema_version") == [(VERSION,)]
    assert ask_database(old_database, f"SELECT count(*), sum(attempt) FROM {place}_v{was}_backup.runs") == [(7, 8)]
    assert ask_database(old_database, "SELECT failures, digest FROM runs WHERE status = 'failed'") == [(3, None)]
    upgrade(old_database)
    assert capsys.readouterr().err == ""


def test_an_upgraded_database_has_the_columns_of_a_new_one(old_database, request):
    new = request.getfixturevalue("postgres").new_place()
    upgrade(old_database)
    upgrade(new)
    columns = ("SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default FROM "
               "information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 3")
    both = [[[str(cell).replace(schema, "") for cell in row] for row in ask_database(url, columns)] for url, schema in (
        (url, ask_database(url, "SELECT current_schema()")[0][0] + ".") for url in (old_database, new))]
    assert both[0] == both[1]


def test_reading_an_old_database_says_what_to_do(old_database):
    with pytest.raises(UserError, match=r"has the old schema version \d; call one of the exp_\*\.py scripts with it"):
        Store(old_database, create=False)
    assert ask_database(old_database, "SELECT version FROM schema_version") != [(VERSION,)]


def test_an_upgrade_of_a_database_killed_after_any_statement_was_done_or_not(old_database):
    before = ask_database(old_database, CELLS)
    for number in range(1, 200, 3):
        code = in_a_fork(killed_at, old_database, number)
        assert ask_database(old_database, CELLS) == before
        if code == 0:
            break
        assert code == -signal.SIGKILL
        (found,), = ask_database(old_database, "SELECT version FROM schema_version")
        assert found < VERSION
    assert 15 < number < 190
    assert ask_database(old_database, "SELECT version FROM schema_version") == [(VERSION,)]


# -- what was recorded is what is read

@pytest.mark.parametrize("change", [
    "UPDATE evaluations SET score = 0.76", "UPDATE measurements SET value = 0.71 WHERE split = 'validation'",
    "DELETE FROM evaluations", "DELETE FROM measurements WHERE split = 'train'", "UPDATE evaluations SET row_count = 400",
    "UPDATE runs SET training_seconds = 9.0 WHERE id = 2", "UPDATE runs SET status = 'diverged' WHERE id = 2"])
def test_a_number_that_was_changed_is_noticed(store, config, owner, tmp_path, change):
    plan(store, [config], 2)
    store.record(store.find_claim(config, 1, owner), owner, make_result(evaluations=[make_evaluation(0.75, f1=None)]))
    assert store.where_altered() == []
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute(change)
    connection.close()
    assert store.where_altered() == ["run 2"]
    with pytest.raises(UserError, match=r"run 2 of .*results\.db was changed after it was recorded; restore a copy"):
        read_results(store)
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute("UPDATE runs SET set_aside = 'changed by hand' WHERE id = 2")
    connection.close()
    assert store.where_altered() == []


@pytest.mark.parametrize("change", [
    "batch_size = 16", "peak_learning_rate = 2.1e-5", "json = replace(json, ':8,', ':9,')", "json = '{'", "json = '[]'"])
def test_a_configuration_that_was_changed_is_noticed(store, config, tmp_path, change):
    plan(store, [config, make_config(batch_size=2)])
    with sqlite3.connect(tmp_path / "results.db") as connection:
        connection.execute(f"UPDATE configs SET {change} WHERE hash = ?", (config.hash,))
    connection.close()
    assert store.where_altered() == [f"configuration {config.hash[:12]}"]


def test_a_store_damaged_anywhere_is_refused_or_tells_the_truth(tmp_path, config, owner):
    """500 random bytes are smashed, or the file is cut: one sentence, or the numbers that were recorded."""
    store = Store(tmp_path / "whole.db")
    plan(store, [config], 40)
    for instance in range(40):
        store.record(store.find_claim(config, instance, owner), owner, make_result(instance / 40))
    truth = ask(tmp_path / "whole.db", "SELECT run, score, config FROM results ORDER BY run")
    store.close()
    whole, rng, outcomes = (tmp_path / "whole.db").read_bytes(), random.Random(5), Counter()
    path = tmp_path / "results.db"
    for number in range(int(os.environ.get("BERT_GLUE_CHAOS", 0)) and 300 or 40):
        place = rng.randrange(len(whole) - 512)
        path.write_bytes(whole[:place] if number % 4 == 0 else whole[:place] + rng.randbytes(512) + whole[place + 512:])
        try:
            store = Store(path, create=number % 2 == 0)
            results = read_results(store)
            assert [(run.status, run.config) for run in results.runs] == [("done", config.hash)] * 40
            assert ask(path, "SELECT run, score, config FROM results ORDER BY run") == truth
            outcomes["told the truth"] += 1
            store.close()
        except UserError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    assert outcomes["refused"] > 10
    print(f"\n| store damaged at a random place or cut | {number + 1} | {dict(outcomes)}, no traceback, no other number |")
