"""What a plan takes for granted: that files which are not here yet will be the official ones. A dry run downloads nothing."""
from pathlib import Path
from typing import NamedTuple

from common.inputs.checkpoint import BERT_MINI, Checkpoint
from common.inputs.download import is_offline
from common.inputs.glue import SOURCES
from common.store.store import Store
from common.studies.tasks import Task

UNKNOWN = "unknown until it is here"
"""Stands for a digest; no run in a store has it."""


class TaskRows(NamedTuple):
    """The rows of a task, as far as a configuration depends on them."""

    digest: str
    training: int
    """Rows of the training file."""


class ExpectedInputs:
    """The official input, as the table of tasks and the store know it.

    Args:
      store: where runs on the same input may be recorded, with its digests; None: there is no store.

    Attributes:
      missing: names of what would be downloaded.
    """

    def __init__(self, store: Store | None):
        self._store = store
        self.missing: list[str] = []

    def get_checkpoint(self, name: str, where: str | None) -> Checkpoint:
        """Stands for a checkpoint that is not here: its name, and its digest if a store knows the archive."""
        self.missing.append(name)
        archive = BERT_MINI.sha256 if where in (None, BERT_MINI.url) else where.partition("#sha256=")[2].lower()
        digest = self._store.find_checkpoint(archive) if self._store and archive else None
        return Checkpoint(name, Path(), digest or UNKNOWN, archive, {"max_position_embeddings": 512})

    def get_rows(self, task: Task) -> TaskRows:
        """Stands for the files of a task."""
        megabytes = sum(source.size or 0 for source in SOURCES[task.name]) / 1e6
        self.missing.append(f"{task.name} ({megabytes:.1f} MB)")
        known = task.digest or (self._store.find_official_data(task.name) if self._store else None)
        return TaskRows(known or UNKNOWN, task.train_rows)

    def __str__(self) -> str:
        return (f"not here yet, and not downloaded by a dry run: {', '.join(self.missing)}; the plan takes the official files "
                "for granted" + (", but BERT_GLUE_OFFLINE forbids to download them" if is_offline() else ""))
