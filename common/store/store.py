"""The results store: every query of the program.

One row of `runs` is one trained instance of one configuration. A run is taken by one guarded UPDATE, and a finished run
appears with all its measurements in one transaction or not at all. People should ask the views `results`, `cells` and
`curves`: their columns are stable, the tables behind them may move.
"""
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Integer, select

from common import UserError
from common.store import merging, schema
from common.store.connection import Database, patient
from common.store.owner import Owner
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
from common.studies.tasks import METRICS
from common.training.job import RunResult

MAX_FAILURES = 3
"""A run that failed this often is not tried again unless asked for."""
LEASE_SECONDS = 120
"""A run on another machine may be taken over after so long without a heartbeat."""


class RunLost(Exception):
    """Another process took the run over: the result from here must not be written."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A run that this process may train."""

    run: int
    config: RunConfig
    instance: int
    attempt: int


@dataclasses.dataclass(frozen=True)
class InputRows:
    """What describes the input of a study: rows of `checkpoints`, `datasets` and `labels`."""

    checkpoint: dict
    data: Sequence[dict]
    labels: Sequence[dict] = ()


class RunState(NamedTuple):
    """Where a run stands."""

    status: str
    failures: int
    set_aside: bool


class TrainingTime(NamedTuple):
    """How long the finished runs of a configuration took."""

    config: RunConfig
    rows: int
    """Of the task's training file."""
    runs: int
    seconds: float
    """Mean of their total seconds."""


