"""How long do the rows of the large tasks take before the first step? Reads and encodes MNLI, SNLI and QQP whole; writes a table.

    python bench/large.py --checkpoint FILE --glue-dir FOLDER

The folder holds some rows of each task. From them files of the official sizes are made up: a made-up row has the lengths of a
random real one and words drawn from all real ones of the task, one in 200 of them replaced by a word that occurs once. Each task
is read and encoded in a process of its own, on one thread. `FullTokenizer` is Google's procedure on the whole text of each row,
by which this program encoded before it encoded each word once; it encodes a part of the rows, and its time is scaled up.
"""
import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

TASKS_MEASURED = ("MNLI", "SNLI", "QQP")
NEW_WORDS = 200
"""One word in so many occurs once."""
SAMPLE = 20_000
"""Rows that FullTokenizer encodes."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="BERT checkpoint, for its vocabulary")
    parser.add_argument("--glue-dir", type=Path, required=True, help="folder with MNLI/train.tsv, SNLI/train.tsv and so on")
    parser.add_argument("--machine", help="what the page calls this machine (default: the processor's name)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "large.md")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(measure(options.task, options.checkpoint, options.glue_dir)))
        return 0
    found = [_measure_apart(task, options) for task in TASKS_MEASURED]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(write_page(found, options.machine))
    print(options.out.read_text())
    return 0


def _measure_apart(task: str, options: argparse.Namespace) -> dict:
    """What `measure` finds in a process of its own, on made-up files that are removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        write_files(task, options.glue_dir / task, Path(name) / task)
        done = subprocess.run([sys.executable, __file__, "--task", task, "--checkpoint", options.checkpoint, "--glue-dir", name],
                              check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def write_files(task_name: str, real: Path, folder: Path) -> None:
    """Every file of a task with as many rows as the official one has."""
    from common.studies.tasks import TASKS

    folder.mkdir()
    task = TASKS[task_name]
    for name, rows in {"train": task.train_rows, **task.evaluation_rows}.items():
        header, *lines = (real / f"{name}.tsv").read_text("utf-8").splitlines()
        columns = header.split("\t")
        texts = [columns.index(text) for text in task.texts]
        with open(folder / f"{name}.tsv", "w", encoding="utf-8") as file:
            file.write(header + "\n")
            file.writelines(make_rows([line.split("\t") for line in lines], texts, rows))


def make_rows(real: list[list[str]], texts: list[int], number: int) -> Iterator[str]:
    """Made-up lines of a TSV file; the same for the same real rows.

    Args:
      texts: the columns of text, by number.
    """
    chance = random.Random(0)
    words = [word for row in real for column in texts for word in row[column].replace('"', "").split()]
    for row in range(number):
        cells = list(chance.choice(real))
        for column in texts:
            drawn = chance.choices(words, k=len(cells[column].split()))
            cells[column] = " ".join(f"{word}{row}" if chance.randrange(NEW_WORDS) == 0 else word for word in drawn)
        yield "\t".join(cells) + "\n"


def measure(task_name: str, checkpoint: str, glue_dir: Path) -> dict:
    """Seconds to read and to encode a task, rows, and the peak memory of this process in bytes."""
    from common.inputs.checkpoint import get_checkpoint
    from common.inputs.download import cache_dir
    from common.inputs.reading import load_glue
    from common.inputs.tokens import Encoding, Tokenizer, get_tokens
    from common.inputs.vocabulary import is_lowercased, read_vocabulary
    from common.studies.tasks import TASKS
    from common.training.environment import environment_row, set_up_tensorflow

    set_up_tensorflow(1)
    found = get_checkpoint(checkpoint, cache_dir())
    words = read_vocabulary(found.vocab)
    tokenizer = Tokenizer(words, is_lowercased(words, found.lower_case))  # imports TensorFlow
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    data = load_glue(TASKS[task_name], glue_dir / task_name, allow_other_rows=True)
    read = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        get_tokens(data, Encoding(found.vocab, 128, found.lower_case), Path(cache))
    encoded = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = sum(len(each.labels) for each in data.sets.values())
    sample = data.sets["train"].texts[:SAMPLE]
    began_sample = time.perf_counter()
    for row in sample:
        for text in row:
            tokenizer.encode_whole(text)
    whole = (time.perf_counter() - began_sample) * rows / len(sample)
    return {"task": task_name, "rows": rows, "read": read - began, "encoded": encoded - read, "whole": whole,
            "loaded": before * 1024, "peak": after * 1024, "machine": environment_row(1)}


def write_page(found: list[dict], machine: str | None) -> str:
    from tabulate import tabulate

    heading = ["task", "rows", "reading, s", "encoding, s", "FullTokenizer, s", "peak memory, GB", "of it TensorFlow, GB"]
    rows = [[each["task"], f"{each['rows']:,}", f"{each['read']:.1f}", f"{each['encoded']:.1f}", f"{each['whole']:.1f}",
             f"{each['peak'] / 1e9:.1f}", f"{each['loaded'] / 1e9:.1f}"] for each in found]
    processor = machine or found[0]["machine"]["processor"]
    table = tabulate(rows, heading, tablefmt="github", disable_numparse=True)
    return f"""# The large tasks before the first step

Measured by `python bench/large.py` on {processor}, one thread: made-up files of the official number of rows, read and
encoded with an empty cache. A study does it once for each task; a run takes the encoded rows from the cache.
`FullTokenizer` is how they were encoded before, scaled up from {SAMPLE:,} rows.

{table}
"""


if __name__ == "__main__":
    sys.exit(main())
