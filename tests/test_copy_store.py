"""Copying and merging stores: nothing lost, nothing twice, and no choice made where two stores differ."""
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from stand_in import ENVIRONMENT_ROW, make_config, make_evaluation, make_result, plan
from test_schema import in_a_fork

import copy_store
from common.store.owner import Owner
from common.store.store import RunLost, Store

ROOT = Path(__file__).parent.parent
ELSEWHERE = Owner("elsewhere", "boot", 1, "7")
TABLES = ("checkpoints", "datasets", "environments", "configs", "runs", "evaluations", "measurements", "outputs", "labels",
          "studies")
EIGHT, TWO = make_config(), make_config(batch_size=2)


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request, tmp_path, monkeypatch):
    """Where there is no store yet."""
    if request.param == "sqlite":
        return str(tmp_path / "to.db")
    database = sa.make_url(request.getfixturevalue("database"))
    monkeypatch.setenv("PGPASSWORD", database.password)
    return database._replace(password=None).render_as_string()


on_sqlite = pytest.mark.parametrize("target", ["sqlite"], indirect=True)


def sql(address, statement):
    """Runs one statement behind the program's back; gives the rows."""
    engine = sa.create_engine(address if "://" in address else f"sqlite:///{address}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def rows(address):
    """Table -> all its rows."""
    order = {"measurements": "1, 2, 3, 4"}
    return {table: sql(address, f"SELECT * FROM {table} ORDER BY {order.get(table, '1, 2')}") for table in TABLES}


def scores(address):
    """(batch size, instance) -> score of every finished run."""
    return {row[:2]: row[2] for row in sql(address, "SELECT batch_size, instance, score FROM results")}


def fill(address, results, study="bs_mrpc", instances=None, owner=ELSEWHERE):
    """A store of finished runs: configuration -> instance -> result, or the error of a failed run, or "pending", "running"."""
    store = Store(address)
    for config, found in results.items():
        plan(store, [config], instances or max(found) + 1, study=study)
        for instance, result in found.items():
            if result == "pending":
                continue
            claim = store.find_claim(config, instance, owner)
            if isinstance(result, str):
                if result != "running":
                    store.fail(claim, owner, result)
            else:
                store.record(claim, owner, result)
    store.close()
    return str(address)


@pytest.fixture
def source(tmp_path):
    """from.db with a run of every kind that is not being trained, and two studies."""
    diverged = make_result(diverged=True, evaluations=[], measurements=[
        ("train", "loss", 1, 0.1, 0.1 + 0.2), ("train", "loss", 2, 0.2, float("nan")), ("train", "loss", 3, 0.3, float("-inf"))])
    output = {"evaluation_set": "dev", "width": 1, "content": "01"}
    other = make_result(0.1 + 0.2, outputs=[output], environment=ENVIRONMENT_ROW | {"digest": "f" * 64, "host": "there"})
    address = fill(tmp_path / "from.db", {EIGHT: {0: make_result(0.7), 1: diverged, 2: other}, TWO: {
        0: "out of memory", 1: "pending"}})
    fill(address, {EIGHT: {}}, study="why_bs", instances=4)
    sql(address, "UPDATE runs SET set_aside = 'fan was broken' WHERE id = 1")
    return address


def test_a_store_comes_back_row_for_row(source, target, tmp_path, capsys):
    before = rows(source)
    assert [len(table) for table in before.values()] == [1, 2, 2, 2, 6, 2, 7, 1, 0, 3]
    assert copy_store.main([source, target]) == 0
    name = sa.make_url(target).set(query={}).render_as_string() if "://" in target else target
    assert capsys.readouterr() == (
        f"{name}: 3 finished and 3 unfinished runs added, 0 are there already, 0 differ\n", "")
    assert rows(target) == before
    assert copy_store.main([target, str(tmp_path / "back.db")]) == 0
    assert rows(str(tmp_path / "back.db")) == before == rows(source)


def test_copying_twice_adds_nothing(source, target, capsys):
    copy_store.main([source, target])
    before = rows(target)
    capsys.readouterr()
    assert copy_store.main([source, target]) == 0
    assert capsys.readouterr().out.endswith(": 0 finished and 0 unfinished runs added, 6 are there already, 0 differ\n")
    assert rows(target) == before


def test_two_stores_become_one(tmp_path, target, capsys):
    fill(target, {EIGHT: {0: make_result(0.70), 1: make_result(0.71)}}, instances=4)
    slower = make_result(0.71, training_seconds=99.0, total_seconds=100.0, environment=ENVIRONMENT_ROW | {"digest": "f" * 64})
    source = fill(tmp_path / "from.db", {TWO: {0: make_result(0.60)}, EIGHT: {1: slower, 2: make_result(0.72)}})
    assert copy_store.main([source, target]) == 0
    assert capsys.readouterr().out.endswith(": 2 finished and 0 unfinished runs added, 2 are there already, 0 differ\n")
    assert scores(target) == {(8, 0): 0.70, (8, 1): 0.71, (8, 2): 0.72, (2, 0): 0.60}
    assert sql(target, "SELECT batch_size, mean, n FROM cells ORDER BY 1") == [(2, 0.60, 1), (8, pytest.approx(0.71), 3)]
    assert sql(target, "SELECT training_seconds FROM runs WHERE instance = 1") == [(10.0,)]
    assert sql(target, "SELECT c.batch_size, s.instances FROM studies s JOIN configs c ON c.hash = s.config ORDER BY 1") == [
        (2, 1), (8, 4)]
    assert sql(target, "SELECT DISTINCT split, value FROM curves ORDER BY 1") == [("train", 0.6), ("validation", 0.7)]
    assert sql(target, "SELECT count(*) FROM measurements") == [(8,)]


def test_predictions_come_to_a_run_that_is_there_without_them(tmp_path, target, capsys):
    fill(target, {EIGHT: {0: make_result(0.70), 1: make_result(0.71)}})
    output = {"evaluation_set": "dev", "width": 1, "content": "0110"}
    source = fill(tmp_path / "from.db", {EIGHT: {0: make_result(0.70, total_seconds=99.0, outputs=[output]),
                                                 1: make_result(0.72, outputs=[output])}})
    assert copy_store.main([source, target]) == 1
    assert capsys.readouterr().out.endswith(
        ": 0 finished and 0 unfinished runs added, 1 are there already, 1 differ; 1 of those there got their predictions of "
        "rows\n")
    assert sql(target, "SELECT run, sum(predicted) FROM predictions GROUP BY run") == [(1, 2)]
    store = Store(target)
    assert store.where_altered() == []
    store.close()


# -- contradictions

def test_runs_that_differ_are_listed_and_stay_as_they_are(tmp_path, target, capsys):
    fill(target, {EIGHT: {0: make_result(0.70), 1: make_result(0.71)}})
    source = fill(tmp_path / "from.db", {EIGHT: {0: make_result(0.75), 1: make_result(0.71), 2: make_result(0.72)}})
    before = sql(target, "SELECT * FROM runs WHERE instance < 2 ORDER BY id")
    assert copy_store.main([source, target]) == 1
    output, errors = capsys.readouterr()
    assert output.endswith(": 1 finished and 0 unfinished runs added, 1 are there already, 1 differ\n")
    assert errors == "differs: MRPC batch=8 rate=2e-5 instance=0: dev 0.75 in FROM, 0.7 in TO\n"
    assert scores(target) == {(8, 0): 0.70, (8, 1): 0.71, (8, 2): 0.72}
    assert sql(target, "SELECT * FROM runs WHERE instance < 2 ORDER BY id") == before
    assert copy_store.main([source, target]) == 1


@on_sqlite
@pytest.mark.parametrize("other, told", [
    (make_result(0.75, evaluations=[make_evaluation(0.75), make_evaluation(0.8, evaluation_set="ax")]),
     "ax 0.8 in FROM, no score in TO; dev 0.75 in FROM, 0.75 in TO"),
    (make_result(0.75, diverged=True, evaluations=[]), "dev no score in FROM, 0.75 in TO"),
    (make_result(0.75, diverged=True), "the same scores, other measurements"),
    (make_result(0.75, evaluations=[make_evaluation(0.75, loss=0.50001)]), "the same scores, other measurements"),
    (make_result(0.75, measurements=[("train", "loss", 435, 1.0, 0.6)]), "the same scores, other measurements")])
def test_any_measurement_makes_a_difference(tmp_path, target, capsys, other, told):
    fill(target, {EIGHT: {0: make_result(0.75)}})
    before = rows(target)
    assert copy_store.main([fill(tmp_path / "from.db", {EIGHT: {0: other}}), target]) == 1
    assert capsys.readouterr().err == f"differs: MRPC batch=8 rate=2e-5 instance=0: {told}\n"
    assert rows(target) == before


@on_sqlite
def test_a_difference_is_settled_by_setting_the_wrong_one_aside(tmp_path, target, capsys):
    """Either way: the store with the wrong one is copied into the other."""
    fill(target, {EIGHT: {0: make_result(0.70)}})
    source = fill(tmp_path / "from.db", {EIGHT: {0: make_result(0.75)}})
    sql(source, "UPDATE runs SET set_aside = 'fan was broken'")
    assert copy_store.main([source, target]) == 0
    assert scores(target) == {(8, 0): 0.70}
    assert copy_store.main([target, source]) == 1  # what counts in FROM is not in TO
    assert sql(source, "SELECT set_aside FROM runs") == [("fan was broken",)]
    assert "dev 0.7 in FROM, 0.75 in TO" in capsys.readouterr().err


# -- runs that are not finished, or left out

@on_sqlite
@pytest.mark.parametrize("ours, theirs, becomes", [
    ("running", None, ("pending", 1, None, 0)),
    ("ours is out", None, ("failed", 1, "ours is out", 1)),
    ("ours is out", "pending", ("pending", 0, None, 0)),
    ("ours is out", "theirs is out", ("failed", 1, "theirs is out", 1)),
    ("pending", "theirs is out", ("failed", 1, "theirs is out", 1)),
    ("running", make_result(), ("done", 1, None, 0)),
    (make_result(), "theirs is out", ("done", 1, None, 0)),
    (make_result(), "pending", ("done", 1, None, 0))])
def test_the_finished_run_wins_and_else_that_of_the_target(tmp_path, target, ours, theirs, becomes):
    if theirs is not None:
        fill(target, {EIGHT: {0: theirs}})
    source = fill(tmp_path / "from.db", {EIGHT: {0: ours}})
    before = rows(source)
    assert copy_store.main([source, target]) == 0
    assert sql(target, "SELECT status, attempt, error, failures FROM runs") == [becomes]
    assert sql(target, "SELECT owner FROM runs") == [(None,)]
    assert len(scores(target)) == (becomes[0] == "done")
    assert rows(source) == before


def test_who_trains_what_was_copied_meanwhile_finds_it_taken_over(tmp_path, target, owner, capsys):
    fill(target, {EIGHT: {0: "pending", 1: "pending"}})
    store = Store(target)
    claims = [store.find_claim(EIGHT, instance, owner) for instance in range(2)]
    source = fill(tmp_path / "from.db", {EIGHT: {0: make_result(0.7), 1: "pending"}})
    assert copy_store.main([source, target]) == 0
    assert capsys.readouterr().out.endswith(": 1 finished and 0 unfinished runs added, 1 are there already, 0 differ\n")
    with pytest.raises(RunLost):
        store.record(claims[0], owner, make_result(0.8))
    store.record(claims[1], owner, make_result(0.9))
    store.close()
    assert scores(target) == {(8, 0): 0.7, (8, 1): 0.9}


@on_sqlite
def test_what_is_set_aside_in_either_store_is_set_aside(tmp_path, target, capsys):
    results = {EIGHT: {0: make_result(0.70), 1: make_result(0.71), 2: make_result(0.72), 3: make_result(0.73)}}
    fill(target, results)
    source = fill(tmp_path / "from.db", results)
    for address, instances, reason in ((source, "(0, 1)", "FROM says so"), (target, "(1, 2)", "TO says so")):
        sql(address, f"UPDATE runs SET set_aside = '{reason}' WHERE instance IN {instances}")
    assert copy_store.main([source, target]) == 0
    assert capsys.readouterr().out.endswith(
        ": 0 finished and 0 unfinished runs added, 4 are there already, 0 differ; 1 of those there were set aside as in FROM\n")
    assert sql(target, "SELECT set_aside FROM runs ORDER BY instance") == [
        ("FROM says so",), ("TO says so",), ("TO says so",), (None,)]


# -- dry runs

def test_a_dry_run_says_it_and_changes_nothing(tmp_path, target, capsys):
    fill(target, {EIGHT: {0: make_result(0.70), 1: make_result(0.71)}})
    source = fill(tmp_path / "from.db", {EIGHT: {0: make_result(0.75), 1: make_result(0.71), 2: make_result(0.72), 3: "pending"}})
    sql(source, "UPDATE runs SET set_aside = 'fan was broken' WHERE instance = 1")
    before = rows(target)
    assert copy_store.main([source, target, "--dry-run"]) == 1
    output, errors = capsys.readouterr()
    assert output.endswith(": 1 finished and 1 unfinished runs would be added, 1 are there already, 1 differ; 1 of those there "
                           "would be set aside as in FROM\n")
    assert errors == "differs: MRPC batch=8 rate=2e-5 instance=0: dev 0.75 in FROM, 0.7 in TO\n"
    assert rows(target) == before


def test_a_dry_run_makes_no_store(source, target, capsys):
    assert copy_store.main([source, target, "--dry-run"]) == 0
    assert capsys.readouterr().out == ("TO, which will be created: 3 finished and 3 unfinished runs would be added, 0 are there "
                                       "already, 0 differ\n")
    assert not os.path.exists(target)
    if "://" in target:
        assert sql(target, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()") == [(0,)]


# -- kills and races

def copy_killed_at(source, target, number):
    """A copy whose process is killed after its writing statement of that number."""
    done = iter(range(1, 1000))

    def count(_connection, _cursor, statement, *_):
        if statement.startswith(("INSERT", "UPDATE")) and next(done) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", count)
    sys.exit(copy_store.main([source, target]))


def test_a_copy_killed_after_any_statement_was_done_or_not(source, target):
    fill(target, {EIGHT: {0: "pending", 3: make_result(0.9)}})
    before = rows(target)
    for number in range(1, 100):
        code = in_a_fork(copy_killed_at, source, target, number)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert rows(target) == before
    assert number == 13  # checkpoints (3), datasets, environments, configs, runs (2), studies, evaluations, measurements, outputs
    assert scores(target) == {(8, 2): 0.1 + 0.2, (8, 3): 0.9, (8, 1): None}


def start(*arguments):
    return subprocess.Popen([sys.executable, ROOT / "copy_store.py", *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def test_copies_at_once_into_a_store_that_is_not_there_yet(tmp_path, target):
    sources = [fill(tmp_path / f"{size}.db", {make_config(batch_size=size): {0: make_result(size / 100)},
                                              make_config(batch_size=64): {k: make_result(k / 10) for k in range(6)}})
               for size in (2, 8, 16)]
    copies = [start(source, target) for source in sources]
    told = [(*copy.communicate(timeout=60), copy.returncode) for copy in copies]
    assert [(errors, status) for _, errors, status in told] == [("", 0)] * 3
    added = sorted(int(output.partition(": ")[2].split()[0]) for output, _, _ in told)
    assert added == [1, 1, 7]
    assert scores(target) == {(2, 0): 0.02, (8, 0): 0.08, (16, 0): 0.16} | {(64, k): k / 10 for k in range(6)}
    assert sql(target, "SELECT count(*) FROM measurements") == [(18,)]


def test_two_stores_copied_into_each_other_at_once(tmp_path, target):
    fill(target, {EIGHT: {k: make_result(k / 10) for k in range(6)}})
    source = fill(tmp_path / "from.db", {TWO: {k: make_result(k / 10) for k in range(6)}})
    copies = [start(source, target), start(target, source)]
    assert [(copy.communicate(timeout=60)[1], copy.returncode) for copy in copies] == [("", 0)] * 2
    assert scores(source) == scores(target) == {(size, k): k / 10 for size in (2, 8) for k in range(6)}


def test_ctrl_c_says_what_is_there(source, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "add", stop)
    assert copy_store.main([source, str(tmp_path / "to.db")]) == 130
    assert capsys.readouterr().err == "stopped; TO has all of FROM or nothing of it; call again to copy it\n"


# -- older stores

def test_an_older_store_is_copied_and_stays_as_it_is(tmp_path, target, capsys):
    source = shutil.copy(ROOT / "tests" / "stores" / "version-1.db", tmp_path / "from.db")
    before = source.read_bytes()
    assert copy_store.main([str(source), target]) == 0
    assert capsys.readouterr().out.endswith(": 5 finished and 2 unfinished runs added, 0 are there already, 0 differ\n")
    assert source.read_bytes() == before
    assert sql(target, "SELECT DISTINCT digest FROM runs") == [(None,)]
    assert len(scores(target)) == 4


def test_an_older_target_is_upgraded_after_a_backup(source, tmp_path, capsys):
    target = tmp_path / "to.db"
    shutil.copy(ROOT / "tests" / "stores" / "version-1.db", target)
    before = target.read_bytes()
    assert copy_store.main([source, str(target), "--dry-run"]) == 0
    assert "upgraded" not in capsys.readouterr().err
    assert target.read_bytes() == before
    assert copy_store.main([source, str(target)]) == 0
    assert "was upgraded from schema version 1 to 6; the old one is in " in capsys.readouterr().err
    assert (tmp_path / "to.db.v1-backup").exists()


# -- what the user must mend

@pytest.mark.parametrize("arguments, sentence", [
    (["none.db", "to.db"],
     "there is no results store at none.db; run one of the exp_*.py scripts first or name another with FROM"),
    (["from.db", "./from.db"], "FROM and TO are the same store; name two"),
    (["from.db", "photos.db"],
     "the database photos.db belongs to another program (it has the table 'photos'); name another with TO"),
    (["photos.db", "to.db"],
     "the database photos.db belongs to another program (it has the table 'photos'); name another with FROM"),
    (["photos.db", "none.db", "--dry-run"],
     "the database photos.db belongs to another program (it has the table 'photos'); name another with FROM"),
    (["from.db", "notes.txt"],
     "the results store notes.txt cannot be read: the file is not an SQLite database; name another with TO (file is not a "
     "database)"),
    (["from.db", "nowhere/to.db"],
     "the folder of the results store nowhere/to.db does not exist; create it or name another place with TO"),
    (["from.db", ""], "the results store has no name; name a file with TO"),
    (["://", "to.db"],
     "the FROM address is neither a path nor a database URL such as postgresql+psycopg://user@host/name"),
    (["altered.db", "to.db"], 'run 1 of altered.db was changed after it was recorded; restore a copy of the store, or set such '
                              'runs aside (docs/stores.md)'),
    (["torn.db", "to.db"], "rows of the results store torn.db are missing or inconsistent "
                           "(FOREIGN KEY constraint failed); restore a copy of it")])
def test_what_the_user_must_fix_is_one_sentence(source, tmp_path, monkeypatch, capsys, arguments, sentence):
    """And nothing is copied."""
    monkeypatch.chdir(tmp_path)
    sql("photos.db", "CREATE TABLE photos (name TEXT)")
    Path("notes.txt").write_text("no database " * 100)
    fill("altered.db", {EIGHT: {0: make_result(0.7)}})
    sql("altered.db", "UPDATE evaluations SET score = 0.8")
    fill("torn.db", {EIGHT: {0: "pending"}})
    connection = sqlite3.connect("torn.db", isolation_level=None)
    connection.execute("UPDATE runs SET environment = 'unknown'")
    connection.close()
    assert copy_store.main(arguments) == 2
    assert capsys.readouterr() == ("", f"error: {sentence}\n")
    assert not Path("to.db").exists() or sql("to.db", "SELECT count(*) FROM configs") == [(0,)]
    assert not Path("none.db").exists()


@pytest.mark.parametrize("arguments", [[], ["from.db"], ["a.db", "b.db", "c.db"], ["a.db", "b.db", "--dry"],
                                       ["postgresql+psycopg://anna:s3cret@host/results", "to.db"]])
def test_wrong_words_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        copy_store.main(arguments)
    assert stopped.value.code == 2
    assert "s3cret" not in capsys.readouterr().err


def test_nothing_heavy_is_imported(source, tmp_path):
    for arguments, heavy in ((["--help"], ["tensorflow", "sqlalchemy", "numpy"]), ([source, "to.db"], ["tensorflow", "numpy"])):
        code = f"""import sys, copy_store
try: copy_store.main({arguments})
except SystemExit: pass
print([name for name in {heavy} if name in sys.modules])"""
        done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
                              capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
