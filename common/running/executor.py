"""What the driver needs of whatever trains, and how training fails there."""
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from common import UserError
from common.training.job import Job, Progress


class RunExecutor(Protocol):
    """What trains: processes here, or the workers of a cluster. A `concurrent.futures.Executor` that knows its size."""

    on_report: Callable[[Job, Progress], None]
    """Called with a job and its progress, from another thread."""

    def places(self) -> int:
        """How many runs at a time it takes now; workers may come and go."""

    def submit(self, function: Callable, /, job: Job) -> Future:
        """Calls `function(job, report)` in a separate process.

        The future ends with what the function returned, with a `WorkerError` if the run failed, or with `NoWorkers` if nobody
        trains any more.
        """

    def kill(self) -> None:
        """Ends what is being trained, and the workers that it has started."""


class NoWorkers(UserError):
    """An executor cannot train any more; what it was training is not trained, and nothing is wrong with those runs."""


class WorkerError(Exception):
    """A call that failed in its process: the error's text there, and the traceback in `details`."""

    def __init__(self, text: str, details: str = ""):
        super().__init__(text)
        self.details = details
