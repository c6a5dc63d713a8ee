"""The forms in which people have GLUE: the same rows are the same data, with one digest, wherever they come from."""
import gzip
import json
import os
import random
import shutil
from pathlib import Path

import pyarrow
import pytest
from hub_files import make_table, write_arrow, write_arrow_file, write_json_lines, write_parquet
from test_data import EXPECTED, MNLI, RTE, SNLI

from common import UserError
from common.inputs import glue
from common.inputs.layouts import find_files, find_task_folder, where_files
from common.inputs.reading import load_glue, load_tests, read_examples, read_texts
from common.studies.tasks import TASKS

PARQUET = "{}-00000-of-00001.parquet"


def where_sets(task):
    """Set -> its name on the hub, spelled out by hand for MNLI."""
    if task == "MNLI":
        return {"train": "train", "dev_matched": "validation_matched", "dev_mismatched": "validation_mismatched"}
    return {"train": "train", "dev": "validation"}


def load(task, folder):
    return load_glue(TASKS[task], folder, allow_other_rows=True)


def write_tsv(folder, task):
    """The task's rows of `EXPECTED` as GLUE's files."""
    folder.mkdir(parents=True)
    for name in where_sets(task):
        (folder / f"{name}.tsv").write_text(EXPECTED[task][0], "utf-8", newline="")
    return folder


def write_hub(folder, task, write, pattern, **options):
    """The same rows in a form of the hub; SNLI's row without a label is among them."""
    _, labels, texts = EXPECTED[task]
    if task == "SNLI":
        labels, texts = [labels[0], None, labels[1]], [texts[0], ("Two men.", "Nobody."), texts[1]]
    for split in where_sets(task).values():
        write(folder / pattern.format(split), make_table(task, labels, texts, **options))
    return folder


# -- the same rows are the same data

@pytest.mark.parametrize("task", EXPECTED)
@pytest.mark.parametrize("write, pattern", [
    (write_parquet, "{}-00000-of-00001.parquet"), (write_parquet, "data/{}-00000-of-00001.parquet"),
    (write_parquet, "plain_text/{}-00000-of-00001.parquet"), (write_parquet, "{}/0000.parquet"), (write_parquet, "{}.parquet"),
    (write_arrow, "{}/data-00000-of-00001.arrow"), (write_arrow, "1.0.0/fd8e86499fa5c264fcaad392a8f49ddf58bf4037/glue-{}.arrow"),
    (write_arrow_file, "{}.arrow"), (write_json_lines, "{}.jsonl"), (write_json_lines, "{}.json")])
def test_rows_of_the_hub_have_the_digest_of_the_tsv_files(tmp_path, task, write, pattern):
    expected = load(task, write_tsv(tmp_path / "tsv", task))
    found = load(task, write_hub(tmp_path / "hub", task, write, pattern))
    assert found.digest == expected.digest
    assert found.sets == expected.sets


@pytest.mark.parametrize("task", EXPECTED)
def test_packed_tsv_files_have_the_same_digest(tmp_path, task):
    expected = load(task, write_tsv(tmp_path / "tsv", task)).digest
    for path in (tmp_path / "tsv").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load(task, tmp_path / "tsv").digest == expected


@pytest.mark.parametrize("metadata", [True, False])
def test_labels_are_read_by_the_name_of_their_class(tmp_path, metadata):
    """The hub: 0 entailment, 1 neutral, 2 contradiction; here: 0 contradiction, 1 entailment, 2 neutral."""
    texts = [("a", "b"), ("c", "d"), ("e", "f")]
    write_parquet(tmp_path / "train.parquet", make_table("MNLI", [1, 2, 0], texts, metadata=metadata))
    table = make_table("MNLI", [1, 2, 0], texts)
    assert table["label"].to_pylist() == [0, 1, 2]
    assert read_examples(TASKS["MNLI"], tmp_path / "train.parquet").labels == [1, 2, 0]


def test_classes_in_another_order_are_taken_from_the_file(tmp_path):
    table = make_table("MNLI", [1, 2, 0], [("a", "b"), ("c", "d"), ("e", "f")],
                       classes=["contradiction", "neutral", "entailment"])
    assert table["label"].to_pylist() == [2, 1, 0]
    write_parquet(tmp_path / "train.parquet", table)
    assert read_examples(TASKS["MNLI"], tmp_path / "train.parquet").labels == [1, 2, 0]


