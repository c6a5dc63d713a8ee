"""Who holds a run: a process, named so that its death can be proved on the same machine."""
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Owner:
    """One process of one boot of one host."""

    host: str
    boot: str
    process: int
    started: str
    """When the process started; a number that is used again for another process does not share it."""

    @classmethod
    def of_this_process(cls) -> "Owner":
        return cls(socket.gethostname(), _boot(), os.getpid(), _started(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> "Owner":
        host, boot, process, started = text.rsplit("/", 3)
        return cls(host, boot, int(process), started)

    def __str__(self) -> str:
        return f"{self.host}/{self.boot}/{self.process}/{self.started}"

    def is_gone(self, lease_is_over: bool) -> bool:
        """Whether this owner can no longer finish what it holds.

        On this machine the process table says so at once; of another machine only the end of the lease does.
        """
        if self.host != socket.gethostname():
            return lease_is_over
        return self.boot != _boot() or _started(self.process) != self.started


def _boot() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"{psutil.boot_time():.0f}"


def _started(process: int) -> str:
    """When a process started; "gone" once it has ended, even while its parent has not noticed that (a zombie).

    Linux says it in ticks since the boot: unlike psutil's time of day, they stay what they are when a clock is set.
    """
    try:
        if Path("/proc/self/stat").exists():
            state, *fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
            return "gone" if state in "ZX" else fields[18]  # field 22 of proc(5)
        found = psutil.Process(process)
        return "gone" if found.status() == psutil.STATUS_ZOMBIE else f"{found.create_time():.2f}"
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return "gone"
