"""Fields of a configuration as people set them: `dropout=0.2`, and as an axis of a grid `dropout=0,0.1,0.2`."""
import dataclasses
import typing

from common import UserError
from common.studies.config import RunConfig
from common.studies.names import show_value

FLAGS = {"task": "--task", "data": "--glue-dir", "checkpoint": "--checkpoint", "batch_size": "--batch-sizes",
         "peak_learning_rate": "--rates", "lower_case": "--lower-case"}
"""Fields that have another flag, which says more than a value can."""
FIELDS = {field.name: field for field in dataclasses.fields(RunConfig) if field.name not in (*FLAGS, "recipe")}
"""Fields that can be set, by name."""
ANY: dict[str, typing.Any] = {"task": "", "data": "", "checkpoint": "", "batch_size": 1, "peak_learning_rate": 1, "epochs": 1}
"""The fields that a configuration needs, to check one value beside."""


def parse_setting(text: str) -> tuple[str, typing.Any]:
    """Name and value of `dropout=0.2`.

    Raises:
      UserError: there is no such field, or it cannot have this value.
    """
    name, value = _divide(text)
    return name, _parse_value(name, value)


def parse_sweep(text: str) -> tuple[str, tuple]:
    """Name and values of `dropout=0,0.1,0.2`; values that hold commas are separated by semicolons.

    Raises:
      UserError: there is no such field, or it cannot have one of these values.
    """
    name, values = _divide(text)
    return name, tuple(dict.fromkeys(_parse_value(name, value) for value in values.split(";" if ";" in values else ",")))


def describe_fields() -> str:
    """Every field that can be set, with its default."""
    usual = {name: "study's" if field.default is dataclasses.MISSING else show_value(field.default)
             for name, field in FIELDS.items()}
    return " ".join(f"{name}={value}" for name, value in usual.items())


def _divide(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if name in FLAGS:
        raise UserError(f"{name} has another flag: {FLAGS[name]}")
    if not equals or name not in FIELDS:
        raise UserError(f"{text!r} sets no field: give FIELD=VALUE with one of {', '.join(FIELDS)}")
    return name, value


def _parse_value(name: str, text: str) -> typing.Any:
    kinds = typing.get_args(FIELDS[name].type) or (FIELDS[name].type,)
    if text == "none" and type(None) in kinds:
        return None
    try:
        value = kinds[0](text)
    except ValueError:
        wanted = "a whole number" if kinds[0] is int else "a number"
        raise UserError(f"{name} is {text!r}, but must be {wanted}{' or none' if type(None) in kinds else ''}") from None
    RunConfig(**ANY | {name: value})
    return value
