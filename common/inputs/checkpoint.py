"""The pretrained checkpoint: found, fetched, unpacked and checked, so that a run can load it.

Below the cache folder: checkpoints/<SHA-256 of the zip>/ with the four files and a manifest.json.
"""
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from common import UserError
from common.files import file_lock, new_folder, sha256_of
from common.inputs.archives import unpack
from common.inputs.download import Source, disk_errors_told, download, file_name, shown

BERT_MINI = Source("https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-4_H-256_A-4.zip",
                   "5f087a0c6c73aed0b0a13f9a99dade56bece97d0594b713195821e031266fae9")
"""Google's release of 2020-02-20 (google-research/bert); digest from StagedML."""
CHECKPOINT_FILES = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")
_CONFIG_KEYS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                "max_position_embeddings", "type_vocab_size")


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
    archive = download(Source(url, sha256), cache)
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
        with file_lock(folder):
            if not _find_unpacked(sha256, name, cache):
                with new_folder(folder) as new:
                    unpack(file, where, {wanted: wanted for wanted in CHECKPOINT_FILES}, new)
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
