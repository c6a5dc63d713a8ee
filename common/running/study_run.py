"""The way of a study to recorded runs: inputs, plan, training, files that are kept. The command line and notebooks call it."""
import functools
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from common import UserError
from common.running.driver import Driver, Failure, ResultBox, RunStore, stopping_on_sigterm
from common.running.executor import RunExecutor
from common.running.expected_inputs import ExpectedInputs
from common.running.options import RunOptions, make_options
from common.running.outbox import Outbox
from common.running.planning import (
    Need,
    choose_best,
    count_missing,
    estimate_seconds,
    find_needs,
    merge_needs,
    split_needs,
)
from common.running.progress import Display, say
from common.running.retraining import RetrainingStore, ScoreDifference, find_missing_artifacts, retrain
from common.running.study_inputs import StudyInputs, load_inputs
from common.running.threads import Threads
from common.store.store import Store
from common.studies.config import RunConfig
from common.studies.names import count, name_run, show_seconds
from common.studies.study import Part, Study, make_parts
from common.training.job import Job
from common.training.run import train_run

HIGH_RATE = 0.1
"""A learning rate above this has to be confirmed."""


def run_study(study: Study, **options) -> "Outcome":
    """Trains what is missing of a study and records it: what the command line does, from Python.

    What is in the store already is not trained again. Interrupted, it loses at most the runs that were in training; call again to
    go on. Several calls may share a store, and each run is trained by one of them.

    Args:
      study: what to train.
      options: how, by the fields of `common.running.options.RunOptions`, such as `glue_dir` or `workers`.

    Returns:
      What became of the study; `str` of it says so in words. Runs that failed are listed in it, and the others went on.

    Raises:
      UserError: something that the user must fix (an option, a file, a download, the store).
    """
    chosen = make_options(**options)
    chosen.artifacts.create()
    return StudyRun.load(study, chosen).train()


