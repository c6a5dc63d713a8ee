"""What the report reads of the store: all of it at one moment, cut into groups that may be compared."""
import dataclasses
import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import Row, select

from common.report.statistics import Interval, mean_interval
from common.store.schema import (
    checkpoints,
    configs,
    datasets,
    environments,
    evaluations,
    labels,
    measurements,
    outputs,
    runs,
    studies,
)
from common.store.store import Store
from common.studies.config import RunConfig
from common.studies.names import show_rate
from common.studies.tasks import TASKS, has_official_rows


@dataclass(frozen=True)
class Digits:
    """A number for each row of a set, as `outputs` and `labels` hold them: ASCII digits end to end."""

    width: int
    """Characters for each row; 1: class numbers."""
    content: bytes


@dataclass
class Run:
    """One instance with everything that it measured."""

    config: str
    """Hash of its configuration."""
    instance: int
    status: str
    set_aside: str | None
    error: str | None
    training_seconds: float | None
    environment: str | None
    """Digest of its row in `environments`."""
    cpu_seconds: float | None = None
    """Processor time of all its threads; None: recorded before it was measured."""
    finished_at: str | None = None
    """UTC, ISO 8601."""
    threads: int = 1
    """Of the environment that it ran in."""
    outputs: dict[str, "Digits"] = field(default_factory=dict)
    """Evaluation set -> what it predicted, where that was kept."""
    evaluations: dict = field(default_factory=dict)
    """Evaluation set -> row of `evaluations`."""
    validation: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Metric -> (step, value) in the order of the steps."""

    @property
    def core_seconds(self) -> float | None:
        """Processor time; the clock's time times its threads for a run from before it was measured."""
        if self.cpu_seconds is not None:
            return self.cpu_seconds
        return None if self.training_seconds is None else self.training_seconds * self.threads

    @property
    def counts(self) -> bool:
        """Whether it is finished and not set aside."""
        return self.status in ("done", "diverged") and self.set_aside is None


@dataclass(frozen=True)
class Cell:
    """One configuration with its runs."""

    config: RunConfig
    asked: int
    """Instances that the study asked for."""
    runs: tuple[Run, ...]

    @property
    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.counts]

    @property
    def wanted(self) -> int:
        return max(self.asked, len(self.finished))

    @property
    def ended(self) -> list[Run]:
        """Runs that came to their end, those set aside included: nothing is to be waited for."""
        return [run for run in self.runs if run.status in ("done", "diverged")]

    def where_status(self, status: str) -> list[Run]:
        """Runs of this status that are not set aside."""
        return [run for run in self.runs if run.status == status and run.set_aside is None]

    def scored(self, name: str) -> list:
        """Rows of `evaluations` of the runs that have a score on this set."""
        rows = [run.evaluations.get(name) for run in self.where_status("done")]
        return [row for row in rows if row is not None and row.score is not None]

    def interval(self, name: str, column: str = "score") -> Interval:
        """Mean and interval of a column of `evaluations` over the instances."""
        values = [getattr(row, column) for row in self.scored(name)]
        return mean_interval([value for value in values if value is not None])

    def scores(self, name: str, column: str = "score") -> dict[int, float]:
        """Instance -> score (or another column of `evaluations`) on this set, of those that have a score."""
        return {run.instance: value for run in self.scored_runs(name)
                if (value := getattr(run.evaluations[name], column)) is not None}

    def scored_runs(self, name: str) -> list[Run]:
        """Runs that have a score on this set."""
        return [run for run in self.where_status("done") if name in run.evaluations and run.evaluations[name].score is not None]

    def last_validation(self, metric: str) -> list[float]:
        """Validation score of every instance after the last epoch."""
        return [run.validation[metric][-1][1] for run in self.where_status("done") if metric in run.validation]

    def validation_curve(self, metric: str) -> list[tuple[int, float]]:
        """(examples seen, mean over the instances) after each epoch."""
        values = defaultdict(list)
        for run in self.where_status("done"):
            for step, value in run.validation.get(metric, ()):
                values[step * self.config.batch_size].append(value)
        return [(examples, mean_interval(values[examples]).mean) for examples in sorted(values)]

    def validation_curves(self, metric: str) -> list[list[tuple[int, float]]]:
        """(examples seen, value x 100) after each epoch, of every run."""
        return [[(step * self.config.batch_size, 100 * value) for step, value in run.validation[metric]]
                for run in self.where_status("done") if metric in run.validation]

    @property
    def steps(self) -> int | None:
        """Optimizer steps of a run; None while no run tells."""
        curves = [curve for run in self.where_status("done") for curve in run.validation.values()]
        return max((curve[-1][0] for curve in curves), default=None)

    def count_collapsed(self, name: str) -> int:
        """Runs that predict one class (or one value, which leaves a correlation without a score) on this set."""
        return sum(run.evaluations[name].collapsed for run in self.where_status("done") if name in run.evaluations)

    @property
    def training_seconds(self) -> float | None:
        """Mean over the instances."""
        return mean_interval([run.training_seconds for run in self.where_status("done")
                              if run.training_seconds is not None]).mean


