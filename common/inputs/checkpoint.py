"""The pretrained checkpoint: found, fetched, unpacked and checked, so that a run can load it.

It comes in Google's layout, as a zip or a folder, or as a folder of Hugging Face (common/inputs/hugging_face.py).

Below the cache folder: checkpoints/<SHA-256 of the zip>/ with the four files and a manifest.json.
"""
import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from common import UserError
from common.files import file_lock, new_folder, sha256_of
from common.inputs import hugging_face
from common.inputs.archives import unpack
from common.inputs.download import Source, disk_errors_told, download, file_name, shown
from common.inputs.encoder import SIZES
from common.inputs.vocabulary import find_case_in_name, has_no_capitals, is_cased, is_lowercased, read_vocabulary, where_capitals

BERT_MINI = Source("https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-4_H-256_A-4.zip",
                   "5f087a0c6c73aed0b0a13f9a99dade56bece97d0594b713195821e031266fae9")
"""Google's release of 2020-02-20 (google-research/bert); digest from StagedML."""
CHECKPOINT_FILES = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")
TOKENIZER = "tokenizer_config.json"
"""May lie beside the files of either form; `do_lower_case` in it counts."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Checkpoint:
    """A pretrained BERT on disk, checked and ready to load."""

    name: str
    folder: Path
    digest: str
    """Google's form: SHA-256 of what `sha256sum` prints for the four files, in the order of `CHECKPOINT_FILES`. Hugging Face's:
    `common.inputs.hugging_face.digest_of`. So the same weights in the two forms have two digests."""
    archive_sha256: str | None
    """SHA-256 of the zip, None where a folder was given."""
    config: dict
    """The content of bert_config.json, or its equivalent."""
    files: tuple[str, ...] = CHECKPOINT_FILES
    """Names of the files that a run reads: configuration, vocabulary, weights."""
    lower_case: bool | None = None
    """As in `common.studies.config.RunConfig`."""
    notes: tuple[str, ...] = ()
    """Sentences about it for the user."""

    @property
    def vocab(self) -> Path:
        """vocab.txt, or Hugging Face's tokenizer.json."""
        return self.folder / self.files[1]

    @property
    def weights(self) -> Path:
        """model.safetensors, or the prefix that TensorFlow's checkpoint readers take."""
        return self.folder / (hugging_face.WEIGHTS if self.is_hugging_face else "bert_model.ckpt")

    @property
    def is_hugging_face(self) -> bool:
        return hugging_face.WEIGHTS in self.files

    @property
    def is_google_release(self) -> bool:
        return self.archive_sha256 == BERT_MINI.sha256

    def row(self) -> dict:
        """What the store keeps about it."""
        return {"digest": self.digest, "archive_sha256": self.archive_sha256, "name": self.name,
                "layers": self.config["num_hidden_layers"], "hidden_size": self.config["hidden_size"],
                "heads": self.config["num_attention_heads"], "vocabulary": self.config["vocab_size"],
                "lower_case": int(is_lowercased(read_vocabulary(self.vocab), self.lower_case))}


@disk_errors_told()
def get_checkpoint(where: str | None, cache: Path, lower_case: bool | None = None) -> Checkpoint:
    """The checkpoint at `where`, fetched, unpacked and checked; an archive is fetched and unpacked only once.

    Args:
      where: a zip file or a folder in Google's layout, a folder of Hugging Face, the http(s) address of a zip in Google's layout
        (`#sha256=<hex>` behind it pins its digest), or None for Google's BERT-mini.
      cache: the cache folder.
      lower_case: whether text is lowercased; None: as the checkpoint says.

    Raises:
      UserError: it is not there, cannot be fetched, or is damaged, unsafe or no BERT checkpoint.
    """
    if where is None:
        return _fetch_checkpoint(BERT_MINI.url, BERT_MINI.sha256, cache, lower_case)
    if "://" in where:
        url, sha256 = _split_pin(where)
        return _fetch_checkpoint(url, sha256 or (BERT_MINI.sha256 if url == BERT_MINI.url else None), cache, lower_case)
    path = Path(where).expanduser()
    if path.is_dir():
        return _read_folder(path, where, lower_case)
    if path.is_file():
        return _unpack_checkpoint(path, where, path.stem, cache, lower_case)
    raise UserError(f"there is no checkpoint at {where}; --checkpoint takes a zip file, a folder, or the http(s) "
                    "address of a zip file")


