"""Runs what is missing of a study: takes a run, has it trained, records it."""
import contextlib
import functools
import itertools
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from common import Terminated, UserError
from common.running.executor import NoWorkers, RunExecutor, WorkerError
from common.running.planning import Need
from common.running.progress import Display
from common.store.owner import Owner
from common.store.store import Claim, RunLost
from common.studies.config import RunConfig
from common.studies.names import count
from common.training.job import Job, RunResult
from common.training.run import train_run

HEARTBEAT_SECONDS = 20


class RunStore(Protocol):
    """What the driver needs of a store; `common.store.store.Store` says what each method promises."""

    patience: float
    """Seconds that a store which is away is waited for."""

    def take(self, wanted: Sequence[tuple[RunConfig, int]], most: int, owner: Owner
             ) -> tuple[list[Claim], dict[tuple[RunConfig, int], str]]: ...

    def beat(self, owner: Owner) -> None: ...

    def release(self, claim: Claim, owner: Owner) -> None: ...

    def record_all(self, results: Mapping[Claim, RunResult], owner: Owner) -> list[Claim]: ...

    def fail(self, claim: Claim, owner: Owner, error: str) -> None: ...


class ResultBox(Protocol):
    """Where the driver keeps a result until it is in the store; see `common.running.outbox.Outbox`."""

    folder: object
    """Its place, as messages name it."""

    def save(self, config: RunConfig, instance: int, result: RunResult) -> bool: ...

    def find(self, config: RunConfig, instance: int) -> RunResult | None: ...

    def remove(self, config: RunConfig, instance: int) -> None: ...


class Failure(NamedTuple):
    """A run that failed, and why."""

    config: RunConfig
    instance: int
    error: BaseException


