"""What of a study is missing: how many instances of each configuration are there, and which runs have to be trained."""
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.running.estimates import count_work, estimate_run
from common.store.schema import FINISHED
from common.store.store import MAX_FAILURES, RunState, Store
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
    """The instance numbers asked for; a run that was set aside by hand is replaced by the next number."""
    missing: list[int]
    """Those of them that have to be trained."""
    given_up: list[int]
    """Those that failed too often to be retried without being asked for."""
    seconds: float | None
    """Estimated seconds of one run, from stored times; None where there are none with this checkpoint."""


def find_needs(store: Store | None, configs: list[RunConfig], instances: int, retry_failed: bool = False,
               rows: Mapping[str, int] | None = None) -> list[Need]:
    """What is missing, for each configuration; without a store everything is.

    Args:
      rows: task -> rows of its training file, for the estimates; those that are not given have the official number.
    """
    states = store.where_states(configs) if store else {}
    times = {each: store.where_training_times(each) for each in {config.checkpoint for config in configs}} if store else {}
    usual = {name: task.train_rows for name, task in TASKS.items()} | dict(rows or {})
    return [_find_need(config, states.get(config, {}), instances, retry_failed,
                       estimate_run(config, usual[config.task], times.get(config.checkpoint, []))) for config in configs]


def choose_best(store: Store | None, parts: list[Part], instances: int) -> list[Part]:
    """For each search among the parts: the configurations that it has chosen so far, of which all instances are wanted."""
    return [Part(part.best, [[best] for choice in part.choices if (best := _choose(store, choice, part.instances))],
                 instances) for part in parts if part.best]


def _choose(store: Store | None, choice: list[RunConfig], instances: int) -> RunConfig | None:
    scores = {}
    for config in choice:
        found = store.where_last_validation(config, TASKS[config.task].metric) if store else {}
        scores[config] = list(found.values())[:instances]
    return find_best(scores, instances)


def merge_needs(needs: list[Need]) -> list[Need]:
    """One need for each configuration: the larger one where two parts of a study want the same."""
    merged = {}
    for need in needs:
        if need.config not in merged or len(need.wanted) > len(merged[need.config].wanted):
            merged[need.config] = need
    return list(merged.values())


def split_needs(needs: list[Need], instances: int) -> tuple[list[Need], list[Need]]:
    """The missing runs among the first `instances` of each configuration, and the others."""
    def restrict(need: Need, numbers: list[int]) -> Need:
        return dataclasses.replace(need, missing=[number for number in need.missing if number in numbers])

    return ([restrict(need, need.wanted[:instances]) for need in needs],
            [restrict(need, need.wanted[instances:]) for need in needs])


def count_missing(needs: list[Need]) -> int:
    """Runs that have to be trained."""
    return sum(len(need.missing) for need in needs)


def list_costs(needs: Sequence[Need]) -> dict[RunConfig, float]:
    """What each missing run of a configuration costs beside the others: its estimated seconds; what it computes, if some have
    no estimate."""
    missing = [need for need in needs if need.missing]
    if all(need.seconds for need in missing):
        return {need.config: need.seconds or 0.0 for need in missing}
    return {need.config: count_work(need.config, TASKS[need.config.task].train_rows) for need in missing}


def estimate_seconds(needs: list[Need], workers: int) -> float | None:
    """How long the missing runs take with this many workers; None if there are no stored times for some of them."""
    missing = [need for need in needs if need.missing]
    if any(need.seconds is None for need in missing):
        return None
    return sum(len(need.missing) * need.seconds for need in missing) / workers


def _find_need(config: RunConfig, runs: dict[int, RunState], instances: int, retry_failed: bool,
               seconds: float | None) -> Need:
    """What is missing of a configuration with these runs (instance -> state)."""
    set_aside = {number for number, run in runs.items() if run.set_aside}
    wanted = list(itertools.islice((number for number in itertools.count() if number not in set_aside), instances))
    finished = [number for number, run in runs.items() if number not in set_aside and run.status in FINISHED]
    exhausted = [number for number, run in runs.items() if run.status == "failed" and run.failures >= MAX_FAILURES]
    given_up = [number for number in wanted if number in exhausted and not retry_failed]
    missing = [number for number in wanted if number not in finished and number not in given_up]
    return Need(config, len(finished), wanted, missing, given_up, seconds)