def _read_folder(path: Path, where: str, lower_case: bool | None) -> Checkpoint:
    """The checkpoint in a folder of the user."""
    folder, name = _find_checkpoint_folder(path), path.resolve().name
    if (folder / CHECKPOINT_FILES[0]).is_file() or not (folder / hugging_face.CONFIG).is_file():
        config = _check_checkpoint(folder, where)
        checkpoint = Checkpoint(name, folder, _content_digest(folder), None, config)
    else:
        checkpoint = _read_hugging_face(folder, where, name)
    return _decide_lower_case(checkpoint, where, lower_case)


def _read_hugging_face(folder: Path, where: str, name: str) -> Checkpoint:
    try:
        files = hugging_face.find_files(folder)
    except ValueError as error:
        raise _unusable(where, str(error)) from None
    _refuse_pointers(folder, where, files)
    given = _read_json(folder, where, hugging_face.CONFIG)
    _check_sizes(given, where, hugging_face.CONFIG)
    try:
        config, notes = hugging_face.translate_config(given)
        words = _check_vocabulary(folder / files[1], where)
        if len(words) > config["vocab_size"]:  # fewer are fine: tables are padded for speed
            raise ValueError(f"its {files[1]} has {len(words)} entries, more than its vocab_size of {config['vocab_size']}")
        hugging_face.check_weights(folder / hugging_face.WEIGHTS, config)
        digest = hugging_face.digest_of(folder, config, words)
    except ValueError as error:
        raise _unusable(where, str(error)) from None
    return Checkpoint(name, folder, digest, None, config, files, notes=tuple(notes))


def _split_pin(where: str) -> tuple[str, str | None]:
    url, _, fragment = where.partition("#")
    if not fragment:
        return url, None
    pin = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if not pin:
        raise UserError(f"the checkpoint's address ends in #{fragment}; only #sha256= and 64 hexadecimal digits may "
                        "stand there")
    return url, pin[1].lower()


def _fetch_checkpoint(url: str, sha256: str | None, cache: Path, lower_case: bool | None) -> Checkpoint:
    name = PurePosixPath(file_name(url)).stem
    unpacked = _find_unpacked(sha256, name, cache) if sha256 else None
    if unpacked:
        return _decide_lower_case(unpacked, shown(url), lower_case)
    archive = download(Source(url, sha256), cache)
    try:
        return _unpack_checkpoint(archive, shown(url), name, cache, lower_case)
    except UserError:
        archive.unlink(missing_ok=True)  # what an unpinned address gives may be fixed tomorrow
        raise


def _find_checkpoint_folder(folder: Path) -> Path:
    """The folder itself, or its only subfolder that holds a checkpoint."""
    configs = (CHECKPOINT_FILES[0], hugging_face.CONFIG)
    if any((folder / name).is_file() for name in configs):
        return folder
    inner = sorted({path.parent for name in configs for path in folder.glob(f"*/{name}")})
    if len(inner) > 1:
        raise UserError(f"the folder {folder} holds {len(inner)} checkpoints; name one of them with --checkpoint")
    return inner[0] if inner else folder


