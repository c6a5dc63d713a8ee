"""What the contestants of speed.py share: they answer orders, one line of JSON each, until there are no more.

An order names a batch size, the rows to warm up on, the rows to train on and the rows to evaluate; the answer has the seconds of
training and of evaluation. The input, made by speed.py, is a folder with bert_config.json, input.json and rows.npz (`Tokens` of
the training and the dev set).
"""
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

MAX_LENGTH = 128
LEARNING_RATE = 2e-5


class Rows:
    """The encoded rows of one set: concatenated int32 ids, where each row starts, length of its first segment, label."""

    def __init__(self, folder: Path, name: str):
        with np.load(folder / "rows.npz", allow_pickle=False) as arrays:
            self.ids, self.ends, self.firsts, self.labels = (arrays[f"{name}/{field}"]
                                                             for field in ("ids", "ends", "firsts", "labels"))

    def encode(self, row: int) -> dict:
        """input_ids and token_type_ids of a row, unpadded, and its label."""
        ids = self.ids[self.ends[row]:self.ends[row + 1]]
        return {"input_ids": ids.tolist(), "token_type_ids": (np.arange(len(ids)) >= self.firsts[row]).astype(int).tolist(),
                "label": int(self.labels[row])}

    def padded(self, rows) -> dict[str, np.ndarray]:
        """ids, mask and types of the rows, int32 [rows, 128] each, and labels [rows]."""
        ids, mask, types = (np.zeros((len(rows), MAX_LENGTH), np.int32) for _ in range(3))
        for place, row in enumerate(rows):
            here = self.ids[self.ends[row]:self.ends[row + 1]]
            ids[place, :len(here)], mask[place, :len(here)] = here, 1
            types[place, self.firsts[row]:len(here)] = 1
        return {"ids": ids, "mask": mask, "types": types, "labels": self.labels[list(rows)]}


def answer_orders(work: Callable[[dict], dict]) -> None:
    """Reads orders from standard input and writes what `work` makes of each; all other output goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    print(json.dumps("ready"), file=answers)
    for line in sys.stdin:
        print(json.dumps(work(json.loads(line))), file=answers)
