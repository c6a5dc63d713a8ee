"""The command line that the studies share, and the way from it to trained runs."""
import argparse
import dataclasses
import os
import re
import sys
import traceback
from pathlib import Path

from common import Terminated, UserError
from common.demo import FOLDER, RATE_FACTOR, use_demo
from common.studies.study import Study
from common.studies.tasks import get_task

EPILOG = """exit status: 0 all that was asked for is in the store; 1 a run failed; 2 something for you to mend (flag, file,
download, store); 130 and 143 stopped by Ctrl-C and SIGTERM, with nothing half-written"""


def build_parser(study: Study, doc: str, grids: dict[str, Study], grid_flag: str = "--grid") -> argparse.ArgumentParser:
    """Flags of a study; what is not given stays as the study has it."""
    parser = argparse.ArgumentParser(description=doc, epilog=EPILOG, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_argument_group("what to train")
    if grids:
        what.add_argument(grid_flag, dest="grid", choices=list(grids), help="another grid than the study's own")
    named = [condition.name for condition in study.conditions if condition.name]
    if named:
        what.add_argument("--conditions", choices=named, nargs="+", metavar="C",
                          help=f"what is changed (default: {' '.join(named)})")
    what.add_argument("--instances", type=_whole("instances"), metavar="N",
                      help=f"have N trained instances of every configuration (default: {study.instances})")
    what.add_argument("--task", "--tasks", dest="tasks", nargs="+", metavar="TASK",
                      help=f"GLUE tasks (default: {' '.join(study.tasks)})")
    own = "".join(f", {task}: {' '.join(map(str, sizes))}" for task, sizes in study.batch_sizes_of.items())
    what.add_argument("--batch-sizes", type=_whole("batch size"), nargs="+", metavar="B",
                      help=f"batch sizes (default: {' '.join(map(str, study.batch_sizes))}{own})")
    what.add_argument("--rates", type=_positive, nargs="+", metavar="R",
                      help=f"peak learning rates (default: {' '.join(f'{r:g}' for r in study.peak_learning_rates)})")
    what.add_argument("--epochs", type=_whole("epochs"), metavar="E",
                      help=f"passes over the training split (default: {study.epochs})")
    what.add_argument("--limit-train", type=_whole("row limit"), metavar="N",
                      help="quick look: use the first N training rows (kept apart from full runs)")
    what.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32",
                      help="number format of the matrix products; bfloat16 is faster on processors that have it, rounds more "
                           "and makes other configurations (default: %(default)s)")
    given = parser.add_argument_group("input")
    given.add_argument("--checkpoint", default=os.environ.get("BERT_GLUE_CHECKPOINT"), metavar="FILE|FOLDER|URL",
                       help="BERT checkpoint in Google's zip layout (default: $BERT_GLUE_CHECKPOINT, else Google's "
                            "BERT-mini, downloaded once)")
    given.add_argument("--glue-dir", default=os.environ.get("BERT_GLUE_DIR"), metavar="FOLDER",
                       help="folder with TASK/train.tsv and so on (default: $BERT_GLUE_DIR, else downloaded once)")
    given.add_argument("--allow-other-rows", action="store_true",
                       help="accept files whose row counts differ from the official ones")
    given.add_argument("--demo", action="store_true", help="run on a small made-up sample, all of it in demo/")
    kept = parser.add_argument_group("what to keep")
    kept.add_argument("--save-models", type=_folder, metavar="FOLDER",
                      help="have the fine-tuned classifier of every instance there; a run that is in the store without it "
                           "is trained again")
    kept.add_argument("--predict-test", type=_folder, metavar="FOLDER",
                      help="have every instance's predictions of the test sets there, in the files that the GLUE server "
                           "takes (none for SNLI); a run that is in the store without them is trained again, "
                           "unless --save-models names the folder of its classifier")
    kept.add_argument("--tensorboard", type=Path, metavar="FOLDER",
                      help="write the curves of the study's runs there at the end, also of those trained before")
    kept.add_argument("--no-predictions", dest="predictions", action="store_false",
                      help="leave the predictions for the evaluation rows out of the store (a byte a row and run, eight for a "
                           "regression)")
    how = parser.add_argument_group("how")
    how.add_argument("--db", type=address, default="results.db", metavar="FILE|URL",
                     help="the results store (default: %(default)s)")
    how.add_argument("--workers", type=_whole("workers"), metavar="N",
                     help="runs at a time (default: as many as the machine carries, or the workers of --cluster)")
    how.add_argument("--cluster", type=cluster_address, metavar="ADDRESS",
                     help="train on the workers of a Dask cluster: tcp://HOST:PORT of its scheduler, the file that the scheduler "
                          "wrote, or local:N for N workers started here; they need neither the store nor the input files, and "
                          "what is to be kept comes back from them (docs/running.md)")
    how.add_argument("--threads", type=_whole("threads"), default=1, metavar="N",
                     help="threads of each run; another number rounds differently (default: %(default)s)")
    how.add_argument("--dry-run", action="store_true", help="show what is there and what would be trained, and stop")
    how.add_argument("--retry-failed", action="store_true", help="try runs again that failed three times")
    how.add_argument("--fail-fast", action="store_true", help="stop at the first run that fails")
    how.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def main(study: Study, doc: str, arguments: list[str] | None = None, *, grids: dict[str, Study] | None = None,
         grid_flag: str = "--grid") -> int:
    """Runs a study from the command line; returns the exit status.

    Args:
      study: the script's own study.
      doc: the script's docstring, which `--help` shows.
      arguments: the words of the command line; None: those of this process.
      grids: other studies that `--grid NAME` chooses.
      grid_flag: another name for `--grid`.
    """
    parser = build_parser(study, doc, grids or {}, grid_flag)
    options = parser.parse_args(arguments)
    if grids and options.grid and getattr(options, "conditions", None):
        parser.error(f"--conditions are those of the study's own grid; leave out {grid_flag} or --conditions")
    chosen = grids[options.grid] if grids and options.grid else study
    return guarded(lambda: _run(_adapt(chosen, options), options), options.debug)


