"""From the bytes of GLUE files to rows, splits and batches: nothing is lost, and what is wrong is named."""
import dataclasses
import random
import threading
from collections import Counter

import numpy as np
import pytest

from common import UserError, files
from common.inputs.batches import by_length, epoch_order, seed_of, split, training_batches
from common.inputs.reading import GlueData, load_glue, read_examples
from common.inputs.tokens import Encoding, Tokens, get_tokens, truncate
from common.studies.tasks import TASKS

MRPC_HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
MRPC = ("\ufeff" + MRPC_HEADER
        + '1\t702876\t702977\tAmrozi accused his brother , whom he called " the witness " .\tReferring to him as only '
          '" the .\n'
        + "0\t2108705\t2108831\tYucaipa owned Dominick 's .\tNA\n"
        + '1\t1\t2\t"\tnull\n')
COLA = "gj04\t1\t\tOur friends won't buy this analysis.\ngj04\t0\t*\tThe the \"box\n"
SST2 = "sentence\tlabel\nhide new secretions \t0\ncontains no wit \t1\n"
QQP = ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
       "1\t2\t3\tHow is it?\tHow's it?\t1\n"
       "4\t5\t6\tWhy is there\n"
       "a break?\tWhy?\t0\n"
       "7\t8\t9\tWhen?\t\t0\n")
STSB = ("index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA plane is taking off.\tAn air plane is taking "
        "off.\t5.000\n"
        "1\tmain-news\tMSRvid\t2012test\t0004\tnone\tnone\tA man plays.\tA man eats.\t0\n"
        "2\tmain-news\tMSRvid\t2012test\t0005\tnone\tnone\tA dog.\tA cat.\t3.800\n")
MNLI_HEADER = ("index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
               "sentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label\n")
MNLI = (MNLI_HEADER
        + "0\t31193\t31193n\tgovernment\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tConceptually it is.\tIt "
          "has.\tneutral\tneutral\n"
        + "1\t1\t1e\ttelephone\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tyou know\tYou lose.\tentailment\tentailment\n"
        + "2\t2\t2c\tfiction\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tOne.\tNone.\tneutral\tcontradiction\n")
SNLI = ("gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\t"
        "sentence2\tcaptionID\tpairID\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\n"
        "neutral\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tTwo women hug.\tThey "
        "sleep.\t4.jpg#4\t4r1n\tneutral\tentailment\t\t\t\n"
        "-\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tTwo men.\tNobody.\t5.jpg#4\t5r1n\tneutral\tentailment\t\t\t\n"
        "entailment\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tA boy runs.\tA boy.\t6.jpg#4\t6r1e\tentailment\t\t\t\t\n")
QNLI = ("index\tquestion\tsentence\tlabel\n0\tWhen did it end?\tIt ended in 1872.\tentailment\n"
        "1\tWho?\tNobody \"knows.\tnot_entailment\n")
RTE = ("index\tsentence1\tsentence2\tlabel\n0\tNo weapons found.\tWeapons found.\tnot_entailment\n"
       "1\tA b.\tA.\tentailment\n")
WNLI = "index\tsentence1\tsentence2\tlabel\n0\tI stuck a pin.\tThe carrot had a hole.\t1\n1\tJohn.\tBilly.\t0\n"

