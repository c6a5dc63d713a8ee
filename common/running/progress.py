"""What a user sees while a study runs: bars on a terminal, one plain line for each run elsewhere."""
import contextlib
import itertools
import sys
import threading
from collections.abc import Callable, Sequence

from tqdm import tqdm

from common.running.planning import Need, count_missing, list_costs
from common.running.time_left import TimeLeft
from common.store.store import Claim
from common.studies.config import RunConfig
from common.studies.names import count, name_run, show_seconds
from common.training.job import Job, Progress, RunResult


def say(text: str) -> None:
    """A line on stderr, above the bars. One that cannot be written (a log on a full disk) is lost, and the study goes on."""
    with contextlib.suppress(OSError):
        tqdm.write(text, file=sys.stderr)


class Display:
    """Shows a study's progress on stderr.

    Args:
      needs: the configurations with the runs to train.
      places: how many are trained at a time.
    """

    def __init__(self, needs: Sequence[Need], places: Callable[[], int]):
        costs = list_costs(needs)
        self._left = TimeLeft({(need.config.hash, number): costs[need.config] for need in needs for number in need.missing},
                              places)
        self.total, self.done = count_missing(needs), 0
        self._told_waiting = False
        self._bars_shown = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._study = tqdm(total=self.total, desc="study", unit="run", position=0, disable=None, leave=False,
                           bar_format="{desc}: {n_fmt}/{total_fmt} runs |{bar}| {elapsed}{postfix}")
        self._bars: dict[tuple[str, int], tqdm] = {}

    def started(self, claim: Claim) -> None:
        self._left.begin((claim.config.hash, claim.instance))
        if self._bars_shown:
            taken = {abs(bar.pos) for bar in self._bars.values()}
            place = next(number for number in itertools.count(1) if number not in taken)
            self._bars[claim.config.hash, claim.instance] = tqdm(
                desc=name_run(claim.config, claim.instance), unit="step", position=place, leave=False)

    def progress(self, job: Job, progress: Progress) -> None:
        """Heard from a worker, in another thread."""
        with self._lock:
            bar = self._bars.get((job.config.hash, job.instance))
            if bar is None:
                return
            if progress.step == 1:
                bar.reset()  # the rate is that of the steps, without the start-up
            bar.total = progress.steps or None
            bar.set_postfix_str(progress.message, refresh=False)
            bar.update(progress.step - bar.n)

    def finished(self, claim: Claim, result: RunResult) -> None:
        scores = " ".join(f"{row['evaluation_set']} {row['metric']} " +
                          ("undefined" if row["score"] is None else f"{row['score']:.4f}") +
                          (" collapsed" if row["collapsed"] else "") for row in result.evaluations)
        self._close_bar(claim.config, claim.instance)
        self._line(claim.config, claim.instance,
                   ("diverged" if result.diverged else scores) + f"  {show_seconds(result.total_seconds)}",
                   None if result.diverged else result.total_seconds)

    def failed(self, config: RunConfig, instance: int, error: BaseException) -> None:
        self._close_bar(config, instance)
        self._line(config, instance, f"FAILED: {error}")

    def lost(self, claim: Claim) -> None:
        """Another process took the run over; `found`, `failed` or `started` tells later what became of it."""
        self._close_bar(claim.config, claim.instance)
        self._left.give_back((claim.config.hash, claim.instance))

    def away(self, error: Exception, in_work: int) -> None:
        """The store cannot be used any more; running trainings are finished."""
        say(f"{error}" + (f"; {count(in_work, 'run')} in training will be finished first" if in_work else ""))

    def waiting(self, number: int) -> None:
        """All that is left is being trained by another call; said once."""
        if not self._told_waiting:
            say(f"waiting for {count(number, 'run')} that another call is training; if that call dies, training goes on here")
        self._told_waiting = True

    def found(self, config: RunConfig, instance: int) -> None:
        """Another process has finished a run."""
        self._line(config, instance, "was trained by another process")

    def close(self) -> None:
        for bar in [*self._bars.values(), self._study]:
            bar.close()

    def _close_bar(self, config: RunConfig, instance: int) -> None:
        with self._lock:
            bar = self._bars.pop((config.hash, instance), None)
            if bar is not None:
                bar.close()

    def _line(self, config: RunConfig, instance: int, text: str, seconds: float | None = None) -> None:
        self.done += 1
        self._left.end((config.hash, instance), seconds)
        left = self._left.seconds()
        words = "" if left is None else f"{show_seconds(left)} left"
        say(f"[{self.done}/{self.total}] {name_run(config, instance)}  {text}" + (f"  {words}" if words else ""))
        self._study.set_postfix_str(words, refresh=False)
        self._study.update(1)
