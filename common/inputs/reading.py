"""From the files of a task to its rows: labels and texts, and the digest of all of them."""
import hashlib
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import UserError
from common.inputs.layouts import find_files, find_test_files, name_forms
from common.inputs.tables import is_table, read_bytes, read_labels_of, read_table, read_texts_of
from common.studies.tasks import Task

_CSV_QUOTED = re.compile(r'"(?:[^"]|"")*"')


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
        rows = []
        for name in self.task.evaluation_rows:
            width, content = encode_rows(self.task, np.array(self.sets[name].labels))
            rows.append({"data": self.digest, "set_name": name, "width": width, "content": content})
        return rows


# -- reading

def load_glue(task: Task, folder: Path, *, allow_other_rows: bool = False) -> GlueData:
    """Reads the training and evaluation files of a task, in any of the layouts of `common.inputs.layouts`.

    Raises:
      UserError: a file is missing, malformed (file, line and reason are named), or holds other rows than the official one and
        `allow_other_rows` is not set.
    """
    official = {"train": task.train_rows, **task.evaluation_rows}
    files = {name: _where_files(task, folder, name) for name in official}
    sets = {name: read_examples(task, *paths, allow_quotes=allow_other_rows) for name, paths in files.items()}
    for name, examples in sets.items():
        if len(examples) != official[name] and not allow_other_rows:
            raise UserError(f"{files[name][0]} has {len(examples)} rows where the official file has "
                            f"{official[name]}; fetch it again, or pass --allow-other-rows to study other data")
    data = GlueData(task, sets, _digest(task, sets))
    if task.digest not in (None, data.digest) and not allow_other_rows:
        raise UserError(f"the files in {folder} have as many rows as the official ones of {task.name}, but not the same rows; "
                        "fetch them again, or pass --allow-other-rows to study other data")
    return data


def load_tests(task: Task, folder: Path, *, allow_other_rows: bool = False) -> GlueData | None:
    """Reads the sets that the GLUE server scores, by the names of the files that it takes; None where there are none.

    Their labels are not known and stand as 0.

    Raises:
      UserError: as `load_glue`; a set that may be missing is left out where it is.
    """
    sets = {}
    for test in task.tests:
        paths = find_test_files(task, folder, test)
        if not paths and test.optional:
            continue
        if not paths:
            name = Path(test.file).stem
            raise UserError(f"{task.name} has no {name}.tsv in {folder}, which --predict-test needs; add the file "
                            f"({name_forms(name)}) or leave --predict-test out")
        texts = [row for path in paths for row in read_texts(task, path)]
        if len(texts) != test.rows and not allow_other_rows:
            raise UserError(f"{paths[0]} has {len(texts)} rows where the official file has {test.rows}, and the GLUE server "
                            "takes no other number; fetch it again, or pass --allow-other-rows")
        sets[test.upload] = Examples([0] * len(texts), texts)
    return GlueData(task, sets, _digest(task, sets)) if sets else None


def read_examples(task: Task, *paths: Path, allow_quotes: bool = False) -> Examples:
    """The rows of a labelled set, in the order of its files.

    In a TSV file tabs and newlines alone divide it: a quote is an ordinary character (csv readers lose rows to quotes).

    Args:
      allow_quotes: accept a TSV file whose quotes a csv writer has doubled, and say so.

    Raises:
      UserError: naming the file, the line and what is wrong with it.
    """
    examples = Examples([], [])
    for path in paths:
        labels, texts = _read_table_rows(task, path) if is_table(path) else _read_tsv_rows(task, path, allow_quotes)
        examples.labels.extend(labels)
        examples.texts.extend(texts)
    if not examples.labels:
        raise UserError(f"{paths[0]} holds no labelled rows; fetch it again")
    return examples


def read_texts(task: Task, path: Path) -> list[tuple[str, ...]]:
    """The texts of an unlabelled file; a TSV file has a header and no row that may be left out.

    Raises:
      UserError: naming the file, the line and what is wrong with it.
    """
    if is_table(path):
        return read_texts_of(task, read_table(path))
    return [tuple(row) for _, row in _read_rows(task, path, task.test_texts or task.texts)]


