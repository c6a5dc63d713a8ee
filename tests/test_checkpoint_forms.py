"""One checkpoint in Google's form and in Hugging Face's, fine-tuned checkpoints, lowercasing, and what is refused."""
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import hugging_face
import numpy as np
import pytest
import transformers_environment

from common import UserError
from common.inputs.checkpoint import get_checkpoint
from common.inputs.encoder import encoder_variables
from common.inputs.tokens import Encoding, encode_texts, lay_end_to_end
from common.studies.config import RunConfig
from common.studies.tasks import TASKS
from common.training.job import Job

ROOT = Path(__file__).parent.parent
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(193)), "hello", "world"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 200,
         "max_position_embeddings": 64, "type_vocab_size": 2, "hidden_act": "gelu"}
TEXTS = [("hello word7", "world"), ("word1 word2 word3 word4",), ("", "hello word99 word98 world world")]


@pytest.fixture(scope="module")
def google(tf, tmp_path_factory):
    """A folder in Google's form with a small encoder, each of whose weights is a random number."""
    folder = tmp_path_factory.mktemp("google") / "small"
    rng = np.random.RandomState(0)
    save_google(tf, folder, {name: rng.normal(name.endswith("gamma"), 0.2, shape).astype(np.float32)
                             for name, shape in encoder_variables(SMALL).items()})
    return folder


@pytest.fixture(scope="module")
def get(tf, google):
    """Name in google-research/bert -> weight."""
    return tf.train.load_checkpoint(str(google / "bert_model.ckpt")).get_tensor


@pytest.fixture
def write(tmp_path, get):
    """Writes the same checkpoint as a folder of Hugging Face."""
    def write(name="theirs", config=SMALL, words=WORDS, **how):
        return hugging_face.write_folder(tmp_path / name, get, config, words, **how)
    return write


def logits_of(where, cache):
    """Of an untrained classifier on `TEXTS`."""
    from common.training.trainer import Trainer

    checkpoint = get_checkpoint(str(where), cache)
    tokens = lay_end_to_end(*encode_texts(TEXTS, Encoding(checkpoint.vocab, 64)), np.array([0, 1, 0], np.int32))
    config = RunConfig(task="MRPC", data="d", checkpoint=checkpoint.digest, batch_size=2, peak_learning_rate=1e-3, epochs=1)
    trainer = Trainer(Job(config, 0, checkpoint, None, cache), TASKS["MRPC"], {"train": tokens})
    trainer.start(config, 10, instance=0, mask_seed=1)
    return trainer.predict(tokens)


# -- two forms of one checkpoint

@pytest.mark.tensorflow
def test_both_forms_give_the_same_logits(google, write, tmp_path):
    ours, theirs = logits_of(google, tmp_path / "cache"), logits_of(write(), tmp_path / "cache")
    assert ours.shape == (3, 2) and np.ptp(ours) > 0.01
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.tensorflow
@pytest.mark.parametrize("how", [{"prefix": ""}, {"norm": ("gamma", "beta")}, {"prefix": "", "norm": ("gamma", "beta")}])
def test_names_of_the_wild_are_one_checkpoint(write, tmp_path, how):
    usual, other = (get_checkpoint(str(folder), tmp_path) for folder in (write("usual"), write("other", **how)))
    assert usual.digest == other.digest


@pytest.mark.tensorflow
def test_a_tokenizer_json_is_the_same_vocabulary(write, tmp_path):
    usual, folder = get_checkpoint(str(write("usual")), tmp_path), write("other")
    hugging_face.write_tokenizer_json(folder, WORDS)
    other = get_checkpoint(str(folder), tmp_path)
    assert usual.digest == other.digest
    assert other.files == ("config.json", "tokenizer.json", "model.safetensors")
    assert encode_texts(TEXTS, Encoding(usual.vocab, 64)) == encode_texts(TEXTS, Encoding(other.vocab, 64))


@pytest.mark.tensorflow
def test_what_can_change_a_number_changes_the_digest(write, tmp_path):
    def scale(tensors):
        tensors["bert.pooler.dense.bias"] = tensors["bert.pooler.dense.bias"] + np.float32(1e-3)

    folders = [write("usual"), write("weights", change=scale), write("words", words=[*WORDS[:-1], "earth"]),
               write("heads", config=SMALL | {"num_attention_heads": 2})]
    assert len({get_checkpoint(str(folder), tmp_path).digest for folder in folders}) == 4


