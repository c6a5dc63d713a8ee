"""The protocol as a table: every claim that the report tests, and how. docs/protocol.md says the same in sentences.

The words of a claim are in sections/claims.md.j2. A verdict on a claim is given when its planned runs are in, by the test and
the smallest effect that matters named here.
"""
from dataclasses import dataclass
from enum import StrEnum

from common.report.templates import say

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
    """A conclusion of the original, or a reason or theory, in the form in which it is tested.

    Its words are in sections/claims.md.j2.
    """

    key: str
    """Short name: `batch_size`."""
    source: str
    """Who says so: `the original`, `an open question of the original`, a paper."""
    study: str
    """Name of the study in the store whose runs are tested; `every run`: of all studies."""
    family: str
    """Claims of one family, tested on the same runs, are corrected together."""
    rule: Rule
    unit: str
    """Unit of the effect: `points for each doubling of the batch size`; empty where there is no effect."""
    smallest: float | None = None
    """The smallest effect that matters, in shares (0.003: 0.3 points); None: it follows from the runs, or there is none."""
    instances: int = INSTANCES
    """Planned runs of each cell."""
    batch_sizes: tuple[int, ...] = ()
    """Planned batch sizes; empty: those that the study asked for."""
    rates: tuple[float, ...] = ()
    """Planned peak rates; empty: those that the study asked for."""

    @property
    def sentence(self) -> str:
        """The claim without a full stop, for a table: "smaller batch sizes reach the better accuracy"."""
        return self._say(self.key)

    @property
    def cells(self) -> str:
        """The planned cells, in words."""
        return self._say("cells")

    @property
    def test(self) -> str:
        """The test, in words."""
        return self._say("test")

    def _say(self, block: str) -> str:
        return str(say(block, file="claims", plain=True, key=self.key, family=self.family, batch_sizes=self.batch_sizes,
                       rates=self.rates))


_ORIGINAL, _QUESTION = "the original", "an open question of the original"
_SIZES, _RATES = (2, 8, 16, 32, 64), (1e-5, 1e-4, 2e-4, 3e-4)
_GRID = {"study": "lr_mnli", "family": "learning_rate", "batch_sizes": (64, 128), "rates": _RATES}
_EVERY_RUN = {"study": "every run", "family": "noise_scale", "instances": 2}
_SPREAD = {"study": "spread", "family": "spread", "rule": Rule.FACTOR, "unit": "its variance as a multiple of the rest's",
           "smallest": 0.5, "instances": 5}
_PER_DOUBLING = "points for each doubling of the batch size"
_PER_DOUBLINGS = "points for each doubling of both batch size and rate"
_OVER_OTHERS = "points of the best rate over the other side"
_OVER_LARGER = "points of the smaller batch size over the larger"
_SLOPE = 0.003
"""Half of the original's slope on MRPC (0.63 points for each doubling from batch size 2 to 64), rounded down."""
_DIFFERENCE = 0.003
"""Half of the original's distance between best rate and nearest other on MNLI-m (0.65 to 0.7 points), rounded down."""
_RISE = 0.002
"""Half of the original's interaction on MNLI-m (0.40 points for each doubling of both)."""

CLAIMS: dict[str, Claim] = {claim.key: claim for claim in (
    Claim("batch_size", _ORIGINAL, "bs_mrpc", "batch_size", Rule.LESS, _PER_DOUBLING, _SLOPE, batch_sizes=_SIZES),
    Claim("best_rate_64", _ORIGINAL, **_GRID, rule=Rule.WINNER, unit=_OVER_OTHERS, smallest=_DIFFERENCE),
    Claim("best_rate_128", _ORIGINAL, **_GRID, rule=Rule.WINNER, unit=_OVER_OTHERS, smallest=_DIFFERENCE),
    Claim("shift", f"{_ORIGINAL}; Smith and Le 2017", **_GRID, rule=Rule.MORE, unit=_PER_DOUBLINGS, smallest=_RISE),
    Claim("best_accuracy", _ORIGINAL, **_GRID, rule=Rule.MORE, unit=_OVER_LARGER, smallest=_DIFFERENCE),
    *(Claim(f"why_{condition}", _QUESTION, f"why_bs.{condition}", "why", Rule.HALF, _PER_DOUBLING, batch_sizes=_SIZES)
      for condition in ("dropout_0", "same_steps", "linear", "sqrt", "best_rate")),
    Claim("one_curve", "Smith and Le 2017", **_EVERY_RUN, rule=Rule.EQUAL, unit=_PER_DOUBLING, smallest=_SLOPE),
    Claim("square_root", "Malladi et al. 2022, for Adam", **_EVERY_RUN, rule=Rule.EQUAL, unit=_PER_DOUBLING, smallest=_SLOPE),
    Claim("best_batch", "Smith and Le 2017", **_EVERY_RUN, rule=Rule.MORE, unit=_PER_DOUBLINGS, smallest=_RISE),
    Claim("spread_head", "Dodge et al. 2020", **_SPREAD),
    Claim("spread_order", "Dodge et al. 2020", **_SPREAD),
    Claim("cola", _QUESTION, "allglue", "cola", Rule.COLLAPSE, "", instances=1),
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
