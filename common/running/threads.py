"""How many threads each run of a study gets: `--threads`."""
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.running.planning import Need, count_missing, list_costs
from common.studies.config import RunConfig


@dataclass(frozen=True)
class Threads:
    """Threads of the runs of a study."""

    usual: int = 1
    shares: dict[RunConfig, int] = field(default_factory=dict)
    """Of the configurations that do not get the usual number."""
    of_a_place: float = 1
    """Threads for which there is a core in each of the executor's places."""

    def of(self, config: RunConfig) -> int:
        return self.shares.get(config, self.usual)

    def places(self, config: RunConfig) -> float:
        """How many of the executor's places a run takes; a part of one where a place has cores to spare."""
        return self.of(config) / self.of_a_place


def share_cores(needs: Sequence[Need], workers: int, cores: int) -> Threads:
    """The cores shared out so that a study does not end with one long run on one core.

    Where all runs train at once, each core goes to the run that has the most work for each of its threads. Where they do not, a
    run that is more than an even share of the work (all of it, divided by the cores) gets as many threads as it is even shares.

    Args:
      workers: runs at a time, at most.
    """
    costs = list_costs(needs)
    numbers = {need.config: len(need.missing) for need in needs if need.missing}
    if count_missing(needs) <= min(workers, cores):
        usual, shares = 1, _share_all(costs, numbers, cores)
    else:
        usual, even = max(1, cores // workers), sum(number * costs[config] for config, number in numbers.items()) / cores
        shares = {config: int(cost / even) for config, cost in costs.items() if cost / even >= usual + 1}
    return Threads(usual, shares, cores / min(workers, cores))


def _share_all(costs: dict[RunConfig, float], numbers: dict[RunConfig, int], cores: int) -> dict[RunConfig, int]:
    """Threads for each run of a configuration, where all runs train at once; as many cores as fit are used."""
    shares, left = dict.fromkeys(costs, 1), cores - sum(numbers.values())
    while True:
        longest = max(costs, key=lambda config: costs[config] / shares[config])
        if numbers[longest] > left:
            return shares
        shares[longest] += 1
        left -= numbers[longest]
