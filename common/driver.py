"""Runs what is missing of a study: takes a run, has it trained, records it."""
import contextlib
import signal
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

from common import Terminated
from common.config import RunConfig
from common.owner import Owner
from common.store import Claim, RunLost, Store
from common.study import Need
from common.train import train_run
from common.workers import WorkerError

HEARTBEAT_SECONDS = 20


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
        self.failures: list[tuple[RunConfig, int, BaseException]] = []
        self._working: dict[Future, Claim] = {}
        self._last_beat = time.monotonic()

    def run(self, needs: list[Need]) -> None:
        """Trains all that is missing; what somebody else has taken is waited for, and taken over if they die."""
        queue = deque(_in_order(needs))
        try:
            while queue or self._working:
                self._take(queue)
                queue += self._finish(wait(self._working, timeout=1, return_when=FIRST_COMPLETED).done)
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
                continue
            status = self.store.where_status(config)[instance][0]
            if status in ("done", "diverged"):
                self.display.found(config, instance)
            elif status == "failed":
                self._fail(config, instance, WorkerError("it failed in another process"))
            else:
                queue.append((config, instance))
        if queue and not self._working:
            time.sleep(1)  # all that is left is held by others

    def _finish(self, futures: set[Future]) -> list[tuple[RunConfig, int]]:
        """Records what has ended; gives the runs that somebody else took over meanwhile, to be waited for."""
        lost = []
        for future in futures:
            claim = self._working[future]
            error = future.exception()
            try:
                if error is None:
                    self.store.record(claim, self.owner, future.result())
                    self.display.finished(claim, future.result())
                else:
                    self.store.fail(claim, self.owner, str(error))
                    self._fail(claim.config, claim.instance, error)
            except RunLost:
                self.display.lost(claim)
                lost.append((claim.config, claim.instance))
            del self._working[future]
        return lost

    def _fail(self, config: RunConfig, instance: int, error: BaseException) -> None:
        self.failures.append((config, instance, error))
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
    """Turns SIGTERM into `Terminated`, so that what is held is given back."""
    def stop(signum, frame):
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
