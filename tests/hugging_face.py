"""Writes checkpoints as transformers does, by names spelt out here and not by those of the program."""
import json

import numpy as np
from safetensors.numpy import save_file

LAYER = {"attention/self/query": "attention.self.query", "attention/self/key": "attention.self.key",
         "attention/self/value": "attention.self.value", "attention/output/dense": "attention.output.dense",
         "intermediate/dense": "intermediate.dense", "output/dense": "output.dense"}


def write_folder(folder, get, config, words, *, prefix="bert.", norm=("weight", "bias"), change=None, dtype=np.float32):
    """A folder of BertForPreTraining with the weights that `get` has by the names of google-research/bert.

    Args:
      config: bert_config.json of the same model.
      prefix: what the encoder's names begin with.
      norm: what the two weights of a LayerNorm are called.
      change: called with the tensors before they are written.
    """
    tensors = {"embeddings.position_ids": np.arange(config["max_position_embeddings"])[None]}

    def dense(theirs, ours):
        tensors[f"{theirs}.weight"], tensors[f"{theirs}.bias"] = get(f"bert/{ours}/kernel").T, get(f"bert/{ours}/bias")

    def layer_norm(theirs, ours):
        tensors[f"{theirs}.{norm[0]}"] = get(f"bert/{ours}/LayerNorm/gamma")
        tensors[f"{theirs}.{norm[1]}"] = get(f"bert/{ours}/LayerNorm/beta")

    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        tensors[f"embeddings.{name}.weight"] = get(f"bert/embeddings/{name}")
    layer_norm("embeddings.LayerNorm", "embeddings")
    for layer in range(config["num_hidden_layers"]):
        for ours, theirs in LAYER.items():
            dense(f"encoder.layer.{layer}.{theirs}", f"encoder/layer_{layer}/{ours}")
        for place in ("attention/output", "output"):
            layer_norm(f"encoder.layer.{layer}.{place.replace('/', '.')}.LayerNorm", f"encoder/layer_{layer}/{place}")
    dense("pooler.dense", "pooler/dense")
    tensors = {prefix + name: np.ascontiguousarray(value) for name, value in tensors.items()}
    tensors |= {"cls.predictions.bias": np.zeros(len(words), np.float32),
                "cls.seq_relationship.weight": np.zeros((2, config["hidden_size"]), np.float32)}
    tensors = {name: value.astype(dtype) if value.dtype == np.float32 else value for name, value in tensors.items()}
    if change:
        change(tensors)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    about = config | {"model_type": "bert", "architectures": ["BertForPreTraining"], "hidden_act": "gelu",
                      "layer_norm_eps": 1e-12, "transformers_version": "4.57.0"}
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "model_max_length": 512}')
    return folder


def write_tokenizer_json(folder, words, **normalizer):
    """tokenizer.json in place of vocab.txt."""
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(
        {"normalizer": {"type": "BertNormalizer", "lowercase": True} | normalizer,
         "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {word: number for number, word in enumerate(words)}}}))
