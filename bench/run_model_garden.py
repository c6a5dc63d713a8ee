"""Contestant: Model Garden's BERT classifier and optimizer under Keras fit, every row padded to 128 tokens."""
import json
import os
import sys
import time
from pathlib import Path

from contestant import LEARNING_RATE, Rows, answer_orders

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def make_work(folder: Path):
    """The function that answers orders."""
    import tensorflow as tf
    import tf_keras
    from official.nlp import optimization
    from official.nlp.modeling import models, networks

    bert = json.loads((folder / "bert_config.json").read_text())
    sets = {name: Rows(folder, name) for name in ("train", "dev")}

    def dataset(name: str, rows: list[int], batch_size: int):
        arrays = sets[name].padded(rows)
        inputs = {"input_word_ids": arrays["ids"], "input_mask": arrays["mask"], "input_type_ids": arrays["types"]}
        return tf.data.Dataset.from_tensor_slices((inputs, arrays["labels"])).batch(batch_size).prefetch(2)

    def work(order: dict) -> dict:
        encoder = networks.BertEncoder(
            vocab_size=bert["vocab_size"], hidden_size=bert["hidden_size"], num_layers=bert["num_hidden_layers"],
            num_attention_heads=bert["num_attention_heads"], inner_dim=bert["intermediate_size"],
            max_sequence_length=bert["max_position_embeddings"], type_vocab_size=bert["type_vocab_size"])
        model = models.BertClassifier(encoder, num_classes=2)
        steps = (len(order["warmup"]) + len(order["train"])) // order["batch_size"]
        model.compile(optimization.create_optimizer(LEARNING_RATE, steps, steps // 10),
                      tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        model.fit(dataset("train", order["warmup"], order["batch_size"]), verbose=0)
        evaluated = dataset("dev", order["evaluate"], order["batch_size"])
        model.evaluate(evaluated, verbose=0)  # traces the graph, which later epochs do not
        began = time.perf_counter()
        model.fit(dataset("train", order["train"], order["batch_size"]), verbose=0)
        trained = time.perf_counter()
        model.evaluate(evaluated, verbose=0)
        return {"training": trained - began, "evaluation": time.perf_counter() - trained}

    return work


if __name__ == "__main__":
    answer_orders(make_work(Path(sys.argv[1])))
