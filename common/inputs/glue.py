"""The GLUE files: where they come from, and from their archives into the cache.

What comes from outside is untrusted until its SHA-256 matches; a folder appears in the cache whole or not at all: below the
cache folder, glue/<task>-<first digits of the SHA-256>/ with train.tsv, dev.tsv and so on.
"""
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from common import UserError
from common.files import make_once, new_folder, sha256_of
from common.inputs.archives import unpack
from common.inputs.download import Source, disk_errors_told, download
from common.inputs.layouts import find_complete_tasks, find_missing, find_task_folder, name_forms
from common.studies.tasks import Task

_GLUE = "https://dl.fbaipublicfiles.com/glue/data/"
_SENTEVAL = "https://dl.fbaipublicfiles.com/senteval/senteval_data/"
SOURCES = {
    "CoLA": (Source(_GLUE + "CoLA.zip", "f212fcd832b8f7b435fb991f101abf89f96b933ab400603bf198960dfc32cbff", 376971),),
    "SST-2": (Source(_GLUE + "SST-2.zip",
                     "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa", 7439277),),
    "MRPC": (
        Source(_SENTEVAL + "msr_paraphrase_train.txt",
               "60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89", 1047044),
        Source(_SENTEVAL + "msr_paraphrase_test.txt",
               "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784", 441275),
        Source(_GLUE + "mrpc_dev_ids.tsv", "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7", 6222,
               others=("https://firebasestorage.googleapis.com/v0/b/mtl-sentence-representations.appspot.com/o/"
                       "data%2Fmrpc_dev_ids.tsv?alt=media&token=ec5c0836-31d5-48f4-b431-7480817f1adc",))),
    "QQP": (Source(_GLUE + "QQP-clean.zip", "40e7c862c04eb26ee04b67fd900e76c45c6ba8e6d8fab4f8f1f8072a1a3fbae0", 41696084,
                   others=(_GLUE + "QQP.zip",)),),
    "STS-B": (Source(_GLUE + "STS-B.zip",
                     "e60a6393de5a8b5b9bac5020a1554b54e3691f9d600b775bd131e613ac179c85", 802872),),
    "MNLI": (Source(_GLUE + "MNLI.zip",
                    "e7c1d896d26ed6caf700110645df426cc2d8ebf02a5ab743d5a5c68ac1c83633", 312783507),),
    "SNLI": (Source("https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
                    "afb3d70a5af5d8de0d9d81e2637e0fb8c22d1235c2749d83125ca43dab0dbd3e", 94550081),),
    "QNLI": (Source(_GLUE + "QNLIv2.zip",
                    "e634e78627a29adaecd4f955359b22bf5e70f2cbd93b493f2d624138a0c0e5f5", 10627589),),
    "RTE": (Source(_GLUE + "RTE.zip", "6bf86de103ecd335f3441bd43574d23fef87ecc695977a63b82d5efb206556ee", 697150),),
    "WNLI": (Source(_GLUE + "WNLI.zip", "ae0e8e4d16f4d46d4a0a566ec7ecceccfd3fbfaa4a7a4b4e02848c0f2561ac46", 28999),),
}
"""Task -> its official files. Sizes and digests: TensorFlow Datasets' url_checksums; the first addresses of the ids of MRPC and
of QQP: Hugging Face's script for GLUE."""

_GLUE_BY_HAND = "--glue-dir FOLDER"

def get_glue_folder(task: Task, glue_dir: str | None, cache: Path) -> Path:
    """A folder with the task's files: the user's, else one in the cache, made of the official files.

    Official files that the user's folder holds (`RTE.zip`, `mrpc_dev_ids.tsv`) are used, the others are fetched.

    Args:
      task: the task.
      glue_dir: the user's folder, in one of the layouts of `common.inputs.layouts`; None: there is none.
      cache: the cache folder.

    Raises:
      UserError: there is no such folder, a file in it is missing, or the files cannot be fetched.
    """
    given = Path(glue_dir).expanduser() if glue_dir is not None else None
    folder = find_glue_folder(task, glue_dir, cache) or _make_official_folder(task, given, cache)
    if given and folder == _cached_folder(task, cache):
        print(f"note: {task.name} is not in {given}; its official files are used", file=sys.stderr)
    return folder


