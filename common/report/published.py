"""What was published, and which rows it really covers. Shares, not percent."""
from typing import NamedTuple

from common.inputs.checkpoint import BERT_MINI

GOOGLE_ARCHIVE = BERT_MINI.sha256

MRPC_BY_BATCH_SIZE = {2: 0.770, 8: 0.7725, 16: 0.764, 32: 0.752, 64: 0.739}
"""Batch size -> mean evaluation accuracy of Google's BERT-mini, read off the figure of the 2020 report."""
MRPC_VALIDATION_BY_BATCH_SIZE = {2: 0.821, 8: 0.813, 16: 0.800, 32: 0.764, 64: 0.760}
"""Batch size -> mean validation accuracy after 5 epochs, read off the figure of the 2020 report."""

MRPC_ROWS = ("The published values are those of Google's BERT-mini, read off the figures of the 2020 report. Its "
             "evaluation lost rows twice (a header skipped twice, a floor on the number of evaluation steps): its "
             "MRPC result of 76.0 % fits 304 of 400 rows, where the evaluation set has 408. Ours are over every row.")


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

ALL_GLUE_NOTES = (
    "The 2020 accuracies are not over whole dev sets. Each is a whole number of correct rows of floor((rows - 1) / 8) "
    "x 8 only: SST-2 747 of 864 (the set has 872), MRPC 304 of 400 (408), RTE 164 of 272 (277), WNLI 25 of 64 (71). "
    "Ours are over every row.",
    "The F1 row of 2020 is no usable F1: 54 for SST-2 beside an accuracy of 86 %, where the two classes are almost "
    "equally frequent. It is shown and compared with nothing. Ours is the GLUE one.",
    "In 2020 MNLI-m and MNLI-mm were trained twice, on the same training set, hence two times. Here one run serves "
    "both dev sets. The times of 2020 are those of one GTX 1080 Ti.",
    "Google's column is the **GLUE test server, best of 20 settings**, from the README of google-research/bert: other "
    "rows than the dev set's (for QQP and WNLI differently distributed ones), so a difference from ours is no error of "
    "either. Its AX (Matthews 26.1) and its score over all tasks (65.8) have no counterpart here.",
)

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
MNLI_ROWS = ("The published values are those of Google's BERT-mini on MNLI-m, means of 4 instances read off the figure "
             "of the 2020 report. Its evaluation did not cover the whole set: its MNLI-m result of 72.747 % fits 9808 "
             "of the 9815 rows.")

REFERENCES = (
    "BERT fine-tuning experiments, StagedML, 2020, the study that is redone here: "
    "<https://github.com/stagedml/stagedml/blob/master/run/bert_finetune/out/Report.md>.",
    "Turc, Chang, Lee, Toutanova: Well-Read Students Learn Better: On the Importance of Pre-training Compact Models, "
    "2019, [arXiv 1908.08962](https://arxiv.org/abs/1908.08962). BERT-mini; its own GLUE results are in the README of "
    "<https://github.com/google-research/bert>.",
    "Wang, Singh, Michael, Hill, Levy, Bowman: GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language "
    "Understanding, 2018, [arXiv 1804.07461](https://arxiv.org/abs/1804.07461). Tasks, sets and metrics.",
    "Dolan, Brockett: Automatically Constructing a Corpus of Sentential Paraphrases, 2005, "
    "<https://aclanthology.org/I05-5002>. MRPC.",
    "Smith, Le: A Bayesian Perspective on Generalization and Stochastic Gradient Descent, 2017, "
    "[arXiv 1710.06451](https://arxiv.org/abs/1710.06451).",
    "Malladi, Lyu, Panigrahi, Arora: On the SDEs and Scaling Rules for Adaptive Gradient Algorithms, 2022, "
    "[arXiv 2205.10287](https://arxiv.org/abs/2205.10287). Why the rate of Adam should grow with the square root of the batch.",
    "Dodge, Ilharco, Schwartz, Farhadi, Hajishirzi, Smith: Fine-Tuning Pretrained Language Models: Weight Initializations, "
    "Data Orders, and Early Stopping, 2020, [arXiv 2002.06305](https://arxiv.org/abs/2002.06305). The crossed design.",
    "MacKay: A Practical Bayesian Framework for Backpropagation Networks, Neural Computation 4, 1992.",
    "Tishby, Levin, Solla: Consistent inference of probabilities in layered networks: predictions and generalizations, "
    "IJCNN 1989.",
    "r/MachineLearning, on batch size and learning rate: <https://www.reddit.com/r/MachineLearning/comments/84waz4>.",
    "Student: The probable error of a mean, Biometrika 6, 1908; Welch: The generalization of 'Student's' problem when "
    "several different population variances are involved, Biometrika 34, 1947. The intervals and the tests.",
    "Holm: A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979; Bonett, "
    "Wright: Sample size requirements for estimating Pearson, Kendall and Spearman correlations, Psychometrika 65, 2000; "
    "Searle, Casella, McCulloch: Variance Components, 1992. The corrected p values, the rank correlation's interval, the crossed "
    "design.",
)
