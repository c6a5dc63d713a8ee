"""How fast is this project beside what users would otherwise run? Fine-tunes MRPC side by side and writes a table.

    python bench/speed.py --checkpoint FILE --glue-dir FOLDER

Contestants: this project as users run it (a run for each core, one thread each); Hugging Face transformers on PyTorch
with the defaults of run_glue.py (padding to 128 tokens), with dynamic padding, with dynamic padding as a run of one thread
for each core, and the same under torch.compile; Model Garden's classifier under Keras fit, padding to 128. Each trains the
same rows in fp32 and evaluates the same rows afterwards, in turn and repeatedly; all of them use every core. The peers are
installed into bench/.peers from requirements-peers.txt at the first call.

The numbers of a machine are written to results/speed-MACHINE-N-cores.json; the page has those of every machine side by side.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from common.training.environment import count_cores, environment_row  # noqa: E402

BATCH_SIZES = (2, 8, 16, 32, 64)
WARMUP_STEPS = 3
TRAIN_ROWS, DEV_ROWS = 3485, 408
"""Rows of an epoch of MRPC: the training split, and the dev set that is evaluated after it."""
NAMES = {"ours": "this project", "fixed": "Hugging Face, padding to 128", "dynamic": "Hugging Face, dynamic padding",
         "single": "Hugging Face, dynamic padding, a run for each core",
         "compiled": "Hugging Face, dynamic padding, a run for each core, torch.compile",
         "keras": "Model Garden, Keras fit, padding to 128"}
EACH_CORE = ("ours", "single", "compiled")
"""Contestants of which as many run side by side as there are cores, one thread each."""
GOALS = {"fixed": 7.0, "dynamic": 4.0, "single": 3.4, "compiled": 3.4, "keras": 5.2}


@dataclass
class Contestant:
    """One or several processes that answer the same orders at the same time.

    Args:
      name: also that of its log in the temporary folder.
      command: what to start.
      processes: how many of it.
    """

    name: str
    command: list[str]
    processes: int = 1
    _running: list = field(default_factory=list)

    @property
    def log(self) -> Path:
        return Path(tempfile.gettempdir()) / f"bench-{self.name}.log"

    def start(self) -> None:
        with open(self.log, "w") as log:
            self._running = [subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
                             for _ in range(self.processes)]
        for process in self._running:
            self._read(process)

    def ask(self, order: dict) -> list[dict]:
        """The answer of every process."""
        for process in self._running:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        return [self._read(process) for process in self._running]

    def stop(self) -> None:
        for process in self._running:
            process.stdin.close()
            process.wait()

    def _read(self, process):
        line = process.stdout.readline()
        if not line:
            sys.exit(f"error: the contestant {self.name} ended; see {self.log}")
        return json.loads(line)


def main() -> int:
    options = _parse()
    with tempfile.TemporaryDirectory() as folder:
        bert, tokens = write_input(Path(folder), options.checkpoint, options.glue_dir)
        rows = _choose_rows(tokens, options.rows)
        work = useful_gflop(bert, tokens["train"].lengths[rows["train"]])
        contestants = _contestants(folder, options)
        for each in contestants:
            each.start()
        peak = sum(answer["gflops"] for answer in contestants[0].ask({"peak": True}))
        times = _measure(contestants, rows, options)
        for each in contestants:
            each.stop()
    machine = environment_row(1)
    name = options.machine or machine["processor"]
    result = {"name": name, "machine": machine, "rows": options.rows, "repeats": options.repeats, "peak_gflops": peak,
              "useful_gflop_of_a_row": work, "seconds": times}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / file_name(name, machine["cores"])).write_text(json.dumps(result, indent=1) + "\n")
    page = options.out / "speed.md"
    page.write_text(write_page([json.loads(path.read_text()) for path in sorted(options.out.glob("speed-*.json"))]))
    print(page.read_text())
    return 0


def file_name(machine: str, cores: int) -> str:
    """Where the numbers of a machine are kept: speed-amd-epyc-zen-3-2-cores.json."""
    words = re.sub("[^a-z0-9]+", "-", machine.lower()).strip("-")
    return f"speed-{words}-{cores}-cores.json"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="BERT checkpoint in Google's zip layout")
    parser.add_argument("--glue-dir", type=Path, required=True, help="folder with MRPC/train.tsv and MRPC/dev.tsv")
    parser.add_argument("--rows", type=int, default=384, help="training rows of one measurement (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=BATCH_SIZES)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="contestants to measure")
    parser.add_argument("--dtype", default="float32", help="number format of this project (default: %(default)s)")
    parser.add_argument("--machine", help="what the page and the file call this machine, such as 'AMD EPYC (Zen 3)'; some "
                        "virtual machines do not tell their processor's generation (default: the processor's name)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    return parser.parse_args()


def write_input(folder: Path, checkpoint_file: str, glue_dir: Path) -> tuple[dict, dict]:
    """Writes what the contestants read into a folder; returns bert_config.json and the encoded sets."""
    from common.inputs.checkpoint import get_checkpoint
    from common.inputs.download import cache_dir
    from common.inputs.reading import load_glue
    from common.inputs.tokens import Encoding, get_tokens
    from common.studies.tasks import TASKS

    cache = cache_dir()
    checkpoint = get_checkpoint(checkpoint_file, cache)
    tokens = get_tokens(load_glue(TASKS["MRPC"], glue_dir / "MRPC"), Encoding(checkpoint.vocab, 128), cache)
    np.savez(folder / "rows.npz", **{f"{name}/{part}": array for name, each in tokens.items()
                                     for part, array in vars(each).items()})
    (folder / "bert_config.json").write_text(json.dumps(checkpoint.config))
    places = {"checkpoint": Path(checkpoint_file), "cache": cache, "data_folder": glue_dir / "MRPC"}
    (folder / "input.json").write_text(json.dumps({name: str(path.resolve()) for name, path in places.items()}))
    return checkpoint.config, tokens


def _choose_rows(tokens: dict, count: int) -> dict:
    """Row numbers to train on, to warm up on and to evaluate, at random with a fixed seed."""
    from common.inputs.batches import split

    training = np.random.RandomState(0).permutation(split(len(tokens["train"]), 0.05, 0)[0])
    evaluated = np.random.RandomState(0).permutation(len(tokens["dev"]))[:round(count * DEV_ROWS / TRAIN_ROWS)]
    return {"train": training[:count].tolist(), "spare": training[count:].tolist(), "evaluate": evaluated.tolist()}


def useful_gflop(bert: dict, lengths: np.ndarray) -> float:
    """Mean work of a training step for each row: the matrix products of the plain model on the unpadded row.

    Twice the weights for each token and the products of attention, three times for forward and backward (Kaplan et al.
    2020, arXiv 2001.08361, section 2.1).
    """
    hidden, inner, layers = bert["hidden_size"], bert["intermediate_size"], bert["num_hidden_layers"]
    forward = layers * (2 * lengths * (4 * hidden * hidden + 2 * hidden * inner) + 4 * lengths ** 2 * hidden)
    return float(3 * forward.mean() / 1e9)


def _contestants(folder: str, options) -> list[Contestant]:
    torch = ("fixed", "dynamic", "single", "compiled")
    peers = _install_peers() if set(options.only) & set(torch) else ""
    commands = {"ours": [sys.executable, HERE / "run_ours.py", folder, options.dtype],
                "keras": [sys.executable, HERE / "run_model_garden.py", folder],
                **{name: [peers, HERE / "run_hugging_face.py", folder, name] for name in torch}}
    return [Contestant(name, list(map(str, commands[name])), count_cores() if name in EACH_CORE else 1)
            for name in NAMES if name in ("ours", *options.only)]


def _install_peers() -> str:
    python = HERE / ".peers" / "bin" / "python"
    ready = HERE / ".peers" / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", HERE / ".peers"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", HERE / "requirements-peers.txt"], check=True)
        ready.touch()
    return str(python)


def _measure(contestants: list[Contestant], rows: dict, options) -> dict:
    """contestant -> batch size -> [seconds of training a row, seconds of evaluating a row] of every repeat."""
    times = {each.name: {str(size): [] for size in options.batch_sizes} for each in contestants}
    for repeat in range(options.repeats):
        for size in options.batch_sizes:
            order = {"batch_size": size, "warmup": rows["spare"][:WARMUP_STEPS * size],
                     "train": rows["train"][:len(rows["train"]) // size * size], "evaluate": rows["evaluate"]}
            for each in contestants:
                answers = each.ask(order)
                training, evaluation = (max(answer[part] for answer in answers) / len(answers) / len(order[name])
                                        for part, name in (("training", "train"), ("evaluation", "evaluate")))
                times[each.name][str(size)].append([training, evaluation])
                print(f"{repeat + 1}/{options.repeats} batch {size} {each.name}: {1 / training:.1f} examples/s in training, "
                      f"{1 / evaluation:.1f} in evaluation", file=sys.stderr)
    return times


def epoch_seconds(training: float, evaluation: float) -> float:
    """Wall time of an epoch of MRPC with the evaluation after it, from the seconds of a row of each."""
    return TRAIN_ROWS * training + DEV_ROWS * evaluation


def write_page(results: list[dict]) -> str:
    """The results of several machines as a Markdown page: the ratios side by side, then the numbers of each."""
    from tabulate import tabulate

    machines = [f"{each['name']}, {each['machine']['cores']} cores" for each in results]
    rows = [[NAMES[name], *(_show_ratio(each, name) for each in results), f"{goal:.1f}"] for name, goal in GOALS.items()]
    ratios = tabulate(rows, ["peer", *machines, "goal"], tablefmt="pipe", disable_numparse=True)
    return f"""# Speed beside the usual ways

