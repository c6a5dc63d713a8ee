"""Why do small batches train better? On MRPC, or another task, one thing is changed at a time:

    python exp_why_bs.py --instances 4

    as_is       peak rate 2e-5 and 5 epochs at every batch size: the runs of exp_bs_mrpc.py
    dropout_0   no dropout
    same_steps  as many optimizer steps at every batch size as batch size 16 takes, instead of as many epochs
    linear      peak rate in proportion to the batch size: 2e-5 at 16
    sqrt        peak rate in proportion to its square root: 2e-5 at 16
    best_rate   the best of four peak rates at each batch size, by validation score over two instances

At batch size 16, the middle of the grid, same_steps, linear and sqrt are the computation of as_is, trained once. Besides
the runs of exp_bs_mrpc.py these are about 100 of 5 to 10 minutes of a core each (BERT-mini, MRPC): six hours on two cores.
The two instances that decide the search come first, and as many of all the others; stopped at any time, the study is even.

    python exp_why_bs.py --grid crossed

crosses five initial values of the head with five data orders (and dropout masks) instead: 25 runs at batch size 16, after
Dodge et al. 2020, arXiv 2002.06305. Report section: "Why do small batches train better?".
"""
import dataclasses
import sys

from common import cli
from common.studies.conditions import BASE, CROSSED, ONE_AT_A_TIME
from common.studies.study import Study

STUDY = Study(
    name="why_bs",
    tasks=("MRPC",),
    batch_sizes=(2, 8, 16, 32, 64),
    peak_learning_rates=(2e-5,),
    epochs=5,
    instances=4,
    conditions=ONE_AT_A_TIME,
)

# Dodge et al. 2020 (arXiv 2002.06305): every head with every data order.
SPREAD = dataclasses.replace(STUDY, name="spread", batch_sizes=(BASE,), instances=5, conditions=CROSSED)

if __name__ == "__main__":
    sys.exit(cli.main(STUDY, __doc__, grids={"crossed": SPREAD}))
