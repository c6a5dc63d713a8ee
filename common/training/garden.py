"""The one place that reaches into private members of TensorFlow Model Garden and Keras.

The unpadded forward pass needs the layers inside Model Garden's encoder, and the faster AdamW asks Model Garden's own which
weights decay; neither has a public name. With a version of the packages that calls them otherwise, everything here fails with
one sentence that names the missing member.
"""
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import tensorflow as tf

from common import UserError

PACKAGES = {"official": "tf-models-official", "tf_keras": "tf-keras"}
"""Module -> the package that it comes with."""


@dataclass(frozen=True)
class Attention:
    """The parts of Keras' MultiHeadAttention; query, key, value and output are EinsumDense layers."""

    query: Callable
    key: Callable
    value: Callable
    output: Callable
    key_width: int
    softmax: Callable
    """(scores, mask) -> weights"""
    dropout: Callable


@dataclass(frozen=True)
class Block:
    """The parts of one encoder layer, a TransformerEncoderBlock."""

    attention: Attention
    attention_dropout: Callable
    attention_norm: Callable
    intermediate: Callable
    output: Callable
    output_dropout: Callable
    output_norm: Callable


@dataclass(frozen=True)
class Encoder:
    """The parts of a BertEncoderV2."""

    words: tf.Variable
    """float32 [words, hidden]"""
    positions: tf.Variable
    """float32 [longest input, hidden]"""
    types: Callable
    norm: Callable
    dropout: Callable
    blocks: Sequence[Block]
    pooler: Callable
    hidden_size: int
    heads: int


def open_encoder(model) -> Encoder:
    """The layers of the BertEncoderV2 inside a BertClassifier.

    Raises:
      UserError: the installed version does not have a member that this program uses.
    """
    encoder = get_member(model, "_network")
    settings = get_member(encoder, "_config")
    return Encoder(
        words=get_member(get_member(encoder, "_embedding_layer"), "embeddings"),
        positions=get_member(get_member(encoder, "_position_embedding_layer"), "_position_embeddings"),
        types=get_member(encoder, "_type_embedding_layer"),
        norm=get_member(encoder, "_embedding_norm_layer"),
        dropout=get_member(encoder, "_embedding_dropout"),
        blocks=[_open_block(block) for block in get_member(encoder, "_transformer_layers")],
        pooler=get_member(encoder, "_pooler_layer"),
        hidden_size=settings["hidden_size"],
        heads=settings["num_attention_heads"])


def _open_block(block) -> Block:
    attention = get_member(block, "_attention_layer")
    return Block(
        attention=Attention(
            query=get_member(attention, "_query_dense"), key=get_member(attention, "_key_dense"),
            value=get_member(attention, "_value_dense"), output=get_member(attention, "_output_dense"),
            key_width=get_member(attention, "_key_dim"), softmax=get_member(attention, "_masked_softmax"),
            dropout=get_member(attention, "_dropout_layer")),
        attention_dropout=get_member(block, "_attention_dropout"),
        attention_norm=get_member(block, "_attention_layer_norm"),
        intermediate=get_member(block, "_intermediate_dense"),
        output=get_member(block, "_output_dense"),
        output_dropout=get_member(block, "_output_dropout"),
        output_norm=get_member(block, "_output_layer_norm"))


def where_layers(model) -> list:
    """All layers of a model, those within other layers too, in a fixed order."""
    return list(get_member(model, "_flatten_layers")())


def create_slots(optimizer, variables: list) -> None:
    """Creates the optimizer's variables now; otherwise they appear at the first step, too late to be restored."""
    get_member(optimizer, "_create_all_weights")(variables)


def where_weight_decay(optimizer, variables: list) -> list[bool]:
    """For each variable, whether Model Garden's AdamW decays it."""
    decays = get_member(optimizer, "_do_use_weight_decay")
    return [decays(variable.name) for variable in variables]


def get_member(owner, name: str):
    """A private member of an object or class of Model Garden or Keras.

    Raises:
      UserError: it has none of this name.
    """
    try:
        return getattr(owner, name)
    except AttributeError:
        kind = owner if isinstance(owner, type) else type(owner)
        raise UserError(f"{_installed(kind)} has no {kind.__name__}.{name}, which this program uses; "
                        "install the versions that requirements.lock names") from None


def _installed(kind: type) -> str:
    """Name and version of the package that a class comes with."""
    package = PACKAGES.get(kind.__module__.partition(".")[0], kind.__module__)
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package
