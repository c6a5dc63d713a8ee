"""From encoded rows to batches: the split, the order of every epoch, and pieces of similar length."""
import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from common import UserError
from common.inputs.tokens import Batch, Tokens

MICRO_BATCH_TOKENS = 640
"""A batch is cut by length into pieces of about this many tokens; changing it changes the dropout masks (`RECIPE`)."""
EVALUATION_TOKENS = 4096
"""Tokens of a piece when nothing is learnt; larger is no faster."""


def seed_of(*parts) -> int:
    """A seed in 0..2**32-1 for these words and numbers, unrelated to that of any others."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")


def split(rows: int, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the training and the validation split: shuffled once, the last `validation` share split off.

    RandomState, because NumPy keeps its stream frozen across versions (NEP 19); the newer Generator's may change.

    Raises:
      UserError: there are fewer than two rows.
    """
    if rows < 2:
        raise UserError("a single training row cannot be split into training and validation; give a file with more")
    order = np.random.RandomState(seed_of("split", seed)).permutation(rows)
    training = count_training_rows(rows, validation)
    return order[:training], order[training:]


def count_training_rows(rows: int, validation: float) -> int:
    """Number of rows in the training split; each split has at least one."""
    return rows - min(max(round(validation * rows), 1), rows - 1)


def epoch_order(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The rows in the order of this epoch: a pure function of seed and epoch."""
    return np.random.RandomState(seed_of("order", seed, epoch)).permutation(rows)


def training_batches(rows: np.ndarray, batch_size: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of each of `steps` batches; every epoch is reshuffled and its remainder dropped."""
    in_epoch = len(rows) // batch_size
    order = rows
    for step in range(steps):
        epoch, place = divmod(step, in_epoch)
        if place == 0:
            order = epoch_order(rows, seed, epoch)
        yield order[place * batch_size:(place + 1) * batch_size]


def by_length(rows: np.ndarray, lengths: np.ndarray, tokens: int = MICRO_BATCH_TOKENS) -> Iterator[np.ndarray]:
    """Cuts rows into pieces of like length with about `tokens` tokens each, so that little is padding.

    Args:
      rows: row numbers.
      lengths: length of every row of the set, in tokens.
    """
    rows = rows[np.argsort(lengths[rows], kind="stable")[::-1]]
    while len(rows):
        piece = max(1, round(tokens / lengths[rows[0]]))
        yield rows[:piece]
        rows = rows[piece:]


def map_rows(function: Callable[[Batch], np.ndarray], tokens: Tokens, rows: np.ndarray, outputs: int) -> np.ndarray:
    """What a function gives for batches, float32 [rows, outputs], of every one of these rows, in their order."""
    results = np.empty((len(tokens), outputs), np.float32)
    for chosen in by_length(rows, tokens.lengths, EVALUATION_TOKENS):
        results[chosen] = function(tokens.batch(chosen))
    return results[rows]
