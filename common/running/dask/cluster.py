"""An executor that trains runs on the workers of a Dask cluster, in place of `common.running.processes.FreshProcesses`.

Dask carries the messages and knows the workers. This module decides which worker trains which run, because workers come and go,
and a run that is lost with its worker starts again on another. Each run is a coroutine; all of them share one thread.
"""
import asyncio
import concurrent.futures
import contextlib
import pickle
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

from distributed.client import CancelledError, ClosedClientError
from distributed.scheduler import KilledWorker
from tqdm import tqdm

from common.inputs.layouts import where_files
from common.running.dask.local import LocalWorkers
from common.running.dask.members import ANSWER_SECONDS, Members, Worker
from common.running.dask.worker import Answer, File, receive, train, where_missing
from common.running.executor import NoWorkers, WorkerError
from common.studies.names import name_run
from common.studies.tasks import TASKS
from common.training.job import Job, Progress, RunResult

MAX_LOSSES = 3
"""A run has failed when this many workers were lost while they trained it."""
PIECE = 4 << 20
"""Bytes of a file in one message."""


class DaskCluster(Executor):
    """Runs `function(job, report)` on the workers of a cluster, each in a fresh process there.

    Args:
      address: tcp://HOST:PORT of a scheduler, the file that it wrote, or local:N for N workers that are started here.
      threads: threads of each run.
      limit: runs at a time; None: as many as the workers take.
      cache: the cache folder of workers that are started here.
      say: called with what the user should know.

    Attributes:
      on_report: called with (job, its `common.training.job.Progress`), from another thread.

    Raises:
      NoWorkers: nobody answers, or no worker comes.
    """

    def __init__(self, address: str, threads: int = 1, limit: int | None = None, cache: Path | None = None,
                 say: Callable[[str], None] = lambda text: tqdm.write(text, file=sys.stderr)):
        self.on_report: Callable = lambda job, progress: None
        self._limit, self._say = limit or sys.maxsize, say
        self._jobs: dict[tuple[str, int], object] = {}
        self._inputs: dict[tuple, asyncio.Task] = {}
        self._lives: set[Future] = set()
        self._sending = asyncio.Lock()
        _, is_local, number = address.partition("local:")
        self._local = LocalWorkers(int(number), threads, cache) if is_local else None
        self._topic = f"progress-{uuid.uuid4().hex}"
        self._members = Members(self._local.address if self._local else address, threads, self._topic, self._hear, say)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # Dask's own futures, left alone when it is closed
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        opening = self._call(self._members.open())
        try:
            opening.result()
        except BaseException:
            opening.cancel()
            self.kill()
            raise

    def places(self) -> int:
        """How many runs at a time it takes now; workers come and go."""
        return min(self._limit, self._members.places())

    def submit(self, function: Callable, /, job: Job) -> Future:
        life = self._call(self._live(function, job))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return life

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if wait and not cancel_futures:
            concurrent.futures.wait(list(self._lives))
        self.kill()

    def kill(self) -> None:
        """Cancels all runs, which ends them on their workers, and disconnects from the cluster."""
        if self._thread.is_alive():
            for life in list(self._lives):
                life.cancel()
            self._call(self._close()).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        if self._local:
            self._local.stop()

    def _call(self, coroutine) -> Future:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _close(self) -> None:
        await self._members.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _hear(self, event) -> None:
        _, (digest, instance, *progress) = event
        if (digest, instance) in self._jobs:
            self.on_report(self._jobs[digest, instance], Progress(*progress))

    async def _live(self, function: Callable, job: Job) -> RunResult:
        """Trains a run, on another worker after each one that is lost."""
        files = await self._list_inputs(job)
        self._jobs[job.config.hash, job.instance] = job
        losses = 0
        while losses < MAX_LOSSES:
            worker = await self._members.take_place()
            worker.busy += 1
            try:
                answer = await _until_gone(worker, self._train(worker, function, job, files))
            finally:
                worker.busy -= 1
                self._members.tell_change()
            if answer is not None:
                return _conclude(job, answer)
            if worker.died:
                losses += 1
                self._say(f"{worker} was lost, and with it {name_run(job.config, job.instance)}, which begins again on another")
        raise WorkerError(f"{MAX_LOSSES} workers were lost while they trained it, the last of them on {worker.host}, perhaps for "
                          "lack of memory")

    async def _train(self, worker: Worker, function: Callable, job: Job, files: tuple[File, ...]) -> Answer | None:
        """Trains a run on a worker, after sending it the input that it lacks; None if the worker is lost or cannot train."""
        while True:
            try:
                answer = await self._members.client.submit(
                    _unpack_and_call(), pickle.dumps((train, function, job, files, self._topic)), pure=False,
                    key=f"train-{uuid.uuid4().hex}", workers=[worker.address], resources=worker.resources)
                if not answer.missing:
                    return answer
                await self._send(worker, answer.missing)
            except KilledWorker:  # one that comes back at the same address each time
                raise WorkerError(f"{worker} was lost again and again while it trained it, perhaps for lack of memory") from None
            except NoWorkers as error:  # raised there: that machine cannot train, another may
                self._members.refuse(worker, str(error))
                return None
            except (CancelledError, ClosedClientError, OSError) as error:
                if isinstance(error, OSError) and error.errno:
                    self._members.refuse(worker, f"it cannot take the input ({error}): fix that and start it again")
                else:  # lost; the watch over the members will say with whom
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(worker.gone.wait(), ANSWER_SECONDS)
                return None

    async def _send(self, worker: Worker, files: list[File]) -> None:
        """Sends files in pieces, to one worker at a time, since the next may share a disk with it."""
        async with self._sending:
            for file in await self._members.ask(worker, where_missing, files):
                with open(file.folder / file.name, "rb") as content:
                    for offset in range(0, file.size or 1, PIECE):
                        await self._members.ask(worker, receive, file, self._topic, offset, content.read(PIECE))
                self._say(f"sent {file.name} ({file.size / 1e6:.1f} MB) to {worker}")

    async def _list_inputs(self, job: Job) -> tuple[File, ...]:
        """The files that a job reads, with their digests, which are computed once for all jobs that read the same."""
        tests = bool(job.artifacts.predictions)
        key = job.config.task, job.data_folder, job.checkpoint.folder, tests
        if key not in self._inputs:
            names = where_files(TASKS[job.config.task], job.data_folder, tests)
            self._inputs[key] = asyncio.create_task(asyncio.to_thread(
                lambda: File.where_in(job.data_folder, names) + File.where_in(job.checkpoint.folder, job.checkpoint.files)))
        return await asyncio.shield(self._inputs[key])


def _unpack_and_call() -> Callable[[bytes], Answer]:
    """A function that Dask sends by value, since it is in no module, and that names nothing of this program: the scheduler,
    which unpickles what it passes on, needs no copy of it."""
    def call(packed):
        import pickle

        function, *arguments = pickle.loads(packed)
        return function(*arguments)

    return call


async def _until_gone(worker: Worker, training) -> Answer | None:
    """The answer of a training run; None if its worker is lost first."""
    training, gone = asyncio.create_task(training), asyncio.create_task(worker.gone.wait())
    try:
        await asyncio.wait({training, gone}, return_when=asyncio.FIRST_COMPLETED)
        return training.result() if training.done() else None
    finally:
        training.cancel()
        gone.cancel()
        await asyncio.gather(training, gone, return_exceptions=True)


def _conclude(job: Job, answer: Answer) -> RunResult:
    """The result of a run, after its artifacts were written here."""
    if answer.error is not None:
        raise answer.error
    try:
        job.artifacts.unpack(job.config, job.instance, answer.artifacts)
    except OSError as error:  # a full disk must not cost the numbers
        answer.result.artifact_error = f"{error.filename or 'a file'} cannot be written ({error.strerror or error})"
    return answer.result
