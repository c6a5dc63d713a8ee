"""Files of a run beside its numbers: the fine-tuned classifier, and its predictions for the GLUE server.

Both are folders named after the run, written by the worker that trained it. A folder that is asked for and missing is made, also
if the run is in the store already: from its saved classifier, else by training again, which gives the same classifier, because
training is deterministic.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import UserError
from common.files import new_folder
from common.studies.config import RunConfig
from common.studies.names import name_folder
from common.studies.tasks import TASKS

if TYPE_CHECKING:
    from common.training.classifier import Classifier
    from common.training.job import Job


@dataclass(frozen=True)
class ArtifactFolders:
    """Where the files of runs go; None: they are not wanted."""

    models: Path | None = None
    """Folder of the classifiers."""
    predictions: Path | None = None
    """Folder of the files for the GLUE server."""

    @property
    def wanted(self) -> bool:
        """Whether any files are wanted."""
        return bool(self.models or self.predictions)

    def is_incomplete(self, config: RunConfig, instance: int) -> bool:
        """Whether a wanted folder of this run is missing."""
        return any(not folder.is_dir() for folder in self._folders(config, instance))

    def write(self, classifier: "Classifier", job: "Job") -> None:
        """Writes the wanted folders of a run."""
        from common.training.glue_server import write_predictions

        name = name_folder(job.config, job.instance)
        if self.models:
            classifier.save(self.models / name)
        if self.predictions and TASKS[job.config.task].tests:
            write_predictions(classifier, job, self.predictions / name)

    def pack(self, config: RunConfig, instance: int) -> list[dict[str, bytes]]:
        """What `write` wrote for a run, to be unpacked on another machine: relative path -> content for each folder."""
        return [{path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
                for folder in self._folders(config, instance)]

    def unpack(self, config: RunConfig, instance: int, packed: list[dict[str, bytes]]) -> None:
        """Writes what `pack` read on another machine; a folder that is missing there is not made here.

        Raises:
          OSError: it cannot be written.
        """
        for folder, files in zip(self._folders(config, instance), packed, strict=True):
            if files:
                with new_folder(folder) as new:
                    for name, content in files.items():
                        (new / name).write_bytes(content)

    def _folders(self, config: RunConfig, instance: int) -> list[Path]:
        wanted = [self.models, self.predictions if TASKS[config.task].tests else None]
        return [folder / name_folder(config, instance) for folder in wanted if folder]

    def create(self) -> None:
        """Creates the folders that are missing.

        Raises:
          UserError: one cannot be created.
        """
        for folder in filter(None, (self.models, self.predictions)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"the folder {folder} cannot be made ({error.strerror}); name another place") from None
