"""The temporary files of a study, in one folder that is removed in the end.

A process that trains makes the folder when it first needs it, keeps it locked while it lives, and removes it when it ends. What a
killed process left is removed by the next one, which finds it unlocked. (systemd, which removes old files from /tmp, leaves a
locked folder alone, too.)
"""
import contextlib
import functools
import os
import shutil
import tempfile
from multiprocessing import util
from pathlib import Path

from common.files import hold_lock

PREFIX = "bert-glue-"
LONGEST_SOCKET = 103
"""Bytes in the path of a Unix socket: 107 on Linux, 103 on macOS."""
SHORT = ("/tmp", "/var/tmp", "/dev/shm")
"""Where sockets go when the temporary folder has a longer path than they may have."""


@functools.cache
def own_folder(place: str | None = None) -> Path:
    """This process's folder in `place`, or in the user's temporary folder.

    Raises:
      OSError: it cannot be made.
    """
    place = place or tempfile.gettempdir()
    _remove_leftovers(Path(place))
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        with contextlib.suppress(FileNotFoundError):  # another process took the new folder for a leftover
            if _hold(folder) and folder.exists():
                util.Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-100)
                return folder


def run_folder() -> tempfile.TemporaryDirectory:
    """A folder for the temporary files of one run, which ends with the run."""
    return tempfile.TemporaryDirectory(prefix="run-", dir=own_folder(), ignore_cleanup_errors=True)


def socket_folder() -> Path:
    """A folder for sockets: this process's own, or one with a shorter path.

    Raises:
      OSError: there is none.
    """
    if _is_short(own_folder()):
        return own_folder()
    for place in SHORT:
        if os.access(place, os.W_OK):
            return own_folder(place)
    raise OSError(f"the temporary folder {tempfile.gettempdir()} has too long a path; set TMPDIR to a shorter one")


def _is_short(folder: Path) -> bool:
    return len(os.fsencode(folder / "listener-12345678")) <= LONGEST_SOCKET


def _hold(folder: Path) -> bool:
    """Locks a folder for the life of this process; where the file system has no locks, it is left alone by all."""
    try:
        return hold_lock(folder) is not None
    except FileNotFoundError:
        raise
    except OSError:
        return True


def _remove_leftovers(place: Path) -> None:
    """Removes the folders of this user's processes that have ended."""
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != getattr(os, "getuid", int)():
                continue
            lock = hold_lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