@pytest.mark.tensorflow
def test_half_precision_is_read_as_the_same_numbers_in_float32(write, get, tmp_path):
    from common.training.weights import get_weights

    weights = get_weights(get_checkpoint(str(write(dtype=np.float16)), tmp_path), tmp_path)
    assert {value.dtype for value in weights.values()} == {np.dtype("float32")}
    np.testing.assert_array_equal(weights["word_embeddings/embeddings"],
                                  get("bert/embeddings/word_embeddings").astype(np.float16).astype(np.float32))


@pytest.mark.tensorflow
def test_a_padded_table_of_words_is_fine(write, tmp_path):
    assert get_checkpoint(str(write(words=WORDS[:190])), tmp_path).config["vocab_size"] == 200


@pytest.mark.tensorflow
@pytest.mark.skipif("BERT_GLUE_TEST_DATA" not in os.environ, reason="BERT_GLUE_TEST_DATA names no folder of real data")
def test_both_forms_of_a_real_checkpoint(tf, tmp_path):
    from common.training.weights import get_weights

    archive = Path(os.environ["BERT_GLUE_TEST_DATA"]) / "checkpoints" / "standin_uncased_L-4_H-256_A-4.zip"
    ours = get_checkpoint(str(archive), tmp_path)
    assert ours.lower_case is None and ours.notes == ()
    folder = hugging_face.write_folder(tmp_path / "theirs", tf.train.load_checkpoint(str(ours.weights)).get_tensor, ours.config,
                                       ours.vocab.read_text("utf-8").splitlines())
    ours, theirs = (get_weights(each, tmp_path) for each in (ours, get_checkpoint(str(folder), tmp_path)))
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("activation", "said"), [("gelu", True), ("gelu_new", False), ("gelu_pytorch_tanh", False)])
def test_gelu_is_computed_in_its_tanh_form_and_said(write, tmp_path, activation, said):
    folder = write()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": activation}))
    checkpoint = get_checkpoint(str(folder), tmp_path)
    assert checkpoint.config["hidden_act"] == "gelu"
    assert checkpoint.notes == ((
        "the checkpoint's config.json asks for the exact GELU (hidden_act gelu); this program computes its tanh form, with which "
        "Google trained BERT: outputs differ by about 0.001",) if said else ())


# -- what is refused

def refusal(folder, cache):
    with pytest.raises(UserError) as caught:
        get_checkpoint(str(folder), cache)
    sentence = str(caught.value)
    assert sentence.startswith(f"the checkpoint {folder} cannot be used: ")
    assert sentence.endswith("; name another with --checkpoint") and "\n" not in sentence
    return sentence.removeprefix(f"the checkpoint {folder} cannot be used: ").removesuffix("; name another with --checkpoint")


def leave_out(name):
    return lambda tensors: tensors.pop(name)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("change", "sentence"), [
    (leave_out("bert.encoder.layer.1.output.dense.bias"), "its weights have no encoder.layer.1.output.dense.bias"),
    (leave_out("bert.pooler.dense.weight"), "its weights have no pooler.dense.weight"),
    (lambda tensors: tensors.update({"bert.encoder.layer.2.output.dense.bias": np.zeros(32)}),
     "its weights have encoder.layer.2.output.dense.bias, for which its configuration has no place"),
    (lambda tensors: tensors.update({"bert.pooler.dense.bias": np.zeros(31, np.float32)}),
     "pooler.dense.bias has the shape [31] in its weights, but [32] by its configuration"),
    (lambda tensors: tensors.update({"bert.pooler.dense.bias": np.zeros(32)}),
     "its weights are F64; save them as float32 with model.float().save_pretrained(...)")])
def test_weights_that_do_not_fit(write, tmp_path, change, sentence):
    assert refusal(write(change=change), tmp_path) == sentence


@pytest.mark.tensorflow
@pytest.mark.parametrize(("change", "sentence"), [
    ({"hidden_size": 64}, "embeddings.word_embeddings.weight has the shape [200, 32] in its weights, but [200, 64] by its "
                          "configuration"),
    ({"num_attention_heads": 5}, "its hidden_size 32 is not a multiple of its 5 attention heads"),
    ({"vocab_size": 100}, "its vocab.txt has 200 entries, more than its vocab_size of 100"),
    ({"model_type": "roberta"}, "its config.json has 'roberta' as model_type, and this program computes with 'bert'"),
    ({"layer_norm_eps": 1e-5}, "its config.json has 1e-05 as layer_norm_eps, and this program computes with 1e-12"),
    ({"hidden_act": "relu"}, "its activation 'relu' is not BERT's gelu"),
    ({"hidden_size": None}, "its config.json needs a whole number of at least 1 as hidden_size")])
