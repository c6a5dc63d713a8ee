"""Token ids equal those of Google's FullTokenizer (google-research/bert, tokenization.py), on tempting text."""
import os
from pathlib import Path

import pytest

from common.inputs.reading import load_glue
from common.inputs.tokens import Encoding, encode_texts, get_tokens
from common.studies.tasks import TASKS

pytestmark = pytest.mark.tensorflow

UNCASED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cafe", "naive", "中", "国", "1", "2", "1⁄2", "un", "##aff",
           "##able", "[", "]", "mask", "'", "hello", "##s", "i", "½", "uber", "$", ".", ",", "²", "straße", "ı"]
UNK, CLS, SEP = 1, 2, 3
CAFE, NAIVE, ZHONG, GUO, ONE, TWO = 5, 6, 7, 8, 9, 10
UN, AFF, ABLE, OPEN, CLOSE, MASK, QUOTE, HELLO, S, LETTER_I, HALF, UBER = 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23
DOLLAR, DOT, COMMA, SQUARED, STRASSE = 24, 25, 26, 27, 28


@pytest.fixture
def encode(tmp_path):
    def encode(*texts, words=UNCASED, max_length=128):
        (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
        return encode_texts(list(texts), Encoding(tmp_path / "vocab.txt", max_length))
    return encode


@pytest.mark.parametrize("text, ids", [
    ("", []),
    (" \t\r\n\u3000", []),
    ("hello hellos", [HELLO, HELLO, S]),
    ("UNaffABLE", [UN, AFF, ABLE]),
    ("Café naïve", [CAFE, NAIVE]),
    ("cafe\u0301", [CAFE]),
    ("Über", [UBER]),
    ("Straße", [STRASSE]),
    ("İ", [LETTER_I]),  # lowers to i and a combining dot, which is stripped like an accent
    ("中国hello", [ZHONG, GUO, HELLO]),
    ("\U00020000", [UNK]),
    ("½", [HALF]),  # stays one character: FullTokenizer decomposes by NFD, not by NFKD
    ("1½", [UNK]),
    ("²", [SQUARED]),
    ("un\0aff\u200bable", [UN, AFF, ABLE]),  # NUL and invisible characters vanish
    ("un\u00adaffable \u202a\ufffdhello", [UN, AFF, ABLE, HELLO]),
    ("hello\u00a0hello\u2028hello", [HELLO, HELLO, HELLO]),
    ("hello\x85s", [HELLO, S]),  # a control character, no space
    ("hello\x1cs un\u3000aff\tcafe  hello\x1c s", [HELLO, S, UN, UNK, CAFE, HELLO, UNK]),  # words that come twice
    ("[MASK] mask", [OPEN, MASK, CLOSE, MASK]),  # typed in a text it is no mask
    ("[SEP]", [OPEN, UNK, CLOSE]),
    ("$1.2,2", [DOLLAR, ONE, DOT, TWO, COMMA, TWO]),
    ("i's", [LETTER_I, QUOTE, UNK]),
    ("a" * 201, [UNK]),
    ("hello" + "s" * 95, [HELLO] + [S] * 95),
    ("hello" + "s" * 196, [UNK]),  # a word of more than 200 characters is not divided
    ("😀 hello", [UNK, HELLO]),
])
def test_tricky_text(encode, text, ids):
    assert encode((text,)) == ([[CLS, *ids, SEP]], [len(ids) + 2])


def test_pairs(encode):
    assert encode(("hello", "un mask"), ("", "i"), ("i", "")) == (
        [[CLS, HELLO, SEP, UN, MASK, SEP], [CLS, SEP, LETTER_I, SEP], [CLS, LETTER_I, SEP, SEP]], [3, 2, 3])


def test_long_pairs_are_truncated_longest_first(encode):
    rows, firsts = encode(("1 2 1 2 1 2 1 2", "i ,"), ("1 2 1 2 1", "i , i , i"), max_length=9)
    assert rows == [[CLS, ONE, TWO, ONE, TWO, SEP, LETTER_I, COMMA, SEP],
                    [CLS, ONE, TWO, ONE, SEP, LETTER_I, COMMA, LETTER_I, SEP]]
    assert firsts == [6, 5]


def test_long_single_texts_are_truncated(encode):
    assert encode(("1 2 1 2 1 2 1 2",), max_length=8) == ([[CLS, ONE, TWO, ONE, TWO, ONE, TWO, SEP]], [8])


def test_a_cased_vocabulary_keeps_case_and_accents(encode):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Hello", "hello", "café", "cafe"]
    assert encode(("Hello hello HELLO café Cafe",), words=words) == ([[2, 4, 5, 1, 6, 1, 3]], [7])


def test_the_names_of_special_tokens_make_no_vocabulary_cased(encode):
    assert encode(("HELLO",), words=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[unused0]", "hello"]) == ([[2, 5, 3]], [3])


def test_the_tokenizer_works_once_for_a_set(tmp_path, monkeypatch):
    (tmp_path / "vocab.txt").write_text("\n".join(UNCASED) + "\n", "utf-8")
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("sentence\tlabel\nhello hellos\t1\n\t0\nCafé\t1\n", "utf-8")
    data = load_glue(TASKS["SST-2"], tmp_path, allow_other_rows=True)
    first = get_tokens(data, Encoding(tmp_path / "vocab.txt", 128), tmp_path / "cache")["dev"]
    monkeypatch.setattr("common.inputs.tokens.Tokenizer", None)
    again = get_tokens(data, Encoding(tmp_path / "vocab.txt", 128), tmp_path / "cache")["dev"]
    for tokens in (first, again):
        assert tokens.ids.tolist() == [CLS, HELLO, HELLO, S, SEP, CLS, SEP, CLS, CAFE, SEP]
        assert tokens.ends.tolist() == [0, 5, 7, 10]
        assert tokens.firsts.tolist() == [5, 2, 3]
        assert tokens.labels.tolist() == [1, 0, 1]
        assert [str(array.dtype) for array in vars(tokens).values()] == ["int32", "int64", "int32", "int32"]


def test_words_that_come_again_are_encoded_once(encode, monkeypatch):
    from common.inputs.tokens import Tokenizer

    seen, encode_whole = [], Tokenizer.encode_whole
    monkeypatch.setattr(Tokenizer, "encode_whole", lambda self, text: seen.append(text) or encode_whole(self, text))
    assert encode(("hello un", "un hello"))[0] == [[CLS, HELLO, UN, SEP, UN, HELLO, SEP]]
    assert seen == ["hello", "un"]


@pytest.mark.skipif("BERT_GLUE_TEST_DATA" not in os.environ, reason="BERT_GLUE_TEST_DATA names no folder of real data")
@pytest.mark.parametrize("name", ["glue_data/MRPC", "glue_part/QQP", "glue_part/MNLI"])
def test_words_one_by_one_give_the_tokens_of_whole_texts(name, tmp_path):
    """The first 1,500 lines of real files."""
    from common.inputs.checkpoint import get_checkpoint
    from common.inputs.tokens import Tokenizer, read_vocabulary

    given = Path(os.environ["BERT_GLUE_TEST_DATA"])
    vocabulary = get_checkpoint(str(given / "checkpoints" / "standin_uncased_L-4_H-256_A-4.zip"), tmp_path).vocab
    tokenizer = Tokenizer(read_vocabulary(vocabulary), lower_case=True)
    for line in (given / name / "train.tsv").read_text("utf-8").split("\n")[:1500]:
        assert tokenizer.encode(line) == tokenizer.encode_whole(line)
