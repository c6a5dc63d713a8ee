"""From the files of a task to its rows: labels and texts, and the digest of all of them."""
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import UserError
from common.studies.tasks import Task


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
        from common.inputs.reading import encode_rows

        rows = []
        for name in self.task.evaluation_rows:
            width, content = encode_rows(self.task, np.array(self.sets[name].labels))
            rows.append({"data": self.digest, "set_name": name, "width": width, "content": content})
        return rows


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


# -- split and order


def encode_rows(task: Task, values: np.ndarray) -> tuple[int, bytes]:
    """Labels or predictions of a set in the form in which the store keeps them: characters for each row, and all of them.

    A class is one digit. A regression's value has four decimals in eight characters: `  3.2500`.

    Args:
      values: [rows] class numbers, or values of a regression, each above -1000 and below 10000.
    """
    if task.is_regression:
        return 8, "".join(f"{min(max(value, -999.0), 9999.0):8.4f}"[:8] for value in values).encode()
    return 1, np.asarray(values).astype("S1").tobytes()
