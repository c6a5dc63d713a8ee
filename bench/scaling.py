"""Does a study take half the time on two workers? Writes a table.

    python bench/scaling.py --checkpoint FILE --glue-dir FOLDER

Trains the same runs of MRPC, one thread each, with one and with two workers, as local processes and as Dask's on this machine.
It times the whole command, all of them in turn, each into a new store. A first call fills the cache and is not counted.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

WAYS = {"processes": lambda workers: ["--workers", str(workers)], "Dask": lambda workers: ["--cluster", f"local:{workers}"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=os.path.abspath, required=True, help="BERT checkpoint in Google's zip layout")
    parser.add_argument("--glue-dir", type=os.path.abspath, required=True, help="folder with MRPC/train.tsv and MRPC/dev.tsv")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--runs", type=int, default=4, help="best a multiple of the workers")
    parser.add_argument("--rows", type=int, default=300, help="training rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scaling.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_study(folder, options, 1, WAYS["processes"](1))
        times = {(way, workers): [] for way in WAYS for workers in options.workers}
        for _ in range(options.repeats):
            for way, workers in times:
                times[way, workers].append(run_study(folder, options, options.runs, WAYS[way](workers)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(write_table(times, options.runs, options.rows))
    print(options.out.read_text())
    return 0


def run_study(folder: Path, options, runs: int, how: list[str]) -> float:
    """Seconds of a study of so many runs, with a new store."""
    store = folder / "results.db"
    store.unlink(missing_ok=True)
    command = [sys.executable, str(ROOT / "exp_bs_mrpc.py"), "--checkpoint", options.checkpoint, "--glue-dir", options.glue_dir,
               "--batch-sizes", "8", "--epochs", "1", "--limit-train", str(options.rows), "--instances", str(runs),
               "--db", str(store), *how]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL,
                   env=os.environ | {"BERT_GLUE_CACHE": str(folder / "cache")})
    return time.perf_counter() - began


def write_table(times: dict[tuple[str, int], list[float]], runs: int, rows: int) -> str:
    """The page: seconds, and the share of 1/k that k workers reach of the same way's fewest workers.

    Args:
      times: (way, workers) -> seconds of each repeat.
    """
    from tabulate import tabulate

    from common.training.environment import environment_row

    table = []
    for (way, workers), seconds in times.items():
        fewest = min(number for name, number in times if name == way)
        share = median(times[way, fewest]) * fewest / (workers * median(seconds))
        table.append([way, workers, f"{median(seconds):.1f}", f"{min(seconds):.1f} to {max(seconds):.1f}", f"{share:.2f}"])
    machine = environment_row(1)
    repeats = len(next(iter(times.values())))
    return f"""# Time of a study against workers

Measured by `python bench/scaling.py` on {machine['processor']}, {machine['cores']} cores, {machine['platform']}: {runs} runs of
MRPC over {rows} rows, batch 8, one epoch, one thread each, the whole command with its start; {repeats} repeats in turn.
Efficiency is 1 where k workers take 1/k of the time of one.

{tabulate(table, ["trained by", "workers", "seconds, median", "spread", "efficiency"], tablefmt="pipe", disable_numparse=True)}
"""


if __name__ == "__main__":
    sys.exit(main())
