"""The commands as a user types them, on the demo's sample: real processes, real signals."""
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder to work in, with a short demo study in it."""
    folder = tmp_path_factory.mktemp("user")
    done = call(folder, "exp_bs_mrpc.py", "--demo", "--instances", "1", "--batch-sizes", "8", "32", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    return folder


def call(folder, script, *arguments):
    return subprocess.run(command(script, *arguments), cwd=folder, env=clean(), capture_output=True, text=True, timeout=300)


def command(script, *arguments):
    return [sys.executable, str(ROOT / script), *arguments]


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith("BERT_GLUE")}


def ask(store, query):
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_demo_learns_and_its_runs_are_in_the_store(folder):
    rows = ask(folder / "demo" / "results.db", "select batch_size, row_count, status from results order by batch_size")
    assert rows == [(8, 240, "done"), (32, 240, "done")]
    (best,) = ask(folder / "demo" / "results.db", "select max(accuracy) from results")
    assert best[0] > 0.85
    assert sorted(os.listdir(folder)) == ["demo"]


def test_second_call_trains_nothing_and_is_quick(folder):
    store = folder / "demo" / "results.db"
    before = store.read_bytes()
    began = time.monotonic()
    done = call(folder, "exp_bs_mrpc.py", "--demo", "--instances", "1", "--batch-sizes", "8", "32", "--epochs", "3")
    assert time.monotonic() - began < 5
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "2 runs of the study are in demo/results.db; nothing was missing\n"
    assert store.read_bytes() == before


def test_one_more_instance_trains_one_more_for_each_configuration(folder):
    done = call(folder, "exp_bs_mrpc.py", "--demo", "--instances", "2", "--batch-sizes", "32", "--epochs", "3")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0].startswith("1 run to train, ")
    assert ask(folder / "demo" / "results.db", "select batch_size, count(*) from results group by 1") == [(8, 1), (32, 2)]


def test_what_is_to_be_kept_of_runs_that_are_there_is_made_and_the_store_stays(folder):
    store = folder / "demo" / "results.db"
    before = store.read_bytes()
    given = ["exp_bs_mrpc.py", "--demo", "--instances", "1", "--batch-sizes", "32", "--epochs", "3", "--save-models", "models"]
    plan = call(folder, *given, "--dry-run")
    assert "\n1 run would be trained again, for files that are missing, about " in plan.stdout
    assert not (folder / "models").exists()
    done = call(folder, *given)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("1 run to train again, for files that are missing, ")
    assert "note:" not in done.stderr  # the same score as in the store
    (model,) = (folder / "models").iterdir()
    assert model.name.startswith("MRPC-batch32-rate0.001-") and model.name.endswith("-instance0")
    done = call(folder, *given)
    assert done.stderr == "1 run of the study is in demo/results.db; nothing was missing\n"

    done = call(folder, *given, "--predict-test", "predictions", "--tensorboard", "curves")  # from the classifier there
    assert done.returncode == 0, done.stderr
    assert "the curves of 1 run are in curves; tensorboard --logdir curves shows them\n" in done.stderr
    assert os.listdir(folder / "curves") == [model.name]
    (predictions,) = (folder / "predictions").iterdir()
    assert predictions.name == model.name and os.listdir(predictions) == ["MRPC.tsv"]
    header, *rows = [line.split("\t") for line in (predictions / "MRPC.tsv").read_text().splitlines()]
    assert header == ["index", "prediction"] and [number for number, _ in rows] == [str(number) for number in range(240)]
    assert {label for _, label in rows} <= {"0", "1"}
    assert store.read_bytes() == before


def test_report_of_the_demo_says_what_it_is(folder):
    done = call(folder, "make_report.py", "--demo")
    assert done.returncode == 0, done.stderr
    text = (folder / "demo" / "REPORT.md").read_text()
    assert "sample" in text
    first = {path: path.read_bytes() for path in (folder / "demo").rglob("*.png")}
    assert first
    assert call(folder, "make_report.py", "--demo").returncode == 0
    assert (folder / "demo" / "REPORT.md").read_text() == text
    assert {path: path.read_bytes() for path in (folder / "demo").rglob("*.png")} == first


def started(folder, store, batch_size="2"):
    """A study at work: its process, once a run of it is being trained."""
    process = subprocess.Popen(
        command("exp_bs_mrpc.py", "--checkpoint", "demo/input/checkpoint/demo_L-2_H-64_A-2.zip", "--glue-dir", "demo/input",
                "--allow-other-rows", "--instances", "1", "--batch-sizes", batch_size, "--epochs", "3", "--rates", "1e-3",
                "--db", store), cwd=folder, env=clean(), stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        if (folder / store).exists() and ask(folder / store, "select name from sqlite_master where name = 'runs'") and \
                ask(folder / store, "select 1 from runs where status = 'running'") and len(workers_of(process)) >= 1:
            return process
        time.sleep(0.2)
    raise AssertionError(process.communicate())


def workers_of(process):
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_leave_nothing_half_written(folder, number, status):
    store = f"signal{status}.db"
    process = started(folder, store)
    children = workers_of(process)
    began = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == status
    assert "call again to go on" in errors
    assert "Traceback" not in errors
    assert ask(folder / store, "select status, failures, owner from runs") == [("pending", 0, None)]
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_killed_study_goes_on_at_once_and_gives_the_same_numbers(folder):
    process = started(folder, "killed.db", batch_size="8")
    children = workers_of(process)
    time.sleep(3)
    process.kill()
    process.communicate()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    again = started(folder, "killed.db", batch_size="8")
    again.communicate(timeout=200)
    assert again.returncode == 0
    assert ask(folder / "killed.db", "select status, attempt from runs") == [("done", 2)]
    assert ask(folder / "killed.db", "pragma integrity_check") == [("ok",)]
    query = """select split, metric, step, value from curves where batch_size = 8 and instance = 0 order by 1, 2, 3"""
    assert ask(folder / "killed.db", query) == ask(folder / "demo" / "results.db", query)
