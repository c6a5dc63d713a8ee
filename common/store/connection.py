"""The connection to a results store: opening it, transactions, waiting for locks and servers, and errors in one sentence."""
import contextlib
import functools
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import select

from common import UserError
from common.store import schema
from common.store.schema import VERSION, runs, versions

BUSY_SECONDS = 60
"""How long to wait for an SQLite store that another program has locked."""
CHECKED_BYTES = 16 << 20
"""An SQLite file up to this size is checked for damage whenever it is opened, which takes at most a fifth of a second."""
PATIENCE_SECONDS = 300
"""How long to wait for a database server that does not answer (restarted, unplugged)."""
PASSING = ("40001", "40P01", "53300", "57P01", "57P02", "57P03")
"""PostgreSQL's codes for temporary failures: serialisation, deadlock, too many connections, shutdown, crash, start-up."""


class NoStore(UserError):
    """The store to be read does not exist yet."""


class StoreAway(UserError):
    """The database server does not answer, or has cut the transaction off; the same call may succeed later."""


Method = TypeVar("Method", bound=Callable[..., Any])


def patient(method: Method) -> Method:
    """Repeats a method whose transaction was cut off, until it succeeds or the store's patience ends.

    Perhaps only the answer to the COMMIT was lost: such a method finds out whether the first try was committed.
    """
    @functools.wraps(method)
    def repeated(self, *arguments, **options):
        began, pause = time.monotonic(), 0.1
        while True:
            try:
                return method(self, *arguments, **options)
            except StoreAway as error:
                if time.monotonic() - began + pause > self.patience:
                    raise
                if pause == 0.1:
                    print(f"waiting for the store: {error}", file=sys.stderr)
                time.sleep(pause)
                pause = min(2 * pause, 5)
    return cast(Method, repeated)


