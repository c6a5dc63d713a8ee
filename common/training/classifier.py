"""Fine-tuned classifiers on disk: saved by a study's --save-models, loaded in one line, answering for any text.

    from common import load_classifier
    classify = load_classifier("models/MRPC-batch8-rate2e-05-1a2b3c4d-instance0")
    classify([("He bought it.", "It was bought.")])                    # ["1"]

A classifier is a folder that transformers loads, too (common/training/saved_classifier.py).
"""
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common import UserError
from common.inputs.batches import map_rows
from common.inputs.tokens import Encoding, Tokens, encode_texts, lay_end_to_end
from common.inputs.vocabulary import is_lowercased, read_vocabulary
from common.training.environment import choose_tensorflow_options
from common.training.job import Job
from common.training.saved_classifier import FORMAT, SavedClassifier, read_classifier, write_classifier

if TYPE_CHECKING:
    from common.training.trainer import Trainer


class Classifier:
    """A fine-tuned classifier with its whole vocabulary."""

    def __init__(self, saved: SavedClassifier):
        import tensorflow as tf

        from common.training import model

        self.about, self._saved = saved.about, saved
        self._model = model.build_classifier(saved.bert, self.outputs, 0.0)
        model.load_weights(self._model, saved.weights, head=True)
        self._compute_logits = model.as_graph(self._classify, input_signature=[tf.TensorSpec([None, None], tf.int32)] * 3)

    @classmethod
    def from_trainer(cls, trainer: "Trainer", job: Job, evaluations: Sequence[dict] = ()) -> "Classifier":
        """The classifier that a trainer has trained.

        Args:
          job: what it has trained to the end.
          evaluations: rows of the result, whose scores are saved beside the weights.
        """
        from common.training import model
        from common.training.weights import get_weights

        config, task, checkpoint = job.config, trainer.task, job.checkpoint
        weights = model.get_all_weights(trainer.model, get_weights(checkpoint, job.cache), trainer.words,
                                        model.decay_without_gradient(config, trainer.steps_done))
        lower_case = is_lowercased(read_vocabulary(checkpoint.vocab), config.lower_case)
        about = {"format": FORMAT, "task": task.name, "labels": list(task.labels) if task.labels else None,
                 "texts": len(task.texts), "max_length": config.max_length, "lower_case": lower_case,
                 "config": json.loads(config.to_json()), "config_hash": config.hash, "instance": job.instance,
                 "checkpoint": checkpoint.name,
                 "scores": {row["evaluation_set"]: {row["metric"]: row["score"]} for row in evaluations}}
        return cls(SavedClassifier(about, checkpoint.config, checkpoint.vocab, weights))

    @property
    def labels(self) -> list[str] | None:
        """The classes in the order of the outputs; None for a regression."""
        return self.about["labels"]

    @property
    def outputs(self) -> int:
        return len(self.labels) if self.labels else 1

    def __call__(self, texts: Sequence[str | tuple[str, ...]]) -> list:
        """The label (for a regression the score) of each text, or of each pair where the task compares two."""
        return self.name_outputs(self.logits(texts))

    def probabilities(self, texts: Sequence[str | tuple[str, ...]]) -> np.ndarray:
        """Float64 [texts, classes]: softmax of the logits, in the order of `labels`.

        Raises:
          UserError: the task is a regression.
        """
        if self.labels is None:
            raise UserError(f"{self.about['task']} is a regression and has no classes; call the classifier itself")
        logits = self.logits(texts).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def logits(self, texts: Sequence[str | tuple[str, ...]]) -> np.ndarray:
        """Float32 [texts, outputs].

        Raises:
          UserError: a pair is needed and a single text given, or the other way round.
        """
        rows = [(text,) if isinstance(text, str) else tuple(text) for text in texts]
        for row in rows:
            if len(row) != self.about["texts"]:
                raise UserError(f"{self.about['task']} takes {self.about['texts']} text(s) for each answer, not {len(row)}: "
                                f"{str(row)[:80]}")
        if not rows:
            return np.empty((0, self.outputs), np.float32)
        encoded = encode_texts(rows, Encoding(self._saved.vocabulary, self.about["max_length"], self.about.get("lower_case")))
        return self.predict(lay_end_to_end(*encoded, np.zeros(len(rows), np.int32)))

    def predict(self, tokens: Tokens) -> np.ndarray:
        """Logits, float32 [rows, outputs], of encoded rows."""
        return map_rows(lambda batch: self._compute_logits(batch.ids, batch.mask, batch.types).numpy(), tokens,
                        np.arange(len(tokens)), self.outputs)

    def name_outputs(self, logits: np.ndarray) -> list:
        """What logits say: labels, or scores of a regression."""
        if self.labels is None:
            return [float(score) for score in logits[:, 0]]
        return [self.labels[number] for number in logits.argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Writes the classifier into a folder that appears whole or not at all, in the place of an older one."""
        write_classifier(self._saved, folder)

    def _classify(self, *inputs):
        """Logits of ids, mask and types."""
        from common.training.unpadded import classify

        return classify(self._model, inputs, self.about["config"]["dtype"])


def load_classifier(folder: str | os.PathLike) -> Classifier:
    """The classifier in a folder that `--save-models` made.

    Raises:
      UserError: the folder holds no classifier, is damaged, or was written by a newer version.
    """
    choose_tensorflow_options()  # before anything loads it
    return Classifier(read_classifier(Path(folder)))
