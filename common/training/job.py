"""What goes into a training run and what comes out of it: light value objects that every room can name."""
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from common.studies.config import RunConfig
from common.training.artifacts import ArtifactFolders

if TYPE_CHECKING:
    from common.inputs.checkpoint import Checkpoint

SAVE_SECONDS = 300
"""A run is killed at the cost of about this much training; a shorter one starts again."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to train one run; small and picklable."""

    config: RunConfig
    instance: int
    checkpoint: "Checkpoint"
    data_folder: Path
    """Where the task's TSV files are."""
    cache: Path
    threads: int = 1
    """Threads of the matrix products; a different number rounds differently."""
    artifacts: ArtifactFolders = ArtifactFolders()
    """Where files of the run go."""
    save_seconds: float = SAVE_SECONDS
    """Training time after which the state is saved."""
    keep_predictions: bool = True
    """Whether the prediction for every evaluation row is kept in the result."""


@dataclass
class RunResult:
    """Everything that a run measured."""

    environment: dict
    diverged: bool = False
    training_seconds: float = 0.0
    total_seconds: float = 0.0
    measurements: list[tuple[str, str, int, float, float]] = field(default_factory=list)
    """(split, metric, step, epoch, value)"""
    evaluations: list[dict] = field(default_factory=list)
    """One row for each evaluation set, named as the columns of the store."""
    outputs: list[dict] = field(default_factory=list)
    """`evaluation_set`, `width` and `content` of the predictions for each set; content is text, as JSON has it."""
    cpu_seconds: float = 0.0
    """Processor time of all its threads."""
    artifact_error: str = ""
    """Why a file of the run could not be written."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    message: str = ""
