"""How long a run will take, from the times of other runs with the same checkpoint."""
import math

from common.store.store import TrainingTime
from common.studies.config import RunConfig
from common.studies.tasks import TASKS

MEAN_TOKENS = {"CoLA": 11, "SST-2": 14, "MRPC": 53, "QQP": 31, "STS-B": 28, "MNLI": 40, "SNLI": 26, "QNLI": 49, "RTE": 67,
               "WNLI": 37}
"""WordPiece tokens of a training row, [CLS] and [SEP] included: mean over 1,500 rows of each task, BERT's uncased vocabulary."""
UNKNOWN_TOKENS = 35
"""The same for a task that is not listed."""
STEP_TOKENS = 100
"""A step costs as much as so many tokens before it computes any: mostly the optimizer's (docs/performance.md)."""
FORWARD_SHARE = 1 / 4
"""Cost of a row that is only scored, as a share of one that is trained on."""


def estimate_run(config: RunConfig, rows: int, times: list[TrainingTime]) -> float | None:
    """Seconds of a run: the mean of this configuration's own runs, else of the most similar ones in proportion to their work.

    Args:
      rows: rows of the task's training file.
      times: of runs with the same checkpoint; those of the same task, number format and nearest batch size count.

    Returns:
      None where there are no times.
    """
    own = [time for time in times if time.config.hash == config.hash]
    if own:
        return own[0].seconds
    if not times:
        return None
    nearest = min(_distance(time.config, config) for time in times)
    similar = [time for time in times if _distance(time.config, config) == nearest]
    work = sum(time.runs * count_work(time.config, time.rows) for time in similar)
    return count_work(config, rows) * sum(time.runs * time.seconds for time in similar) / work


def count_work(config: RunConfig, rows: int) -> float:
    """What a run computes, in tokens.

    Args:
      rows: rows of the task's training file.
    """
    task = TASKS.get(config.task)
    tokens = min(MEAN_TOKENS.get(config.task, UNKNOWN_TOKENS), config.max_length)
    training_rows = (config.limit_train or rows) * (1 - config.validation)
    steps = config.steps or config.epochs * max(1, training_rows // config.batch_size)
    scored = sum(task.evaluation_rows.values()) if task else 0
    return steps * (STEP_TOKENS + config.batch_size * tokens) + FORWARD_SHARE * scored * tokens


def _distance(one: RunConfig, other: RunConfig) -> tuple[bool, bool, float]:
    return one.task != other.task, one.dtype != other.dtype, abs(math.log(one.batch_size / other.batch_size))
