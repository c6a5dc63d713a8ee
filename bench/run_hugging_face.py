"""Contestant: Hugging Face transformers on PyTorch, as run_glue.py sets its Trainer up.

    run_hugging_face.py INPUT fixed      padding to 128 tokens, the default of run_glue.py
    run_hugging_face.py INPUT dynamic    padding to the longest row of the batch (--pad_to_max_length False)
    run_hugging_face.py INPUT single     the same on one thread; speed.py starts one for each core
    run_hugging_face.py INPUT compiled   the same under torch.compile; what compiles is not timed
"""
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from contestant import LEARNING_RATE, MAX_LENGTH, Rows, answer_orders
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)


class Stopwatch(TrainerCallback):
    """Starts after the warm-up steps."""

    def __init__(self, warmup: int):
        self.warmup, self.began = warmup, None

    def on_step_end(self, arguments, state, control, **_):
        if state.global_step == self.warmup:
            self.began = time.perf_counter()


def make_work(folder: Path, way: str):
    """The function that answers orders."""
    dynamic = way != "fixed"
    if way in ("single", "compiled"):
        torch.set_num_threads(1)
    bert = json.loads((folder / "bert_config.json").read_text())
    config = BertConfig(**bert | {"hidden_act": "gelu_new", "num_labels": 2})  # Google's tanh form of GELU
    sets = {name: Rows(folder, name) for name in ("train", "dev")}

    def encode(name: str, rows: list[int]) -> list[dict]:
        encoded = [sets[name].encode(row) for row in rows]
        for row in encoded:
            length = len(row["input_ids"]) if dynamic else MAX_LENGTH
            filler = [0] * (length - len(row["input_ids"]))
            row["attention_mask"] = [1] * len(row["input_ids"]) + filler
            row["input_ids"], row["token_type_ids"] = row["input_ids"] + filler, row["token_type_ids"] + filler
        return encoded

    def work(order: dict) -> dict:
        torch.manual_seed(0)
        stopwatch = Stopwatch(len(order["warmup"]) // order["batch_size"])
        with tempfile.TemporaryDirectory() as output:
            arguments = TrainingArguments(
                output, per_device_train_batch_size=order["batch_size"], learning_rate=LEARNING_RATE, num_train_epochs=1,
                use_cpu=True, save_strategy="no", report_to=[], disable_tqdm=True, torch_compile=way == "compiled")
            trainer = Trainer(BertForSequenceClassification(config), arguments,
                              data_collator=pad_batch if dynamic else default_data_collator,
                              train_dataset=encode("train", order["warmup"] + order["train"]),
                              eval_dataset=encode("dev", order["evaluate"]), callbacks=[stopwatch])
            if way == "compiled":
                trainer.evaluate()
            trainer.train()
            trained = time.perf_counter()
            trainer.evaluate()
        return {"training": trained - stopwatch.began, "evaluation": time.perf_counter() - trained}

    return work


def pad_batch(rows: list[dict]) -> dict:
    """What DataCollatorWithPadding gives, which needs a tokenizer."""
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {name: torch.tensor([row[name] + [0] * (longest - len(row[name])) for row in rows])
             for name in ("input_ids", "attention_mask", "token_type_ids")}
    return batch | {"labels": torch.tensor([row["label"] for row in rows])}


if __name__ == "__main__":
    answer_orders(make_work(Path(sys.argv[1]), sys.argv[2]))