def test_wnli_and_mrpc_keep_their_numbers(tmp_path):
    """Class 1 of WNLI is entailment, as in GLUE's file; of QNLI and RTE it is not_entailment."""
    for task, names in (("WNLI", ["not_entailment", "entailment"]), ("RTE", ["entailment", "not_entailment"])):
        path = tmp_path / f"{task}.jsonl"
        path.write_text("".join(json.dumps({"sentence1": "a", "sentence2": "b", "label": label}) + "\n"
                                for label in (0, 1, *names)))
        assert read_examples(TASKS[task], path).labels == [0, 1, 0, 1]


def test_stanfords_json_lines(tmp_path):
    rows = [{"gold_label": label, "sentence1": a, "sentence2": b, "pairID": "1", "annotator_labels": []}
            for label, a, b in (("neutral", "Two women hug.", "They sleep."), ("-", "Two men.", "Nobody."),
                                ("entailment", "A boy runs.", "A boy."))]
    for name in ("train", "dev"):
        (tmp_path / f"snli_1.0_{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load("SNLI", tmp_path).digest == load("SNLI", write_tsv(tmp_path / "tsv", "SNLI")).digest


def test_scores_have_the_decimals_of_the_tsv_file(tmp_path):
    scores = [thousandth / 1000 for thousandth in range(5001)]
    scores[:6] = [2.11111111111111, 3.77777777777778, 4.57142857142857, 2.46666666666667, 1.53333333333333, 2.33333333333333]
    for write, name in ((write_parquet, "train.parquet"), (write_json_lines, "train.jsonl")):
        write(tmp_path / name, make_table("STS-B", scores, [("a", "b")] * 5001))
        assert read_examples(TASKS["STS-B"], tmp_path / name).labels == scores


def test_files_in_parts_are_read_in_their_order(tmp_path):
    _, labels, texts = EXPECTED["MRPC"]
    for number in range(3):
        write_parquet(tmp_path / f"train-{number:05}-of-00003.parquet",
                      make_table("MRPC", labels[number:number + 1], texts[number:number + 1]))
    write_parquet(tmp_path / "validation-00000-of-00001.parquet", make_table("MRPC", labels, texts))
    assert load("MRPC", tmp_path).digest == load("MRPC", write_tsv(tmp_path / "tsv", "MRPC")).digest
    (tmp_path / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(UserError) as refusal:
        load("MRPC", tmp_path)
    assert str(refusal.value) == f"{tmp_path} has no part 00001 of the 00003 of train; fetch it again"


def test_tsv_files_come_first(tmp_path):
    write_hub(write_tsv(tmp_path / "RTE", "RTE"), "RTE", write_parquet, PARQUET)
    assert where_files(TASKS["RTE"], tmp_path / "RTE") == ["train.tsv", "dev.tsv"]


def test_the_files_of_a_run_are_named_relative_to_its_folder(tmp_path):
    write_hub(tmp_path / "mnli", "MNLI", write_parquet, "data/{}-00000-of-00001.parquet")
    for name in ("mnli/data/test_matched", "mnli/data/test_mismatched", "ax/test"):
        write_parquet(tmp_path / PARQUET.format(name), make_table("MNLI", [None], [("a", "b")]))
    names = ["data/train-00000-of-00001.parquet", "data/validation_matched-00000-of-00001.parquet",
             "data/validation_mismatched-00000-of-00001.parquet"]
    assert where_files(TASKS["MNLI"], tmp_path / "mnli") == names
    assert where_files(TASKS["MNLI"], tmp_path / "mnli", tests=True) == names + [
        "data/test_matched-00000-of-00001.parquet", "data/test_mismatched-00000-of-00001.parquet",
        "../ax/test-00000-of-00001.parquet"]
    tests = load_tests(TASKS["MNLI"], tmp_path / "mnli", allow_other_rows=True)
    assert {name: examples.texts for name, examples in tests.sets.items()} == {
        "MNLI-m.tsv": [("a", "b")], "MNLI-mm.tsv": [("a", "b")], "AX.tsv": [("a", "b")]}


@pytest.mark.parametrize("pattern", ["data/{}-00000-of-00001.parquet", "{}/data-00000-of-00001.arrow",
                                     "1.0.0/fd8e/glue-{}.arrow"])
def test_a_copy_of_the_named_files_is_read_alike(tmp_path, pattern):
    """As on a worker of a cluster, which gets these files alone."""
    write = write_parquet if pattern.endswith("parquet") else write_arrow
    folder = write_hub(tmp_path / "mnli", "MNLI", write, pattern)
    (folder / "README.md").write_text("")
    for name in where_files(TASKS["MNLI"], folder):
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / name, tmp_path / "copy" / name)
    assert load("MNLI", tmp_path / "copy").digest == load("MNLI", folder).digest


# -- folders

@pytest.mark.parametrize("task, place", [
    ("SST-2", "SST-2"), ("SST-2", "sst-2"), ("SST-2", "sst2"), ("SST-2", "glue/sst2"), ("SST-2", "nyu-mll/glue/sst2"),
    ("STS-B", "stsb"), ("STS-B", "sts-b"), ("MRPC", "mrpc"), ("SNLI", "snli"), ("SNLI", "snli_1.0"), ("SNLI", "stanfordnlp/snli"),
    ("CoLA", "COLA")])
def test_folders_of_a_task(tmp_path, task, place):
    write_tsv(tmp_path / place, task)
    assert glue.get_glue_folder(TASKS[task], str(tmp_path), tmp_path / "cache") == tmp_path / place


def test_the_folder_of_one_task_itself(tmp_path):
    write_tsv(tmp_path / "mrpc", "MRPC")
    write_hub(tmp_path / "sentences", "MRPC", write_parquet, PARQUET)
    assert find_task_folder(TASKS["MRPC"], tmp_path / "mrpc") == tmp_path / "mrpc"
    assert find_task_folder(TASKS["MRPC"], tmp_path / "sentences") == tmp_path / "sentences"
    assert find_task_folder(TASKS["RTE"], tmp_path / "mrpc") is None  # a folder called as one task is not of another


def test_folders_may_be_links_and_the_working_folder(tmp_path, monkeypatch):
    write_tsv(tmp_path / "somewhere" / "x1", "SST-2")
    (tmp_path / "glue").mkdir()
    (tmp_path / "glue" / "SST-2").symlink_to(tmp_path / "somewhere" / "x1")
    assert find_task_folder(TASKS["SST-2"], tmp_path / "glue") == tmp_path / "glue" / "SST-2"
    monkeypatch.chdir(write_tsv(tmp_path / "mrpc", "MRPC"))
    assert find_task_folder(TASKS["MRPC"], Path(".")) == Path(".")
    assert find_task_folder(TASKS["RTE"], Path(".")) is None


def test_a_folder_with_one_task_is_not_that_of_another(tmp_path):
    write_tsv(tmp_path / "glue" / "WNLI", "WNLI")
    assert find_task_folder(TASKS["RTE"], tmp_path / "glue") is None
    assert find_files(TASKS["RTE"], tmp_path / "glue", "train") == []


def test_the_folder_with_the_exact_name_and_all_sets_is_taken(tmp_path):
    for name in ("rte", "RTE"):
        write_tsv(tmp_path / name, "RTE")
    assert find_task_folder(TASKS["RTE"], tmp_path).name == "RTE"
    (tmp_path / "RTE" / "dev.tsv").unlink()
    assert find_task_folder(TASKS["RTE"], tmp_path).name == "rte"


def test_a_missing_set_is_an_error_that_names_the_forms(tmp_path):
    write_hub(tmp_path / "mnli", "MNLI", write_parquet, PARQUET)
    (tmp_path / "mnli" / "validation_mismatched-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError) as refusal:
        glue.get_glue_folder(TASKS["MNLI"], str(tmp_path), tmp_path / "cache")
    assert str(refusal.value) == (
        f"missing split dev_mismatched.tsv in {tmp_path}/mnli (complete tasks there: none); add the file (dev_mismatched.tsv, "
        "dev_mismatched.tsv.gz, validation_mismatched-*.parquet, validation_mismatched.arrow or validation_mismatched.jsonl), "
        "or leave --glue-dir out to fetch them")


# -- GLUE's own old layout of SNLI

OLD = ("index\tcaptionID\tpairID\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\t"
       "sentence2\tlabel1\t{}gold_label\n")
ROW = "{}\t4.jpg#4\t4r1n\t( a )\t( b )\t(ROOT a)\t(ROOT b)\t{}\t{}\t{}\n"
MORE = "label2\tlabel3\tlabel4\tlabel5\t"


@pytest.mark.parametrize("header", [OLD.format(""), OLD.format(MORE)], ids=["11 columns", "15 columns"])
def test_old_rows_of_snli_have_11_or_15_fields(tmp_path, header):
    """As in nyu-mll/jiant#1073: rows that five annotators have labelled have four fields more."""
    (tmp_path / "train.tsv").write_text(
        header + ROW.format(0, "Two women hug.", "They sleep.", "neutral\tneutral")
        + ROW.format(1, "Two men.", "Nobody.", "neutral\tentailment\tneutral\tentailment\tcontradiction\t-")
        + ROW.format(2, "A boy runs.", "A boy.", "neutral\tentailment\tentailment\tentailment\tentailment\tentailment"))
    examples = read_examples(TASKS["SNLI"], tmp_path / "train.tsv")
    assert (examples.labels, examples.texts) == ([2, 1], EXPECTED["SNLI"][2])


@pytest.mark.parametrize("labels, found", [("neutral\tx\tneutral", 12), ("neutral", 10),
                                           ("neutral\tx\tx\tx\tx\tx\tneutral", 16)])
def test_other_numbers_of_fields_are_refused(tmp_path, labels, found):
    (tmp_path / "train.tsv").write_text(OLD.format("") + ROW.format(0, "Two women hug.", "They sleep.", labels))
    with pytest.raises(UserError, match=rf"train\.tsv:2: expected 11 columns, found {found}"):
        read_examples(TASKS["SNLI"], tmp_path / "train.tsv")


def test_rows_of_stanfords_file_have_one_length(tmp_path):
    (tmp_path / "train.tsv").write_text(SNLI.replace("4r1n\tneutral", "4r1n\tx\tx\tx\tx\tneutral"))
    with pytest.raises(UserError, match=r"train\.tsv:2: expected 14 columns, found 18"):
        read_examples(TASKS["SNLI"], tmp_path / "train.tsv")


# -- quotes of a csv writer

HEADER = RTE.splitlines(keepends=True)[0]


def test_a_file_with_quotes_doubled_by_a_csv_writer_is_refused_or_said(tmp_path, capsys):
    path = tmp_path / "train.tsv"
    path.write_text(HEADER + '0\t"He said ""yes"" ."\tHe spoke.\tentailment\n1\tA.\t"""B"""\tentailment\n')
    with pytest.raises(UserError) as refusal:
        read_examples(TASKS["RTE"], path)
    assert str(refusal.value) == (
        f'{path}: a csv writer has doubled the quotes of this file ("He said ""yes"" ."); fetch the official file, write it '
        "without quoting, or pass --allow-other-rows to study it as it is")
    assert len(read_examples(TASKS["RTE"], path, allow_quotes=True)) == 2
    assert capsys.readouterr().err == (f'note: {path}: a csv writer has doubled the quotes of this file '
                                       '("He said ""yes"" .")\n')


@pytest.mark.parametrize("text", ['He said "yes" .', '"Yes" , he said .', '"', '""', '"He said yes ."', 'a ""b"" c'])
def test_other_quotes_are_ordinary_characters(tmp_path, text):
    path = tmp_path / "train.tsv"
    path.write_text(HEADER + f"0\t{text}\tHe spoke.\tentailment\n")
    assert read_examples(TASKS["RTE"], path).texts == [(text, "He spoke.")]


def test_the_official_file_of_qqp_has_such_quotes(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text('id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\t"What does ""so"" mean?"\tWhat?\t0\n')
    assert read_examples(TASKS["QQP"], path).texts == [('"What does ""so"" mean?"', "What?")]


# -- bad input

def refused(task, path):
    with pytest.raises(UserError) as refusal:
        read_examples(TASKS[task], path)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    return sentence.removeprefix(f"{path}")


ROWS = [("a", "b"), ("c", "d"), ("e", "f")]


@pytest.mark.parametrize("name", ["train.parquet", "train.arrow", "train.jsonl", "train.tsv.gz"])
def test_a_torn_file_is_refused(tmp_path, name):
    path = tmp_path / name
    table = make_table("MNLI", [0, 1, 2], ROWS)
    {"train.parquet": write_parquet, "train.arrow": write_arrow, "train.jsonl": write_json_lines,
     "train.tsv.gz": lambda path, _: path.write_bytes(gzip.compress(MNLI.encode()))}[name](path, table)
    whole = path.read_bytes()
    for length in range(5, len(whole) - 8, max(1, len(whole) // 30)):
        path.write_bytes(whole[:length])
        try:
            assert len(read_examples(TASKS["MNLI"], path)) in (1, 2)  # JSON lines that end at a line's end
            assert name == "train.jsonl"
        except UserError as error:
            assert "damaged" in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("name", ["train.parquet", "train.arrow", "train.jsonl", "train.json", "train.tsv.gz"])
@pytest.mark.parametrize("content, sentence", [
    (b"<!DOCTYPE html>", " is damaged or"), (b"PAR1PAR1", " is damaged or"), (b"ARROW1\0\0", " is damaged or"),
    (b"version https://git-lfs.github.com/spec/v1\n", None)])
def test_a_file_of_another_kind_is_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    lfs = " is a git-lfs pointer, not data; run `git lfs pull` where it came from"
    found = refused("MNLI", tmp_path / name)
    assert found.startswith(sentence or (" is damaged or no gzip" if name.endswith("gz") else lfs))


def test_wrong_column_names_are_refused(tmp_path):
    path = tmp_path / "train.parquet"
    write_parquet(path, pyarrow.table({"text1": ["a"], "text2": ["b"], "label": [0]}))
    assert refused("MNLI", path) == (": there is no column 'premise' (it has text1, text2, label); give the files of "
                                     "nyu-mll/glue or stanfordnlp/snli, or GLUE's own")
    write_parquet(path, pyarrow.table({"premise": ["a"], "hypothesis": ["b"]}))
    assert refused("MNLI", path).startswith(": there is no column 'label' (it has premise, hypothesis);")
    (tmp_path / "train.jsonl").write_text("")
    assert refused("MNLI", tmp_path / "train.jsonl").startswith(": there is no column 'label' (it has none);")


@pytest.mark.parametrize("label, sentence", [
    (3, ": row 2: the label must be one of 0 (entailment), 1 (neutral), 2 (contradiction), or -1 for none: '3'"),
    (-2, ": row 2: the label must be one of 0 (entailment), 1 (neutral), 2 (contradiction), or -1 for none: '-2'"),
    (0.5, ": row 2: the label must be one of 0 (entailment), 1 (neutral), 2 (contradiction), or -1 for none: '0.5'"),
    ("hidden", ": row 2: the label must be one of 0 (entailment), 1 (neutral), 2 (contradiction), or -1 for none: 'hidden'"),
    (-1, ": row 2 has no label; is this a test set?"), (None, ": row 2 has no label; is this a test set?")])
def test_a_label_out_of_range_is_refused(tmp_path, label, sentence):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"premise": "a", "hypothesis": "b", "label": each}) + "\n" for each in (0, label)))
    assert refused("MNLI", path) == sentence


@pytest.mark.parametrize("score", [5.5, -1.0, float("nan"), "high", None, 10 ** 400])
def test_a_score_out_of_range_is_refused(tmp_path, score):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"sentence1": "a", "sentence2": "b", "label": score}) + "\n")
    assert refused("STS-B", path).startswith(": row 1: the score must be a number from 0 to 5: '")


