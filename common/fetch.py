"""The checkpoint and the GLUE files: where they come from, and from their archives into the cache.

What comes from outside is untrusted until its SHA-256 matches; a file or folder appears in the cache whole or not at
all:

    checkpoints/ <SHA-256 of the zip>/: the four files and a manifest.json
    glue/        <task>-<first digits of the SHA-256>/: train.tsv, dev.tsv, ...
"""
import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from common import UserError
from common.download import disk_errors_told, download, file_name, locked, shown, sync
from common.files import sha256_of
from common.tasks import TASKS, Task

MAX_TOTAL_BYTES = 4 << 30
"""Most that the files of an archive may hold together."""
MAX_MEMBERS = 1000
MAX_RATIO = 200
"""Vocabularies, TSV files and weights compress 2 to 10 times; a bomb about 1000 times."""


@dataclass(frozen=True)
class Source:
    """An official file: address, SHA-256 and, where it is published, the size in bytes."""

    url: str
    sha256: str
    size: int | None = None

    @property
    def name(self) -> str:
        return file_name(self.url)


BERT_MINI = Source("https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-4_H-256_A-4.zip",
                   "5f087a0c6c73aed0b0a13f9a99dade56bece97d0594b713195821e031266fae9")
"""Google's release of 2020-02-20 (google-research/bert); digest from StagedML."""

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
        Source("https://firebasestorage.googleapis.com/v0/b/mtl-sentence-representations.appspot.com/o/"
               "data%2Fmrpc_dev_ids.tsv?alt=media&token=ec5c0836-31d5-48f4-b431-7480817f1adc",
               "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7", 6222)),
    "QQP": (Source(_GLUE + "QQP.zip", "40e7c862c04eb26ee04b67fd900e76c45c6ba8e6d8fab4f8f1f8072a1a3fbae0", 41696084),),
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
"""Task -> its official files. Sizes and digests: TensorFlow Datasets' url_checksums."""

CHECKPOINT_FILES = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")
_CONFIG_KEYS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                "max_position_embeddings", "type_vocab_size")
_GLUE_BY_HAND = "--glue-dir FOLDER"


