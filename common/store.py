"""The results store: its schema, and every query that the program makes.

One row of `runs` is one trained instance of one configuration. A run is taken by one guarded UPDATE, and a finished run
appears with all its measurements in one transaction or not at all. People should ask the views `results`, `cells` and
`curves`: their columns are stable, the tables behind them may move.
"""
import contextlib
import dataclasses
import math
import os
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    select,
)

from common import UserError
from common.config import RunConfig
from common.owner import Owner
from common.study import MAX_ATTEMPTS

VERSION = 1
"""Version of the schema below."""
APPLICATION_ID = 0x474C5545
"""SQLite's mark of the program that owns a file: "GLUE"."""
LEASE_SECONDS = 120
"""After this long without a heartbeat a run that is held on another machine may be taken over."""

schema = sa.MetaData()

versions = sa.Table("schema_version", schema, Column("version", Integer, primary_key=True))

checkpoints = sa.Table(
    "checkpoints", schema,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the content of the files in it"),
    Column("archive_sha256", String(64), comment="SHA-256 of the zip file, if it came as one"),
    Column("name", Text, nullable=False),
    Column("layers", Integer, nullable=False), Column("hidden_size", Integer, nullable=False),
    Column("heads", Integer, nullable=False), Column("vocabulary", Integer, nullable=False))

datasets = sa.Table(
    "datasets", schema,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the parsed rows of all its sets"),
    Column("set_name", Text, primary_key=True, comment="train, dev, dev_matched, ..."),
    Column("task", Text, nullable=False), Column("row_count", Integer, nullable=False),
    Column("official_rows", Integer, nullable=False, comment="row count of the official file"),
    Column("majority", Float, comment="accuracy of always naming this set's most frequent class; NULL for a regression"))

configs = sa.Table(
    "configs", schema,
    Column("hash", String(64), primary_key=True), Column("json", Text, nullable=False),
    Column("task", Text, nullable=False), Column("data", String(64), nullable=False),
    Column("checkpoint", String(64), ForeignKey("checkpoints.digest"), nullable=False),
    Column("batch_size", Integer, nullable=False), Column("peak_learning_rate", Float, nullable=False),
    Column("epochs", Integer, nullable=False), Column("steps", Integer), Column("dropout", Float, nullable=False),
    Column("vary", Text, nullable=False), Column("seed", Integer, nullable=False),
    Column("dtype", Text, nullable=False), Column("limit_train", Integer), Column("recipe", Integer, nullable=False))

environments = sa.Table(
    "environments", schema,
    Column("digest", String(64), primary_key=True), Column("host", Text, nullable=False),
    Column("processor", Text, nullable=False), Column("cores", Integer, nullable=False),
    Column("threads", Integer, nullable=False, comment="threads of one run"),
    Column("platform", Text, nullable=False), Column("python", Text, nullable=False),
    Column("tensorflow", Text, nullable=False), Column("tf_models", Text, nullable=False),
    Column("numpy", Text, nullable=False), Column("code", Text, comment="revision of this program"))

