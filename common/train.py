"""Trains one instance of one configuration: from its rows and its checkpoint to a `RunResult`."""
import functools
import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.config import RunConfig
from common.data import Batch, Tokens, by_length, get_tokens, load_glue, map_rows, seed_of, split, training_batches
from common.environment import environment_row
from common.export import take_classifier
from common.keep import Keep
from common.metrics import encode_predictions, score
from common.resume import SavedState
from common.tasks import TASKS, Task

LOSSES = 20
"""Points of the training loss curve that a run keeps."""
SAVE_SECONDS = 300
"""A run is killed at the cost of about this much training; a shorter one starts again."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to train one run; small and picklable."""

    config: RunConfig
    instance: int
    checkpoint: object
    """A `common.fetch.Checkpoint`."""
    data_folder: Path
    """Where the task's TSV files are."""
    cache: Path
    threads: int = 1
    """Threads of the matrix products; a different number rounds differently."""
    keep: Keep = Keep()
    """What is kept of the run beside its numbers."""
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
    not_kept: str = ""
    """Why what was to be kept of the run could not be written."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    message: str = ""


def train_run(job: Job, report: Callable[[Progress], None] = lambda progress: None) -> RunResult:
    """Trains and evaluates one run.

    The same job gives the same numbers bit for bit on the same machine, software and number of threads.

    Args:
      report: called after every step.

    Returns:
      The curves and scores; a run whose loss is not finite ends early as diverged and has no scores.
    """
    began, cpu_began = time.monotonic(), time.process_time()
    set_up_tensorflow(job.threads)
    task = TASKS[job.config.task]
    report(Progress(0, 0, "reading"))
    data = load_glue(task, job.data_folder, allow_other_rows=True)
    if data.digest != job.config.data:
        raise RuntimeError(f"the files in {job.data_folder} changed while the study ran")
    tokens = get_tokens(data, job.checkpoint.vocab, job.config.max_length, job.cache)
    rows = len(tokens["train"]) if job.config.limit_train is None else min(job.config.limit_train, len(tokens["train"]))
    training, validation = split(rows, job.config.validation, job.config.split_seed)
    trainer = Trainer(job, task, tokens)
    result = RunResult(environment_row(job.threads))
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
    elif job.keep.anything:
        report(Progress(trainer.steps_done, trainer.steps_done, "keeping"))
        try:
            job.keep.write(take_classifier(trainer, job, result.evaluations), job)
        except OSError as error:  # a full disk must not cost the numbers
            result.not_kept = f"{error.filename or 'a file'} cannot be written ({error.strerror or error})"
    result.total_seconds += time.monotonic() - began
    result.cpu_seconds += time.process_time() - cpu_began
    saved.remove()
    return result


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


class Trainer:
    """A classifier at work on one task.

    Args:
      job: what to train.
      task: its task.
      tokens: encoded rows of every set, to find the words that occur.
    """

    def __init__(self, job: Job, task: Task, tokens: dict[str, Tokens]):
        import tensorflow as tf

        from common import model
        from common.masks import find_dropouts

        self.task = task
        self.steps_done = 0
        self._dtype = job.config.dtype
        self.words = np.unique(np.concatenate([[0], *(each.ids for each in tokens.values())]))
        self._place = np.zeros(job.checkpoint.config["vocab_size"], np.int32)
        self._place[self.words] = np.arange(len(self.words))
        self.model = model.build_classifier(job.checkpoint.config, task.outputs, job.config.dropout, len(self.words))
        model.load_weights(self.model, model.get_weights(job.checkpoint, job.cache), self.words)
        self._variables = self.model.trainable_variables
        self._dropouts = find_dropouts(self.model)
        inputs = [tf.TensorSpec([None, None], tf.int32)] * 3
        labels = tf.TensorSpec([None], tf.float32 if task.is_regression else tf.int32)
        rows, number = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.int64)
        self._step_inputs = [*[tf.TensorSpec([None], tf.int32)] * 3, labels, tf.TensorSpec([None, 2], tf.int32),
                             rows, number, number]
        self._logits = tf.function(self._logits, input_signature=inputs)
        self._gradients = tf.function(self._gradients, input_signature=[*inputs, labels, rows, number, number, number])
        self._specs = tf.nest.map_structure(tf.type_spec_from_value,
                                            self._gradients.get_concrete_function().structured_outputs[1])
        gc.collect()
        gc.freeze()  # the graph's many objects live as long as the process: never scan them again

    def start(self, config: RunConfig, steps: int, instance: int, mask_seed: int) -> None:
        """Initial values for a run of `steps` steps."""
        import tensorflow as tf

        from common import model

        model.reset_head(self.model, model.head_seed(config, instance))
        self._optimizer = model.build_optimizer(config, steps)
        self._schedule = model.build_schedule(config, steps)
        self._optimizer._create_all_weights(self._variables)  # its slots, which else appear at the first step only
        self._take_step = tf.function(self._step, input_signature=self._step_inputs)
        self._mask_seed = mask_seed
        self.steps_done = 0

    def state(self) -> list[np.ndarray]:
        """The values that the next step depends on: those of the model, then those of the optimizer."""
        return [variable.numpy() for variable in self._state_variables()]

    def restore(self, state: list[np.ndarray], steps_done: int) -> None:
        """Goes on, after `start`, from what `state` gave when so many steps were done."""
        for variable, value in zip(self._state_variables(), state, strict=True):
            variable.assign(value)
        self.steps_done = steps_done

    def _state_variables(self) -> list:
        return [*self.model.variables, *self._optimizer.variables()]

    def learning_rate(self, step: int) -> float:
        """The rate that the optimizer uses at this step, counted from 0."""
        return float(self._schedule(step))

    def step(self, tokens: Tokens, rows: np.ndarray) -> float:
        """One optimizer step on these rows; returns their mean loss before it.

        The rows are cut by length into pieces whose gradients add up to the batch's: the same step, less padding.
        """
        batches = [tokens.batch(chosen) for chosen in by_length(rows, tokens.lengths)]
        inputs = [np.concatenate([part.ravel() for part in parts])
                  for parts in zip(*([*self._inputs(batch), batch.labels] for batch in batches), strict=True)]
        shapes = [batch.ids.shape for batch in batches]
        loss = self._take_step(*inputs, shapes, float(len(rows)), self._mask_seed, self.steps_done)
        self.steps_done += 1
        return float(loss)

    def predict(self, tokens: Tokens, rows: np.ndarray | None = None) -> np.ndarray:
        """Logits, float32 [rows, outputs], of every one of these rows, in their order."""
        rows = np.arange(len(tokens)) if rows is None else rows
        return map_rows(lambda batch: self._logits(*self._inputs(batch)).numpy(), tokens, rows, self.task.outputs)

    def _step(self, ids, mask, types, labels, shapes, rows, seed, step):
        """One optimizer step in one graph, so that no gradient passes through Python; returns the loss before it.

        Args:
          ids, mask, types: of all pieces end to end, int32 [places].
          labels: [rows of all pieces].
          shapes: int32 [pieces, 2], rows and length of every piece.
          rows: of the batch.
        """
        import tensorflow as tf

        def add_piece(piece, place, row, loss, gradients):
            count, longest = tf.unstack(shapes[piece])
            end = place + count * longest
            inputs = [tf.reshape(values[place:end], [count, longest]) for values in (ids, mask, types)]
            part, more = self._gradients(*inputs, labels[row:row + count], rows, seed, step, tf.cast(piece, tf.int64))
            more = tf.nest.flatten(more, expand_composites=True)
            gradients = tf.cond(piece > 0, lambda: self._add(gradients, more), lambda: more)
            return piece + 1, end, row + count, loss + part, gradients

        parts = tf.nest.flatten(self._specs, expand_composites=True)
        start = [tf.zeros([0] * spec.shape.rank, spec.dtype) for spec in parts]
        *_, loss, gradients = tf.while_loop(
            lambda piece, *_: piece < tf.shape(shapes)[0], add_piece, (0, 0, 0, 0.0, start), parallel_iterations=1,
            shape_invariants=(*[tf.TensorShape([])] * 4, [tf.TensorShape([None] * spec.shape.rank) for spec in parts]))
        gradients = [tf.ensure_shape(value, spec.shape) for value, spec in zip(gradients, parts, strict=True)]
        gradients = tf.nest.pack_sequence_as(self._specs, gradients, expand_composites=True)
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        return loss

    def _add(self, first, second):
        """The sum of two lists of gradients, each flat: a sparse one is the places of both."""
        import tensorflow as tf

        first, second = (tf.nest.pack_sequence_as(self._specs, each, expand_composites=True) for each in (first, second))
        return tf.nest.flatten([
            tf.IndexedSlices(tf.concat([a.values, b.values], 0), tf.concat([a.indices, b.indices], 0), b.dense_shape)
            if isinstance(a, tf.IndexedSlices) else a + b for a, b in zip(first, second, strict=True)], expand_composites=True)

    def _inputs(self, batch: Batch) -> tuple:
        return self._place[batch.ids], batch.mask, batch.types

    def _logits(self, ids, mask, types):
        from common.packed import classify

        return classify(self.model, ids, mask, types, self._dtype)

    def _gradients(self, ids, mask, types, labels, rows, seed, step, piece):
        """Loss and gradients of a piece, as shares of the mean over `rows` rows."""
        import tensorflow as tf

        from common.masks import Masks
        from common.packed import classify

        draw_masks = functools.partial(Masks, self._dropouts, seed, step, piece) if self._dropouts else None
        with tf.GradientTape() as tape:
            logits = classify(self.model, ids, mask, types, self._dtype, draw_masks)
            if self.task.is_regression:
                losses = tf.square(logits[:, 0] - labels)
            else:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / rows
        return loss, tape.gradient(loss, self._variables)


def set_up_tensorflow(threads: int) -> None:
    """Makes this process compute the same bits each time; to be called before TensorFlow does anything."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tf_keras

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    # With more than one, bit-equality is lost even under op determinism, at no gain in speed.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(0)
    tf_keras.backend.experimental.enable_tf_random_generator()