def test_a_configuration_that_does_not_fit(write, tmp_path, change, sentence):
    folder = write()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    assert refusal(folder, tmp_path) == sentence


def tear(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-1000])


def exchange(name, content=None, instead=None):
    """Removes a file, or gives it another content or name."""
    def change(folder):
        if content is not None:
            (folder / name).write_bytes(content)
        elif instead:
            (folder / name).rename(folder / instead)
        else:
            (folder / name).unlink()
    return change


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 44710904\n"


@pytest.mark.tensorflow
@pytest.mark.parametrize(("change", "sentence"), [
    (tear, "its model.safetensors is torn or no safetensors file ("),
    (exchange("model.safetensors", b""), "its model.safetensors is torn or no safetensors file ("),
    (exchange("model.safetensors", struct.pack("<Q", 2 ** 60)), "its model.safetensors is torn or no safetensors file ("),
    (exchange("model.safetensors", POINTER), "its model.safetensors is a pointer of git-lfs and not the file itself; get it with "
                                             "`git lfs pull`"),
    (exchange("model.safetensors"), "it has no model.safetensors"),
    (exchange("model.safetensors", instead="pytorch_model.bin"),
     "it has no model.safetensors, and its pytorch_model.bin is a pickle, which can run any program when it is opened; if you "
     "trust it, convert it where torch and transformers are installed: python -c \"from transformers import AutoModel; "
     "AutoModel.from_pretrained("),
    (exchange("model.safetensors", instead="model.safetensors.index.json"), "its weights are divided into several files; "),
    (exchange("vocab.txt"), "it has neither vocab.txt nor tokenizer.json"),
    (exchange("vocab.txt", "hello\n".encode("utf-16")), "its vocab.txt is not UTF-8"),
    (exchange("vocab.txt", b"hello\n"), "its vocab.txt has no [PAD]"),
    (exchange("config.json", b"{"), "its config.json is not a JSON object"),
    (exchange("tokenizer_config.json", b"[]"), "its tokenizer_config.json is not a JSON object"),
    (exchange("tokenizer_config.json", b'{"do_lower_case": true, "strip_accents": false}'),
     "its tokenizer_config.json has do_lower_case True and strip_accents False, and this program does both or neither")])
def test_files_that_cannot_be_used(write, tmp_path, change, sentence):
    folder = write()
    change(folder)
    assert refusal(folder, tmp_path).startswith(sentence)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_way_to_convert_a_pickle_leads_to_the_same_checkpoint(write, tmp_path):
    python = transformers_environment.find_python()
    usual, folder = get_checkpoint(str(write("usual")), tmp_path), write("pickled")
    subprocess.run([python, "-c", "import sys, torch; from safetensors.torch import load_file; "
                    "torch.save(load_file(sys.argv[1] + '/model.safetensors'), sys.argv[1] + '/pytorch_model.bin')", folder],
                   check=True)
    (folder / "model.safetensors").unlink()
    (program,) = re.findall('python -c "(.*)"', refusal(folder, tmp_path))
    subprocess.run([python, "-c", program], check=True)
    assert get_checkpoint(str(folder), tmp_path).digest == usual.digest


@pytest.mark.tensorflow
@pytest.mark.parametrize(("content", "sentence"), [
    ({"model": {"type": "BPE", "vocab": {"[PAD]": 0}}}, "its tokenizer.json has a vocabulary of BPE, not of WordPiece as BERT"),
    ({"model": {"type": "WordPiece", "vocab": {"[PAD]": 1}}},
     "its tokenizer.json does not number its entries from 0 without a gap"),
    ({"model": {}}, "its tokenizer.json has no WordPiece vocabulary"), ([], "its tokenizer.json has no WordPiece vocabulary")])
def test_a_tokenizer_json_of_something_else(write, tmp_path, content, sentence):
    folder = write()
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert refusal(folder, tmp_path) == sentence


@pytest.mark.tensorflow
def test_a_refusal_is_one_sentence_and_status_2(write, tmp_path):
    folder = write(change=leave_out("bert.pooler.dense.bias"))
    done = subprocess.run([sys.executable, ROOT / "exp_bs_mrpc.py", "--checkpoint", folder, "--dry-run"], cwd=tmp_path,
                          capture_output=True, text=True, env=os.environ | {"BERT_GLUE_CACHE": str(tmp_path / "cache")})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (f"error: the checkpoint {folder} cannot be used: its weights have no pooler.dense.bias; name another "
                           "with --checkpoint\n")


