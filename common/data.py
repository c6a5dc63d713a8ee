"""From GLUE's TSV files to batches of token ids.

The way of a row: line of a TSV -> `Examples` (label and texts) -> `Tokens` (ids, cached) -> `Batch` (padded arrays).
"""
import contextlib
import dataclasses
import fcntl
import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import UserError
from common.tasks import Task

TOKENS_VERSION = 2
"""Raised when tokenisation or the layout of the cached arrays changes."""
MICRO_BATCH_TOKENS = 640
"""A batch is cut by length into pieces of about this many tokens; changing it changes the dropout masks (`RECIPE`)."""
EVALUATION_TOKENS = 4096
"""Tokens of a piece when nothing is learnt; larger is no faster."""


@dataclass(frozen=True)
class Examples:
    """The rows of one set: labels (class numbers, or scores for a regression) and one or two texts each."""

    labels: list
    texts: list[tuple[str, ...]]

    def __len__(self):
        return len(self.labels)


@dataclass(frozen=True)
class GlueData:
    """A task's rows: set name (`train`, `dev`, ...) -> rows, and the digest of all of them."""

    task: Task
    sets: dict[str, Examples]
    digest: str

    def rows(self) -> list[dict]:
        """What the store keeps about the data: one row for each set."""
        official = {"train": self.task.train_rows, **self.task.evaluation_rows}
        return [{"digest": self.digest, "set_name": name, "task": self.task.name, "row_count": len(examples),
                 "official_rows": official[name], "majority": _majority(self.task, examples)}
                for name, examples in self.sets.items()]

    def label_rows(self) -> list[dict]:
        """The labels of every evaluation set as the store keeps them."""
        from common.metrics import encode_rows

        rows = []
        for name in self.task.evaluation_rows:
            width, content = encode_rows(self.task, np.array(self.sets[name].labels))
            rows.append({"data": self.digest, "set_name": name, "width": width, "content": content})
        return rows


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


# -- reading

def load_glue(task: Task, folder: Path, *, allow_other_rows: bool = False) -> GlueData:
    """Reads the training and evaluation files of a task.

    Raises:
      UserError: a file is missing, malformed (file, line and reason are named), or has another number of rows than the
        official one and `allow_other_rows` is not set.
    """
    official = {"train": task.train_rows, **task.evaluation_rows}
    sets = {name: read_examples(task, _find_file(task, folder, name)) for name in official}
    for name, examples in sets.items():
        if len(examples) != official[name] and not allow_other_rows:
            raise UserError(f"{_find_file(task, folder, name)} has {len(examples)} rows where the official file has "
                            f"{official[name]}; fetch it again, or pass --allow-other-rows to study other data")
    return GlueData(task, sets, _digest(task, sets))


def load_tests(task: Task, folder: Path, *, allow_other_rows: bool = False) -> GlueData | None:
    """Reads the sets that the GLUE server scores, by the names of the files that it takes; None where there are none.

    Their labels are not known and stand as 0.

    Raises:
      UserError: as `load_glue`; a set that may be missing is left out where it is.
    """
    sets = {}
    for test in task.tests:
        path = folder / test.file
        if not path.is_file():
            if test.optional:
                continue
            raise UserError(f"{task.name} has no {path.name} in {folder}, of which predictions are wanted; add the file or "
                            "leave --predict-test out")
        texts = read_texts(task, path)
        if len(texts) != test.rows and not allow_other_rows:
            raise UserError(f"{path} has {len(texts)} rows where the official file has {test.rows}, and the GLUE server "
                            "takes no other number; fetch it again, or pass --allow-other-rows")
        sets[test.upload] = Examples([0] * len(texts), texts)
    return GlueData(task, sets, _digest(task, sets)) if sets else None


def read_examples(task: Task, path: Path) -> Examples:
    """The rows of a labelled TSV file, in the order of the file.

    Tabs and newlines alone divide it: a quote is an ordinary character (csv readers lose rows to quotes).

    Raises:
      UserError: naming the file, the line and what is wrong with it.
    """
    labels, texts = [], []
    for number, (label, *row) in _read_rows(task, path, (task.label, *task.texts), task.columns, task.skip_broken):
        if label == task.unlabelled:
            continue
        labels.append(_parse_label(task, label, path, number))
        texts.append(tuple(row))
    if not labels:
        raise UserError(f"{path} holds no labelled rows; fetch it again")
    return Examples(labels, texts)


def read_texts(task: Task, path: Path) -> list[tuple[str, ...]]:
    """The texts of an unlabelled TSV file, which always has a header and no row that may be left out.

    Raises:
      UserError: naming the file, the line and what is wrong with it.
    """
    return [tuple(row) for _, row in _read_rows(task, path, task.test_texts or task.texts)]


def _read_rows(task: Task, path: Path, wanted: tuple, columns: int | None = None, skip_broken: bool = False
               ) -> Iterator[tuple[int, list[str]]]:
    """Line number and the wanted fields of every row; `columns`: how many there are in a file without a header."""
    lines = _read_lines(path)
    places, first, width = (list(wanted), 0, columns) if columns else _find_columns(task, path, lines, wanted)
    for number, line in enumerate(lines[first:], first + 1):
        fields = line.split("\t")
        if len(fields) == width:
            yield number, [fields[place] for place in places]
        elif not (skip_broken and len(fields) < width):
            raise _malformed(path, number, f"expected {width} columns, found {len(fields)}", line)


def _find_file(task: Task, folder: Path, name: str) -> Path:
    candidates = [folder / f"{name}.tsv", folder / task.aliases.get(name, f"{name}.tsv")]
    for path in candidates:
        if path.is_file():
            return path
    raise UserError(f"{task.name} has no {candidates[0].name} in {folder}; add the file or give another folder "
                    "with --glue-dir")


