"""Runs that are in the store already and are trained once more, for what is to be kept of them; the store stays as it is."""
import dataclasses
import time
from collections.abc import Callable, Sequence

from common.running.planning import Need
from common.store.store import Claim
from common.studies.config import RunConfig
from common.studies.names import name_folder
from common.training.artifacts import Keep


def find_again(keep: Keep, store, needs: list[Need], failures: Sequence[tuple] = ()) -> list[Need]:
    """The runs that are in the store, but of which something to keep is missing; diverged ones have nothing to keep.

    Args:
      failures: (configuration, instance, error) of runs that are to be left alone, since this call has failed with them.
    """
    if not keep.anything or store is None:
        return []
    failed = {(config, number) for config, number, _ in failures}
    found, statuses = [], store.where_statuses([need.config for need in needs])
    for need in needs:
        status = statuses[need.config]
        lacking = [number for number in need.wanted if number in status and status[number][0] == "done"
                   and (need.config, number) not in failed and keep.lacks(need.config, number)]
        found.append(dataclasses.replace(need, missing=lacking, given_up=[]))
    return [need for need in found if need.missing]


class Unwritten:
    """Stands before a driver as store and outbox, for runs that are trained again: each may be taken, nothing is written.

    Attributes:
      differing: (configuration, instance, evaluation set, score now, score in the store) where the two are not the same.
    """

    def __init__(self, store):
        self._store = store
        self.differing = []

    def take(self, wanted, most: int, owner) -> tuple[list[Claim], dict]:
        return [Claim(0, config, instance, 0) for config, instance in wanted[:most]], {}

    def record_all(self, results, owner) -> list[Claim]:
        for claim, result in results.items():
            known = self._store.where_scores(claim.config, claim.instance)
            self.differing += [(claim.config, claim.instance, row["evaluation_set"], row["score"], known[row["evaluation_set"]])
                               for row in result.evaluations if row["score"] != known[row["evaluation_set"]]]
        return []

    def save(self, config: RunConfig, instance: int, result) -> bool:
        return True

    find = remove = fail = release = beat = lambda self, *_: None


def keep_again(job, report: Callable = lambda progress: None):
    """What a worker does for a run that is in the store, but of which something to keep is missing.

    Returns:
      A `common.training.job.RunResult` for comparison; it is empty where the kept classifier was there and nothing was trained.
    """
    from common.training.classifier import load_classifier
    from common.training.environment import set_up_tensorflow
    from common.training.job import RunResult
    from common.training.run import train_run

    model = job.keep.models and job.keep.models / name_folder(job.config, job.instance)
    if not model or not model.is_dir():
        return train_run(job, report)
    began = time.monotonic()
    set_up_tensorflow(job.threads)
    dataclasses.replace(job.keep, models=None).write(load_classifier(model), job)
    return RunResult({}, total_seconds=time.monotonic() - began)
