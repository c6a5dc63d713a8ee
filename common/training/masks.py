"""Dropout masks: bit for bit those that TensorFlow's own generator draws, in a fraction of the time.

TensorFlow draws one number after the other. The same algorithm written as whole-array operations becomes vector instructions
under XLA: Philox4x32-10 of Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""
import math

import numpy as np
import tensorflow as tf

from common.training.garden import where_layers

BLOCKS = 1 << 13
"""Blocks of four words that every dropout gets at once; XLA compiles for this size alone, and more is drawn by repeating."""
ROUNDS = 10
FACTORS, KEY_STEPS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
MANTISSA = 23
"""Bits of a word that make TensorFlow's uniform number in [0, 1)."""


def find_dropouts(model) -> list:
    """The layers of a model that drop something, all of one rate; a layer's masks depend on its place in the list."""
    return [layer for layer in where_layers(model) if type(layer).__name__ == "Dropout" and layer.rate > 0]


class Masks:
    """The masks of one piece of a batch: a function of these numbers, so that no state of theirs has to be saved.

    Those of the dropout number n are what a tf.random.Generator draws that has the Philox key seed x 1024 + n and the counter
    [0, step x 65536 + piece].

    Args:
      dropouts: of `find_dropouts`.
      seed, step, piece: int64 scalars.
      size: numbers in the largest mask, int32 scalar.
    """

    def __init__(self, dropouts: list, seed: tf.Tensor, step: tf.Tensor, piece: tf.Tensor, size: tf.Tensor):
        self._numbers = {id(layer): number for number, layer in enumerate(dropouts)}
        self._scale = 1 / (1 - dropouts[0].rate)
        keys = tf.cast(seed * 1024 + tf.range(len(dropouts), dtype=tf.int64), tf.uint64)
        counter = tf.cast(step * 65536 + piece, tf.uint64)
        least = tf.constant(math.ceil(np.float32(dropouts[0].rate) * 2 ** MANTISSA), tf.uint32)
        self._kept = tf.map_fn(lambda first: _draw(tf.cast(first, tf.uint32), counter, keys, least),
                               tf.range(0, (size + 3) // 4, BLOCKS),
                               fn_output_signature=tf.TensorSpec([len(dropouts), BLOCKS], tf.uint32))

    def take(self, dropout, shape: tf.Tensor, places: tf.Tensor | None = None) -> tf.Tensor:
        """The factors of a dropout, 0 or 1 / (1 - rate): float32 of this shape, or its rows at these places."""
        kept = tf.reshape(tf.bitcast(self._kept[:, self._numbers[id(dropout)]], tf.uint8), [-1])
        kept = tf.reshape(kept[:tf.reduce_prod(shape)], shape)
        return tf.cast(kept if places is None else tf.gather(kept, places), tf.float32) * self._scale


@tf.function(jit_compile=True, autograph=False)
def _draw(first: tf.Tensor, counter: tf.Tensor, keys: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    """uint32 [keys, BLOCKS] of four bytes each: 1 where a word's uniform number is at least the rate, else 0."""
    index = (tf.cast(tf.range(BLOCKS), tf.uint32) + first)[None]
    words = _philox(index, counter, keys[:, None])
    kept = [tf.where((word & tf.constant(2 ** MANTISSA - 1, tf.uint32)) >= least, tf.constant(1 << 8 * byte, tf.uint32),
                     tf.constant(0, tf.uint32)) for byte, word in enumerate(words)]  # bytes from the lowest up, as in memory
    return kept[0] | kept[1] | kept[2] | kept[3]


def _philox(index: tf.Tensor, counter: tf.Tensor, key: tf.Tensor) -> list[tf.Tensor]:
    """The four words, uint32 each, that Philox makes of every 128-bit counter (index, 0, counter) under a 64-bit key."""
    (counter_high, counter_low), keys = _halve(counter), _halve(key)[::-1]
    words = [index, tf.zeros_like(index), counter_low, counter_high]
    for _ in range(ROUNDS):
        (high_0, low_0), (high_2, low_2) = (_halve(tf.cast(words[place], tf.uint64) * tf.constant(factor, tf.uint64))
                                            for place, factor in zip((0, 2), FACTORS, strict=True))
        words = [high_2 ^ words[1] ^ keys[0], low_2, high_0 ^ words[3] ^ keys[1], low_0]
        keys = [key + tf.constant(step, tf.uint32) for key, step in zip(keys, KEY_STEPS, strict=True)]
    return words


def _halve(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """High and low 32 bits of uint64."""
    high = tf.bitwise.right_shift(number, tf.constant(32, tf.uint64) + tf.zeros_like(number))
    return tf.cast(high, tf.uint32), tf.cast(number, tf.uint32)