class Database:
    """One open results store, its schema made or checked.

    Args:
      address: path of an SQLite file, or a database URL of SQLAlchemy.
      create: create the file and the tables if they are missing, and upgrade an older store after a backup. Without it
        the store is only read, and an older SQLite store is read from an upgraded copy in memory.
      flag: the flag that gave the address, for error messages.

    Raises:
      NoStore: it is missing or empty, and `create` is not set.
      UserError: the store cannot be opened, is damaged, belongs to another program or has a newer version.
    """

    def __init__(self, address: str | os.PathLike, *, create: bool = True, flag: str = "--db"):
        self.address, self.flag = str(address), flag
        self.patience = PATIENCE_SECONDS
        if not self.address:
            raise UserError(f"the results store has no name; name a file with {flag}")
        try:
            self.url = (sa.make_url(self.address) if "://" in self.address
                        else sa.URL.create("sqlite", database=self.address))
        except (sa.exc.ArgumentError, ValueError):
            raise UserError(f"the {flag} address is neither a path nor a database URL such as "
                            "postgresql+psycopg://user@host/name") from None
        if self.url.get_backend_name() == "sqlite" and self.url.database not in (None, "", ":memory:"):
            path = Path(self.url.database)
            if not create and not path.is_file():
                raise NoStore(f"there is no results store at {path}; run one of the exp_*.py scripts first "
                              f"or name another with {flag}")
            if not path.parent.is_dir():
                raise UserError(f"the folder of the results store {path} does not exist; create it or name another "
                                f"place with {flag}")
            if path.is_dir():
                raise UserError(f"the results store {path} is a folder; name a file with {flag}")
        try:
            self.engine = sa.create_engine(self.url, **_engine_options(self.url))
        except sa.exc.NoSuchModuleError:
            raise UserError(f"SQLAlchemy does not know the kind of database in {self.name}; {flag} takes a file, or an address "
                            "such as postgresql+psycopg://user@host/name") from None
        except ModuleNotFoundError as error:
            install = "make .venv/all" if error.name == "psycopg" else f"pip install {error.name}"
            raise UserError(f"the results store {self.name} needs the package {error.name}, which is not installed; "
                            f"install it with `{install}`") from None
        self._listen()
        self._check_schema(create)

    def _listen(self) -> None:
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
            sa.event.listen(self.engine, "commit", _commit_sqlite)

    @property
    def name(self) -> str:
        """The address without what may be secret: the password, and the options after a question mark."""
        return self.url.set(query={}).render_as_string() if "://" in self.address else self.address

    @property
    def full_name(self) -> str:
        """The same name from any working folder. Never show it: the options may be secret."""
        if self.url.get_backend_name() == "sqlite":
            return str(Path(self.url.database or "").resolve())
        return self.url.set(password=None).render_as_string()

    def close(self) -> None:
        self.engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection whose queries see one state of the store."""
        with self._connected(writes=False) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction: committed at the end, rolled back on any exception."""
        with self._connected(writes=True) as connection:
            yield connection

    @contextlib.contextmanager
    def _connected(self, writes: bool):
        try:
            with self.engine.connect() as connection:
                connection = connection.execution_options(writes=writes)
                if not writes and connection.dialect.name == "postgresql":  # else each query sees another state
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    yield connection
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:  # the last: damaged text
            kind = StoreAway if _may_pass(error) else UserError
            raise kind(f"the results store {self.name} cannot be {'written' if writes else 'read'}: "
                       f"{_reason(error, self.flag)}") from error

    # -- schema

    def _check_schema(self, create: bool) -> None:
        with self.reading() as connection:
            self._check_file(connection)
            version = self._find_version(connection)
        if version is not None and version > VERSION:
            raise UserError(f"the results store {self.name} has schema version {version}, this program knows {VERSION}; "
                            "update the program")
        if version == VERSION:
            return
        if create:
            self._create_or_upgrade()
        elif version is None:
            raise NoStore(f"{self.name} holds no results yet; run one of the exp_*.py scripts first")
        elif self.engine.dialect.name == "sqlite":
            self._read_a_copy(version)
        else:
            raise UserError(f"the results store {self.name} has the old schema version {version}; call one of the exp_*.py "
                            "scripts with it, which upgrades it")

    def _check_file(self, connection) -> None:
        """Refuses a damaged file, as far as the check is cheap; a larger one is refused when a query meets the damage."""
        if connection.dialect.name != "sqlite":
            return
        pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("page_count", "page_size"))
        if pages * size <= CHECKED_BYTES:
            damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if damage != "ok":
                damage = _first_line(damage.replace("*** in database main ***", ""))
                raise UserError(f"the results store {self.name} is damaged ({damage}); restore a copy of it, or "
                                f"save what can be read with `sqlite3 {self.name} .recover`")

    def _create_or_upgrade(self) -> None:
        """Brings the schema to this version: all of it or nothing, even while other processes try the same."""
        with self.writing() as connection:
            schema.lock(connection)
            version = self._find_version(connection)
            if version is None:
                schema.create(connection)
            elif version < VERSION:
                backup = schema.back_up(connection, version)
                schema.upgrade(connection, version)
        if version is not None and version < VERSION:
            print(f"the results store {self.name} was upgraded from schema version {version} to {VERSION}; the old "
                  f"one is in {backup}", file=sys.stderr)

    def _read_a_copy(self, version: int) -> None:
        """Continues with an upgraded copy in memory, so that reading does not change the file."""
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        with self.reading() as connection:
            driver: Any = connection.connection.driver_connection
            driver.backup(copy)
        self.engine.dispose()
        self.engine = sa.create_engine("sqlite://", creator=lambda: copy, poolclass=sa.StaticPool)
        self._listen()
        with self.writing() as connection:
            schema.upgrade(connection, version)

    def _find_version(self, connection) -> int | None:
        """The schema version, None if the database is empty; the database of another program is refused."""
        tables = sa.inspect(connection).get_table_names()
        if not tables:
            return None
        if versions.name not in tables or runs.name not in tables:
            raise UserError(f"the database {self.name} belongs to another program (it has the table {tables[0]!r}); "
                            f"name another with {self.flag}")
        version = connection.scalar(select(sa.func.max(versions.c.version)))
        if version is None or version < 1:
            raise UserError(f"the results store {self.name} does not say which schema version it has; restore a copy of it or "
                            f"name another with {self.flag}")
        return version