STATUSES = ("pending", "running", "done", "diverged", "failed")
runs = sa.Table(
    "runs", schema,
    Column("id", Integer, primary_key=True),
    Column("config", String(64), ForeignKey("configs.hash"), nullable=False), Column("instance", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("owner", Text, comment="host, boot, process and its start: who trains it"),
    Column("heartbeat", Integer, comment="seconds since 1970 by the database's clock"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("started_at", Text), Column("finished_at", Text),
    Column("training_seconds", Float, comment="optimizer steps alone"),
    Column("total_seconds", Float, comment="with start-up and evaluation"),
    Column("environment", String(64), ForeignKey("environments.digest")),
    Column("error", Text), Column("set_aside", Text, comment="reason why people leave this run out; set by hand"),
    UniqueConstraint("config", "instance"),
    CheckConstraint("status IN ('pending', 'running', 'done', 'diverged', 'failed')", name="status_known"),
    CheckConstraint("(status = 'running') = (owner IS NOT NULL)", name="running_has_owner"),
    CheckConstraint("instance >= 0", name="instance_natural"))

evaluations = sa.Table(
    "evaluations", schema,
    Column("run", Integer, ForeignKey("runs.id"), primary_key=True), Column("evaluation_set", Text, primary_key=True),
    Column("row_count", Integer, nullable=False, comment="rows scored: all there are"),
    Column("metric", Text, nullable=False, comment="which of the columns is the main one"),
    Column("score", Float, comment="value of the main metric"),
    *(Column(name, Float) for name in ("accuracy", "f1", "matthews", "pearson", "spearman", "loss")),
    Column("collapsed", Integer, nullable=False, comment="1: one class (or one value) was predicted for every row"),
    CheckConstraint("row_count > 0", name="rows_scored"), CheckConstraint("collapsed IN (0, 1)", name="collapsed_bool"))

measurements = sa.Table(
    "measurements", schema,
    Column("run", Integer, ForeignKey("runs.id"), primary_key=True), Column("split", Text, primary_key=True),
    Column("metric", Text, primary_key=True), Column("step", Integer, primary_key=True),
    Column("epoch", Float, nullable=False, comment="passes over the training split so far"),
    Column("value", Float), Column("kind", Text, nullable=False, server_default="finite"),
    CheckConstraint("kind IN ('finite', 'nan', 'inf', '-inf')", name="kind_known"),
    CheckConstraint("(kind = 'finite') = (value IS NOT NULL)", name="finite_has_value"))

studies = sa.Table(
    "studies", schema,
    Column("study", Text, primary_key=True), Column("config", String(64), ForeignKey("configs.hash"), primary_key=True),
    Column("instances", Integer, nullable=False, comment="how many were asked for"))

Index("runs_by_status", runs.c.status)
Index("configs_by_task", configs.c.task, configs.c.batch_size, configs.c.peak_learning_rate)

VIEWS = {
    "results": """
        SELECT c.task, e.evaluation_set, k.name AS checkpoint, c.batch_size, c.peak_learning_rate, c.epochs, r.instance,
               r.status, e.metric, e.score, e.accuracy, e.f1, e.matthews, e.pearson, e.spearman, e.loss,
               e.row_count, e.collapsed, r.training_seconds, r.total_seconds, r.started_at, r.finished_at,
               c.limit_train, c.dtype, c.dropout, c.steps, r.id AS run, c.hash AS config,
               c.checkpoint AS checkpoint_digest, c.data AS data_digest
        FROM runs r JOIN configs c ON c.hash = r.config JOIN checkpoints k ON k.digest = c.checkpoint
             LEFT JOIN evaluations e ON e.run = r.id
        WHERE r.status IN ('done', 'diverged') AND r.set_aside IS NULL""",
    "cells": """
        SELECT task, evaluation_set, checkpoint, batch_size, peak_learning_rate, epochs, metric, n, mean,
               CASE WHEN n > 1 THEN sqrt(squares / (n - 1)) END AS sd, lowest, highest, mean_accuracy, mean_f1,
               collapsed, mean_training_seconds, limit_train, dtype, config, checkpoint_digest, data_digest
        FROM (SELECT a.config, a.evaluation_set, a.n, a.mean, a.lowest, a.highest, a.mean_accuracy, a.mean_f1,
                     a.collapsed, a.mean_training_seconds,
                     sum((e.score - a.mean) * (e.score - a.mean)) AS squares, max(e.metric) AS metric
              FROM (SELECT r.config, e.evaluation_set, count(e.score) AS n, avg(e.score) AS mean,
                           min(e.score) AS lowest, max(e.score) AS highest, avg(e.accuracy) AS mean_accuracy,
                           avg(e.f1) AS mean_f1, sum(e.collapsed) AS collapsed,
                           avg(r.training_seconds) AS mean_training_seconds
                    FROM runs r JOIN evaluations e ON e.run = r.id
                    WHERE r.status = 'done' AND r.set_aside IS NULL
                    GROUP BY r.config, e.evaluation_set) a
                   JOIN runs r ON r.config = a.config AND r.status = 'done' AND r.set_aside IS NULL
                   JOIN evaluations e ON e.run = r.id AND e.evaluation_set = a.evaluation_set
              GROUP BY a.config, a.evaluation_set, a.n, a.mean, a.lowest, a.highest, a.mean_accuracy, a.mean_f1,
                       a.collapsed, a.mean_training_seconds) s
             JOIN (SELECT c.hash, c.task, k.name AS checkpoint, c.batch_size, c.peak_learning_rate, c.epochs,
                          c.limit_train, c.dtype, c.checkpoint AS checkpoint_digest, c.data AS data_digest
                   FROM configs c JOIN checkpoints k ON k.digest = c.checkpoint) i ON i.hash = s.config""",
    "curves": """
        SELECT c.task, k.name AS checkpoint, c.batch_size, c.peak_learning_rate, c.epochs, r.instance, m.split, m.metric,
               m.epoch, m.step, m.step * c.batch_size AS examples, m.value, m.kind, r.id AS run, c.hash AS config,
               c.checkpoint AS checkpoint_digest, c.limit_train
        FROM measurements m JOIN runs r ON r.id = m.run JOIN configs c ON c.hash = r.config
             JOIN checkpoints k ON k.digest = c.checkpoint
        WHERE r.status IN ('done', 'diverged') AND r.set_aside IS NULL""",
}


class RunLost(Exception):
    """The run was taken over by somebody else: what was trained here must not be written."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A run that is ours to train."""

    run: int
    config: RunConfig
    instance: int
    attempt: int


class Store:
    """One open results store.

    Args:
      address: path of an SQLite file, or a database URL of SQLAlchemy.
      create: make the file and the tables where they are missing; else a missing store is a UserError.

    Raises:
      UserError: the store cannot be opened, is no store of this program or is of another version.
    """

    def __init__(self, address: str | os.PathLike, *, create: bool = True):
        self.address = str(address)
        if not self.address:
            raise UserError("the results store has no name; name a file with --db")
        try:
            self.url = (sa.make_url(self.address) if "://" in self.address
                        else sa.URL.create("sqlite", database=self.address))
        except (sa.exc.ArgumentError, ValueError):
            raise UserError("the --db address is neither a path nor a database URL such as "
                            "postgresql+psycopg://user@host/name") from None
        if self.url.get_backend_name() == "sqlite" and self.url.database not in (None, "", ":memory:"):
            path = Path(self.url.database)
            if not create and not path.is_file():
                raise UserError(f"there is no results store at {path}; run one of the exp_*.py scripts first "
                                "or name another with --db")
            if not path.parent.is_dir():
                raise UserError(f"the folder of the results store {path} does not exist; create it or name another "
                                "place with --db")
            if path.is_dir():
                raise UserError(f"the results store {path} is a folder; name a file with --db")
        try:
            self.engine = sa.create_engine(self.url, **_engine_options(self.url))
        except (sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise UserError(f"no driver for the database {self.name}: {error}; install it with pip") from None
        if self.url.get_backend_name() == "sqlite":
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        self._check_schema(create)

    @property
    def name(self) -> str:
        """The address with any password hidden."""
        return self.url.render_as_string(hide_password=True) if "://" in self.address else self.address

    def close(self) -> None:
        self.engine.dispose()

    @contextlib.contextmanager
    def reading(self):
        """A connection whose queries see one state of the store."""
        with self._connected(writes=False) as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self):
        """A transaction: committed at the end, rolled back on any exception."""
        with self._connected(writes=True) as connection:
            yield connection

    @contextlib.contextmanager
    def _connected(self, writes: bool):
        try:
            with self.engine.connect() as connection:
                connection = connection.execution_options(writes=writes)
                with connection.begin():
                    yield connection
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as error:
            raise UserError(f"the results store {self.name} cannot be {'written' if writes else 'read'}: "
                            f"{_reason(error)}") from error

    # -- schema

    def _check_schema(self, create: bool) -> None:
        with self.reading() as connection:
            version = self._find_version(connection)
        if version is None:
            if not create:
                raise UserError(f"{self.name} holds no results yet; run one of the exp_*.py scripts first")
            with self._writing() as connection:
                version = self._find_version(connection)
                if version is None:
                    _create_schema(connection)
                    version = VERSION
        if version > VERSION:
            raise UserError(f"the results store {self.name} has schema version {version}, this program knows {VERSION}; "
                            "update the program")
        if version < VERSION:
            raise UserError(f"the results store {self.name} has the old schema version {version}; this program needs "
                            f"{VERSION}")

    def _find_version(self, connection) -> int | None:
        """The schema version, None where the database is empty; a foreign database is refused."""
        tables = sa.inspect(connection).get_table_names()
        if not tables:
            return None
        if versions.name not in tables or runs.name not in tables:
            raise UserError(f"the database {self.name} belongs to another program (it has the table {tables[0]!r}); "
                            "name another with --db")
        return connection.scalar(select(sa.func.max(versions.c.version)))

    # -- planning

    def where_status(self, config: RunConfig) -> dict[int, tuple[str, int, bool]]:
        """Instance -> (status, attempts, set aside?) of a configuration's runs."""
        query = select(runs.c.instance, runs.c.status, runs.c.attempt, runs.c.set_aside).where(runs.c.config == config.hash)
        with self.reading() as connection:
            return {row.instance: (row.status, row.attempt, row.set_aside is not None)
                    for row in connection.execute(query)}

    def plan(self, study: str, wanted: dict[RunConfig, list[int]], instances: int, *, checkpoint: dict,
             data: list[dict], retry_failed: bool = False) -> None:
        """Registers what a study wants: its configurations, and a pending run for each instance not there yet.

        Args:
          study: name of the study.
          wanted: configuration -> instance numbers.
          instances: how many instances were asked for.
          checkpoint, data: the rows of `checkpoints` and `datasets` that describe the input.
          retry_failed: make failed runs pending again, however often they failed.
        """
        with self._writing() as connection:
            _insert_new(connection, checkpoints, [checkpoint])
            if checkpoint["archive_sha256"]:  # the same content may have come as a folder before
                connection.execute(checkpoints.update().where(checkpoints.c.digest == checkpoint["digest"],
                                                              checkpoints.c.archive_sha256.is_(None))
                                   .values(archive_sha256=checkpoint["archive_sha256"], name=checkpoint["name"]))
            _insert_new(connection, datasets, data)
            _insert_new(connection, configs, [_config_row(config) for config in wanted])
            _insert_new(connection, runs, [{"config": config.hash, "instance": instance}
                                           for config, numbers in wanted.items() for instance in numbers])
            for config, numbers in wanted.items():
                key = (studies.c.study == study, studies.c.config == config.hash)
                had = connection.scalar(select(studies.c.instances).where(*key))
                if had is None:
                    connection.execute(studies.insert().values(study=study, config=config.hash, instances=instances))
                elif had < instances:
                    connection.execute(studies.update().where(*key).values(instances=instances))
                again = runs.update().where(runs.c.config == config.hash, runs.c.instance.in_(numbers),
                                            runs.c.status == "failed").values(status="pending", error=None)
                if retry_failed:
                    connection.execute(again.values(attempt=0))
                else:
                    connection.execute(again.where(runs.c.attempt < MAX_ATTEMPTS))

    # -- taking and finishing runs

    def find_claim(self, config: RunConfig, instance: int, owner: Owner) -> Claim | None:
        """Takes a run that is pending, or whose owner is gone; None if it is finished or somebody is at work on it."""
        here = (runs.c.config == config.hash, runs.c.instance == instance)
        with self._writing() as connection:
            row = connection.execute(select(runs.c.id, runs.c.status, runs.c.owner, runs.c.attempt, runs.c.heartbeat,
                                            self._clock().label("now")).where(*here)).one()
            if row.status == "running":
                silent = row.now - (row.heartbeat or 0)
                if not Owner.parse(row.owner).is_gone(silent > LEASE_SECONDS):
                    return None
            elif row.status != "pending":
                return None
            taken = connection.execute(
                runs.update()
                .where(runs.c.id == row.id, runs.c.status == row.status, runs.c.attempt == row.attempt)
                .values(status="running", owner=str(owner), attempt=row.attempt + 1, heartbeat=self._clock(),
                        started_at=_now(), error=None))
            if taken.rowcount != 1:
                return None
            return Claim(row.id, config, instance, row.attempt + 1)

    def beat(self, owner: Owner) -> None:
        """Says that this owner is alive."""
        with self._writing() as connection:
            connection.execute(runs.update().where(runs.c.status == "running", runs.c.owner == str(owner))
                               .values(heartbeat=self._clock()))

    def release(self, claim: Claim, owner: Owner) -> None:
        """Gives a run back untrained; it does not count as an attempt."""
        with self._writing() as connection:
            connection.execute(_held(claim, owner).values(status="pending", owner=None, attempt=claim.attempt - 1))

    def record(self, claim: Claim, owner: Owner, result) -> None:
        """Writes a finished run with its scores and curves: all of it, or nothing.

        Args:
          result: a `common.train.RunResult`.

        Raises:
          RunLost: the run is no longer ours.
        """
        with self._writing() as connection:
            _insert_new(connection, environments, [result.environment])
            finished = connection.execute(_held(claim, owner).values(
                status="diverged" if result.diverged else "done", owner=None, finished_at=_now(),
                training_seconds=result.training_seconds, total_seconds=result.total_seconds,
                environment=result.environment["digest"]))
            if finished.rowcount != 1:
                raise RunLost(f"run {claim.run} was taken over")
            if result.measurements:
                connection.execute(measurements.insert(), [_measurement_row(claim.run, *row) for row in result.measurements])
            if result.evaluations:
                connection.execute(evaluations.insert(), [{"run": claim.run, **row} for row in result.evaluations])

    def fail(self, claim: Claim, owner: Owner, error: str) -> None:
        """Records that training a run raised an error.

        Raises:
          RunLost: the run is no longer ours.
        """
        with self._writing() as connection:
            failed = connection.execute(
                _held(claim, owner).values(status="failed", owner=None, finished_at=_now(), error=error))
            if failed.rowcount != 1:
                raise RunLost(f"run {claim.run} was taken over")

    # -- times, for estimates

    def where_training_times(self, task: str, checkpoint: str) -> list[tuple[str, int, float, float]]:
        """(configuration, batch size, epochs, total seconds) of the finished runs of a task with a checkpoint."""
        query = (select(configs.c.hash, configs.c.batch_size, configs.c.epochs, runs.c.total_seconds)
                 .join(runs, runs.c.config == configs.c.hash)
                 .where(configs.c.task == task, configs.c.checkpoint == checkpoint, runs.c.status == "done"))
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def _clock(self):
        """The database's own clock, in whole seconds since 1970."""
        if self.engine.dialect.name == "sqlite":
            return sa.cast(sa.func.strftime("%s", "now"), Integer)
        return sa.cast(sa.func.floor(sa.extract("epoch", sa.func.clock_timestamp())), Integer)


def _engine_options(url: sa.URL) -> dict:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 60}}
    return {"pool_pre_ping": True}