EXPECTED = {
    "MRPC": (MRPC, [1, 0, 1], [('Amrozi accused his brother , whom he called " the witness " .',
                                'Referring to him as only " the .'),
                               ("Yucaipa owned Dominick 's .", "NA"), ('"', "null")]),
    "CoLA": (COLA, [1, 0], [("Our friends won't buy this analysis.",), ('The the "box',)]),
    "SST-2": (SST2, [0, 1], [("hide new secretions ",), ("contains no wit ",)]),
    "QQP": (QQP, [1, 0], [("How is it?", "How's it?"), ("When?", "")]),
    "STS-B": (STSB, [5.0, 0.0, 3.8], [("A plane is taking off.", "An air plane is taking off."),
                                      ("A man plays.", "A man eats."), ("A dog.", "A cat.")]),
    "MNLI": (MNLI, [2, 1, 0], [("Conceptually it is.", "It has."), ("you know", "You lose."), ("One.", "None.")]),
    "SNLI": (SNLI, [2, 1], [("Two women hug.", "They sleep."), ("A boy runs.", "A boy.")]),
    "QNLI": (QNLI, [0, 1], [("When did it end?", "It ended in 1872."), ("Who?", 'Nobody "knows.')]),
    "RTE": (RTE, [1, 0], [("No weapons found.", "Weapons found."), ("A b.", "A.")]),
    "WNLI": (WNLI, [1, 0], [("I stuck a pin.", "The carrot had a hole."), ("John.", "Billy.")]),
}


def read(folder, task, content):
    path = folder / "train.tsv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_examples(TASKS[task], path)


# -- reading

@pytest.mark.parametrize("task", EXPECTED)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["with a last line end", "without"])
def test_every_format_is_read_to_the_letter(tmp_path, task, line_end, last):
    content, labels, texts = EXPECTED[task]
    content = content.replace("\n", line_end)
    examples = read(tmp_path, task, content if last != "without" else content.removesuffix(line_end))
    assert (examples.labels, examples.texts) == (labels, texts)


def test_all_tasks_have_an_example_here():
    assert list(EXPECTED) == ["MRPC", "CoLA", "SST-2", "QQP", "STS-B", "MNLI", "SNLI", "QNLI", "RTE", "WNLI"]


def test_a_byte_order_mark_is_no_part_of_the_first_field(tmp_path):
    assert read(tmp_path, "CoLA", "\ufeff" + COLA).labels == [1, 0]
    assert read(tmp_path, "MRPC", MRPC.removeprefix("\ufeff")).labels == [1, 0, 1]


def test_only_tabs_and_newlines_divide(tmp_path):
    tricky = 'a\u2028b\u2029c\x0bd\x0ce\x1cf\x85g\rh"i'
    assert read(tmp_path, "SST-2", f"sentence\tlabel\n{tricky}\t1\n{tricky}\t0\n").texts == [(tricky,), (tricky,)]


def test_columns_are_found_by_name_wherever_they_stand(tmp_path):
    examples = read(tmp_path, "RTE", "label\tx\tsentence2\tsentence1\nentailment\t7\tsecond\tfirst\n")
    assert (examples.labels, examples.texts) == ([0], [("first", "second")])


