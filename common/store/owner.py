"""The owner of a run: a process, named so that other processes on the same machine can tell whether it has ended."""
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.files import boot_id, process_namespace


@dataclass(frozen=True)
class Owner:
    """One process of one boot of one host, in one process namespace."""

    host: str
    boot: str
    process: int
    started: str
    """When the process started: tells it from a later process with the same number."""
    namespace: str = ""
    """The process namespace: two containers with one host name number their processes independently. Empty where the system has
    none, and in a store written before owners named it."""

    @classmethod
    def of_this_process(cls) -> "Owner":
        return cls(socket.gethostname(), boot_id(), os.getpid(), _started("self"), process_namespace())

    @classmethod
    def parse(cls, text: str) -> "Owner":
        host, place, process, started = text.rsplit("/", 3)
        boot, _, namespace = place.partition("@")
        return cls(host, boot, int(process), started, namespace)

    def __str__(self) -> str:
        place = f"{self.boot}@{self.namespace}" if self.namespace else self.boot
        return f"{self.host}/{place}/{self.process}/{self.started}"

    def is_gone(self, lease_is_over: bool) -> bool:
        """Whether this owner can no longer finish its runs.

        The process table tells at once about a process of the same host, boot and namespace. Everything else cannot be seen from
        here, or may be another machine of the same name: there only the end of the lease tells.
        """
        here = (socket.gethostname(), boot_id(), process_namespace())
        if (self.host, self.boot, self.namespace) != here or not _sees_processes():
            return lease_is_over
        return _started(str(self.process)) != self.started


def _sees_processes() -> bool:
    """Whether process numbers here mean what they mean in /proc: a namespace may still show the /proc of the one above it."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return True  # a system without /proc


def _started(process: str) -> str:
    """When a process ("self": this one) started; "gone" once it has ended, even while its parent has not noticed that (a zombie).

    Linux says it in ticks since the boot: unlike psutil's time of day, they stay what they are when a clock is set.
    """
    try:
        if Path("/proc/self/stat").exists():
            state, *fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
            return "gone" if state in "ZX" else fields[18]  # field 22 of proc(5)
        found = psutil.Process(None if process == "self" else int(process))
        return "gone" if found.status() == psutil.STATUS_ZOMBIE else f"{found.create_time():.2f}"
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return "gone"
