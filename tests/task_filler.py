"""Fills a store with runs of any task and study, for the tests of the report's sections."""
import stand_in
from test_report import FINISHED, Filler

from common.store.schema import configs, datasets, evaluations, runs, studies
from common.store.store import _config_row
from common.studies.tasks import TASKS

MAJORITY = {"CoLA": 0.6913, "SST-2": 0.5092, "QQP": 0.6318, "STS-B": None, "MNLI": 0.3545, "SNLI": 0.3382, "QNLI": 0.5054,
            "RTE": 0.5271, "WNLI": 0.5634}


class TaskFiller(Filler):
    """As `Filler`, with the official rows of every task."""

    def __init__(self, path):
        super().__init__(path)
        self.known = set()
        for name, majority in MAJORITY.items():
            for set_name, rows in {"train": TASKS[name].train_rows, **TASKS[name].evaluation_rows}.items():
                self.insert(datasets, digest=TASKS[name].digest or name, set_name=set_name, task=name, row_count=rows,
                            official_rows=rows, majority=majority)

    def plan(self, study, checkpoint, task, asked=1, **settings):
        """A configuration of a study without a run yet."""
        data = TASKS[task].digest or task
        config = stand_in.make_config(task=task, data=data, checkpoint=checkpoint, **settings)
        if config.hash not in self.known:
            self.insert(configs, **_config_row(config))
            self.known.add(config.hash)
        self.insert(studies, study=study, config=config.hash, instances=asked)
        return config

    def finish(self, config, instance, *scores, status="done", **columns):
        """A finished run, with a score for each evaluation set of its task; returns its number."""
        task = TASKS[config.task]
        run = self.insert(runs, config=config.hash, instance=instance, status=status, training_seconds=102.0,
                          environment=stand_in.ENVIRONMENT, finished_at=FINISHED)
        for (name, rows), score in zip(task.evaluation_rows.items(), scores, strict=False):
            values = {"accuracy": None, "f1": None} if task.is_regression else {}
            self.insert(evaluations, run=run, **stand_in.make_evaluation(**{
                "evaluation_set": name, "row_count": rows, "metric": task.metric, "score": score} | values
                | {task.metric: score} | columns))
        return run
