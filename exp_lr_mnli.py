"""Batch size and learning rate on MNLI: which peak learning rate is best, and does it move with the batch size?

    python exp_lr_mnli.py --instances 4

Two batch sizes by four peak learning rates; any other task by --task. Report section: "Batch size and learning rate".
"""
import sys

from common import cli
from common.studies.study import Study

STUDY = Study(
    name="lr_mnli",
    tasks=("MNLI",),
    batch_sizes=(64, 128),
    peak_learning_rates=(1e-5, 1e-4, 2e-4, 3e-4),
    epochs=5,
    instances=4,
)

if __name__ == "__main__":
    sys.exit(cli.main(STUDY, __doc__))