def where_files(task: Task, folder: Path, tests: bool = False) -> list[str]:
    """The names, relative to the task's folder, of the files that a run reads; with or without the test sets that are there."""
    names = [_find_file(task, folder, name).name for name in ("train", *task.evaluation_rows)]
    return names + [test.file for test in task.tests if tests and (folder / test.file).is_file()]


def _read_lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); mend that or give another folder with "
                        "--glue-dir") from None
    if content.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a git-lfs pointer, not data; run `git lfs pull` where it came from")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}); convert the file") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}:{line}: holds a NUL character; fetch the file again")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def _find_columns(task: Task, path: Path, lines: list[str], wanted: tuple) -> tuple[list[int], int, int]:
    """Positions of the wanted columns by the header, the first line of data, and the number of columns."""
    header = lines[0].split("\t") if lines else []
    missing = [name for name in wanted if name not in header]
    if missing:
        raise UserError(f"{path}:1: the header has no column {missing[0]!r}; is this the {task.name} file of GLUE?")
    return [header.index(name) for name in wanted], 1, len(header)


def _parse_label(task: Task, label: str, path: Path, number: int):
    if not task.is_regression:
        if label not in task.labels:
            raise _malformed(path, number, f"the label must be one of {', '.join(task.labels)}", label)
        return task.labels.index(label)
    try:
        score = float(label)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 5:
        raise _malformed(path, number, "the score must be a number from 0 to 5", label)
    return score


def _digest(task: Task, sets: dict[str, Examples]) -> str:
    digest = hashlib.sha256(task.name.encode())
    for name, examples in sets.items():
        digest.update(f"\n{name} {len(examples)}\n".encode())
        for label, texts in zip(examples.labels, examples.texts, strict=True):
            digest.update("\t".join((repr(label), *texts)).encode() + b"\n")
    return digest.hexdigest()


def _malformed(path: Path, number: int, reason: str, text: str) -> UserError:
    return UserError(f"{path}:{number}: {reason}: {text[:80]!r}")


def _majority(task: Task, examples: Examples) -> float | None:
    if task.is_regression:
        return None
    return max(examples.labels.count(label) for label in set(examples.labels)) / len(examples)


# -- tokens

def get_tokens(data: GlueData, vocabulary: Path, max_length: int, cache: Path) -> dict[str, Tokens]:
    """The encoded rows of every set: from the cache, or made now and put there.

    Tokens equal those of Google's FullTokenizer. Text is lowercased when the vocabulary has no capital letters.
    """
    key = hashlib.sha256(f"{TOKENS_VERSION} {data.digest} {max_length} ".encode() + vocabulary.read_bytes()).hexdigest()
    path = cache / "tokens" / f"{data.task.name}-{key[:32]}.npz"
    with only_one(path):
        if not path.exists():
            arrays = {f"{name}/{field}": array for name, examples in data.sets.items()
                      for field, array in vars(_encode(data.task, examples, vocabulary, max_length)).items()}
            write_arrays(path, arrays)
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


@contextlib.contextmanager
def only_one(path: Path):
    """Lets one process at a time make the file at `path`; the kernel frees the lock when a process dies."""
    locks = path.parent.parent / "locks"
    for folder in (path.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    with open(locks / f"{path.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An .npz file that is there whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


# -- split and order

def seed_of(*parts) -> int:
    """A seed in 0..2**32-1 for these words and numbers, unrelated to that of any others."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


def split(rows: int, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the training and the validation split: shuffled once, the last `validation` share split off.

    RandomState, because NumPy keeps its stream frozen across versions (NEP 19); the newer Generator's may change.

    Raises:
      UserError: there are fewer than two rows.
    """
    if rows < 2:
        raise UserError("a single training row cannot be split into training and validation; give a file with more")
    order = np.random.RandomState(seed_of("split", seed)).permutation(rows)
    training = count_training_rows(rows, validation)
    return order[:training], order[training:]


def count_training_rows(rows: int, validation: float) -> int:
    """Rows of the training split of so many; at least one is left for either split."""
    return rows - min(max(round(validation * rows), 1), rows - 1)


def epoch_order(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The rows in the order of this epoch: a pure function of seed and epoch."""
    return np.random.RandomState(seed_of("order", seed, epoch)).permutation(rows)


def training_batches(rows: np.ndarray, batch_size: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each of `steps` batches; every epoch is reshuffled and its remainder dropped."""
    in_epoch = len(rows) // batch_size
    order = rows
    for step in range(steps):
        epoch, place = divmod(step, in_epoch)
        if place == 0:
            order = epoch_order(rows, seed, epoch)
        yield order[place * batch_size:(place + 1) * batch_size]


def by_length(rows: np.ndarray, lengths: np.ndarray, tokens: int = MICRO_BATCH_TOKENS) -> Iterator[np.ndarray]:
    """Cuts rows into pieces of like length with about `tokens` tokens each, so that little is padding.

    Args:
      rows: row numbers.
      lengths: length of every row of the set, in tokens.
    """
    rows = rows[np.argsort(lengths[rows], kind="stable")[::-1]]
    while len(rows):
        piece = max(1, round(tokens / lengths[rows[0]]))
        yield rows[:piece]
        rows = rows[piece:]


def map_rows(function: Callable[[Batch], np.ndarray], tokens: Tokens, rows: np.ndarray, outputs: int) -> np.ndarray:
    """What a function gives for batches, float32 [rows, outputs], of every one of these rows, in their order."""
    results = np.empty((len(tokens), outputs), np.float32)
    for chosen in by_length(rows, tokens.lengths, EVALUATION_TOKENS):
        results[chosen] = function(tokens.batch(chosen))
    return results[rows]
