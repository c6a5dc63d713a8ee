"""The protocol as a table: every claim that the report tests, and how. docs/protocol.md says the same in sentences.

A verdict on a claim is given when its planned runs are in, by the test and the smallest effect that matters named here.
"""
from dataclasses import dataclass
from enum import StrEnum

LEVEL = 0.05
"""Chance of any false finding within a family, by Holm's correction."""
POWER = 0.8
"""Chance to find the smallest effect that matters, for which the needed instances are computed."""
INSTANCES = 4
"""Planned runs of a cell, unless the claim names its own number."""
MOST_INSTANCES = 100
"""Instances of a cell above which more runs are no sensible answer."""
SEEN_UNTIL = "2026-11-25T22:00:00"
"""Runs that finished before this moment (UTC) had been looked at when the protocol was written."""
SEEN_FIRST = ("SNLI", "MNLI")
"""Tasks whose instance 0 had been looked at, too, whenever it finished."""


class Rule(StrEnum):
    """How an effect becomes an outcome; in each, "clear" means a corrected p value below `LEVEL`."""

    MORE = "more"
    """Supported: clearly above 0. Contradicted: clearly below 0, or clearly below the smallest effect that matters."""
    LESS = "less"
    """The same with the sign turned: the claim expects an effect below 0."""
    EQUAL = "equal"
    """Supported: clearly within the smallest effect that matters on both sides of 0. Contradicted: else, where clearly not 0."""
    WINNER = "winner"
    """Supported: a named setting is clearly better than every other. Contradicted: another is clearly better than every named."""
    HALF = "half"
    """Supported: clearly less than half of the advantage is left. Contradicted: clearly more than half of it is."""
    FACTOR = "factor"
    """Supported: the factor's variance is clearly above 0. It cannot be contradicted: a variance of 0 cannot be shown."""
    COLLAPSE = "collapse"
    """Supported: every run is collapsed. Contradicted: every run's predictions depend on the label."""


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
    """Name of the study in the store whose runs are tested; `every run`: of all studies."""
    family: str
    """Claims of one family, tested on the same runs, are corrected together."""
    cells: str
    """The planned cells, in words."""
    instances: int
    """Planned runs of each cell."""
    test: str
    """The test, in words."""
    unit: str
    """Unit of the effect: `points for each doubling of the batch size`; empty where there is no effect."""
    rule: Rule
    smallest: float | None = None
    """The smallest effect that matters, in shares (0.003: 0.3 points); None: it follows from the runs, or there is none."""
    batch_sizes: tuple[int, ...] = ()
    """Planned batch sizes; empty: those that the study asked for."""
    rates: tuple[float, ...] = ()
    """Planned peak rates; empty: those that the study asked for."""


_ORIGINAL, _QUESTION = "the original", "an open question of the original"
_SIZES, _RATES = (2, 8, 16, 32, 64), (1e-5, 1e-4, 2e-4, 3e-4)
_SIZES_IN_WORDS = "batch sizes 2, 8, 16, 32, 64"
_GRID = {"study": "lr_mnli", "family": "learning_rate", "instances": INSTANCES, "batch_sizes": (64, 128), "rates": _RATES,
         "cells": "batch sizes 64, 128 at peak rates 1e-5, 1e-4, 2e-4, 3e-4, 5 epochs"}
_EVERY_RUN = {"study": "every run", "family": "noise_scale", "instances": 2,
              "cells": "every run of a task and checkpoint that differs in batch size, rate, head or data order alone"}
_PER_DOUBLING = "points for each doubling of the batch size"
_PER_DOUBLINGS = "points for each doubling of both batch size and rate"
_SLOPE = 0.003
"""Half of the original's slope on MRPC (0.63 points for each doubling from batch size 2 to 64), rounded down."""
_DIFFERENCE = 0.003
"""Half of the original's distance between best rate and nearest other on MNLI-m (0.65 to 0.7 points), rounded down."""
_RISE = 0.002
"""Half of the original's interaction on MNLI-m (0.40 points for each doubling of both)."""


def _best_rate(size: int, where: str) -> Claim:
    return Claim(f"best_rate_{size}", f"batch size {size} is best at peak rate {where}", _ORIGINAL, **_GRID, unit="points",
                 test="the best rate against every rate of the other side (not named, if it is a named one), Welch's t test; the "
                 "largest p value times the number of rates on its own side", rule=Rule.WINNER, smallest=_DIFFERENCE)