def test_classes_of_another_data_set_are_refused(tmp_path):
    path = tmp_path / "train.parquet"
    write_parquet(path, make_table("RTE", [0, 1], ROWS[:2]).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["no", "yes"]}}}})}))
    assert refused("RTE", path) == (": its classes are no, yes, but those of RTE are entailment, not_entailment; is this another "
                                    "data set?")


def test_a_row_without_text_is_refused(tmp_path):
    path = tmp_path / "train.parquet"
    write_parquet(path, pyarrow.table({"sentence1": ["a", None], "sentence2": ["b", "c"], "label": [0, 1]}))
    assert refused("MRPC", path) == ": row 2 has no text; fetch the file again"


def test_json_lines_with_changing_keys_are_refused(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"premise": "a", "hypothesis": "b", "label": 0}\n{"premise": "a", "label": 0}\n')
    assert refused("MNLI", path) == ": row 2 is no JSON object with the keys of the first; fetch or copy the file again"


def test_a_parquet_file_with_a_wrong_byte_is_refused_or_has_the_rows_of_some_file(tmp_path):
    """Never a traceback. Whether the rows are the official ones, their digest says."""
    path = tmp_path / "train.parquet"
    write_parquet(path, make_table("MRPC", [0, 1, 1], ROWS))
    good, chance = path.read_bytes(), random.Random(0)
    refusals = 0
    for _ in range(300):
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        try:
            assert len(read_examples(TASKS["MRPC"], path)) <= 3
        except UserError:
            refusals += 1
    assert refusals > 30


