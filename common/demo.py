"""The sample behind `--demo`: GLUE-format tasks written by a small seeded grammar, and a small BERT checkpoint.

Both are made on the spot and go through the same reading, verification, conversion and training as real input. The
checkpoint is not pre-trained: its encoder has random weights, and its numbers say nothing about BERT.
"""
import json
import random
import zipfile
from pathlib import Path

from common import UserError
from common.files import new_folder
from common.inputs.encoder import encoder_variables
from common.studies.tasks import TASKS, Task

FOLDER = Path("demo")
RATE_FACTOR = 50
"""An encoder that is not pre-trained needs larger steps: the demo's learning rates are this many times the study's."""
TRAIN_ROWS, OTHER_ROWS = 600, 240
BERT = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 256,
        "max_position_embeddings": 128, "type_vocab_size": 2, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02}
MEMBERS = ("bert_config.json", "vocab.txt", "bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")

PEOPLE = ("the minister", "a trader", "the captain", "the company", "a teacher", "the mayor", "an actor", "the farmer")
DEEDS = (("bought", "purchased"), ("sold", "traded"), ("found", "discovered"), ("built", "constructed"),
         ("showed", "presented"), ("repaired", "mended"), ("wanted", "desired"), ("praised", "commended"))
THINGS = ("the house", "a ship", "the garden", "two horses", "the bridge", "an engine", "the painting", "a violin")
TIMES = ("on friday", "in may", "last year", "at night", "in the morning", "before the storm")
DENIALS = ("never", "refused to say who", "denied that he")
HEDGES = ("perhaps", "maybe", "possibly")
PRAISE = ("wonderful", "charming", "brilliant", "moving", "delightful")
BLAME = ("dreadful", "boring", "clumsy", "shallow", "tedious")


def use_demo(options) -> None:
    """Points the options at the sample, and makes it first if it is missing.

    Raises:
      UserError: the sample and something else were asked for at once.
    """
    if options.db != "results.db":
        raise UserError("--demo keeps its store in demo/; leave out --db")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "input").mkdir(exist_ok=True)
    for task in TASKS.values():
        _make_once(FOLDER / "input" / task.name, lambda folder, task=task: write_task(task, folder))
    _make_once(FOLDER / "input" / "checkpoint", write_checkpoint)
    options.checkpoint = str(FOLDER / "input" / "checkpoint" / "demo_L-2_H-64_A-2.zip")
    options.glue_dir = str(FOLDER / "input")
    options.db = str(FOLDER / "results.db")
    options.allow_other_rows = True


def write_task(task: Task, folder: Path) -> None:
    """Writes train.tsv, the evaluation sets and test.tsv of a task in the layout of GLUE."""
    rng = random.Random(f"demo {task.name}")
    sets = {"train": TRAIN_ROWS, **dict.fromkeys(task.evaluation_rows, OTHER_ROWS)}
    for name, rows in sets.items():
        _write_rows(task, folder / f"{name}.tsv", [_make_row(task, rng) for _ in range(rows)])
    for test in task.tests:
        rows = [_make_row(task, rng)[1] for _ in range(OTHER_ROWS)]
        lines = ["\t".join(["index", *(task.test_texts or task.texts)])]
        lines += ["\t".join([str(number), *row]) for number, row in enumerate(rows)]
        (folder / test.file).parent.mkdir(exist_ok=True)
        (folder / test.file).write_text("\n".join(lines) + "\n")


