"""Cells and groups made in memory, for tests of what the report judges: no store, a score for each instance."""
from types import SimpleNamespace

from common.report.results import Cell, Digits, Group, Run
from common.studies.config import RunConfig
from common.studies.tasks import TASKS

MAJORITY = 0.6838


def make_cell(scores, *, asked=4, collapsed=(), first=0, finished_at="2026-11-26T00:00:00+00:00", losses=None, labels="1111",
              predictions=None, validation=None, status="done", seconds=3600.0, metric="accuracy", **settings):
    """A finished run for each score, from instance `first` on.

    Args:
      collapsed: instances that are.
      predictions: what each run predicted, a string of class numbers.
      validation: score of each run after the last epoch.
    """
    config = RunConfig(**{"task": "MRPC", "data": "d", "checkpoint": "c", "batch_size": 8, "peak_learning_rate": 2e-5,
                          "epochs": 5} | settings)
    runs = []
    for place, score in enumerate(scores):
        row = SimpleNamespace(score=score, accuracy=score, matthews=score, loss=losses[place] if losses else 0.5, row_count=408,
                              collapsed=int(place + first in collapsed), metric=metric)
        runs.append(Run(config.hash, place + first, status, None, None, seconds, None, seconds, finished_at,
                        outputs={"dev": Digits(1, predictions[place].encode())} if predictions else {},
                        evaluations={"dev": row} if status == "done" else {},
                        validation={"accuracy": [(9, validation[place])]} if validation else {}))
    return Cell(config, asked, tuple(runs))


def make_group(cells, *, task="MRPC", labels="", majority=MAJORITY):
    sets = {name: SimpleNamespace(task=task, digest=TASKS[task].digest, majority=majority, row_count=rows, official_rows=rows)
            for name, rows in (("train", 3668), ("dev", 408))}
    return Group("g", "mini", SimpleNamespace(name="mini"), task, sets, {}, tuple(cells),
                 {"dev": Digits(1, labels.encode())} if labels else {})
