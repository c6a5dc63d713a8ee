"""What a study is: a grid of configurations, what is changed about each, and how many instances of each to have."""
import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from common.studies.config import RunConfig


@dataclass(frozen=True)
class Condition:
    """What a study changes about every configuration of its grid."""

    name: str = ""
    """Of `--conditions`; the store knows the condition's runs by study.name. Nameless: by the study's name alone."""
    settings: Callable[[RunConfig, int], list[dict]] = lambda config, rows: [{}]
    """(configuration as the grid has it, rows of the training split) -> fields to change, for each run wanted instead."""
    search: int = 0
    """0: all of them are trained. Otherwise the number of instances to try each with; the best on validation is trained."""

    def apply(self, config: RunConfig, rows: int) -> list[RunConfig]:
        """What takes the place of a configuration of the grid."""
        return [dataclasses.replace(config, **fields) for fields in self.settings(config, rows)]


@dataclass(frozen=True)
class Study:
    """A grid: every task with every batch size and every peak learning rate, under every condition.

    The scripts `exp_*.py` hold one each; the command line may change any of it but the name.
    """

    name: str
    tasks: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    peak_learning_rates: tuple[float, ...]
    epochs: int
    instances: int
    batch_sizes_of: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Batch sizes of the tasks that differ: task -> batch sizes."""
    conditions: tuple[Condition, ...] = (Condition(),)
    settings: dict[str, object] = field(default_factory=dict)
    """Fields of every configuration that are not as the recipe has them: name -> value."""
    sweeps: dict[str, tuple] = field(default_factory=dict)
    """More axes of the grid: name of a field -> its values."""

    def cells(self) -> list[dict[str, object]]:
        """The fields of every configuration, but for those that the input decides."""
        return [{"task": task, "batch_size": batch_size, "peak_learning_rate": rate, "epochs": self.epochs,
                 **self.settings, **dict(zip(self.sweeps, values, strict=True))}
                for task in self.tasks for batch_size in self.batch_sizes_of.get(task, self.batch_sizes)
                for rate in self.peak_learning_rates for values in itertools.product(*self.sweeps.values())]


@dataclass(frozen=True)
class Part:
    """What a study wants under one name in the store."""

    name: str
    choices: list[list[RunConfig]]
    """The configurations, those together that a search chooses among."""
    instances: int
    best: str | None = None
    """Name for the best of each choice; None: there is nothing to choose."""

    @property
    def configs(self) -> list[RunConfig]:
        return list(dict.fromkeys(config for choice in self.choices for config in choice))


def make_parts(study: Study, grid: list[tuple[RunConfig, int]]) -> list[Part]:
    """The study's conditions, applied to its configurations; each comes with the rows of its training split."""
    parts = []
    for condition in study.conditions:
        name = f"{study.name}.{condition.name}" if condition.name else study.name
        choices = [condition.apply(config, rows) for config, rows in grid]
        if condition.search:
            parts.append(Part(f"{name}.search", choices, min(condition.search, study.instances), best=name))
        else:
            parts.append(Part(name, choices, study.instances))
    return parts


def find_best(scores: dict[RunConfig, list[float]], instances: int) -> RunConfig | None:
    """The configuration with the highest mean score; None until every one has a score of so many instances.

    Args:
      scores: validation score of each instance, -inf for one that has none because it diverged. Of equal means the
        earlier configuration wins.
    """
    if any(len(each) < instances for each in scores.values()):
        return None
    return max(scores, key=lambda config: fmean(scores[config]))
