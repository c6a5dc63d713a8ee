"""What the study of exp_why_bs.py changes, one thing at a time, and what it crosses; the report finds the runs by these."""
import math
from collections.abc import Callable

from common.studies.config import RunConfig
from common.studies.study import Condition

Settings = list[dict]
"""The fields to change, for each run that takes a configuration's place."""

BASE = 16
"""Batch size where the scaled conditions are as the study is: rates and steps are scaled down below it and up above it."""
SEARCHED = (1 / 4, 1, 4, 16)
"""Peak rates of the search, as multiples of the study's."""
ORDERS = 5
"""Data orders of the crossed design."""


def same_steps(config: RunConfig, rows: int) -> Settings:
    """The steps of the base batch size; where those are the steps anyway it is the same configuration, hash and all."""
    steps, in_epoch = config.epochs * max(1, rows // BASE), rows // config.batch_size
    return [{} if steps == config.epochs * in_epoch else {"steps": steps, "epochs": math.ceil(steps / in_epoch)}]


def scale_rate(power: float) -> Callable[[RunConfig, int], Settings]:
    """Peak rate times a power of batch size / base, to three digits."""
    return lambda config, rows: [{
        "peak_learning_rate": float(f"{config.peak_learning_rate * (config.batch_size / BASE) ** power:.3g}")}]


def search_rate(config: RunConfig, rows: int) -> Settings:
    """The same at each of the searched rates."""
    return [{"peak_learning_rate": config.peak_learning_rate * factor} for factor in SEARCHED]


def cross_orders(config: RunConfig, rows: int) -> Settings:
    """The same in each data order; the instances bring the heads."""
    return [{"order": order} for order in range(ORDERS)]


ONE_AT_A_TIME = (
    Condition("as_is"),
    Condition("dropout_0", lambda config, rows: [{"dropout": 0}]),
    Condition("same_steps", same_steps),
    Condition("linear", scale_rate(1)),
    Condition("sqrt", scale_rate(1 / 2)),
    Condition("best_rate", search_rate, search=2),
)
CROSSED = (Condition(settings=cross_orders),)
