"""Writes a task's rows as the files of the Hugging Face hub, for tests: names, columns and label numbers of `nyu-mll/glue` and
`stanfordnlp/snli`, spelled out here by hand."""
import json

import pyarrow
from pyarrow import ipc, parquet

NLI = ["entailment", "neutral", "contradiction"]
COLUMNS = {  # task: folder, text columns, classes by their numbers
    "CoLA": ("cola", ["sentence"], ["unacceptable", "acceptable"]),
    "SST-2": ("sst2", ["sentence"], ["negative", "positive"]),
    "MRPC": ("mrpc", ["sentence1", "sentence2"], ["not_equivalent", "equivalent"]),
    "QQP": ("qqp", ["question1", "question2"], ["not_duplicate", "duplicate"]),
    "STS-B": ("stsb", ["sentence1", "sentence2"], None),
    "MNLI": ("mnli", ["premise", "hypothesis"], NLI),
    "SNLI": ("snli", ["premise", "hypothesis"], NLI),
    "QNLI": ("qnli", ["question", "sentence"], ["entailment", "not_entailment"]),
    "RTE": ("rte", ["sentence1", "sentence2"], ["entailment", "not_entailment"]),
    "WNLI": ("wnli", ["sentence1", "sentence2"], ["not_entailment", "entailment"]),
}
CLASSES = {  # what our class numbers mean, where they are not those of the hub
    "MNLI": ["contradiction", "entailment", "neutral"], "SNLI": ["contradiction", "entailment", "neutral"]}


def label_on_hub(task, label):
    """The label as a number of the hub: float for a score, -1 for none."""
    if label is None:
        return -1
    classes = COLUMNS[task][2]
    return label if classes is None else classes.index(CLASSES.get(task, classes)[label])


def make_table(task, labels, texts, *, metadata=True, classes=None):
    """An Arrow table as the library `datasets` makes it.

    Args:
      labels: our class numbers or scores; None for a row without a label.
      classes: another order of the classes than the published one.
    """
    _, names, published = COLUMNS[task]
    classes = classes or published
    if published is None:
        column = pyarrow.array(labels, pyarrow.float32())
    else:
        numbers = [label_on_hub(task, label) for label in labels]
        column = pyarrow.array([number if number < 0 else classes.index(published[number]) for number in numbers],
                               pyarrow.int64())
    columns = {name: pyarrow.array([row[place] for row in texts], pyarrow.string()) for place, name in enumerate(names)}
    columns |= {"label": column, "idx": pyarrow.array(range(len(labels)), pyarrow.int32())}
    table = pyarrow.table(columns)
    if metadata:
        features = {name: {"dtype": "string", "_type": "Value"} for name in names}
        features |= {"label": {"names": classes, "_type": "ClassLabel"} if classes else {"dtype": "float32", "_type": "Value"},
                     "idx": {"dtype": "int32", "_type": "Value"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return table


def write_parquet(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, path)


def write_arrow(path, table):
    """A stream, as `datasets` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


def write_arrow_file(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def write_json_lines(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), "utf-8")
