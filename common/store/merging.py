"""Adds one results store to another: which runs are missing there, and which contradict each other.

Training is deterministic on one machine, so a run that both stores have is the same run if its measurements are equal. Where
they differ, only the user can say which is right: both stay as they are.
"""
from collections import defaultdict
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import bindparam, select

from common.store import schema
from common.store.schema import (
    FINISHED,
    checkpoints,
    configs,
    datasets,
    environments,
    evaluations,
    labels,
    measurements,
    outputs,
    runs,
    studies,
)
from common.studies.config import RunConfig

MEASURED = (evaluations, measurements)

Content = dict[sa.Table, list[dict]]
"""The rows of a store: table -> rows, in the order of their keys."""


@dataclass(frozen=True)
class Difference:
    """A run that measured different things in two stores."""

    config: RunConfig
    instance: int
    scores: dict[str, tuple[float | None, float | None]]
    """Evaluation set -> main score in the first store and in the other; None: it has none."""


@dataclass(frozen=True)
class Comparison:
    """What adding a store to another does; each run of the first is in one of `missing`, `unfinished`, `there`, `differing`."""

    missing: list[dict] = field(default_factory=list)
    """Runs that the other lacks."""
    unfinished: list[tuple[dict, dict]] = field(default_factory=list)
    """(run, the other's), of which only the first is finished: it replaces the second."""
    there: list[dict] = field(default_factory=list)
    """Runs that the other has completely."""
    differing: list[Difference] = field(default_factory=list)
    """Runs that both have finished, with different measurements: nothing is done."""
    set_aside: list[tuple[dict, dict]] = field(default_factory=list)
    """(run, the other's), the same run, that only the first store leaves out so far."""
    predicted: list[tuple[dict, dict]] = field(default_factory=list)
    """(run, the other's), the same run, whose predictions only the first store has."""

    @property
    def added(self) -> list[dict]:
        """The runs that are copied."""
        return self.missing + [run for run, _ in self.unfinished]


def read(connection: sa.Connection) -> Content:
    """Everything in a store."""
    return {table: [dict(zip(table.columns.keys(), row, strict=True))
                    for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in schema.metadata.sorted_tables if table is not schema.versions}


def compare(content: Content, other: Content) -> Comparison:
    """What adding this content to the other would do."""
    found = Comparison()
    theirs = {(run["config"], run["instance"]): run for run in other.get(runs, ())}
    known = {row["hash"]: RunConfig.from_json(row["json"]) for row in content[configs]}
    (rows, scores), (their_rows, their_scores) = _index(content), _index(other)
    predicted, their_predicted = ({row["run"] for row in each.get(outputs, ())} for each in (content, other))
    for run in content[runs]:
        their = theirs.get((run["config"], run["instance"]))
        if their is None:
            found.missing.append(run)
        elif is_finished(run) and not is_finished(their):
            found.unfinished.append((run, their))
        elif is_finished(run) and (run["status"], rows[run["id"]]) != (their["status"], their_rows[their["id"]]):
            if run["set_aside"] is None:
                ours, others = scores[run["id"]], their_scores[their["id"]]
                found.differing.append(Difference(known[run["config"]], run["instance"], {
                    name: (ours.get(name), others.get(name)) for name in sorted({**ours, **others})}))
            else:  # the user has said which of the two counts
                found.there.append(run)
        else:
            found.there.append(run)
            if run["set_aside"] and not their["set_aside"] and is_finished(run) == is_finished(their):
                found.set_aside.append((run, their))
            if is_finished(run) and run["id"] in predicted and their["id"] not in their_predicted:
                found.predicted.append((run, their))
    return found


def add(connection: sa.Connection, content: Content, found: Comparison) -> None:
    """Makes the changes that `compare` found, in the caller's transaction."""
    schema.insert_checkpoints(connection, content[checkpoints])
    for table in (datasets, labels, environments, configs):
        schema.insert_new(connection, table, content[table])
    schema.insert_new(connection, runs, [_columns(run) for run in found.missing])
    _update(connection, [_columns(run) | {"set_aside": their["set_aside"] or run["set_aside"], "number": their["id"]}
                         for run, their in found.unfinished])
    _update(connection, [{"set_aside": run["set_aside"], "number": their["id"]} for run, their in found.set_aside])
    schema.insert_studies(connection, content[studies])
    numbers = {tuple(key): number for number, *key in connection.execute(select(runs.c.id, runs.c.config, runs.c.instance))}
    added = {run["id"]: numbers[run["config"], run["instance"]] for run in found.added}
    for table in MEASURED:
        _insert_of_runs(connection, table, content, added)
    _insert_of_runs(connection, outputs, content, added | {run["id"]: their["id"] for run, their in found.predicted})


def _insert_of_runs(connection, table: sa.Table, content: Content, numbers: dict[int, int]) -> None:
    """Copies the rows of some runs; their number in the first store -> in the second."""
    schema.insert_new(connection, table, [row | {"run": numbers[row["run"]]} for row in content[table] if row["run"] in numbers])


def is_finished(run: dict) -> bool:
    return run["status"] in FINISHED


def _columns(run: dict) -> dict:
    """A row of `runs` for another store, which has its own run numbers and where nobody is training this run."""
    columns = {name: value for name, value in run.items() if name != "id"}
    return columns | {"status": "pending", "owner": None} if run["status"] == "running" else columns


def _update(connection, rows: list[dict]) -> None:
    if rows:
        connection.execute(runs.update().where(runs.c.id == bindparam("number")), rows)


def _index(content: Content) -> tuple[dict[int, set[tuple]], dict[int, dict]]:
    """Number of a run -> its measurements, without that number; and -> its main scores by evaluation set."""
    rows: dict[int, set[tuple]] = defaultdict(set)
    scores: dict[int, dict] = defaultdict(dict)
    for table in MEASURED:
        for row in content.get(table, ()):
            rows[row["run"]].add((table.name, *(value for name, value in row.items() if name != "run")))
    for row in content.get(evaluations, ()):
        scores[row["run"]][row["evaluation_set"]] = row["score"]
    return rows, scores
