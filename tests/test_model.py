"""The classifier against a reference written from the paper, and every shortcut against the plain way."""
import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import reference

from common import UserError
from common.inputs.batches import training_batches
from common.inputs.checkpoint import Checkpoint
from common.inputs.reading import load_glue
from common.inputs.tokens import Encoding, Tokens, get_tokens
from common.studies.config import RunConfig
from common.studies.tasks import TASKS

pytestmark = pytest.mark.tensorflow

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 200,
         "max_position_embeddings": 64, "type_vocab_size": 2, "hidden_act": "gelu"}
CONFIG = RunConfig(task="MRPC", data="d", checkpoint="c", batch_size=16, peak_learning_rate=1e-3, epochs=5, dropout=0.0)


@pytest.fixture(scope="module")
def checkpoint(tf, tmp_path_factory):
    """A small encoder of random weights, saved as google-research/bert saves its own."""
    from common.demo import save_random_weights

    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "bert_config.json").write_text(json.dumps(SMALL))
    save_random_weights(folder)
    return Checkpoint("small", folder, "small", None, SMALL)


@pytest.fixture(scope="module")
def tokens():
    """64 rows of 5 to 50 random tokens, with labels that the first token decides."""
    rng = np.random.RandomState(0)
    rows = [np.r_[2, rng.randint(5, 150, rng.randint(3, 49)), 3].astype(np.int32) for _ in range(64)]
    return Tokens(np.concatenate(rows), np.cumsum([0, *map(len, rows)]), np.array([len(row) // 2 for row in rows], np.int32),
                  np.array([row[1] % 2 for row in rows], np.int32))


def make_trainer(checkpoint, tokens, cache, config=CONFIG):
    from common.training.job import Job
    from common.training.trainer import Trainer

    return Trainer(Job(config, 0, checkpoint, None, cache), TASKS["MRPC"], {"train": tokens})


def pooled_both_ways(tf, trainer, checkpoint, tokens, rows):
    reader = tf.train.load_checkpoint(str(checkpoint.weights))
    batch = tokens.batch(rows)
    expected = reference.pooled_output(lambda name: reader.get_tensor(name).astype(np.float64),
                                       checkpoint.config["num_hidden_layers"], checkpoint.config["num_attention_heads"],
                                       batch.ids, batch.mask, batch.types)
    inputs = {"input_word_ids": trainer._place[batch.ids], "input_mask": batch.mask, "input_type_ids": batch.types}
    return trainer.model._network(inputs)["pooled_output"].numpy(), expected


def test_converted_encoder_equals_the_reference(tf, checkpoint, tokens, tmp_path):
    ours, expected = pooled_both_ways(tf, make_trainer(checkpoint, tokens, tmp_path), checkpoint, tokens, np.arange(9))
    assert ours.shape == (9, 32)
    np.testing.assert_allclose(ours, expected, atol=2e-6)


@pytest.mark.skipif("BERT_GLUE_TEST_DATA" not in os.environ, reason="BERT_GLUE_TEST_DATA names no folder of real data")
@pytest.mark.parametrize("name", ["standin_uncased_L-4_H-256_A-4", "minilm_L-6_H-384_A-12"])
def test_real_checkpoints_equal_the_reference(tf, name, tmp_path):
    from common.inputs.checkpoint import get_checkpoint

    given = Path(os.environ["BERT_GLUE_TEST_DATA"])
    checkpoint = get_checkpoint(str(given / "checkpoints" / f"{name}.zip"), tmp_path)
    tokens = get_tokens(load_glue(TASKS["WNLI"], given / "glue_data" / "WNLI"), Encoding(checkpoint.vocab, 128), tmp_path)["dev"]
    ours, expected = pooled_both_ways(tf, make_trainer(checkpoint, tokens, tmp_path), checkpoint, tokens, np.arange(5))
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_shortcuts_leave_the_losses_of_the_plain_way(tf, checkpoint, tokens, tmp_path):
    """50 steps: the whole vocabulary padded to 64 in one piece under Model Garden's own create_optimizer, against the
    table of occurring words, pieces by length, and the faster AdamW."""
    from official.nlp import optimization

    from common.inputs import batches
    from common.training import model
    from common.training.weights import get_weights

    order = list(training_batches(np.arange(64), 16, 50, seed=1))
    trainer = make_trainer(checkpoint, tokens, tmp_path)
    trainer.start(CONFIG, 50, instance=0, mask_seed=1)
    assert max(len(list(batches.by_length(rows, tokens.lengths))) for rows in order) > 1
    ours = [trainer.step(tokens, rows) for rows in order]

    plain = model.build_classifier(SMALL, 2, 0.0)
    model.load_weights(plain, get_weights(checkpoint, tmp_path))
    model.reset_head(plain, model.head_seed(CONFIG, 0))
    optimizer = optimization.create_optimizer(1e-3, 50, 5)
    expected = []
    for rows in order:
        batch = tokens.batch(rows)
        ids, mask, segments = (np.pad(part, ((0, 0), (0, 64 - part.shape[1]))) for part in (batch.ids, batch.mask, batch.types))
        with tf.GradientTape() as tape:
            logits = plain({"input_word_ids": ids, "input_mask": mask, "input_type_ids": segments}, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(batch.labels, logits))
        optimizer.apply_gradients(zip(tape.gradient(loss, plain.trainable_variables), plain.trainable_variables, strict=True))
        expected.append(float(loss))
    assert expected[-1] < 0.6 < expected[0]
    np.testing.assert_allclose(ours, expected, rtol=2e-5)


def compute_piece(trainer, batch, seed, step):
    """Loss and gradients of a batch of one piece."""
    from common.training.trainer import StepNumbers

    numbers = StepNumbers(np.float32(len(batch.labels)), np.int64(seed), np.int64(step))
    return trainer._compute_piece(list(trainer._inputs(batch)), batch.labels, numbers, np.int64(0))


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_packed_tokens_give_the_padded_model(tf, checkpoint, tokens, tmp_path, dropout):
    """Loss and every gradient of the forward pass without padding, under the very masks that the padded model draws."""
    trainer = make_trainer(checkpoint, tokens, tmp_path, dataclasses.replace(CONFIG, dropout=dropout))
    trainer.start(CONFIG, 50, instance=0, mask_seed=1)
    batch = tokens.batch(np.arange(8))
    assert 0.3 < 1 - batch.mask.mean() < 0.7
    ids, mask, types = trainer._inputs(batch)
    loss, gradients = compute_piece(trainer, batch, seed=1, step=7)
    for number, layer in enumerate(trainer._dropouts):  # the model's own generators, set to seed 1, step 7, piece 0
        layer._random_generator._generator.reset_from_key_counter(1 * 1024 + number, [0, 7 * 65536 + 0])
    with tf.GradientTape() as tape:
        logits = trainer.model({"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}, training=True)
        expected = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(batch.labels, logits))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    variables = trainer.model.trainable_variables
    for variable, ours, theirs in zip(variables, gradients, tape.gradient(expected, variables), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(ours), tf.convert_to_tensor(theirs), atol=1e-6, err_msg=variable.name)
    plain = trainer.model({"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}, training=False)
    np.testing.assert_allclose(trainer._compute_logits(ids, mask, types), plain, atol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_masks_are_those_of_the_generator(tf, rate):
    """Two dropouts, more numbers than are drawn at once, against tf.random.Generator."""
    import tf_keras

    from common.training.masks import BLOCKS, Masks

    dropouts, size = [tf_keras.layers.Dropout(rate) for _ in range(2)], 4 * BLOCKS + 5
    masks = Masks(dropouts, *(tf.constant(number, tf.int64) for number in (2**40 + 3, 7, 2)), tf.constant(size))
    for number, layer in enumerate(dropouts):
        ours = masks.take(layer, [size]).numpy()
        generator = tf.random.Generator.from_key_counter((2**40 + 3) * 1024 + number, [0, 7 * 65536 + 2], alg="philox")
        np.testing.assert_array_equal(ours, np.where(generator.uniform([size]) >= rate, np.float32(1 / (1 - rate)), 0))
        assert abs((ours == 0).mean() - rate) < 0.01
    np.testing.assert_array_equal(masks.take(dropouts[0], [3, 2], [2, 0]), masks.take(dropouts[0], [3, 2]).numpy()[[2, 0]])


def test_philox_is_the_published_one(tf):
    """A known answer of Random123 (kat_vectors, philox4x32 10): counter and key all zero."""
    from common.training.masks import _philox

    zero = tf.zeros([1], tf.uint32)
    words = _philox(zero, tf.constant(0, tf.uint64), tf.zeros([1], tf.uint64))
    assert [hex(word.numpy()[0]) for word in words] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


def test_bfloat16_rounds_more_and_learns_the_same(tf, checkpoint, tokens, tmp_path):
    losses = {}
    for dtype in ("float32", "bfloat16"):
        config = dataclasses.replace(CONFIG, dtype=dtype)
        trainer = make_trainer(checkpoint, tokens, tmp_path, config)
        trainer.start(config, 50, instance=0, mask_seed=1)
        losses[dtype] = [trainer.step(tokens, rows) for rows in training_batches(np.arange(64), 16, 50, seed=1)]
        assert {variable.dtype for variable in trainer.model.trainable_variables} == {tf.float32}
    assert losses["float32"] != losses["bfloat16"]
    np.testing.assert_allclose(losses["bfloat16"][:10], losses["float32"][:10], rtol=0.01)
    assert losses["bfloat16"][-1] < 0.6 < losses["bfloat16"][0]


def test_left_out_words_are_those_of_a_training_of_the_whole_table(tf, checkpoint, tokens, tmp_path):
    """50 steps at a high rate, words 150 to 199 in no text: only weight decay touches them."""
    from common.training import model
    from common.training.weights import get_weights

    config = dataclasses.replace(CONFIG, peak_learning_rate=1e-2)
    order = list(training_batches(np.arange(64), 16, 50, seed=1))
    trainer = make_trainer(checkpoint, tokens, tmp_path, config)
    assert len(trainer.words) < 150
    trainer.start(config, 50, instance=0, mask_seed=1)
    for rows in order:
        trainer.step(tokens, rows)
    pretrained = get_weights(checkpoint, tmp_path)
    kept = model.decay_without_gradient(config, 50)
    ours = model.get_all_weights(trainer.model, pretrained, trainer.words, kept)

    whole = make_trainer(checkpoint, dataclasses.replace(tokens, ids=np.arange(200, dtype=np.int32)), tmp_path, config)
    assert len(whole.words) == 200
    whole.start(config, 50, instance=0, mask_seed=1)
    for rows in order:
        whole.step(tokens, rows)
    expected = model.get_all_weights(whole.model, pretrained, whole.words, kept=0.0)

    # rates 0, 0.002, ... 0.008 in the warm-up, then 0.01 (1 - step / 50): their sum is 0.227, and 0.01 of that decays
    assert kept == pytest.approx(np.exp(-0.00227), abs=2e-6)
    left_out = np.setdiff1d(np.arange(200), trainer.words)
    assert not np.allclose(ours[model.WORDS][left_out], pretrained[model.WORDS][left_out], rtol=1e-3)
    np.testing.assert_allclose(ours[model.WORDS][left_out], expected[model.WORDS][left_out], rtol=5e-6)
    assert ours.keys() == expected.keys() and {"head/logits/kernel", "head/logits/bias"} <= ours.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, expected[name], atol=2e-3, err_msg=name)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.0), (1, 1e-4), (5, 5e-4), (9, 9e-4), (10, 9e-4), (11, 8.9e-4), (55, 4.5e-4),
                                            (99, 1e-5), (100, 0.0)])
def test_schedule(tf, step, rate):
    """Warm-up from 0 over the first tenth; the decay counts from step 0, so the peak itself is never reached."""
    from common.training.model import build_schedule

    assert float(build_schedule(CONFIG, 100)(step)) == pytest.approx(rate, rel=1e-5, abs=1e-12)


def test_optimizer_settings(tf, checkpoint, tokens, tmp_path):
    from common.training.model import build_optimizer

    optimizer = build_optimizer(CONFIG, 100)
    assert (optimizer.weight_decay_rate, optimizer.gradient_clip_norm, optimizer.epsilon) == (0.01, 1.0, 1e-6)
    assert (optimizer._get_hyper("beta_1"), optimizer._get_hyper("beta_2")) == (0.9, 0.999)
    names = [v.name for v in make_trainer(checkpoint, tokens, tmp_path).model.trainable_variables]
    spared = sorted({name.rsplit("/", 1)[1] for name in names if not optimizer._do_use_weight_decay(name)})
    assert spared == ["beta:0", "bias:0", "gamma:0"]
    assert sorted({name.rsplit("/", 1)[1] for name in names} - set(spared)) == ["embeddings:0", "kernel:0"]


def test_dropout_stands_where_the_recipe_has_it(tf, checkpoint, tokens, tmp_path):
    """Embeddings, and attention weights, attention output and layer output of each layer, and once before the head."""
    trainer = make_trainer(checkpoint, tokens, tmp_path, dataclasses.replace(CONFIG, dropout=0.1))
    active = [layer for layer in trainer.model._flatten_layers() if type(layer).__name__ == "Dropout" and layer.rate > 0]
    assert len(active) == 1 + 3 * 2 + 1
    assert {layer.rate for layer in active} == {0.1}


def test_dropout_masks_are_a_function_of_seed_and_step(tf, checkpoint, tokens, tmp_path):
    config = dataclasses.replace(CONFIG, dropout=0.1)
    trainer = make_trainer(checkpoint, tokens, tmp_path, config)

    def loss(seed, step):
        trainer.start(config, 50, instance=0, mask_seed=seed)
        trainer.steps_done = step
        batch = tokens.batch(np.arange(8))
        return float(compute_piece(trainer, batch, seed, step)[0])

    assert loss(1, 7) == loss(1, 7)
    assert len({loss(1, 7), loss(1, 8), loss(2, 7)}) == 3


def test_instances_differ_in_the_head_alone(tf, checkpoint, tokens, tmp_path):
    from common.training import model

    other = dataclasses.replace(CONFIG, batch_size=2)
    assert model.head_seed(CONFIG, 0) == model.head_seed(other, 0) != model.head_seed(CONFIG, 1)
    trainer = make_trainer(checkpoint, tokens, tmp_path)
    values = []
    for instance in (0, 1):
        trainer.start(CONFIG, 50, instance, mask_seed=1)
        values.append({v.name: v.numpy() for v in trainer.model.trainable_variables})
    differing = [name for name in values[0] if not np.array_equal(values[0][name], values[1][name])]
    assert differing == ["head/logits/kernel:0"]
    kernel = values[0]["head/logits/kernel:0"]
    assert kernel.shape == (32, 2) and abs(kernel).max() < 0.04 and 0.01 < kernel.std() < 0.03


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda weights: weights.pop("transformer/layer_1/output/bias"),
     "the checkpoint does not fit its bert_config.json: transformer/layer_1/output/bias is only in the model; "
     "give another with --checkpoint"),
    (lambda weights: weights.update({"transformer/layer_2/output/bias": np.zeros(32)}),
     "the checkpoint does not fit its bert_config.json: transformer/layer_2/output/bias is only in the checkpoint; "
     "give another with --checkpoint"),
    (lambda weights: weights.update({"pooler_transform/bias": np.zeros(31)}),
     "the checkpoint does not fit its bert_config.json: pooler_transform/bias has the shape (31,), not (32,); "
     "give another with --checkpoint")])
