"""The classifier's forward pass without padding: the layers and weights of Model Garden's model, on the tokens alone.

In a padded batch the dense layers, GELU, dropout and LayerNorm compute as much for [PAD] as for words, and nothing of it
reaches a logit. Here the tokens of all rows are laid end to end as if they were one row, float32 [1, tokens, hidden]; only
attention, which needs to know where a row ends, is given its queries, keys and values in rows. Logits, gradients and
dropout masks are those of the padded model up to rounding (tests/test_model.py).
"""
import math
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras

from common.training.garden import Attention, Block, Encoder, open_encoder
from common.training.masks import Masks


def classify(model, inputs: Sequence[tf.Tensor], dtype: str = "float32",
             draw_masks: Callable[[tf.Tensor], Masks] | None = None) -> tf.Tensor:
    """What `model` gives for a padded batch.

    Args:
      model: a classifier of `common.training.model.build_classifier`, whose last layer computes [CLS] alone.
      inputs: ids, mask and types, int32 [rows, longest] each.
      dtype: number format of the dense layers' products; everything else is float32.
      draw_masks: size of the largest mask -> masks of the model's dropouts; None: dropout is off.

    Returns:
      Logits, float32 [rows, outputs].
    """
    ids, mask, types = inputs
    layout, encoder = Layout(mask), open_encoder(model)
    *inner, last = encoder.blocks
    largest = layout.rows * layout.longest * tf.maximum(encoder.hidden_size, encoder.heads * layout.longest)
    forward = Forward(layout, draw_masks and draw_masks(largest), tf.as_dtype(dtype))
    hidden = forward.embed(encoder, layout.to_tokens(ids), layout.to_tokens(types))
    for block in inner:
        hidden = forward.transform(block, hidden)
    cls = forward.transform_cls(last, hidden)
    (dropout,) = (layer for layer in model.layers if isinstance(layer, tf_keras.layers.Dropout))
    return model.classifier(forward.drop(dropout, encoder.pooler(cls)))


class Layout:
    """Where the tokens of a padded batch are.

    Attributes:
      mask: int32 [rows, longest], 1 for tokens.
      slots: int32 [tokens], place of every token among the rows x longest places of the batch.
      tokens: int32 [rows, longest], number of the token at every place; of some other token where there is padding.
      positions: int32 [tokens], place of every token in its row.
      firsts: int32 [rows], number of every row's [CLS] among the tokens.
    """

    def __init__(self, mask: tf.Tensor):
        self.mask = mask
        self.rows, self.longest = tf.unstack(tf.shape(mask))
        self.slots = tf.cast(tf.where(tf.reshape(mask, [-1]) > 0)[:, 0], tf.int32)
        self.tokens = tf.reshape(tf.maximum(tf.cumsum(tf.reshape(mask, [-1])) - 1, 0), [self.rows, self.longest])
        self.positions = self.slots % self.longest
        self.firsts = tf.cumsum(tf.reduce_sum(mask, axis=1), exclusive=True)

    def to_tokens(self, values: tf.Tensor) -> tf.Tensor:
        """[rows, longest, ...] -> [1, tokens, ...]"""
        return tf.gather(tf.reshape(values, [self.rows * self.longest, *values.shape[2:]]), self.slots)[None]

    def to_heads(self, values: tf.Tensor) -> tf.Tensor:
        """[1, tokens, heads, width] -> [rows, heads, longest, width], with the values of some token where there is padding.

        Attention gives padding the weight 0, so no gradient comes back from there: that of the values is a gather, too.
        """
        _, _, heads, width = values.shape
        places, slots = self.tokens[:, None] * heads + tf.range(heads)[:, None], self._head_slots(heads)

        @tf.custom_gradient
        def take(flat):
            return tf.gather(flat, places), lambda gradient: tf.gather(tf.reshape(gradient, [-1, width]), slots)

        return take(tf.reshape(values, [-1, width]))

    def from_heads(self, values: tf.Tensor) -> tf.Tensor:
        """[rows, heads, longest, width] -> [1, tokens, heads, width]"""
        _, heads, _, width = values.shape
        slots = self._head_slots(heads)

        @tf.custom_gradient
        def take(flat):  # every place is taken once, so that nothing has to be added up; padding gets the gradient 0
            return tf.gather(flat, slots), lambda gradient: tf.scatter_nd(slots[:, None], gradient, tf.shape(flat))

        return tf.reshape(take(tf.reshape(values, [-1, width])), [1, -1, heads, width])

    def _head_slots(self, heads: int) -> tf.Tensor:
        """int32 [tokens x heads], place of every token's head among the rows x heads x longest places."""
        row = self.slots // self.longest
        return tf.reshape(((row * heads)[:, None] + tf.range(heads)) * self.longest + self.positions[:, None], [-1])