@dataclass
class Outcome:
    """What became of a study."""

    store: str
    """Name of the store."""
    needs: list[Need] = field(default_factory=list)
    """What was asked for, and what of it was missing."""
    failures: list[Failure] = field(default_factory=list)
    retrained: list[Need] = field(default_factory=list)
    """Recorded runs that were trained again, for files that are to be kept."""
    differences: list[ScoreDifference] = field(default_factory=list)
    """What scored otherwise when it was trained again."""
    input_errors: dict[str, UserError] = field(default_factory=dict)
    """Task -> why its files cannot be used."""

    @property
    def given_up(self) -> list[tuple[RunConfig, int]]:
        """Runs that failed too often to be retried without being asked for."""
        return [(need.config, number) for need in self.needs for number in need.given_up]

    @property
    def wanted(self) -> list[tuple[RunConfig, int]]:
        """All runs that were asked for."""
        return [(need.config, number) for need in self.needs for number in need.wanted]

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is in the store and in its folders."""
        return not (self.failures or self.given_up or self.input_errors)

    def __str__(self) -> str:
        lines = [f"note: {name_run(each.config, each.instance)} scored {each.now} on {each.evaluation_set} where the store has "
                 f"{each.stored}: other software, hardware or threads; the files that were kept are of this training"
                 for each in self.differences]
        lines += [f"failed: {name_run(config, number)}: {error}" for config, number, error in self.failures]
        lines += [f"failed: {name_run(config, number)} failed three times; --retry-failed retries it"
                  for config, number in self.given_up]
        if not (self.failures or self.given_up):
            trained = self.retrained or any(need.missing for need in self.needs)
            lines.append(f"{count(len(self.wanted), 'run')} of the study {'is' if len(self.wanted) == 1 else 'are'} in "
                         f"{self.store}" + ("" if trained else "; nothing was missing"))
        return "\n".join(lines + [f"failed: {name}: {error}" for name, error in self.input_errors.items()])


@dataclass(frozen=True)
class StudyRun:
    """One call of a study: what it trains, from which input, and how."""

    study: Study
    options: RunOptions
    inputs: StudyInputs
    train_run: Callable = train_run
    """What a worker calls for a run."""

    @classmethod
    def load(cls, study: Study, options: RunOptions, expected: ExpectedInputs | None = None) -> "StudyRun":
        """Reads and checks the input.

        Raises:
          UserError: it cannot be used, or a learning rate is too high to be meant.
        """
        highest = max(study.peak_learning_rates)
        if highest > HIGH_RATE and not options.allow_high_rates:
            raise UserError(f"a learning rate of {highest:g} is far above those that fine-tune BERT (1e-6 to 1e-3), so it may be "
                            f"a slip for {highest:g}e-5; confirm it with --allow-high-rates")
        inputs = load_inputs(study.tasks, options, expected)
        for note in inputs.checkpoint.notes:
            say(f"note: {note}")
        return cls(study, options, inputs)

    def train(self) -> Outcome:
        """Trains and records what is missing, then makes the files that are missing of recorded runs.

        Raises:
          UserError: the store cannot be used.
          NoWorkers: no worker is left.
        """
        parts = self.make_parts()
        with closing(Store(self.options.db)) as store:
            self._check_input(store, parts)
            outcome = Outcome(store.name, input_errors=self.inputs.errors)
            self._train_missing(store, parts, outcome)
            if not self._stops(outcome):
                self._make_missing_files(store, outcome)
        return outcome

    def _check_input(self, store: Store, parts: list[Part]) -> None:
        """If something is to be trained: proves that the checkpoint can be loaded, before anything is planned.

        Raises:
          UserError: it cannot.
        """
        needs = [need for part in parts for need in self.find_needs(store, part)]
        if count_missing(needs) or find_missing_artifacts(self.options.artifacts, store, needs):
            for note in self.inputs.notes:
                say(f"note: {note}")

    def make_parts(self) -> list[Part]:
        """What the study wants, by its conditions.

        Raises:
          UserError: a configuration does not fit the input.
        """
        return make_parts(self.study, self.inputs.make_grid(self.study))

    def find_needs(self, store: Store | None, part: Part) -> list[Need]:
        """What is missing of a part."""
        return find_needs(store, part.configs, part.instances, self.options.retry_failed, self.inputs.training_rows)

    def _register(self, store: Store, parts: list[Part]) -> list[Need]:
        """What is missing of the parts, after the store has noted what they want."""
        needs = []
        for part in parts:
            found = self.find_needs(store, part)
            if found:
                store.plan(part.name, {need.config: need.wanted for need in found}, part.instances, self.inputs.store_rows,
                           retry_failed=self.options.retry_failed)
            needs += found
        return merge_needs(needs)

    def _train_missing(self, store: Store, parts: list[Part], outcome: Outcome) -> None:
        """Trains what is missing: if the study searches, first the instances that decide it, then what it has found."""
        outbox = Outbox(self.options.cache_folder / "outbox", store.full_name)
        searching = max((part.instances for part in parts if part.best), default=0)
        outcome.needs = self._register(store, parts)
        first, rest = split_needs(outcome.needs, searching)
        if searching:
            outcome.failures += self._drive(store, outbox, first, self.train_run)
            if self._stops(outcome):
                return
            best = self._register(store, choose_best(store, parts, self.study.instances))
            outcome.needs, rest = merge_needs(outcome.needs + best), merge_needs(rest + best)
        outcome.failures += self._drive(store, outbox, rest, self.train_run)

    def _make_missing_files(self, store: Store, outcome: Outcome) -> None:
        """Trains recorded runs again where one of their files is missing."""
        outcome.retrained = find_missing_artifacts(self.options.artifacts, store, outcome.needs, outcome.failures)
        unchanged = RetrainingStore(store)
        outcome.failures += self._drive(unchanged, unchanged, outcome.retrained, retrain)
        outcome.differences = unchanged.differences

    def _stops(self, outcome: Outcome) -> bool:
        return bool(outcome.failures) and self.options.fail_fast

    def _drive(self, store: RunStore, outbox: ResultBox, needs: list[Need], train: Callable) -> list[Failure]:
        """Has the missing runs trained; returns those that failed."""
        total = count_missing(needs)
        if not total:
            return []
        with stopping_on_sigterm():
            executor = self._open_executor()
            say(_announce(total, executor.places(), estimate_seconds(needs, executor.places()), train is retrain))
            display = Display(needs, executor.places)
            executor.on_report = display.progress
            threads = self.options.share_threads(needs)
            make_job = functools.partial(self._make_job, threads)
            driver = Driver(store, executor, make_job, display, outbox, train, self.options.fail_fast, threads.places)
            try:
                driver.run(needs)
            finally:
                executor.kill()
                display.close()
        return driver.failures

    def _open_executor(self) -> RunExecutor:
        """What trains: processes here, or the workers of a cluster."""
        if self.options.cluster:
            from common.running.dask.cluster import DaskCluster

            return DaskCluster(self.options.cluster, self.options.threads, self.options.workers, self.options.cache)
        from common.running.processes import FreshProcesses
        from common.training.machine import has_unused_gpu

        if has_unused_gpu():
            say("note: runs do not use the GPU, since TensorFlow's CUDA libraries are missing; `make .venv/ready GPU=1` installs "
                "them")
        return FreshProcesses(self.options.count_workers())

    def _make_job(self, threads: Threads, config: RunConfig, instance: int) -> Job:
        return Job(config, instance, self.inputs.checkpoint, self.inputs.folders[config.task], self.options.cache_folder,
                   threads.of(config), self.options.artifacts, keep_predictions=self.options.predictions)


def _announce(total: int, workers: int, seconds: float | None, again: bool) -> str:
    return (f"{count(total, 'run')} to train{' again, for files that are missing' if again else ''}, {workers} at a time"
            + (f", about {show_seconds(seconds)}" if seconds is not None else ""))
