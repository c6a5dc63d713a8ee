"""Scores of predictions, as GLUE reports them."""
import warnings

import numpy as np

from common.inputs.reading import encode_rows
from common.studies.tasks import METRICS, Task


def score(task: Task, labels: np.ndarray, logits: np.ndarray) -> dict | None:
    """Every metric of the task over all rows.

    Args:
      labels: [rows] class numbers, or scores for a regression.
      logits: float32 [rows, outputs].

    Returns:
      Columns of the store's `evaluations`; a metric that is undefined (a correlation with a constant) or is not the
      task's is None. None in place of the dict when a logit is not finite: that is no prediction.
    """
    if not np.isfinite(logits).all():
        return None
    logits = logits.astype(np.float64)
    if task.is_regression:
        values, predicted = _regression(labels, logits[:, 0]), logits[:, 0]
    else:
        predicted = logits.argmax(axis=1)
        values = _classification(task, labels, predicted, logits)
    collapsed = len(labels) > 1 and len(np.unique(predicted)) == 1
    row = dict.fromkeys(METRICS) | values
    return row | {"row_count": len(labels), "metric": task.metric, "score": row[task.metric], "collapsed": int(collapsed)}


def encode_predictions(task: Task, logits: np.ndarray) -> tuple[int, bytes]:
    """What logits, float32 [rows, outputs], predict, in the form of `encode_rows`."""
    return encode_rows(task, logits[:, 0] if task.is_regression else logits.argmax(axis=1))


def _classification(task: Task, labels, predicted, logits) -> dict:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    values = {"accuracy": float(accuracy_score(labels, predicted)), "loss": _cross_entropy(labels, logits),
              "f1": float(f1_score(labels, predicted, labels=range(task.outputs)[1:] if task.f1 == "binary" else None,
                                   average=task.f1 if task.f1 == "macro" else "macro", zero_division=0))}
    if task.metric == "matthews":
        values["matthews"] = float(matthews_corrcoef(labels, predicted))
    return values


def _regression(labels, predicted) -> dict:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant has no correlation: that is reported as None
        pearson = float(stats.pearsonr(labels, predicted).statistic)
        spearman = float(stats.spearmanr(labels, predicted).statistic)
    return {"pearson": None if np.isnan(pearson) else pearson, "spearman": None if np.isnan(spearman) else spearman,
            "loss": float(np.mean((predicted - labels) ** 2))}


def _cross_entropy(labels, logits) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]))
