"""What a study reads: the checkpoint, each task's folder and rows, and the configurations that they make of its grid."""
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from common import UserError
from common.inputs.batches import split
from common.inputs.checkpoint import Checkpoint, get_checkpoint
from common.inputs.download import NotFetched, without_fetching
from common.inputs.glue import get_glue_folder
from common.inputs.reading import GlueData, load_glue, load_tests
from common.running.executor import WorkerError
from common.running.expected_inputs import ExpectedInputs, TaskRows
from common.running.options import RunOptions
from common.running.processes import FreshProcesses
from common.store.store import InputRows
from common.studies.config import RunConfig
from common.studies.study import Study
from common.studies.tasks import Task, get_task
from common.training.input_check import ROWS, InputCheck, check_input


@dataclass(frozen=True)
class StudyInputs:
    """The input of a study, read and checked."""

    checkpoint: Checkpoint
    folders: dict[str, Path]
    """Task -> folder of its files."""
    data: dict[str, GlueData]
    """Task -> rows."""
    errors: dict[str, UserError]
    """Task -> why its files cannot be used."""
    cache: Path
    expected: dict[str, TaskRows] = field(default_factory=dict)
    """Task -> the rows that it is expected to have; in a plan, for files that are not here yet."""

    @cached_property
    def store_rows(self) -> InputRows:
        """What the store keeps about the input."""
        return InputRows(self.checkpoint.row(), [row for each in self.data.values() for row in each.rows()],
                         [row for each in self.data.values() for row in each.label_rows()])

    @property
    def known_rows(self) -> dict[str, TaskRows]:
        """Task -> its rows, as far as a configuration depends on them."""
        return {name: TaskRows(data.digest, len(data.sets["train"])) for name, data in self.data.items()} | self.expected

    @property
    def training_rows(self) -> dict[str, int]:
        """Task -> rows of its training file."""
        return {name: rows.training for name, rows in self.known_rows.items()}

    @cached_property
    def notes(self) -> list[str]:
        """What else the user has to know of the input. Finding it takes a process with TensorFlow, which reads the weights.

        Raises:
          UserError: the weights cannot be read, or do not fit their configuration.
        """
        check = InputCheck(self.checkpoint, self.cache,
                           {task: list(data.sets["train"].texts[:ROWS]) for task, data in self.data.items()})
        process = FreshProcesses(1)
        try:
            return process.submit(check_input, check).result()
        except WorkerError as error:
            raise UserError(str(error)) from error
        finally:
            process.kill()

    def make_grid(self, study: Study) -> list[tuple[RunConfig, int]]:
        """The study's configurations with the rows of their training splits, for the tasks whose rows are there.

        Raises:
          UserError: a configuration does not fit the checkpoint or the rows.
        """
        known, grid = self.known_rows, {}
        for fields in study.cells():
            if fields["task"] not in known:
                continue
            digest, rows = known[fields["task"]]
            if fields.get("limit_train") and fields["limit_train"] >= rows:  # no row is left out: the full run
                fields |= {"limit_train": None}
            config = RunConfig(**fields, data=digest, checkpoint=self.checkpoint.digest, lower_case=self.checkpoint.lower_case)
            training_rows = len(split(config.limit_train or rows, config.validation, config.split_seed)[0])
            self._check(config, training_rows)
            grid[config] = training_rows
        return list(grid.items())

    def _check(self, config: RunConfig, training_rows: int) -> None:
        positions = self.checkpoint.config["max_position_embeddings"]
        if config.max_length > positions:
            raise UserError(f"the checkpoint {self.checkpoint.name} has {positions} positions, fewer than the "
                            f"{config.max_length} tokens of the longest input; give another with --checkpoint, or a smaller "
                            "max_length with --set")
        if config.batch_size > training_rows:
            raise UserError(f"batch size {config.batch_size} is larger than the {training_rows} training rows of "
                            f"{config.task}; choose a smaller one")


def load_inputs(tasks: tuple[str, ...], options: RunOptions, expected: ExpectedInputs | None = None) -> StudyInputs:
    """Finds, fetches, reads and checks all that a study trains on.

    Args:
      expected: for a plan, which downloads nothing: what the missing files are expected to hold.

    Raises:
      UserError: the checkpoint, or every task's files, cannot be used.
    """
    with without_fetching() if expected else nullcontext():
        try:
            checkpoint = get_checkpoint(options.checkpoint, options.cache_folder, options.lower_case)
        except NotFetched as missing:
            checkpoint = expected.get_checkpoint(str(missing), options.checkpoint)
        inputs = StudyInputs(checkpoint, {}, {}, {}, options.cache_folder)
        for task in map(get_task, dict.fromkeys(tasks)):
            try:
                inputs.folders[task.name], inputs.data[task.name] = _load_task(task, options)
            except NotFetched:
                inputs.expected[task.name] = expected.get_rows(task)
            except UserError as error:
                inputs.errors[task.name] = error
    if not (inputs.data or inputs.expected):
        raise _join(inputs.errors)
    return inputs


def _join(errors: dict[str, UserError]) -> UserError:
    """One error for all tasks."""
    task, first = next(iter(errors.items()))
    return first if len(errors) == 1 else UserError(f"no task has files that can be used ({', '.join(errors)}); {task}: {first}")


def _load_task(task: Task, options: RunOptions) -> tuple[Path, GlueData]:
    """Folder and rows of a task; its test sets are checked, too, if they are to be predicted."""
    folder = get_glue_folder(task, options.glue_dir, options.cache_folder)
    if options.predict_test:
        load_tests(task, folder, allow_other_rows=options.allow_other_rows)
    return folder, load_glue(task, folder, allow_other_rows=options.allow_other_rows)
