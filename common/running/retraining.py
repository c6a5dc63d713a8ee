"""Runs that are in the store already and are trained again, because one of their files is missing.

Training is deterministic, so the same numbers come out; the store stays as it is, and differences are reported.
"""
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from common.running.driver import Failure
from common.running.planning import Need
from common.store.owner import Owner
from common.store.store import Claim, Store
from common.studies.config import RunConfig
from common.studies.names import name_folder
from common.training.artifacts import ArtifactFolders
from common.training.job import Job, Progress, RunResult


class ScoreDifference(NamedTuple):
    """A run whose second training scored something else than the store has."""

    config: RunConfig
    instance: int
    evaluation_set: str
    now: float | None
    stored: float | None


def find_missing_artifacts(artifacts: ArtifactFolders, store: Store | None, needs: list[Need],
                           failures: Sequence[Failure] = ()) -> list[Need]:
    """The recorded runs of which wanted files are missing; diverged ones have none.

    Args:
      failures: runs that are left out, since they have failed in this call.
    """
    if not artifacts.wanted or store is None:
        return []
    failed = {(config, number) for config, number, _ in failures}
    found, states = [], store.where_states([need.config for need in needs])
    for need in needs:
        done = {number for number, run in states[need.config].items() if run.status == "done"}
        lacking = [number for number in need.wanted if number in done and (need.config, number) not in failed
                   and artifacts.is_incomplete(need.config, number)]
        found.append(dataclasses.replace(need, missing=lacking, given_up=[]))
    return [need for need in found if need.missing]


class RetrainingStore:
    """A driver's store (`RunStore`) and outbox (`ResultBox`) while recorded runs are trained again: nothing is written.

    Args:
      store: the store that has recorded the runs.

    Attributes:
      differences: what did not score the same as the store has.
    """

    patience = 0.0
    folder = None

    def __init__(self, store: Store):
        self._store = store
        self.differences: list[ScoreDifference] = []

    def take(self, wanted: Sequence[tuple[RunConfig, int]], most: int, owner: Owner) -> tuple[list[Claim], dict]:
        """Any run may be taken: another call that trains it writes the same files."""
        return [Claim(0, config, instance, 0) for config, instance in wanted[:most]], {}

    def beat(self, owner: Owner) -> None: ...

    def release(self, claim: Claim, owner: Owner) -> None: ...

    def fail(self, claim: Claim, owner: Owner, error: str) -> None: ...

    def record_all(self, results: Mapping[Claim, RunResult], owner: Owner) -> list[Claim]:
        """Compares the scores with those of the store."""
        for claim, result in results.items():
            stored = self._store.where_scores(claim.config, claim.instance)
            self.differences += [
                ScoreDifference(claim.config, claim.instance, row["evaluation_set"], row["score"], stored[row["evaluation_set"]])
                for row in result.evaluations if row["score"] != stored[row["evaluation_set"]]]
        return []

    def save(self, config: RunConfig, instance: int, result: RunResult) -> bool:
        return True

    def find(self, config: RunConfig, instance: int) -> RunResult | None: ...

    def remove(self, config: RunConfig, instance: int) -> None: ...


def retrain(job: Job, report: Callable[[Progress], None] = lambda progress: None) -> RunResult:
    """What a worker does for a recorded run of which a file is missing.

    Returns:
      The result, for comparison; it is empty where the saved classifier was there and nothing was trained.
    """
    from common.training.classifier import load_classifier
    from common.training.environment import set_up_tensorflow
    from common.training.run import train_run

    model = job.artifacts.models and job.artifacts.models / name_folder(job.config, job.instance)
    if not model or not model.is_dir():
        return train_run(job, report)
    began = time.monotonic()
    set_up_tensorflow(job.threads)
    dataclasses.replace(job.artifacts, models=None).write(load_classifier(model), job)
    return RunResult({}, total_seconds=time.monotonic() - began)
