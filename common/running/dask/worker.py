"""What a Dask worker does for a study: it says what it is, takes input files, and trains each run in a fresh process.

It needs this program and the packages of requirements-all.lock, but neither the store nor the driver's files. The driver sends
the input that it lacks, in pieces, and a file is used when its SHA-256 fits.
"""
import dataclasses
import functools
import hashlib
import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path

from common import UserError
from common.files import put_in_place, sha256_of
from common.inputs.download import cache_dir
from common.running.executor import WorkerError
from common.running.processes import FreshProcesses
from common.training.artifacts import ArtifactFolders
from common.training.environment import software
from common.training.job import Job, Progress
from common.training.machine import runs_at_a_time

RESOURCE = "RUN"
"""`dask worker --resources RUN=2` declares how many runs at a time a worker takes."""
POLL_SECONDS = 0.2
"""A run ends about this long after its driver."""


@dataclass(frozen=True)
class File:
    """An input file of the driver's machine."""

    folder: Path
    name: str
    """Its path relative to the folder."""
    size: int
    sha256: str
    copies: str
    """Name, among the copies in a cache, of the folder's: a digest of all its files."""

    @classmethod
    def where_in(cls, folder: Path, names: Iterable[str]) -> tuple["File", ...]:
        """The files of these names in a folder."""
        files = [cls(folder, name, (folder / name).stat().st_size, sha256_of(folder / name), "") for name in sorted(names)]
        digest = hashlib.sha256("".join(f"{file.sha256}  {file.name}\n" for file in files).encode()).hexdigest()
        return tuple(dataclasses.replace(file, copies=digest[:32]) for file in files)

    @property
    def copied_folder(self) -> Path:
        """Where this machine keeps its copy of the folder; beside the files that others are named relative to."""
        return cache_dir() / "copies" / self.copies / self.folder.name

    def is_in(self, folder: Path) -> bool:
        """Whether it is there with the right content, which is read once for each state of the file."""
        try:
            found = os.stat(folder / self.name)
        except OSError:
            return False
        return found.st_size == self.size and _digest_of(folder / self.name, found.st_mtime_ns, found.st_size) == self.sha256


@functools.lru_cache(maxsize=1000)
def _digest_of(path: Path, changed: int, size: int) -> str:
    return sha256_of(path)


@dataclass
class Answer:
    """What became of a run on a worker: one of these."""

    result: object = None
    """What the run's function returned."""
    error: WorkerError | None = None
    missing: list[File] = field(default_factory=list)
    """Files that the worker has to be given first."""
    artifacts: list[dict[str, bytes]] = field(default_factory=list)
    """With a result: the files of the run, as `ArtifactFolders.pack` gives them."""


def describe(threads: int, dask_worker=None) -> dict:
    """What a driver needs to know about this worker.

    Args:
      threads: threads of each run.
      dask_worker: Dask hands the worker in.

    Returns:
      host; software, as `common.training.environment.software` has it; places, the runs that it takes at a time; and whether that
      number was declared as a resource.
    """
    threads_here, memory = dask_worker.state.nthreads, dask_worker.memory_manager.memory_limit or float("inf")
    declared = dask_worker.state.total_resources.get(RESOURCE)
    places = runs_at_a_time(threads, threads_here, memory) if declared is None else min(int(declared), threads_here)
    return {"host": socket.gethostname(), "software": software(), "places": places, "declared": declared is not None}


def where_missing(files: Iterable[File]) -> list[File]:
    """The files that this machine has neither where the driver has them (a shared file system, or the same machine) nor as
    copies."""
    files = list(files)
    return [file for file in files if not file.is_in(_folder_of(files, file))]


def _folder_of(files: list[File], one: File) -> Path:
    """The folder with this file and all others of its folder: the driver's own if it is whole here, else that of the copies."""
    together = [file for file in files if file.folder == one.folder]
    return one.folder if all(file.is_in(one.folder) for file in together) else one.copied_folder


def receive(file: File, sender: str, offset: int, piece: bytes) -> None:
    """Takes a piece of a file; with the last one the file is there, if its digest fits.

    Raises:
      OSError: it cannot be written.
      UserError: what came is something else; the file on the driver's machine was changed.
    """
    path = file.copied_folder / file.name
    part = path.with_name(f".{path.name}.{sender}.part")
    if not offset:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(".*.part"):
            if time.time() - leftover.stat().st_mtime > 86400:  # its sender was killed
                leftover.unlink(missing_ok=True)
    with open(part, "r+b" if offset else "wb") as out:
        out.seek(offset)
        out.write(piece)
    if offset + len(piece) == file.size:
        if sha256_of(part) != file.sha256:
            part.unlink()
            raise UserError(f"{file.folder / file.name} was changed while the study ran; call again")
        put_in_place(part, path)


def train(function: Callable, job: Job, files: tuple[File, ...], topic: str) -> Answer:
    """Trains a run in a fresh process unless files are missing; ends it when its driver or this worker ends.

    Args:
      function: called with the job, its paths those of this machine, and a function that takes its progress.
      job: the driver's `common.training.job.Job`.
      files: all that the job reads.
      topic: Dask's name for the events that tell the driver of the progress.
    """
    from distributed import get_worker

    worker = get_worker()
    missing = where_missing(files)
    if missing:
        return Answer(missing=missing)
    multiprocessing.current_process()._config["daemon"] = False  # a nanny's worker may else have no processes
    cache = cache_dir()
    with tempfile.TemporaryDirectory(prefix="kept-", dir=cache) as folder:
        here = localize(job, files, cache, Path(folder))
        processes = FreshProcesses(1, functools.partial(_tell, worker, topic, [0.0]))
        try:
            future = processes.submit(function, here)
            while not wait([future], POLL_SECONDS).done:
                if _is_unwanted(worker):
                    processes.kill()
            return Answer(future.result(), artifacts=here.artifacts.pack(job.config, job.instance))
        except WorkerError as error:
            return Answer(error=error)
        finally:
            processes.kill()


def localize(job: Job, files: tuple[File, ...], cache: Path, files_of_run: Path) -> Job:
    """The job with paths of this machine; the files of the run go into `files_of_run`."""
    place = {file.folder: _folder_of(list(files), file) for file in files}
    artifacts = ArtifactFolders(job.artifacts.models and files_of_run / "models",
                                job.artifacts.predictions and files_of_run / "predictions")
    checkpoint = dataclasses.replace(job.checkpoint, folder=place[job.checkpoint.folder])
    return dataclasses.replace(job, checkpoint=checkpoint, data_folder=place[job.data_folder], cache=cache, artifacts=artifacts)


def _tell(worker, topic: str, last: list[float], job: Job, progress: Progress) -> None:
    """Sends a run's progress to its driver: the first and the last step, and each second one in between."""
    now = time.monotonic()
    if progress.message or progress.step in (1, progress.steps) or now - last[0] >= 1:
        last[0] = now
        worker.log_event(topic, [job.config.hash, job.instance, progress.step, progress.steps, progress.message])


def _is_unwanted(worker) -> bool:
    """Whether the task of this thread is no longer wanted: its driver has released it or has ended, or the worker closes."""
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled" or worker.status.name in ("closing", "closed")