def _adapt(study: Study, options) -> Study:
    """The study with what the flags change of it."""
    rates = [rate * (RATE_FACTOR if options.demo else 1) for rate in study.peak_learning_rates]
    return dataclasses.replace(
        study, tasks=tuple(get_task(name).name for name in options.tasks or study.tasks),
        batch_sizes=tuple(options.batch_sizes or study.batch_sizes),
        batch_sizes_of={} if options.batch_sizes else study.batch_sizes_of,
        peak_learning_rates=tuple(options.rates or rates), epochs=options.epochs or study.epochs,
        instances=options.instances or study.instances,
        conditions=tuple(condition for condition in study.conditions
                         if condition.name in (getattr(options, "conditions", None) or [condition.name])))


def guarded(action, debug: bool, stopped: str = "what was finished is in the store, call again to go on") -> int:
    """The exit status of an action; what the user must mend is said in one sentence, and so is what became of a stopped one."""
    try:
        return action()
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; {stopped}", file=sys.stderr)
        return 130
    except Terminated:
        print(f"terminated; {stopped}", file=sys.stderr)
        return 143


def _run(study: Study, options) -> int:
    from common.inputs.checkpoint import get_checkpoint
    from common.inputs.download import cache_dir
    from common.running.outbox import Outbox
    from common.running.planning import choose
    from common.running.retraining import find_again
    from common.store.connection import NoStore
    from common.store.store import Store
    from common.studies.study import make_parts
    from common.training.artifacts import Keep
    from common.training.job import Job
    from common.training.run import train_run

    if options.demo:
        use_demo(options)
    keep = Keep(options.save_models, options.predict_test)
    if not options.dry_run:
        keep.make_folders()
    cache = FOLDER / "cache" if options.demo else cache_dir()
    checkpoint = get_checkpoint(options.checkpoint, cache)
    folders, data, missing = _load_tasks(study, options, cache)
    parts = make_parts(study, _make_grid(study, options, checkpoint, data))
    try:
        store = Store(options.db, create=not options.dry_run)
    except NoStore:
        store = None
    rows = {"checkpoint": checkpoint.row(), "data": [row for each in data.values() for row in each.rows()],
            "label_rows": [row for each in data.values() for row in each.label_rows()]}
    if options.dry_run:
        chosen = choose(store, parts, study.instances)
        needs = _plan(store, parts + chosen, options, rows)
        _print_plan(needs, find_again(keep, store, needs), _count_workers(options))
        _print_searches(parts, chosen, study.instances)
        status = 0
    else:
        outbox = Outbox(cache / "outbox", store.full_name)

        def make_job(config, instance):
            return Job(config, instance, checkpoint, folders[config.task], cache, options.threads, keep,
                       keep_predictions=options.predictions)

        needs, failures = _train_parts(store, study, parts, options, rows, lambda needs: _drive(
            store, outbox, needs, options, make_job, train_run))
        status = _conclude(store, needs, failures, options, keep, make_job)
        if options.tensorboard:
            _write_curves(store, needs, options.tensorboard)
    for name, error in missing.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    return 1 if missing else status


