"""How does the cost of training grow with sequence length, batch size and workers? Writes a figure and its numbers.

    python bench/growth.py --checkpoint FILE --glue-dir FOLDER

One thread for each worker; every row has exactly the length asked for and is made of MRPC's words. Each point is the median over
repeats of the median step; the measurements are interleaved.
"""
import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from speed import HERE, Contestant, write_input

LENGTHS, BATCH_SIZES = (16, 32, 64, 128), (2, 8, 32, 128)
TOKENS = 10_000
"""Tokens trained for each point and repeat, roughly."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="BERT checkpoint in Google's zip layout")
    parser.add_argument("--glue-dir", type=Path, required=True, help="folder with MRPC/train.tsv and MRPC/dev.tsv")
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "growth.png")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_input(Path(folder), options.checkpoint, options.glue_dir)
        speeds = {str(workers): measure(folder, workers, options.repeats) for workers in options.workers}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(speeds, indent=1) + "\n")
    options.out.write_bytes(draw(speeds))
    return 0


def measure(folder: str, workers: int, repeats: int) -> dict:
    """Batch size -> length -> examples a second of all workers together."""
    contestant = Contestant(f"growth-{workers}", [sys.executable, str(HERE / "run_ours.py"), folder], workers)
    contestant.start()
    times = {(size, length): [] for size in BATCH_SIZES for length in LENGTHS}
    for _ in range(repeats):
        for size, length in times:
            steps = min(30, max(3, TOKENS // (size * length)))
            answers = contestant.ask({"batch_size": size, "length": length, "steps": steps})
            times[size, length].append(max(answer["seconds"] for answer in answers))
    contestant.stop()
    speeds = {str(size): {} for size in BATCH_SIZES}
    for (size, length), seconds in times.items():
        speeds[str(size)][str(length)] = round(workers * size / median(seconds), 1)
    return speeds


def draw(speeds: dict) -> bytes:
    """The figure as a PNG: a line for each batch size, solid for one worker, dashed for more."""
    from common.report import figures

    ax = figures.new_axes("Examples a second against sequence length")
    for number, (workers, sizes) in enumerate(speeds.items()):
        for style, (size, lengths) in enumerate(sizes.items()):
            ax.plot(list(map(int, lengths)), list(lengths.values()), color=figures.COLOURS[style], lw=1.8, ms=6,
                    marker=figures.MARKERS[style], ls=figures.LINES[number], mfc=figures.COLOURS[style] if number else "white",
                    label=f"batch {size}, {workers} worker" + "s" * (workers != "1"))
    figures.set_base_2_axis(ax, LENGTHS, "tokens of every row (base-2 axis)")
    ax.set_yscale("log", base=2)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_ylabel("examples/s (base-2 axis)")
    return figures.to_png(figures.add_legend(ax))


if __name__ == "__main__":
    sys.exit(main())
