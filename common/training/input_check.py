"""What only a process with TensorFlow can tell of the input, found before the first run: unreadable weights, words that the
vocabulary does not know."""
from dataclasses import dataclass
from pathlib import Path

from common.inputs.checkpoint import Checkpoint
from common.inputs.tokens import Tokenizer
from common.inputs.vocabulary import is_lowercased, read_vocabulary

ROWS = 500
"""So many rows of a task are looked at."""
UNKNOWN_SHARE = 0.01
"""A larger share of [UNK] is said if the other way with capital letters gives less than half of it."""
FOREIGN_SHARE = 0.05
"""A larger share is said in any case."""


@dataclass(frozen=True)
class InputCheck:
    """What to check; small and picklable."""

    checkpoint: Checkpoint
    cache: Path
    texts: dict[str, list[tuple[str, ...]]]
    """Task -> texts of some rows."""


def check_input(check: InputCheck, report=None) -> list[str]:
    """Converts the weights into the cache and counts unknown words.

    Returns:
      Sentences for the user.

    Raises:
      UserError: the weights cannot be read, or do not fit their configuration.
    """
    from common.training.weights import get_weights

    get_weights(check.checkpoint, check.cache)
    words = read_vocabulary(check.checkpoint.vocab)
    lower_case = is_lowercased(words, check.checkpoint.lower_case)
    notes = (find_unknown(task, rows, words, lower_case) for task, rows in check.texts.items())
    return [note for note in notes if note]


def find_unknown(task: str, rows: list[tuple[str, ...]], words: list[str], lower_case: bool) -> str | None:
    """A sentence where more tokens are [UNK] than the text explains."""
    unknown, tokens = count_unknown(rows, words, lower_case)
    if unknown <= UNKNOWN_SHARE * tokens:
        return None
    found = f"{unknown:,} of {tokens:,} tokens of the first {len(rows)} rows of {task} are [UNK]"
    other, _ = count_unknown(rows, words, not lower_case)
    if other < unknown / 2:
        return (f"{found} because text is {'' if lower_case else 'not '}lowercased ({other:,} otherwise); "
                f"--lower-case {'no' if lower_case else 'yes'} changes that")
    return f"{found}: the checkpoint's vocabulary does not fit the text" if unknown > FOREIGN_SHARE * tokens else None


def count_unknown(rows: list[tuple[str, ...]], words: list[str], lower_case: bool) -> tuple[int, int]:
    """How many tokens are [UNK], and how many there are."""
    tokenizer = Tokenizer(words, lower_case)
    tokens = [token for row in rows for text in row for token in tokenizer.encode(text)]
    return tokens.count(tokenizer.numbers["[UNK]"]), len(tokens)
