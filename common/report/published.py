"""What was published, and which rows it really covers. Shares, not percent."""
from common.fetch import BERT_MINI

GOOGLE_ARCHIVE = BERT_MINI.sha256

MRPC_BY_BATCH_SIZE = {2: 0.770, 8: 0.7725, 16: 0.764, 32: 0.752, 64: 0.739}
"""Batch size -> mean evaluation accuracy of Google's BERT-mini, read off the figure of the 2020 report."""
MRPC_VALIDATION_BY_BATCH_SIZE = {2: 0.821, 8: 0.813, 16: 0.800, 32: 0.764, 64: 0.760}
"""Batch size -> mean validation accuracy after 5 epochs, read off the figure of the 2020 report."""

MRPC_ROWS = ("The published values are those of Google's BERT-mini, read off the figures of the 2020 report. Its "
             "evaluation lost rows twice (a header skipped twice, a floor on the number of evaluation steps): its "
             "MRPC result of 76.0 % fits 304 of 400 rows, where the evaluation set has 408. Ours are over every row.")

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
    "MacKay: A Practical Bayesian Framework for Backpropagation Networks, Neural Computation 4, 1992.",
    "Tishby, Levin, Solla: Consistent inference of probabilities in layered networks: predictions and generalizations, "
    "IJCNN 1989.",
    "r/MachineLearning, on batch size and learning rate: <https://www.reddit.com/r/MachineLearning/comments/84waz4>.",
    "Student: The probable error of a mean, Biometrika 6, 1908; Welch: The generalization of 'Student's' problem when "
    "several different population variances are involved, Biometrika 34, 1947. The intervals and the tests.",
)
