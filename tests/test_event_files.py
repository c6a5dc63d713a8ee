"""Curves for TensorBoard, read back by TensorBoard's own reader."""
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in import make_config, make_evaluation, make_result, plan

from common.report.tensorboard import NAME, _encode, write_event_files
from common.studies.names import name_folder

ROOT = Path(__file__).parent.parent


def read(folder):
    """Tag -> (step, value) points, as TensorBoard sees them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, round(event.value, 6)) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_curves_and_scores_of_runs_in_the_store(store, config, owner, tmp_path):
    plan(store, [config], 3)
    curve = [("train", "loss", 435, 1.0, 0.6), ("train", "loss", 870, 2.0, 0.5), ("validation", "accuracy", 435, 1.0, 0.7),
             ("validation", "accuracy", 870, 2.0, 0.75)]
    store.record(store.find_claim(config, 0, owner), owner, make_result(
        measurements=curve, evaluations=[make_evaluation(0.72, f1=0.8, loss=0.55)]))
    store.record(store.find_claim(config, 1, owner), owner, make_result(
        diverged=True, measurements=[("train", "loss", 3, 0.1, math.inf)], evaluations=[]))
    runs = [(config, instance) for instance in range(3)] + [(make_config(batch_size=2), 0)]
    for _ in range(2):  # the second time replaces the first
        assert write_event_files(store, runs, tmp_path / "curves") == 2
    assert sorted(os.listdir(tmp_path / "curves")) == [name_folder(config, instance) for instance in (0, 1)]
    assert os.listdir(tmp_path / "curves" / name_folder(config, 0)) == [NAME]
    assert read(tmp_path / "curves" / name_folder(config, 0)) == {
        "train/loss": [(435, 0.6), (870, 0.5)], "validation/accuracy": [(435, 0.7), (870, 0.75)],
        "dev/accuracy": [(870, 0.72)], "dev/f1": [(870, 0.8)], "dev/loss": [(870, 0.55)]}
    assert read(tmp_path / "curves" / name_folder(config, 1)) == {"train/loss": [(3, math.inf)]}


def test_no_tensorflow_is_needed(tmp_path):
    program = """import sys
from common.report.tensorboard import _encode
assert _encode([("train/loss", 1, 0.5)], 0.0)
print("tensorflow" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
def test_tensorboard_itself_shows_them(tmp_path):
    """The program that the README names, which needs more than the reader above."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / NAME).write_bytes(_encode([("validation/accuracy", 1, 0.5)], 0.0))
    done = subprocess.run([sys.executable, "-m", "tensorboard.main", "--inspect", "--logdir", tmp_path / "run"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "   validation/accuracy\n" in done.stdout