MALFORMED = [
    ("MRPC", MRPC_HEADER + "1\t1\t2\ta\tb\textra\n", ":2: expected 5 columns, found 6: '1\\t1\\t2\\ta\\tb\\textra'"),
    ("MRPC", MRPC_HEADER + "1\t1\t2\ta\tb\n0\t1\t2\tonly\n", ":3: expected 5 columns, found 4: '0\\t1\\t2\\tonly'"),
    ("MRPC", MRPC_HEADER + "1\t1\t2\ta\tb\n\n", ":3: expected 5 columns, found 1: ''"),
    ("MRPC", MRPC_HEADER + "2\t1\t2\ta\tb\n", ":2: the label must be one of 0, 1: '2'"),
    ("MRPC", MRPC_HEADER + "\t1\t2\ta\tb\n", ":2: the label must be one of 0, 1: ''"),
    ("MRPC", MRPC_HEADER + "1 \t1\t2\ta\tb\n", ":2: the label must be one of 0, 1: '1 '"),
    ("MRPC", SST2, ":1: the header has no column 'Quality'; is this the MRPC file of GLUE?"),
    ("MRPC", MRPC_HEADER.replace("#2 String", "#2 Text") + "1\t1\t2\ta\tb\n",
     ":1: the header has no column '#2 String'; is this the MRPC file of GLUE?"),
    ("MRPC", "", ":1: the header has no column 'Quality'; is this the MRPC file of GLUE?"),
    ("MRPC", MRPC_HEADER, " holds no labelled rows; fetch it again"),
    ("CoLA", "", " holds no labelled rows; fetch it again"),
    ("CoLA", "index\tsentence\n0\tBill whistled.\n", ":1: expected 4 columns, found 2: 'index\\tsentence'"),
    ("CoLA", "gj04\t-1\t\tA.\n", ":1: the label must be one of 0, 1: '-1'"),
    ("MNLI", MNLI.replace("\tcontradiction\n", "\thidden\n"),
     ":4: the label must be one of contradiction, entailment, neutral: 'hidden'"),
    ("MNLI", MNLI.replace("\tcontradiction\n", "\t-\n"),
     ":4: the label must be one of contradiction, entailment, neutral: '-'"),
    ("RTE", RTE.replace("\tentailment\n", "\tENTAILMENT\n"),
     ":3: the label must be one of entailment, not_entailment: 'ENTAILMENT'"),
    ("QQP", QQP.replace("When?\t\t0", "When?\t\t0\t1"),
     ":5: expected 6 columns, found 7: '7\\t8\\t9\\tWhen?\\t\\t0\\t1'"),
    ("QQP", QQP.replace("When?\t\t0", "When?\t\tno"), ":5: the label must be one of 0, 1: 'no'"),
    *(("STS-B", STSB.replace("5.000", score), f":2: the score must be a number from 0 to 5: '{score}'")
      for score in ("6", "5.001", "-0.1", "nan", "inf", "", "five")),
    ("SST-2", b"sentence\tlabel\ngood\t1\nclich\xe9s\t0\n", ":3: not UTF-8 (byte 0xe9); convert the file"),
    ("SST-2", SST2.encode("utf-16"), ":1: not UTF-8 (byte 0xff); convert the file"),
    ("SST-2", "sentence\tlabel\ngo\0od\t1\n", ":2: holds a NUL character; fetch the file again"),
    ("SST-2", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
     " is a git-lfs pointer, not data; run `git lfs pull` where it came from"),
    ("SST-2", "<!DOCTYPE html>\n<html>\n", ":1: the header has no column 'label'; is this the SST-2 file of GLUE?"),
]


@pytest.mark.parametrize("task, content, sentence", MALFORMED)
def test_malformed_files_are_refused_with_file_line_and_reason(tmp_path, task, content, sentence):
    with pytest.raises(UserError) as refusal:
        read(tmp_path, task, content)
    assert str(refusal.value) == f"{tmp_path}/train.tsv{sentence}"


def test_a_long_bad_line_is_shown_in_part(tmp_path):
    with pytest.raises(UserError) as refusal:
        read(tmp_path, "SST-2", "sentence\tlabel\n" + "x" * 1_000_000 + "\n")
    assert str(refusal.value) == f"{tmp_path}/train.tsv:2: expected 2 columns, found 1: '{'x' * 80}'"


def test_an_unreadable_file_is_no_traceback(tmp_path):
    (tmp_path / "train.tsv").symlink_to("/proc/self/mem")  # reading it fails, even for root
    with pytest.raises(UserError,
                       match=r"train\.tsv cannot be read \(.+\); fix that or give another folder with --glue-dir"):
        read_examples(TASKS["SST-2"], tmp_path / "train.tsv")


# -- loading a task

