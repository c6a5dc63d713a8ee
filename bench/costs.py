"""What a user waits for beside training: set-up, start-up, report, queries, and the memory of many runs. Writes a table.

    python bench/costs.py

The script needs nothing else: it sets up a copy of the program (from the package index, with an empty cache), fills stores with
made-up runs, and watches the memory of fifty runs of the demo's sample.
"""
import argparse
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from common.training.environment import environment_row  # noqa: E402

QUERIES = ("select * from results", "select * from cells", "select * from curves where run = 77",
           "select task, batch_size, count(*), avg(score) from results group by task, batch_size",
           "select batch_size, peak_learning_rate, max(mean) from cells group by batch_size")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=50, help="runs of the demo whose memory is watched")
    parser.add_argument("--no-set-up", action="store_true", help="leave out the set-up, which fetches 700 MB")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "costs.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [] if options.no_set_up else measure_set_up(folder)
        rows += [*time_commands(folder, options.repeats), *time_queries(folder, options.repeats)]
        rows += watch_memory(folder, options.runs)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(write_table(rows))
    print(options.out.read_text())
    return 0


def measure_set_up(folder: Path) -> list[list[str]]:
    """Seconds of the first `make .venv/ready`, and the disk space that it takes."""
    copy = folder / "program"
    copy.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, copy)
    python = Path(sys.base_exec_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    began = time.perf_counter()
    subprocess.run(["make", ".venv/ready", f"PYTHON={python}"], cwd=copy, check=True, capture_output=True,
                   env=os.environ | {"PIP_NO_CACHE_DIR": "1"})
    seconds = time.perf_counter() - began
    size = sum(path.lstat().st_size for path in copy.rglob("*"))
    shutil.rmtree(copy)
    return [["the first set-up, `make .venv/ready`, with an empty cache", f"{seconds:.0f} s", ""],
            ["its environment on the disk", f"{size / 1e9:.2f} GB", ""]]


def time_commands(folder: Path, repeats: int) -> list[list[str]]:
    """Seconds of commands that train nothing."""
    fill_store(folder / "thousand.db", 1000)
    commands = {"`exp_bs_mrpc.py --help`": ("exp_bs_mrpc.py", "--help"),
                "`exp_bs_mrpc.py --demo --dry-run`": ("exp_bs_mrpc.py", "--demo", "--dry-run"),
                "`make_report.py`, 1,000 runs in the store": ("make_report.py", "--db", "thousand.db", "--out", "R.md")}
    rows = []
    for what, words in commands.items():
        times = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            subprocess.run([sys.executable, str(ROOT / words[0]), *words[1:]], cwd=folder, check=True, capture_output=True)
            times.append(time.perf_counter() - began)
        rows.append([what, *show(times[1:], "s")])
    return rows


def time_queries(folder: Path, repeats: int) -> list[list[str]]:
    """Seconds of queries on the views of a store of 10,000 runs."""
    fill_store(folder / "ten-thousand.db", 10_000)
    connection = sqlite3.connect(folder / "ten-thousand.db")
    rows = []
    for query in QUERIES:
        times = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            connection.execute(query).fetchall()
            times.append(time.perf_counter() - began)
        rows.append([f"`{query}`, 10,000 runs in the store", *show(times[1:], "s", 3)])
    connection.close()
    return rows


def fill_store(path: Path, count: int) -> None:
    """Fills a store with finished runs: five batch sizes by five rates, a curve of twenty points for each run."""
    import stand_in

    from common.store.owner import Owner
    from common.store.store import Store, measurements

    owner, store = Owner.of_this_process(), Store(path)
    instances = count // 25
    configs = [stand_in.make_config(batch_size=size, peak_learning_rate=rate)
               for size, rate in itertools.product((2, 8, 16, 32, 64), (1e-5, 2e-5, 5e-5, 1e-4, 3e-4))]
    curve = [(split, metric, step, step / 4, 0.5) for step in range(1, 6) for split, metric in
             (("train", "loss"), ("train", "learning_rate"), ("validation", "loss"), ("validation", "accuracy"))]
    stand_in.plan(store, configs, instances)
    claim = store.find_claim(configs[0], 0, owner)
    store.record(claim, owner, stand_in.make_result(measurements=curve))
    with store.writing() as connection:
        connection.exec_driver_sql(f"""UPDATE runs SET status = 'done', training_seconds = 10, total_seconds = 12,
            started_at = '2026-01-01', finished_at = '2026-01-01', environment = '{stand_in.ENVIRONMENT}'""")
        columns = ", ".join(column.name for column in measurements.columns if column.name != "run")
        connection.exec_driver_sql(f"""INSERT INTO measurements (run, {columns})
            SELECT r.id, {columns.replace('value', 'm.value')}
            FROM runs r JOIN measurements m ON m.run = {claim.run} WHERE r.id <> {claim.run}""")
        connection.exec_driver_sql(f"""INSERT INTO evaluations (run, evaluation_set, row_count, metric, score, accuracy, f1, loss,
            collapsed) SELECT r.id, e.evaluation_set, e.row_count, e.metric, e.score + r.id % 7 * 0.01,
            e.accuracy + r.id % 7 * 0.01, e.f1, e.loss, e.collapsed FROM runs r JOIN evaluations e ON e.run = {claim.run}
            WHERE r.id <> {claim.run}""")
    store.close()


def watch_memory(folder: Path, runs: int) -> list[list[str]]:
    """Peak memory of every worker, and that of the driver, over runs of the demo, one at a time."""
    command = [sys.executable, str(ROOT / "exp_bs_mrpc.py"), "--demo", "--batch-sizes", "64", "--epochs", "1", "--workers", "1",
               "--instances", str(runs)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE)
    reader = threading.Thread(target=process.stderr.read)
    reader.start()
    peaks, drivers = {}, []
    while process.poll() is None:
        for each in _children(process.pid):
            peaks[each.pid] = max(peaks.get(each.pid, 0), _memory(each))
        drivers.append(_memory(psutil.Process(process.pid)))
        time.sleep(0.02)
    reader.join()
    seconds = time.perf_counter() - began
    workers = [peak for pid, peak in sorted(peaks.items()) if peak > 300e6][-runs:]
    tenth = max(1, len(workers) // 10)
    first, last = median(workers[:tenth]), median(workers[-tenth:])
    return [[f"memory of a worker (its peak), demo, first tenth of {len(workers)} runs", f"{first / 1e6:.0f} MB", ""],
            ["the same, last tenth", f"{last / 1e6:.0f} MB", ""],
            ["memory of the driver, at a quarter of the study and at its end",
             f"{drivers[len(drivers) // 4] / 1e6:.0f} and {max(drivers[-5:]) / 1e6:.0f} MB", ""],
            [f"a run of the demo at batch 64, one epoch: start, training, evaluation, recording (mean of {runs})",
             f"{seconds / runs:.2f} s", ""]]


def _children(pid: int) -> list:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _memory(process) -> int:
    """Resident bytes of a process, including shared ones; 0 once it has ended."""
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def show(values: list[float], unit: str, digits: int = 2) -> tuple[str, str]:
    """Median and spread."""
    return f"{median(values):.{digits}f} {unit}", f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def write_table(rows: list[list[str]]) -> str:
    from tabulate import tabulate

    machine = environment_row(1)
    table = tabulate(rows, ["what", "median", "spread"], tablefmt="pipe", disable_numparse=True)
    return f"""# What a user waits for

Measured by `python bench/costs.py` on {machine['processor']}, {machine['cores']} cores, {machine['platform']}.

{table}
"""


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "")
    sys.exit(main())
