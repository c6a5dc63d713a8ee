"""What the driver needs of whatever trains, and how training fails there."""
from common import UserError


class NoWorkers(UserError):
    """An executor cannot train any more; what it had at work was not trained, and nothing is wrong with those runs."""


class WorkerError(Exception):
    """A call that failed in its process: the error's text there, and the traceback in `details`."""

    def __init__(self, text: str, details: str = ""):
        super().__init__(text)
        self.details = details
