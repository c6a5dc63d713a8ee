"""The BERT classifier and its optimizer, from TensorFlow Model Garden.

Everything that takes part in a number comes from tf-models-official: the encoder, the classifier on top, AdamW, the
schedule and the conversion of Google's checkpoints. What is added here computes the same in less time: the last layer for
[CLS] alone, and an embedding table of only the rows that the task's text can touch. `common.training.unpadded` calls the
encoder's layers without padding, and `common.training.optimizer` does AdamW's arithmetic in one pass over memory.
"""
import functools
import re

import numpy as np
import tensorflow as tf
import tf_keras
from official.nlp import optimization
from official.nlp.modeling import layers, models, networks

from common import UserError
from common.inputs.batches import seed_of
from common.studies.config import RunConfig

WORDS = "word_embeddings/embeddings"
"""Name of the word embedding table among the encoder's weights."""
HEAD_DEVIATION = 0.02
"""Standard deviation of the head's initial weights (truncated normal), as in google-research/bert."""

as_graph = functools.partial(tf.function, autograph=False)
"""`tf.function` for code without Python control flow over tensors: AutoGraph would read and rewrite it for seconds, in vain."""


@tf.autograph.experimental.do_not_convert
def build_classifier(bert: dict, outputs: int, dropout: float, vocabulary: int | None = None) -> models.BertClassifier:
    """A classifier with weights yet to be set.

    Args:
      bert: bert_config.json of the checkpoint.
      outputs: width of the head; 1 for a regression.
      dropout: rate of every dropout.
      vocabulary: rows of the word embedding table, if fewer than the checkpoint's.

    Returns:
      A model from `input_word_ids`, `input_mask` and `input_type_ids`, int32 [rows, tokens] each, to logits
      float32 [rows, outputs].
    """
    encoder = networks.BertEncoderV2(
        vocab_size=vocabulary or bert["vocab_size"], hidden_size=bert["hidden_size"],
        num_layers=bert["num_hidden_layers"], num_attention_heads=bert["num_attention_heads"],
        inner_dim=bert["intermediate_size"],  # and its default activation, the tanh form of GELU that Google's BERT has
        max_sequence_length=bert["max_position_embeddings"], type_vocab_size=bert["type_vocab_size"],
        output_dropout=dropout, attention_dropout=dropout,
        output_range=1,  # the classifier reads [CLS] alone, so the last layer computes it alone
        name="encoder")
    # BertClassifier puts a dropout before the head, and its own head would put a second one: the recipe has one.
    head = layers.ClassificationHead(inner_dim=0, num_classes=outputs, dropout_rate=0.0, name="head",
                                     initializer=tf_keras.initializers.TruncatedNormal(stddev=HEAD_DEVIATION))
    return models.BertClassifier(encoder, outputs, dropout_rate=dropout, cls_head=head)


def load_weights(model: models.BertClassifier, weights: dict[str, np.ndarray], words: np.ndarray | None = None, *,
                 head: bool = False) -> None:
    """Sets every encoder variable from the weights, and proves it: no variable is left out, no shape differs.

    Args:
      words: the rows of the word embedding table that the model has, where it has not all.
      head: the weights are those of a whole classifier, its head included.

    Raises:
      UserError: a weight is missing, has another shape, or is left over.
    """
    wanted = {_encoder_name(variable): variable for variable in model.variables
              if head or variable.name.startswith("encoder/")}
    given = {name: value for name, value in weights.items()  # an older version left the heads of pretraining in the cache
             if not re.match(r"cls/|bert/cls/|predictions/|global_step", name)}
    for name in wanted.keys() ^ given.keys():
        raise UserError(f"the checkpoint does not fit its bert_config.json: {name} is only in "
                        f"{'the model' if name in wanted else 'the checkpoint'}; give another with --checkpoint")
    for name, variable in wanted.items():
        value = given[name] if words is None or name != WORDS else given[name][words]
        if value.shape != tuple(variable.shape):
            raise UserError(f"the checkpoint does not fit its bert_config.json: {name} has the shape {value.shape}, "
                            f"not {tuple(variable.shape)}; give another with --checkpoint")
        variable.assign(value)


def get_all_weights(model: models.BertClassifier, pretrained: dict[str, np.ndarray], words: np.ndarray, kept: float
                    ) -> dict[str, np.ndarray]:
    """Every weight of a trained classifier by name, with the whole word embedding table.

    Args:
      pretrained: the encoder's weights before training.
      words: the rows of the table that the model has.
      kept: what training leaves of a row without gradient, as a share.
    """
    weights = {_encoder_name(variable): variable.numpy() for variable in model.variables}
    table = (pretrained[WORDS] * kept).astype(np.float32)
    table[words] = weights[WORDS]
    return weights | {WORDS: table}


def decay_without_gradient(config: RunConfig, steps: int) -> float:
    """What this many steps leave of a weight that never has a gradient, as a share.

    Such a weight only decays: AdamW's decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101) takes
    rate x weight decay of it at every step, and Adam's own step is 0 where both moments are.
    """
    schedule = build_schedule(config, steps)
    rates = as_graph(lambda: tf.map_fn(schedule, tf.range(steps), fn_output_signature=tf.float32))()
    return float(np.prod(1 - rates.numpy().astype(np.float64) * config.weight_decay))


def reset_head(model: models.BertClassifier, seed: int) -> None:
    """Gives the head new initial values, a function of the seed alone."""
    kernel, bias = model.classifier.trainable_variables
    kernel.assign(tf.random.stateless_truncated_normal(kernel.shape, [seed, 0], stddev=HEAD_DEVIATION))
    bias.assign(tf.zeros_like(bias))


def head_seed(config: RunConfig, instance: int) -> int:
    """Seed of the head's initial values: the same for one instance number in every configuration, so that
    configurations can be compared in pairs."""
    return seed_of("head", config.seed, instance) >> 1


def build_schedule(config: RunConfig, steps: int):
    """Learning rate as a function of the step: linear warm-up from 0, then polynomial decay (power 1).

    As in Model Garden (and google-research/bert, optimization.py) the decay counts from step 0: where warm-up ends the
    rate drops from the peak to (1 - warmup) times the peak.
    """
    schedule = tf_keras.optimizers.schedules.PolynomialDecay(
        config.peak_learning_rate, steps, config.end_learning_rate, power=1.0)
    warmup = int(config.warmup * steps)
    return optimization.WarmUp(config.peak_learning_rate, schedule, warmup) if warmup else schedule


def build_optimizer(config: RunConfig, steps: int) -> optimization.AdamWeightDecay:
    """AdamW with the settings of the configuration; its weight decay leaves out LayerNorm and biases."""
    return optimization.AdamWeightDecay(
        learning_rate=build_schedule(config, steps), weight_decay_rate=config.weight_decay, beta_1=config.beta_1,
        beta_2=config.beta_2, epsilon=config.epsilon, gradient_clip_norm=config.clip_norm,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"])


def _encoder_name(variable) -> str:
    return variable.name.removeprefix("encoder/").removesuffix(":0")
