"""Where the files of a task are, in the layouts that people have: GLUE's own, and those of the Hugging Face hub.

    MRPC/train.tsv  mrpc/dev.tsv.gz  SNLI/snli_1.0_train.txt          GLUE and SNLI
    mrpc/train-00000-of-00001.parquet  data/validation-...parquet     `nyu-mll/glue`, `stanfordnlp/snli`
    mrpc/train/0000.parquet                                           their branch refs/convert/parquet
    mrpc/train/data-00000-of-00001.arrow  glue-validation.arrow       `save_to_disk`, the cache of `datasets`
    mrpc/train.jsonl                                                  `to_json`
"""
import os
import re
from pathlib import Path

from common import UserError
from common.studies.tasks import TASKS, Task, TestSet, find_task

_PARENTS = ("", "glue", "nyu-mll/glue", "stanfordnlp")
_INNER = ("", "data", "plain_text")
"""Folders below a task's folder that may hold its files."""
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.")


def find_files(task: Task, folder: Path, name: str) -> list[Path]:
    """The files of a set in the task's folder, in the order of their rows; none where there are none.

    Args:
      name: the set as GLUE calls it: `train`, `dev_matched`, `test`.

    Raises:
      UserError: some of the files are missing.
    """
    for base in _bases(folder):
        for pattern in _patterns(task, name):
            found = sorted(path for path in base.glob(pattern) if path.is_file())
            if found:
                _check_shards(found)
                return found
    return []


def find_test_files(task: Task, folder: Path, test: TestSet) -> list[Path]:
    """The same for a set that the GLUE server scores."""
    places = [folder / place for place in (test.file, test.hub) if place]
    return next(filter(None, (find_files(task, place.parent, place.stem) for place in places)), [])


def where_files(task: Task, folder: Path, tests: bool = False) -> list[str]:
    """The names, relative to the task's folder, of the files that a run reads; with or without the test sets that are there."""
    found = [path for name in ("train", *task.evaluation_rows) for path in find_files(task, folder, name)]
    found += [path for test in task.tests if tests for path in find_test_files(task, folder, test)]
    return [Path(os.path.relpath(path, folder)).as_posix() for path in found]


def find_missing(task: Task, folder: Path) -> list[str]:
    """The sets of the task that are not in the folder."""
    return [name for name in ("train", *task.evaluation_rows) if not find_files(task, folder, name)]


def find_task_folder(task: Task, glue_dir: Path) -> Path | None:
    """The task's folder in or below the user's one: the first that is complete, else the first that there is.

    The user's folder itself may be that of the task, unless it is called as another one.
    """
    folders = [child for parent in _PARENTS for child in _where_folders(glue_dir / parent) if _task_of(child) is task]
    named = _task_of(glue_dir)
    has_some = len(find_missing(task, glue_dir)) <= len(task.evaluation_rows)
    if named is task or named is None and has_some:
        folders.append(glue_dir)
    folders.sort(key=lambda folder: folder.name != task.name)  # stable: the exact name first
    return next((folder for folder in folders if not find_missing(task, folder)), folders[0] if folders else None)


def find_complete_tasks(glue_dir: Path) -> list[str]:
    """The tasks with all of their sets in the user's folder."""
    found = {name: find_task_folder(task, glue_dir) for name, task in TASKS.items()}
    return [name for name, folder in found.items() if folder and not find_missing(TASKS[name], folder)]


def name_forms(name: str) -> str:
    """The files that may hold a set, in words."""
    hub = _on_hub(name)
    return f"{name}.tsv, {name}.tsv.gz, {hub}-*.parquet, {hub}.arrow or {hub}.jsonl"


def _where_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _task_of(folder: Path) -> Task | None:
    """The task that the folder is called after, by its own name or that of the folder it links to."""
    names = (path.name.removesuffix("_1.0") for path in (folder, folder.resolve()))  # Stanford's archive has snli_1.0
    return next(filter(None, map(find_task, names)), None)


def _bases(folder: Path) -> list[Path]:
    """The folder, those below it that the hub has, and where it holds but one folder, that one, and so on (`1.0.0/DIGEST`)."""
    bases = [folder / inner for inner in _INNER]
    inside = _where_folders(folder)
    while len(inside) == 1 and not find_task(inside[0].name):
        bases.append(inside[0])
        inside = _where_folders(inside[0])
    return bases


def _on_hub(name: str) -> str:
    return name.replace("dev", "validation")


def _patterns(task: Task, name: str) -> list[str]:
    published = task.aliases.get(name, f"{name}.tsv")
    patterns = [f"{name}.tsv", published, f"{name}.tsv.gz", f"{published}.gz"]
    for split in dict.fromkeys((_on_hub(name), name)):
        for kind in ("parquet", "arrow"):
            patterns += [f"{split}.{kind}", f"{split}-?????-of-?????.{kind}", f"{split}/*.{kind}"]
        patterns += [f"*-{split}.arrow", f"*-{split}-?????-of-?????.arrow"]
        patterns += [f"{split}.{kind}" for kind in ("jsonl", "json", "jsonl.gz", "json.gz")]
    stem = published.removesuffix(".txt").removesuffix(".tsv")
    return patterns + [f"{stem}.jsonl", f"{stem}.jsonl.gz"]


def _check_shards(files: list[Path]) -> None:
    numbers = [number for path in files if (number := _SHARD.search(path.name))]
    if len(numbers) == len(files):
        wanted = {f"{number:05}" for number in range(int(numbers[0][2]))}
        missing = sorted(wanted - {number[1] for number in numbers})
        if missing:
            name = files[0].name[:numbers[0].start()]
            raise UserError(f"{files[0].parent} has no part {missing[0]} of the {numbers[0][2]} of {name}; fetch it again")
