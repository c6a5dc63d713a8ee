"""Trains one instance of one configuration: from its rows and its checkpoint to a `RunResult`."""
import time
from collections.abc import Callable

import numpy as np

from common.inputs.batches import seed_of, split, training_batches
from common.inputs.reading import load_glue
from common.inputs.tokens import Tokens, find_tokens, get_tokens
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
    task = TASKS[job.config.task]
    report(Progress(0, 0, "reading"))
    tokens = _get_tokens(job, task)
    rows = len(tokens["train"]) if job.config.limit_train is None else min(job.config.limit_train, len(tokens["train"]))
    training, validation = split(rows, job.config.validation, job.config.split_seed)
    from common.training.trainer import Trainer  # imports TensorFlow, which has to be set up before

    trainer = Trainer(job, task, tokens)
    result = RunResult(environment_row(job.threads, gpu))
    saved = SavedState(job, result.environment["digest"])
    _run_epochs(trainer, job.config, job.instance, tokens["train"], training, validation, result, saved, report)
    if not result.diverged:
        report(Progress(trainer.steps_done, trainer.steps_done, "evaluating"))
        for name in task.evaluation_rows:
            logits = trainer.predict(tokens[name])
            row = score(task, tokens[name].labels, logits)
            result.diverged |= row is None
            if row is not None:
                result.evaluations.append({"evaluation_set": name, **row})
                width, content = encode_predictions(task, logits)
                result.outputs += [{"evaluation_set": name, "width": width, "content": content.decode()}] * job.keep_predictions
    if result.diverged:
        result.evaluations.clear()
        result.outputs.clear()
    elif job.artifacts.wanted:
        report(Progress(trainer.steps_done, trainer.steps_done, "keeping"))
        try:
            job.artifacts.write(Classifier.from_trainer(trainer, job, result.evaluations), job)
        except OSError as error:  # a full disk must not cost the numbers
            result.artifact_error = f"{error.filename or 'a file'} cannot be written ({error.strerror or error})"
    result.total_seconds += time.monotonic() - began
    result.cpu_seconds += time.process_time() - cpu_began
    saved.remove()
    return result


def _get_tokens(job: Job, task: Task) -> dict[str, Tokens]:
    """The encoded rows of every set; the files are read only where no other run has encoded the same rows."""
    given = (job.checkpoint.vocab, job.config.max_length, job.cache, job.config.lower_case)
    tokens = find_tokens(task, job.config.data, *given)
    if tokens is not None:
        return tokens
    data = load_glue(task, job.data_folder, allow_other_rows=True)
    if data.digest != job.config.data:
        raise RuntimeError(f"the files in {job.data_folder} changed while the study ran")
    return get_tokens(data, *given)


def count_steps(config: RunConfig, training_rows: int) -> int:
    """Optimizer steps of a run."""
    return config.steps or config.epochs * (training_rows // config.batch_size)


def _run_epochs(trainer, config, instance, tokens, training, validation, result, saved, report) -> None:
    """Trains to the last step, validating after every epoch; fills in the measurements of the result."""
    in_epoch = len(training) // config.batch_size
    steps = count_steps(config, len(training))
    number = instance if config.vary == "head,order" else config.order
    order, masks = seed_of("order", config.seed, number), seed_of("masks", config.seed, number)
    trainer.start(config, steps, instance, masks)
    losses = saved.restore(trainer, result)
    reported = trainer.steps_done * LOSSES // steps
    for step, rows in enumerate(training_batches(training, config.batch_size, steps, order), 1):
        if step <= trainer.steps_done:
            continue
        began = time.monotonic()
        loss = trainer.step(tokens, rows)
        result.training_seconds += time.monotonic() - began
        losses.append(loss)
        report(Progress(step, steps))
        if not np.isfinite(loss):
            result.diverged = True
            result.measurements.append(("train", "loss", step, step / in_epoch, loss))
            return
        if step * LOSSES // steps > reported:
            reported = step * LOSSES // steps
            result.measurements += [("train", "loss", step, step / in_epoch, float(np.mean(losses))),
                                    ("train", "learning_rate", step, step / in_epoch, trainer.learning_rate(step - 1))]
            losses = []
        if step % in_epoch == 0 or step == steps:
            row = score(trainer.task, tokens.labels[validation], trainer.predict(tokens, validation))
            if row is None:
                result.diverged = True
                return
            metrics = {row["metric"], "loss"} | ({"accuracy"} if row["accuracy"] is not None else set())
            result.measurements += [("validation", metric, step, step / in_epoch, row[metric])
                                    for metric in sorted(metrics) if row[metric] is not None]
        saved.save_if_due(trainer, result, losses)