def _unpack_checkpoint(path: Path, where: str, name: str, cache: Path, lower_case: bool | None) -> Checkpoint:
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        folder = cache / "checkpoints" / sha256
        with file_lock(folder):
            if not _find_unpacked(sha256, name, cache):
                with new_folder(folder) as new:
                    unpack(file, where, {wanted: wanted for wanted in CHECKPOINT_FILES}, new, {TOKENIZER: TOKENIZER})
                    _check_checkpoint(new, where)
                    sizes = {path.name: path.stat().st_size for path in sorted(new.iterdir())}
                    manifest = {"digest": _content_digest(new), "sizes": sizes}
                    (new / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    unpacked = _find_unpacked(sha256, name, cache)
    assert unpacked, f"{folder} was removed while it was in use"
    return _decide_lower_case(unpacked, where, lower_case)


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
    _refuse_pointers(folder, where, CHECKPOINT_FILES)
    config = _read_json(folder, where, "bert_config.json")
    _check_sizes(config, where, "bert_config.json")
    if config.get("hidden_act", "gelu") != "gelu":
        raise _unusable(where, f"its activation {config['hidden_act']!r} is not BERT's gelu")
    words = _check_vocabulary(folder / "vocab.txt", where)
    if len(words) != config["vocab_size"]:
        raise _unusable(where, f"its vocab.txt has {len(words)} lines, but its vocab_size is {config['vocab_size']}")
    return config


def _refuse_pointers(folder: Path, where: str, names: tuple[str, ...]) -> None:
    for name in names:
        with open(folder / name, "rb") as file:
            if file.read(len(LFS_POINTER)) == LFS_POINTER:
                raise _unusable(where, f"its {name} is a pointer of git-lfs and not the file itself; get it with `git lfs pull`")


def _read_json(folder: Path, where: str, name: str) -> dict:
    try:
        content = json.loads((folder / name).read_text("utf-8-sig"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _unusable(where, f"its {name} is not a JSON object")
    return content


def _check_sizes(config: dict, where: str, name: str) -> None:
    for key in SIZES:
        if type(config.get(key)) is not int or config[key] < 1:
            raise _unusable(where, f"its {name} needs a whole number of at least 1 as {key}")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise _unusable(where, f"its hidden_size {config['hidden_size']} is not a multiple of its "
                               f"{config['num_attention_heads']} attention heads")


def _check_vocabulary(path: Path, where: str) -> list[str]:
    """The entries of the vocabulary, once they prove usable."""
    try:
        words = read_vocabulary(path)
    except ValueError as error:
        raise _unusable(where, f"its {path.name} {error}") from None
    for special in ("[PAD]", "[UNK]", "[CLS]", "[SEP]"):
        if special not in words:
            raise _unusable(where, f"its {path.name} has no {special}")
    return words


def _decide_lower_case(checkpoint: Checkpoint, where: str, given: bool | None) -> Checkpoint:
    """The checkpoint with its `lower_case`, and a note where that is not what every entry of the vocabulary says."""
    words = read_vocabulary(checkpoint.vocab)
    said, by = (given, "--lower-case says") if given is not None else _find_said_case(checkpoint, where)
    if said is None:
        said, by = not is_cased(words), "nearly all of its vocabulary says"
    elif given is None and said == is_cased(words):
        capitals = len(where_capitals(words))
        raise _unusable(where, f"{by} that its text is {'lowercased' if said else 'not lowercased'}, but {capitals} of the "
                               f"{len(words)} entries of its vocabulary have capital letters; say which is right with "
                               "--lower-case yes or --lower-case no")
    if said == has_no_capitals(words):
        return checkpoint
    note = (f"text is {'lowercased' if said else 'not lowercased'}, as {by}; entries of the vocabulary with capital letters: "
            f"{', '.join(where_capitals(words)[:3]) or 'none'}")
    return dataclasses.replace(checkpoint, lower_case=said, notes=(*checkpoint.notes, note))


def _find_said_case(checkpoint: Checkpoint, where: str) -> tuple[bool | None, str]:
    """Whether the checkpoint says that its text is lowercased, and what says so."""
    folder = checkpoint.folder
    if (folder / TOKENIZER).is_file():
        said = _read_json(folder, where, TOKENIZER)
        if said.get("strip_accents") not in (None, said.get("do_lower_case")):
            raise _unusable(where, f"its {TOKENIZER} has do_lower_case {said.get('do_lower_case')} and strip_accents "
                                   f"{said['strip_accents']}, and this program does both or neither")
        if type(said.get("do_lower_case")) is bool:
            return said["do_lower_case"], f"its {TOKENIZER} says"
    if checkpoint.vocab.suffix == ".json":
        normalizer = _read_json(folder, where, checkpoint.vocab.name).get("normalizer")
        if isinstance(normalizer, dict) and type(normalizer.get("lowercase")) is bool:
            return normalizer["lowercase"], f"its {checkpoint.vocab.name} says"
    return find_case_in_name(checkpoint.name), "its name says"


def _unusable(where: str, reason: str) -> UserError:
    return UserError(f"the checkpoint {where} cannot be used: {reason}; name another with --checkpoint")
