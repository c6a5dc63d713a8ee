"""What is trained: the configuration of a run, and the hash that names it."""
import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass

from common import UserError

RECIPE = 1
"""Raised when training itself changes, so that old numbers are never taken for new ones."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that can change a number of a run, and nothing else.

    The defaults are the recipe of the 2020 StagedML report; they may never change, because a field at its default may be
    left out of the hash (see `LATER`).
    """

    task: str
    """Name of the GLUE task."""
    data: str
    """SHA-256 of the parsed training and evaluation rows."""
    checkpoint: str
    """SHA-256 of the checkpoint's content."""
    batch_size: int
    """Rows for each optimizer step."""
    peak_learning_rate: float
    """Learning rate at the end of the warm-up."""
    epochs: int
    """Passes over the training split; where `steps` are given, the number of passes begun."""
    steps: int | None = None
    """Optimizer steps in all, for studies that fix them; None: epochs times floor(rows / batch size)."""
    max_length: int = 128
    """Longest input in WordPiece tokens, [CLS] and [SEP] included; pairs are truncated longest first."""
    warmup: float = 0.1
    """Share of the steps over which the rate rises linearly from 0."""
    end_learning_rate: float = 0.0
    """Rate that the polynomial decay (power 1) ends at."""
    dropout: float = 0.1
    """Dropout rate of hidden states, attention weights and head."""
    weight_decay: float = 0.01
    """Decoupled weight decay, on all but LayerNorm and biases."""
    beta_1: float = 0.9
    """Adam's decay rate of the first moment."""
    beta_2: float = 0.999
    """Adam's decay rate of the second moment."""
    epsilon: float = 1e-6
    """Adam's epsilon."""
    clip_norm: float = 1.0
    """Global norm that gradients are clipped to."""
    validation: float = 0.05
    """Share of the official training rows that is split off for validation."""
    split_seed: int = 0
    """Seed of the train / validation split."""
    seed: int = 0
    """Seed of data order, dropout masks and (with the instance number) of the head's initial values."""
    vary: str = "head"
    """What differs between the instances: `head` (its initial values) or `head,order` (data order and masks too)."""
    dtype: str = "float32"
    """Number format of the matrix products."""
    limit_train: int | None = None
    """Use only the first rows of the official training file (quick looks); None: all."""
    recipe: int = RECIPE
    order: int = 0
    """Number of the data order and dropout masks, where a study crosses them with the heads of the instances."""
    lower_case: bool | None = None
    """Whether text is lowercased and loses its accents; None: yes, unless an entry of the vocabulary has a capital letter, as in
    the first release."""

    def __post_init__(self):
        for name in ("peak_learning_rate", "warmup", "end_learning_rate", "dropout", "weight_decay", "beta_1", "beta_2",
                     "epsilon", "clip_norm", "validation"):
            object.__setattr__(self, name, float(getattr(self, name)))
        _require(_is_whole(self.batch_size, 1), "the batch size", self.batch_size, "a whole number of at least 1")
        _require(0 < self.peak_learning_rate < math.inf, "the learning rate", self.peak_learning_rate, "above 0 and finite")
        _require(_is_whole(self.epochs, 1), "the number of epochs", self.epochs, "a whole number of at least 1")
        _require(self.steps is None or _is_whole(self.steps, 1), "the number of steps", self.steps,
                 "a whole number of at least 1")
        _require(_is_whole(self.max_length, 8) and self.max_length <= 512, "the maximum sequence length",
                 self.max_length, "a whole number from 8 to 512")
        _require(0 <= self.warmup < 1, "the warm-up share", self.warmup, "from 0 to below 1")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "from 0 to below 1")
        _require(0 < self.validation < 1, "the validation share", self.validation, "between 0 and 1")
        _require(self.limit_train is None or _is_whole(self.limit_train, 2), "the row limit", self.limit_train,
                 "a whole number of at least 2")
        for name in ("split_seed", "seed", "order"):
            _require(_is_whole(getattr(self, name), 0), name, getattr(self, name), "a whole number of at least 0")
        for name in ("end_learning_rate", "weight_decay", "epsilon"):
            _require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "at least 0 and finite")
        for name in ("beta_1", "beta_2"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 to below 1")
        _require(0 < self.clip_norm < math.inf, "clip_norm", self.clip_norm, "above 0 and finite")
        _require(self.vary in ("head", "head,order"), "what varies", self.vary, "`head` or `head,order`")
        _require(self.vary == "head" or not self.order, "the data order", self.order,
                 "0 where it varies with the instances anyway")
        _require(type(self.lower_case) in (bool, type(None)), "lowercasing", self.lower_case, "True, False or None")
        _require(self.dtype in ("float32", "bfloat16"), "the number format", self.dtype, "float32 or bfloat16")

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON: equal exactly when nothing differs that can change a number."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, floats by their shortest form; no NaN, no unknown types."""
        fields = {name: value for name, value in dataclasses.asdict(self).items()
                  if name not in LATER or value != LATER[name]}
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """The configuration that `to_json` wrote.

        Raises:
          UserError: the text names a field that this version does not know.
        """
        fields = json.loads(text)
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise UserError(f"unknown configuration field {unknown[0]!r}; known are: {', '.join(known)}")
        return cls(**fields)


LATER: dict[str, object] = {"order": 0, "lower_case": None}
"""Fields added after the first release with their defaults: at its default such a field is left out of the JSON, so that
a knob added later moves no old hash."""


def _is_whole(value, least: int) -> bool:
    return type(value) is int and value >= least


def _require(holds: bool, what: str, value, wanted: str) -> None:
    if not holds:
        raise UserError(f"{what} is {value}, but must be {wanted}")
