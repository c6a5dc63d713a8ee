"""What runs, learning rates, durations and numbers of things are called in messages, tables, headings and folders."""
import dataclasses

from common.studies.config import RunConfig

OWN_WORDS = ("task", "data", "checkpoint", "batch_size", "peak_learning_rate", "epochs", "recipe")
"""Fields of a configuration that are named by themselves, or by no one: the others are named where they are not as usual."""


def name_folder(config: RunConfig, instance: int) -> str:
    """Name of a run's folder: words for people, and enough of the configuration's hash to tell it from every other.

    The learning rate keeps the form that it had in the first release (2e-05), so that saved models are found again.
    """
    return (f"{config.task}-batch{config.batch_size}-rate{config.peak_learning_rate:g}-{config.hash[:12]}"
            f"-instance{instance}")


def name_run(config: RunConfig, instance: int) -> str:
    """A run in messages: `MRPC batch=8 rate=2e-5 dropout=0 instance=3`."""
    return " ".join(filter(None, [f"{config.task} batch={config.batch_size} rate={show_rate(config.peak_learning_rate)}",
                                  name_changes(config), f"instance={instance}"]))


def name_changes(config: RunConfig) -> str:
    """What differs from the recipe besides the batch size, the learning rate and the epochs: `dropout=0 steps=1085`."""
    return " ".join(f"{field.name}={show_value(getattr(config, field.name))}" for field in dataclasses.fields(config)
                    if field.name not in OWN_WORDS and getattr(config, field.name) != field.default)


def show_value(value: object) -> str:
    """The value of a field of a configuration in its shortest form: 0.1, 1085, 1e-6, head, none."""
    if not isinstance(value, float):
        return "none" if value is None else str(value)
    return show_rate(value) if 0 < value < 1e-3 else f"{value:g}"


def count(number: int, noun: str) -> str:
    """How many there are of a thing whose plural ends in s: `1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_seconds(seconds: float) -> str:
    """Seconds as a person writes them: 8s, 1m42s, 2h05m."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"


def show_rate(rate: float) -> str:
    """A learning rate, in one form whatever its size and wherever it stands: 1e-4."""
    mantissa, exponent = f"{rate:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