def _prepare_sqlite(connection, _record) -> None:
    connection.isolation_level = None  # else the driver begins transactions late, behind SQLAlchemy's back
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection) -> None:
    # A write must hold the lock before it reads what it will change; a late upgrade of the lock fails as "locked".
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _create_schema(connection) -> None:
    schema.create_all(connection)
    for name, query in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
    connection.execute(versions.insert().values(version=VERSION))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _insert_new(connection, table: sa.Table, rows: list[dict]) -> None:
    """Inserts the rows whose keys are not there yet."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert
    connection.execute(insert(table).on_conflict_do_nothing(), rows)


def _held(claim: Claim, owner: Owner):
    """An UPDATE of a run that touches it only while it is ours."""
    return runs.update().where(runs.c.id == claim.run, runs.c.status == "running", runs.c.owner == str(owner),
                               runs.c.attempt == claim.attempt)


def _config_row(config: RunConfig) -> dict:
    values = dataclasses.asdict(config)
    columns = {column.name: values[column.name] for column in configs.columns if column.name in values}
    return columns | {"hash": config.hash, "json": config.to_json()}


def _measurement_row(run: int, split: str, metric: str, step: int, epoch: float, value: float) -> dict:
    kind = "finite" if math.isfinite(value) else "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return {"run": run, "split": split, "metric": metric, "step": step, "epoch": epoch,
            "value": value if kind == "finite" else None, "kind": kind}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reason(error: sa.exc.DBAPIError) -> str:
    text = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    remedies = {
        "locked": "another program holds it locked; close that and call again",
        "readonly": "it is read-only; make it writable or name another with --db",
        "unable to open": "the file cannot be opened; check its permissions or name another with --db",
        "full": "the disk is full; free some space and call again",
        "malformed": "the file is damaged; restore a copy of it or name another with --db",
        "not a database": "the file is no SQLite database; name another with --db",
    }
    return next((f"{remedy} ({text})" for sign, remedy in remedies.items() if sign in text), text)