# -- fine-tuned checkpoints, and those that do not fit

def save_google(tf, folder, values):
    """A folder in Google's form with these variables."""
    v1 = tf.compat.v1
    folder.mkdir()
    (folder / "bert_config.json").write_text(json.dumps(SMALL))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            v1.get_variable(name, initializer=value)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "bert_model.ckpt"), write_meta_graph=False, write_state=False)


def save_changed(tf, folder, get, change):
    """The checkpoint of a folder in Google's form with the variables that `change` makes of {name: weight}."""
    values = {name: get(name) for name in encoder_variables(SMALL)}
    change(values)
    save_google(tf, folder, values)
    return get_checkpoint(str(folder), folder)


@pytest.mark.tensorflow
def test_heads_and_slots_of_a_fine_tuned_checkpoint_are_left_out(tf, google, get, tmp_path):
    """As google-research/bert's run_classifier.py leaves it."""
    from common.training.weights import get_weights

    def fine_tune(values):
        for name in list(values):
            values[f"{name}/adam_m"], values[f"{name}/adam_v"] = np.zeros_like(values[name]), np.ones_like(values[name])
        values |= {"output_weights": np.ones((3, 32), np.float32), "output_bias": np.ones(3, np.float32),
                   "output_weights/adam_m": np.ones((3, 32), np.float32), "global_step": np.int64(36816),
                   "cls/predictions/output_bias": np.ones(200, np.float32)}

    tuned = get_weights(save_changed(tf, tmp_path / "tuned", get, fine_tune), tmp_path)
    plain = get_weights(get_checkpoint(str(google), tmp_path), tmp_path)
    assert tuned.keys() == plain.keys() and len(plain) == 39
    for name, value in plain.items():
        np.testing.assert_array_equal(tuned[name], value)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("change", "sentence"), [
    (lambda values: values.pop("bert/pooler/dense/bias"), "its weights have no bert/pooler/dense/bias"),
    (lambda values: values.update({"bert/encoder/layer_2/output/dense/bias": np.zeros(32, np.float32)}),
     "its weights have bert/encoder/layer_2/output/dense/bias, for which its configuration has no place"),
    (lambda values: values.update({"bert/pooler/dense/bias": np.zeros(31, np.float32)}),
     "bert/pooler/dense/bias has the shape [31] in its weights, but [32] by its configuration")])
def test_a_checkpoint_that_does_not_fit_its_configuration(tf, get, tmp_path, change, sentence):
    from common.training.weights import get_weights

    checkpoint = save_changed(tf, tmp_path / "odd", get, change)
    with pytest.raises(UserError) as caught:
        get_weights(checkpoint, tmp_path)
    assert str(caught.value) == (f"the checkpoint odd does not fit its bert_config.json: {sentence}; give another with "
                                 "--checkpoint")
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.tensorflow
@pytest.mark.parametrize("keep", [1000, 0])
def test_cut_weights_are_one_sentence(google, tmp_path, keep):
    from common.training.weights import get_weights

    folder = tmp_path / "cut"
    folder.mkdir()
    for path in google.iterdir():
        (folder / path.name).write_bytes(path.read_bytes()[:keep] if ".data-" in path.name else path.read_bytes())
    with pytest.raises(UserError) as caught:
        get_weights(get_checkpoint(str(folder), tmp_path), tmp_path)
    assert str(caught.value).startswith("the weights of the checkpoint cut cannot be read (")
    assert str(caught.value).endswith("); copy or fetch it again, or give another with --checkpoint")


# -- lowercasing

FILES = {"bert_model.ckpt.index": b"index", "bert_model.ckpt.data-00000-of-00001": b"data"}
CASED = [word.title() if number % 2 and not word.startswith("[") else word for number, word in enumerate(WORDS)]
ONE_CAPITAL = [word if word != "word7" else "<E1>" for word in WORDS]


def make(folder, words=WORDS, tokenizer=None, mark=""):
    """A folder in Google's layout, whose weights nobody reads."""
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "bert_config.json").write_text(json.dumps(SMALL))
    (folder / "vocab.txt").write_text(mark + "\n".join(words) + "\n", "utf-8")
    if tokenizer:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return str(folder)


@pytest.mark.parametrize(("name", "words", "tokenizer", "lower_case"), [
    ("small", WORDS, None, None), ("small", CASED, None, None), ("uncased_L-2", WORDS, None, None),
    ("small", WORDS, {"do_lower_case": True}, None), ("multi_cased_L-2", CASED, {"model_max_length": 512}, None),
    ("small", ONE_CAPITAL, None, True), ("uncased_L-2", ONE_CAPITAL, None, True),
    ("small", ONE_CAPITAL, {"do_lower_case": True}, True)])
