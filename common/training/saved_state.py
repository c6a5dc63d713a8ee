"""The state of a long run, kept while it trains, so that a run that is killed goes on where it was.

Data order, dropout masks and learning rate are functions of the step, so the state is: the variables of model and optimizer, the
steps done, and what was measured so far. A run that goes on ends in the same bits as one that never stopped.
"""
import contextlib
import dataclasses
import hashlib
import json
import time
import zipfile

import numpy as np

from common.files import remove_leftovers, write_arrays
from common.training.job import Job


class SavedState:
    """The saved state of one run, if there is one.

    Args:
      job: its `save_seconds` are the training time that a kill may cost.
      environment: digest of machine and software; a state from another one is not used, since that would round differently.
    """

    def __init__(self, job: Job, environment: str):
        self._path = job.cache / "resume" / f"{job.config.hash}-{job.instance}.npz"
        self._environment, self._seconds = environment, job.save_seconds
        self._began = self._last = time.monotonic()
        self._cpu_began = time.process_time()

    def save_if_due(self, trainer, result, losses: list[float]) -> None:
        """Saves the state after a step, once the last one is long enough ago; a disk without room for it costs no run."""
        if time.monotonic() - self._last < self._seconds:
            return
        variables = trainer.state()
        total = result.total_seconds + time.monotonic() - self._began
        cpu = result.cpu_seconds + time.process_time() - self._cpu_began
        about = {"environment": self._environment, "steps_done": trainer.steps_done, "losses": losses,
                 "result": dataclasses.asdict(dataclasses.replace(result, total_seconds=total, cpu_seconds=cpu)),
                 "digest": digest_of(variables)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            write_arrays(self._path, {"about": np.array(json.dumps(about)),
                                      **{f"{place:04}": value for place, value in enumerate(variables)}})
        self._last = time.monotonic()

    def restore(self, trainer, result) -> list[float]:
        """Sets trainer and result to the saved state, and proves it; leaves both as they are where there is none to go on from.

        Returns:
          The losses since the last point of the training curve.
        """
        found = self._read()
        if found is None:
            return []
        about, variables = found
        trainer.restore(variables, about["steps_done"])
        if digest_of(trainer.state()) != about["digest"]:
            raise RuntimeError(f"the state saved in {self._path} could not be restored; remove that file")
        for name, value in about["result"].items():
            setattr(result, name, value)
        result.measurements = [tuple(row) for row in result.measurements]
        return about["losses"]

    def remove(self) -> None:
        """Removes the state, and what a process left that was killed while it saved one."""
        self._path.unlink(missing_ok=True)
        remove_leftovers(self._path)

    def _read(self) -> tuple[dict, list[np.ndarray]] | None:
        """What was saved, if it is whole and of this environment."""
        try:
            with np.load(self._path, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                variables = [arrays[name] for name in sorted(arrays.files) if name != "about"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        whole = about["digest"] == digest_of(variables)
        return (about, variables) if whole and about["environment"] == self._environment else None


def digest_of(variables: list[np.ndarray]) -> str:
    """SHA-256 (hex) of the values, their types and shapes."""
    digest = hashlib.sha256()
    for value in variables:
        digest.update(f"{value.dtype} {value.shape} ".encode() + value.tobytes())
    return digest.hexdigest()
