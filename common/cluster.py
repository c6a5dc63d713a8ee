"""An executor that trains runs on the workers of a Dask cluster, in the place of `common.workers.FreshProcesses`.

Dask carries the messages and knows which workers there are; which worker trains what is decided here, because workers come and go
and a run that is lost with one of them has to begin again on another. A coroutine lives for each run, all in one thread.
"""
import asyncio
import concurrent.futures
import contextlib
import json
import logging
import re
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

from distributed import Client, LocalCluster
from distributed.client import CancelledError, ClosedClientError
from distributed.scheduler import KilledWorker
from distributed.versions import VersionMismatchWarning
from tqdm import tqdm

from common.dask_worker import RESOURCE, Answer, File, describe, receive, train, where_missing
from common.data import where_files
from common.environment import software
from common.fetch import CHECKPOINT_FILES
from common.tasks import TASKS
from common.train import Progress
from common.workers import NoWorkers, WorkerError

CONNECT_SECONDS = 10
"""A scheduler that does not answer in this time when a study begins is not there."""
PATIENCE = 300
"""Seconds without a worker, or without the scheduler that was there, before the study is given up."""
ANSWER_SECONDS = 60
MAX_LOSSES = 3
"""A run with which this many workers were lost has failed."""
PIECE = 4 << 20
"""Bytes of a file in one message."""


class Worker:
    """A Dask worker as the driver sees it."""

    def __init__(self, address: str):
        self.address, self.host = address, ""
        self.places = self.busy = 0
        self.resources: dict[str, int] | None = None
        """What a run takes of the worker's declared resources."""
        self.gone = asyncio.Event()
        self.died = False
        """Gone while its scheduler was there."""
        self.met = False
        """Has said what it is."""

    def __str__(self) -> str:
        return f"the worker {self.address}" + (f" on {self.host}" if self.host else "")