def test_a_load_proves_itself(tf, checkpoint, tmp_path, change, sentence):
    from common.training import model
    from common.training.weights import get_weights

    weights = get_weights(checkpoint, tmp_path)
    change(weights)
    with pytest.raises(UserError) as caught:
        model.load_weights(model.build_classifier(SMALL, 2, 0.1), weights)
    assert str(caught.value) == sentence


def test_pretraining_heads_of_a_checkpoint_are_left_aside(tf, checkpoint, tmp_path):
    from common.training import model
    from common.training.weights import get_weights

    weights = get_weights(checkpoint, tmp_path) | {"cls/predictions/output_bias/bias": np.zeros(200)}
    model.load_weights(model.build_classifier(SMALL, 2, 0.1), weights)


def test_torn_checkpoint_is_refused(tf, checkpoint, tmp_path):
    from common.training.weights import get_weights

    (tmp_path / "bert_model.ckpt.index").write_bytes(b"torn")
    torn = Checkpoint("torn", tmp_path, "torn", None, SMALL)
    with pytest.raises(UserError, match="the weights of the checkpoint torn cannot be read"):
        get_weights(torn, tmp_path / "cache")


def test_every_row_is_predicted_in_its_place(tf, checkpoint, tokens, tmp_path):
    trainer = make_trainer(checkpoint, tokens, tmp_path)
    everything = trainer.predict(tokens)
    assert everything.shape == (64, 2)
    for row in (0, 17, 63):
        np.testing.assert_allclose(trainer.predict(tokens, np.array([row]))[0], everything[row], atol=1e-5)