Fine-tuning of BERT-mini on MRPC in fp32, measured by `python bench/speed.py`. This project runs as a study does, a run for each
core and one thread each, and its time is that of all of them divided by their number. The peers use all cores for one run, except
where a run for each core is named. An epoch is {TRAIN_ROWS} training rows and the {DEV_ROWS} rows of the dev set, at the measured
seconds of a row.

Time of a peer over the time of this project, geometric mean of the batch sizes:

{ratios}

{"".join(map(write_machine, results))}
Useful share of the matrix peak: the matrix products of the plain model on unpadded rows, over what all cores reach in products of
1024 x 1024 matrices.
"""


def write_machine(result: dict) -> str:
    """The section of one machine."""
    from tabulate import tabulate

    machine, seconds = result["machine"], result["seconds"]
    epochs = epochs_of(result)
    rows = []
    for name, sizes in epochs.items():
        for size, values in sizes.items():
            middle = median(values)
            speed = 1 / median(pair[0] for pair in seconds[name][size])
            share = speed * result["useful_gflop_of_a_row"] / result["peak_gflops"]
            rows.append([NAMES[name], size, f"{speed:.0f}", f"{middle:.1f}", f"{min(values):.1f} to {max(values):.1f}",
                         f"{100 * share:.0f}", f"{middle / median(epochs['ours'][size]):.2f}"])
    table = tabulate(rows, ["contestant", "batch size", "examples/s in training", "seconds an epoch, median", "spread",
                            "useful share of the matrix peak, %", "times as long as this project"], tablefmt="pipe",
                     disable_numparse=True)
    return f"""## {result['name']}, {machine['cores']} cores

{machine['platform']}, TensorFlow {machine['tensorflow']}; {result['rows']} training rows a measurement, {result['repeats']}
repeats in turn; {result['useful_gflop_of_a_row']:.2f} GFLOP a row, {result['peak_gflops']:.0f} GFLOP/s in large products.

{table}

"""


def epochs_of(result: dict) -> dict:
    """contestant -> batch size -> seconds of an epoch in every repeat."""
    return {name: {size: [epoch_seconds(*pair) for pair in pairs] for size, pairs in sizes.items()}
            for name, sizes in result["seconds"].items()}


def _show_ratio(result: dict, name: str) -> str:
    return f"{_mean_ratio(epochs_of(result), name):.2f}" if name in result["seconds"] else ""


def _mean_ratio(epochs: dict, name: str) -> float:
    return geometric_mean(median(values) / median(epochs["ours"][size]) for size, values in epochs[name].items())


if __name__ == "__main__":
    sys.exit(main())
