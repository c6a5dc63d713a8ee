"""The trainer: a classifier at work on one task, step by step. Imports TensorFlow."""
import functools
import gc
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from common.inputs.batches import by_length, map_rows
from common.inputs.tokens import Batch, Tokens
from common.studies.config import RunConfig
from common.studies.tasks import Task
from common.training import model
from common.training.job import Job
from common.training.masks import Masks, find_dropouts
from common.training.optimizer import start_optimizer
from common.training.unpadded import classify
from common.training.weights import get_weights


class Pieces(NamedTuple):
    """A batch that is cut into pieces, each padded to its longest row, end to end."""

    ids: tf.Tensor
    """int32 [places], with 0 for padding"""
    mask: tf.Tensor
    """int32 [places], 1 for tokens"""
    types: tf.Tensor
    """int32 [places]"""
    labels: tf.Tensor
    """[rows of all pieces]"""
    shapes: tf.Tensor
    """int32 [pieces, 2], rows and length of every piece"""


class StepNumbers(NamedTuple):
    """What a step's loss and dropout masks depend on beside its rows; scalars."""

    rows: tf.Tensor
    """float32, rows of the batch"""
    seed: tf.Tensor
    """int64, of the dropout masks"""
    step: tf.Tensor
    """int64, counted from 0"""