def write_task(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.tsv").write_text(content, "utf-8", newline="")
    return folder


def test_a_task_is_its_training_and_evaluation_files(tmp_path):
    write_task(tmp_path, train=MRPC, dev=MRPC_HEADER + "0\t1\t2\ta\tb\n")
    loaded = load_glue(TASKS["MRPC"], tmp_path, allow_other_rows=True)
    assert {name: len(examples) for name, examples in loaded.sets.items()} == {"train": 3, "dev": 1}
    assert loaded.rows() == [
        {"digest": loaded.digest, "set_name": "train", "task": "MRPC", "row_count": 3, "official_rows": 3668,
         "majority": 2 / 3},
        {"digest": loaded.digest, "set_name": "dev", "task": "MRPC", "row_count": 1, "official_rows": 408,
         "majority": 1.0}]


def test_mnli_has_two_evaluation_sets(tmp_path):
    header, first, *rest = MNLI.splitlines(keepends=True)
    write_task(tmp_path, train=MNLI, dev_matched=header + first, dev_mismatched=header + "".join(rest))
    loaded = load_glue(TASKS["MNLI"], tmp_path, allow_other_rows=True)
    assert {name: examples.labels for name, examples in loaded.sets.items()} == {
        "train": [2, 1, 0], "dev_matched": [2], "dev_mismatched": [1, 0]}


def test_a_regression_has_no_majority(tmp_path):
    write_task(tmp_path, train=STSB, dev=STSB)
    assert [row["majority"] for row in load_glue(TASKS["STS-B"], tmp_path, allow_other_rows=True).rows()] == [
        None, None]


def test_snli_is_found_under_its_published_file_names(tmp_path):
    (tmp_path / "snli_1.0_train.txt").write_text(SNLI)
    (tmp_path / "snli_1.0_dev.txt").write_text(SNLI)
    assert load_glue(TASKS["SNLI"], tmp_path, allow_other_rows=True).sets["dev"].labels == [2, 1]


def test_another_number_of_rows_is_refused_unless_allowed(tmp_path):
    write_task(tmp_path, train=WNLI, dev=WNLI)
    with pytest.raises(UserError) as refusal:
        load_glue(TASKS["WNLI"], tmp_path)
    assert str(refusal.value) == (f"{tmp_path}/train.tsv has 2 rows where the official file has 635; fetch it again, "
                                  "or pass --allow-other-rows to study other data")


def test_one_row_too_few_in_the_evaluation_set_is_refused(tmp_path):
    header = "index\tsentence1\tsentence2\tlabel\n"
    write_task(tmp_path, train=header + 635 * "0\ta\tb\t1\n", dev=header + 70 * "0\ta\tb\t1\n")
    with pytest.raises(UserError, match=r"dev\.tsv has 70 rows where the official file has 71"):
        load_glue(TASKS["WNLI"], tmp_path)
    write_task(tmp_path, dev=header + 71 * "0\ta\tb\t1\n")
    unpinned = dataclasses.replace(TASKS["WNLI"], digest=None)
    assert len(load_glue(unpinned, tmp_path).sets["dev"]) == 71


def test_as_many_rows_as_the_official_ones_are_not_enough_where_their_digest_is_known(tmp_path):
    header = "index\tsentence1\tsentence2\tlabel\n"
    write_task(tmp_path, train=header + 635 * "0\ta\tb\t1\n", dev=header + 71 * "0\ta\tb\t1\n")
    with pytest.raises(UserError) as refusal:
        load_glue(TASKS["WNLI"], tmp_path)
    assert str(refusal.value) == (f"the files in {tmp_path} have as many rows as the official ones of WNLI, but not the same "
                                  "rows; fetch them again, or pass --allow-other-rows to study other data")
    assert len(load_glue(TASKS["WNLI"], tmp_path, allow_other_rows=True).sets["dev"]) == 71


def test_a_missing_split_is_named(tmp_path):
    write_task(tmp_path, train=MNLI, dev_matched=MNLI)
    with pytest.raises(UserError) as refusal:
        load_glue(TASKS["MNLI"], tmp_path, allow_other_rows=True)
    assert str(refusal.value) == (f"MNLI has no dev_mismatched.tsv in {tmp_path}; add the file (dev_mismatched.tsv, "
                                  "dev_mismatched.tsv.gz, validation_mismatched-*.parquet, validation_mismatched.arrow or "
                                  "validation_mismatched.jsonl) or give another folder with --glue-dir")


def test_the_digest_is_that_of_the_rows_and_not_of_the_files(tmp_path):
    def digest(train, dev=WNLI):
        return load_glue(TASKS["WNLI"], write_task(tmp_path, train=train, dev=dev), allow_other_rows=True).digest

    first = digest(WNLI)
    # sha256sum of the lines: WNLI, train 2, 1<tab>I stuck a pin.<tab>The carrot had a hole., 0<tab>John.<tab>Billy.,
    # an empty one, dev 2, and the same two rows
    assert first == "cb8e08c5cba698ab4dff5e6b907ff3ef4b529ced98492dc48735dbaedcf5e626"
    assert digest("\ufeff" + WNLI.replace("\n", "\r\n")) == first
    changed = [digest(WNLI.replace("pin", "nail")), digest(WNLI.replace("\t1\n", "\t0\n")),
               digest(WNLI, dev=RTE_AS_WNLI),
               digest(WNLI.replace("John.\tBilly.", "John. \tBilly.")),
               digest("\n".join([*WNLI.splitlines()[:1], *WNLI.splitlines()[:0:-1], ""]))]
    assert len({first, *changed}) == 6


RTE_AS_WNLI = WNLI.replace("John", "Joan")


# -- fuzz

def mutate(rng, content: bytes) -> bytes:
    """The content with one byte added, lost or changed, or a tab or line end changed."""
    place = rng.randrange(len(content) + 1)
    kind = rng.randrange(4)
    if kind == 0:
        return content[:place] + rng.choice([b"\t", b"\n", b'"', b"'", b"\r", b"\0", b"\xe2\x80\xa8", b"\x85", b"\x0b",
                                             b"\xff", b"\x1c", b"\xef\xbb\xbf", b" ", b"0", b"\t\t"]) + content[place:]
    if kind == 1:
        return content[:place] + content[place + 1:]
    if kind == 2:
        return content[:place] + bytes([rng.randrange(256)]) + content[place + 1:]
    tabs = [number for number, byte in enumerate(content) if byte in b"\t\n"]
    place = rng.choice(tabs)
    return content[:place] + rng.choice([b"", b"\n", b" ", b"\t"]) + content[place + 1:]


@pytest.mark.parametrize("task", [task for task in EXPECTED if not TASKS[task].skip_broken])
def test_a_file_damaged_in_one_place_is_refused_or_keeps_its_rows(tmp_path, task):
    """Two places can make one row of two (a lost tab and a lost line end): the official row count is there for that."""
    content, labels, _ = EXPECTED[task]
    content += 2 * content[0 if task == "CoLA" else content.index("\n") + 1:]
    rng = random.Random(task)
    outcomes = Counter()
    for _ in range(560):  # more than 5,000 in all
        try:
            outcomes[len(read(tmp_path, task, mutate(rng, content.encode())))] += 1
        except UserError as error:
            assert str(error).startswith(f"{tmp_path}/train.tsv") and "\n" not in str(error)
            outcomes["refused"] += 1
    assert set(outcomes) == {3 * len(labels), "refused"}
    assert min(outcomes.values()) > 50


# -- tokens

@pytest.mark.parametrize("pieces, room, kept", [
    ([[1, 2, 3, 4, 5], [6, 7, 8]], 8, [[1, 2, 3, 4, 5], [6, 7, 8]]),
    ([[1, 2, 3, 4, 5], [6, 7, 8]], 7, [[1, 2, 3, 4], [6, 7, 8]]),
    ([[1, 2, 3, 4, 5], [6, 7, 8]], 6, [[1, 2, 3], [6, 7, 8]]),
    ([[1, 2, 3, 4, 5], [6, 7, 8]], 5, [[1, 2, 3], [6, 7]]),
    ([[1, 2, 3, 4, 5], [6, 7, 8]], 4, [[1, 2], [6, 7]]),
    ([[1], [2, 3, 4, 5]], 2, [[1], [2]]),
    ([[], [2, 3, 4, 5]], 3, [[], [2, 3, 4]]),
    ([[1, 2, 3, 4]], 3, [[1, 2, 3]]),
])
def test_truncation_takes_from_the_end_of_the_longest(pieces, room, kept):
    truncate(pieces, room)
    assert pieces == kept


ROWS = Tokens(ids=np.array([101, 7, 102, 101, 8, 9, 102, 5, 102, 101, 6, 102, 4, 4, 102], np.int32),
              ends=np.array([0, 3, 9, 15]), firsts=np.array([3, 4, 3], np.int32), labels=np.array([1, 0, 1], np.int32))


def test_a_batch_is_padded_to_its_longest_row():
    batch = ROWS.batch(np.array([1, 0]))
    assert batch.ids.tolist() == [[101, 8, 9, 102, 5, 102], [101, 7, 102, 0, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]]
    assert batch.types.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]
    assert batch.labels.tolist() == [0, 1]
    assert {array.dtype for array in vars(batch).values()} == {np.dtype("int32")}


