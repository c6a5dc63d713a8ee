"""Trains one instance of one configuration: from its rows and its checkpoint to a `RunResult`."""
import itertools
import time
from collections.abc import Callable

import numpy as np

from common.inputs.batches import seed_of, split, training_batches
from common.inputs.reading import load_glue
from common.inputs.tokens import Encoding, Tokens, find_tokens, get_tokens
from common.studies.config import RunConfig
from common.studies.tasks import TASKS, Task
from common.training.classifier import Classifier
from common.training.environment import environment_row, set_up_tensorflow
from common.training.job import Job, Progress, RunResult
from common.training.metrics import encode_predictions, score
from common.training.saved_state import SavedState

LOSSES = 20
"""Points of the training loss curve that a run keeps."""


def train_run(job: Job, report: Callable[[Progress], None] = lambda progress: None) -> RunResult:
    """Trains and evaluates one run.

    The same job gives the same numbers bit for bit on the same machine, software and number of threads.

    Args:
      report: called after every step.

    Returns:
      The curves and scores; a run whose loss is not finite ends early as diverged and has no scores.
    """
    began, cpu_began = time.monotonic(), time.process_time()
    gpu = set_up_tensorflow(job.threads)
    report(Progress(0, 0, "reading"))
    run = _Run(job, report, RunResult(environment_row(job.threads, gpu)), _get_tokens(job, TASKS[job.config.task]))
    saved = SavedState(job, run.result.environment["digest"])
    run.train(saved)
    run.evaluate()
    run.write_artifacts()
    run.result.total_seconds += time.monotonic() - began
    run.result.cpu_seconds += time.process_time() - cpu_began
    saved.remove()
    return run.result


def _get_tokens(job: Job, task: Task) -> dict[str, Tokens]:
    """The encoded rows of every set; the files are read only where no other run has encoded the same rows."""
    encoding = Encoding(job.checkpoint.vocab, job.config.max_length, job.config.lower_case)
    tokens = find_tokens(task, job.config.data, encoding, job.cache)
    if tokens is not None:
        return tokens
    data = load_glue(task, job.data_folder, allow_other_rows=True)
    if data.digest != job.config.data:
        raise RuntimeError(f"the files in {job.data_folder} changed while the study ran")
    return get_tokens(data, encoding, job.cache)


def count_steps(config: RunConfig, training_rows: int) -> int:
    """Optimizer steps of a run."""
    return config.steps or config.epochs * (training_rows // config.batch_size)


class _Run:
    """One run on its way: what it trains on, its trainer, and the result that is filled in.

    Args:
      tokens: encoded rows of every set.
    """

    def __init__(self, job: Job, report: Callable[[Progress], None], result: RunResult, tokens: dict[str, Tokens]):
        from common.training.trainer import Trainer  # imports TensorFlow, which has to be set up before

        self.job, self.report, self.result, self.tokens = job, report, result, tokens
        self.task = TASKS[job.config.task]
        rows = len(tokens["train"])
        self.training, self.validation = split(min(job.config.limit_train or rows, rows), job.config.validation,
                                               job.config.split_seed)
        self.steps_in_epoch = len(self.training) // job.config.batch_size
        self.steps = count_steps(job.config, len(self.training))
        self.trainer = Trainer(job, self.task, tokens)

    def train(self, saved: SavedState) -> None:
        """Trains to the last step, validating after every epoch; goes on from the saved state if there is one."""
        config, trainer = self.job.config, self.trainer
        number = self.job.instance if config.vary == "head,order" else config.order
        trainer.start(config, self.steps, self.job.instance, seed_of("masks", config.seed, number))
        losses = saved.restore(trainer, self.result)
        batches = training_batches(self.training, config.batch_size, self.steps, seed_of("order", config.seed, number))
        for rows in itertools.islice(batches, trainer.steps_done, None):
            began = time.monotonic()
            losses.append(trainer.step(self.tokens["train"], rows))
            self.result.training_seconds += time.monotonic() - began
            step = trainer.steps_done
            self.report(Progress(step, self.steps))
            if not np.isfinite(losses[-1]):
                self._measure("train", "loss", losses[-1])
                self.result.diverged = True
            elif step * LOSSES // self.steps > (step - 1) * LOSSES // self.steps:
                self._measure("train", "loss", float(np.mean(losses)))
                self._measure("train", "learning_rate", trainer.learning_rate(step - 1))
                losses = []
            if not self.result.diverged and (step % self.steps_in_epoch == 0 or step == self.steps):
                self._validate()
            if self.result.diverged:
                return
            saved.save_if_due(trainer, self.result, losses)

    def evaluate(self) -> None:
        """Scores every evaluation set; a logit that is not finite makes the run a diverged one, without scores."""
        if self.result.diverged:
            return
        self._report("evaluating")
        for name in self.task.evaluation_rows:
            logits = self.trainer.predict(self.tokens[name])
            row = score(self.task, self.tokens[name].labels, logits)
            if row is None:
                self.result.diverged = True
                self.result.evaluations.clear()
                self.result.outputs.clear()
                return
            self.result.evaluations.append({"evaluation_set": name, **row})
            if self.job.keep_predictions:
                width, content = encode_predictions(self.task, logits)
                self.result.outputs.append({"evaluation_set": name, "width": width, "content": content.decode()})

    def write_artifacts(self) -> None:
        """Writes the files that are to be kept; a full disk must not cost the numbers."""
        if self.result.diverged or not self.job.artifacts.wanted:
            return
        self._report("keeping")
        try:
            self.job.artifacts.write(Classifier.from_trainer(self.trainer, self.job, self.result.evaluations), self.job)
        except OSError as error:
            self.result.artifact_error = f"{error.filename or 'a file'} cannot be written ({error.strerror or error})"

    def _validate(self) -> None:
        row = score(self.task, self.tokens["train"].labels[self.validation],
                    self.trainer.predict(self.tokens["train"], self.validation))
        if row is None:
            self.result.diverged = True
            return
        for metric in sorted({row["metric"], "loss", "accuracy"}):
            if row[metric] is not None:
                self._measure("validation", metric, row[metric])

    def _measure(self, split: str, metric: str, value: float) -> None:
        """Adds a point to a curve, at the last step done."""
        step = self.trainer.steps_done
        self.result.measurements.append((split, metric, step, step / self.steps_in_epoch, value))

    def _report(self, message: str) -> None:
        self.report(Progress(self.trainer.steps_done, self.trainer.steps_done, message))
