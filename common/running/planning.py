"""What of a study is missing: how many instances of each configuration are there, and which runs are to be trained."""
import dataclasses
import itertools
from dataclasses import dataclass

from common import UserError
from common.store.store import MAX_FAILURES
from common.studies.config import RunConfig
from common.studies.study import Part, find_best
from common.studies.tasks import TASKS


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
