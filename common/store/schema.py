"""The schema of the results store: its tables, its views for people, and the steps from an older version to this one.

To change the schema: change the tables or views here, raise `VERSION`, add the statements that upgrade the version before to
`UPGRADES`, and add a store of that version to tests/stores/. A released step never changes.
"""
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, Integer, String, UniqueConstraint

from common import UserError
from common.files import new_file

VERSION = 6
"""Version of the schema below."""
APPLICATION_ID = 0x474C5545
"""SQLite's mark of the program that owns a file: "GLUE"."""

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted by bytes in both databases, as SQLite does, instead of by the locale of a PostgreSQL database."""

metadata = sa.MetaData()

versions = sa.Table("schema_version", metadata, Column("version", Integer, primary_key=True))

checkpoints = sa.Table(
    "checkpoints", metadata,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the content of the files in it"),
    Column("archive_sha256", String(64), comment="SHA-256 of the zip file, if it came as one"),
    Column("name", Text, nullable=False),
    Column("layers", Integer, nullable=False), Column("hidden_size", Integer, nullable=False),
    Column("heads", Integer, nullable=False), Column("vocabulary", Integer, nullable=False),
    Column("lower_case", Integer, comment="1: text is lowercased, as decided when it was first used; NULL: before version 5"))

datasets = sa.Table(
    "datasets", metadata,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the parsed rows of all its sets"),
    Column("set_name", Text, primary_key=True, comment="train, dev, dev_matched, ..."),
    Column("task", Text, nullable=False), Column("row_count", Integer, nullable=False),
    Column("official_rows", Integer, nullable=False, comment="row count of the official file"),
    Column("majority", Float, comment="accuracy of always naming this set's most frequent class; NULL for a regression"))

configs = sa.Table(
    "configs", metadata,
    Column("hash", String(64), primary_key=True), Column("json", Text, nullable=False),
    Column("task", Text, nullable=False), Column("data", String(64), nullable=False),
    Column("checkpoint", String(64), ForeignKey("checkpoints.digest"), nullable=False),
    Column("batch_size", Integer, nullable=False), Column("peak_learning_rate", Float, nullable=False),
    Column("epochs", Integer, nullable=False), Column("steps", Integer), Column("dropout", Float, nullable=False),
    Column("vary", Text, nullable=False), Column("seed", Integer, nullable=False),
    Column("dtype", Text, nullable=False), Column("limit_train", Integer), Column("recipe", Integer, nullable=False))

environments = sa.Table(
    "environments", metadata,
    Column("digest", String(64), primary_key=True), Column("host", Text, nullable=False),
    Column("processor", Text, nullable=False), Column("cores", Integer, nullable=False),
    Column("threads", Integer, nullable=False, comment="threads of one run"),
    Column("platform", Text, nullable=False), Column("python", Text, nullable=False),
    Column("tensorflow", Text, nullable=False), Column("tf_models", Text, nullable=False),
    Column("numpy", Text, nullable=False), Column("code", Text, comment="revision of this program, for information"),
    Column("code_digest", String(64), comment="SHA-256 of the code that takes part in a number; NULL: before version 4"),
    Column("settings", Text, comment="JSON: what else changes arithmetic from outside; NULL: before version 4"),
    Column("gpu", Text, comment="names of the GPUs that a run computes on; NULL: none, or before version 4"))

STATUSES = ("pending", "running", "done", "diverged", "failed")
FINISHED = ("done", "diverged")
runs = sa.Table(
    "runs", metadata,
    Column("id", Integer, primary_key=True),
    Column("config", String(64), ForeignKey("configs.hash"), nullable=False), Column("instance", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("owner", Text, comment="host, boot, process namespace, process and its start: who trains it"),
    Column("heartbeat", Integer, comment="seconds since 1970 by the database's clock"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("started_at", Text), Column("finished_at", Text),
    Column("training_seconds", Float, comment="optimizer steps alone"),
    Column("total_seconds", Float, comment="with start-up and evaluation"),
    Column("environment", String(64), ForeignKey("environments.digest")),
    Column("error", Text), Column("set_aside", Text, comment="reason why people leave this run out; set by hand"),
    Column("failures", Integer, nullable=False, server_default="0", comment="how often training it raised an error or died"),
    Column("digest", String(64), comment="`digest_of` what was recorded; NULL: recorded before version 2"),
    Column("cpu_seconds", Float, comment="processor time of all its threads; NULL: recorded before version 3"),
    UniqueConstraint("config", "instance"),
    CheckConstraint("status IN ('pending', 'running', 'done', 'diverged', 'failed')", name="status_known"),
    CheckConstraint("(status = 'running') = (owner IS NOT NULL)", name="running_has_owner"),
    CheckConstraint("instance >= 0", name="instance_natural"))

evaluations = sa.Table(
    "evaluations", metadata,
    Column("run", Integer, ForeignKey("runs.id"), primary_key=True), Column("evaluation_set", Text, primary_key=True),
    Column("row_count", Integer, nullable=False, comment="rows scored: all there are"),
    Column("metric", Text, nullable=False, comment="which of the columns is the main one"),
    Column("score", Float, comment="value of the main metric"),
    *(Column(name, Float) for name in ("accuracy", "f1", "matthews", "pearson", "spearman", "loss")),
    Column("collapsed", Integer, nullable=False, comment="1: one class (or one value) was predicted for every row"),
    CheckConstraint("row_count > 0", name="rows_scored"), CheckConstraint("collapsed IN (0, 1)", name="collapsed_bool"))

measurements = sa.Table(
    "measurements", metadata,
    Column("run", Integer, ForeignKey("runs.id"), primary_key=True), Column("split", Text, primary_key=True),
    Column("metric", Text, primary_key=True), Column("step", Integer, primary_key=True),
    Column("epoch", Float, nullable=False, comment="passes over the training split so far"),
    Column("value", Float), Column("kind", Text, nullable=False, server_default="finite"),
    CheckConstraint("kind IN ('finite', 'nan', 'inf', '-inf')", name="kind_known"),
    CheckConstraint("(kind = 'finite') = (value IS NOT NULL)", name="finite_has_value"),
    sqlite_with_rowid=False)
"""Most rows of a store are here; a rowid would make SQLite keep each key twice."""

outputs = sa.Table(
    "outputs", metadata,
    Column("run", Integer, ForeignKey("runs.id"), primary_key=True), Column("evaluation_set", Text, primary_key=True),
    Column("width", Integer, nullable=False, comment="characters for each row"),
    Column("content", sa.LargeBinary, nullable=False,
           comment="the predicted class number (or value) of every row as ASCII digits, end to end"),
    Column("digest", String(64), nullable=False, comment="`digest_of_output`"),
    CheckConstraint("width > 0", name="output_width"))

labels = sa.Table(
    "labels", metadata,
    Column("data", String(64), primary_key=True, comment="digest in `datasets`"), Column("set_name", Text, primary_key=True),
    Column("width", Integer, nullable=False, comment="characters for each row"),
    Column("content", sa.LargeBinary, nullable=False, comment="the label of every row, in the form of `outputs`"),
    CheckConstraint("width > 0", name="label_width"))

studies = sa.Table(
    "studies", metadata,
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
    "predictions": """
        WITH RECURSIVE numbers(number) AS (
            SELECT 1 UNION ALL SELECT number + 1 FROM numbers
            WHERE number < (SELECT max(length(content) / width) FROM outputs))
        SELECT run, evaluation_set, "row", predicted, label,
               CASE WHEN is_class = 1 THEN CASE WHEN predicted = label THEN 1 ELSE 0 END END AS correct
        FROM (SELECT o.run, o.evaluation_set, n.number AS "row", CASE WHEN o.width = 1 THEN 1 ELSE 0 END AS is_class,
                     {predicted} AS predicted, {label} AS label
              FROM outputs o JOIN runs r ON r.id = o.run JOIN configs c ON c.hash = r.config
                   JOIN numbers n ON n.number <= length(o.content) / o.width
                   LEFT JOIN labels l ON l.data = c.data AND l.set_name = o.evaluation_set
              WHERE r.status = 'done' AND r.set_aside IS NULL) p""",
}
PIECES = {
    "sqlite": "CAST(CAST(substr({0}.content, (n.number - 1) * {0}.width + 1, {0}.width) AS TEXT) AS NUMERIC)",
    "postgresql": "CAST(convert_from(substr({0}.content, (n.number - 1) * {0}.width + 1, {0}.width), 'UTF8') AS numeric)"}
"""Database -> SQL that reads one row's number from the bytes in `outputs` or `labels`."""