def _reason(condition: str, sentence: str) -> Claim:
    return Claim(f"why_{condition}", f"small batches do better {sentence}", _QUESTION, f"why_bs.{condition}", "why",
                 f"{_SIZES_IN_WORDS} from peak rate 2e-5 and 5 epochs, as is and under the condition", INSTANCES,
                 "slope on log2 of the batch size under the condition minus half of the slope as is, paired by instance, "
                 "Student's t test", _PER_DOUBLING, Rule.HALF, batch_sizes=_SIZES)


def _spread(part: str, name: str) -> Claim:
    return Claim(f"spread_{part}", f"{name} add to the spread between runs", "Dodge et al. 2020", "spread", "spread",
                 "five data orders at batch size 16, peak rate 2e-5, 5 epochs", 5,
                 "F test of the factor in the two-way crossed design", "its variance as a multiple of the rest's", Rule.FACTOR,
                 smallest=0.5)


CLAIMS: dict[str, Claim] = {claim.key: claim for claim in (
    Claim("batch_size", "smaller batch sizes reach the better accuracy", _ORIGINAL, "bs_mrpc", "batch_size",
          f"{_SIZES_IN_WORDS} at peak rate 2e-5, 5 epochs", INSTANCES,
          "least-squares slope of the score on log2 of the batch size over all runs, t test", _PER_DOUBLING, Rule.LESS,
          smallest=_SLOPE, batch_sizes=_SIZES),
    _best_rate(64, "1e-4"),
    _best_rate(128, "1e-4 or 2e-4"),
    Claim("shift", "a larger batch needs a larger rate", f"{_ORIGINAL}; Smith and Le 2017", **_GRID, unit=_PER_DOUBLINGS,
          test="interaction of log2 batch size and log2 rate over the cells' means, Welch's t test", rule=Rule.MORE,
          smallest=_RISE),
    Claim("best_accuracy", "each at its best rate, the smaller batch size reaches the better accuracy", _ORIGINAL, **_GRID,
          unit="points", test="smallest minus largest batch size, each at the rate of its highest mean validation score, Welch's "
          "t test", rule=Rule.MORE, smallest=_DIFFERENCE),
    _reason("dropout_0", "because of dropout in training"),
    _reason("same_steps", "because as many epochs are more steps"),
    _reason("linear", "because the rate does not grow in proportion to the batch size"),
    _reason("sqrt", "because the rate does not grow with the square root of the batch size"),
    _reason("best_rate", "because one rate does not suit every batch size"),
    Claim("one_curve", "runs of equal rate x rows / batch size score alike", "Smith and Le 2017", **_EVERY_RUN,
          test="slope of the score on log2 of the batch size among runs of equal scale, t test", unit=_PER_DOUBLING,
          rule=Rule.EQUAL, smallest=_SLOPE),
    Claim("square_root", "runs of equal rate / square root of the batch size score alike", "Malladi et al. 2022, for Adam",
          **_EVERY_RUN, test="as one_curve, at equal rate / square root of the batch size", unit=_PER_DOUBLING, rule=Rule.EQUAL,
          smallest=_SLOPE),
    Claim("best_batch", "the best batch size grows with the rate", "Smith and Le 2017", **_EVERY_RUN,
          test="as shift, over the largest full rectangle of batch sizes and rates with two scored runs in each cell",
          unit=_PER_DOUBLINGS, rule=Rule.MORE, smallest=_RISE),
    _spread("head", "the head's initial values"),
    _spread("order", "data order and dropout masks"),
    Claim("cola", "CoLA was left out because BERT-mini predicts one class for every sentence", _QUESTION, "allglue", "cola",
          "CoLA by the recipe of the study of all tasks, and by Google's search", 1, "every run is collapsed, or every run has a "
          "Matthews correlation above 1.96 / sqrt(rows)", "", Rule.COLLAPSE),
)}


def describe_family(family: str) -> str:
    """The planned runs and the claims of a family as docs/protocol.md has them."""
    claims = [claim for claim in CLAIMS.values() if claim.family == family]
    planned = f"Planned: {claims[0].cells}; {claims[0].instances} instance{'s' * (claims[0].instances > 1)} of each cell."
    rows = [f"| `{each.key}`: {each.sentence} | {each.test} | {each.rule} | {_show_smallest(each)} |" for each in claims]
    return "\n".join([planned, "", "| claim | test | rule | smallest effect that matters |", "| --- | --- | --- | --- |", *rows])


def _show_smallest(claim: Claim) -> str:
    if claim.rule == Rule.HALF:
        return "a quarter of the slope as is"
    if claim.smallest is None:
        return "-"
    return f"{claim.smallest:g} times the rest's variance" if claim.rule == Rule.FACTOR else \
        f"{100 * claim.smallest:g} {claim.unit}"
