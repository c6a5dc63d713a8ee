"""Curves for TensorBoard, from the store: also those of runs that were trained before anybody asked.

The format is that of TensorBoard's own writer, whose record layer is used here; TensorFlow is not needed.
"""
import io
from datetime import datetime
from pathlib import Path

from common import UserError
from common.files import replace_file
from common.store.store import Store
from common.studies.config import RunConfig
from common.studies.names import name_folder

NAME = "events.out.tfevents.0.results"
"""TensorBoard reads every file with `tfevents` in its name; it is always the same, so that a run has one file."""


def write_event_files(store: Store, runs: list[tuple[RunConfig, int]], folder: Path) -> int:
    """Writes the curves of the finished ones among these runs, a folder each; returns how many there are.

    The tags are `train/loss`, `train/learning_rate`, `validation/accuracy` and so on, and `dev/accuracy` for the scores at
    the end. All events of a run have the time at which it was finished, the only one in the store.

    Raises:
      UserError: a file cannot be written.
    """
    written = 0
    for config, instance in runs:
        points, finished_at = store.where_points(config, instance)
        if not points:
            continue
        path = folder / name_folder(config, instance) / NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, _encode(points, datetime.fromisoformat(finished_at).timestamp()))
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror or error}); name another place with --tensorboard"
                            ) from None
        written += 1
    return written


def _encode(points: list[tuple[str, int, float]], time: float) -> bytes:
    """An event file of (tag, step, value) points."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    writer = RecordWriter(file)
    writer.write(Event(wall_time=time, file_version="brain.Event:2").SerializeToString())
    for tag, step, value in points:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.write(Event(wall_time=time, step=step, summary=summary).SerializeToString())
    return file.getvalue()