class Trainer:
    """A classifier at work on one task.

    Args:
      job: what to train.
      task: its task.
      tokens: encoded rows of every set, to find the words that occur.
    """

    def __init__(self, job: Job, task: Task, tokens: dict[str, Tokens]):
        self.task = task
        self.steps_done = 0
        self._optimizer = None
        self._dtype = job.config.dtype
        self.words = np.unique(np.concatenate([[0], *(each.ids for each in tokens.values())]))
        self._place = np.zeros(job.checkpoint.config["vocab_size"], np.int32)
        self._place[self.words] = np.arange(len(self.words))
        self.model = model.build_classifier(job.checkpoint.config, task.outputs, job.config.dropout, len(self.words))
        model.load_weights(self.model, get_weights(job.checkpoint, job.cache), self.words)
        self._variables = self.model.trainable_variables
        self._dropouts = find_dropouts(self.model)
        inputs = [tf.TensorSpec([None, None], tf.int32)] * 3
        labels = tf.TensorSpec([None], tf.float32 if task.is_regression else tf.int32)
        number = tf.TensorSpec([], tf.int64)
        numbers = StepNumbers(tf.TensorSpec([], tf.float32), number, number)
        pieces = Pieces(*[tf.TensorSpec([None], tf.int32)] * 3, labels, tf.TensorSpec([None, 2], tf.int32))
        self._step_signature = [pieces, numbers]
        self._compute_logits = model.as_graph(self._classify, input_signature=inputs)
        self._compute_piece = model.as_graph(self._differentiate, input_signature=[inputs, labels, numbers, number])
        self._specs = tf.nest.map_structure(tf.type_spec_from_value,
                                            self._compute_piece.get_concrete_function().structured_outputs[1])
        gc.collect()
        gc.freeze()  # the graph's many objects live as long as the process: never scan them again

    def start(self, config: RunConfig, steps: int, instance: int, mask_seed: int) -> None:
        """Initial values for a run of `steps` steps."""
        model.reset_head(self.model, model.head_seed(config, instance))
        self._schedule = model.build_schedule(config, steps)
        self._optimizer = start_optimizer(config, steps, self._variables)
        self._compute_batch = model.as_graph(self._differentiate_pieces, input_signature=self._step_signature)
        self._mask_seed = mask_seed
        self.steps_done = 0

    def state(self) -> list[np.ndarray]:
        """The values that the next step depends on: those of the model, then those of the optimizer."""
        return self._optimizer.state()

    def restore(self, state: list[np.ndarray], steps_done: int) -> None:
        """Goes on, after `start`, from what `state` gave when so many steps were done."""
        self._optimizer.restore(state)
        self.steps_done = steps_done

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
        shapes = np.array([batch.ids.shape for batch in batches], np.int32)
        numbers = StepNumbers(np.float32(len(rows)), np.int64(self._mask_seed), np.int64(self.steps_done))
        loss, *update = self._compute_batch(Pieces(*inputs, shapes), numbers)
        self._optimizer.apply(*update)
        self.steps_done += 1
        return float(loss)

    def predict(self, tokens: Tokens, rows: np.ndarray | None = None) -> np.ndarray:
        """Logits, float32 [rows, outputs], of every one of these rows, in their order."""
        rows = np.arange(len(tokens)) if rows is None else rows
        if self._optimizer:
            self._optimizer.check()
        return map_rows(lambda batch: self._compute_logits(*self._inputs(batch)).numpy(), tokens, rows, self.task.outputs)

    def _differentiate_pieces(self, pieces: Pieces, numbers: StepNumbers) -> tuple:
        """The loss of a batch, its gradients and the optimizer's factors in one graph."""
        def add_piece(piece, place, row, loss, gradients):
            count, longest = tf.unstack(pieces.shapes[piece])
            end = place + count * longest
            inputs = [tf.reshape(values[place:end], [count, longest]) for values in (pieces.ids, pieces.mask, pieces.types)]
            part, more = self._compute_piece(inputs, pieces.labels[row:row + count], numbers, tf.cast(piece, tf.int64))
            more = tf.nest.flatten(more, expand_composites=True)
            gradients = tf.cond(piece > 0, lambda: self._add(gradients, more), lambda: more)
            return piece + 1, end, row + count, loss + part, gradients

        parts = tf.nest.flatten(self._specs, expand_composites=True)
        start = [tf.zeros([0] * spec.shape.rank, spec.dtype) for spec in parts]
        *_, loss, gradients = tf.while_loop(
            lambda piece, *_: piece < tf.shape(pieces.shapes)[0], add_piece, (0, 0, 0, 0.0, start), parallel_iterations=1,
            shape_invariants=(*[tf.TensorShape([])] * 4, [tf.TensorShape([None] * spec.shape.rank) for spec in parts]))
        gradients = [tf.ensure_shape(value, spec.shape) for value, spec in zip(gradients, parts, strict=True)]
        gradients = tf.nest.pack_sequence_as(self._specs, gradients, expand_composites=True)
        return loss, gradients, self._optimizer.factors(numbers.step)

    def _add(self, first, second):
        """The sum of two lists of gradients, each flat: a sparse one is the places of both."""
        first, second = (tf.nest.pack_sequence_as(self._specs, each, expand_composites=True) for each in (first, second))
        return tf.nest.flatten([
            tf.IndexedSlices(tf.concat([a.values, b.values], 0), tf.concat([a.indices, b.indices], 0), b.dense_shape)
            if isinstance(a, tf.IndexedSlices) else a + b for a, b in zip(first, second, strict=True)], expand_composites=True)

    def _inputs(self, batch: Batch) -> tuple:
        return self._place[batch.ids], batch.mask, batch.types

    def _classify(self, *inputs: tf.Tensor) -> tf.Tensor:
        """Logits of ids, mask and types."""
        return classify(self.model, inputs, self._dtype)

    def _differentiate(self, inputs: list, labels: tf.Tensor, numbers: StepNumbers, piece: tf.Tensor) -> tuple:
        """Loss and gradients of a piece, as shares of the mean over the batch's rows.

        Args:
          inputs: ids, mask and types, int32 [rows, longest] each.
          labels: [rows].
          piece: int64, its number within the batch.
        """
        draw_masks = functools.partial(Masks, self._dropouts, numbers.seed, numbers.step, piece) if self._dropouts else None
        with tf.GradientTape() as tape:
            logits = classify(self.model, inputs, self._dtype, draw_masks)
            if self.task.is_regression:
                losses = tf.square(logits[:, 0] - labels)
            else:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / numbers.rows
        return loss, tape.gradient(loss, self._variables)