@dataclass(frozen=True)
class Checkpoint:
    """A pretrained BERT on disk, checked and ready to load."""

    name: str
    folder: Path
    digest: str
    """SHA-256 of what `sha256sum` prints for the four files, in the order of `CHECKPOINT_FILES`."""
    archive_sha256: str | None
    """SHA-256 of the zip, None where a folder was given."""
    config: dict
    """The content of bert_config.json."""

    @property
    def vocab(self) -> Path:
        return self.folder / "vocab.txt"

    @property
    def weights(self) -> Path:
        """The prefix that TensorFlow's checkpoint readers take."""
        return self.folder / "bert_model.ckpt"

    @property
    def is_google_release(self) -> bool:
        return self.archive_sha256 == BERT_MINI.sha256

    def row(self) -> dict:
        """What the store keeps about it."""
        return {"digest": self.digest, "archive_sha256": self.archive_sha256, "name": self.name,
                "layers": self.config["num_hidden_layers"], "hidden_size": self.config["hidden_size"],
                "heads": self.config["num_attention_heads"], "vocabulary": self.config["vocab_size"]}


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` when the block ends well; call with the lock of `folder` held."""
    filling = folder.with_name(f"{folder.name}.part")
    for leftover in (filling, folder):  # of a killed process; or a damaged one, else nobody would make it anew
        if leftover.exists():
            shutil.rmtree(leftover)
    filling.mkdir(parents=True)
    try:
        yield filling
        filling.rename(folder)
    except BaseException:
        shutil.rmtree(filling, ignore_errors=True)
        raise


# -- checkpoints

@disk_errors_told()
def get_checkpoint(where: str | None, cache: Path) -> Checkpoint:
    """The checkpoint at `where`, fetched, unpacked and checked; an archive is fetched and unpacked only once.

    Args:
      where: a zip file or a folder in Google's layout, the http(s) address of such a zip (`#sha256=<hex>` behind it
        pins its digest), or None for Google's BERT-mini.
      cache: the cache folder.

    Raises:
      UserError: it is not there, cannot be fetched, or is damaged, unsafe or no BERT checkpoint.
    """
    if where is None:
        return _fetch_checkpoint(BERT_MINI.url, BERT_MINI.sha256, cache)
    if "://" in where:
        url, sha256 = _split_pin(where)
        return _fetch_checkpoint(url, sha256 or (BERT_MINI.sha256 if url == BERT_MINI.url else None), cache)
    path = Path(where).expanduser()
    if path.is_dir():
        folder = _find_checkpoint_folder(path)
        config = _check_checkpoint(folder, where)
        return Checkpoint(path.resolve().name, folder, _content_digest(folder), None, config)
    if path.is_file():
        return _unpack_checkpoint(path, where, path.stem, cache)
    raise UserError(f"there is no checkpoint at {where}; --checkpoint takes a zip file, a folder, or the http(s) "
                    "address of a zip file")


def _split_pin(where: str) -> tuple[str, str | None]:
    url, _, fragment = where.partition("#")
    if not fragment:
        return url, None
    pin = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if not pin:
        raise UserError(f"the checkpoint's address ends in #{fragment}; only #sha256= and 64 hexadecimal digits may "
                        "stand there")
    return url, pin[1].lower()


def _fetch_checkpoint(url: str, sha256: str | None, cache: Path) -> Checkpoint:
    name = PurePosixPath(file_name(url)).stem
    unpacked = _find_unpacked(sha256, name, cache) if sha256 else None
    if unpacked:
        return unpacked
    archive = download(url, sha256=sha256, size=None, cache=cache)
    try:
        return _unpack_checkpoint(archive, shown(url), name, cache)
    except UserError:
        archive.unlink(missing_ok=True)  # what an unpinned address gave today may be mended tomorrow
        raise


def _find_checkpoint_folder(folder: Path) -> Path:
    """The folder itself, or its only subfolder that holds a checkpoint."""
    if (folder / CHECKPOINT_FILES[0]).is_file():
        return folder
    inner = [path.parent for path in folder.glob(f"*/{CHECKPOINT_FILES[0]}")]
    if len(inner) > 1:
        raise UserError(f"the folder {folder} holds {len(inner)} checkpoints; name one of them with --checkpoint")
    return inner[0] if inner else folder


def _unpack_checkpoint(path: Path, where: str, name: str, cache: Path) -> Checkpoint:
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        folder = cache / "checkpoints" / sha256
        with locked(cache, f"checkpoint-{sha256}"):
            if not _find_unpacked(sha256, name, cache):
                with _new_folder(folder) as new:
                    _unpack(file, where, {wanted: wanted for wanted in CHECKPOINT_FILES}, new)
                    _check_checkpoint(new, where)
                    sizes = {wanted: (new / wanted).stat().st_size for wanted in CHECKPOINT_FILES}
                    manifest = {"digest": _content_digest(new), "sizes": sizes}
                    (new / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return _find_unpacked(sha256, name, cache)


def _find_unpacked(sha256: str, name: str, cache: Path) -> Checkpoint | None:
    """The checkpoint from this archive; None where it was not unpacked, or its files have other lengths now."""
    folder = cache / "checkpoints" / sha256
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        if any((folder / file).stat().st_size != size for file, size in manifest["sizes"].items()):
            return None
        config = json.loads((folder / "bert_config.json").read_text("utf-8"))
        return Checkpoint(name, folder, manifest["digest"], sha256, config)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _content_digest(folder: Path) -> str:
    listing = "".join(f"{sha256_of(folder / name)}  {name}\n" for name in CHECKPOINT_FILES)
    return hashlib.sha256(listing.encode()).hexdigest()


def _check_checkpoint(folder: Path, where: str) -> dict:
    """The content of bert_config.json, once it and vocab.txt prove usable."""
    missing = [name for name in CHECKPOINT_FILES if not (folder / name).is_file()]
    if missing:
        raise _unusable(where, f"it has no {missing[0]}")
    try:
        config = json.loads((folder / "bert_config.json").read_text("utf-8"))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise _unusable(where, "its bert_config.json is not a JSON object")
    for key in _CONFIG_KEYS:
        if type(config.get(key)) is not int or config[key] < 1:
            raise _unusable(where, f"its bert_config.json needs a whole number of at least 1 as {key}")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise _unusable(where, f"its hidden_size {config['hidden_size']} is no multiple of its "
                               f"{config['num_attention_heads']} attention heads")
    words = (folder / "vocab.txt").read_bytes().removesuffix(b"\n").split(b"\n")
    if len(words) != config["vocab_size"]:
        raise _unusable(where, f"its vocab.txt has {len(words)} lines, but its vocab_size is {config['vocab_size']}")
    known = {word.strip() for word in words}
    for special in ("[PAD]", "[UNK]", "[CLS]", "[SEP]"):
        if special.encode() not in known:
            raise _unusable(where, f"its vocab.txt has no {special}")
    return config


def _unusable(where: str, reason: str) -> UserError:
    return UserError(f"the checkpoint {where} cannot be used: {reason}; name another with --checkpoint")


# -- GLUE

@disk_errors_told()
def get_glue_folder(task: Task, glue_dir: str | None, cache: Path) -> Path:
    """A folder with the task's train.tsv, dev.tsv (dev_matched.tsv, ...) and, where it is published, test.tsv.

    Args:
      task: the task.
      glue_dir: the user's folder with a subfolder for each task, or None to fetch the official files once.
      cache: the cache folder.

    Raises:
      UserError: the folder or a file in it is missing, or the files cannot be fetched.
    """
    if glue_dir is not None:
        return _check_glue_folder(task, Path(glue_dir).expanduser())
    if task.name not in SOURCES:
        raise UserError(f"{task.name} has no address to fetch it from; give a folder that has it with {_GLUE_BY_HAND}")
    sources = SOURCES[task.name]
    folder = cache / "glue" / f"{task.name}-{sources[0].sha256[:12]}"
    if folder.is_dir():
        return folder
    files = [download(source.url, sha256=source.sha256, size=source.size, cache=cache, by_hand=_GLUE_BY_HAND)
             for source in sources]
    with locked(cache, folder.name):
        if not folder.is_dir():
            with _new_folder(folder) as new:
                if task.name == "MRPC":
                    _divide_mrpc(*files, new)
                else:
                    _unpack_task(task, *files, new)
    return folder


def _check_glue_folder(task: Task, glue_dir: Path) -> Path:
    folder = glue_dir / task.name
    if not glue_dir.is_dir():
        raise UserError(f"there is no folder {glue_dir}; --glue-dir takes a folder with a subfolder for each GLUE task")
    missing = _missing_files(task, folder)
    if missing:
        problem = f"missing split {missing[0]} in {folder}" if folder.is_dir() else f"there is no folder {folder}"
        ready = [name for name, other in TASKS.items() if not _missing_files(other, glue_dir / name)]
        raise UserError(f"{problem} (complete tasks there: {', '.join(ready) or 'none'}); add the files, or leave "
                        "--glue-dir out to fetch them")
    return folder


def _missing_files(task: Task, folder: Path) -> list[str]:
    return [f"{name}.tsv" for name in ("train", *task.evaluation_rows)
            if not any((folder / file).is_file() for file in (f"{name}.tsv", task.aliases.get(name, f"{name}.tsv")))]


def _unpack_task(task: Task, archive: Path, folder: Path) -> None:
    wanted = {task.aliases.get(name, f"{name}.tsv"): f"{name}.tsv" for name in ("train", *task.evaluation_rows)}
    tests = {file.replace("dev", "test"): ours.replace("dev", "test")
             for file, ours in wanted.items() if ours != "train.tsv"}
    with open(archive, "rb") as file:
        _unpack(file, str(archive), wanted, folder, optional=tests)


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
            sync(file)


# -- archives

def _unpack(file: BinaryIO, where: str, wanted: dict[str, str], folder: Path, optional: dict[str, str] | None = None
            ) -> None:
    """Writes the wanted members of a zip into `folder`, by stream and under names of our own.

    Args:
      wanted: name of a file at the root of the archive or below one folder -> the name to write.
      optional: the same, for files that may be missing.

    Raises:
      UserError: the archive is damaged or unsafe, or a wanted file is missing.
    """
    optional = optional or {}
    try:
        with zipfile.ZipFile(file) as archive:
            members = _find_members(archive, {*wanted, *optional})
            missing = sorted(set(wanted) - set(members))
            if missing:
                raise _Refused(f"it has no {missing[0]}")
            _check_members(members, os.fstat(file.fileno()).st_size)
            for name, member in members.items():
                _copy_member(archive, member, folder / {**wanted, **optional}[name])
    except _Refused as refused:
        raise UserError(f"the archive {where} cannot be used: {refused}; give another file") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
            OverflowError, IndexError, KeyError):
        raise UserError(f"the archive {where} is damaged or no zip file; fetch or copy it again") from None


class _Refused(Exception):
    """An archive that is whole but must not be used, and why."""


def _find_members(archive: zipfile.ZipFile, names: set[str]) -> dict[str, zipfile.ZipInfo]:
    """File name -> member, of those that are asked for and in the archive."""
    if len(archive.infolist()) > MAX_MEMBERS:
        raise _Refused(f"it has {len(archive.infolist())} members, more than {MAX_MEMBERS}")
    found = {}
    for member in archive.infolist():
        path = PurePosixPath(member.orig_filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in str(path) or re.match("[A-Za-z]:", str(path)):
            raise _Refused(f"its member {member.orig_filename[:80]!r} points outside of it")
        if path.name not in names or len(path.parts) > 2 or path.parts[0] == "__MACOSX" or member.is_dir():
            continue
        if path.name in found:
            raise _Refused(f"it has {path.name} twice")
        found[path.name] = member
    return found


def _check_members(members: dict[str, zipfile.ZipInfo], archive_size: int) -> None:
    for name, member in members.items():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _Refused(f"its {name} is no plain file but a link or device")
        if member.flag_bits & 0x1:
            raise _Refused(f"its {name} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refused(f"its {name} is compressed by a method other than deflate")
        if member.file_size > MAX_RATIO * member.compress_size + 1024:
            times = member.file_size // max(member.compress_size, 1)
            raise _Refused(f"its {name} would grow to {times} times its size, as in a zip bomb")
    if sum(member.compress_size for member in members.values()) > archive_size:
        raise _Refused("its members overlap")
    if sum(member.file_size for member in members.values()) > MAX_TOTAL_BYTES:
        raise _Refused(f"its files would take more than {MAX_TOTAL_BYTES >> 30} GiB")


def _copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    with archive.open(member) as source, open(target, "xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        if file.tell() != member.file_size:
            raise zipfile.BadZipFile
        sync(file)
