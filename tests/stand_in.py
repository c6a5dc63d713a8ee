"""What the tests use in place of real training: settings, results, and a driver of runs that only sleep.

Run as a program (`python stand_in.py FOLDER ...`) it is a whole driver in a process of its own, to be raced and killed.
"""
import argparse
import contextlib
import errno
import multiprocessing
import os
import random
import resource
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import common.running.driver  # noqa: E402
import common.store.store  # noqa: E402
from common.cli import guarded  # noqa: E402
from common.inputs.checkpoint import CHECKPOINT_FILES, Checkpoint  # noqa: E402
from common.running.driver import Driver, stopping_on_sigterm  # noqa: E402
from common.running.outbox import Outbox  # noqa: E402
from common.running.planning import find_needs  # noqa: E402
from common.running.processes import FreshProcesses  # noqa: E402
from common.store.store import InputRows, Store  # noqa: E402
from common.studies.config import RunConfig  # noqa: E402
from common.studies.tasks import TASKS  # noqa: E402
from common.training.job import Job, Progress, RunResult  # noqa: E402

DATA, CHECKPOINT, ENVIRONMENT = TASKS["MRPC"].digest, "c" * 64, "e" * 64
CHECKPOINT_ROW = {"digest": CHECKPOINT, "archive_sha256": "a" * 64, "name": "uncased_L-4_H-256_A-4", "layers": 4,
                  "hidden_size": 256, "heads": 4, "vocabulary": 30522, "lower_case": 1}
DATA_ROWS = [{"digest": DATA, "set_name": "train", "task": "MRPC", "row_count": 3668,
              "official_rows": 3668, "majority": 0.6745},
             {"digest": DATA, "set_name": "dev", "task": "MRPC", "row_count": 408,
              "official_rows": 408, "majority": 0.6838}]
ENVIRONMENT_ROW = {"digest": ENVIRONMENT, "host": "here", "processor": "Zen 5", "cores": 2, "threads": 1,
                   "platform": "Linux", "python": "3.11.7", "tensorflow": "2.20.0",
                   "tf_models": "2.20.0", "numpy": "2.0.0", "code": "abc"}


def make_config(**settings) -> RunConfig:
    return RunConfig(**{"task": "MRPC", "data": DATA, "checkpoint": CHECKPOINT, "batch_size": 8,
                        "peak_learning_rate": 2e-5, "epochs": 5} | settings)


def make_evaluation(score=0.75, **columns) -> dict:
    return {"evaluation_set": "dev", "row_count": 408, "metric": "accuracy", "score": score, "accuracy": score,
            "f1": 0.8, "matthews": None, "pearson": None, "spearman": None, "loss": 0.5, "collapsed": 0} | columns


def make_result(score=0.75, **fields) -> RunResult:
    return RunResult(**{"environment": ENVIRONMENT_ROW, "training_seconds": 10.0, "total_seconds": 12.0,
                        "measurements": [("validation", "accuracy", 435, 1.0, 0.7), ("train", "loss", 435, 1.0, 0.6)],
                        "evaluations": [make_evaluation(score)]} | fields)


def plan(store: Store, configs: list[RunConfig], instances=1, study="bs_mrpc", label_rows=(), **more):
    """What a `StudyRun` does before it trains."""
    needs = find_needs(store, configs, instances, **more)
    store.plan(study, {need.config: need.wanted for need in needs}, instances,
               InputRows(CHECKPOINT_ROW, DATA_ROWS, label_rows), **more)
    return needs


