"""What a study is, and what of it is missing: a grid of configurations, and how many instances of each to have."""
import itertools
from dataclasses import dataclass, field

from common import UserError
from common.config import RunConfig

MAX_FAILURES = 3
"""A run that failed this often is not tried again unless asked for."""


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
    batch_sizes_of: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Tasks with batch sizes of their own: task -> batch sizes."""

    def cells(self) -> list[tuple[str, int, float]]:
        """(task, batch size, peak learning rate) of every configuration."""
        return [(task, batch_size, rate) for task in self.tasks
                for batch_size in self.batch_sizes_of.get(task, self.batch_sizes) for rate in self.peak_learning_rates]


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


def find_needs(store, configs: list[RunConfig], instances: int, retry_failed: bool = False) -> list[Need]:
    """What is missing, for each configuration; with no store, everything is."""
    return [_find_need(store, config, instances, retry_failed) for config in configs]


def _find_need(store, config, instances, retry_failed) -> Need:
    runs = store.where_status(config) if store else {}
    aside = {number for number, (_, _, set_aside) in runs.items() if set_aside}
    wanted = list(itertools.islice((number for number in itertools.count() if number not in aside), instances))
    finished = [number for number in runs if number not in aside and runs[number][0] in ("done", "diverged")]
    given_up = [number for number in wanted if number in runs and runs[number][0] == "failed"
                and runs[number][1] >= MAX_FAILURES and not retry_failed]
    missing = [number for number in wanted if number not in finished and number not in given_up]
    return Need(config, len(finished), wanted, missing, given_up, _estimate(store, config))


def _estimate(store, config: RunConfig) -> float | None:
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


def check_batch_size(config: RunConfig, training_rows: int) -> None:
    """Refuses a batch that the training split cannot fill once."""
    if config.batch_size > training_rows:
        raise UserError(f"batch size {config.batch_size} is larger than the {training_rows} training rows of "
                        f"{config.task}; choose a smaller one")