def is_official(data) -> bool:
    """Whether a row of `datasets` is a set with the official rows."""
    return has_official_rows(data.task, data.digest, data.row_count, data.official_rows)


@dataclass(frozen=True)
class Group:
    """Cells of a study that differ in nothing but what the study varies."""

    id: str
    """First digits of the digest of all that they have in common."""
    name: str
    """What the page calls the checkpoint; empty where it has said that already."""
    checkpoint: object
    """A row of `checkpoints`."""
    task: str
    sets: dict
    """Set name -> row of `datasets`."""
    differs: dict
    """Fields of the configuration that are not as published -> value."""
    cells: tuple[Cell, ...]
    labels: dict[str, Digits] = field(default_factory=dict)
    """Set name -> its labels, where they were kept."""
    settings: tuple[str, ...] = ()
    """What differs from the study as it was published, in words: `RTE`, `3 epochs`."""

    @property
    def title(self) -> str:
        return ", ".join(filter(None, [self.name, *self.settings]))

    @property
    def title_without_task(self) -> str:
        """The title, for where the task is named anyway."""
        return ", ".join(word for word in (self.name, *self.settings) if word not in ("", self.task))

    @property
    def metric(self) -> str:
        """The main metric."""
        return TASKS[self.task].metric if self.task in TASKS else "accuracy"

    @property
    def evaluation_sets(self) -> list[str]:
        return sorted(name for name in self.sets if name != "train")

    def name_set(self, evaluation_set: str, task: str = "") -> str:
        """The task (or what it is called instead), and the evaluation set where it has several: `MNLI dev_matched`."""
        return (task or self.task) + (f" {evaluation_set}" if len(self.evaluation_sets) > 1 else "")

    @property
    def as_published(self) -> bool:
        """Whether published values may stand beside these: the same settings on the official rows."""
        return not self.differs and all(is_official(row) for row in self.sets.values())

    @property
    def finished(self) -> list[Run]:
        return [run for cell in self.cells for run in cell.finished]

    @property
    def wanted(self) -> int:
        return sum(cell.wanted for cell in self.cells)


@dataclass(frozen=True)
class Suite:
    """The groups of one checkpoint and one way of training, over the tasks."""

    title: str
    """The checkpoint's name and what differs from the study as it was published."""
    groups: tuple[Group, ...]
    """In the order of the table of tasks."""

    @property
    def id(self) -> str:
        return hashlib.sha256(self.title.encode()).hexdigest()[:8]

    @property
    def checkpoint(self):
        return self.groups[0].checkpoint

    @property
    def cells(self) -> list[Cell]:
        return [cell for group in self.groups for cell in group.cells]

    def name_task(self, group: Group) -> str:
        """The task of a group, with the digest of its data where the suite has several of that task."""
        same = [each for each in self.groups if each.task == group.task]
        return group.task + (f" (data {group.cells[0].config.data[:8]})" if len(same) > 1 else "")


