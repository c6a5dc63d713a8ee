"""From texts to token ids, once for each set of rows and vocabulary, and kept in the cache."""
import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import make_once, write_arrays
from common.inputs.download import disk_errors_told
from common.inputs.reading import Examples, GlueData
from common.studies.tasks import Task

TOKENS_VERSION = 2
"""Raised when tokenisation or the layout of the cached arrays changes."""


@dataclass(frozen=True)
class Tokens:
    """The encoded rows of one set, laid end to end.

    Attributes:
      ids: int32 [tokens], WordPiece ids with [CLS] and [SEP].
      ends: int64 [rows + 1], where each row starts; the last entry is the number of tokens.
      firsts: int32 [rows], length of the first segment, [CLS] and its [SEP] included.
      labels: [rows], int32 class numbers or float32 scores.
    """

    ids: np.ndarray
    ends: np.ndarray
    firsts: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.ends)

    def batch(self, rows: np.ndarray) -> "Batch":
        """These rows, padded to the longest of them."""
        lengths = self.lengths[rows]
        positions = np.arange(lengths.max())
        mask = positions < lengths[:, None]
        ids = np.zeros(mask.shape, np.int32)
        ids[mask] = np.concatenate([self.ids[self.ends[row]:self.ends[row + 1]] for row in rows])
        types = mask & (positions >= self.firsts[rows][:, None])
        return Batch(ids, mask.astype(np.int32), types.astype(np.int32), self.labels[rows])


@dataclass(frozen=True)
class Batch:
    """Padded input: int32 [rows, longest] each, and labels [rows]."""

    ids: np.ndarray
    mask: np.ndarray
    types: np.ndarray
    labels: np.ndarray


@disk_errors_told()
def get_tokens(data: GlueData, vocabulary: Path, max_length: int, cache: Path) -> dict[str, Tokens]:
    """The encoded rows of every set: from the cache, or made now and put there.

    Tokens equal those of Google's FullTokenizer. Text is lowercased when the vocabulary has no capital letters.
    """
    key = hashlib.sha256(f"{TOKENS_VERSION} {data.digest} {max_length} ".encode() + vocabulary.read_bytes()).hexdigest()
    path = cache / "tokens" / f"{data.task.name}-{key[:32]}.npz"
    make_once(path, lambda: write_arrays(path, {
        f"{name}/{field}": array for name, examples in data.sets.items()
        for field, array in vars(_encode(data.task, examples, vocabulary, max_length)).items()}))
    with np.load(path, allow_pickle=False) as arrays:
        return {name: Tokens(*(arrays[f"{name}/{field.name}"] for field in dataclasses.fields(Tokens)))
                for name in data.sets}


def encode_texts(texts: list[tuple[str, ...]], vocabulary: Path, max_length: int) -> tuple[list[list[int]], list[int]]:
    """[CLS] A [SEP] B [SEP] as ids, and the length of [CLS] A [SEP], for each row of one or two texts."""
    from official.nlp.tools.tokenization import FullTokenizer  # loads TensorFlow

    words = vocabulary.read_text("utf-8").splitlines()
    uncased = not any(word != word.lower() for word in words if not word.startswith("["))
    tokenizer = FullTokenizer(str(vocabulary), do_lower_case=uncased)
    tokenizer.wordpiece_tokenizer.max_input_chars_per_word = 200  # google-research/bert's; Model Garden made it 400
    cls, sep = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]"])
    rows, firsts = [], []
    for row in texts:
        pieces = [tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) for text in row]
        truncate(pieces, max_length - 1 - len(pieces))
        ids = [cls]
        for piece in pieces:
            ids += piece + [sep]
        rows.append(ids)
        firsts.append(2 + len(pieces[0]))
    return rows, firsts


def truncate(pieces: list[list[int]], room: int) -> None:
    """Shortens the pieces in place to `room` tokens in all, one at a time from the end of the longest.

    Equal lengths lose from the later one, as in google-research/bert, run_classifier.py, `_truncate_seq_pair`.
    """
    while sum(map(len, pieces)) > room:
        max(reversed(pieces), key=len).pop()


def lay_end_to_end(rows: list[list[int]], firsts: list[int], labels: np.ndarray) -> Tokens:
    """Rows as `encode_texts` gives them, in the form that batches are cut from."""
    return Tokens(np.concatenate([np.asarray(row, np.int32) for row in rows]),
                  np.cumsum([0, *map(len, rows)], dtype=np.int64), np.asarray(firsts, np.int32), labels)


def _encode(task: Task, examples: Examples, vocabulary: Path, max_length: int) -> Tokens:
    return lay_end_to_end(*encode_texts(examples.texts, vocabulary, max_length),
                          np.asarray(examples.labels, np.float32 if task.is_regression else np.int32))
