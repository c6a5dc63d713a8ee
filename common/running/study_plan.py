"""What the store has of a study and what would be trained, before anything is: a dry run."""
from contextlib import closing
from dataclasses import dataclass

from common import UserError
from common.running.expected_inputs import ExpectedInputs
from common.running.options import RunOptions, make_options
from common.running.planning import Need, choose_best, merge_needs
from common.running.retraining import find_missing_artifacts
from common.running.study_run import StudyRun
from common.store.connection import NoStore
from common.store.store import Store
from common.studies.study import Part, Study


@dataclass(frozen=True)
class Search:
    """A search for the best configurations that is not finished."""

    name: str
    undecided: int
    """Choices that are not made yet."""
    runs: int
    """Runs that they will need, at most."""


@dataclass(frozen=True)
class Plan:
    """What the store has of a study, and what would be trained."""

    needs: list[Need]
    retrain: list[Need]
    """Recorded runs that would be trained again, for files that are to be kept."""
    searches: list[Search]
    workers: int
    """Runs at a time."""
    checkpoint: str
    """Digest of the checkpoint."""
    input_errors: dict[str, UserError]
    """Task -> why its files cannot be used."""
    to_fetch: str
    """A sentence on what would be downloaded; empty if everything is here."""
    finished: dict[str, int]
    """Name of a checkpoint -> finished runs of this study that the store holds, whatever their other settings."""


def plan_study(study: Study, **options) -> Plan:
    """What the store has of a study and what `run_study` would train, with the same arguments; nothing is written or downloaded.

    Raises:
      UserError: something that the user must fix.
    """
    chosen = make_options(**options)
    try:
        store = Store(chosen.db, create=False)
    except NoStore:
        return _plan(study, chosen, None)
    with closing(store):
        return _plan(study, chosen, store)


def _plan(study: Study, options: RunOptions, store: Store | None) -> Plan:
    expected = ExpectedInputs(store)
    run = StudyRun.load(study, options, expected)
    parts = run.make_parts()
    best = choose_best(store, parts, study.instances)
    needs = merge_needs([need for part in parts + best for need in run.find_needs(store, part)])
    return Plan(needs, find_missing_artifacts(options.artifacts, store, needs), _find_searches(parts, best, study.instances),
                options.count_workers(), run.inputs.checkpoint.digest, run.inputs.errors,
                str(expected) if expected.missing else "", store.count_finished([part.name for part in parts]) if store else {})


def _find_searches(parts: list[Part], best: list[Part], instances: int) -> list[Search]:
    """The searches among the parts that have not chosen everything yet."""
    searches = []
    for part, found in zip([part for part in parts if part.best], best, strict=True):
        undecided = len(part.choices) - len(found.choices)
        if undecided:
            searches.append(Search(part.best, undecided, undecided * (instances - part.instances)))
    return searches