# -- real rows

@pytest.fixture(scope="module")
def real():
    folder = os.environ.get("BERT_GLUE_TEST_DATA")
    if not folder:
        pytest.skip("BERT_GLUE_TEST_DATA names no folder with glue_data/")
    return Path(folder) / "glue_data"


@pytest.mark.parametrize("task", ["CoLA", "SST-2", "MRPC", "STS-B", "RTE", "WNLI"])
def test_the_official_rows_have_their_digest_in_every_form(real, tmp_path, task):
    official = load_glue(TASKS[task], real / task)
    assert official.digest == TASKS[task].digest
    for name, examples in official.sets.items():
        table = make_table(task, examples.labels, examples.texts)
        split = where_sets(task)[name]
        write_parquet(tmp_path / "parquet" / f"{split}-00000-of-00001.parquet", table)
        write_arrow(tmp_path / "arrow" / split / "data-00000-of-00001.arrow", table)
        write_json_lines(tmp_path / "json" / f"{split}.jsonl", table)
        (tmp_path / "packed").mkdir(exist_ok=True)
        (tmp_path / "packed" / f"{name}.tsv.gz").write_bytes(gzip.compress((real / task / f"{name}.tsv").read_bytes(), 1))
    for form in ("parquet", "arrow", "json", "packed"):
        assert load_glue(TASKS[task], tmp_path / form).digest == official.digest
    texts = read_texts(TASKS[task], real / task / "test.tsv")
    write_parquet(tmp_path / "parquet" / "test-00000-of-00001.parquet",
                  make_table(task, [0.0 if task == "STS-B" else None] * len(texts), texts))
    from_parquet, from_tsv = (load_tests(TASKS[task], folder) for folder in (tmp_path / "parquet", real / task))
    assert from_parquet.digest == from_tsv.digest


def test_mrpc_quoted_by_a_csv_writer_is_not_official(real, tmp_path):
    """3,668 rows, 769 of them changed."""
    import pandas

    shutil.copytree(real / "MRPC", tmp_path / "MRPC", copy_function=shutil.copy)
    frame = pandas.read_csv(real / "MRPC" / "train.tsv", sep="\t", quoting=3, dtype=str, keep_default_na=False)
    (tmp_path / "MRPC" / "train.tsv").unlink()
    frame.to_csv(tmp_path / "MRPC" / "train.tsv", sep="\t", index=False)
    with pytest.raises(UserError, match="a csv writer has doubled the quotes of this file"):
        load_glue(TASKS["MRPC"], tmp_path / "MRPC")
    data = load_glue(TASKS["MRPC"], tmp_path / "MRPC", allow_other_rows=True)
    official = load_glue(TASKS["MRPC"], real / "MRPC")
    assert len(data.sets["train"]) == 3668 and data.digest != official.digest
    assert sum(ours != theirs for ours, theirs in zip(data.sets["train"].texts, official.sets["train"].texts,
                                                      strict=True)) == 769
