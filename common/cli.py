"""The command line that the studies share: its flags, and the words that it answers with."""
import argparse
import contextlib
import dataclasses
import errno
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

from common import Terminated, UserError
from common.demo import FOLDER, RATE_FACTOR, use_demo
from common.studies.names import count, name_changes, show_rate, show_seconds
from common.studies.settings import describe_fields, parse_setting, parse_sweep
from common.studies.study import Study
from common.studies.tasks import get_task

EPILOG = """fields of --set and --sweep, with their defaults:
  {fields}

environment: BERT_GLUE_CHECKPOINT and BERT_GLUE_DIR stand for --checkpoint and --glue-dir; BERT_GLUE_CACHE names the cache
folder; BERT_GLUE_MIRROR names a place that has the downloads; BERT_GLUE_OFFLINE=1 forbids downloads; PGPASSWORD gives the
password of a PostgreSQL store

exit status: 0 all that was asked for is in the store; 1 a run failed; 2 something to fix (flag, file, download, store);
130 and 143 stopped by Ctrl-C and SIGTERM, with nothing half-written"""
SHORTHANDS = {"epochs": "--epochs", "limit_train": "--limit-train", "dtype": "--dtype", "seed": "--seed"}
"""Fields of the configuration that have a flag beside --set."""


def build_parser(study: Study, doc: str, grids: dict[str, Study]) -> argparse.ArgumentParser:
    """Flags of a study; what is not given stays as the study has it."""
    parser = argparse.ArgumentParser(description=doc, epilog=EPILOG.format(fields=_wrap(describe_fields())), allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_argument_group("what to train")
    _add_grid(what, study, grids)
    _add_recipe(what, study)
    _add_input(parser.add_argument_group("input"))
    _add_kept(parser.add_argument_group("what to keep"))
    _add_how(parser.add_argument_group("how"))
    return parser


def _add_grid(group, study: Study, grids: dict[str, Study]) -> None:
    if grids:
        group.add_argument("--grid", choices=list(grids), help="another grid than the study's own")
    if "crossed" in grids:  # what --grid crossed was called before
        group.add_argument("--vary", dest="grid", choices=["crossed"], help=argparse.SUPPRESS,
                           type=lambda text: "crossed" if text == "head,order" else text)
    named = [condition.name for condition in study.conditions if condition.name]
    if named:
        group.add_argument("--conditions", choices=named, nargs="+", metavar="C",
                           help=f"what is changed (default: {' '.join(named)})")
    group.add_argument("--instances", type=_whole("number of instances"), metavar="N",
                       help=f"have N trained instances of every configuration (default: {study.instances})")
    group.add_argument("--task", "--tasks", dest="tasks", nargs="+", metavar="TASK",
                       help=f"GLUE tasks (default: {' '.join(study.tasks)})")
    own = "".join(f", {task}: {' '.join(map(str, sizes))}" for task, sizes in study.batch_sizes_of.items())
    group.add_argument("--batch-sizes", type=_whole("batch size"), nargs="+", metavar="B",
                       help=f"batch sizes (default: {' '.join(map(str, study.batch_sizes))}{own})")
    group.add_argument("--rates", type=_positive, nargs="+", metavar="R",
                       help=f"peak learning rates (default: {' '.join(map(show_rate, study.peak_learning_rates))})")
    group.add_argument("--allow-high-rates", action="store_true", help="train with learning rates above 0.1, too")


def _add_recipe(group, study: Study) -> None:
    group.add_argument("--epochs", type=_whole("number of epochs"), metavar="E",
                       help=f"passes over the training split (default: {study.epochs})")
    group.add_argument("--seed", type=_setting("seed"), metavar="N",
                       help="seed of the data order, the dropout masks and the head initialisation (default: 0)")
    group.add_argument("--limit-train", type=_whole("row limit"), metavar="N",
                       help="quick look: use the first N training rows (kept apart from full runs)")
    group.add_argument("--dtype", choices=["float32", "bfloat16"],
                       help="number format of the matrix products; bfloat16 is faster on processors that have it, rounds more "
                            "and makes other configurations (default: float32)")
    group.add_argument("--set", type=_told(parse_setting), nargs="+", action="extend", default=[], metavar="FIELD=VALUE",
                       help="change any other field of the recipe (fields and defaults: below)")
    group.add_argument("--sweep", type=_told(parse_sweep), nargs="+", action="extend", default=[], metavar="FIELD=V1,V2,...",
                       help="make a field one more axis of the grid")


def _add_input(group) -> None:
    group.add_argument("--checkpoint", default=os.environ.get("BERT_GLUE_CHECKPOINT"), metavar="FILE|FOLDER|URL",
                       help="BERT checkpoint: a zip or a folder in Google's layout, or a folder of Hugging Face with "
                            "model.safetensors (default: $BERT_GLUE_CHECKPOINT, else Google's BERT-mini, downloaded once)")
    group.add_argument("--lower-case", type=_yes_or_no, metavar="yes|no",
                       help="whether text is lowercased (default: as the checkpoint's tokenizer_config.json, its name or its "
                            "vocabulary says)")
    group.add_argument("--glue-dir", default=os.environ.get("BERT_GLUE_DIR"), metavar="FOLDER",
                       help="folder with TASK/train.tsv and so on, or the Hugging Face hub's files (docs/inputs.md); tasks that "
                            "are not there are downloaded once (default: $BERT_GLUE_DIR)")
    group.add_argument("--allow-other-rows", action="store_true",
                       help="accept files with other rows than the official ones")
    group.add_argument("--demo", action="store_true", help="run on a small made-up sample, all of it in demo/")


def _add_kept(group) -> None:
    group.add_argument("--save-models", type=_folder, metavar="FOLDER",
                       help="save the fine-tuned classifier of every instance there; a run that is in the store without it "
                            "is trained again")
    group.add_argument("--predict-test", type=_folder, metavar="FOLDER",
                       help="save every instance's predictions of the test sets there, in the files that the GLUE server "
                            "takes (none for SNLI); a run that is in the store without them is trained again, "
                            "unless --save-models names the folder of its classifier")
    group.add_argument("--tensorboard", type=Path, metavar="FOLDER",
                       help="write the curves of the study's runs there at the end, also of those trained before")
    group.add_argument("--no-predictions", dest="predictions", action="store_false",
                       help="leave the predictions for the evaluation rows out of the store (a byte a row and run, eight for a "
                            "regression)")


def _add_how(group) -> None:
    group.add_argument("--db", type=address, default="results.db", metavar="FILE|URL",
                       help="the results store (default: %(default)s)")
    group.add_argument("--workers", type=_whole("number of workers"), metavar="N",
                       help="runs at a time (default: what cores, memory and GPUs allow, or the workers of --cluster)")
    group.add_argument("--cluster", type=cluster_address, metavar="ADDRESS",
                       help="train on the workers of a Dask cluster: tcp://HOST:PORT of its scheduler, the file that the "
                            "scheduler wrote, or local:N for N workers started here; they need neither the store nor the input "
                            "files, and files to keep come back from them (docs/running.md)")
    group.add_argument("--threads", type=_threads, default=1, metavar="N|auto",
                       help="threads of each run (default: %(default)s); with auto, a study of fewer runs than cores gives each "
                            "run several, and a run much longer than the others more than one. Another number rounds "
                            "differently; the number is kept with the run")
    group.add_argument("--dry-run", action="store_true", help="show what is there and what would be trained, and stop")
    group.add_argument("--retry-failed", action="store_true", help="retry runs that failed three times")
    group.add_argument("--fail-fast", action="store_true", help="stop at the first run that fails")
    group.add_argument("--debug", action="store_true", help="show tracebacks")


def main(study: Study, doc: str, arguments: list[str] | None = None, *, grids: dict[str, Study] | None = None) -> int:
    """Runs a study from the command line; returns the exit status.

    Args:
      study: the script's own study.
      doc: the script's docstring, which `--help` shows.
      arguments: the words of the command line; None: those of this process.
      grids: other studies that `--grid NAME` chooses.
    """
    parser = build_parser(study, doc, grids or {})
    flags = parser.parse_args(arguments)
    if grids and flags.grid and getattr(flags, "conditions", None):
        parser.error("--conditions are those of the study's own grid; leave out --grid or --conditions")
    chosen = grids[flags.grid] if grids and flags.grid else study
    return guarded(lambda: _run(_adapt(chosen, flags), flags), flags.debug)


def _adapt(study: Study, flags) -> Study:
    """The study with what the flags change of it."""
    rates = [rate * (RATE_FACTOR if flags.demo else 1) for rate in study.peak_learning_rates]
    settings, sweeps = _collect_settings(flags)
    return dataclasses.replace(
        study, tasks=tuple(get_task(name).name for name in flags.tasks or study.tasks),
        batch_sizes=tuple(flags.batch_sizes or study.batch_sizes),
        batch_sizes_of={} if flags.batch_sizes else study.batch_sizes_of,
        peak_learning_rates=tuple(flags.rates or rates), instances=flags.instances or study.instances,
        settings=study.settings | settings, sweeps=study.sweeps | sweeps,
        conditions=tuple(condition for condition in study.conditions
                         if condition.name in (getattr(flags, "conditions", None) or [condition.name])))


def _collect_settings(flags) -> tuple[dict[str, object], dict[str, tuple]]:
    """What --set and the flags that stand for it change, and what --sweep adds.

    Raises:
      UserError: one field is given twice.
    """
    short = [(name, getattr(flags, name)) for name in SHORTHANDS if getattr(flags, name) is not None]
    names = [name for name, _ in [*short, *flags.set, *flags.sweep]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"{twice} is given twice; leave one out of --set, --sweep"
                        + (f" and {SHORTHANDS[twice]}" if twice in SHORTHANDS else ""))
    return dict(short + flags.set), dict(flags.sweep)


def guarded(action: Callable[[], int], debug: bool, stopped: str = "finished runs are in the store, call again to go on") -> int:
    """The exit status of an action; what the user must fix is said in one sentence, and so is what became of a stopped one."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be anything
    try:
        status = action()
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed it
        _discard_output()
        return 141
    except (UserError, OSError) as error:
        if debug:
            traceback.print_exc()
        tell(f"error: {error if isinstance(error, UserError) else _explain(error)}")
        return 2
    except KeyboardInterrupt:
        tell(f"stopped; {stopped}")
        return 130
    except Terminated:
        tell(f"terminated; {stopped}")
        return 143


def tell(text: object) -> None:
    """A line on stderr; one that cannot be written (a log on a full disk) changes no exit status."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _explain(error: OSError) -> str:
    """What the operating system refused, in one sentence."""
    if error.filename is None:  # it was the output
        _discard_output()
    remedy = "free some space" if error.errno == errno.ENOSPC else "fix that"
    return f"{error.filename or 'the output'} cannot be read or written ({error.strerror or error}); {remedy} and call again"


def _discard_output() -> None:
    """Lets Python end without another attempt to write what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(study: Study, flags) -> int:
    from common.running.study_plan import plan_study
    from common.running.study_run import run_study

    if flags.demo:
        use_demo(flags)
    options = {name: getattr(flags, name) for name in (
        "checkpoint", "lower_case", "glue_dir", "allow_other_rows", "db", "save_models", "predict_test", "predictions", "workers",
        "cluster", "threads", "allow_high_rates", "retry_failed", "fail_fast")}
    options["cache"] = FOLDER / "cache" if flags.demo else None
    if flags.dry_run:
        plan = plan_study(study, **options)
        if plan.to_fetch:
            tell(plan.to_fetch)
        _print_plan(plan)
        if plan.to_fetch and plan.finished:
            print(f"{flags.db} holds finished runs of this study: "
                  + ", ".join(f"{number} with {name}" for name, number in plan.finished.items()))
        _print_advice(flags.db, study, plan.checkpoint)
        for name, error in plan.input_errors.items():
            tell(f"failed: {name}: {error}")
        return 1 if plan.input_errors else 0
    outcome = run_study(study, **options)
    if flags.tensorboard:
        _write_curves(flags.db, outcome.wanted, flags.tensorboard)
    tell(outcome)
    if flags.debug:
        tell("\n".join(getattr(failure.error, "details", "") for failure in outcome.failures))
    return 0 if outcome.complete else 1


def _write_curves(db: str, runs: list, folder: Path) -> None:
    from common.report.tensorboard import write_event_files
    from common.store.store import Store

    written = write_event_files(Store(db, create=False), runs, folder)
    tell(f"the curves of {count(written, 'run')} are in {folder}; tensorboard --logdir {folder} shows them")


def _print_plan(plan) -> None:
    """One line for each configuration: have, need, will run, and an estimate from stored times; then the sums."""
    from tabulate import tabulate

    from common.running.planning import count_missing, estimate_seconds

    rows = [{"task": need.config.task, "batch": need.config.batch_size, "rate": show_rate(need.config.peak_learning_rate),
             "epochs": need.config.epochs, "changed": name_changes(need.config), "have": need.have, "need": len(need.wanted),
             "will run": len(need.missing), "gave up": len(need.given_up) or "",
             "estimate": "unknown" if need.seconds is None else show_seconds(need.seconds * len(need.missing))}
            for need in plan.needs]
    columns = [name for name in rows[0] if name != "changed" or any(row[name] for row in rows)]
    print(tabulate([[row[name] for name in columns] for row in rows], columns, disable_numparse=True))
    seconds = estimate_seconds(plan.needs, plan.workers)
    print(f"{count(count_missing(plan.needs), 'run')} would be trained, {plan.workers} at a time: "
          + ("no stored times to estimate from" if seconds is None else f"about {show_seconds(seconds)}"))
    if plan.retrain:
        seconds = estimate_seconds(plan.retrain, plan.workers)
        print(f"{count(count_missing(plan.retrain), 'run')} would be trained again, for files that are missing"
              + ("" if seconds is None else f", about {show_seconds(seconds)}"))
    for search in plan.searches:
        print(f"{search.name}: {count(search.undecided, 'choice')} will be made by a search; then up to "
              f"{count(search.runs, 'more run')}")


def _print_advice(db: str, study: Study, checkpoint: str) -> None:
    """What the runs so far say of the study's claims, and how many more would decide them."""
    from common.report.planning_advice import advise
    from common.store.connection import NoStore
    from common.store.store import Store

    try:
        lines = advise(Store(db, create=False), study.name, tasks=study.tasks, checkpoint=checkpoint)
    except NoStore:
        return
    if lines:
        print("\nWhat the runs so far say, and what would decide the rest:")
        print(*(textwrap.fill(line, 118, initial_indent="- ", subsequent_indent="  ") for line in lines), sep="\n")


def _wrap(text: str) -> str:
    return "\n  ".join(textwrap.wrap(text, 118))


def _folder(text: str) -> Path:
    """A folder that a worker finds wherever it works."""
    return Path(text).expanduser().absolute()


def address(text: str) -> str:
    """A store as the user names it: a file, or a database URL without a password, which the list of processes would show."""
    _, is_url, rest = text.partition("://")
    if is_url and (":" in rest.rpartition("@")[0] or re.search("[?&]password=", rest, re.IGNORECASE)):
        raise argparse.ArgumentTypeError("a password on the command line can be read by every user of the machine: leave it "
                                         "out and give it by PGPASSWORD or ~/.pgpass")
    return text


def cluster_address(text: str) -> str:
    """The value of --cluster."""
    if re.fullmatch(r"local:[1-9]\d*|(tcp|tls)://\S+:\d+", text) or Path(text).is_file():
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no cluster: give tcp://HOST:PORT of a Dask scheduler, the file that it wrote "
                                     "(dask scheduler --scheduler-file FILE), or local:N for N workers on this machine")


def _setting(name: str) -> Callable[[str], object]:
    """A parser of the value of one field."""
    return lambda text: _told(parse_setting)(f"{name}={text}")[1]


def _told(parse: Callable) -> Callable:
    """The same parser, with its refusal in the form that argparse shows."""
    def parse_and_tell(text: str):
        try:
            return parse(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return parse_and_tell


def _whole(what: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = 0
        if number < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: give a whole number of at least 1")
        return number
    return parse


def _threads(text: str) -> int | str:
    return text if text == "auto" else _whole("number of threads")(text)


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no")
    return text == "yes"


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a learning rate: give a number above 0, such as 2e-5")
    return number