def test_a_batch_of_one_short_row_has_no_padding():
    batch = ROWS.batch(np.array([0]))
    assert (batch.ids.tolist(), batch.mask.tolist(), batch.types.tolist()) == ([[101, 7, 102]], [[1, 1, 1]],
                                                                               [[0, 0, 0]])


def test_lengths():
    assert len(ROWS) == 3
    assert ROWS.lengths.tolist() == [3, 6, 6]


@pytest.fixture
def encoder(monkeypatch):
    """A stand-in for the tokenizer: one id for each letter. Counts how often it is called."""
    calls = []

    def encode(texts, encoding):
        calls.append(encoding.max_length)
        rows = [[2, *(ord(letter) for text in row for letter in text), 3] for row in texts]
        return rows, [2 + len(row[0]) for row in texts]

    monkeypatch.setattr("common.inputs.tokens.encode_texts", encode)
    return calls


def get_wnli(tmp_path, train=WNLI, vocabulary="[PAD]\na\n", max_length=128):
    (tmp_path / "vocab.txt").write_text(vocabulary)
    loaded = load_glue(TASKS["WNLI"], write_task(tmp_path, train=train, dev=WNLI), allow_other_rows=True)
    return get_tokens(loaded, Encoding(tmp_path / "vocab.txt", max_length), tmp_path / "cache")


