"""Predictions in the form that the GLUE server takes (gluebenchmark.com, FAQ): one file for each test set of a task.

A file has the header `index<TAB>prediction` and a row for each of the test set's, numbered from 0; classes are called as in
the training files, scores of STS-B stay within 0 to 5. A submission is a zip of the eleven files, one of each name:

    zip -j submission.zip predictions/CoLA-.../CoLA.tsv predictions/MNLI-.../*.tsv ...
"""
from pathlib import Path

import numpy as np

from common.files import new_folder
from common.inputs.reading import load_tests
from common.inputs.tokens import Encoding, get_tokens
from common.studies.tasks import TASKS
from common.training.classifier import Classifier
from common.training.job import Job


def write_predictions(classifier: Classifier, job: Job, folder: Path) -> None:
    """Predicts every test set of the job's task into a folder that appears whole or not at all.

    Args:
      job: for the files of the task and the tokens' cache.
    """
    tests = load_tests(TASKS[job.config.task], job.data_folder, allow_other_rows=True)  # the command line has checked them
    tokens = get_tokens(tests, Encoding(job.checkpoint.vocab, job.config.max_length, job.config.lower_case), job.cache)
    with new_folder(folder) as new:
        for name in tests.sets:
            logits = classifier.predict(tokens[name])
            if not np.isfinite(logits).all():
                raise RuntimeError(f"a prediction for {name} is not finite")
            rows = [f"{number}\t{_show(answer)}\n" for number, answer in enumerate(classifier.name_outputs(logits))]
            (new / name).write_text("index\tprediction\n" + "".join(rows))


def _show(answer: str | float) -> str:
    return answer if isinstance(answer, str) else f"{min(max(answer, 0.0), 5.0):.3f}"
