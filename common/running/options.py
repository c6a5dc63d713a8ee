"""How a study is run: one frozen object, whose fields the command line's flags and `run_study` share."""
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from common import UserError
from common.training.artifacts import ArtifactFolders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.running.planning import Need
    from common.running.threads import Threads


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a study is run; what it trains is said by its `Study`."""

    # where input comes from
    checkpoint: str | None = None
    """A BERT checkpoint: file, folder or address; None: Google's BERT-mini, downloaded once."""
    lower_case: bool | None = None
    """Whether text is lowercased; None: as the checkpoint says."""
    glue_dir: str | None = None
    """Folder with a subfolder for each task; None: the official files, downloaded once."""
    allow_other_rows: bool = False
    """Accept files whose row counts differ from the official ones."""
    cache: Path | None = None
    """Folder of downloads, tokens and results on their way; None: $BERT_GLUE_CACHE, else the user's cache folder."""

    # what is kept
    db: str = "results.db"
    """The results store: a file, or a database URL."""
    save_models: Path | None = None
    """Folder for the fine-tuned classifier of every instance."""
    predict_test: Path | None = None
    """Folder for every instance's predictions of the test sets."""
    predictions: bool = True
    """Whether the store gets the predictions for every evaluation row."""

    # who trains, and how
    workers: int | None = None
    """Runs at a time; None: as many as fit on the machine or the cluster."""
    cluster: str | None = None
    """A Dask cluster, as `--cluster` takes it; None: processes on this machine."""
    threads: int | str = 1
    """Threads of each run; "auto": where there are fewer runs than cores, a run gets several."""
    allow_high_rates: bool = False
    """Train with learning rates above 0.1, too."""
    retry_failed: bool = False
    """Retry runs that failed three times."""
    fail_fast: bool = False
    """Stop at the first run that fails."""

    @property
    def artifacts(self) -> ArtifactFolders:
        """Where the files of every run go."""
        return ArtifactFolders(*(folder and Path(folder).expanduser().absolute()
                                 for folder in (self.save_models, self.predict_test)))

    @cached_property
    def cache_folder(self) -> Path:
        """The folder of `cache`, made where it is missing.

        Raises:
          UserError: nothing can be written there.
        """
        from common.inputs.download import cache_dir

        return Path(self.cache) if self.cache else cache_dir()

    def count_workers(self) -> int:
        """Runs at a time: as asked for, as a local cluster has workers, or as fit on the machine."""
        from common.training.machine import runs_at_a_time

        _, is_local, number = (self.cluster or "").partition("local:")
        return self.workers or (int(number) if is_local else runs_at_a_time(1 if self.threads == "auto" else self.threads))

    def share_threads(self, needs: "Sequence[Need]") -> "Threads":
        """The threads of each run that is to be trained."""
        from common.running.threads import Threads, share_cores
        from common.training.machine import count_cores

        return share_cores(needs, self.count_workers(), count_cores()) if self.threads == "auto" else Threads(self.threads)


def make_options(**given) -> RunOptions:
    """The options of these names.

    Raises:
      UserError: a name is unknown (the sentence lists the options), or two options do not go together.
    """
    known = [field.name for field in fields(RunOptions)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserError(f"there is no option {unknown[0]!r}; options are: {', '.join(known)}")
    options = RunOptions(**given)
    if options.cluster and options.threads == "auto":
        raise UserError("--threads auto shares out the cores of this machine; give a number of threads with --cluster")
    return options
