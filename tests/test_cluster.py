"""A Dask cluster as the executor: a real scheduler and three real workers, which are killed, and pretended training but for
the last test."""
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import dask_cluster
import numpy as np
import psutil
import pytest
from dask_cluster import ROOT, Cluster, kill_tree
from safetensors.numpy import load_file
from stand_in import Training, make_config, make_input, report_steps
from test_driver import living_workers, wait_until

from common import UserError
from common.inputs.checkpoint import CHECKPOINT_FILES
from common.running.dask import members, worker
from common.running.dask.cluster import DaskCluster
from common.running.executor import NoWorkers
from common.training.environment import software
from common.training.job import Job

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and three workers; who kills one of them starts it again."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start_scheduler()
        cluster.workers = [cluster.start_worker() for _ in range(3)]
        yield cluster
    finally:
        cluster.stop()


def start(folder, address, *arguments):
    """A driver in a process and a group of its own."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, HERE / "stand_in.py", folder, "--cluster", address, *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def finish(process):
    """Exit status, stdout, and stderr without the line that is there only where workers are slow to come."""
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, re.sub("waiting for workers of .*\n", "", errors)


def ask(folder, statement):
    connection = sqlite3.connect(folder / "results.db")
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


STOPPED = "stopped; finished runs are in the store, call again to go on\n"
STATES = "SELECT status, owner, failures, count(*) FROM runs GROUP BY 1, 2, 3 ORDER BY 1"


def begun_but_not_ended(training):
    begun, ended = training.count("begun"), training.count("ended")
    return {run for run in begun if begun[run] > ended.get(run, 0)}


# -- faults

def test_a_worker_killed_in_the_middle_of_a_run_costs_nothing_but_time(cluster, tmp_path):
    """Its nanny starts another one, which is used in its turn; a training process that dies costs its own run alone."""
    driver = start(tmp_path, cluster.address, "--batch-sizes", 2, 5, 8, 16, "--instances", 3, "--seconds", 0.5)
    training = Training(tmp_path / "runs")
    wait_until(lambda: len(begun_but_not_ended(training)) == 3)
    lost = begun_but_not_ended(training)
    (worker,) = (child for child in psutil.Process(cluster.workers[0].pid).children() if "spawn_main(" in child.cmdline()[-2])
    worker.kill()
    lost |= begun_but_not_ended(training)  # a run may have ended, and the next begun, before the kill
    returned, output, errors = finish(driver)
    assert returned == 1
    assert output.splitlines() == ["5: its process was killed (signal 9), perhaps for lack of memory: try fewer --workers"] * 3
    assert errors.count(" was lost, and with it MRPC batch=") == 1
    assert ask(tmp_path, STATES) == [("done", None, 0, 9), ("failed", None, 1, 3)]
    assert ask(tmp_path, "SELECT max(attempt) FROM runs") == [(1,)]
    repeated = {run for run, times in training.count("begun").items() if times > 1}
    assert len(repeated) <= 1 and repeated <= lost


def test_a_run_with_which_three_workers_are_lost_has_failed(cluster, tmp_path):
    """Batch size 17 kills the worker that trains it."""
    returned, output, errors = finish(start(tmp_path, cluster.address, "--batch-sizes", 17, "--instances", 1))
    assert returned == 1
    assert output == ("17: 3 workers were lost while they trained it, the last of them on "
                      f"{socket.gethostname()}, perhaps for lack of memory\n")
    assert errors.count(" was lost, and with it MRPC batch=17 ") == 3
    assert Training(tmp_path / "runs").count("begun") == {(17, 0): 3}
    assert ask(tmp_path, STATES) == [("failed", None, 1, 1)]


def test_a_scheduler_killed_and_started_again_is_waited_for_but_not_for_ever(cluster, tmp_path):
    """Of two drivers on one cluster, one has the patience for it."""
    impatient = start(tmp_path / "impatient", cluster.address, "--batch-sizes", 11, "--instances", 1, "--patience", 1)
    wait_until(lambda: (11, 0) in Training(tmp_path / "impatient" / "runs").count("begun"))
    driver = start(tmp_path, cluster.address, "--batch-sizes", 2, 8, 16, "--instances", 3, "--seconds", 0.7)
    training = Training(tmp_path / "runs")
    wait_until(lambda: len(training.count("ended")) >= 2)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    gone = f"the scheduler {cluster.address} does not answer; waiting for it, for {{}} seconds at most\n"
    assert finish(impatient) == (2, "", gone.format(1) + f"error: no Dask scheduler has answered at {cluster.address} for 1 "
                                 "seconds; start it, or correct --cluster, and call again\n")
    assert ask(tmp_path / "impatient", STATES) == [("pending", None, 0, 1)]
    wait_until(lambda: living_workers(tmp_path) == [])  # a Dask worker ends with its scheduler
    recorded = ask(tmp_path, "SELECT run, finished_at FROM results")
    cluster.start_scheduler()
    cluster.workers = [cluster.start_worker() for _ in range(3)]
    returned, output, errors = finish(driver)
    assert (returned, output) == (0, "")
    assert gone.format(300) + f"the scheduler {cluster.address} is back\n" in errors
    assert " was lost" not in errors
    assert ask(tmp_path, STATES) == [("done", None, 0, 9)]
    assert ask(tmp_path, "SELECT max(attempt) FROM runs") == [(1,)]
    assert set(recorded) <= set(ask(tmp_path, "SELECT run, finished_at FROM results"))
    assert sum(training.count("begun").values()) <= 9 + 3


def test_a_driver_killed_and_started_again_goes_on(cluster, tmp_path):
    training = Training(tmp_path / "runs")
    driver = start(tmp_path, cluster.address, "--batch-sizes", 2, 8, 16, "--instances", 2, "--seconds", 0.5)
    wait_until(lambda: len(training.count("ended")) >= 2 and len(begun_but_not_ended(training)) >= 2)
    driver.kill()
    finish(driver)
    killed = time.monotonic()
    wait_until(lambda: living_workers(tmp_path) == [])  # its runs end on the workers, long before they would be trained
    assert time.monotonic() - killed < 5
    recorded = ask(tmp_path, "SELECT run, finished_at FROM results")
    assert finish(start(tmp_path, cluster.address, "--batch-sizes", 2, 8, 16, "--instances", 2, "--seconds", 0)) == (0, "", "")
    assert ask(tmp_path, STATES) == [("done", None, 0, 6)]
    assert set(recorded) <= set(ask(tmp_path, "SELECT run, finished_at FROM results"))
    assert max(training.count("begun").values()) <= 2


def test_ctrl_c_ends_the_runs_on_the_workers(cluster, tmp_path):
    driver = start(tmp_path, cluster.address, "--batch-sizes", 11, "--instances", 3)  # 11 never ends
    wait_until(lambda: len(Training(tmp_path / "runs").count("begun")) == 3)
    stopped = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)
    assert finish(driver) == (130, "", STOPPED)
    wait_until(lambda: living_workers(tmp_path) == [])
    assert time.monotonic() - stopped < 5
    assert ask(tmp_path, STATES) == [("pending", None, 0, 3)]
    assert [worker.poll() for worker in cluster.workers] == [None] * 3


def test_workers_that_were_started_here_end_with_their_driver(tmp_path, monkeypatch):
    """By Ctrl-C, which they do not hear, and by kill -9."""
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", dask_cluster.__file__)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    for number, outcome in ((signal.SIGINT, (130, "", STOPPED)), (signal.SIGKILL, (-9, "", ""))):
        driver = start(tmp_path, "local:2", "--batch-sizes", 11, "--instances", 2)  # 11 never ends
        wait_until(lambda: (tmp_path / "runs").exists() and len(living_workers(tmp_path)) == 2)
        descendants = psutil.Process(driver.pid).children(recursive=True)
        assert len(descendants) >= 4
        os.killpg(driver.pid, number)
        assert finish(driver) == outcome
        wait_until(lambda: living_workers(tmp_path) == [])
        assert psutil.wait_procs(descendants, timeout=10)[1] == []
    assert ask(tmp_path, "SELECT DISTINCT failures FROM runs") == [(0,)]


# -- workers

def describe(gpus, threads=1, nvidia_smi=None, visible=None, limit=None, nthreads=8, **resources):
    """What a worker of these properties says of itself."""
    gpus(nvidia_smi, visible)
    state = SimpleNamespace(nthreads=nthreads, total_resources=resources)
    about = worker.describe(threads, SimpleNamespace(state=state, memory_manager=SimpleNamespace(memory_limit=limit)))
    return about["places"], about["declared"]


GPU = "echo 'GPU 0: NVIDIA H100 (UUID: GPU-1)'"
TWO_GPUS = f"{GPU}; echo 'GPU 1: NVIDIA H100 (UUID: GPU-2)'"


@pytest.mark.parametrize("worker, places", [
    ({}, (8, False)),
    ({"threads": 3}, (2, False)),
    ({"threads": 16}, (1, False)),
    ({"limit": 5e9}, (3, False)),
    ({"limit": 1e9}, (1, False)),
    ({"nvidia_smi": GPU}, (1, False)),
    ({"nvidia_smi": GPU, "visible": ""}, (8, False)),
    ({"nvidia_smi": TWO_GPUS}, (2, False)),
    ({"nvidia_smi": TWO_GPUS, "visible": "1"}, (1, False)),
    ({"nvidia_smi": "exit 9"}, (8, False)),
    ({"nvidia_smi": GPU, "RUN": 3.0}, (3, True)),
    ({"RUN": 2.0, "limit": 1e9}, (2, True)),
    ({"RUN": 20.0}, (8, True)),
    ({"RUN": 0.0}, (0, True))])
def test_places_of_a_worker(gpus, worker, places):
    assert describe(gpus, **worker) == places


def test_a_worker_with_other_code_or_without_it_is_refused_in_one_sentence(cluster, tmp_path):
    shutil.copytree(ROOT / "common", tmp_path / "common")
    with open(tmp_path / "common" / "training" / "metrics.py", "a") as file:
        file.write("# changed\n")
    strangers = [cluster.start_worker(PYTHONPATH=path, light=False) for path in (str(tmp_path), "")]
    heard = []
    executor = DaskCluster(cluster.address, say=lambda text: heard.append(text) if "not used" in text else None)
    try:
        wait_until(lambda: len(heard) == 2 and executor.places() == 3)
    finally:
        executor.kill()
        for stranger in strangers:
            kill_tree(stranger)
    other, none = sorted(heard, key=len, reverse=True)
    assert f" on {socket.gethostname()} is not used: it has code " in other
    assert f"(here {software()['code']}): give it the same copy of this program and the packages of " in other
    assert " is not used: it has no common: start it in the folder of this program, or with that in PYTHONPATH, and with " in none


@pytest.mark.parametrize("address, sentence", [
    ("tcp://127.0.0.1:1", "no Dask scheduler has answered at tcp://127.0.0.1:1 for 1 seconds; start it, or correct"),
    ("scheduler.json", "no Dask scheduler has answered at scheduler.json for 1 seconds"),
    ("local:0", "tcp://127.0.0.1:[0-9]+ has had no worker that could be used for 1 seconds; start some")])
def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path, monkeypatch, address, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheduler.json").write_text("not what a scheduler writes")
    for name in ("CONNECT_SECONDS", "PATIENCE"):
        monkeypatch.setattr(members, name, 1)
    with pytest.raises(NoWorkers, match=sentence):
        DaskCluster(address, say=lambda text: None)


def test_the_driver_hears_of_progress(cluster, tmp_path):
    heard, job = [], make_job(tmp_path)
    executor = DaskCluster(cluster.address)
    try:
        executor.on_report = lambda job, progress: heard.append((job, progress.step, progress.steps, progress.message))
        assert executor.submit(report_steps, job).result(60).training_seconds == 10
        wait_until(lambda: len(heard) == 3)
    finally:
        executor.kill()
    assert heard == [(job, 0, 0, "reading"), (job, 1, 50, ""), (job, 50, 50, "")]  # and none in between, within a second


# -- input files

def make_job(folder, **fields):
    return Job(make_config(**fields), 0, make_input(folder), folder / "input" / "MRPC", folder / "cache")


def files_of(job):
    return (worker.File.where_in(job.data_folder, ["train.tsv", "dev.tsv"])
            + worker.File.where_in(job.checkpoint.folder, ["vocab.txt"]))


def test_files_are_taken_where_they_are_or_received_and_proved(tmp_path, monkeypatch):
    monkeypatch.setenv("BERT_GLUE_CACHE", str(tmp_path / "worker"))
    job = make_job(tmp_path)
    files = files_of(job)
    assert worker.where_missing(files) == []
    assert worker.localize(job, files, tmp_path, tmp_path).data_folder == tmp_path / "input" / "MRPC"
    contents = {file: (file.folder / file.name).read_bytes() for file in files}
    dev, train, _ = files

    (tmp_path / "input" / "MRPC" / "dev.tsv").write_text("another dev set")
    assert worker.where_missing(files) == [dev, train]
    worker.receive(train, "me", 0, contents[train][:1000])
    worker.receive(train, "another driver", 0, contents[train][:10])
    assert worker.where_missing(files) == [dev, train]
    worker.receive(train, "me", 1000, contents[train][1000:])
    assert worker.where_missing(files) == [dev]
    with pytest.raises(UserError, match="MRPC/dev.tsv was changed while the study ran; call again"):
        worker.receive(dev, "me", 0, b"?" * dev.size)
    assert worker.where_missing(files) == [dev]
    worker.receive(dev, "me", 0, contents[dev])
    assert worker.where_missing(files) == []
    here = worker.localize(job, files, tmp_path / "worker", tmp_path)
    assert here.data_folder == train.copied_folder and here.data_folder.parent.parent == tmp_path / "worker" / "copies"
    assert (here.data_folder / "dev.tsv").read_bytes() == contents[dev]
    assert (here.checkpoint.folder, here.cache) == (tmp_path / "input" / "checkpoint", tmp_path / "worker")

    (tmp_path / "input" / "diagnostic").mkdir()
    (tmp_path / "input" / "diagnostic" / "diagnostic.tsv").write_text("AX")
    (diagnostic,) = worker.File.where_in(job.data_folder, ["../diagnostic/diagnostic.tsv"])
    worker.receive(diagnostic, "me", 0, b"AX")
    assert (tmp_path / "worker" / "copies" / diagnostic.copies / "diagnostic" / "diagnostic.tsv").read_text() == "AX"
    (here.data_folder / "train.tsv").write_bytes(b"?" * train.size)
    assert worker.where_missing(files) == [train]


@pytest.fixture
def hosts(tmp_path):
    """The network of two machines, as far as addresses and files go, and a command for each: they do not see tmp_path/input."""
    if not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("no network namespaces can be made here: the programs ip and unshare are missing")
    network, net = f"bgs{os.getpid() % 10000}", f"10.213.{os.getpid() % 250}"
    commands = [f"ip link add {network} type bridge", f"ip addr add {net}.1/24 dev {network}", f"ip link set {network} up"]
    for number in (2, 3):
        host, link = f"{network}h{number}", f"{network}v{number}"
        commands += [f"ip netns add {host}", f"ip link add {link} type veth peer name eth0 netns {host}",
                     f"ip link set {link} master {network} up", f"ip -n {host} addr add {net}.{number}/24 dev eth0",
                     f"ip -n {host} link set eth0 up", f"ip -n {host} link set lo up"]
    hide = ["sh", "-c", f"mount -t tmpfs none {tmp_path / 'input'} && exec \"$@\"", "-"]
    hosts = [["ip", "netns", "exec", f"{network}h{number}", "unshare", "--mount", *hide] for number in (2, 3)]
    (tmp_path / "input").mkdir()
    try:
        for command in [*(command.split() for command in commands), [*hosts[0], "true"]]:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no network namespaces can be made here: {' '.join(command)}: {done.stderr.strip()}")
        yield net, hosts
    finally:
        for number in (2, 3):
            subprocess.run(["ip", "netns", "delete", f"{network}h{number}"], capture_output=True)
        subprocess.run(["ip", "link", "delete", network], capture_output=True)


def test_input_reaches_other_machines_once(hosts, tmp_path):
    net, hosts = hosts
    cluster = Cluster(tmp_path / "cluster", f"{net}.1")
    try:
        cluster.start_scheduler()
        for host, cache in ((0, "first"), (0, "first"), (1, "second")):  # two workers on the first machine
            cluster.start_worker("--no-nanny", wrapped=hosts[host], BERT_GLUE_CACHE=str(tmp_path / cache))
        sent = []
        for store in ("before.db", "after.db"):
            driver = start(tmp_path, cluster.address, "--instances", 2, "--seconds", 0.5, "--db", tmp_path / store)
            returned, output, errors = finish(driver)
            assert (returned, output) == (0, "")
            sent.append(sorted(re.findall(rf"sent (\S+) \(.*?{net}\.(\d)", errors)))
    finally:
        cluster.stop()
    files = ("train.tsv", "dev.tsv", *CHECKPOINT_FILES)
    assert sent == [sorted((name, host) for name in files for host in "23"), []]
    assert Training(tmp_path / "runs").count("ended") == {(size, k): 2 for size in (2, 8, 16, 32, 64) for k in range(2)}
    assert sorted(path.name for path in tmp_path.glob("*/copies/*/*")) == ["MRPC", "MRPC", "checkpoint", "checkpoint"]


# -- real runs

@pytest.mark.tensorflow
def test_the_demo_over_a_worker_is_bit_equal_to_the_local_run(tmp_path):
    """A classifier that is kept comes back from the worker, too."""
    cluster = Cluster(tmp_path / "cluster")
    (tmp_path / "local").mkdir()
    (tmp_path / "far").mkdir()
    given = [sys.executable, ROOT / "exp_bs_mrpc.py", "--demo", "--instances", "1", "--batch-sizes", "64", "--epochs", "1",
             "--limit-train", "256", "--save-models", "models"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BERT_GLUE")}
    try:
        cluster.start_scheduler()
        cluster.start_worker(light=False)
        far = subprocess.run([*given, "--cluster", cluster.address], cwd=tmp_path / "far", env=clean, capture_output=True,
                             text=True, timeout=300)
    finally:
        cluster.stop()
    assert far.returncode == 0, far.stderr
    local = subprocess.run(given, cwd=tmp_path / "local", env=clean, capture_output=True, text=True, timeout=300)
    assert local.returncode == 0, local.stderr
    for columns, table in (("split, metric, step, epoch, value", "measurements"), ("evaluation_set, score, loss", "evaluations")):
        query = f"SELECT instance, {columns} FROM {table} JOIN runs ON id = run ORDER BY 1, 2, 3, 4"
        local_rows, far_rows = (ask(tmp_path / where / "demo", query) for where in ("local", "far"))
        assert len(local_rows) >= 1 and local_rows == far_rows
    assert ask(tmp_path / "far" / "demo", STATES) == [("done", None, 0, 1)]
    models = [sorted(path.relative_to(tmp_path / where) for path in (tmp_path / where / "models").glob("*/*"))
              for where in ("local", "far")]
    assert len(models[0]) == 5 and models[0] == models[1]
    for path in models[0]:
        if path.name == "model.safetensors":
            first, second = (load_file(tmp_path / where / path) for where in ("local", "far"))
            assert first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)