def _engine_options(url: sa.URL) -> dict:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 1}}
    if url.get_driver_name() not in ("psycopg", "psycopg2"):
        return {"pool_pre_ping": True}
    # libpq's own limits are minutes to hours, too long to notice a server that was unplugged
    limits = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
              "tcp_user_timeout": 60_000}
    return {"pool_pre_ping": True, "connect_args": {name: value for name, value in limits.items() if name not in url.query}}


def _may_pass(error: Exception) -> bool:
    """Whether the same transaction may succeed later: the server does not answer, or has ended it because of a conflict."""
    cause: Any = getattr(error, "orig", None)
    if not isinstance(error, sa.exc.DBAPIError) or not hasattr(cause, "sqlstate"):
        return False  # PostgreSQL's drivers have it; SQLite needs no server
    state = cause.sqlstate
    return error.connection_invalidated or state in PASSING or (state is None and isinstance(error, sa.exc.OperationalError))


def _prepare_sqlite(connection, _record) -> None:
    connection.isolation_level = None  # else the driver begins transactions late, unknown to SQLAlchemy
    for setting in ("foreign_keys = ON", "synchronous = FULL"):
        _wait_for_lock(connection.execute, f"PRAGMA {setting}")


def _begin_sqlite(connection) -> None:
    # A write must hold the lock before it reads what it will change; a late upgrade of the lock fails as "locked".
    if connection.get_execution_options().get("writes"):
        _wait_for_lock(connection.exec_driver_sql, "BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")
        # BEGIN takes no lock; the first query does.
        _wait_for_lock(connection.exec_driver_sql, "SELECT 1 FROM sqlite_master LIMIT 1")


def _commit_sqlite(connection) -> None:
    if connection.get_execution_options().get("writes"):
        _wait_for_lock(connection.exec_driver_sql, "COMMIT")  # readers may delay it; the transaction stays open until then


def _wait_for_lock(execute, statement: str) -> None:
    """Retries a statement while the store is locked: SQLite itself waits a second at most, since Ctrl-C does not stop it."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            execute(statement)
            return
        except (sa.exc.OperationalError, sqlite3.OperationalError) as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise


def _reason(error: Exception, flag: str) -> str:
    cause = getattr(error, "orig", None) or error
    text = _first_line(str(cause)) or type(cause).__name__
    remedies = {
        "DBMOVED": "the file was replaced or removed while it was in use, perhaps by git checkout; leave it alone while a study "
                   "runs, and call again",
        "no such table": "the file was emptied or replaced while it was in use; restore a copy of it and call again",
        "locked": "another program has locked it; close that program and call again",
        "readonly": f"it is read-only; make it writable or name another with {flag}",
        "unable to open": f"the file cannot be opened; check its permissions or name another with {flag}",
        "full": "the disk is full; free some space and call again",
        "disk I/O error": "the disk is full or failing; free some space and call again",
        "malformed": f"the file is damaged; restore a copy of it or name another with {flag}",
        "decode": f"the file is damaged; restore a copy of it or name another with {flag}",
        "not a database": f"the file is not an SQLite database; name another with {flag}",
        "password": "give the password in PGPASSWORD or in ~/.pgpass, or correct the user's name",
        "Connection refused": f"no server answers there; start it, or correct host and port in {flag}",
        "could not translate host name": f"correct the host's name in {flag}",
        "does not exist": f"create it, or name another with {flag}",
        "permission denied": "let the database's owner grant it",
    }
    signs = f"{getattr(cause, 'sqlite_errorname', '')} {text}"
    return next((f"{remedy} ({text})" for sign, remedy in remedies.items() if sign in signs), text)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")