class Silence:
    """A display that shows nothing but remembers what it heard."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, event):
        return lambda *details: self.heard.append(event)


class Threads(ThreadPoolExecutor):
    """A `common.running.executor.RunExecutor` of threads, whose functions report nothing."""

    def __init__(self, places: int):
        super().__init__(places)
        self.on_report = None

    def places(self) -> int:
        return self._max_workers

    def kill(self) -> None:
        self.shutdown(cancel_futures=True)


class Training:
    """Pretends to train: notes start and end of each run as files in a folder, one for each try."""

    def __init__(self, folder: Path, seconds: float = 0.0):
        self.folder, self.seconds = folder, seconds

    def __call__(self, job, report=lambda progress: None) -> RunResult:
        if isinstance(job, Job):
            check_input(job)
        config, instance = job if isinstance(job, tuple) else (job.config, job.instance)
        self._note("begun", config, instance)
        behave(config)
        time.sleep(self.seconds * random.uniform(0.5, 1.5))
        self._note("ended", config, instance)
        return make_result()

    def count(self, what: str) -> dict[tuple[int, int], int]:
        """(batch size, instance) -> how often it was begun or ended."""
        counts = {}
        for path in self.folder.glob(f"{what}-*"):
            batch_size, instance = map(int, path.name.split("-")[1:3])
            counts[batch_size, instance] = counts.get((batch_size, instance), 0) + 1
        return counts

    def _note(self, what, config, instance):
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{what}-{config.batch_size}-{instance}-{os.getpid()}-{time.monotonic_ns()}").touch()


def report_steps(job, report) -> RunResult:
    """A run of 50 steps, reported as `common.training.run` does."""
    report(Progress(0, 0, "reading"))
    for step in range(1, 51):
        report(Progress(step, 50))
    return make_result()


def behave(config: RunConfig) -> None:
    """Mischief by batch size: 3 ends the process, 5 is killed, 7 raises, 9 has no memory, 11 never ends, 13 is TensorFlow's
    lack of memory, 17 kills the worker that the process belongs to, 19 finds no room on the disk, 21 takes a gigabyte."""
    if config.batch_size == 3:
        os._exit(3)
    elif config.batch_size == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    elif config.batch_size == 7:
        raise ValueError("seven is\nright out")
    elif config.batch_size == 9:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        bytearray(8 << 30)
    elif config.batch_size == 11:
        time.sleep(600)
    elif config.batch_size == 17:
        os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
        time.sleep(60)
    elif config.batch_size == 19:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/disk")
    elif config.batch_size == 21:
        _ = b"x" * (1 << 30)
    elif config.batch_size == 13:
        raise type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor with shape[30522,256]")


def make_input(folder: Path) -> Checkpoint:
    """Files that stand for the input of MRPC and for a checkpoint, in FOLDER/input."""
    for name in ("MRPC/train.tsv", "MRPC/dev.tsv", *(f"checkpoint/{name}" for name in CHECKPOINT_FILES)):
        path = folder / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100_000)
    return Checkpoint("stand-in", folder / "input" / "checkpoint", CHECKPOINT, None, {})


def check_input(job: Job) -> None:
    """Proves that all of `make_input` is there for a job."""
    for folder, names in ((job.data_folder, ("train.tsv", "dev.tsv")), (job.checkpoint.folder, CHECKPOINT_FILES)):
        for name in names:
            assert (folder / name).read_bytes() == f"{folder.name}/{name}".encode() * 100_000


def drive(folder: Path, batch_sizes, instances: int, seconds: float, workers: int, fresh: bool, db: str | None,
          cluster: str | None, patience: int | None) -> int:
    """A driver from store to end; its exit status. It has so many seconds of patience with a cluster that has begun."""
    from stand_in import Training  # by a name that other processes can import, too

    store = Store(db or folder / "results.db")
    needs = plan(store, [make_config(batch_size=size) for size in batch_sizes], instances)
    with contextlib.closing(store), stopping_on_sigterm():
        executor, make_job = Threads(workers), lambda *job: job
        if fresh:
            executor = FreshProcesses(workers)
            executor._context.set_forkserver_preload(["common.running.driver"])  # without TensorFlow it starts in a moment
        elif cluster:
            import common.running.dask.members
            from common.running.dask.cluster import DaskCluster

            executor, checkpoint = DaskCluster(cluster), make_input(folder)
            common.running.dask.members.PATIENCE = patience or common.running.dask.members.PATIENCE
            make_job = lambda *job: Job(*job, checkpoint, folder / "input" / "MRPC", folder / "cache")  # noqa: E731
        driver = Driver(store, executor, make_job, Silence(), Outbox(folder / "outbox", store.full_name),
                        Training(folder / "runs", seconds))
        try:
            driver.run(needs)
        finally:
            executor.kill()
    for config, _, error in sorted(driver.failures, key=lambda failure: failure[0].batch_size):
        print(f"{config.batch_size}: {error}")
    return 1 if driver.failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[2, 8, 16, 32, 64])
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--db")
    parser.add_argument("--cluster")
    parser.add_argument("--patience", type=int, help="seconds that a cluster which has gone is waited for")
    parser.add_argument("--host", help="the name of the machine that this pretends to be")
    parser.add_argument("--lease", type=float, help="seconds")
    given = vars(parser.parse_args())
    host, lease = given.pop("host"), given.pop("lease")
    if host:
        socket.gethostname = lambda: host
    if lease:
        common.store.store.LEASE_SECONDS, common.running.driver.HEARTBEAT_SECONDS = lease, lease / 4
    sys.exit(guarded(lambda: drive(**given), debug=False))
