"""A BERT checkpoint in the form of Hugging Face: a folder with config.json, vocab.txt or tokenizer.json, and model.safetensors.

Names in model.safetensors may have the prefix `bert.` or none, and LayerNorm's may end in weight and bias or in gamma and beta.
Heads on top of the encoder are left out.
"""
import hashlib
import json
from pathlib import Path

import numpy as np

from common.inputs.encoder import SIZES, encoder_variables, find_misfit, hugging_face_name

CONFIG, WEIGHTS = "config.json", "model.safetensors"
VOCABULARIES = ("vocab.txt", "tokenizer.json")
PARTS = ("embeddings.", "encoder.", "pooler.")
"""What the names of an encoder's tensors begin with; others are those of heads."""
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
"""Numbers from 0 that older files hold among the weights."""
TANH_GELU = ("gelu_new", "gelu_pytorch_tanh")
DTYPES = ("F32", "F16")
LAYER_NORM_EPSILON = 1e-12
"""What BERT, and this program, compute with."""


def find_files(folder: Path) -> tuple[str, ...]:
    """The files that a run reads: configuration, vocabulary, weights.

    Raises:
      ValueError: one is missing; the text is the end of "cannot be used: ...".
    """
    if not (folder / WEIGHTS).is_file():
        raise ValueError(_say_missing_weights(folder))
    vocabulary = [name for name in VOCABULARIES if (folder / name).is_file()]
    if not vocabulary:
        raise ValueError("it has neither vocab.txt nor tokenizer.json")
    return CONFIG, vocabulary[0], WEIGHTS


def _say_missing_weights(folder: Path) -> str:
    if (folder / f"{WEIGHTS}.index.json").is_file():
        return (f"its weights are divided into several files; make one of them with model.save_pretrained({str(folder)!r}, "
                "max_shard_size='100GB')")
    if (folder / "pytorch_model.bin").is_file():
        return (f"it has no {WEIGHTS}, and its pytorch_model.bin is a pickle, which can run any program when it is opened; if "
                "you trust it, convert it where torch and transformers are installed: python -c \"from transformers import "
                f"AutoModel; AutoModel.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})\"")
    return f"it has no {WEIGHTS}"


def translate_config(config: dict) -> tuple[dict, list[str]]:
    """The bert_config.json that corresponds to a config.json, and what the user has to know about it.

    Raises:
      ValueError: it is the configuration of another architecture; the text is the end of "cannot be used: ...".
    """
    for key, wanted in (("model_type", "bert"), ("position_embedding_type", "absolute"), ("layer_norm_eps", LAYER_NORM_EPSILON)):
        if config.get(key) not in (wanted, None):
            raise ValueError(f"its {CONFIG} has {config[key]!r} as {key}, and this program computes with {wanted!r}")
    activation = config.get("hidden_act", "gelu")
    if activation not in ("gelu", *TANH_GELU):
        raise ValueError(f"its activation {activation!r} is not BERT's gelu")
    notes = ["the checkpoint's config.json asks for the exact GELU (hidden_act gelu); this program computes its tanh form, with "
             "which Google trained BERT: outputs differ by about 0.001"] if activation == "gelu" else []
    return {key: config[key] for key in SIZES} | {"hidden_act": "gelu"}, notes


def check_weights(path: Path, config: dict) -> None:
    """Proves, without reading them, that the weights are whole and fit the configuration.

    Raises:
      ValueError: they do not; the text is the end of "cannot be used: ...".
    """
    with _Tensors(path) as tensors:
        wanted = {hugging_face_name(name): shape for name, shape in encoder_variables(config).items()}
        wanted = {name: shape[::-1] if _is_transposed(name) else shape for name, shape in wanted.items()}
        problem = find_misfit(tensors.shapes(), wanted)
        if problem:
            raise ValueError(problem)
        dtype = next((dtype for name in wanted if (dtype := tensors.dtype(name)) not in DTYPES), None)
        if dtype:
            raise ValueError(f"its weights are {dtype}; save them as float32 with model.float().save_pretrained(...)")


def read_weights(path: Path, config: dict) -> dict[str, np.ndarray]:
    """The encoder's weights, float32, by the names and in the shapes of google-research/bert."""
    with _Tensors(path) as tensors:
        return {name: _turn(hugging_face_name(name), tensors.read(hugging_face_name(name)))
                for name in encoder_variables(config)}


def _turn(name: str, value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value.T) if _is_transposed(name) else value


def _is_transposed(name: str) -> bool:
    """Whether a tensor is a dense layer's weight, [outputs, inputs] here and [inputs, outputs] with Google."""
    return name.endswith(".weight") and not name.endswith(("_embeddings.weight", "LayerNorm.weight"))


def to_tensors(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by the names of google-research/bert as Hugging Face's BertModel names and turns them."""
    return {(new := hugging_face_name(name)): _turn(new, value) for name, value in weights.items()}


def digest_of(folder: Path, config: dict, words: list[str]) -> str:
    """SHA-256 (hex) of what can change a number: sizes, vocabulary and encoder weights, whatever the files call them."""
    digest = hashlib.sha256(json.dumps([{key: config[key] for key in SIZES}, words], sort_keys=True).encode())
    with _Tensors(folder / WEIGHTS) as tensors:
        for name in sorted(map(hugging_face_name, encoder_variables(config))):
            value = tensors.read(name)
            digest.update(f"\n{name} {list(value.shape)} ".encode())
            digest.update(value.astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


class _Tensors:
    """The encoder's tensors of a safetensors file, by their names in BertModel.

    Raises:
      ValueError: the file is torn or none of this format; the text is the end of "cannot be used: ...".
    """

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        try:
            self._file = safe_open(path, framework="np")
        except SafetensorError as error:
            raise ValueError(f"its {path.name} is torn or no safetensors file ({error}); copy or fetch it again") from None
        keys = list(self._file.keys())
        prefix = "bert." if any(key.startswith("bert.") for key in keys) else ""
        self._keys = {_modern(key.removeprefix(prefix)): key for key in keys if key.startswith(prefix)}
        self._keys = {name: key for name, key in self._keys.items() if name.startswith(PARTS) and name not in BUFFERS}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.__exit__(None, None, None)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(self._file.get_slice(key).get_shape()) for name, key in self._keys.items()}

    def dtype(self, name: str) -> str:
        return self._file.get_slice(self._keys[name]).get_dtype()

    def read(self, name: str) -> np.ndarray:
        return self._file.get_tensor(self._keys[name]).astype(np.float32, copy=False)


def _modern(name: str) -> str:
    """The name with LayerNorm's gamma and beta as weight and bias."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
