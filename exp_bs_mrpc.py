"""Batch size on MRPC: how does evaluation accuracy depend on the batch size, and how fast does validation accuracy rise?

    python exp_bs_mrpc.py --instances 4

Batch sizes 2 to 64 at the same peak learning rate and number of epochs. Report section: "Batch size on MRPC".
"""
import sys

from common import cli
from common.studies.study import Study

STUDY = Study(
    name="bs_mrpc",
    tasks=("MRPC",),
    batch_sizes=(2, 8, 16, 32, 64),
    peak_learning_rates=(2e-5,),
    epochs=5,
    instances=4,
)

if __name__ == "__main__":
    sys.exit(cli.main(STUDY, __doc__))