def _plan(store, parts, options, rows: dict) -> list:
    """What is missing of the parts, registered in the store unless it is only to be shown."""
    from common.running.planning import find_needs, merge_needs

    needs = []
    for part in parts:
        found = find_needs(store, part.configs, part.instances, options.retry_failed)
        if not options.dry_run and found:
            store.plan(part.name, {need.config: need.wanted for need in found}, part.instances,
                       retry_failed=options.retry_failed, **rows)
        needs += found
    return merge_needs(needs)


def _train_parts(store, study: Study, parts, options, rows: dict, train) -> tuple[list, list]:
    """Trains what is missing: where the study searches, the instances that decide it first, then what it has found.

    Returns:
      What was needed, and (configuration, instance, error) of the runs that failed.
    """
    from common.running.planning import choose, halve_needs, merge_needs

    searching = max((part.instances for part in parts if part.best), default=0)
    needs = _plan(store, parts, options, rows)
    first, rest = halve_needs(needs, searching)
    failures = []
    if searching:
        failures = train(first)
        if not (failures and options.fail_fast):
            best = _plan(store, choose(store, parts, study.instances), options, rows)
            needs, rest = merge_needs(needs + best), merge_needs(rest + best)
    if not (failures and options.fail_fast):
        failures += train(rest)
    return needs, failures


def _load_tasks(study: Study, options, cache: Path) -> tuple[dict, dict, dict]:
    """Task -> folder, task -> rows, and task -> error for those whose files cannot be had, test sets included if wanted.

    Raises:
      UserError: no task's files can be had.
    """
    from common.inputs.glue import get_glue_folder
    from common.inputs.reading import load_glue, load_tests

    folders, data, missing = {}, {}, {}
    for name in dict.fromkeys(study.tasks):
        task = get_task(name)
        try:
            folders[name] = get_glue_folder(task, options.glue_dir, cache)
            if options.predict_test:
                load_tests(task, folders[name], allow_other_rows=options.allow_other_rows)
            data[name] = load_glue(task, folders[name], allow_other_rows=options.allow_other_rows)
        except UserError as error:
            missing[name] = error
    if not data:
        raise next(iter(missing.values()))
    return folders, data, missing


def _make_grid(study: Study, options, checkpoint, data) -> list[tuple]:
    """The study's configurations with the rows of their training splits, for the tasks whose rows are there."""
    from common.inputs.batches import split
    from common.running.planning import check_batch_size
    from common.studies.config import RunConfig

    grid = {}
    for task, batch_size, rate in study.cells():
        if task not in data:
            continue
        rows = len(data[task].sets["train"])
        limit = options.limit_train if (options.limit_train or rows) < rows else None  # else no row is left out
        config = RunConfig(task=task, data=data[task].digest, checkpoint=checkpoint.digest, batch_size=batch_size,
                           peak_learning_rate=rate, epochs=study.epochs, limit_train=limit, dtype=options.dtype)
        if config.max_length > checkpoint.config["max_position_embeddings"]:
            raise UserError(f"the checkpoint {checkpoint.name} has {checkpoint.config['max_position_embeddings']} positions, "
                            f"fewer than the {config.max_length} tokens of the longest input; give another with --checkpoint")
        training_rows = len(split(limit or rows, config.validation, config.split_seed)[0])
        check_batch_size(config, training_rows)
        grid[config] = training_rows
    return list(grid.items())


def _conclude(store, needs, failures: list, options, keep, make_job) -> int:
    """Trains again what is in the store without something to be kept of it; says how all ended; returns the exit status."""
    from common.running.retraining import Unwritten, find_again, keep_again
    from common.studies.names import name_run

    given_up = [(need.config, number) for need in needs for number in need.given_up]
    again = [] if failures and options.fail_fast else find_again(keep, store, needs, failures)
    if again:
        unwritten = Unwritten(store)
        failures += _drive(unwritten, unwritten, again, options, make_job, keep_again,
                           " again, for what is to be kept of them")
        for config, number, name, now, before in unwritten.differing:
            print(f"note: {name_run(config, number)} scored {now} on {name} where the store has {before}: other software, "
                  "hardware or threads; what is kept is of this training", file=sys.stderr)
    for config, number, error in failures:
        print(f"failed: {name_run(config, number)}: {error}", file=sys.stderr)
        if options.debug:
            print(getattr(error, "details", ""), file=sys.stderr)
    for config, number in given_up:
        print(f"failed: {name_run(config, number)} failed three times; --retry-failed tries again", file=sys.stderr)
    if failures or given_up:
        return 1
    print(f"{sum(len(need.wanted) for need in needs)} runs of the study are in {store.name}"
          + ("" if again or any(need.missing for need in needs) else "; nothing was missing"), file=sys.stderr)
    return 0