@dataclass(eq=False)
class Driver:
    """Takes the missing runs of a study one by one, has them trained and records them."""

    store: RunStore
    """Where results go; only the driver writes to it."""
    executor: RunExecutor
    make_job: Callable[[RunConfig, int], Job]
    display: Display
    """Hears of every start, end and failure."""
    outbox: ResultBox
    train: Callable[..., RunResult] = train_run
    """What the executor calls with a job."""
    fail_fast: bool = False
    """Stop at the first failure."""
    places: Callable[[RunConfig], float] = lambda config: 1
    """How many of the executor's places a run takes."""

    owner: Owner = field(default_factory=Owner.of_this_process, init=False)
    failures: list[Failure] = field(default_factory=list, init=False)
    _working: dict[Future, Claim] = field(default_factory=dict, init=False)
    _ended: queue.SimpleQueue = field(default_factory=queue.SimpleQueue, init=False)
    _kept: dict[Future, bool] = field(default_factory=dict, init=False)
    """Runs that ended: whether a result waits in the outbox."""
    _last_beat: float = field(default_factory=time.monotonic, init=False)

    def run(self, needs: list[Need]) -> None:
        """Trains all that is missing; runs that another call trains are waited for, and taken over if that call dies.

        Raises:
          UserError: the store cannot be used any more; running trainings are finished and kept in the outbox.
          NoWorkers: no worker is left; runs in training are pending again.
        """
        waiting = deque(_in_order(needs))
        try:
            while waiting or self._working:
                self._take(waiting)
                waiting += self._finish(self._wait())
                self._beat()
                if self.failures and self.fail_fast:
                    break
        except NoWorkers:
            raise
        except UserError as error:
            raise UserError(f"{error}{self._keep_results(error)}") from error
        finally:
            with contextlib.suppress(UserError):  # the next call finds that this process has ended
                if self._working:
                    self.store.patience = 0
                for claim in self._working.values():
                    self.store.release(claim, self.owner)

    def _take(self, waiting: deque) -> None:
        """Fills the free workers with waiting runs; a run that another driver holds goes back to their end."""
        most = self._count_free(waiting)
        if not most:
            return
        claims, others = self.store.take(list(waiting), most, self.owner)
        for _ in range(len(claims) + len(others)):
            waiting.popleft()
        for claim in claims:
            self.display.started(claim)
            self._start(claim)
        for (config, instance), status in others.items():
            if status in ("done", "diverged"):
                self.outbox.remove(config, instance)
                self.display.found(config, instance)
            elif status == "failed":
                self._fail(config, instance, WorkerError("it failed in another process"))
            else:
                waiting.append((config, instance))
        if waiting and len(waiting) == sum(status == "running" for status in others.values()):
            self.display.waiting(len(waiting))

    def _count_free(self, waiting: Sequence[tuple[RunConfig, int]]) -> int:
        """How many of the waiting runs it takes to fill the free places; the last of them may take more than is left."""
        free = self.executor.places() - sum(self.places(claim.config) for claim in self._working.values())
        used = itertools.accumulate((self.places(config) for config, _ in waiting), initial=0)
        fitting = sum(each < free for each, _ in zip(used, waiting, strict=False))
        return min(fitting, self.executor.places() - len(self._working))

    def _start(self, claim: Claim) -> None:
        """Has a run trained, unless it was trained before and could not be recorded."""
        trained = self.outbox.find(claim.config, claim.instance)
        if trained is None:
            future = self.executor.submit(self.train, self.make_job(claim.config, claim.instance))
        else:
            future = Future()
            future.set_result(trained)
        self._working[future] = claim
        future.add_done_callback(functools.partial(self._keep, claim))

    def _keep(self, claim: Claim, future: Future) -> None:
        """Puts a result into the outbox as soon as it exists, whatever the driver is waiting for."""
        trained = not future.cancelled() and future.exception() is None
        self._kept[future] = trained and self.outbox.save(claim.config, claim.instance, future.result())
        self._ended.put(future)

    def _wait(self) -> list[Future]:
        """The runs that have ended; waits at most a second for one."""
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=1))
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def _finish(self, futures: list[Future]) -> list[tuple[RunConfig, int]]:
        """Records what has ended; returns the runs that another call has taken over, to wait for them."""
        ended = {self._working[future]: future for future in futures}
        results = {claim: future.result() for claim, future in ended.items() if future.exception() is None}
        lost = self.store.record_all(results, self.owner) if results else []
        gone = None
        for claim, future in ended.items():
            if isinstance(future.exception(), NoWorkers):
                gone = future.exception()
                continue
            if claim in lost:
                self.display.lost(claim)
            elif claim in results:
                self._recorded(claim, results[claim])
            elif not self._failed(claim, future.exception()):
                lost.append(claim)
            del self._working[future], self._kept[future]
        if gone:
            raise gone
        return [(claim.config, claim.instance) for claim in lost]

    def _recorded(self, claim: Claim, result: RunResult) -> None:
        self.outbox.remove(claim.config, claim.instance)
        self.display.finished(claim, result)
        if result.artifact_error:
            self.failures.append(Failure(claim.config, claim.instance, WorkerError(
                f"its numbers are in the store, but {result.artifact_error}; fix that and call again")))

    def _failed(self, claim: Claim, error: BaseException) -> bool:
        """Records a failure; False if another process has taken the run over."""
        try:
            self.store.fail(claim, self.owner, str(error))
        except RunLost:
            self.display.lost(claim)
            return False
        self._fail(claim.config, claim.instance, error)
        return True

    def _keep_results(self, error: UserError) -> str:
        """Waits until running trainings are in the outbox; returns words about it that follow the error's."""
        in_work = [future for future in self._working if future not in self._kept]
        self.display.away(error, len(in_work))
        while any(future not in self._kept for future in in_work):
            self._ended.get()
        trained = [future for future in self._working if future.exception() is None]
        lost = sum(not self._kept[future] for future in trained)
        if lost:
            return f"; {count(lost, 'trained run')} could not be kept in {self.outbox.folder} either, and must be trained again"
        return f"; what was trained is kept in {self.outbox.folder}: call again to record it" if trained else ""

    def _fail(self, config: RunConfig, instance: int, error: BaseException) -> None:
        self.failures.append(Failure(config, instance, error))
        self.display.failed(config, instance, error)

    def _beat(self) -> None:
        if time.monotonic() - self._last_beat > HEARTBEAT_SECONDS:
            self.store.beat(self.owner)
            self._last_beat = time.monotonic()


def _in_order(needs: list[Need]) -> list[tuple[RunConfig, int]]:
    """First instances first; among them the longest runs first, so that no worker is left with one at the end."""
    runs = [(instance, need) for need in needs for instance in need.missing]
    runs.sort(key=lambda run: (run[0], -(run[1].seconds or 0), run[1].config.batch_size))
    return [(need.config, instance) for instance, need in runs]


@contextlib.contextmanager
def stopping_on_sigterm():
    """Turns SIGTERM into `Terminated`, so that runs are given back; only the main thread can, elsewhere nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
