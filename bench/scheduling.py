"""Can the driver and the store keep 500 workers busy? Trains 10,000 runs that only wait, and writes a table.

    python bench/scheduling.py

Everything but the training is the program itself: command line, planning, driver, outbox, and the store in SQLite and in a
PostgreSQL server that is started here; both wait for the disk, as is their default. 500 configurations of the demo's MRPC, 20
instances of each. First the runs take no time, which shows how many are recorded a second; then they take six seconds on
average, a tenth of a minute, which is ten times the load of one-minute runs. At the end two drivers share one grid.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from common.training.environment import environment_row  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configurations", type=int, default=500)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=6, help="mean of a run (default: %(default)g)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scheduling.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, postgresql() as server:
        study = Study(Path(name), options)
        found = {"machine": environment_row(1), "configurations": options.configurations, "instances": options.instances,
                 "workers": options.workers, "seconds": options.seconds, "stores": {}}
        for store in ("SQLite", "PostgreSQL"):
            found["stores"][store] = measure(study, store, server)
        found["race"] = race(study, server)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    options.out.write_text(write_table(found))
    print(options.out.read_text())
    return 0


class Study:
    """A grid of the demo's MRPC, and the way to call it."""

    def __init__(self, folder: Path, options):
        from common.demo import write_checkpoint, write_task
        from common.studies.tasks import TASKS

        self.folder, self.options, self.calls = folder, options, 0
        for name in ("MRPC", "checkpoint"):
            (folder / name).mkdir()
        write_task(TASKS["MRPC"], folder / "MRPC")
        write_checkpoint(folder / "checkpoint")
        rates = min(10, options.configurations)
        self.words = ["--checkpoint", str(folder / "checkpoint" / "demo_L-2_H-64_A-2.zip"), "--glue-dir", str(folder),
                      "--allow-other-rows", "--instances", str(options.instances),
                      "--batch-sizes", *map(str, range(1, options.configurations // rates + 1)),
                      "--rates", *(f"{number}e-5" for number in range(1, rates + 1))]

    def start(self, db: str, seconds: float = 0, *more: str) -> tuple[subprocess.Popen, Path]:
        """A call of the study, and the file that its notes will be in."""
        self.calls += 1
        notes = self.folder / f"notes-{self.calls}.json"
        command = [sys.executable, str(HERE / "simulated.py"), str(seconds), str(notes), *self.words, "--db", db, *more]
        with open(self.folder / f"log-{self.calls}", "w") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log,
                                    env=os.environ | {"BERT_GLUE_CACHE": str(self.folder / "cache")}), notes

    def call(self, db: str, seconds: float = 0, *more: str) -> dict:
        """The notes of a call that succeeds, and its seconds from start to end."""
        began = time.monotonic()
        process, notes = self.start(db, seconds, *more)
        if process.wait() != 0:
            raise RuntimeError((self.folder / f"log-{self.calls}").read_text()[-2000:])
        return json.loads(notes.read_text()) | {"seconds": time.monotonic() - began}


@contextlib.contextmanager
def postgresql():
    """A server that waits for the disk at every commit."""
    import postgres_server

    programs = postgres_server.find_programs()
    if programs is None:
        raise SystemExit("there is no PostgreSQL server on this machine: install the package postgresql")
    server = postgres_server.Server(programs, fsync=True)
    try:
        server.start()
        os.environ["PGPASSWORD"] = postgres_server.PASSWORD
        yield server
    finally:
        server.remove()


def new_store(study: Study, kind: str, server) -> str:
    """The address of a new store."""
    if kind == "SQLite":
        return str(study.folder / f"store-{study.calls}.db")
    return server.new_place().replace(f":{os.environ['PGPASSWORD']}@", "@")


def measure(study: Study, kind: str, server) -> dict:
    """Seconds of a study's calls, from its plan to a call with nothing left to do, and how busy the workers were."""
    workers = ("--workers", str(study.options.workers))
    db = new_store(study, kind, server)
    found = {"dry run, nothing there": study.call(db, 0, "--dry-run")["seconds"]}
    at_once = study.call(db, 0, *workers)
    found["planned, from the call to the first run"] = min(begin for *_, begin, _ in at_once["runs"]) - at_once["began"]
    found["runs a second"] = len(at_once["runs"]) / (at_once["ended"] - min(begin for *_, begin, _ in at_once["runs"]))
    found["dry run, all there"] = study.call(db, 0, "--dry-run")["seconds"]
    second = study.call(db, 0, *workers)
    assert second["runs"] == []
    found["second call, nothing to do"] = second["seconds"]
    waited = study.call(new_store(study, kind, server), study.options.seconds, *workers)
    return found | describe_work(waited, study.options.workers)


def describe_work(notes: dict, workers: int) -> dict:
    """Share of their time that workers were busy while there was more to train than workers; heartbeats."""
    begins, ends = ([run[number] for run in notes["runs"]] for number in (2, 3))
    first, last = min(begins), max(begins)  # after that there is too little work for all workers
    busy = sum(min(end, last) - begin for *_, begin, end in notes["runs"])
    return {"busy": busy / (workers * (last - first)), "runs a second while busy": len(begins) / (last - first),
            "from the first to the last run": max(ends) - first, "recorded after the last run": notes["ended"] - max(ends),
            "heartbeats": len(notes["beats"]), "heartbeat": max(notes["beats"], default=None)}


def race(study: Study, server) -> dict:
    """Two drivers with half of the workers each share one grid on PostgreSQL."""
    import sqlalchemy as sa

    db = new_store(study, "PostgreSQL", server)
    began = time.monotonic()
    calls = [study.start(db, 1, "--workers", str(study.options.workers // 2)) for _ in range(2)]
    for process, _ in calls:
        if process.wait() != 0:
            raise RuntimeError(f"one of the drivers failed: see {study.folder}")
    seconds = time.monotonic() - began
    trained = [[tuple(run[:2]) for run in json.loads(notes.read_text())["runs"]] for _, notes in calls]
    times = Counter(run for each in trained for run in each)
    with sa.create_engine(db, poolclass=sa.NullPool).connect() as connection:
        recorded = connection.exec_driver_sql("SELECT count(*) FROM runs WHERE status = 'done' AND attempt = 1").scalar()
    return {"seconds": seconds, "trained by each": [len(each) for each in trained], "runs": len(times), "recorded": recorded,
            "trained twice": sum(count > 1 for count in times.values())}


def write_table(found: dict) -> str:
    from tabulate import tabulate

    machine, race = found["machine"], found["race"]
    seconds = found["seconds"]
    lines = [("seconds of `--dry-run`, nothing in the store", "dry run, nothing there", "{:.1f}"),
             ("seconds from the call to the first run: all planned", "planned, from the call to the first run", "{:.1f}"),
             ("runs recorded a second, when they take no time", "runs a second", "{:.0f}"),
             ("seconds of `--dry-run`, everything in the store", "dry run, all there", "{:.1f}"),
             ("seconds of a second call, nothing to do", "second call, nothing to do", "{:.1f}"),
             (f"share of the workers' time busy, runs of {seconds:g} s, until the last run begins", "busy", "{:.1%}"),
             ("runs a second meanwhile", "runs a second while busy", "{:.0f}"),
             ("seconds from the end of the last run to the end of the call", "recorded after the last run", "{:.1f}"),
             ("heartbeats in that call", "heartbeats", "{}"),
             ("seconds of the slowest heartbeat", "heartbeat", "{:.3f}")]
    rows = [[what, *("" if each[name] is None else form.format(each[name]) for each in found["stores"].values())]
            for what, name, form in lines]
    total = found["configurations"] * found["instances"]
    table = tabulate(rows, ["", *found["stores"]], tablefmt="pipe", disable_numparse=True)
    one, other = race["trained by each"]
    return f"""# {total:,} runs, {found['workers']} workers: what driver and store take

Measured by `python bench/scheduling.py` on {machine['processor']}, {machine['cores']} cores, {machine['platform']}.
Runs only wait; the rest is the program itself, and each store waits for its disk at every commit.

{table}

Two drivers with {found['workers'] // 2} workers each on one PostgreSQL store, runs of 1 s: {race['runs']:,} runs in
{race['seconds']:.0f} s, of which one driver trained {one:,} and the other {other:,}. Trained twice: {race['trained twice']}.
Recorded: {race['recorded']:,}.
"""


if __name__ == "__main__":
    sys.exit(main())
