"""A PostgreSQL server of the tests' own, in a temporary folder on a free port of this machine."""
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

USER, PASSWORD = "anna", "s3cret"


def find_programs() -> Path | None:
    """The folder of `postgres` and `initdb`: that on PATH, else Debian's of the newest version; None without a server."""
    found = shutil.which("postgres")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(re.sub(r"\D", "", path.parent.name)),
                      reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class Server:
    """One server with an empty cluster; `start`, `stop` and `start` again as a database administrator would.

    Args:
      programs: folder of `postgres` and `initdb`.
      fsync: wait for the disk at every commit, which tests need not.
    """

    def __init__(self, programs: Path, fsync: bool = False):
        self._programs = programs
        self._fsync = "on" if fsync else "off"
        self._as_user = _not_root()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.port = _free_port()
        self._process = None
        (self.folder / "password").write_text(PASSWORD)
        if self._as_user:
            for path in (self.folder, self.folder / "password"):
                os.chown(path, self._as_user["user"], self._as_user["group"])
        subprocess.run([programs / "initdb", "--pgdata", self.folder / "data", "--username", USER, "--auth", "scram-sha-256",
                        "--pwfile", self.folder / "password", "--encoding", "UTF8", "--locale-provider", "icu",
                        "--icu-locale", "en-US", "--no-sync"], cwd=self.folder, check=True,
                       capture_output=True, **self._as_user)

    def start(self) -> None:
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", "-c", "listen_addresses=127.0.0.1", "-p",
                 str(self.port), "-c", f"unix_socket_directories={self.folder}", "-c", f"fsync={self._fsync}", "-c",
                 "max_connections=200"], cwd=self.folder, stdout=log, stderr=log, **self._as_user)
        deadline = time.monotonic() + 60
        while True:
            try:
                with self.administer() as connection:
                    connection.exec_driver_sql("SELECT 1")
                    return
            except sa.exc.OperationalError:
                assert time.monotonic() < deadline and self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)

    def stop(self, how: str = "fast") -> None:
        """Stops the server: `smart`, `fast` (connections are cut) or `immediate` (as if it crashed)."""
        if self._process is not None:
            self._process.send_signal({"smart": 15, "fast": 2, "immediate": 3}[how])
            self._process.wait(60)
            self._process = None

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def new_place(self) -> str:
        """The URL of an empty place for one store: a schema of its own, which is made in no time, in one database."""
        schema = f"test_{secrets.token_hex(4)}"
        with self.administer() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
        return f"{self.url}?options=-csearch_path%3D{schema}"

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def administer(self):
        return sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect()


def _not_root() -> dict:
    """How to start a process that PostgreSQL, which refuses root, accepts."""
    if os.geteuid() != 0:
        return {}
    names = {account.pw_name for account in pwd.getpwall()}
    account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
