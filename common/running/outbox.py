"""Trained runs on their way to the store: a run that was trained is not trained again because the store was away.

A result is written here before it is written to the store, and removed when it is there. Whatever comes between (a full disk, a
lock that is never released, a server that is away, kill -9), the next process that takes the run finds its result and records it.
"""
import contextlib
import dataclasses
import hashlib
import json
import os
from pathlib import Path

from common.files import replace_file
from common.studies.config import RunConfig
from common.training.job import RunResult


class Outbox:
    """The results that wait for one store.

    Args:
      folder: where such files are kept, in one folder for each store.
      store: the store's full address, which only names that folder.
    """

    def __init__(self, folder: Path, store: str):
        self.folder = folder / hashlib.sha256(os.fsencode(store)).hexdigest()[:16]

    def save(self, config: RunConfig, instance: int, result: RunResult) -> bool:
        """Keeps a result on disk; False if that is impossible, in which case the store may still work."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._path(config, instance), json.dumps(dataclasses.asdict(result)).encode())
        except OSError:
            return False
        return True

    def find(self, config: RunConfig, instance: int) -> RunResult | None:
        """The result that waits for this run's record; a file that cannot be understood is none."""
        try:
            fields = json.loads(self._path(config, instance).read_text("utf-8"))
            if "not_kept" in fields:  # what the field was called before
                fields["artifact_error"] = fields.pop("not_kept")
            result = RunResult(**fields)
            return dataclasses.replace(result, measurements=[tuple(row) for row in result.measurements])
        except (OSError, ValueError, TypeError):
            return None

    def remove(self, config: RunConfig, instance: int) -> None:
        with contextlib.suppress(OSError):
            self._path(config, instance).unlink(missing_ok=True)

    def _path(self, config: RunConfig, instance: int) -> Path:
        return self.folder / f"{config.hash}-{instance}.json"
