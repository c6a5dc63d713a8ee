"""Contestant: this project's own training, one thread for each run as the studies use it.

speed.py starts as many of these as there are cores, since that is what a study does.
"""
import json
import sys
import time
from pathlib import Path

import numpy as np
from contestant import LEARNING_RATE, answer_orders

sys.path.insert(0, str(Path(__file__).parent.parent))


def make_work(folder: Path, dtype: str):
    """The function that answers orders."""
    from common.inputs.checkpoint import get_checkpoint
    from common.inputs.reading import load_glue
    from common.inputs.tokens import Encoding, Tokens, get_tokens
    from common.studies.config import RunConfig
    from common.studies.tasks import TASKS
    from common.training.environment import set_up_tensorflow
    from common.training.job import Job

    set_up_tensorflow(1)
    from common.training.trainer import Trainer

    given = json.loads((folder / "input.json").read_text())
    cache = Path(given["cache"])
    checkpoint = get_checkpoint(given["checkpoint"], cache)
    data = load_glue(TASKS["MRPC"], Path(given["data_folder"]))
    tokens = get_tokens(data, Encoding(checkpoint.vocab, 128), cache)

    def work(order: dict) -> dict:
        if "peak" in order:
            return {"gflops": measure_peak()}
        if "length" in order:
            return {"seconds": time_length(order["length"], order["batch_size"], order["steps"])}
        config = RunConfig(task="MRPC", data=data.digest, checkpoint=checkpoint.digest, batch_size=order["batch_size"],
                           peak_learning_rate=LEARNING_RATE, epochs=1, dtype=dtype)
        trainer = Trainer(Job(config, 0, checkpoint, None, cache), TASKS["MRPC"], tokens)
        warmup, rows, evaluated = (np.array(order[part]) for part in ("warmup", "train", "evaluate"))
        steps = (len(warmup) + len(rows)) // config.batch_size
        trainer.start(config, steps, 0, 0)
        for batch in warmup.reshape(-1, config.batch_size):
            trainer.step(tokens["train"], batch)
        trainer.predict(tokens["dev"], evaluated)
        began = time.perf_counter()
        for batch in rows.reshape(-1, config.batch_size):
            trainer.step(tokens["train"], batch)
        trained = time.perf_counter()
        trainer.predict(tokens["dev"], evaluated)
        return {"training": trained - began, "evaluation": time.perf_counter() - trained}

    def time_length(length: int, batch_size: int, steps: int) -> float:
        """Median seconds of a step on rows of this many tokens, whose words are those of the training file."""
        words = np.random.RandomState(0).choice(tokens["train"].ids, batch_size * length)
        rows = Tokens(words, np.arange(batch_size + 1) * length, np.full(batch_size, length // 2, np.int32),
                      np.zeros(batch_size, np.int32))
        config = RunConfig(task="MRPC", data=data.digest, checkpoint=checkpoint.digest, batch_size=batch_size,
                           peak_learning_rate=LEARNING_RATE, epochs=1, dtype=dtype)
        trainer = Trainer(Job(config, 0, checkpoint, None, cache), TASKS["MRPC"], tokens)
        trainer.start(config, steps + 2, 0, 0)
        times = []
        for _ in range(steps + 2):
            began = time.perf_counter()
            trainer.step(rows, np.arange(batch_size))
            times.append(time.perf_counter() - began)
        return float(np.median(times[2:]))

    return work


def measure_peak(size: int = 1024, repeats: int = 100) -> float:
    """GFLOP/s of one thread in products of square matrices, the median of the repeats."""
    import tensorflow as tf

    matrix = tf.random.stateless_normal([size, size], [0, 0])
    multiply = tf.function(lambda a: tf.linalg.matmul(a, a))
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        multiply(matrix)
        times.append(time.perf_counter() - began)
    return 2 * size ** 3 / float(np.median(times[2:])) / 1e9


if __name__ == "__main__":
    answer_orders(make_work(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "float32"))