class DaskCluster(Executor):
    """Runs `function(job, report)` on the workers of a cluster, each in a fresh process there.

    Args:
      address: tcp://HOST:PORT of a scheduler, the file that it wrote, or local:N for N workers that are started here.
      threads: threads of each run.
      limit: runs at a time; None: as many as the workers take.
      cache: the cache folder of workers that are started here.
      say: called with what the user should know.

    Raises:
      NoWorkers: nobody answers, or no worker comes.
    """

    def __init__(self, address: str, threads: int = 1, limit: int | None = None, cache: Path | None = None,
                 say: Callable[[str], None] = lambda text: tqdm.write(text, file=sys.stderr)):
        self._address, self._threads, self._limit, self._cache, self._say = address, threads, limit or sys.maxsize, cache, say
        self.on_report: Callable = lambda job, progress: None
        self._topic = f"progress-{uuid.uuid4().hex}"
        self._workers: dict[str, Worker] = {}
        self._jobs: dict[tuple[str, int], object] = {}
        self._inputs: dict[tuple, asyncio.Task] = {}
        self._lives: set[Future] = set()
        self._client = self._local = self._watcher = self._failure = None
        self._changed, self._sending = asyncio.Event(), asyncio.Lock()
        for name in ("distributed", "distributed.client", "tornado"):  # what the user should know is said here, in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore", VersionMismatchWarning)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        opening = self._call(self._open())
        try:
            opening.result()
        except BaseException:
            opening.cancel()
            self.kill()
            raise

    # -- an executor

    def places(self) -> int:
        """How many runs at a time it takes now; workers come and go."""
        return min(self._limit, sum(worker.places for worker in list(self._workers.values())))

    def submit(self, function, /, job) -> Future:
        future = self._call(self._live(function, job))
        self._lives.add(future)
        future.add_done_callback(self._lives.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if wait and not cancel_futures:
            concurrent.futures.wait(list(self._lives))
        self.kill()

    def kill(self) -> None:
        """Lets go of all runs, which ends them on their workers, and of the cluster."""
        if self._thread.is_alive():
            for life in list(self._lives):
                life.cancel()
            self._call(self._close()).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _call(self, coroutine) -> Future:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    # -- the way to the cluster

    async def _open(self) -> None:
        if match := re.fullmatch(r"local:(\d+)", self._address):
            environment = {"BERT_GLUE_CACHE": str(self._cache.absolute())} if self._cache else {}
            self._local = LocalCluster(
                n_workers=int(match[1]), threads_per_worker=self._threads, memory_limit=None, dashboard_address=":0",
                asynchronous=True, silence_logs=logging.CRITICAL, env=environment)
            await self._local
        await self._connect(CONNECT_SECONDS)
        self._watcher = asyncio.create_task(self._watch())
        all_met = self._wait_for(lambda: self.places() and all(worker.met for worker in self._workers.values()))
        try:
            await asyncio.wait_for(all_met, min(5, PATIENCE))
        except TimeoutError:
            self._say(f"waiting for workers of {self._address}, for {PATIENCE} seconds at most")
            await self._wait_for(self.places)

    async def _connect(self, patience: float) -> None:
        """Connects within this many seconds; a scheduler that was started again may have another address in its file."""
        until = time.monotonic() + patience
        while True:
            try:
                address = self._local.scheduler_address if self._local else self._address
                if "://" not in address:
                    address = json.loads(Path(address).read_text())["address"]
                self._client = await Client(address, asynchronous=True, set_as_default=False, timeout=min(5, patience))
                self._client._timeout = 0  # else it would connect again by itself, without saying that all was lost
                self._client.subscribe_topic(self._topic, self._hear)
                return
            except (OSError, ValueError, KeyError) as error:
                if time.monotonic() > until:
                    raise NoWorkers(f"no Dask scheduler has answered at {self._address} for {patience:.0f} seconds; start it, "
                                    "or mend --cluster, and call again") from error
                await asyncio.sleep(0.5)

    async def _close(self) -> None:
        if self._watcher:
            self._watcher.cancel()
        for part in filter(None, (self._client, self._local)):
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(part.close(), 15)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _hear(self, event) -> None:
        _, (digest, instance, *progress) = event
        job = self._jobs.get((digest, instance))
        if job is not None:
            self.on_report(job, Progress(*progress))

    # -- workers

    async def _watch(self) -> None:
        """Follows the workers as they come and go, and the scheduler; gives the study up when one of them stays away."""
        seen = time.monotonic()
        try:
            while True:
                if self._client.status != "running":
                    await self._come_back()
                    seen = time.monotonic()
                try:
                    present = await asyncio.wait_for(self._client.nthreads(), 5)
                except OSError:  # busy, or gone
                    continue
                for address in self._workers.keys() - present.keys():
                    self._lose(self._workers[address], died=True)
                for address in present.keys() - self._workers.keys():
                    worker = self._workers[address] = Worker(address)
                    worker.meeting = asyncio.create_task(self._meet(worker))
                if any(worker.places for worker in self._workers.values()):
                    seen = time.monotonic()
                elif time.monotonic() - seen > PATIENCE:
                    raise NoWorkers(f"{self._address} has had no worker that could be used for {PATIENCE} seconds; start some "
                                    "(dask worker) and call again")
                await asyncio.sleep(0.5)
        except Exception as error:
            self._failure = error if isinstance(error, NoWorkers) else NoWorkers(
                f"the cluster {self._address} cannot be used any more ({type(error).__name__}: {error}); call again to go on")
            for worker in list(self._workers.values()):
                self._lose(worker, died=False)
            self._tell_change()

    async def _come_back(self) -> None:
        """Waits for a scheduler that is gone; what was at work on its workers is lost with it."""
        self._say(f"the scheduler {self._address} does not answer; waiting for it, for {PATIENCE} seconds at most")
        for worker in list(self._workers.values()):
            self._lose(worker, died=False)
        with contextlib.suppress(OSError):
            await asyncio.wait_for(self._client.close(), 5)
        await self._connect(PATIENCE)
        self._say(f"the scheduler {self._address} is back")

    def _lose(self, worker: Worker, died: bool) -> None:
        worker.places, worker.died = 0, died
        worker.gone.set()
        self._workers.pop(worker.address, None)
        self._tell_change()

    async def _meet(self, worker: Worker) -> None:
        """Asks a new worker what it is; one that would compute something else than this machine is not used."""
        try:
            about = await self._ask(worker, describe, self._threads)
        except OSError:  # gone again, or deaf: asked once more if it is still there
            self._lose(worker, died=False)
            return
        except Exception as error:
            module = re.search("No module named '([^']+)'", str(error))
            self._refuse(worker, f"it has no {module[1]}: start it in the folder of this program, or with that in PYTHONPATH, "
                                 "and with the packages of requirements.lock" if module else str(error))
            return
        worker.host = about["host"]
        differing = [f"{name} {about['software'].get(name)} (here {value})" for name, value in software().items()
                     if about["software"].get(name) != value]
        if differing:
            self._refuse(worker, f"it has {', '.join(differing)}: give it the same copy of this program and the packages of "
                                 "requirements.lock, and start it again")
            return
        worker.resources = {RESOURCE: 1} if about["declared"] else None
        worker.places, worker.met = about["places"], True
        self._tell_change()

    def _refuse(self, worker: Worker, why: str) -> None:
        worker.places, worker.met = 0, True
        self._tell_change()
        self._say(f"{worker} is not used: {why}")

    async def _ask(self, worker: Worker, function, *arguments):
        """What a function returns on a worker, at once and beside its runs."""
        answers = await asyncio.wait_for(self._client.run(function, *arguments, workers=[worker.address], on_error="return"),
                                         ANSWER_SECONDS)
        answer = answers.get(worker.address, OSError("the worker is gone"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    # -- runs

    async def _live(self, function, job):
        """The life of a run: on one worker after the other, until one of them has trained it."""
        files = await self._list_inputs(job)
        self._jobs[job.config.hash, job.instance] = job
        losses = 0
        while losses < MAX_LOSSES:
            await self._wait_for(self._find_free)
            worker = self._find_free()
            worker.busy += 1
            try:
                answer = await self._until_gone(worker, self._train(worker, function, job, files))
            finally:
                worker.busy -= 1
                self._tell_change()
            if answer is not None:
                return _conclude(job, answer)
            losses += worker.died
            if worker.died:
                self._say(f"{worker} was lost, and {_name(job)} with it, which is trained again on another")
        raise WorkerError(f"{MAX_LOSSES} workers were lost while they trained it, the last of them {worker}, perhaps for lack "
                          "of memory")

    async def _until_gone(self, worker: Worker, training) -> Answer | None:
        """What comes of a training; None if its worker is gone first."""
        training, gone = asyncio.create_task(training), asyncio.create_task(worker.gone.wait())
        try:
            await asyncio.wait({training, gone}, return_when=asyncio.FIRST_COMPLETED)
            return training.result() if training.done() else None
        finally:
            training.cancel()
            gone.cancel()
            await asyncio.gather(training, gone, return_exceptions=True)

    async def _train(self, worker: Worker, function, job, files: tuple[File, ...]) -> Answer | None:
        """Has a worker train a run, after it was given what it lacks; None if it cannot."""
        while True:
            try:
                answer = await self._client.submit(
                    train, function, job, files, self._topic, key=f"train-{uuid.uuid4().hex}", pure=False,
                    workers=[worker.address], resources=worker.resources)
            except (CancelledError, ClosedClientError, KilledWorker, OSError):  # lost; the watch will say with whom
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(worker.gone.wait(), ANSWER_SECONDS)
                return None
            if not answer.missing:
                return answer
            try:
                await self._send(worker, answer.missing)
            except OSError as error:
                if error.errno:  # else the connection is lost
                    self._refuse(worker, f"it could not take the input ({error}); mend that and start it again")
                return None

    async def _send(self, worker: Worker, files: list[File]) -> None:
        """Sends files in pieces; to one worker after the other, since the next may share a disk with this one."""
        async with self._sending:
            for file in await self._ask(worker, where_missing, files):
                with open(file.folder / file.name, "rb") as content:
                    for offset in range(0, file.size or 1, PIECE):
                        await self._ask(worker, receive, file, self._topic, offset, content.read(PIECE))
                self._say(f"sent {file.name} ({file.size / 1e6:.1f} MB) to {worker}")

    def _find_free(self) -> Worker | None:
        """The worker with the most free places; None if all are taken."""
        free = [worker for worker in self._workers.values() if worker.busy < worker.places]
        return max(free, key=lambda worker: worker.places - worker.busy, default=None)

    async def _wait_for(self, holds: Callable) -> None:
        """Waits until something is true of the workers.

        Raises:
          NoWorkers: there are none, and none will be waited for.
        """
        while not holds():
            if self._failure:
                raise self._failure
            await self._changed.wait()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _list_inputs(self, job) -> tuple[File, ...]:
        """The files that a job reads, with their digests, which are computed once for all jobs that read the same."""
        tests = bool(job.keep.predictions)
        key = job.config.task, job.data_folder, job.checkpoint.folder, tests
        if key not in self._inputs:
            names = where_files(TASKS[job.config.task], job.data_folder, tests)
            self._inputs[key] = asyncio.create_task(asyncio.to_thread(
                lambda: File.where_in(job.data_folder, names) + File.where_in(job.checkpoint.folder, CHECKPOINT_FILES)))
        return await asyncio.shield(self._inputs[key])


def _conclude(job, answer: Answer):
    """The result of a run, once what is kept beside its numbers is in its place here."""
    if answer.error is not None:
        raise answer.error
    try:
        job.keep.unpack(job.config, job.instance, answer.kept)
    except OSError as error:  # a full disk must not cost the numbers
        answer.result.not_kept = f"{error.filename or 'a file'} cannot be written ({error.strerror or error})"
    return answer.result


def _name(job) -> str:
    from common.progress import name_run

    return name_run(job.config, job.instance)
