"""The folder of a fine-tuned classifier, in the form that Hugging Face's transformers loads:

    config.json, model.safetensors, vocab.txt, tokenizer_config.json
    classifier.json     what was trained, how texts are encoded, what the outputs mean, and the digest of the weights

`transformers.AutoModelForSequenceClassification.from_pretrained` and `AutoTokenizer.from_pretrained` take the folder as it is.
Folders of format 1, which hold weights.npz and bert_config.json instead, are read as well.
"""
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import UserError
from common.files import new_folder, sha256_of
from common.inputs import hugging_face
from common.inputs.encoder import SIZES
from common.inputs.vocabulary import read_vocabulary

FORMAT = 2
"""Raised when a folder's files change their meaning."""
PARTS = ("classifier.json", "config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt")
PARTS_OF_FORMAT_1 = ("classifier.json", "bert_config.json", "vocab.txt", "weights.npz")
HEAD = {"classifier.weight": "head/logits/kernel", "classifier.bias": "head/logits/bias"}
"""Names of the head's weights in transformers' BertForSequenceClassification and in Model Garden's classifier."""


@dataclass(frozen=True)
class SavedClassifier:
    """What a classifier's folder holds."""

    about: dict
    """The content of classifier.json."""
    bert: dict
    """The content of a bert_config.json."""
    vocabulary: Path
    weights: dict[str, np.ndarray]
    """float32 by Model Garden's names, those of the head with them."""


def write_classifier(saved: SavedClassifier, folder: Path) -> None:
    """Writes a folder that appears whole or not at all, in the place of an older one."""
    from safetensors.numpy import save_file

    from common.training.weights import arrange_back

    tensors = {f"bert.{name}": value for name, value
               in hugging_face.to_tensors(arrange_back(saved.weights, saved.bert)).items()}
    tensors |= {name: np.ascontiguousarray(saved.weights[ours].T) for name, ours in HEAD.items()}
    words = read_vocabulary(saved.vocabulary)
    with new_folder(folder) as new:
        save_file(tensors, new / "model.safetensors", metadata={"format": "pt"})  # transformers refuses files without it
        (new / "vocab.txt").write_text("".join(f"{word}\n" for word in words), "utf-8")
        _write_json(new / "config.json", _make_config(saved, words))
        _write_json(new / "tokenizer_config.json", {
            "tokenizer_class": "BertTokenizer", "do_lower_case": saved.about["lower_case"],
            "model_max_length": saved.about["max_length"]})
        _write_json(new / "classifier.json", saved.about | {"weights_sha256": sha256_of(new / "model.safetensors")})


def _make_config(saved: SavedClassifier, words: list[str]) -> dict:
    """The config.json of transformers' BertForSequenceClassification."""
    labels, dropout = saved.about["labels"], saved.about["config"]["dropout"]
    names = labels or ["score"]
    return {"architectures": ["BertForSequenceClassification"], "model_type": "bert",
            **{key: saved.bert[key] for key in SIZES},
            "hidden_act": "gelu_new",  # the tanh form
            "layer_norm_eps": hugging_face.LAYER_NORM_EPSILON, "position_embedding_type": "absolute", "initializer_range": 0.02,
            "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "classifier_dropout": dropout,
            "pad_token_id": words.index("[PAD]"), "torch_dtype": "float32",
            "problem_type": "single_label_classification" if labels else "regression",
            "id2label": {str(number): name for number, name in enumerate(names)},
            "label2id": {name: number for number, name in enumerate(names)}}


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")


def read_classifier(folder: Path) -> SavedClassifier:
    """What `write_classifier` wrote, here or in an older version.

    Raises:
      UserError: the folder holds no classifier, is damaged, or was written by a newer version.
    """
    parts = PARTS_OF_FORMAT_1 if (folder / "weights.npz").is_file() else PARTS
    missing = [name for name in parts if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} is not a saved classifier: it has no {missing[0]}; give a folder that --save-models made")
    about, config = _read_jsons(folder, parts)
    if about["format"] > FORMAT:
        raise UserError(f"the classifier {folder} has the format {about['format']}, this program knows {FORMAT}; update the "
                        "program")
    if sha256_of(folder / ("weights.npz" if parts is PARTS_OF_FORMAT_1 else "model.safetensors")) != about["weights_sha256"]:
        raise UserError(f"the weights of the classifier {folder} are damaged (another SHA-256); delete it and call "
                        "again with --save-models")
    bert = config if parts is PARTS_OF_FORMAT_1 else hugging_face.translate_config(config)[0]
    return SavedClassifier(about, bert, folder / "vocab.txt", _read_weights(folder, bert))


def _read_jsons(folder: Path, parts: tuple[str, ...]) -> tuple[dict, dict]:
    """The contents of classifier.json and of the configuration."""
    try:
        about, config = (json.loads((folder / name).read_text("utf-8")) for name in parts[:2])
        if type(about["format"]) is int and about["weights_sha256"] and all(key in config for key in SIZES):
            return about, config
    except (ValueError, KeyError, TypeError):
        pass
    raise UserError(f"{folder} is not a saved classifier: its JSON files are damaged; delete it and call again with "
                    "--save-models")


def _read_weights(folder: Path, bert: dict) -> dict[str, np.ndarray]:
    if (folder / "weights.npz").is_file():
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            return dict(arrays)
    from safetensors import safe_open

    from common.training.weights import arrange

    weights = arrange(hugging_face.read_weights(folder / "model.safetensors", bert), bert)
    with safe_open(folder / "model.safetensors", framework="np") as file:
        return weights | {ours: np.ascontiguousarray(file.get_tensor(name).T) for name, ours in HEAD.items()}