def _write_curves(store, needs, folder: Path) -> None:
    from common.report.tensorboard import write_event_files

    written = write_event_files(store, [(need.config, number) for need in needs for number in need.wanted], folder)
    print(f"the curves of {written} runs are in {folder}; tensorboard --logdir {folder} shows them", file=sys.stderr)


def _drive(store, outbox, needs, options, make_job, train, why: str = "") -> list[tuple]:
    """Has the missing runs trained; (configuration, instance, error) of those that failed."""
    from common.running.driver import Driver, stopping_on_sigterm
    from common.running.progress import Display

    total = sum(len(need.missing) for need in needs)
    if not total:
        return []
    with stopping_on_sigterm():
        executor = _open_executor(options)
        workers = executor.places()
        print(f"{total} runs to train{why}, {workers} at a time{_estimate(needs, workers)}", file=sys.stderr)
        display = Display(total)
        executor.on_report = display.progress
        driver = Driver(store, executor, executor.places, make_job, display, outbox=outbox, train=train,
                        fail_fast=options.fail_fast)
        try:
            driver.run(needs)
        finally:
            executor.kill()
            display.close()
    return driver.failures


def _open_executor(options):
    """What trains: processes here, or the workers of a cluster."""
    if options.cluster:
        from common.running.dask.cluster import DaskCluster

        return DaskCluster(options.cluster, options.threads, options.workers, FOLDER / "cache" if options.demo else None)
    from common.running.processes import FreshProcesses

    return FreshProcesses(_count_workers(options))


def _estimate(needs, workers: int) -> str:
    """How long that will take, as the end of a sentence; empty where there are no stored times to go by."""
    from common.studies.names import show_seconds

    missing = [need for need in needs if need.missing]
    if not all(need.seconds for need in missing):
        return ""
    return f", about {show_seconds(sum(len(need.missing) * need.seconds for need in missing) / workers)}"


def _print_plan(needs, again, workers: int) -> None:
    """One line for each configuration: have, need, will run, and an estimate from stored times; then the sum, and what
    would be trained again."""
    from tabulate import tabulate

    from common.studies.names import name_changes, show_seconds

    rows = [{"task": need.config.task, "batch": need.config.batch_size, "rate": f"{need.config.peak_learning_rate:g}",
             "epochs": need.config.epochs, "changed": name_changes(need.config), "have": need.have, "need": len(need.wanted),
             "will run": len(need.missing), "gave up": len(need.given_up) or "",
             "estimate": show_seconds(need.seconds * len(need.missing)) if need.seconds else "unknown"} for need in needs]
    columns = [name for name in rows[0] if name != "changed" or any(row[name] for row in rows)]
    print(tabulate([[row[name] for name in columns] for row in rows], columns, disable_numparse=True))
    missing = sum(len(need.missing) for need in needs)
    known = all(need.seconds for need in needs if need.missing)
    seconds = sum((need.seconds or 0) * len(need.missing) for need in needs) / workers
    print(f"{missing} runs would be trained, {workers} at a time: "
          + (f"about {show_seconds(seconds)}" if known else "no stored times to estimate from"))
    if again:
        print(f"{sum(len(need.missing) for need in again)} runs would be trained again, for what is to be kept of them"
              + _estimate(again, workers))


def _print_searches(parts, chosen, instances: int) -> None:
    """What a dry run cannot tell yet: the best of a search that is not done."""
    for part, best in zip([part for part in parts if part.best], chosen, strict=True):
        undecided = len(part.choices) - len(best.choices)
        if undecided:
            print(f"{part.best}: {undecided} choices wait for their search; then up to "
                  f"{undecided * (instances - part.instances)} more runs")


def _count_workers(options) -> int:
    """Runs at a time: as asked for, as a local cluster has workers, or as cores carry them, and memory at 1.5 GB each."""
    import psutil

    from common.training.environment import count_cores

    _, is_local, number = (options.cluster or "").partition("local:")
    carried = min(count_cores() // options.threads, int(psutil.virtual_memory().available / 1.5e9))
    return options.workers or (int(number) if is_local else max(1, carried))


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


def _whole(what: str):
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = 0
        if number < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what}: give a whole number of at least 1")
        return number
    return parse


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no learning rate: give a number above 0, such as 2e-5")
    return number
