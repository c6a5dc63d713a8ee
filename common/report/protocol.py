"""The protocol as a table: every claim that the report tests, and how. docs/protocol.md says the same in sentences.

A verdict on a claim is given when its planned runs are in, by the test and the smallest effect that matters named here.
"""
from dataclasses import dataclass

LEVEL = 0.05
"""Chance of any false finding within a family, by Holm's correction."""
POWER = 0.8
"""Chance to find the smallest effect that matters, for which the needed instances are computed."""
MOST_INSTANCES = 100
"""Instances of a cell above which more runs are no sensible answer."""
INSTANCES = 4
"""Planned runs of a cell, unless the claim names its own number."""
SEEN_UNTIL = "2026-11-25T22:00:00"
"""Runs that finished before this moment (UTC) had been looked at when the protocol was written."""
SEEN_FIRST = ("SNLI", "MNLI")
"""Tasks whose instance 0 had been looked at, too, whenever it finished."""


@dataclass(frozen=True)
class Claim:
    """A conclusion of the original, or a reason or theory, in the form in which it is tested."""

    key: str
    """Short name: `batch_size`."""
    sentence: str
    """The claim as a sentence without a full stop, for a table: "smaller batch sizes reach the better accuracy"."""
    source: str
    """Who says so: `the original`, `an open question of the original`, a paper."""
    study: str
    """Name of the study in the store whose runs are tested."""
    family: str
    """Claims of one family, tested on the same runs, are corrected together."""
    cells: str
    """The planned cells, in words."""
    instances: int
    """Planned runs of each cell."""
    test: str
    """The test, in words."""
    unit: str
    """Unit of the effect: `points for each doubling of the batch size`."""
    smallest: float | None
    """The smallest effect that matters, in shares (0.003: 0.3 points); None: it follows from the runs, or there is none."""


_ORIGINAL, _QUESTION = "the original", "an open question of the original"
_BATCH_SIZES = "batch sizes 2, 8, 16, 32, 64"
_RATES = "batch sizes 64, 128 at peak rates 1e-5, 1e-4, 2e-4, 3e-4, 5 epochs"
_PER_DOUBLING = "points for each doubling of the batch size"
_PER_DOUBLINGS = "points for each doubling of both batch size and rate"
_EVERY_RUN = "every run of a task and checkpoint that differs in batch size, rate, head or data order alone"


def _best_rate(size: int, where: str) -> Claim:
    return Claim(f"best_rate_{size}", f"batch size {size} is best at peak rate {where}", _ORIGINAL, "lr_mnli", "learning_rate",
                 _RATES, INSTANCES, "the best rate against every rate of the other side, Welch's test, the largest p value "
                 "times the number of rates on the winner's side", "points", 0.003)


def _reason(condition: str, sentence: str) -> Claim:
    return Claim(f"why_{condition}", f"small batches do better {sentence}", _QUESTION, f"why_bs.{condition}", "why",
                 f"{_BATCH_SIZES} from peak rate 2e-5 and 5 epochs, as is and under the condition", INSTANCES,
                 "slope under the condition minus half of the slope as is, paired by instance, t test", _PER_DOUBLING, None)


def _spread(part: str, name: str) -> Claim:
    return Claim(f"spread_{part}", f"{name} add to the spread between runs", "Dodge et al. 2020", "spread", "spread",
                 "five data orders at batch size 16, peak rate 2e-5, 5 epochs", 5, "F test of the factor's mean square in the "
                 "two-way crossed design", "variance of the factor as a multiple of the rest's", 0.5)


CLAIMS: dict[str, Claim] = {claim.key: claim for claim in (
    Claim("batch_size", "smaller batch sizes reach the better accuracy", _ORIGINAL, "bs_mrpc", "batch_size",
          f"{_BATCH_SIZES} at peak rate 2e-5, 5 epochs", INSTANCES,
          "least-squares slope of the score on log2 of the batch size over all runs, t test", _PER_DOUBLING, 0.003),
    _best_rate(64, "1e-4"),
    _best_rate(128, "1e-4 or 2e-4"),
    Claim("shift", "a larger batch needs a larger rate", f"{_ORIGINAL}; Smith and Le 2017", "lr_mnli", "learning_rate",
          _RATES, INSTANCES, "interaction of log2 batch size and log2 rate over the cells' means, Welch's test",
          _PER_DOUBLINGS, 0.002),
    Claim("best_accuracy", "the smaller batch size, each at its best rate, reaches the better accuracy", _ORIGINAL, "lr_mnli",
          "learning_rate", _RATES, INSTANCES, "smallest against largest batch size, each at the rate that its validation split "
          "chooses, Welch's test", "points", 0.003),
    _reason("dropout_0", "because of dropout in training"),
    _reason("same_steps", "because as many epochs are more steps"),
    _reason("linear", "because the rate does not grow in proportion to the batch size"),
    _reason("sqrt", "because the rate does not grow with the square root of the batch size"),
    _reason("best_rate", "because one rate does not suit every batch size"),
    Claim("one_curve", "runs of equal rate x rows / batch size score alike", "Smith and Le 2017", "every run", "noise_scale",
          _EVERY_RUN, 2, "slope of the score on log2 of the batch size among runs of equal scale, t test", _PER_DOUBLING, 0.003),
    Claim("square_root", "runs of equal rate / square root of the batch size score alike", "Malladi et al. 2022, for Adam",
          "every run", "noise_scale", _EVERY_RUN, 2, "as one_curve, at equal rate / square root of the batch size",
          _PER_DOUBLING, 0.003),
    Claim("best_batch", "the best batch size grows with the rate", "Smith and Le 2017", "every run", "noise_scale", _EVERY_RUN,
          2, "as shift, over the largest full rectangle of batch sizes and rates", _PER_DOUBLINGS, 0.002),
    _spread("head", "the head's initial values"),
    _spread("order", "data order and dropout masks"),
    Claim("cola", "CoLA was left out because BERT-mini predicts one class for every sentence", _QUESTION, "allglue", "cola",
          "CoLA by the recipe of the study of all tasks, and by Google's search", 1, "every run collapsed, or every run's "
          "Matthews correlation above 1.96 / sqrt(rows)", "", None),
)}
