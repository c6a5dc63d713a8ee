"""What is kept of a run beside its numbers: the fine-tuned classifier, and its predictions for the GLUE server.

Both are folders named after the run, written by the worker that trained it. What is asked for and not there is made: by
training again where the run is in the store already, which gives the same classifier, because training is deterministic.
"""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import UserError
from common.config import RunConfig


@dataclass(frozen=True)
class Keep:
    """What to keep, and where; None: not at all."""

    models: Path | None = None
    """Folder of the classifiers."""

    @property
    def anything(self) -> bool:
        return bool(self.models)

    def lacks(self, config: RunConfig, instance: int) -> bool:
        """Whether something that is asked for is not there."""
        return bool(self.models) and not (self.models / name_folder(config, instance)).is_dir()

    def write(self, classifier, job) -> None:
        """Keeps what is asked for of a run."""
        if self.models:
            classifier.save(self.models / name_folder(job.config, job.instance))

    def make_folders(self) -> None:
        """Makes the folders that are missing.

        Raises:
          UserError: one cannot be made.
        """
        for folder in filter(None, (self.models,)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"the folder {folder} cannot be made ({error.strerror}); name another place") from None


def name_folder(config: RunConfig, instance: int) -> str:
    """Name of a run's folder: words for people, and enough of the configuration's hash to tell it from every other."""
    return (f"{config.task}-batch{config.batch_size}-rate{config.peak_learning_rate:g}-{config.hash[:12]}"
            f"-instance{instance}")


def keep_again(job, report: Callable = lambda progress: None):
    """What a worker does for a run that is in the store already; its `common.train.RunResult` is for comparison."""
    from common.train import train_run

    return train_run(job, report)