class Store(Database):
    """The results store: every query of the program."""

    # -- planning

    @patient
    def where_states(self, wanted: Sequence[RunConfig]) -> dict[RunConfig, dict[int, RunState]]:
        """Configuration -> instance -> state of its runs."""
        query = select(runs.c.config, runs.c.instance, runs.c.status, runs.c.failures, runs.c.set_aside)
        known = {config.hash: config for config in wanted}
        found: dict[RunConfig, dict] = {config: {} for config in wanted}
        with self.reading() as connection:
            for hashes in _in_chunks(list(known)):
                for row in connection.execute(query.where(runs.c.config.in_(hashes)).order_by(runs.c.instance)):
                    found[known[row.config]][row.instance] = RunState(row.status, row.failures, row.set_aside is not None)
        return found

    def where_state(self, config: RunConfig) -> dict[int, RunState]:
        """The same of one configuration."""
        return self.where_states([config])[config]

    def where_scores(self, config: RunConfig, instance: int) -> dict[str, float | None]:
        """Evaluation set -> main score of a finished run."""
        query = (select(evaluations.c.evaluation_set, evaluations.c.score).join(runs, runs.c.id == evaluations.c.run)
                 .where(runs.c.config == config.hash, runs.c.instance == instance))
        with self.reading() as connection:
            return {row.evaluation_set: row.score for row in connection.execute(query)}

    def where_points(self, config: RunConfig, instance: int) -> tuple[list[tuple[str, int, float]], str | None]:
        """The measurements of a finished run as (split/metric, step, value), by step, and the time when it finished.

        The scores of its evaluation sets stand at its last step. A run that is not finished has no points.
        """
        run = select(runs.c.id, runs.c.finished_at).where(runs.c.config == config.hash, runs.c.instance == instance,
                                                          runs.c.status.in_(FINISHED))
        with self.reading() as connection:
            row = connection.execute(run).one_or_none()
            if row is None:
                return [], None
            measured = connection.execute(select(measurements).where(measurements.c.run == row.id).order_by(
                measurements.c.step, measurements.c.split, measurements.c.metric)).all()
            points = [(f"{each.split}/{each.metric}", each.step, each.value if each.kind == "finite" else float(each.kind))
                      for each in measured]
            last = max((step for _, step, _ in points), default=0)
            for each in connection.execute(select(evaluations).where(evaluations.c.run == row.id)
                                           .order_by(evaluations.c.evaluation_set)).mappings():
                points += [(f"{each['evaluation_set']}/{metric}", last, each[metric])
                           for metric in (*METRICS, "loss") if each[metric] is not None]
            return points, row.finished_at

    @patient
    def plan(self, study: str, wanted: dict[RunConfig, list[int]], instances: int, inputs: InputRows, *,
             retry_failed: bool = False) -> None:
        """Registers what a study wants: its configurations, and a pending run for each instance not there yet.

        Args:
          study: name of the study.
          wanted: configuration -> instance numbers.
          instances: how many instances were asked for.
          inputs: what describes the input of these configurations.
          retry_failed: make failed runs pending again, however often they failed.
        """
        with self.writing() as connection:
            schema.lock(connection)  # two plans that insert the same rows in different orders would deadlock
            schema.insert_checkpoints(connection, [inputs.checkpoint])
            schema.insert_new(connection, datasets, inputs.data)
            schema.insert_new(connection, labels, inputs.labels)
            schema.insert_new(connection, configs, [_config_row(config) for config in wanted])
            schema.insert_new(connection, runs, [{"config": config.hash, "instance": instance}
                                                 for config, numbers in wanted.items() for instance in numbers])
            schema.insert_studies(connection, [{"study": study, "config": config.hash, "instances": instances}
                                               for config in wanted])
            failed = connection.execute(select(runs.c.id, runs.c.config, runs.c.instance).where(
                runs.c.status == "failed", sa.true() if retry_failed else runs.c.failures < MAX_FAILURES)).all()
            numbers = {config.hash: set(instances) for config, instances in wanted.items()}
            retried = [run.id for run in failed if run.instance in numbers.get(run.config, ())]
            for ids in _in_chunks(retried):
                connection.execute(runs.update().where(runs.c.id.in_(ids)).values(
                    status="pending", error=None, **({"failures": 0} if retry_failed else {})))

    def where_last_validation(self, config: RunConfig, metric: str) -> dict[int, float]:
        """Instance -> last validation score of a configuration's finished runs, -inf without a score; by instance."""
        scores = ((measurements.c.run == runs.c.id) & (measurements.c.split == "validation")
                  & (measurements.c.metric == metric) & (measurements.c.kind == "finite") & (runs.c.status == "done"))
        query = (select(runs.c.instance, measurements.c.value).outerjoin(measurements, scores)
                 .where(runs.c.config == config.hash, runs.c.status.in_(FINISHED), runs.c.set_aside.is_(None))
                 .order_by(runs.c.instance, measurements.c.step))
        with self.reading() as connection:
            return {row.instance: -math.inf if row.value is None else row.value for row in connection.execute(query)}

    # -- taking and finishing runs

    @patient
    def take(self, wanted: Sequence[tuple[RunConfig, int]], most: int,
             owner: Owner) -> tuple[list[Claim], dict[tuple[RunConfig, int], str]]:
        """Takes runs that are pending, or whose owner has ended: at most `most`, in the order of `wanted`.

        Returns:
          What was taken, and the status of those before the last of them that could not be: they are finished or failed, or
          another process trains them.
        """
        claims, new, others = [], [], {}
        with self.writing() as connection:
            for run, row in self._look_up(connection, wanted, most + 100):
                if row.status == "running" and row.owner == str(owner):  # the answer to an earlier call was lost
                    claims.append(Claim(row.id, *run, row.attempt))
                elif _is_free(row):
                    claims.append(Claim(row.id, *run, row.attempt + 1))
                    new.append(row.id)
                else:
                    others[run] = row.status
                if len(claims) == most:
                    break
            if new:
                taken = connection.execute(
                    runs.update().where(runs.c.id.in_(new), runs.c.status.in_(("pending", "running")))
                    .values(status="running", owner=str(owner), attempt=runs.c.attempt + 1, heartbeat=self._clock(),
                            started_at=_now(), error=None))
                if taken.rowcount != len(new):
                    raise RuntimeError(f"{taken.rowcount} of {len(new)} runs could be taken, although they were locked")
        return claims, others

    def find_claim(self, config: RunConfig, instance: int, owner: Owner) -> Claim | None:
        """Takes one run; None if it is finished or failed, or another process trains it."""
        return next(iter(self.take([(config, instance)], 1, owner)[0]), None)

    def _look_up(self, connection, wanted: Sequence[tuple[RunConfig, int]], at_once: int
                 ) -> Iterator[tuple[tuple[RunConfig, int], sa.Row]]:
        """Each (configuration, instance) with its row, locked until the end of the transaction."""
        columns = (runs.c.id, runs.c.config, runs.c.instance, runs.c.status, runs.c.owner, runs.c.attempt, runs.c.heartbeat,
                   self._clock().label("now"))
        for piece in _in_chunks(wanted, at_once):
            query = select(*columns).where(
                sa.tuple_(runs.c.config, runs.c.instance).in_([(config.hash, instance) for config, instance in piece]))
            rows = {(row.config, row.instance): row for row in _locked(connection, query)}
            yield from ((run, rows[run[0].hash, run[1]]) for run in piece)

    @patient
    def beat(self, owner: Owner) -> None:
        """Records that this owner is alive."""
        with self.writing() as connection:
            connection.execute(runs.update().where(runs.c.status == "running", runs.c.owner == str(owner))
                               .values(heartbeat=self._clock()))

    @patient
    def release(self, claim: Claim, owner: Owner) -> None:
        """Makes a taken run pending again."""
        with self.writing() as connection:
            connection.execute(_held(claim, owner).values(status="pending", owner=None))

    @patient
    def record_all(self, results: Mapping[Claim, RunResult], owner: Owner) -> list[Claim]:
        """Writes finished runs with their scores and curves: all of it, or nothing. Calling it twice changes nothing.

        Returns:
          The runs that this owner no longer holds; nothing of them was written.
        """
        rows = {claim: _result_rows(claim, result) for claim, result in results.items()}
        with self.writing() as connection:
            held = {(row.id, row.attempt) for row in _locked(connection, select(runs.c.id, runs.c.attempt).where(
                runs.c.status == "running", runs.c.owner == str(owner)))}
            ours = [claim for claim in results if (claim.run, claim.attempt) in held]
            schema.insert_new(connection, environments, [_environment_row(results[claim]) for claim in ours])
            finish = runs.update().where(runs.c.id == sa.bindparam("number"))
            for table, put in ((runs, finish), *((table, table.insert()) for table in (evaluations, measurements, outputs))):
                new = [row for claim in ours for row in rows[claim][table]]
                if new:
                    connection.execute(put, new)
            return [claim for claim in results if (claim.run, claim.attempt) not in held and not _has_state(
                connection, claim, runs.c.status.in_(FINISHED), runs.c.digest == rows[claim][runs][0]["digest"])]

    def record(self, claim: Claim, owner: Owner, result: RunResult) -> None:
        """Writes one finished run.

        Raises:
          RunLost: the run is no longer ours.
        """
        if self.record_all({claim: result}, owner):
            raise RunLost(f"run {claim.run} was taken over")

    @patient
    def fail(self, claim: Claim, owner: Owner, error: str) -> None:
        """Records that training a run raised an error.

        Raises:
          RunLost: the run is no longer ours.
        """
        with self.writing() as connection:
            failed = connection.execute(
                _held(claim, owner).values(status="failed", owner=None, finished_at=_now(), error=error,
                                           failures=runs.c.failures + 1))
            if failed.rowcount != 1 and not _has_state(connection, claim, runs.c.status == "failed", runs.c.error == error):
                raise RunLost(f"run {claim.run} was taken over")

    # -- copying

    @patient
    def read_all(self) -> merging.Content:
        """Everything in the store.

        Raises:
          UserError: a run is not what was recorded.
        """
        self.refuse_altered()
        with self.reading() as connection:
            return merging.read(connection)

    @patient
    def add(self, content: merging.Content) -> merging.Comparison:
        """Adds what this store lacks of another's content, all of it or nothing, and returns what that was."""
        with self.writing() as connection:
            schema.lock(connection)  # until the end, nobody plans,
            connection.execute(select(runs.c.id).order_by(runs.c.id).with_for_update())  # and nobody takes or finishes a run
            found = merging.compare(content, merging.read(connection))
            merging.add(connection, content, found)
            return found

    # -- reading

    def refuse_altered(self) -> None:
        """Refuses a store in which a number was changed after it was recorded.

        Raises:
          UserError: it is such a store; the sentence names the first change.
        """
        altered = self.where_altered()
        if altered:
            raise UserError(f"{altered[0]} of {self.name} was changed after it was recorded"
                            + (f", and {len(altered) - 1} more were" if altered[1:] else "")
                            + "; restore a copy of the store, or set such runs aside (docs/stores.md)")

    def where_altered(self) -> list[str]:
        """Runs and configurations that were changed after they were recorded: a flipped bit, or an edited number.

        Runs that are set aside, and those recorded before version 2 of the schema, are not checked.
        """
        with self.reading() as connection:
            content = {table: {run: list(rows) for run, rows in itertools.groupby(
                connection.execute(select(table).order_by(table.c.run)).mappings(), lambda row: row["run"])}
                for table in (evaluations, measurements)}
            recorded = connection.execute(select(runs).where(runs.c.digest.is_not(None), runs.c.set_aside.is_(None))
                                          .order_by(runs.c.id)).mappings().all()
            known = connection.execute(select(configs).order_by(configs.c.hash)).mappings().all()
            predicted = connection.execute(select(outputs, runs.c.config, runs.c.instance).join(runs).where(
                runs.c.set_aside.is_(None)).order_by(outputs.c.run, outputs.c.evaluation_set)).mappings().all()
        altered = [f"run {row['id']}" for row in recorded
                   if not _is_run(row, {table: rows.get(row["id"], []) for table, rows in content.items()})]
        altered += [f"the predictions of run {row['run']}" for row in predicted
                    if row["digest"] != schema.digest_of_output(row["config"], row["instance"], row)]
        return altered + [f"configuration {row['hash'][:12]}" for row in known if not _is_config(row)]

    def count_finished(self, names: Sequence[str]) -> dict[str, int]:
        """Name of a checkpoint -> finished runs that belong to one of these studies."""
        wanted = select(studies.c.config).where(studies.c.study.in_(names))
        query = (select(checkpoints.c.name, sa.func.count()).select_from(runs).join(configs).join(checkpoints)
                 .where(runs.c.status.in_(FINISHED), runs.c.set_aside.is_(None), configs.c.hash.in_(wanted))
                 .group_by(checkpoints.c.name).order_by(checkpoints.c.name))
        with self.reading() as connection:
            return {name: number for name, number in connection.execute(query)}

    def find_checkpoint(self, archive: str) -> str | None:
        """Digest of the checkpoint that came as the archive with this SHA-256."""
        with self.reading() as connection:
            return connection.scalar(select(checkpoints.c.digest).where(checkpoints.c.archive_sha256 == archive))

    def find_official_data(self, task: str) -> str | None:
        """Digest of the data of a task whose sets have as many rows as the official ones."""
        other = select(datasets.c.digest).where(datasets.c.row_count != datasets.c.official_rows)
        with self.reading() as connection:
            return connection.scalar(select(datasets.c.digest).where(datasets.c.task == task, datasets.c.digest.not_in(other))
                                     .order_by(datasets.c.digest))

    @patient
    def where_training_times(self, checkpoint: str) -> list[TrainingTime]:
        """How long the finished runs with a checkpoint took, for each configuration."""
        columns = (configs.c.hash, configs.c.json, datasets.c.row_count)
        query = (select(*columns, sa.func.count(runs.c.total_seconds), sa.func.avg(runs.c.total_seconds))
                 .select_from(configs).join(runs, runs.c.config == configs.c.hash)
                 .join(datasets, (datasets.c.digest == configs.c.data) & (datasets.c.set_name == "train"))
                 .where(configs.c.checkpoint == checkpoint, runs.c.status == "done", runs.c.total_seconds.is_not(None))
                 .group_by(*columns).order_by(configs.c.hash))
        with self.reading() as connection:
            return [TrainingTime(RunConfig.from_json(text), rows, number, seconds)
                    for _, text, rows, number, seconds in connection.execute(query)]

    def _clock(self):
        """The database's own clock, in whole seconds since 1970."""
        if self.engine.dialect.name == "sqlite":
            return sa.cast(sa.func.strftime("%s", "now"), Integer)
        return sa.cast(sa.func.floor(sa.extract("epoch", sa.func.clock_timestamp())), Integer)


