"""Runs what is missing of a study: a grid of configurations, and how many instances of each to have."""
import contextlib
import itertools
import signal
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass

from common import UserError
from common.config import RunConfig
from common.owner import Owner
from common.store import MAX_ATTEMPTS, Claim, RunLost, Store
from common.train import Job, train_run

HEARTBEAT_SECONDS = 20


@dataclass(frozen=True)
class Study:
    """A grid: every task with every batch size and every peak learning rate.

    The scripts `exp_*.py` hold one each; the command line may change any of it but the name.
    """

    name: str
    tasks: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    peak_learning_rates: tuple[float, ...]
    epochs: int
    instances: int

    def cells(self) -> list[tuple[str, int, float]]:
        """(task, batch size, peak learning rate) of every configuration."""
        return list(itertools.product(self.tasks, self.batch_sizes, self.peak_learning_rates))


@dataclass(frozen=True)
class Need:
    """What one configuration has and wants."""

    config: RunConfig
    have: int
    """Instances finished (done or diverged) and not set aside."""
    wanted: list[int]
    """The instance numbers asked for; a number that was set aside by hand is replaced by the next."""
    missing: list[int]
    """Those of them to be trained."""
    given_up: list[int]
    """Those that failed too often to be tried again unasked."""
    seconds: float | None
    """Estimated seconds of one run, from stored times; None where there are none to go by."""


class Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


def find_needs(store: Store | None, configs: list[RunConfig], instances: int, retry_failed: bool = False) -> list[Need]:
    """What is missing, for each configuration; with no store, everything is."""
    return [_find_need(store, config, instances, retry_failed) for config in configs]


def _find_need(store, config, instances, retry_failed) -> Need:
    runs = store.where_status(config) if store else {}
    aside = {number for number, (_, _, set_aside) in runs.items() if set_aside}
    wanted = list(itertools.islice((number for number in itertools.count() if number not in aside), instances))
    finished = [number for number in runs if number not in aside and runs[number][0] in ("done", "diverged")]
    given_up = [number for number in wanted if number in runs and runs[number][0] == "failed"
                and runs[number][1] >= MAX_ATTEMPTS and not retry_failed]
    missing = [number for number in wanted if number not in finished and number not in given_up]
    return Need(config, len(finished), wanted, missing, given_up, _estimate(store, config))


def _estimate(store: Store | None, config: RunConfig) -> float | None:
    """Mean seconds of this configuration's runs, else of those of the nearest batch size with that checkpoint."""
    times = store.where_training_times(config.task, config.checkpoint) if store else []
    same = [seconds for digest, _, _, seconds in times if digest == config.hash]
    if same:
        return sum(same) / len(same)
    if not times:
        return None
    nearest = min((abs(batch_size - config.batch_size), batch_size) for _, batch_size, _, _ in times)[1]
    like = [seconds / epochs for _, batch_size, epochs, seconds in times if batch_size == nearest]
    return config.epochs * sum(like) / len(like)


class Driver:
    """Takes the missing runs of a study one by one, has them trained and records them.

    Args:
      store: where results go; nobody but the driver writes to it.
      executor: what trains: any `concurrent.futures.Executor`.
      workers: runs at a time.
      make_job: configuration and instance -> `Job`.
      display: hears of every start, end and failure.
      fail_fast: stop at the first failure.
    """

    def __init__(self, store: Store, executor: Executor, workers: int, make_job, display, *, train=train_run,
                 fail_fast: bool = False):
        self.store, self.executor, self.workers = store, executor, workers
        self.make_job, self.display, self.train, self.fail_fast = make_job, display, train, fail_fast
        self.owner = Owner.of_this_process()
        self.failures: list[tuple[Claim, str]] = []
        self._working: dict[Future, Claim] = {}
        self._last_beat = time.monotonic()

    def run(self, needs: list[Need]) -> None:
        """Trains all that is missing; what somebody else has taken is waited for, and taken over if they die."""
        queue = deque(_in_order(needs))
        try:
            while queue or self._working:
                self._take(queue)
                self._finish(wait(self._working, timeout=1, return_when=FIRST_COMPLETED).done)
                self._beat()
                if self.failures and self.fail_fast:
                    break
        finally:
            for claim in self._working.values():
                self.store.release(claim, self.owner)

    def _take(self, queue: deque) -> None:
        """Fills the free workers from the queue; a run that another driver holds goes back to its end."""
        for _ in range(len(queue)):
            if len(self._working) >= self.workers:
                return
            config, instance = queue.popleft()
            claim = self.store.find_claim(config, instance, self.owner)
            if claim:
                self.display.started(claim)
                self._working[self.executor.submit(self.train, self.make_job(config, instance))] = claim
            elif self.store.where_status(config)[instance][0] == "running":
                queue.append((config, instance))
            else:
                self.display.found(config, instance)
        if queue and not self._working:
            time.sleep(1)  # all that is left is held by others

    def _finish(self, futures: set[Future]) -> None:
        for future in futures:
            claim = self._working[future]
            error = future.exception()
            try:
                if error is None:
                    self.store.record(claim, self.owner, future.result())
                    self.display.finished(claim, future.result())
                else:
                    self.store.fail(claim, self.owner, str(error))
                    self.failures.append((claim, str(error)))
                    self.display.failed(claim, error)
            except RunLost:
                self.display.lost(claim)
            del self._working[future]

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
    """Turns SIGTERM into `Terminated`, so that what is held is given back."""
    def stop(signum, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def check_batch_size(config: RunConfig, training_rows: int) -> None:
    """Refuses a batch that the training split cannot fill once."""
    if config.batch_size > training_rows:
        raise UserError(f"batch size {config.batch_size} is larger than the {training_rows} training rows of "
                        f"{config.task}; choose a smaller one")


__all__ = ["Driver", "Job", "Need", "Study", "Terminated", "check_batch_size", "find_needs", "stopping_on_sigterm"]
