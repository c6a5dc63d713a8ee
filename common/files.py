"""Files and folders that appear whole or not at all, and the lock of an entry of the cache.

A new file or folder is written under a hidden name, `.NAME.PROCESS-NUMBER-SPACE.new`, and renamed once it is on disk. SPACE tells
machines and containers apart that share a disk and count their processes independently.
"""
import contextlib
import errno
import glob
import hashlib
import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_POLL_SECONDS = 0.05
"""How often a lock is tried again where the system cannot wait for it."""
LEFTOVER_SECONDS = 86400
"""Nobody takes longer to write a file or folder."""
_NUMBERS = itertools.count()


# -- writing

@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """The path of a file to write, which takes the place of `path` when the block ends well.

    Raises:
      OSError: it cannot be written; what was at `path` is still there.
    """
    new = _hidden(path)
    try:
        with errors_name(path):
            yield new
            put_in_place(new, path)
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends well.

    Raises:
      OSError: it cannot be written; what was at `folder` is still there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = _hidden(folder), _hidden(folder)
    new.mkdir()
    try:
        with errors_name(folder):
            yield new
            for path in new.rglob("*"):
                _sync(path)
            with contextlib.suppress(FileNotFoundError):
                folder.rename(old)
            try:
                put_in_place(new, folder)
            except OSError:
                if not folder.is_dir():  # else another process has just put the same there
                    raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Has an error of the system name `path` where it names no file, as that of a full disk, or one with a hidden name."""
    try:
        yield
    except OSError as error:
        if not error.filename or str(error.filename).endswith(".new"):
            error.filename = str(path)
        raise


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file in one step: a reader of `path` sees the old content or the new one.

    Raises:
      OSError: it cannot be written; what was at `path` is still there.
    """
    with new_file(path) as new:
        new.write_bytes(content)


def write_arrays(path: Path, arrays: dict) -> None:
    """Writes an .npz file of NumPy arrays in one step.

    Raises:
      OSError: as `replace_file`.
    """
    import numpy as np

    with new_file(path) as new, open(new, "wb") as file:
        np.savez(file, **arrays)


def put_in_place(new: Path, path: Path) -> None:
    """Renames a finished file or folder to `path`, after its content is on disk."""
    _sync(new)
    new.replace(path)
    _sync(path.parent)  # else a power cut could bring the old name back


def remove_leftovers(path: Path) -> None:
    """Removes what processes left that were killed while they wrote `path`.

    Whether a process of another machine or container still lives cannot be seen from here: what it left goes when it is old.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        process, _, rest = leftover.name.split(".")[-2].partition("-")
        with contextlib.suppress(OSError):  # another process has just removed it
            is_old = time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS
            is_dead = rest.endswith(f"-{process_space()}") and not psutil.pid_exists(int(process))
            if is_dead or is_old:
                _remove(leftover)


def boot_id() -> str:
    """What differs after each start of this machine."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else f"{psutil.boot_time():.0f}"


def process_namespace() -> str:
    """The number of this process's namespace of process numbers; empty where the system has none."""
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


def process_space() -> str:
    """Eight characters that name the processes whose numbers mean the same as here: those of this boot and namespace."""
    return hashlib.sha256(f"{boot_id()} {process_namespace()}".encode()).hexdigest()[:8]


def _hidden(path: Path) -> Path:
    remove_leftovers(path)
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_NUMBERS)}-{process_space()}.new")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- reading

def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- locking

@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Lets one process at a time make the entry of the cache at `path`; a process that waits says so.

    The lock is a file in the folder `locks` beside the entry's folder. The kernel frees it when its process dies.
    """
    locks = path.parent.parent / "locks"
    for folder in (path.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    descriptor = _open_lock(locks / f"{path.name}.lock")
    try:
        if not _try_to_lock(descriptor):
            print(f"waiting for another process that makes {path.name}", file=sys.stderr)
            while not _try_to_lock(descriptor):
                time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def make_once(path: Path, make: Callable[[], None]) -> None:
    """Has `make` make the entry of the cache at `path` unless it is there; of several processes one makes it."""
    if not path.exists():
        with file_lock(path):
            if not path.exists():
                make()


def hold_lock(path: Path) -> int | None:
    """Locks the file or folder at `path` until the descriptor that is returned is closed, or the process ends; None if another
    process holds it.

    Raises:
      OSError: it cannot be opened, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _try_to_lock(descriptor):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY)  # another user made it: reading is enough to lock it


def _try_to_lock(descriptor: int) -> bool:
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True