def test_tokens_are_made_once_and_then_read_from_the_cache(tmp_path, encoder):
    first, second = get_wnli(tmp_path), get_wnli(tmp_path)
    assert encoder == [128, 128]  # one call for each set
    assert list(first) == list(second) == ["train", "dev"]
    for array in ("ids", "ends", "firsts", "labels"):
        assert np.array_equal(getattr(first["train"], array), getattr(second["train"], array))
    assert second["train"].labels.tolist() == [1, 0]
    assert second["train"].ends.tolist() == [0, 38, 51]
    assert second["train"].ids[38:].tolist() == [2, *map(ord, "John.Billy."), 3]


@pytest.mark.parametrize("change", [{"train": RTE_AS_WNLI}, {"vocabulary": "[PAD]\nb\n"}, {"max_length": 64}])
def test_other_data_vocabulary_or_length_is_another_cache_entry(tmp_path, encoder, change):
    get_wnli(tmp_path)
    get_wnli(tmp_path, **change)
    assert len(encoder) == 4
    assert len(list((tmp_path / "cache" / "tokens").iterdir())) == 2


def test_an_interrupted_write_leaves_no_cache_entry(tmp_path, encoder, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left"):
        patch.setattr(files.os, "fsync", fail)
        get_wnli(tmp_path)
    assert list((tmp_path / "cache" / "tokens").iterdir()) == []
    assert len(get_wnli(tmp_path)["train"]) == 2


def test_two_at_once_make_the_tokens_once(tmp_path, encoder):
    get = GlueData(TASKS["WNLI"], {"dev": read(tmp_path, "WNLI", WNLI)}, "digest")
    (tmp_path / "vocab.txt").write_text("a\n")
    given = (get, Encoding(tmp_path / "vocab.txt", 128), tmp_path / "cache")
    threads = [threading.Thread(target=get_tokens, args=given) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert encoder == [128]


# -- split and order

def test_seeds_are_pinned():
    assert seed_of("split", 0) == 0xffa695ab  # printf "('split', 0)" | sha256sum
    assert seed_of("order", 7, 0) == 0xb477c4f5


def test_the_split_of_mrpc_is_pinned():
    training, validation = split(3668, 0.05, 0)
    assert (len(training), len(validation)) == (3485, 183)
    assert sorted([*training, *validation]) == list(range(3668))
    assert training[:6].tolist() == [421, 2776, 62, 934, 1694, 1854]
    assert validation[:4].tolist() == [2114, 3309, 1383, 2062]
    assert split(3668, 0.05, 1)[0][:6].tolist() != training[:6].tolist()


@pytest.mark.parametrize("rows, validation, sizes", [(2, 0.05, (1, 1)), (10, 0.05, (9, 1)), (635, 0.05, (603, 32)),
                                                     (2490, 0.05, (2366, 124)), (3, 0.99, (1, 2))])
def test_split_sizes(rows, validation, sizes):
    assert tuple(map(len, split(rows, validation, 0))) == sizes


def test_a_single_row_cannot_be_split():
    with pytest.raises(UserError, match="a single training row cannot be split"):
        split(1, 0.05, 0)


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    rows = np.arange(10, 20)
    assert epoch_order(rows, 7, 0).tolist() == [17, 18, 19, 12, 10, 16, 14, 13, 11, 15]
    np.random.seed(1)
    assert epoch_order(rows, 7, 0).tolist() == [17, 18, 19, 12, 10, 16, 14, 13, 11, 15]
    assert epoch_order(rows, 7, 1).tolist() == [16, 17, 11, 14, 18, 12, 19, 10, 13, 15]
    assert epoch_order(rows, 8, 0).tolist() == [10, 19, 15, 16, 12, 11, 17, 14, 13, 18]
    assert rows.tolist() == list(range(10, 20))


def test_training_batches_drop_the_remainder_of_each_epoch():
    batches = [batch.tolist() for batch in training_batches(np.arange(7), 3, 5, 1)]
    assert batches == [[5, 2, 6], [3, 0, 4], [6, 5, 1], [4, 3, 0], [4, 1, 5]]


def test_training_batches_are_as_many_as_asked_for_even_within_an_epoch():
    assert len(list(training_batches(np.arange(100), 10, 3, 0))) == 3
    epoch = [row for batch in training_batches(np.arange(100), 10, 10, 0) for row in batch]
    assert sorted(epoch) == list(range(100))


def test_pieces_by_length_are_pinned():
    lengths = np.array([5, 100, 90, 300, 7, 6, 640, 5000, 1])
    assert [piece.tolist() for piece in by_length(np.arange(9), lengths)] == [[7], [6], [3, 1], [2, 4, 5, 0, 8]]
    assert [piece.tolist() for piece in by_length(np.array([8, 3]), lengths, tokens=300)] == [[3], [8]]


def test_pieces_by_length_hold_every_row_once():
    rng = np.random.RandomState(0)
    for _ in range(200):
        lengths = rng.randint(2, 129, size=200)
        rows = rng.permutation(200)[:rng.randint(1, 200)]
        pieces = list(by_length(rows, lengths))
        assert sorted(np.concatenate(pieces)) == sorted(rows)
        assert all(len(piece) * lengths[piece].max() <= 960 or len(piece) == 1 for piece in pieces)