@disk_errors_told()
def _make_official_folder(task: Task, given: Path | None, cache: Path) -> Path:
    """The task's folder in the cache, made of the official files."""
    folder = _cached_folder(task, cache)
    if folder is None:
        raise UserError(f"{task.name} has no address to fetch it from; give a folder that has it with {_GLUE_BY_HAND}")
    try:
        files = [_find_by_hand(source, task, given) or download(source, cache, _GLUE_BY_HAND) for source in SOURCES[task.name]]
    except UserError as error:
        where = f"{task.name} is not in {given} (complete tasks there: {_name_complete(given)}), and " if given else ""
        raise UserError(f"{where}{error}") from None
    make_once(folder, lambda: _fill_folder(task, files, folder))
    return folder


@contextlib.contextmanager
def _errors_told() -> Iterator[None]:
    """Turns what the operating system says about the user's files into one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}); fix that or give another folder with --glue-dir"
                        ) from error


@_errors_told()
def find_glue_folder(task: Task, glue_dir: str | None, cache: Path) -> Path | None:
    """As `get_glue_folder`, but None where something would have to be fetched or unpacked.

    Raises:
      UserError: the user's folder is missing, or holds the task in part.
    """
    if glue_dir is not None:
        given = Path(glue_dir).expanduser()
        if not given.is_dir():
            raise UserError(f"there is no folder {given}; --glue-dir takes a folder with a subfolder for each GLUE task")
        folder = find_task_folder(task, given)
        missing = find_missing(task, folder) if folder else []
        if folder and not missing:
            return folder
        if len(missing) <= len(task.evaluation_rows) and missing:
            raise UserError(f"missing split {missing[0]}.tsv in {folder} (complete tasks there: {_name_complete(given)}); add "
                            f"the file ({name_forms(missing[0])}), or leave --glue-dir out to fetch them")
    folder = _cached_folder(task, cache)
    return folder if folder and folder.is_dir() else None


def _cached_folder(task: Task, cache: Path) -> Path | None:
    """The folder of the official files; None for a task that has none."""
    sources = SOURCES.get(task.name)
    return cache / "glue" / f"{task.name}-{str(sources[0].sha256)[:12]}" if sources else None


def _name_complete(glue_dir: Path) -> str:
    return ", ".join(find_complete_tasks(glue_dir)) or "none"


@_errors_told()
def _find_by_hand(source: Source, task: Task, given: Path | None) -> Path | None:
    """The official file in the user's folder or the task's one there."""
    folders = [folder for folder in (given, given and find_task_folder(task, given)) if folder]
    path = next((folder / name for folder in folders for name in source.names if (folder / name).is_file()), None)
    if path and sha256_of(path) != source.sha256:
        raise UserError(f"{path} is not the official file: its SHA-256 is another; fetch it again, or remove it")
    return path


def _fill_folder(task: Task, files: list[Path], folder: Path) -> None:
    with new_folder(folder) as new:
        if task.name == "MRPC":
            train, test, dev_ids = files
            _divide_mrpc(train, test, dev_ids, new)
        else:
            _unpack_task(task, files[0], new)


def _unpack_task(task: Task, archive: Path, folder: Path) -> None:
    wanted = {task.aliases.get(name, f"{name}.tsv"): f"{name}.tsv" for name in ("train", *task.evaluation_rows)}
    tests = {file.replace("dev", "test"): ours.replace("dev", "test")
             for file, ours in wanted.items() if ours != "train.tsv"}
    with open(archive, "rb") as file:
        unpack(file, str(archive), wanted, folder, optional=tests)


def _divide_mrpc(train: Path, test: Path, dev_ids: Path, folder: Path) -> None:
    """Writes GLUE's three files from Microsoft's two: the same rows in the same order as download_glue_data.py's.

    Dev rows are those whose pair of ids is listed; test.tsv has the row's number in place of the label.
    """
    ids = set(dev_ids.read_bytes().splitlines())
    header, *rows = train.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    files = {"train.tsv": [header], "dev.tsv": [header]}
    for row in rows:
        files["dev.tsv" if b"\t".join(row.split(b"\t")[1:3]) in ids else "train.tsv"].append(row)
    header, *rows = test.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    files["test.tsv"] = [header.replace(b"Quality", b"index"),
                         *(b"%d\t" % number + row.split(b"\t", 1)[1] for number, row in enumerate(rows))]
    for name, lines in files.items():
        with open(folder / name, "xb") as file:
            file.writelines(lines)

