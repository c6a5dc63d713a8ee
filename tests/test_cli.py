"""The command line of a study: exit statuses, one sentence for what the user must mend, and the plan of a dry run."""
import os
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from stand_in import CHECKPOINT_ROW, DATA_ROWS, make_config, make_result

from common.inputs.checkpoint import BERT_MINI, get_checkpoint
from common.inputs.reading import load_glue
from common.store.owner import Owner
from common.store.store import InputRows, Store
from common.studies.tasks import TASKS

ROOT = Path(__file__).parent.parent
BERT_CONFIG = ('{"vocab_size": 6, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2, '
               '"intermediate_size": 8, '
               '"max_position_embeddings": 128, "type_vocab_size": 2}')
CHECKPOINT = {"bert_config.json": BERT_CONFIG, "vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n",
              "bert_model.ckpt.index": "no index", "bert_model.ckpt.data-00000-of-00001": "no weights"}
HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
TASK_NAMES = "CoLA, SST-2, MRPC, QQP, STS-B, MNLI, SNLI, QNLI, RTE, WNLI"


def write_checkpoint(path, leave_out=None):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in CHECKPOINT.items():
            if name != leave_out:
                archive.writestr(f"uncased_tiny/{name}", content)
    return path


def write_mrpc(folder, train_rows=40, dev="0\t1\t2\ta\tb\n"):
    (folder / "MRPC").mkdir(parents=True)
    (folder / "MRPC" / "train.tsv").write_text("\ufeff" + HEADER + train_rows * "1\t1\t2\thello\tworld\n")
    (folder / "MRPC" / "dev.tsv").write_text(HEADER + dev)
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A checkpoint that passes every check but cannot be loaded, MRPC with 40 rows, and a cache."""
    folder = tmp_path_factory.mktemp("inputs")
    write_checkpoint(folder / "tiny.zip")
    write_mrpc(folder / "glue")
    return folder


@pytest.fixture
def call(inputs, tmp_path):
    """Runs the script in an empty folder, with sound input where the arguments name no other."""
    def call(*arguments, sound=True, **environment):
        given = ["--checkpoint", inputs / "tiny.zip", "--glue-dir", inputs / "glue", "--allow-other-rows",
                 "--batch-sizes", "2", "8"] if sound else []
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BERT_GLUE")}
        return subprocess.run([sys.executable, ROOT / "exp_bs_mrpc.py", *map(str, [*given, *arguments])], cwd=tmp_path,
                              capture_output=True, text=True, timeout=120,
                              env=clean | {"BERT_GLUE_CACHE": str(inputs / "cache")} | environment)
    return call


def is_refused(done, sentence):
    assert done.stderr == f"error: {sentence}\n"
    assert (done.returncode, done.stdout) == (2, "")


# -- flags

def test_help(call):
    done = call("--help", sound=False)
    assert (done.returncode, done.stderr) == (0, "")
    for flag in ("--instances", "--task", "--batch-sizes", "--rates", "--epochs", "--limit-train", "--checkpoint",
                 "--glue-dir", "--allow-other-rows", "--demo", "--db", "--workers", "--threads", "--dry-run",
                 "--retry-failed", "--fail-fast", "--debug", "--save-models",
                 "--predict-test", "--tensorboard", "--cluster", "--seed", "--set", "--sweep", "--allow-high-rates"):
        assert f" {flag}" in done.stdout
    for name in ("CHECKPOINT", "DIR", "CACHE", "MIRROR", "OFFLINE"):
        assert f"BERT_GLUE_{name}" in done.stdout.split("environment:")[1]
    assert "python exp_bs_mrpc.py --instances 4" in done.stdout
    assert "exit status: 0 all that was asked for is in the store; 1 a run failed; 2 something to fix" in done.stdout
    assert "(default: 2 8 16 32 64)" in done.stdout
    assert "(default: 2e-5)" in done.stdout


def test_importing_a_study_does_no_work():
    heavy = ("tensorflow", "numpy", "sqlalchemy", "requests", "tqdm", "distributed")
    program = f"import sys, exp_bs_mrpc; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("arguments, sentence", [
    (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    (["surplus"], "unrecognized arguments: surplus"),
    (["--instance", "4"], "unrecognized arguments: --instance 4"),
    (["--dry"], "unrecognized arguments: --dry"),
    (["--instances"], "argument --instances: expected one argument"),
    (["--instances", "0"], "argument --instances: '0' is no number of instances: give a whole number of at least 1"),
    (["--batch-sizes", "8", "0"], "argument --batch-sizes: '0' is no batch size: give a whole number of at least 1"),
    (["--batch-sizes", "2.5"], "argument --batch-sizes: '2.5' is no batch size: give a whole number of at least 1"),
    (["--batch-sizes=-8"], "argument --batch-sizes: '-8' is no batch size: give a whole number of at least 1"),
    (["--rates", "0"], "argument --rates: '0' is not a learning rate: give a number above 0, such as 2e-5"),
    (["--rates", "nan"], "argument --rates: 'nan' is not a learning rate: give a number above 0, such as 2e-5"),
    (["--rates", "inf"], "argument --rates: 'inf' is not a learning rate: give a number above 0, such as 2e-5"),
    (["--rates", "1e"], "argument --rates: '1e' is not a learning rate: give a number above 0, such as 2e-5"),
    (["--rates=-2e-5"], "argument --rates: '-2e-5' is not a learning rate: give a number above 0, such as 2e-5"),
    (["--epochs", "0"], "argument --epochs: '0' is no number of epochs: give a whole number of at least 1"),
    (["--workers", "none"], "argument --workers: 'none' is no number of workers: give a whole number of at least 1"),
    *((["--cluster", text], f"argument --cluster: {text!r} is no cluster: give tcp://HOST:PORT of a Dask scheduler, the file "
       "that it wrote (dask scheduler --scheduler-file FILE), or local:N for N workers on this machine")
      for text in ("tcp//host:8786", "tcp://host", "host:8786", "local:0", "local:", "none.json", ".")),
    (["--threads", "0"], "argument --threads: '0' is no number of threads: give a whole number of at least 1"),
])
def test_bad_flags_are_refused(call, arguments, sentence):
    done = call(*arguments, sound=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"exp_bs_mrpc.py: error: {sentence}"
    assert "Traceback" not in done.stderr


# -- input

@pytest.mark.parametrize("name, guess", [("sst", " Did you mean SST-2?"), ("", "")])
def test_an_unknown_task(call, name, guess):
    is_refused(call("--task", "MRPC", name), f"there is no task {name!r}.{guess} Tasks: {TASK_NAMES}")


def test_a_missing_glue_folder(call, tmp_path):
    is_refused(call("--glue-dir", tmp_path / "none"),
               f"there is no folder {tmp_path}/none; --glue-dir takes a folder with a subfolder for each GLUE task")


def test_a_missing_task_folder(call, inputs):
    is_refused(call("--task", "RTE", BERT_GLUE_OFFLINE="1"),
               f"RTE is not in {inputs}/glue (complete tasks there: MRPC), and RTE.zip cannot be fetched from "
               "https://dl.fbaipublicfiles.com/glue/data/RTE.zip: BERT_GLUE_OFFLINE forbids it; give it with --glue-dir FOLDER, "
               "or set BERT_GLUE_MIRROR to the folder or address where it is")


def test_a_missing_split(call, tmp_path):
    write_mrpc(tmp_path / "glue")
    (tmp_path / "glue" / "MRPC" / "dev.tsv").unlink()
    is_refused(call("--glue-dir", tmp_path / "glue"),
               f"missing split dev.tsv in {tmp_path}/glue/MRPC (complete tasks there: none); add the file (dev.tsv, dev.tsv.gz, "
               "validation-*.parquet, validation.arrow or validation.jsonl), or leave --glue-dir out to fetch them")


def test_a_malformed_row(call, tmp_path):
    write_mrpc(tmp_path / "glue", dev="1\t1\t2\ta\tb\n1\t1\t2\tno second\n")
    is_refused(call("--glue-dir", tmp_path / "glue"),
               f"{tmp_path}/glue/MRPC/dev.tsv:3: expected 5 columns, found 4: '1\\t1\\t2\\tno second'")


def test_another_number_of_rows(call, inputs):
    is_refused(call("--checkpoint", inputs / "tiny.zip", "--glue-dir", inputs / "glue", sound=False),
               f"{inputs}/glue/MRPC/train.tsv has 40 rows where the official file has 3668; fetch it again, or pass "
               "--allow-other-rows to study other data")


def test_a_batch_larger_than_the_training_split(call):
    """40 rows: 2 for validation, 38 to train on."""
    is_refused(call("--batch-sizes", "38", "39"),
               "batch size 39 is larger than the 38 training rows of MRPC; choose a smaller one")
    is_refused(call("--limit-train", "8"),
               "batch size 8 is larger than the 7 training rows of MRPC; choose a smaller one")


def test_too_few_rows(call, tmp_path):
    is_refused(call("--limit-train", "1"), "the row limit is 1, but must be a whole number of at least 2")
    is_refused(call("--glue-dir", write_mrpc(tmp_path / "glue", train_rows=1), "--batch-sizes", "1"),
               "a single training row cannot be split into training and validation; give a file with more")


def test_a_missing_checkpoint(call):
    is_refused(call("--checkpoint", "none.zip"),
               "there is no checkpoint at none.zip; --checkpoint takes a zip file, a folder, or the http(s) address of "
               "a zip file")


def test_a_torn_checkpoint(call, inputs, tmp_path):
    whole = (inputs / "tiny.zip").read_bytes()
    (tmp_path / "torn.zip").write_bytes(whole[:-30])
    is_refused(call("--checkpoint", "torn.zip"),
               "the archive torn.zip is damaged or no zip file; fetch or copy it again")


def test_an_incomplete_checkpoint(call, tmp_path):
    write_checkpoint(tmp_path / "part.zip", leave_out="vocab.txt")
    is_refused(call("--checkpoint", "part.zip"),
               "the archive part.zip cannot be used: it has no vocab.txt; give another file")


def test_no_network_and_nothing_cached(call, tmp_path):
    done = call("--batch-sizes", "8", sound=False, BERT_GLUE_OFFLINE="1", BERT_GLUE_CACHE=str(tmp_path / "cache"))
    is_refused(done, "uncased_L-4_H-256_A-4.zip cannot be fetched from https://storage.googleapis.com/bert_models/2020_02_20/"
               "uncased_L-4_H-256_A-4.zip: BERT_GLUE_OFFLINE forbids it; give it with --checkpoint FILE, or set "
               "BERT_GLUE_MIRROR to the folder or address where it is")


def test_without_a_network_all_tasks_are_named_at_once(call, inputs, tmp_path):
    """Ten tasks at two hosts, of which none answers."""
    began = time.monotonic()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BERT_GLUE")}
    done = subprocess.run([sys.executable, ROOT / "exp_allglue.py", "--checkpoint", inputs / "tiny.zip"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=120, env=clean | {
                              "BERT_GLUE_CACHE": str(tmp_path / "cache"), "HTTPS_PROXY": "http://127.0.0.1:9"})
    assert (done.returncode, time.monotonic() - began < 60) == (2, True)
    assert done.stderr.splitlines()[-1].startswith(
        "error: no task has files that can be used (SST-2, MRPC, QQP, MNLI, SNLI, QNLI, RTE, WNLI, CoLA, STS-B); SST-2: "
        "SST-2.zip cannot be fetched from https://dl.fbaipublicfiles.com/glue/data/SST-2.zip: there is no connection; ")


def test_a_cache_that_cannot_be_written(call):
    done = call(BERT_GLUE_CACHE="/proc/cache")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the cache folder /proc/cache cannot be written (")
    assert done.stderr.count("\n") == 1


# -- the store

def test_stores_that_cannot_be(call):
    is_refused(call("--db", ""), "the results store has no name; name a file with --db")
    is_refused(call("--db", "/proc/results.db"),
               "the results store /proc/results.db cannot be read: the file cannot be opened; check its permissions or "
               "name another with --db (unable to open database file)")
    done = call("--db", "nosuchbase://anna@127.0.0.1/results")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_another_programs_database(call, tmp_path):
    connection = sqlite3.connect(tmp_path / "photos.db")
    connection.execute("CREATE TABLE photos (name)")
    connection.close()
    is_refused(call("--db", "photos.db"),
               "the database photos.db belongs to another program (it has the table 'photos'); name another with --db")


def test_a_file_that_is_no_database(call, tmp_path):
    (tmp_path / "results.db").write_text("dear diary\n" * 100)
    is_refused(call(),
               "the results store results.db cannot be read: the file is not an SQLite database; name another with --db "
               "(file is not a database)")


def test_debug_shows_the_traceback_before_the_sentence(call):
    done = call("--checkpoint", "none.zip", "--debug")
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.splitlines()[-1].startswith("error: there is no checkpoint at none.zip;")


def test_a_folder_to_keep_that_cannot_be_made(call):
    done = call("--save-models", "/proc/models")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the folder /proc/models cannot be made (")


def test_predictions_need_the_test_set(call, inputs, tmp_path):
    is_refused(call("--predict-test", "predictions"),
               f"MRPC has no test.tsv in {inputs}/glue/MRPC, which --predict-test needs; add the file (test.tsv, test.tsv.gz, "
               "test-*.parquet, test.arrow or test.jsonl) or leave --predict-test out")
    write_mrpc(tmp_path / "glue")
    (tmp_path / "glue" / "MRPC" / "test.tsv").write_text("index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\ta\n")
    is_refused(call("--glue-dir", tmp_path / "glue", "--predict-test", "predictions"),
               f"{tmp_path}/glue/MRPC/test.tsv:2: expected 5 columns, found 4: '0\\t1\\t2\\ta'")


CANARY = "c4n4ry"
FAULTS = {
    "refused": (f"postgresql+psycopg://anna:{CANARY}@127.0.0.1:1/results",),
    "no such host": (f"postgresql+psycopg://anna:{CANARY}@nowhere.invalid/results",),
    "no such driver": (f"postgresql+nosuch://anna:{CANARY}@127.0.0.1/results",),
    "no such base": (f"nosuchbase://anna:{CANARY}@127.0.0.1/results",),
    "no port": (f"postgresql+psycopg://anna:{CANARY}@127.0.0.1:port/results",),
    "a port too large": (f"postgresql+psycopg://anna:{CANARY}@127.0.0.1:99999999/results",),
    "an option that is none": (f"postgresql+psycopg://anna:{CANARY}@127.0.0.1:1/results?nosuch=1",),
    "a password in the query": (f"postgresql+psycopg://anna@127.0.0.1:1/results?password={CANARY}",),
    "a percent sign": (f"postgresql+psycopg://anna:{CANARY}%zz@127.0.0.1:1/results",),
    "an at sign": (f"postgresql+psycopg://anna:{CANARY}@x@127.0.0.1:1/results",),
}


@pytest.mark.parametrize("more", [[], ["--debug"], ["--dry-run"]])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_password_is_in_no_output(call, tmp_path, fault, more):
    done = call("--db", *FAULTS[fault], *more)
    assert done.returncode == 2
    assert CANARY not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_on_the_command_line_is_refused(call):
    done = call("--db", "postgresql+psycopg://anna:word@127.0.0.1/results")
    assert done.stderr.splitlines()[-1] == (
        "exp_bs_mrpc.py: error: argument --db: a password on the command line can be read by every user of the machine: leave "
        "it out and give it by PGPASSWORD or ~/.pgpass")
    from common.cli import address

    assert address("postgresql+psycopg://anna@host:5432/results") == "postgresql+psycopg://anna@host:5432/results"
    assert address("postgresql+psycopg://host:5432/results?sslmode=require").endswith("sslmode=require")


# -- output

def test_output_that_nobody_reads_and_output_that_finds_no_room(inputs, tmp_path):
    command = (f"'{sys.executable}' '{ROOT}/exp_bs_mrpc.py' --dry-run --checkpoint '{inputs}/tiny.zip' "
               f"--glue-dir '{inputs}/glue' --allow-other-rows --batch-sizes 2")
    environment = os.environ | {"BERT_GLUE_CACHE": str(inputs / "cache")}

    def shell(line):
        return subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True,
                              env=environment, timeout=120)

    done = shell(f"{command} | true")
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")
    done = shell(f"{command} > /dev/full")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: the output cannot be read or written (No space left on device); free some space and call again\n")


def test_messages_that_find_no_room_change_no_exit_status(call, prepared, tmp_path):
    command = [sys.executable, ROOT / "exp_bs_mrpc.py", "--checkpoint", prepared.parent / "none.zip"]
    with open("/dev/full", "w") as full:
        assert subprocess.run(command, cwd=tmp_path, stderr=full, timeout=120).returncode == 2


def test_a_store_in_a_folder_whose_name_is_no_utf8(call, tmp_path, prepared):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    os.rename(prepared, folder + b"/results.db")
    done = call("--instances", "1", "--batch-sizes", "8", "--db", os.fsdecode(folder + b"/results.db"))
    assert done.stderr == f"1 run of the study is in {tmp_path}/caf\\udce9/results.db; nothing was missing\n"


# -- learning rates and other fields

def test_a_learning_rate_that_must_be_a_slip_has_to_be_confirmed(call):
    given = ("--instances", "1", "--workers", "1", "--dry-run", "--rates", "2e-5", "2")
    is_refused(call(*given), "a learning rate of 2 is far above those that fine-tune BERT (1e-6 to 1e-3), so it may be a slip "
               "for 2e-5; confirm it with --allow-high-rates")
    assert "MRPC    2        2e0 " in call(*given, "--allow-high-rates").stdout


FIELDS_CHANGED = """\
task    batch    rate    epochs    changed                          have    need    will run    gave up    estimate
------  -------  ------  --------  -------------------------------  ------  ------  ----------  ---------  ----------
MRPC    8        2e-5    5         dropout=0 epsilon=1e-8 seed=4    0       1       1                      unknown
MRPC    8        2e-5    5         dropout=0.2 epsilon=1e-8 seed=4  0       1       1                      unknown
MRPC    8        2e-5    3         dropout=0 epsilon=1e-8 seed=4    0       1       1                      unknown
MRPC    8        2e-5    3         dropout=0.2 epsilon=1e-8 seed=4  0       1       1                      unknown
4 runs would be trained, 1 at a time: no stored times to estimate from
"""


def test_every_field_of_the_recipe_can_be_set_and_swept(call):
    given = ("--instances", "1", "--workers", "1", "--dry-run", "--batch-sizes", "8", "--seed", "4", "--set", "epsilon=1e-8",
             "--sweep", "epochs=5,3", "dropout=0,0.2")
    assert call(*given).stdout == FIELDS_CHANGED
    is_refused(call(*given, "--set", "seed=5"), "seed is given twice; leave one out of --set, --sweep and --seed")
    is_refused(call(*given, "--set", "dropout=0.3"), "dropout is given twice; leave one out of --set, --sweep")
    done = call("--set", "dropout=2")
    assert done.stderr.splitlines()[-1] == (
        "exp_bs_mrpc.py: error: argument --set: dropout is 2.0, but must be from 0 to below 1")


# -- plans

NOTHING_THERE = """\
task    batch    rate    epochs    have    need    will run    gave up    estimate
------  -------  ------  --------  ------  ------  ----------  ---------  ----------
MRPC    2        2e-5    5         0       3       3                      unknown
MRPC    8        2e-5    5         0       3       3                      unknown
6 runs would be trained, 2 at a time: no stored times to estimate from
"""
SOME_THERE = """\
task    batch    rate    epochs    have    need    will run    gave up    estimate
------  -------  ------  --------  ------  ------  ----------  ---------  ----------
MRPC    2        2e-5    5         2       3       0           1          0s
MRPC    8        2e-5    5         1       3       2                      50s
MRPC    16       2e-5    5         0       3       3                      1m10s
5 runs would be trained, 2 at a time: about 1m00s
"""
RETRIED = SOME_THERE.replace("0           1          0s", "1                      1m40s").replace(
    "5 runs would be trained, 2 at a time: about 1m00s", "6 runs would be trained, 2 at a time: about 1m50s")


@pytest.fixture
def prepared(inputs, tmp_path):
    """results.db in the script's folder. Batch 2: done, diverged, and failed three times. Batch 8: done, failed once,
    running in a process that is gone."""
    checkpoint = get_checkpoint(str(inputs / "tiny.zip"), inputs / "cache")
    data = load_glue(TASKS["MRPC"], inputs / "glue" / "MRPC", allow_other_rows=True)
    two, eight = (make_config(data=data.digest, checkpoint=checkpoint.digest, batch_size=size) for size in (2, 8))
    store = Store(tmp_path / "results.db")
    store.plan("bs_mrpc", {two: [0, 1, 2], eight: [0, 1, 2]}, 3, InputRows(checkpoint.row(), data.rows()))
    store.close()
    connection = sqlite3.connect(tmp_path / "results.db")
    for config, instance, values in [
            (two, 0, "status = 'done', total_seconds = 100"), (two, 1, "status = 'diverged', total_seconds = 7"),
            (two, 2, "status = 'failed', failures = 3"), (eight, 0, "status = 'done', total_seconds = 25"),
            (eight, 1, "status = 'failed', failures = 1"),
            (eight, 2, "status = 'running', owner = 'elsewhere/boot/1/7'")]:
        connection.execute(f"UPDATE runs SET {values} WHERE config = ? AND instance = ?", (config.hash, instance))
    connection.commit()
    connection.close()
    return tmp_path / "results.db"


def test_a_dry_run_without_a_store_makes_none(call, tmp_path):
    done = call("--instances", "3", "--workers", "2", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr) == (0, NOTHING_THERE, "")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_is_there_and_what_would_be_trained(call, prepared):
    before = prepared.read_bytes()
    given = ["--instances", "3", "--workers", "2", "--dry-run", "--batch-sizes", "2", "8", "16"]
    done = call(*given)
    assert (done.returncode, done.stdout, done.stderr) == (0, SOME_THERE, "")
    assert call(*given, "--retry-failed").stdout == RETRIED
    assert prepared.read_bytes() == before


def test_a_dry_run_loads_no_tensorflow(call):
    done = call("--dry-run", PYTHONPROFILEIMPORTTIME="1")
    assert "common.store" in done.stderr
    assert "tensorflow" not in done.stderr


def test_one_configuration_given_twice_is_one(call):
    done = call("--instances", "1", "--workers", "1", "--dry-run", "--task", "MRPC", "MRPC", "--batch-sizes", "8", "8",
                "--rates", "2e-5", "0.00002", "--limit-train", "40")
    assert len(done.stdout.splitlines()) == 4
    assert done.stdout.endswith("\n1 run would be trained, 1 at a time: no stored times to estimate from\n")


def test_nothing_missing_is_success_at_once(call, prepared):
    done = call("--instances", "1", "--batch-sizes", "8", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "1 run of the study is in results.db; nothing was missing" in done.stderr.splitlines()
    assert "tensorflow" not in done.stderr
    done = call("--instances", "2", "--batch-sizes", "2")  # a diverged run is there, too
    assert (done.returncode, done.stderr) == (0, "2 runs of the study are in results.db; nothing was missing\n")


def test_a_run_that_was_given_up_is_no_success(call, prepared):
    done = call("--instances", "3", "--batch-sizes", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "failed: MRPC batch=2 rate=2e-5 instance=2 failed three times; --retry-failed retries it\n"


@pytest.mark.tensorflow
def test_weights_that_cannot_be_read_are_refused_before_anything_is_planned(call, tmp_path):
    done = call("--instances", "1", "--workers", "1")
    is_refused(done, "the weights of the checkpoint tiny cannot be read (file is too short to be an sstable); copy or fetch it "
                     "again, or give another with --checkpoint")
    connection = sqlite3.connect(tmp_path / "results.db")
    assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(0,)]
    connection.close()


@pytest.mark.tensorflow
def test_a_run_that_fails_is_told_twice_and_stored(call, inputs, tmp_path):
    """The weights in the cache were damaged after they were converted."""
    checkpoint = get_checkpoint(str(inputs / "tiny.zip"), tmp_path / "cache")
    (tmp_path / "cache" / "weights").mkdir()
    np.savez(tmp_path / "cache" / "weights" / f"{checkpoint.digest}.npz", nothing=np.zeros(1))
    done = call("--instances", "1", "--batch-sizes", "8", "--workers", "1", "--debug", BERT_GLUE_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 1
    first, shown, told, traceback, *_ = done.stderr.splitlines()
    assert first == "1 run to train, 1 at a time"
    assert shown.startswith("[1/1] MRPC batch=8 rate=2e-5 instance=0  FAILED: ")
    assert told.startswith("failed: MRPC batch=8 rate=2e-5 instance=0: ")
    assert traceback == "Traceback (most recent call last):"
    connection = sqlite3.connect(tmp_path / "results.db")
    ((status, error),) = connection.execute("SELECT status, error FROM runs").fetchall()
    connection.close()
    assert status == "failed"
    assert told == f"failed: MRPC batch=8 rate=2e-5 instance=0: {error}"


# -- plans of input that is not here

def test_a_dry_run_downloads_nothing_and_finds_runs_on_official_input(call, inputs, tmp_path):
    """The store knows the digest of Google's archive; the table of tasks knows that of MRPC's rows."""
    google = CHECKPOINT_ROW | {"digest": "b" * 64, "archive_sha256": BERT_MINI.sha256}
    config = make_config(data=TASKS["MRPC"].digest, checkpoint="b" * 64, batch_size=8)
    store = Store(tmp_path / "results.db")
    store.plan("bs_mrpc", {config: [0, 1]}, 2, InputRows(google, [row | {"digest": config.data} for row in DATA_ROWS]))
    owner = Owner.of_this_process()
    store.record(store.find_claim(config, 0, owner), owner, make_result(total_seconds=100.0))
    store.close()
    cache = tmp_path / "cache"
    done = call("--batch-sizes", "8", "--instances", "2", "--workers", "1", "--dry-run", sound=False,
                BERT_GLUE_CACHE=str(cache), BERT_GLUE_OFFLINE="1")
    plan, advice = done.stdout.split("\nWhat the runs so far say, and what would decide the rest:\n")
    assert advice.startswith("- MRPC dev, uncased_L-4_H-256_A-4: smaller batch sizes reach the better accuracy: ")
    assert "1 of 20 planned runs" in advice
    assert plan == """\
