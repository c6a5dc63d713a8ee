"""Files that are there whole or not at all."""
import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Puts a file in its place in one step, after its content is on disk; who reads `path` sees the old one or the new one.

    Raises:
      OSError: it cannot be written; what was at `path` is still there.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(new, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut could bring the old name back
    finally:
        os.close(folder)