def _drop_rowid(connection: sa.Connection) -> None:
    """Copies `measurements` to a table of the same columns without rowids, which PostgreSQL does not have."""
    if connection.dialect.name == "sqlite":
        definition = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'measurements'").scalar_one()
        connection.exec_driver_sql("ALTER TABLE measurements RENAME TO measurements_with_rowid")
        connection.exec_driver_sql(f"{definition} WITHOUT ROWID")
        connection.exec_driver_sql("INSERT INTO measurements SELECT * FROM measurements_with_rowid")
        connection.exec_driver_sql("DROP TABLE measurements_with_rowid")


UPGRADES: dict[int, tuple] = {
    2: ("ALTER TABLE runs ADD COLUMN failures INTEGER DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN digest VARCHAR(64)",
        "UPDATE runs SET failures = attempt WHERE status = 'failed'"),
    3: ("ALTER TABLE runs ADD COLUMN cpu_seconds FLOAT", outputs, labels),
    4: (environments.c.code_digest, environments.c.settings, environments.c.gpu),
    5: (checkpoints.c.lower_case,),
    6: (_drop_rowid,),
}
"""Version -> statements, new tables, new columns and functions that upgrade a store from the version before it. The views are
created again afterwards."""


def create(connection: sa.Connection) -> None:
    """Creates every table and view in an empty database."""
    metadata.create_all(connection)
    _create_views(connection)
    connection.execute(versions.insert().values(version=VERSION))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def upgrade(connection: sa.Connection, version: int) -> None:
    """Upgrades a store of an older version, within the caller's transaction: all of it or nothing."""
    for name in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    for step in range(version + 1, VERSION + 1):
        for change in UPGRADES[step]:
            if isinstance(change, sa.Table):
                change.create(connection)
            elif isinstance(change, Column):
                definition = sa.schema.CreateColumn(change).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {change.table.name} ADD COLUMN {definition}")
            elif callable(change):
                change(connection)
            else:
                connection.exec_driver_sql(change)
    _create_views(connection)
    connection.execute(versions.update().values(version=VERSION))