def _held(claim: Claim, owner: Owner):
    """An UPDATE of a run that has an effect only while this owner holds it."""
    return runs.update().where(runs.c.id == claim.run, runs.c.status == "running", runs.c.owner == str(owner),
                               runs.c.attempt == claim.attempt)


def _result_rows(claim: Claim, result: RunResult) -> dict[sa.Table, list[dict]]:
    """The rows of a finished run."""
    values = {"status": "diverged" if result.diverged else "done", "training_seconds": result.training_seconds,
              "total_seconds": result.total_seconds, "cpu_seconds": result.cpu_seconds or None,
              "environment": result.environment["digest"]}
    rows = {evaluations: [{"run": claim.run, **row} for row in result.evaluations],
            measurements: [_measurement_row(claim.run, *row) for row in result.measurements]}
    digest = schema.digest_of({"config": claim.config.hash, "instance": claim.instance, **values}, rows)
    return {runs: [{"number": claim.run, **values, "owner": None, "finished_at": _now(), "digest": digest}], **rows,
            outputs: [_output_row(claim, output) for output in result.outputs]}


def _environment_row(result: RunResult) -> dict:
    """Every column; a result that an older program left in the outbox lacks some."""
    return {column.name: result.environment.get(column.name) for column in environments.columns}


def _output_row(claim: Claim, output: dict) -> dict:
    row = output | {"content": output["content"].encode()}
    return row | {"run": claim.run, "digest": schema.digest_of_output(claim.config.hash, claim.instance, row)}


