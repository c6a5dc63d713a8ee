"""What a study is, and what of it is missing: a grid of configurations, and how many instances of each to have."""
import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from common import UserError
from common.config import RunConfig
from common.tasks import TASKS

MAX_FAILURES = 3
"""A run that failed this often is not tried again unless asked for."""


@dataclass(frozen=True)
class Condition:
    """What a study changes about every configuration of its grid."""

    name: str = ""
    """Of `--conditions`; the store knows the condition's runs by study.name. Nameless: by the study's name alone."""
    settings: Callable[[RunConfig, int], list[dict]] = lambda config, rows: [{}]
    """(configuration as the grid has it, rows of the training split) -> fields to change, for each run wanted instead."""
    search: int = 0
    """0: every one of these is wanted. Else each is tried with so many instances, and the best on validation is wanted."""

    def apply(self, config: RunConfig, rows: int) -> list[RunConfig]:
        """What takes the place of a configuration of the grid."""
        return [dataclasses.replace(config, **fields) for fields in self.settings(config, rows)]


@dataclass(frozen=True)
class Study:
    """A grid: every task with every batch size and every peak learning rate, under every condition.

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
    conditions: tuple[Condition, ...] = (Condition(),)

    def cells(self) -> list[tuple[str, int, float]]:
        """(task, batch size, peak learning rate) of every configuration."""
        return [(task, batch_size, rate) for task in self.tasks
                for batch_size in self.batch_sizes_of.get(task, self.batch_sizes) for rate in self.peak_learning_rates]


@dataclass(frozen=True)
class Part:
    """What a study wants under one name in the store."""

    name: str
    choices: list[list[RunConfig]]
    """The configurations, those together that a search chooses among."""
    instances: int
    best: str | None = None
    """Name for the best of each choice; None: there is nothing to choose."""

    @property
    def configs(self) -> list[RunConfig]:
        return list(dict.fromkeys(config for choice in self.choices for config in choice))


def make_parts(study: Study, grid: list[tuple[RunConfig, int]]) -> list[Part]:
    """The study's conditions, applied to its configurations; each comes with the rows of its training split."""
    parts = []
    for condition in study.conditions:
        name = f"{study.name}.{condition.name}" if condition.name else study.name
        choices = [condition.apply(config, rows) for config, rows in grid]
        if condition.search:
            parts.append(Part(f"{name}.search", choices, min(condition.search, study.instances), best=name))
        else:
            parts.append(Part(name, choices, study.instances))
    return parts


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
    found = store.where_statuses(configs) if store else {}
    inputs = {(config.task, config.checkpoint) for config in configs} if store else ()
    times = {each: store.where_training_times(*each) for each in inputs}
    return [_find_need(config, found.get(config, {}), instances, retry_failed,
                       _estimate(config, times.get((config.task, config.checkpoint)))) for config in configs]


def choose(store, parts: list[Part], instances: int) -> list[Part]:
    """What the searches among the parts have found so far: the best configuration of each choice that is tried out."""
    return [Part(part.best, [[best] for choice in part.choices if (best := _choose(store, choice, part.instances))],
                 instances) for part in parts if part.best]


def _choose(store, choice: list[RunConfig], instances: int) -> RunConfig | None:
    scores = {}
    for config in choice:
        found = store.where_last_validation(config, TASKS[config.task].metric) if store else {}
        scores[config] = list(found.values())[:instances]
    return find_best(scores, instances)


def find_best(scores: dict[RunConfig, list[float]], instances: int) -> RunConfig | None:
    """The configuration with the highest mean score; None until every one has a score of so many instances.

    Args:
      scores: validation score of each instance, -inf for one that has none because it diverged. Of equal means the
        earlier configuration wins.
    """
    if any(len(each) < instances for each in scores.values()):
        return None
    return max(scores, key=lambda config: fmean(scores[config]))


def merge_needs(needs: list[Need]) -> list[Need]:
    """One need for each configuration, the larger where two parts of a study want the same."""
    merged = {}
    for need in needs:
        if need.config not in merged or len(need.wanted) > len(merged[need.config].wanted):
            merged[need.config] = need
    return list(merged.values())


def halve_needs(needs: list[Need], instances: int) -> tuple[list[Need], list[Need]]:
    """The missing runs among the first so many instances of each configuration, and the rest of them."""
    def only(need, numbers):
        return dataclasses.replace(need, missing=[number for number in need.missing if number in numbers])

    return ([only(need, need.wanted[:instances]) for need in needs], [only(need, need.wanted[instances:]) for need in needs])


def _find_need(config, runs: dict[int, tuple[str, int, bool]], instances: int, retry_failed: bool, seconds) -> Need:
    """What is missing of a configuration whose runs have these (status, failures, set aside?)."""
    aside = {number for number, (_, _, set_aside) in runs.items() if set_aside}
    wanted = list(itertools.islice((number for number in itertools.count() if number not in aside), instances))
    finished = [number for number in runs if number not in aside and runs[number][0] in ("done", "diverged")]
    given_up = [number for number in wanted if number in runs and runs[number][0] == "failed"
                and runs[number][1] >= MAX_FAILURES and not retry_failed]
    missing = [number for number in wanted if number not in finished and number not in given_up]
    return Need(config, len(finished), wanted, missing, given_up, seconds)


def _estimate(config: RunConfig, times: list[tuple] | None) -> float | None:
    """Mean seconds of this configuration's runs, else of those of the nearest batch size with that checkpoint.

    Args:
      times: as `Store.where_training_times` gives them.
    """
    if not times:
        return None
    same = [seconds for digest, *_, seconds in times if digest == config.hash]
    if same:
        return same[0]
    nearest = min((abs(batch_size - config.batch_size), batch_size) for _, batch_size, *_ in times)[1]
    like = [(runs, seconds / epochs) for _, batch_size, epochs, runs, seconds in times if batch_size == nearest]
    return config.epochs * sum(runs * seconds for runs, seconds in like) / sum(runs for runs, _ in like)


def check_batch_size(config: RunConfig, training_rows: int) -> None:
    """Refuses a batch that the training split cannot fill once."""
    if config.batch_size > training_rows:
        raise UserError(f"batch size {config.batch_size} is larger than the {training_rows} training rows of "
                        f"{config.task}; choose a smaller one")