@dataclass(frozen=True)
class Results:
    """What the store held at one moment."""

    checkpoints: dict
    """Digest -> row."""
    datasets: list
    environments: dict
    """Digest -> row."""
    configs: dict[str, RunConfig]
    """Hash -> configuration."""
    runs: list[Run]
    """By configuration and instance."""
    studies: dict[str, dict[str, int]]
    """Study -> hash of a configuration -> instances asked for."""
    labels: dict[tuple[str, str], Digits] = field(default_factory=dict)
    """(digest of the data, set name) -> labels, where they were kept."""

    def finished(self) -> list[Run]:
        return [run for run in self.runs if run.counts]

    @cached_property
    def _runs_of(self) -> dict[str, list[Run]]:
        """Hash of a configuration -> its runs."""
        runs_of = defaultdict(list)
        for run in self.runs:
            runs_of[run.config].append(run)
        return runs_of

    def find_cell(self, study: str, config: RunConfig) -> Cell | None:
        """The cell of a study with this configuration; None where the study did not ask for it."""
        asked = self.studies.get(study, {}).get(config.hash)
        return None if asked is None else Cell(config, asked, tuple(self._runs_of.get(config.hash, ())))

    def groups(self, study: str, varied: tuple[str, ...], published: dict) -> list[Group]:
        """The groups of a study by checkpoint, those closest to what was published first.

        Args:
          varied: fields of the configuration that the study varies.
          published: what the other fields were in the original, where they have no default.
        """
        cells = defaultdict(list)
        for key in self.studies.get(study, {}):
            config = self.configs[key]
            common = {name: value for name, value in json.loads(config.to_json()).items() if name not in varied}
            cells[json.dumps(common, sort_keys=True)].append(self.find_cell(study, config))
        groups = []
        for common, members in cells.items():
            members.sort(key=lambda cell: [getattr(cell.config, name) for name in varied])
            groups.append(self._group(common, tuple(members), published))
        return sorted(groups, key=lambda group: (group.checkpoint.name, group.checkpoint.digest, len(group.differs),
                                                 group.title, group.id))

    def suites(self, study: str, varied: tuple[str, ...], published: dict) -> list[Suite]:
        """The groups of a study that trains several tasks, those together that differ in the task alone."""
        members = defaultdict(list)
        for group in self.groups(study, varied, published):
            members[group.checkpoint.digest, json.dumps(group.differs, sort_keys=True)].append(group)
        order = list(TASKS)
        return [Suite(", ".join(self._words(groups[0].checkpoint, groups[0].differs)),
                      tuple(sorted(groups, key=lambda group: order.index(group.task) if group.task in order else 99)))
                for groups in members.values()]

    def _group(self, common: str, cells: tuple[Cell, ...], published: dict) -> Group:
        fields = json.loads(common)
        usual = published | {spec.name: spec.default for spec in dataclasses.fields(RunConfig)
                             if spec.default is not dataclasses.MISSING}
        differs = {name: value for name, value in fields.items() if name in usual and usual[name] != value}
        sets = {row.set_name: row for row in self.datasets
                if (row.digest, row.task) == (fields["data"], fields["task"])}
        # Digests appear only where names are not enough to tell the group apart from every other.
        name, *settings = self._words(self.checkpoints[fields["checkpoint"]], differs)
        if len({row.digest for row in self.datasets if row.task == fields["task"]}) > 1:
            settings.append(f"data {fields['data'][:8]}")
        return Group(id=hashlib.sha256(common.encode()).hexdigest()[:8], name=name, settings=tuple(settings),
                     checkpoint=self.checkpoints[fields["checkpoint"]], task=fields["task"], sets=sets, differs=differs,
                     cells=cells, labels={each: self.labels[fields["data"], each] for each in sets
                                          if (fields["data"], each) in self.labels})

    def _words(self, checkpoint: Row, differs: dict) -> list[str]:
        same_name = [row for row in self.checkpoints.values() if row.name == checkpoint.name]
        words = [checkpoint.name + (f" {checkpoint.digest[:8]}" if len(same_name) > 1 else "")]
        return words + [_say_difference(field, value) for field, value in sorted(differs.items())]


def read_results(store: Store) -> Results:
    """Everything the report needs, read in one transaction.

    Raises:
      UserError: a run is not what was recorded.
    """
    store.refuse_altered()
    with store.reading() as connection:
        def rows(table, *order):
            return connection.execute(select(table).order_by(*order)).all()

        machines = {row.digest: row for row in rows(environments, environments.c.digest)}
        found = {row.id: Run(row.config, row.instance, row.status, row.set_aside, row.error, row.training_seconds,
                             row.environment, row.cpu_seconds, row.finished_at,
                             machines[row.environment].threads if row.environment in machines else 1)
                 for row in rows(runs, runs.c.config, runs.c.instance)}
        for row in rows(evaluations):
            found[row.run].evaluations[row.evaluation_set] = row
        for row in rows(outputs):
            found[row.run].outputs[row.evaluation_set] = Digits(row.width, row.content)
        curves = (select(measurements.c.run, measurements.c.metric, measurements.c.step, measurements.c.value)
                  .where(measurements.c.split == "validation", measurements.c.kind == "finite")
                  .order_by(measurements.c.run, measurements.c.metric, measurements.c.step))
        for row in connection.execute(curves):
            found[row.run].validation.setdefault(row.metric, []).append((row.step, row.value))
        asked = defaultdict(dict)
        for row in rows(studies, studies.c.study, studies.c.config):
            asked[row.study][row.config] = row.instances
        known = rows(checkpoints, checkpoints.c.name, checkpoints.c.digest)
        return Results(checkpoints={row.digest: row for row in known},
                       datasets=rows(datasets, datasets.c.task, datasets.c.digest, datasets.c.set_name),
                       environments=machines,
                       configs={row.hash: RunConfig.from_json(row.json) for row in rows(configs, configs.c.hash)},
                       runs=list(found.values()), studies=dict(asked),
                       labels={(row.data, row.set_name): Digits(row.width, row.content) for row in rows(labels)})


def _say_difference(name: str, value) -> str:
    words = {"task": "{}", "dtype": "{}", "epochs": "{} epochs", "limit_train": "first {} training rows"}
    if name == "peak_learning_rate":
        return f"peak rate {show_rate(value)}"
    return words.get(name, name.replace("_", " ") + " {}").format(value)
