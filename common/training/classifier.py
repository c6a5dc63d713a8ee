"""Fine-tuned classifiers on disk: kept by a study's --save-models, loaded in one line, answering for any text.

    from common.training.classifier import load_classifier
    classify = load_classifier("models/MRPC-batch8-rate2e-05-1a2b3c4d-instance0")
    classify([("He bought it.", "It was bought.")])                    # ["1"]

A classifier is a folder: weights.npz (float32 arrays by Model Garden's names, no pickle), vocab.txt and bert_config.json of
the checkpoint, and classifier.json, which says what was trained, how texts are encoded and what the outputs mean.
"""
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common import UserError
from common.files import new_folder, sha256_of
from common.inputs.batches import map_rows
from common.inputs.tokens import Tokens, encode_texts, lay_end_to_end

FORMAT = 1
"""Raised when a folder's files change their meaning."""
PARTS = ("classifier.json", "weights.npz", "vocab.txt", "bert_config.json")


class Classifier:
    """A fine-tuned classifier with its whole vocabulary.

    Args:
      about: the content of classifier.json.
      bert: the content of bert_config.json.
      vocabulary: the file vocab.txt.
      weights: float32 arrays by Model Garden's names, those of the head with them.
    """

    def __init__(self, about: dict, bert: dict, vocabulary: Path, weights: dict[str, np.ndarray]):
        import tensorflow as tf

        from common.training import model

        self.about, self._bert, self._vocabulary, self._weights = about, bert, vocabulary, weights
        self._model = model.build_classifier(bert, self.outputs, 0.0)
        model.load_weights(self._model, weights, head=True)
        self._logits = tf.function(self._logits, input_signature=[tf.TensorSpec([None, None], tf.int32)] * 3)

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
        return self.predict(lay_end_to_end(*encode_texts(rows, self._vocabulary, self.about["max_length"]),
                                           np.zeros(len(rows), np.int32)))

    def predict(self, tokens: Tokens) -> np.ndarray:
        """Logits, float32 [rows, outputs], of encoded rows."""
        return map_rows(lambda batch: self._logits(batch.ids, batch.mask, batch.types).numpy(), tokens,
                        np.arange(len(tokens)), self.outputs)

    def name_outputs(self, logits: np.ndarray) -> list:
        """What logits say: labels, or scores of a regression."""
        if self.labels is None:
            return [float(score) for score in logits[:, 0]]
        return [self.labels[number] for number in logits.argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Writes the classifier into a folder that appears whole or not at all, in the place of an older one."""
        with new_folder(folder) as new:
            np.savez(new / "weights.npz", **self._weights)
            (new / "vocab.txt").write_bytes(self._vocabulary.read_bytes())
            (new / "bert_config.json").write_text(json.dumps(self._bert, indent=2) + "\n")
            about = self.about | {"weights_sha256": sha256_of(new / "weights.npz")}
            (new / "classifier.json").write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")

    def _logits(self, ids, mask, types):
        from common.training.unpadded import classify

        return classify(self._model, ids, mask, types, self.about["config"]["dtype"])


def take_classifier(trainer, job, evaluations: Sequence[dict] = ()) -> Classifier:
    """The classifier that a `common.training.trainer.Trainer` has trained, with its whole vocabulary.

    Args:
      job: the `common.training.job.Job` that it has trained to the end.
      evaluations: rows of the result, whose scores are kept beside the weights.
    """
    from common.training import model

    config, task = job.config, trainer.task
    pretrained = model.get_weights(job.checkpoint, job.cache)
    weights = model.get_all_weights(trainer.model, pretrained, trainer.words,
                                    model.decay_without_gradient(config, trainer.steps_done))
    about = {"format": FORMAT, "task": task.name, "labels": list(task.labels) if task.labels else None,
             "texts": len(task.texts), "max_length": config.max_length, "config": json.loads(config.to_json()),
             "config_hash": config.hash, "instance": job.instance, "checkpoint": job.checkpoint.name,
             "scores": {row["evaluation_set"]: {row["metric"]: row["score"]} for row in evaluations}}
    return Classifier(about, job.checkpoint.config, job.checkpoint.vocab, weights)


def load_classifier(folder: str | os.PathLike) -> Classifier:
    """The classifier in a folder that `--save-models` made.

    Raises:
      UserError: it is none, is damaged or was written by a newer version.
    """
    folder = Path(folder)
    missing = [name for name in PARTS if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} is no classifier: it has no {missing[0]}; give a folder that --save-models made")
    try:
        about, bert = (json.loads((folder / name).read_text("utf-8")) for name in ("classifier.json", "bert_config.json"))
        version, digest = about["format"], about["weights_sha256"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{folder} is no classifier: its JSON files are damaged; delete it and call again with "
                        "--save-models") from None
    if version != FORMAT:
        raise UserError(f"the classifier {folder} has the format {version}, this program knows {FORMAT}; update the program")
    if sha256_of(folder / "weights.npz") != digest:
        raise UserError(f"the weights of the classifier {folder} are damaged (another SHA-256); delete it and call "
                        "again with --save-models")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        return Classifier(about, bert, folder / "vocab.txt", dict(arrays))
