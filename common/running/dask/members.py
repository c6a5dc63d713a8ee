"""The members of a Dask cluster: the connection to its scheduler, and workers that come and go."""
import asyncio
import contextlib
import json
import logging
import re
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from distributed import Client
from distributed.versions import VersionMismatchWarning

from common.running.dask.worker import RESOURCE, describe
from common.running.executor import NoWorkers
from common.training.environment import software

CONNECT_SECONDS = 10
"""How long a study that begins waits for its scheduler."""
PATIENCE = 300
"""Seconds without a usable worker, or without the scheduler, after which the study stops."""
ANSWER_SECONDS = 60
"""How long a worker may take to answer."""


class Worker:
    """A Dask worker as the driver sees it."""

    def __init__(self, address: str):
        self.address, self.host = address, ""
        self.places = self.busy = 0
        self.resources: dict[str, int] | None = None
        """What a run uses of the worker's declared resources."""
        self.met = False
        """Whether it has described itself."""
        self.gone = asyncio.Event()
        self.died = False
        """Whether it went while its scheduler was there."""

    def __str__(self) -> str:
        return f"the worker {self.address}" + (f" on {self.host}" if self.host else "")


class Members:
    """The scheduler and the workers of a cluster, used in one event loop.

    Args:
      address: tcp://HOST:PORT of the scheduler, or the file that it wrote.
      threads: threads of each run.
      topic: the name of the events to subscribe to; `hear` is called with each.
      say: called with lines for the user.
    """

    def __init__(self, address: str, threads: int, topic: str, hear: Callable, say: Callable[[str], None]):
        self._address, self._threads, self._topic, self._hear, self._say = address, threads, topic, hear, say
        self._workers: dict[str, Worker] = {}
        self._changed = asyncio.Event()
        self._failure: NoWorkers | None = None
        self._watcher: asyncio.Task | None = None
        self.client: Client | None = None
        for name in ("distributed", "distributed.client", "tornado"):  # this class tells the user in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore", VersionMismatchWarning)

    async def open(self) -> None:
        """Connects, and waits for a worker that can be used.

        Raises:
          NoWorkers: nobody answers, or no worker comes.
        """
        await self._connect(CONNECT_SECONDS)
        self._watcher = asyncio.create_task(self._watch())
        all_met = self._wait_for(lambda: self.places() and all(worker.met for worker in self._workers.values()))
        try:
            await asyncio.wait_for(all_met, min(5, PATIENCE))
        except TimeoutError:
            if not self.places():
                self._say(f"waiting for workers of {self._address}, for {PATIENCE} seconds at most")
            await self._wait_for(self.places)

    async def close(self) -> None:
        """Disconnects from the cluster, which ends all that this client has started on the workers."""
        if self._watcher:
            self._watcher.cancel()
        if self.client:
            with contextlib.suppress(TimeoutError, OSError):
                await asyncio.wait_for(self.client.close(), 5)

    def places(self) -> int:
        """How many runs at a time the workers take."""
        return sum(worker.places for worker in list(self._workers.values()))

    async def take_place(self) -> Worker:
        """Waits for a free place; returns the worker with the most of them. The caller adds itself to `busy`.

        Raises:
          NoWorkers: there is none, and waiting is over.
        """
        return await self._wait_for(self._find_free)

    async def ask(self, worker: Worker, function, *arguments):
        """Calls a function on a worker at once, beside its runs. What it raises there is raised here.

        Raises:
          OSError: the worker is gone, or does not answer.
        """
        running = self.client.run(function, *arguments, workers=[worker.address], on_error="return")
        answer = (await asyncio.wait_for(running, ANSWER_SECONDS)).get(worker.address, OSError("the worker is gone"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refuse(self, worker: Worker, why: str) -> None:
        """Stops using a worker."""
        worker.places, worker.met = 0, True
        self._say(f"{worker} is not used: {why}")
        self.tell_change()

    def tell_change(self) -> None:
        """Wakes those that wait for a place."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _find_free(self) -> Worker | None:
        free = [worker for worker in self._workers.values() if worker.busy < worker.places]
        return max(free, key=lambda worker: worker.places - worker.busy, default=None)

    async def _wait_for(self, find: Callable):
        while not (found := find()):
            if self._failure:
                raise self._failure
            await self._changed.wait()
        return found

    async def _connect(self, patience: float) -> None:
        """Connects within this many seconds. A scheduler that was restarted may have another address in its file."""
        until = time.monotonic() + patience
        while True:
            try:
                address = self._address if "://" in self._address else json.loads(Path(self._address).read_text())["address"]
                self.client = await Client(address, asynchronous=True, set_as_default=False, timeout=min(5, patience))
                self.client._timeout = 0  # else it would reconnect by itself, without saying that all runs were lost
                self.client.subscribe_topic(self._topic, self._hear)
                return
            except (OSError, ValueError, KeyError, TypeError) as error:
                if time.monotonic() > until:
                    raise NoWorkers(f"no Dask scheduler has answered at {self._address} for {patience:.0f} seconds; start it, "
                                    "or correct --cluster, and call again") from error
                await asyncio.sleep(0.5)

    async def _watch(self) -> None:
        """Follows workers and scheduler as they come and go; stops the study when there has been none for too long."""
        seen = time.monotonic()
        try:
            while True:
                if self.client.status != "running":
                    await self._come_back()
                    seen = time.monotonic()
                with contextlib.suppress(OSError):  # the scheduler is busy, or gone
                    self._compare(await asyncio.wait_for(self.client.nthreads(), 5))
                if self.places():
                    seen = time.monotonic()
                elif time.monotonic() - seen > PATIENCE:
                    raise NoWorkers(f"{self._address} has had no worker that could be used for {PATIENCE} seconds; start some "
                                    "(dask worker) and call again")
                await asyncio.sleep(0.5)
        except Exception as error:
            self._failure = error if isinstance(error, NoWorkers) else NoWorkers(
                f"the cluster {self._address} cannot be used any more ({type(error).__name__}: {error}); call again to go on")
            self._lose_all()
            self.tell_change()

    def _compare(self, present: dict[str, int]) -> None:
        """Drops workers that are gone, and asks new ones what they are."""
        for address in self._workers.keys() - present.keys():
            self._lose(self._workers[address], died=True)
        for address in present.keys() - self._workers.keys():
            worker = self._workers[address] = Worker(address)
            worker.meeting = asyncio.create_task(self._meet(worker))

    async def _come_back(self) -> None:
        """Waits for the scheduler to return. Runs on its workers are lost."""
        self._say(f"the scheduler {self._address} does not answer; waiting for it, for {PATIENCE} seconds at most")
        self._lose_all()
        await self._connect(PATIENCE)
        self._say(f"the scheduler {self._address} is back")

    def _lose_all(self) -> None:
        for worker in list(self._workers.values()):
            self._lose(worker, died=False)

    def _lose(self, worker: Worker, died: bool) -> None:
        worker.places, worker.died = 0, died
        worker.gone.set()
        self._workers.pop(worker.address, None)
        self.tell_change()

    async def _meet(self, worker: Worker) -> None:
        """Asks a new worker what it is. One whose code or packages differ from those here is not used."""
        try:
            about = await self.ask(worker, describe, self._threads)
        except OSError:
            self._lose(worker, died=False)
            return
        except Exception as error:
            module = re.search("No module named '([^']+)'", str(error))
            self.refuse(worker, f"it has no {module[1]}: start it in the folder of this program, or with that in PYTHONPATH, "
                                "and with the packages of requirements-all.lock" if module else str(error))
            return
        worker.host = about["host"]
        differing = [f"{name} {about['software'].get(name)} (here {value})" for name, value in software().items()
                     if about["software"].get(name) != value]
        if differing:
            self.refuse(worker, f"it has {', '.join(differing)}: give it the same copy of this program and the packages of "
                                "requirements-all.lock, and start it again")
            return
        worker.resources = {RESOURCE: 1} if about["declared"] else None
        worker.places, worker.met = about["places"], True
        self.tell_change()
