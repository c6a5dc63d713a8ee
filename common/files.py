"""Files and folders that are there whole or not at all."""
import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil


def replace_file(path: Path, content: bytes) -> None:
    """Puts a file in its place in one step, after its content is on disk; who reads `path` sees the old one or the new one.

    Raises:
      OSError: it cannot be written; what was at `path` is still there.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        process = leftover.name.split(".")[-2]
        if process.isdigit() and not psutil.pid_exists(int(process)):  # it was killed while it wrote
            leftover.unlink(missing_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(new, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    _sync(path.parent)  # else a power cut could bring the old name back


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends well and its files are on disk.

    Until then it has a hidden name, so that whoever is killed on the way leaves nothing that looks finished.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    filling, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    shutil.rmtree(filling, ignore_errors=True)
    filling.mkdir()
    try:
        yield filling
        for path in (*filling.iterdir(), filling):
            _sync(path)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        try:
            filling.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process has put the same there meanwhile
                raise
    finally:
        shutil.rmtree(filling, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_one(path: Path):
    """Lets one process at a time make the file at `path`; the kernel frees the lock when a process dies."""
    locks = path.parent.parent / "locks"
    for folder in (path.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    with open(locks / f"{path.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_arrays(path: Path, arrays: dict) -> None:
    """An .npz file of NumPy arrays that is there whole or not at all."""
    import numpy as np

    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