def test_lowercasing_is_what_the_checkpoint_says(tmp_path, name, words, tokenizer, lower_case):
    """None stands for what the first release did, so that the hashes of its runs stay."""
    checkpoint = get_checkpoint(make(tmp_path / name, words, tokenizer), tmp_path / "cache")
    assert checkpoint.lower_case is lower_case
    assert checkpoint.row()["lower_case"] == (words is not CASED)
    assert len(checkpoint.notes) == (lower_case is not None)


def test_what_differs_from_every_entry_of_the_vocabulary_is_said(tmp_path):
    checkpoint = get_checkpoint(make(tmp_path / "uncased_x", ONE_CAPITAL), tmp_path / "cache")
    assert checkpoint.notes == ("text is lowercased, as its name says; entries of the vocabulary with capital letters: <E1>",)
    checkpoint = get_checkpoint(make(tmp_path / "x"), tmp_path / "cache", lower_case=False)
    assert checkpoint.notes == ("text is not lowercased, as --lower-case says; entries of the vocabulary with capital letters: "
                                "none",)


@pytest.mark.parametrize(("name", "words", "tokenizer", "sentence"), [
    ("x", CASED, {"do_lower_case": True}, "its tokenizer_config.json says that its text is lowercased, but 98 of the 200"),
    ("x", WORDS, {"do_lower_case": False}, "its tokenizer_config.json says that its text is not lowercased, but 0 of the 200"),
    ("uncased_x", CASED, None, "its name says that its text is lowercased, but 98 of the 200")])
def test_a_checkpoint_that_contradicts_itself_asks_for_the_flag(tmp_path, name, words, tokenizer, sentence):
    where = make(tmp_path / name, words, tokenizer)
    assert refusal(where, tmp_path / "cache") == (f"{sentence} entries of its vocabulary have capital letters; say which is "
                                                  "right with --lower-case yes or --lower-case no")
    assert get_checkpoint(where, tmp_path / "cache", lower_case=True).lower_case is (True if words is CASED else None)


@pytest.mark.tensorflow
def test_one_added_entry_leaves_the_tokens_of_lowercased_text(tmp_path):
    checkpoint = get_checkpoint(make(tmp_path / "uncased_x", ONE_CAPITAL), tmp_path / "cache")
    assert encode_texts([("Hello WORLD",)], Encoding(checkpoint.vocab, 64, checkpoint.lower_case)) == ([[2, 198, 199, 3]], [4])


@pytest.mark.tensorflow
def test_a_vocabulary_with_a_byte_order_mark_is_read(tmp_path):
    plain, marked = (get_checkpoint(make(tmp_path / name, mark=mark), tmp_path / "cache") for name, mark in
                     (("plain", ""), ("marked", "\ufeff")))
    assert encode_texts(TEXTS, Encoding(marked.vocab, 64)) == encode_texts(TEXTS, Encoding(plain.vocab, 64))


@pytest.mark.parametrize("name", [*FILES, "vocab.txt", "bert_config.json"])
def test_a_pointer_of_git_lfs(tmp_path, name):
    where = make(tmp_path / "x")
    (Path(where) / name).write_bytes(POINTER)
    assert refusal(where, tmp_path / "cache") == (f"its {name} is a pointer of git-lfs and not the file itself; get it with "
                                                  "`git lfs pull`")


# -- unknown words

@pytest.mark.tensorflow
@pytest.mark.parametrize(("rows", "lower_case", "sentence"), [
    ([("hello world",)] * 60 + [("Hello",)] * 2, True, None),
    ([("hello world",)] * 60 + [("Hello",)] * 2, False,
     "2 of 122 tokens of the first 62 rows of MRPC are [UNK] because text is not lowercased (0 otherwise); --lower-case yes "
     "changes that"),
    ([("hello world",)] * 60 + [("привет",)] * 2, True, None),
    ([("hello world",)] * 10 + [("привет",)] * 2, True,
     "2 of 22 tokens of the first 12 rows of MRPC are [UNK]: the checkpoint's vocabulary does not fit the text")])
def test_a_share_of_unknown_words_that_the_text_does_not_explain_is_said(rows, lower_case, sentence):
    from common.training.input_check import find_unknown

    assert find_unknown("MRPC", rows, WORDS, lower_case) == sentence
