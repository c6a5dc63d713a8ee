"""Faults at random moments: kills, races, signals, a process that comes back from a long sleep.

CI passes a few of each; `make chaos` passes as many as docs/reliability.md says and prints what came of them.
"""
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select
from stand_in import ENVIRONMENT_ROW, Training, make_config, make_evaluation, plan
from test_driver import living_workers, wait_until

from common.demo import write_checkpoint, write_task
from common.inputs.checkpoint import get_checkpoint
from common.inputs.reading import load_glue
from common.running.processes import FreshProcesses
from common.store.schema import environments, evaluations, measurements, runs
from common.store.store import Store
from common.studies.tasks import TASKS
from common.training.job import Job
from common.training.run import train_run
from common.training.saved_state import SavedState

HERE = Path(__file__).parent
CHAOS = bool(os.environ.get("BERT_GLUE_CHAOS"))
pytestmark = pytest.mark.slow


def times(many: int, few: int) -> int:
    return many if CHAOS else few


def tell(fault: str, number: int, outcome: str) -> None:
    print(f"\n| {fault} | {number} | {outcome} |")


def ask(path: Path, statement: str) -> list:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def start(folder: Path, *arguments, program=HERE / "stand_in.py"):
    return subprocess.Popen([sys.executable, program, folder, *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"})


def recorded(folder: Path) -> dict:
    """(batch size, instance) -> when it was finished; the store proves to be whole."""
    path = folder / "results.db"
    if not path.exists() or not ask(path, "SELECT 1 FROM sqlite_master WHERE name = 'results'"):
        return {}
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    return {row[:2]: row[2:] for row in ask(path, "SELECT batch_size, instance, finished_at, run FROM results")}


# -- a study

GRID = ("--batch-sizes", 2, 8, 16, 32, 64, 128, "--instances", 4, "--seconds", 0.3)


def test_kills_at_any_moment_of_a_study(tmp_path):
    """Grids of 24 runs, one after the other, until so many calls were killed: what is recorded stays and is trained no more."""
    wanted, kills, grids, most = times(200, 8), 0, 0, 0
    rng = random.Random(1)
    while kills < wanted:
        folder, done, begun = tmp_path / str(grids), {}, Counter()
        folder.mkdir()
        grids += 1
        while len(done) < 24:
            process = start(folder, *GRID)
            try:
                _, errors = process.communicate(timeout=rng.uniform(0.2, 3) if kills < wanted else 120)
                assert (process.returncode, errors) == (0, "")
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
            now, counts = recorded(folder), Counter(Training(folder / "runs").count("begun"))
            assert done.items() <= now.items()
            assert all(counts[run] == begun[run] for run in done)
            done, begun = now, counts
        assert ask(folder / "results.db", "SELECT DISTINCT n FROM cells") == [(4,)]
        most = max(most, *begun.values())
    tell("`kill -9` of a study of 24 short runs", kills, f"{grids} grids of 24 complete, every run recorded once, no recorded "
         f"run trained again; a run was started {most} times at most")


REAL = """
import sys
from pathlib import Path
from stand_in import Silence
from test_chaos import make_job
from common.running.driver import Driver
from common.running.outbox import Outbox
from common.store.store import InputRows, Store
from common.running.planning import find_needs
from common.training.run import train_run
from common.running.processes import FreshProcesses

folder, sample = Path(sys.argv[1]), Path(sys.argv[2])
job = make_job(sample, folder)
store = Store(folder / "results.db")
needs = find_needs(store, [job.config], 1)
store.plan("real", {job.config: [0]}, 1, InputRows(job.checkpoint.row(), []))
executor = FreshProcesses(1)
Driver(store, executor, lambda config, instance: job, Silence(), Outbox(folder / "outbox", "results")).run(needs)
executor.kill()
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The demo's checkpoint and MRPC."""
    folder = tmp_path_factory.mktemp("sample")
    for name in ("checkpoint", "MRPC"):
        (folder / name).mkdir()
    write_checkpoint(folder / "checkpoint")
    write_task(TASKS["MRPC"], folder / "MRPC")
    return folder


def make_job(sample: Path, cache: Path) -> Job:
    """A run of 340 steps that saves its state after each."""
    checkpoint = get_checkpoint(str(sample / "checkpoint" / "demo_L-2_H-64_A-2.zip"), cache)
    config = make_config(data=load_glue(TASKS["MRPC"], sample / "MRPC", allow_other_rows=True).digest,
                         checkpoint=checkpoint.digest, batch_size=32, peak_learning_rate=1e-3, epochs=20)
    return Job(config, 0, checkpoint, sample / "MRPC", cache, save_seconds=0)


def train_and_leave_the_state(job, report):
    SavedState.remove = lambda self: None
    return train_run(job)


@pytest.mark.tensorflow
@pytest.mark.skipif(not CHAOS, reason="takes minutes; test_train.py kills a worker at chosen steps")
def test_kills_at_any_moment_of_a_real_run(tmp_path, sample):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    rng, while_saving = random.Random(2), 0
    resume = tmp_path / "killed" / "resume"

    def newest():
        return max((path.stat().st_mtime_ns for path in resume.glob("*.npz")), default=0)

    for _ in range(20):
        before = newest()
        process = subprocess.Popen([sys.executable, "-c", REAL, tmp_path / "killed", sample],
                                   env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"})
        wait_until(lambda: newest() > before or process.poll() is not None, 200)  # noqa: B023
        time.sleep(rng.uniform(0, 0.3))
        assert process.poll() is None, "the run was over before its kills were"
        process.kill()
        process.wait()
        time.sleep(0.3)  # until its worker has noticed
        while_saving += bool(list(resume.glob(".*.new")))
    subprocess.run([sys.executable, "-c", REAL, tmp_path / "killed", sample], check=True, timeout=300,
                   env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"})
    subprocess.run([sys.executable, "-c", REAL, tmp_path / "whole", sample], check=True, timeout=300,
                   env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parent}"})
    for view in ("SELECT split, metric, step, epoch, value FROM curves ORDER BY 1, 2, 3",
                 "SELECT evaluation_set, score, accuracy, f1, loss FROM results"):
        rows = ask(tmp_path / "killed" / "results.db", view)
        assert rows == ask(tmp_path / "whole" / "results.db", view)
        assert rows
    assert ask(tmp_path / "killed" / "results.db", "SELECT status, attempt FROM runs") == [("done", 21)]
    assert list(resume.iterdir()) == []
    tell("`kill -9` of a real run", 20, f"curves and scores bit-equal to those of a run that was not killed; {while_saving} of "
         "the kills while the state was being saved")


def test_signals_at_any_moment_of_a_study(tmp_path):
    """Stopped within ten seconds, no process left behind, nothing held, and the next call goes on."""
    rng, outcomes, slowest = random.Random(3), Counter(), 0.0
    for number in range(times(100, 4)):
        folder = tmp_path / str(number // 10)
        folder.mkdir(exist_ok=True)
        process = start(folder, *GRID, *(["--fresh"] if number % 2 else []))
        time.sleep(rng.uniform(0.5, 4))
        began = time.monotonic()
        process.send_signal(rng.choice([signal.SIGTERM, signal.SIGINT]))
        process.communicate(timeout=60)
        slowest = max(slowest, time.monotonic() - began)
        outcomes[process.returncode] += 1
        recorded(folder)
        if (folder / "runs").exists():
            wait_until(lambda: living_workers(folder) == [], 10)  # noqa: B023
    assert set(outcomes) <= {0, 130, 143, -signal.SIGTERM, -signal.SIGINT, 1}
    assert slowest < 10
    for folder in tmp_path.iterdir():
        assert start(folder, *GRID).wait(120) == 0
        assert len(recorded(folder)) == 24
    tell("Ctrl-C or SIGTERM at any moment", sum(outcomes.values()), f"stopped within {slowest:.1f} s, exit statuses "
         f"{dict(outcomes)}, no process left, every grid completed by the next call")


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_sixteen_started_together_on_a_store_that_is_not_there(tmp_path, kind, request):
    """A grid of 20 short runs: each trained by one of them, and nobody hears of a lock."""
    if kind == "PostgreSQL":
        pytest.importorskip("postgres_server")
        server = request.getfixturevalue("postgres")
    for number in range(times(20, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        place = server.new_place() if kind == "PostgreSQL" else folder / "results.db"
        processes = [start(folder, "--instances", 4, "--seconds", 0.2, "--db", place) for _ in range(times(16, 6))]
        said = [process.communicate(timeout=300) for process in processes]
        assert [(process.returncode, *words) for process, words in zip(processes, said, strict=True)] == [(0, "", "")] * len(said)
        begun = Training(folder / "runs").count("begun")
        assert begun == {(size, instance): 1 for size in (2, 8, 16, 32, 64) for instance in range(4)}
        store = Store(place, create=False)
        with store.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*), count(DISTINCT run) FROM results").one() == (20, 20)
        store.close()
    tell(f"{len(processes)} processes on one new {kind} store", number + 1,
         "every run trained once, by one of them; no message about a lock")


def test_one_that_comes_back_from_a_long_sleep_changes_nothing(tmp_path):
    """A is another machine, by its name; it is stopped for longer than its lease, and B trains its run."""
    for number in range(times(10, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        one = ("--batch-sizes", 2, "--instances", 1, "--lease", 2)
        sleeper = start(folder, *one, "--seconds", 2, "--host", "elsewhere")
        wait_until(lambda: Training(folder / "runs").count("begun"))  # noqa: B023
        sleeper.send_signal(signal.SIGSTOP)
        successor = start(folder, *one, "--seconds", 0.1)
        assert successor.communicate(timeout=60) == ("", "")
        before = ask(folder / "results.db", "SELECT * FROM runs"), ask(folder / "results.db", "SELECT * FROM results")
        sleeper.send_signal(signal.SIGCONT)
        assert sleeper.communicate(timeout=60) == ("", "")
        assert (successor.returncode, sleeper.returncode) == (0, 0)
        assert (ask(folder / "results.db", "SELECT * FROM runs"), ask(folder / "results.db", "SELECT * FROM results")) == before
        assert ask(folder / "results.db", "SELECT attempt FROM runs") == [(2,)]
    tell("stopped (SIGSTOP) for longer than the lease", number + 1,
         "the successor's result is kept, the stopped process ends with status 0")


# -- a report

WRITE = """
import pathlib
from common.report import write_report
write_report("new" * 100000, {"a.png": b"new" * 100000, "b.png": b"new"}, pathlib.Path("REPORT.md"))
"""


@pytest.fixture
def old_report(tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("REPORT.md", "figures/a.png", "figures/b.png"):
        (tmp_path / name).write_bytes(b"old")
    return tmp_path


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace to kill at a system call")
@pytest.mark.parametrize("call", ["openat", "write", "fsync", "rename"])
def test_a_report_killed_at_any_system_call_is_the_old_or_the_new_one(old_report, call):
    """The N-th call of that kind is the process's last, for every N; openat: the last hundred, which are those of the files."""
    def run(number, *more):
        return subprocess.run(["strace", "-f", "-qq", "-o", old_report / "trace", "-e", f"trace={call}", *more, sys.executable,
                               "-c", WRITE], cwd=old_report, env=os.environ | {"PYTHONPATH": str(HERE.parent)})

    assert run(0).returncode == 0
    calls = len((old_report / "trace").read_text().splitlines())
    assert calls >= 3
    outcomes = Counter()
    for number in range(max(1, calls - times(60, 9)), calls + 1):
        for name in ("REPORT.md", "figures/a.png", "figures/b.png"):
            (old_report / name).write_bytes(b"old")
        run(number, "-e", f"inject={call}:signal=SIGKILL:when={number}")
        contents = {name: (old_report / name).read_bytes() for name in ("REPORT.md", "figures/a.png", "figures/b.png")}
        assert contents["REPORT.md"] in (b"old", b"new" * 100000)
        assert contents["figures/a.png"] in (b"old", b"new" * 100000)
        assert contents["figures/b.png"] in (b"old", b"new")
        outcomes[contents["REPORT.md"][:3].decode()] += 1
    assert run(0).returncode == 0
    assert sorted(os.listdir(old_report)) == ["REPORT.md", "figures", "trace"]
    assert sorted(os.listdir(old_report / "figures")) == ["a.png", "b.png"]
    tell(f"`kill -9` while the report is written, at each `{call}`", sum(outcomes.values()),
         f"complete each time: {dict(outcomes)}")


def test_a_report_killed_at_any_moment_is_the_old_or_the_new_one(tmp_path):
    shutil.copy(HERE / "stores" / "version-1.db", tmp_path / "results.db")
    command = [sys.executable, HERE.parent / "make_report.py"]
    began = time.monotonic()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    seconds, rng, outcomes = time.monotonic() - began, random.Random(4), Counter()
    new, figures = (tmp_path / "REPORT.md").read_bytes(), {path: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    for _ in range(times(100, 3)):
        for path in ("REPORT.md", *figures):
            (tmp_path / path).write_bytes(b"old")
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.7 * seconds, 1.1 * seconds))
        process.kill()
        process.wait()
        assert (tmp_path / "REPORT.md").read_bytes() in (b"old", new)
        assert all(path.read_bytes() in (b"old", content) for path, content in figures.items())
        outcomes["new" if (tmp_path / "REPORT.md").read_bytes() == new else "old"] += 1
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert sorted(os.listdir(tmp_path)) == ["REPORT.md", "figures", "results.db"]
    assert {path: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == figures
    tell("`kill -9` of make_report.py", sum(outcomes.values()), f"REPORT.md complete each time: {dict(outcomes)}")


# -- the same numbers

@pytest.mark.tensorflow
@pytest.mark.skipif(not CHAOS, reason="takes minutes; test_train.py has two workers and one order")
def test_bert_mini_gives_the_same_bits_in_any_worker_and_order(tmp_path):
    """The stand-in checkpoint of BERT-mini's size on MRPC: three configurations, in two orders, on one and on three workers."""
    data = os.environ.get("BERT_GLUE_TEST_DATA")
    if not data:
        pytest.skip("BERT_GLUE_TEST_DATA does not say where a checkpoint of BERT-mini's size is")
    checkpoint = get_checkpoint(str(next(Path(data, "checkpoints").glob("*L-4_H-256_A-4*"))), tmp_path)
    folder = Path(data, "glue_data", "MRPC")
    digest = load_glue(TASKS["MRPC"], folder).digest
    jobs = [Job(make_config(data=digest, checkpoint=checkpoint.digest, batch_size=size, steps=10), instance, checkpoint, folder,
                tmp_path) for size, instance in ((8, 0), (32, 0), (32, 1))]
    measured = []
    for workers, order in ((1, jobs), (3, jobs[::-1]), (1, jobs[::-1])):
        with FreshProcesses(workers) as processes:
            results = [processes.submit(train_run, job) for job in order]
            found = [(each.result().measurements, each.result().evaluations) for each in results]
            measured.append(found if order == jobs else found[::-1])
    assert measured[0] == measured[1] == measured[2]
    assert len({repr(result) for result in measured[0]}) == 3
    tell("three runs of BERT-mini's size in other workers and order", 9, "curves and scores bit-equal")


# -- a large store

QUESTIONS = (
    "SELECT * FROM results", "SELECT * FROM results WHERE task = 'MRPC' AND batch_size = 8 ORDER BY score",
    "SELECT * FROM cells", "SELECT * FROM cells WHERE task = 'MRPC' ORDER BY mean DESC LIMIT 1",
    "SELECT epoch, metric, value FROM curves WHERE run = 5000 AND split = 'validation' ORDER BY epoch",
    "SELECT * FROM curves WHERE task = 'MRPC' AND batch_size = 8 AND metric = 'accuracy'",
    "SELECT r.* FROM results r JOIN cells c USING (config, evaluation_set) "
    "WHERE r.training_seconds > 2 * c.mean_training_seconds")


@pytest.mark.skipif(not CHAOS, reason="fills a store with half a million rows")
def test_the_views_of_ten_thousand_runs_answer_at_once(store, tmp_path):
    """1,250 configurations with 8 instances each and 50 measurements a run."""
    sizes, rates = (2, 4, 8, 16, 32), [rate * 1e-6 for rate in range(1, 51)]
    plan(store, [make_config(task=task, batch_size=size, peak_learning_rate=rate)
                 for task in ("MRPC", "RTE", "CoLA", "SST-2", "MNLI") for size in sizes for rate in rates], 8)
    with store.engine.begin() as connection:
        connection.execute(environments.insert().values(**ENVIRONMENT_ROW))
        connection.execute(runs.update().values(status="done", training_seconds=100.0, environment=ENVIRONMENT_ROW["digest"]))
        numbers = connection.execute(select(runs.c.id)).scalars().all()
        connection.execute(evaluations.insert(), [{"run": run, **make_evaluation(run / 10_000)} for run in numbers])
        connection.execute(measurements.insert(), [
            {"run": run, "split": split, "metric": metric, "step": step, "epoch": step / 5, "value": 0.5}
            for run in numbers for split, metric, steps in (("train", "loss", 20), ("train", "learning_rate", 20),
                                                            ("validation", "loss", 5), ("validation", "accuracy", 5))
            for step in range(steps)])
    assert len(numbers) == 10_000
    slowest = 0.0
    with contextlib.closing(sqlite3.connect(tmp_path / "results.db")) as connection:
        for question in QUESTIONS:
            seconds = []
            for _ in range(5):
                began = time.process_time()
                connection.execute(question).fetchall()
                seconds.append(time.process_time() - began)
            slowest = max(slowest, min(seconds))
    assert slowest < 0.1
    tell("queries on the views of 10,000 runs with 500,000 measurements", len(QUESTIONS),
         f"{1000 * slowest:.0f} ms of a processor at most")