def _locked(connection, query) -> sa.CursorResult:
    """Rows of `runs`, locked until the end of the transaction, always in the same order to avoid deadlocks. (SQLite has one lock,
    which a writing transaction holds from its beginning.)"""
    return connection.execute(query.order_by(runs.c.id).with_for_update())


def _is_free(row: sa.Row) -> bool:
    """Whether a run can be taken: it is pending, or its owner has ended."""
    if row.status != "running":
        return row.status == "pending"
    return Owner.parse(row.owner).is_gone(row.now - (row.heartbeat or 0) > LEASE_SECONDS)


def _recorded(row) -> dict:
    """The columns of a row of `runs` that its digest covers."""
    names = ("config", "instance", "status", "training_seconds", "total_seconds", "cpu_seconds", "environment")
    return {name: row[name] for name in names}


def _is_run(row, content: dict) -> bool:
    """Whether a row of `runs`, with its scores and curves, is unchanged."""
    try:
        return row["digest"] == schema.digest_of(_recorded(row), content)
    except (ValueError, TypeError, OverflowError):  # another type than the column's
        return False


def _is_config(row) -> bool:
    """Whether a row of `configs` matches its hash."""
    try:
        return {**row} == _config_row(RunConfig.from_json(row["json"]))
    except (ValueError, TypeError, AttributeError):
        return False


def _has_state(connection, claim: Claim, *conditions) -> bool:
    """Whether the run is in this state, still in the attempt of the claim."""
    run = (runs.c.id == claim.run, runs.c.attempt == claim.attempt, *conditions)
    return connection.scalar(select(runs.c.id).where(*run)) is not None


def _config_row(config: RunConfig) -> dict:
    values = dataclasses.asdict(config)
    columns = {column.name: values[column.name] for column in configs.columns if column.name in values}
    return columns | {"hash": config.hash, "json": config.to_json()}


def _measurement_row(run: int, split: str, metric: str, step: int, epoch: float, value: float) -> dict:
    kind = "finite" if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return {"run": run, "split": split, "metric": metric, "step": step, "epoch": epoch,
            "value": value if kind == "finite" else None, "kind": kind}


def _in_chunks(values: Sequence, length: int = 10_000) -> Iterator[Sequence]:
    """The values in chunks, since a statement takes a limited number (SQLite 32,766)."""
    return (values[start:start + length] for start in range(0, len(values), length))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


