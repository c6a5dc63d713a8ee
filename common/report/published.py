"""What was published, and which rows it really covers. Shares, not percent."""
from typing import NamedTuple

from common.inputs.checkpoint import BERT_MINI

GOOGLE_ARCHIVE = BERT_MINI.sha256

MRPC_BY_BATCH_SIZE = {2: 0.770, 8: 0.7725, 16: 0.764, 32: 0.752, 64: 0.739}
"""Batch size -> mean evaluation accuracy of Google's BERT-mini, read off the figure of the 2020 report."""
MRPC_VALIDATION_BY_BATCH_SIZE = {2: 0.821, 8: 0.813, 16: 0.800, 32: 0.764, 64: 0.760}
"""Batch size -> mean validation accuracy after 5 epochs, read off the figure of the 2020 report."""


class Score(NamedTuple):
    """A column of the 2020 report's table of all GLUE."""

    accuracy: float
    f1: float
    minutes: float
    rows: int
    """Rows that the accuracy is a share of: floor((rows of the set - 1) / 8) * 8."""
    batch_size: int


ALL_GLUE = {
    ("SST-2", "dev"): Score(0.86458, 0.54075, 14.0, 864, 8),
    ("MRPC", "dev"): Score(0.760, 0.75743, 0.9, 400, 8),
    ("QQP", "dev"): Score(0.8753, 0.43735, 74.2, 40424, 8),
    ("MNLI", "dev_matched"): Score(0.72747, 0.42151, 34.4, 9808, 64),
    ("MNLI", "dev_mismatched"): Score(0.74084, 0.42419, 34.2, 9824, 64),
    ("SNLI", "dev"): Score(0.84837, 0.40626, 47.6, 9840, 64),
    ("QNLI", "dev"): Score(0.84256, 0.53286, 21.4, 5456, 8),
    ("RTE", "dev"): Score(0.60294, 0.40067, 0.7, 272, 8),
    ("WNLI", "dev"): Score(0.39062, 0.34043, 0.3, 64, 8),
}
"""(task, evaluation set) -> what the 2020 report gives for Google's BERT-mini, one instance each."""


GOOGLE_BATCH_SIZES = (8, 16, 32, 64, 128)
GOOGLE_RATES = (3e-5, 5e-5, 1e-4, 3e-4)
"""The 20 settings of which Google submitted the best, 4 epochs each."""
GOOGLE_TEST_SERVER = {
    ("CoLA", "dev"): "Matthews 0.0", ("SST-2", "dev"): "85.9", ("MRPC", "dev"): "71.8, F1 81.1",
    ("STS-B", "dev"): "Pearson 75.4, Spearman 73.3", ("QQP", "dev"): "86.2, F1 66.4", ("MNLI", "dev_matched"): "74.8",
    ("MNLI", "dev_mismatched"): "74.3", ("QNLI", "dev"): "84.1", ("RTE", "dev"): "57.9", ("WNLI", "dev"): "62.3",
}
"""(task, our evaluation set) -> Google's BERT-mini on the test set that belongs to it; accuracy where no metric is named."""

MNLI_BY_RATE = {64: {1e-5: 0.711, 1e-4: 0.761, 2e-4: 0.754, 3e-4: 0.745},
                128: {1e-5: 0.697, 1e-4: 0.7575, 2e-4: 0.7565, 3e-4: 0.751}}
"""Batch size -> peak rate -> mean accuracy of Google's BERT-mini on MNLI-m, read off the figure of the 2020 report."""
MNLI_BEST_RATES = {64: (1e-4,), 128: (1e-4, 2e-4)}
"""Batch size -> where the 2020 report sees the best peak rate on MNLI-m."""