def _read_table_rows(task: Task, path: Path) -> tuple[list, list]:
    table = read_table(path)
    rows = list(zip(read_labels_of(task, table), read_texts_of(task, table), strict=True))
    for number, (label, _) in enumerate(rows, 1):
        if label is None and not task.unlabelled:
            raise UserError(f"{path}: row {number} has no label; is this a test set?")
    labelled = [(label, texts) for label, texts in rows if label is not None]
    return [label for label, _ in labelled], [texts for _, texts in labelled]


def _read_tsv_rows(task: Task, path: Path, allow_quotes: bool) -> tuple[list, list]:
    labels, texts = [], []
    for number, (label, *row) in _read_rows(task, path, (task.label, *task.texts), task.columns, task.skip_broken):
        if label == task.unlabelled:
            continue
        labels.append(_parse_label(task, label, path, number))
        texts.append(tuple(row))
    doubled = None if task.csv_quotes else _find_doubled_quotes(texts)
    if doubled and not allow_quotes:
        raise UserError(f"{path}: a csv writer has doubled the quotes of this file ({doubled[:80]}); fetch the official file, "
                        "write it without quoting, or pass --allow-other-rows to study it as it is")
    if doubled:
        print(f"note: {path}: a csv writer has doubled the quotes of this file ({doubled[:80]})", file=sys.stderr)
    return labels, texts


def _find_doubled_quotes(texts: list[tuple[str, ...]]) -> str | None:
    """A text whose quotes were doubled, if every text with a quote is as csv writers have it: `"He said ""yes"" ."`."""
    quoted = [text for row in texts for text in row if '"' in text]
    if all(_CSV_QUOTED.fullmatch(text) for text in quoted):
        return next((text for text in quoted if '""' in text[1:-1]), None)
    return None


def _read_rows(task: Task, path: Path, wanted: tuple, columns: int | None = None, skip_broken: bool = False
               ) -> Iterator[tuple[int, list[str]]]:
    """Line number and the wanted fields of every row; `columns`: how many there are in a file without a header."""
    lines = _read_lines(path)
    places, first, width = (list(wanted), 0, columns) if columns else _find_columns(task, path, lines, wanted)
    widths = {width}
    if task.extra_columns and places[0] == width - 1:  # the label: it is the last field of shorter and longer rows, too
        places[0] = -1
        widths |= {more for more in (width + task.extra_columns, width - task.extra_columns) if more > max(places) + 1}
    for number, line in enumerate(lines[first:], first + 1):
        fields = line.split("\t")
        if len(fields) in widths:
            yield number, [fields[place] for place in places]
        elif not (skip_broken and len(fields) < width):
            raise _malformed(path, number, f"expected {width} columns, found {len(fields)}", line)


def _where_files(task: Task, folder: Path, name: str) -> list[Path]:
    files = find_files(task, folder, name)
    if not files:
        raise UserError(f"{task.name} has no {name}.tsv in {folder}; add the file ({name_forms(name)}) or give another folder "
                        "with --glue-dir")
    return files


def _read_lines(path: Path) -> list[str]:
    content = read_bytes(path)
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


def _parse_label(task: Task, label: str, path: Path, number: int) -> int | float:
    if task.labels is not None:
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


def encode_rows(task: Task, values: np.ndarray) -> tuple[int, bytes]:
    """Labels or predictions of a set in the form in which the store keeps them: characters for each row, and all of them.

    A class is one digit. A regression's value has four decimals in eight characters: `  3.2500`.

    Args:
      values: [rows] class numbers, or values of a regression, each above -1000 and below 10000.
    """
    if task.is_regression:
        return 8, "".join(f"{min(max(value, -999.0), 9999.0):8.4f}"[:8] for value in values).encode()
    return 1, np.asarray(values).astype("S1").tobytes()
