"""From texts to token ids, once for each set of rows and vocabulary, and kept in the cache."""
import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import make_once, write_arrays
from common.inputs.download import disk_errors_told
from common.inputs.reading import Examples, GlueData
from common.inputs.vocabulary import is_lowercased, read_vocabulary
from common.studies.tasks import Task

TOKENS_VERSION = 2
"""Raised when tokenisation or the layout of the cached arrays changes."""
WORDS_KEPT = 1 << 18
"""Words whose numbers a tokenizer remembers."""


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


@dataclass(frozen=True)
class Encoding:
    """How text becomes token ids.

    Attributes:
      vocabulary: vocab.txt, or Hugging Face's tokenizer.json.
      max_length: tokens of the longest row, [CLS] and [SEP] included; what is longer is cut.
      lower_case: as in `common.studies.config.RunConfig`.
    """

    vocabulary: Path
    max_length: int
    lower_case: bool | None = None


@disk_errors_told()
def get_tokens(data: GlueData, encoding: Encoding, cache: Path) -> dict[str, Tokens]:
    """The encoded rows of every set: from the cache, or made now and put there.

    Tokens equal those of Google's FullTokenizer.
    """
    path = _find_path(data.task, data.digest, encoding, cache)

    def encode(examples: Examples) -> Tokens:
        labels = np.asarray(examples.labels, np.float32 if data.task.is_regression else np.int32)
        return lay_end_to_end(*encode_texts(examples.texts, encoding), labels)

    make_once(path, lambda: write_arrays(path, {f"{name}/{field}": array for name, examples in data.sets.items()
                                                for field, array in vars(encode(examples)).items()}))
    return _read(path)


@disk_errors_told()
def find_tokens(task: Task, digest: str, encoding: Encoding, cache: Path) -> dict[str, Tokens] | None:
    """What `get_tokens` gives for the data with this digest, if it is in the cache: a run then reads no text."""
    path = _find_path(task, digest, encoding, cache)
    return _read(path) if path.exists() else None


def _find_path(task: Task, digest: str, encoding: Encoding, cache: Path) -> Path:
    case = "" if encoding.lower_case is None else f"lower_case={encoding.lower_case} "
    key = hashlib.sha256(f"{TOKENS_VERSION} {digest} {encoding.max_length} {case}".encode()
                         + encoding.vocabulary.read_bytes()).hexdigest()
    return cache / "tokens" / f"{task.name}-{key[:32]}.npz"


def _read(path: Path) -> dict[str, Tokens]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: Tokens(*(arrays[f"{name}/{field.name}"] for field in dataclasses.fields(Tokens)))
                for name in dict.fromkeys(entry.split("/")[0] for entry in arrays.files)}


class Tokenizer:
    """Google's FullTokenizer of a vocabulary, in Model Garden's classes. Loads TensorFlow.

    Args:
      words: the entries of the vocabulary.
      lower_case: whether text is lowercased and loses its accents.
    """

    def __init__(self, words: list[str], lower_case: bool):
        from official.nlp.tools import tokenization

        self.numbers = {word: number for number, word in enumerate(words)}
        self._basic = tokenization.BasicTokenizer(do_lower_case=lower_case)
        self._pieces = tokenization.WordpieceTokenizer(
            self.numbers, max_input_chars_per_word=200)  # google-research/bert's; Model Garden made it 400

        self._encode_once = functools.lru_cache(WORDS_KEPT)(self.encode_whole)

    def encode(self, text: str) -> list[int]:
        """The numbers of the text's WordPieces.

        A space always ends a word and no word depends on another, so each word is encoded once.
        """
        return [number for word in text.split(" ") for number in self._encode_once(word)]

    def encode_whole(self, text: str) -> list[int]:
        """The same by FullTokenizer's own steps on the whole text."""
        return [self.numbers[piece] for word in self._basic.tokenize(text) for piece in self._pieces.tokenize(word)]


def encode_texts(texts: list[tuple[str, ...]], encoding: Encoding) -> tuple[list[list[int]], list[int]]:
    """[CLS] A [SEP] B [SEP] as ids, and the length of [CLS] A [SEP], for each row of one or two texts."""
    words = read_vocabulary(encoding.vocabulary)
    tokenizer = Tokenizer(words, is_lowercased(words, encoding.lower_case))
    cls, sep = tokenizer.numbers["[CLS]"], tokenizer.numbers["[SEP]"]
    rows, firsts = [], []
    for row in texts:
        pieces = [tokenizer.encode(text) for text in row]
        truncate(pieces, encoding.max_length - 1 - len(pieces))
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
