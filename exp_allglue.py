"""All of GLUE: what does BERT-mini reach on each task with one plain recipe?

    python exp_allglue.py --instances 1

MNLI is trained once and scored on both of its dev sets. --grid upstream searches as Google did for the release of
BERT-mini: five batch sizes by four rates for every task. Report section: "All of GLUE".
"""
import dataclasses
import sys

from common import cli
from common.studies.study import Study

STUDY = Study(
    name="allglue",
    tasks=("SST-2", "MRPC", "QQP", "MNLI", "SNLI", "QNLI", "RTE", "WNLI", "CoLA", "STS-B"),
    batch_sizes=(8,),
    batch_sizes_of={"MNLI": (64,), "SNLI": (64,)},
    peak_learning_rates=(2e-5,),
    epochs=4,
    instances=1,
)

# Turc et al. 2019 (arXiv 1908.08962) and the README of google-research/bert: the best of this grid was submitted.
UPSTREAM = dataclasses.replace(STUDY, name="allglue_upstream", batch_sizes=(8, 16, 32, 64, 128), batch_sizes_of={},
                               peak_learning_rates=(3e-4, 1e-4, 5e-5, 3e-5))

if __name__ == "__main__":
    sys.exit(cli.main(STUDY, __doc__, grids={"upstream": UPSTREAM}))
