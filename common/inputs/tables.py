"""Rows from the files of the Hugging Face hub: Parquet, Arrow and JSON lines, with the labels of GLUE's own files."""
import gzip
import json
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from common import UserError
from common.studies.tasks import Task


@dataclass(frozen=True)
class Table:
    """The columns of a file, and the names of the label's classes where the file tells them."""

    path: Path
    columns: dict[str, list]
    classes: tuple[str, ...] | None = None

    def column(self, *names: str | int) -> list:
        """The first of these columns that there is.

        Raises:
          UserError: there is none of them.
        """
        for name in names:
            if name in self.columns:
                return self.columns[name]
        there = ", ".join(self.columns) or "none"
        raise UserError(f"{self.path}: there is no column {names[0]!r} (it has {there}); give the files of nyu-mll/glue or "
                        "stanfordnlp/snli, or GLUE's own")


def read_texts_of(task: Task, table: Table) -> list[tuple[str, ...]]:
    """The one or two texts of each row.

    Raises:
      UserError: a column is missing, or a row has no text.
    """
    names = zip(task.hub.texts if task.hub else task.texts, task.texts, strict=True)
    rows = list(zip(*(table.column(there, here) for there, here in names), strict=True))
    for number, row in enumerate(rows, 1):
        if not all(isinstance(text, str) for text in row):
            raise UserError(f"{table.path}: row {number} has no text; fetch the file again")
    return rows


def read_labels_of(task: Task, table: Table) -> list:
    """The label of each row: a class number in our order, a score, or None where there is no label.

    Raises:
      UserError: the column is missing, the classes are not those of the task, or a label is out of range.
    """
    parse = _parse_score if task.is_regression else _ClassParser(task, table)
    labels = []
    for number, value in enumerate(table.column("label", task.label), 1):
        try:
            labels.append(parse(value))
        except ValueError as error:
            raise UserError(f"{table.path}: row {number}: {error}: {str(value)[:80]!r}") from None
    return labels


class _ClassParser:
    """From a number or a name of the hub to our class number: by name, because orders differ (MNLI)."""

    def __init__(self, task: Task, table: Table):
        there = {name.lower(): own for name, own in ((task.hub and task.hub.labels) or {}).items()}
        labels = task.labels or ()
        by_name = there | {own.lower(): own for own in labels}
        names = table.classes or tuple(there or labels)
        unknown = [name for name in names if name.lower() not in by_name]
        if unknown or len({by_name[name.lower()] for name in names}) != len(labels):
            raise UserError(f"{table.path}: its classes are {', '.join(names)}, but those of {task.name} are "
                            f"{', '.join(there or labels)}; is this another data set?")
        self._names = names
        self._numbers = {name: labels.index(own) for name, own in by_name.items()}

    def __call__(self, value) -> int | None:
        if value in (None, -1, "-1", "-"):
            return None
        if isinstance(value, str) and value.lower() in self._numbers:
            return self._numbers[value.lower()]
        if isinstance(value, (int, float)) and value in range(len(self._names)):
            return self._numbers[self._names[int(value)].lower()]
        known = ", ".join(f"{number} ({name})" for number, name in enumerate(self._names))
        raise ValueError(f"the label must be one of {known}, or -1 for none")


def _parse_score(value) -> float:
    """A score of STS-B: float32 on the hub, and here the number that GLUE's file has.

    Most have three decimals there. The others are fractions, means of a few annotators, with 15 digits: 2.11111111111111.
    """
    import numpy as np

    if not isinstance(value, (int, float)) or not 0 <= value <= 5:
        raise ValueError("the score must be a number from 0 to 5")
    score = float(str(np.float32(value)))
    if round(score, 3) == score:
        return score
    mean = float(f"{float(Fraction(score).limit_denominator(20)):.15g}")
    return mean if np.float32(mean) == np.float32(value) else score


# -- files

def is_table(path: Path) -> bool:
    """Whether the file is one of these, by its name."""
    return path.name.removesuffix(".gz").endswith((".parquet", ".arrow", ".jsonl", ".json"))


def read_table(path: Path) -> Table:
    """All columns of a file.

    Raises:
      UserError: it is damaged, no file of its kind, or cannot be read.
    """
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    with open(path, "rb") as file:
        if file.read(26) == b"version https://git-lfs.gi":
            raise UserError(f"{path} is a git-lfs pointer, not data; run `git lfs pull` where it came from")
    return _read_json(path) if kind in ("jsonl", "json") else _read_arrow(path, kind)


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked where its name ends in .gz.

    Raises:
      UserError: it cannot be read, or is damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UserError(f"{path} is damaged or no gzip file; fetch or copy it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); fix that or give another folder with "
                        "--glue-dir") from None


def _read_arrow(path: Path, kind: str) -> Table:
    import pyarrow
    from pyarrow import ipc, parquet

    try:
        if kind == "parquet":
            table = parquet.read_table(path)
        else:
            content = path.read_bytes()
            is_stream = content[:6] != b"ARROW1"  # as the library `datasets` writes it
            table = (ipc.open_stream if is_stream else ipc.open_file)(content).read_all()
        columns = table.to_pydict()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError, KeyError):
        raise UserError(f"{path} is damaged or no {kind.title()} file; fetch or copy it again") from None
    return Table(path, columns, _find_classes(table.schema.metadata or {}))


def _find_classes(metadata: dict) -> tuple[str, ...] | None:
    """Names of the label's classes, which the library `datasets` writes into the schema."""
    try:
        return tuple(json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"])
    except (KeyError, TypeError, ValueError):
        return None


def _read_json(path: Path) -> Table:
    text = read_bytes(path)
    try:
        rows = json.loads(text) if text.lstrip()[:1] == b"[" else list(map(json.loads, text.splitlines()))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged or holds no JSON lines; fetch or copy it again") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or row.keys() != rows[0].keys():
            raise UserError(f"{path}: row {number} is no JSON object with the keys of the first; fetch or copy the file again")
    return Table(path, {name: [row[name] for row in rows] for name in (rows[0] if rows else ())})
