"""A Dask scheduler and workers on this machine, which end with the process that started them, even if that is killed."""
import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from common.running.executor import NoWorkers
from common.running.processes import path_to_this_program
from common.running.temporary import own_folder


class LocalWorkers:
    """A scheduler and `number` workers of one run at a time each, in a separate process group, out of reach of Ctrl-C.

    Args:
      threads: threads of each run.
      cache: their cache folder; None: the usual one.

    Raises:
      NoWorkers: they cannot be started.
    """

    def __init__(self, number: int, threads: int, cache: Path | None):
        environment = os.environ | {"PYTHONPATH": path_to_this_program(), "TMPDIR": str(own_folder())}
        if cache:
            environment["BERT_GLUE_CACHE"] = str(cache.absolute())
        with tempfile.TemporaryFile("w+") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from common.running.dask.local import serve; serve({number}, {threads})"],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
            try:
                self.address = self._process.stdout.readline().strip()
            except BaseException:
                self.stop()
                raise
            if not self.address:
                log.seek(0)
                raise NoWorkers(f"no workers can be started here ({(log.read().splitlines() or ['no reason given'])[-1]})")

    def stop(self) -> None:
        """Ends them all."""
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(3)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()


def serve(number: int, threads: int) -> None:
    """Runs in the scheduler's process: prints its address, and ends when the other end of stdin is closed."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=number, threads_per_worker=threads, memory_limit=None, dashboard_address=":0",
                      silence_logs=logging.CRITICAL) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
