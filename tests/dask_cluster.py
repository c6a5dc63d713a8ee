"""A Dask cluster of the tests' own: a scheduler and workers, each a process as a user starts it.

Imported by a worker (`dask worker --preload`), this file lets its training processes start without TensorFlow.
"""
import contextlib
import multiprocessing.forkserver
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent


class Cluster:
    """A scheduler and its workers, which can be killed.

    Args:
      folder: a place for what they write; each worker has a folder and a cache of its own in it.
      host: the scheduler's address.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1"):
        self.folder, self.host, self.processes = folder, host, []
        with socket.socket() as free:
            free.bind((host, 0))
            self.port = free.getsockname()[1]

    @property
    def address(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    def start_scheduler(self) -> None:
        """One that does not know the program whose runs it schedules."""
        self.scheduler = self._start("scheduler", "--host", self.host, "--port", str(self.port), "--no-dashboard", PYTHONPATH="")
        until = time.monotonic() + 60
        while True:
            with socket.socket() as connection:
                if connection.connect_ex((self.host, self.port)) == 0:
                    return
            assert time.monotonic() < until and self.scheduler.poll() is None
            time.sleep(0.05)

    def start_worker(self, *options: str, light: bool = True, wrapped=(), **environment) -> subprocess.Popen:
        """A worker of one place; `light`: for pretended training."""
        preload = ["--preload", __file__] if light else []
        return self._start("worker", self.address, "--nthreads", "1", "--no-dashboard", *preload, *options, wrapped=wrapped,
                           **environment)

    def _start(self, *words, wrapped=(), **environment) -> subprocess.Popen:
        folder = self.folder / f"{words[0]}-{len(self.processes)}"
        folder.mkdir(parents=True)
        environment = {"BERT_GLUE_CACHE": str(folder / "cache"), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"} | environment
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen([*wrapped, sys.executable, "-m", "dask", *words], cwd=folder, stdout=log, stderr=log,
                                       env=os.environ | environment)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            kill_tree(process)


def kill_tree(process: subprocess.Popen) -> None:
    """kill -9 of a process and all its descendants."""
    try:
        tree = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        tree = []
    process.kill()
    for child in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGKILL)
    process.wait()


def dask_setup(worker) -> None:
    """Called by Dask in every worker that preloads this file."""
    multiprocessing.set_forkserver_preload(["stand_in"])
    multiprocessing.forkserver.ensure_running()