def _write_rows(task: Task, path: Path, rows: list[tuple[str, tuple]]) -> None:
    if task.columns:  # CoLA: source, label, the author's mark, sentence; no header
        lines = ["\t".join(["demo", label, "", text]) for label, (text,) in rows]
    else:
        lines = ["\t".join(["index", *task.texts, task.label])]
        lines += ["\t".join([str(number), *texts, label]) for number, (label, texts) in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")


def _make_row(task: Task, rng: random.Random) -> tuple[str, tuple]:
    """A label and its text or pair of texts; one row in twelve has a random label, as real data do."""
    kinds = ("same", "denied", "other") if task.is_regression or len(task.labels) == 3 else ("same", "same", "denied")
    kind = rng.choice(kinds)
    texts = _single(kind, rng, task) if len(task.texts) == 1 else _pair(kind, rng)
    if rng.random() < 1 / 12:
        kind = rng.choice(kinds)
    return _label(task, kind, rng), texts


def _label(task: Task, kind: str, rng: random.Random) -> str:
    if task.is_regression:
        low, high = {"same": (3.5, 5.0), "other": (1.5, 3.5), "denied": (0.0, 1.5)}[kind]
        return f"{rng.uniform(low, high):.3f}"
    if len(task.labels) == 3:
        return {"same": "entailment", "denied": "contradiction", "other": "neutral"}[kind]
    if task.labels[0] == "entailment":
        return "entailment" if kind == "same" else "not_entailment"
    return "1" if kind == "same" else "0"


def _pair(kind: str, rng: random.Random) -> tuple[str, str]:
    person, (deed, synonym), thing, when = (rng.choice(words) for words in (PEOPLE, DEEDS, THINGS, TIMES))
    first = f"{person} {deed} {thing} {when} ."
    if kind == "same":
        return first, rng.choice((f"{when} {person} {synonym} {thing} .", f"{person} {synonym} {thing} {when} ."))
    if kind == "denied":
        return first, f"{person} {rng.choice(DENIALS)} {deed} {thing} ."
    return first, f"{rng.choice(HEDGES)} {rng.choice(PEOPLE)} {synonym} {rng.choice(THINGS)} ."


def _single(kind: str, rng: random.Random, task: Task) -> tuple[str]:
    person, (deed, _), thing, when = (rng.choice(words) for words in (PEOPLE, DEEDS, THINGS, TIMES))
    if task.name == "CoLA":
        return (f"{person} {deed} {thing} {when} ." if kind == "same" else f"{deed} {when} {person} {when} {thing} .",)
    return (f"{person} {deed} {thing} and it was {rng.choice(PRAISE if kind == 'same' else BLAME)} .",)


def write_checkpoint(folder: Path, layers: int = BERT["num_hidden_layers"]) -> None:
    """Writes the checkpoint as Google does: a zip of bert_config.json, vocab.txt and a TF1 name-based checkpoint."""
    from common.running.processes import FreshProcesses

    words = sorted({word for group in (PEOPLE, *DEEDS, THINGS, TIMES, DENIALS, HEDGES, PRAISE, BLAME)
                    for text in group for word in text.split()} | set("abcdefghijklmnopqrstuvwxyz.,") | {"and", "it", "was"})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    bert = BERT | {"num_hidden_layers": layers, "vocab_size": len(vocabulary)}
    (folder / "bert_config.json").write_text(json.dumps(bert, indent=2) + "\n")
    with FreshProcesses(1) as processes:  # TensorFlow writes the format, and this process must not load it
        processes.submit(save_random_weights, folder).result()
    with zipfile.ZipFile(folder / f"demo_L-{layers}_H-64_A-2.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in MEMBERS:
            archive.write(folder / name, name)
            (folder / name).unlink()


def save_random_weights(folder: Path, report=None) -> None:
    """Saves an encoder of random weights under the variable names of google-research/bert."""
    import numpy as np
    import tensorflow.compat.v1 as tf

    bert = json.loads((folder / "bert_config.json").read_text())
    rng = np.random.RandomState(0)
    with tf.Graph().as_default(), tf.Session() as session:
        for name, shape in encoder_variables(bert).items():
            kind = name.rsplit("/", 1)[1]
            value = np.ones(shape) if kind == "gamma" else np.zeros(shape) if kind in ("beta", "bias") \
                else rng.normal(0, 1 / np.sqrt(bert["hidden_size"]), shape)
            tf.get_variable(name, initializer=value.astype(np.float32))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "bert_model.ckpt"), write_meta_graph=False, write_state=False)


def _make_once(target: Path, write) -> None:
    if not target.is_dir():
        with new_folder(target) as folder:
            write(folder)
