"""The batch-size study with a wait instead of training, for bench/scheduling.py; everything else is the program itself.

    python bench/simulated.py SECONDS NOTES.json [arguments of exp_bs_mrpc.py]

A run takes between 0.5 and 1.5 times SECONDS. NOTES.json lists the simulated runs and their times.
"""
import json
import random
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from common import cli  # noqa: E402
from common.running import processes  # noqa: E402
from common.store.store import Store  # noqa: E402
from common.training import environment  # noqa: E402
from exp_bs_mrpc import STUDY  # noqa: E402

SECONDS, NOTES = float(sys.argv[1]), Path(sys.argv[2])
CURVE = [(split, metric, step, step / 10, 0.5) for step in range(10, 60, 10) for split, metric in (
    ("train", "loss"), ("train", "learning_rate"), ("validation", "loss"), ("validation", "accuracy"))]
MACHINE = environment.environment_row(1)

simulated: list[tuple[str, int, float, float]] = []
"""(configuration, instance, begin, end) of every run."""
beats: list[float] = []
"""Seconds of every heartbeat."""
lock = threading.Lock()


class Simulated(processes.FreshProcesses):
    """Waits instead of training in a process."""

    def _run(self, function, job):
        from common.training.job import RunResult

        rng = random.Random(f"{job.config.hash} {job.instance}")
        began, seconds = time.monotonic(), SECONDS * rng.uniform(0.5, 1.5)
        time.sleep(seconds)
        with lock:
            simulated.append((job.config.hash, job.instance, began, time.monotonic()))
        score = rng.uniform(0.6, 0.8)
        return RunResult(environment=MACHINE, training_seconds=seconds, total_seconds=seconds, measurements=CURVE, evaluations=[{
            "evaluation_set": "dev", "row_count": 240, "metric": "accuracy", "score": score, "accuracy": score, "f1": 0.8,
            "matthews": None, "pearson": None, "spearman": None, "loss": 0.5, "collapsed": 0}])


def timed(method):
    def call(*arguments):
        began = time.monotonic()
        method(*arguments)
        beats.append(time.monotonic() - began)
    return call


if __name__ == "__main__":
    processes.FreshProcesses = Simulated
    Store.beat = timed(Store.beat)
    began = time.monotonic()
    status = cli.main(STUDY, __doc__, sys.argv[3:])
    NOTES.write_text(json.dumps({"began": began, "ended": time.monotonic(), "runs": simulated, "beats": beats}))
    sys.exit(status)
