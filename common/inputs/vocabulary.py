"""The WordPiece vocabulary of a checkpoint, and whether text is lowercased before it is divided into its entries."""
import json
import re
from pathlib import Path

CASED_SHARE = 0.01
"""A vocabulary with a larger share of entries with capitals is cased. BERT's cased ones have about 40 %, its uncased ones none
but those that somebody added."""


def read_vocabulary(path: Path) -> list[str]:
    """The entries of vocab.txt (a line each), or of a tokenizer.json of Hugging Face, in the order of their numbers.

    Raises:
      ValueError: it is not a vocabulary; the text is the end of "its vocab.txt ...".
    """
    content = path.read_bytes()
    if path.suffix == ".json":
        return _read_tokenizer_json(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    return [word.strip() for word in text.removesuffix("\n").split("\n")]


def _read_tokenizer_json(content: bytes) -> list[str]:
    try:
        model = json.loads(content)["model"]
        kind, words = model.get("type", "WordPiece"), model["vocab"]
        numbers = sorted(words.values())
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise ValueError("has no WordPiece vocabulary") from None
    if kind != "WordPiece":
        raise ValueError(f"has a vocabulary of {kind}, not of WordPiece as BERT")
    if numbers != list(range(len(words))):
        raise ValueError("does not number its entries from 0 without a gap")
    return sorted(words, key=words.get)


def has_no_capitals(words: list[str]) -> bool:
    """Whether no entry, but for those in brackets, has a capital letter: then the first release lowercased the text."""
    return not any(word != word.lower() for word in words if not word.startswith("["))


def is_lowercased(words: list[str], lower_case: bool | None) -> bool:
    """Whether text is lowercased before it is cut into these entries.

    Args:
      lower_case: as in `common.studies.config.RunConfig`.
    """
    return has_no_capitals(words) if lower_case is None else lower_case


def is_cased(words: list[str]) -> bool:
    """Whether the bulk of the vocabulary is that of text as it is, not of lowercased text."""
    return sum(map(_has_capital, words)) > CASED_SHARE * len(words)


def where_capitals(words: list[str]) -> list[str]:
    """The entries with a capital letter, but for those in brackets."""
    return list(filter(_has_capital, words))


def _has_capital(word: str) -> bool:
    return not word.startswith("[") and word != word.lower()


def find_case_in_name(name: str) -> bool | None:
    """Whether a checkpoint of this name takes lowercased text: `uncased` or `cased` as a separate word; None: neither."""
    words = re.split("[^a-z]+", name.lower())
    return True if "uncased" in words else False if "cased" in words else None