task    batch    rate    epochs    have    need    will run    gave up    estimate
------  -------  ------  --------  ------  ------  ----------  ---------  ----------
MRPC    8        2e-5    5         1       2       1                      1m40s
1 run would be trained, 1 at a time: about 1m40s
results.db holds finished runs of this study: 1 with uncased_L-4_H-256_A-4
"""
    assert done.stderr == (
        "not here yet, and not downloaded by a dry run: uncased_L-4_H-256_A-4.zip, MRPC (1.5 MB); the plan takes the official "
        "files for granted, but BERT_GLUE_OFFLINE forbids to download them\n")
    assert done.returncode == 0
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_dry_run_of_input_that_nothing_knows_has_nothing(call, tmp_path):
    done = call("--checkpoint", "https://127.0.0.1:1/other.zip", "--task", "SNLI", "--batch-sizes", "64", "--dry-run",
                "--workers", "1", sound=False, BERT_GLUE_CACHE=str(tmp_path / "cache"))
    assert done.stdout.splitlines()[2:] == [
        "SNLI    64       2e-5    5         0       4       4                      unknown",
        "4 runs would be trained, 1 at a time: no stored times to estimate from"]
    assert done.stderr.startswith("not here yet, and not downloaded by a dry run: other.zip, SNLI (94.6 MB); the plan takes")
    assert (done.returncode, sorted(os.listdir(tmp_path))) == (0, ["cache"])