def back_up(connection: sa.Connection, version: int) -> str:
    """Copies a store before its upgrade, and returns where to. The caller holds the write lock.

    SQLite: a file beside it, written by SQLite's backup API, checked and on disk when this returns. PostgreSQL: tables in a
    separate schema, created in the caller's transaction.

    Raises:
      UserError: the store is damaged, or there is no room for the copy.
    """
    if connection.dialect.name == "sqlite":
        return _copy_file(Path(str(connection.engine.url.database)), version)
    place = f"{connection.scalar(sa.func.current_schema())}_v{version}_backup"
    connection.exec_driver_sql(f"CREATE SCHEMA {place}")
    for table in sa.inspect(connection).get_table_names():
        connection.exec_driver_sql(f'CREATE TABLE {place}."{table}" AS TABLE "{table}"')
    return f"its schema {place}"


def _copy_file(path: Path, version: int) -> str:
    """The path of the checked copy; an existing copy is never replaced."""
    names = (f"{path.name}.v{version}-backup{again}" for again in ("", *(f"-{number}" for number in range(2, 1000))))
    backup = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    try:
        # A second connection, since the one that holds the write lock cannot be copied from.
        with (new_file(backup) as file, contextlib.closing(sqlite3.connect(path)) as old,
              contextlib.closing(sqlite3.connect(file)) as new):
            old.backup(new)
            damage = new.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if damage != "ok":
                raise UserError(f"the results store {path} is damaged ({damage}), so it was not upgraded; restore a copy of it")
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"the results store {path} cannot be backed up to {backup} ({error}), so it was not upgraded; free "
                        "some space there") from error
    return str(backup)


def digest_of(run: Mapping, content: Mapping[sa.Table, Sequence[Mapping]]) -> str:
    """SHA-256 (hex) of what was recorded of a run, in any order of rows; empty columns do not count.

    Args:
      run: the columns of its row in `runs` that were recorded.
      content: its rows in `evaluations` and `measurements`.
    """
    rows = [(runs, run), *((table, row) for table, rows in content.items() for row in rows)]
    lines = sorted(json.dumps([table.name, {
        column.name: column.type.python_type(row[column.name]) for column in table.columns
        if column.name != "run" and row.get(column.name) is not None}], sort_keys=True, allow_nan=False)
        for table, row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest_of_output(config: str, instance: int, output: Mapping) -> str:
    """SHA-256 (hex) of a row of `outputs` and its run; separate from `digest_of`, so that outputs can be left out of a store or
    added later."""
    named = json.dumps([config, instance, output["evaluation_set"], output["width"]])
    return hashlib.sha256(named.encode() + bytes(output["content"])).hexdigest()


def lock(connection: sa.Connection) -> None:
    """Lets one process at a time create or upgrade the schema; in SQLite the write lock does that already."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")


def insert_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping]) -> None:
    """Inserts the rows whose keys are new."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), rows)


def insert_checkpoints(connection: sa.Connection, rows: Sequence[Mapping]) -> None:
    """The same for `checkpoints`; one that was a folder before takes the name of the archive that has the same content, and one
    that an older version inserted takes its `lower_case`."""
    insert_new(connection, checkpoints, rows)
    for row in rows:
        connection.execute(checkpoints.update().where(checkpoints.c.digest == row["digest"], checkpoints.c.lower_case.is_(None))
                           .values(lower_case=row["lower_case"]))
        if row["archive_sha256"]:
            connection.execute(checkpoints.update().where(checkpoints.c.digest == row["digest"],
                                                          checkpoints.c.archive_sha256.is_(None))
                               .values(archive_sha256=row["archive_sha256"], name=row["name"]))


def insert_studies(connection: sa.Connection, rows: Sequence[Mapping]) -> None:
    """The same for `studies`, which keep the largest number of instances that was ever asked for."""
    if rows:
        insert = _insert(connection, studies)
        connection.execute(insert.on_conflict_do_update(
            index_elements=[studies.c.study, studies.c.config], set_={"instances": insert.excluded.instances},
            where=insert.excluded.instances > studies.c.instances), rows)


def _insert(connection, table: sa.Table):
    """An INSERT with ON CONFLICT, which SQLAlchemy has in each dialect separately."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql
    return postgresql.insert(table)


def _create_views(connection: sa.Connection) -> None:
    piece = PIECES[connection.dialect.name]
    for name, query in VIEWS.items():
        query = query.replace("{predicted}", piece.format("o")).replace("{label}", piece.format("l"))
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