class Forward:
    """One forward pass through the layers of Model Garden's encoder.

    Args:
      layout: where the tokens are.
      masks: those of the dropouts; None: dropout is off.
      dtype: number format of the dense layers' products.
    """

    def __init__(self, layout: Layout, masks: Masks | None, dtype: tf.DType):
        self.layout, self.masks, self.dtype = layout, masks, dtype

    def embed(self, encoder: Encoder, ids: tf.Tensor, types: tf.Tensor) -> tf.Tensor:
        """Word, position and type embeddings of int32 [1, tokens], normalised: float32 [1, tokens, hidden]."""
        positions = encoder.positions[:self.layout.longest]
        # Read whole, which costs nothing: after a lookup in the variable itself TensorFlow copies it at every other read.
        words = tf.gather(encoder.words.read_value(), ids)
        embedded = words + tf.gather(positions, self.layout.positions) + encoder.types(types)
        return self._drop_tokens(encoder.dropout, _normalize(encoder.norm, embedded))

    def transform(self, block: Block, hidden: tf.Tensor) -> tf.Tensor:
        """An encoder layer (TransformerEncoderBlock.call) for all tokens, float32 [1, tokens, hidden]."""
        attention = block.attention
        query = self.layout.to_heads(self._dense(attention.query, hidden))
        attended = self._dense(attention.output, self.layout.from_heads(self._attend(attention, query, hidden)))
        hidden = _normalize(block.attention_norm, hidden + self._drop_tokens(block.attention_dropout, attended))
        output = self._drop_tokens(block.output_dropout, self._feed_forward(block, hidden))
        return _normalize(block.output_norm, hidden + output)

    def transform_cls(self, block: Block, hidden: tf.Tensor) -> tf.Tensor:
        """The last encoder layer for [CLS] alone, float32 [rows, hidden]; keys and values are those of all tokens."""
        attention = block.attention
        cls = tf.gather(tf.squeeze(hidden, 0), self.layout.firsts)[:, None]
        query = tf.transpose(self._dense(attention.query, cls), [0, 2, 1, 3])
        attended = tf.transpose(self._attend(attention, query, hidden), [0, 2, 1, 3])
        attended = self.drop(block.attention_dropout, self._dense(attention.output, attended))
        cls = _normalize(block.attention_norm, cls + attended)
        output = self.drop(block.output_dropout, self._feed_forward(block, cls))
        return _normalize(block.output_norm, cls + output)[:, 0]

    def _attend(self, attention: Attention, query: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        """MultiHeadAttention._compute_attention of queries, float32 [rows, heads, places, width], to all tokens."""
        key, value = (self.layout.to_heads(self._dense(layer, hidden))
                      for layer in (attention.key, attention.value))
        scores = tf.matmul(query * (1 / math.sqrt(attention.key_width)), key, transpose_b=True)
        weights = attention.softmax(scores, self.layout.mask[:, None])
        return tf.matmul(self.drop(attention.dropout, weights), value)

    def _feed_forward(self, block: Block, hidden: tf.Tensor) -> tf.Tensor:
        return self._dense(block.output, gelu(self._dense(block.intermediate, hidden)))

    def _dense(self, layer, values: tf.Tensor) -> tf.Tensor:
        """An EinsumDense as one matrix product, in the number format asked for; the sum with the bias is in float32.

        TensorFlow computes product and bias in one pass where they are a matrix and a vector.
        """
        width = layer.bias.shape.num_elements()
        kernel = tf.reshape(layer.kernel, [-1, width])
        flat = tf.reshape(values, [-1, kernel.shape[0]])
        if self.dtype == tf.float32:
            product = tf.matmul(flat, kernel)
        else:
            product = tf.cast(tf.matmul(tf.cast(flat, self.dtype), tf.cast(kernel, self.dtype)), tf.float32)
        result = tf.nn.bias_add(product, tf.reshape(layer.bias, [width]))
        return tf.reshape(result, [*tf.unstack(tf.shape(values)[:2]), *layer.bias.shape])

    def drop(self, layer, values: tf.Tensor) -> tf.Tensor:
        """Dropout of values that the padded model has in the same shape."""
        return values if self.masks is None else values * self.masks.take(layer, tf.shape(values))

    def _drop_tokens(self, layer, values: tf.Tensor) -> tf.Tensor:
        """Dropout of [1, tokens, width] with the mask of the padded batch."""
        if self.masks is None:
            return values
        padded = [self.layout.rows * self.layout.longest, values.shape[-1]]
        return values * self.masks.take(layer, padded, self.layout.slots)


@tf.custom_gradient
def gelu(x: tf.Tensor):
    """The tanh form of GELU that Google's BERT and Model Garden have, with its derivative in fewer passes over memory.

    Hendrycks, Gimpel 2016, arXiv 1606.08415.
    """
    scale = 2 * math.sqrt(2 / math.pi)
    square = x * x
    gate = tf.sigmoid(x * (scale + scale * 0.044715 * square))  # 0.5 + 0.5 tanh(z) is the logistic function of 2 z

    def gradient(upstream):
        slope = tf.raw_ops.SigmoidGrad(y=gate, dy=x) * (scale + 3 * scale * 0.044715 * square)
        return upstream * (gate + slope)

    return x * gate, gradient


def _normalize(layer, x: tf.Tensor) -> tf.Tensor:
    """LayerNormalization over the last axis."""
    return _standardize(x, layer.epsilon) * layer.gamma + layer.beta


def _standardize(x: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Zero mean and unit variance over the last axis, with its gradient in fewer passes over memory.

    Ba, Kiros, Hinton 2016, arXiv 1607.06450.
    """
    @tf.custom_gradient
    def standardize(x):
        centered = x - tf.reduce_mean(x, -1, keepdims=True)
        inverse = tf.math.rsqrt(tf.reduce_mean(centered * centered, -1, keepdims=True) + epsilon)
        result = centered * inverse

        def gradient(upstream):
            share = tf.reduce_mean(upstream * result, -1, keepdims=True)
            return inverse * (upstream - tf.reduce_mean(upstream, -1, keepdims=True) - result * share)

        return result, gradient

    return standardize(x)
