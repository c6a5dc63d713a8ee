"""A checkpoint's weights, of either form, by the names and in the shapes of Model Garden's BertEncoderV2, and back."""
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from official.nlp.tools import tf1_bert_checkpoint_converter_lib as converter

from common import UserError
from common.files import make_once, write_arrays
from common.inputs import hugging_face
from common.inputs.checkpoint import Checkpoint
from common.inputs.download import disk_errors_told
from common.inputs.encoder import encoder_variables, find_misfit


@disk_errors_told()
def get_weights(checkpoint: Checkpoint, cache: Path) -> dict[str, np.ndarray]:
    """A checkpoint's encoder weights by the names that Model Garden's BertEncoderV2 gives them.

    Converted once and cached by the checkpoint's digest; heads on top of the encoder and an optimizer's variables are left out.

    Raises:
      UserError: the weights cannot be read, or do not fit the checkpoint's configuration.
    """
    path = cache / "weights" / f"{checkpoint.digest}.npz"
    make_once(path, lambda: write_arrays(path, _convert(checkpoint)))
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _convert(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    if checkpoint.is_hugging_face:
        return arrange(hugging_face.read_weights(checkpoint.weights, checkpoint.config), checkpoint.config)
    try:
        return _convert_google(checkpoint)
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:  # IndexError: the file of weights is cut
        raise UserError(f"the weights of the checkpoint {checkpoint.name} cannot be read ({str(error).splitlines()[0]}); copy or "
                        "fetch it again, or give another with --checkpoint") from error


def _convert_google(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """By Model Garden's own converter.

    Raises:
      UserError: the variables are not those of the encoder.
    """
    found = tf.train.load_checkpoint(str(checkpoint.weights)).get_variable_to_shape_map()
    encoder, others = _divide(found)
    problem = find_misfit(encoder, encoder_variables(checkpoint.config))
    if problem:
        raise UserError(f"the checkpoint {checkpoint.name} does not fit its bert_config.json: {problem}; give another with "
                        "--checkpoint")
    with tempfile.TemporaryDirectory() as folder:
        target = f"{folder}/converted"
        converter.convert(str(checkpoint.weights), target, checkpoint.config["num_attention_heads"],
                          converter.BERT_V2_NAME_REPLACEMENTS, converter.BERT_V2_PERMUTATIONS, others)
        reader = tf.train.load_checkpoint(target)
        return {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}


def _divide(found: dict[str, list[int]]) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """The encoder's variables in a checkpoint with their shapes, and the names of the others: heads, step counters, and the slots
    of an optimizer, which are called `<variable>/<slot>`."""
    encoder = {name: tuple(shape) for name, shape in found.items()
               if name.startswith("bert/") and name.rpartition("/")[0] not in found}
    return encoder, sorted(found.keys() - encoder.keys())


def garden_name(variable: str) -> str:
    """The name in BertEncoderV2 of a variable of google-research/bert."""
    for old, new in converter.BERT_V2_NAME_REPLACEMENTS:
        variable = variable.replace(old, new)
    return variable


def arrange(weights: dict[str, np.ndarray], config: dict) -> dict[str, np.ndarray]:
    """Weights by the names of google-research/bert in Model Garden's names and shapes, whose attention has an axis for heads."""
    return {(name := garden_name(variable)): value.reshape(_shape_with_heads(name, value.shape, config["num_attention_heads"]))
            for variable, value in weights.items()}


def arrange_back(weights: dict[str, np.ndarray], config: dict) -> dict[str, np.ndarray]:
    """The inverse of `arrange`; what is not the encoder's is left out."""
    return {variable: weights[garden_name(variable)].reshape(shape) for variable, shape in encoder_variables(config).items()}


def _shape_with_heads(name: str, shape: tuple[int, ...], heads: int) -> tuple[int, ...]:
    part = "/".join(name.split("/")[-3:])
    if part == "self_attention/attention_output/kernel":
        return heads, shape[0] // heads, shape[1]
    if part.startswith(("self_attention/query/", "self_attention/key/", "self_attention/value/")):
        return *shape[:-1], heads, shape[-1] // heads
    return shape
