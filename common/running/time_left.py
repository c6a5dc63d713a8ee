"""How long a study has yet to go, from the runs that have ended."""
import time
from collections.abc import Callable, Hashable, Mapping


class TimeLeft:
    """The time that the runs of a study have yet to take: the longest come first, so that their number alone says too much.

    Args:
      costs: run -> what it costs beside the others, in any unit.
      places: how many runs are trained at a time.
    """

    def __init__(self, costs: Mapping[Hashable, float], places: Callable[[], int]):
        self._waiting = dict(costs)
        self._begun: dict[Hashable, tuple[float, float]] = {}
        """Run in training -> its cost, and when it began."""
        self._places = places
        self._ended_cost = self._ended_seconds = 0.0

    def begin(self, run: Hashable) -> None:
        self._begun[run] = self._waiting.pop(run), time.monotonic()

    def give_back(self, run: Hashable) -> None:
        """The run is no longer trained here, and not done."""
        self._waiting[run], _ = self._begun.pop(run)

    def end(self, run: Hashable, seconds: float | None = None) -> None:
        """The run is done, or will not be.

        Args:
          seconds: how long it took; None if it failed or was trained elsewhere.
        """
        cost = self._begun.pop(run)[0] if run in self._begun else self._waiting.pop(run)
        if seconds is not None:
            self._ended_cost += cost
            self._ended_seconds += seconds

    def seconds(self) -> float | None:
        """None until a run has ended that says how fast they go."""
        if not self._ended_cost:
            return None
        pace, now = self._ended_seconds / self._ended_cost, time.monotonic()
        begun = [max(0.0, pace * cost - (now - when)) for cost, when in self._begun.values()]
        together = (pace * sum(self._waiting.values()) + sum(begun)) / max(1, self._places())
        return max(together, *begun, 0.0)
