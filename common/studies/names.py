"""What runs, rates and durations are called in messages, tables, headings and folders."""
import dataclasses

from common.studies.config import RunConfig


def name_folder(config: RunConfig, instance: int) -> str:
    """Name of a run's folder: words for people, and enough of the configuration's hash to tell it from every other."""
    return (f"{config.task}-batch{config.batch_size}-rate{config.peak_learning_rate:g}-{config.hash[:12]}"
            f"-instance{instance}")


def name_run(config: RunConfig, instance: int) -> str:
    return " ".join(filter(None, [f"{config.task} batch={config.batch_size} rate={config.peak_learning_rate:g}",
                                  name_changes(config), f"instance={instance}"]))


def name_changes(config: RunConfig) -> str:
    """What a study has changed besides the batch size, the rate and the epochs: `dropout=0 steps=1085`."""
    usual = {field.name: field.default for field in dataclasses.fields(config)}
    return " ".join(f"{name}={getattr(config, name):g}" for name in ("dropout", "steps", "order")
                    if getattr(config, name) != usual[name])


def show_seconds(seconds: float) -> str:
    """Seconds as a person writes them: 8s, 1m42s, 2h05m."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    return f"{seconds // 3600}h{seconds % 3600 // 60:02}m"


def show_rate(rate: float) -> str:
    """A learning rate, in one form whatever its size: 1e-4."""
    mantissa, exponent = f"{rate:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
