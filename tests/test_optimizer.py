"""The optimizer in one pass against Model Garden's own."""

import numpy as np
import pytest

from common.studies.config import RunConfig

pytestmark = pytest.mark.tensorflow

CONFIG = RunConfig(task="MRPC", data="d", checkpoint="c", batch_size=16, peak_learning_rate=1e-3, epochs=1)
SHAPES = {"word_embeddings/embeddings": (300, 24), "layer/kernel": (70, 3, 11), "layer/bias": (11,), "layer_norm/gamma": (24,)}


@pytest.fixture
def make(tf):
    """An optimizer of this class, and its variables with values that are always the same."""
    def make(kind, config=CONFIG, steps=50):
        rng = np.random.RandomState(0)
        variables = [tf.Variable(rng.standard_normal(shape).astype(np.float32), name=name) for name, shape in SHAPES.items()]
        return kind(config, steps, variables), variables
    return make


def gradients(tf, step, size=0.05):
    """Of every variable; for the embeddings seven rows, of which one comes three times and most never do."""
    rng = np.random.RandomState(step + 1)
    values = [tf.constant((size * rng.standard_normal(shape)).astype(np.float32)) for shape in SHAPES.values()]
    rows = tf.constant([5, 5, 250, 11, 5, *rng.randint(0, 300, 2)], tf.int32)
    return [tf.IndexedSlices(values[0][:7], rows, tf.constant(SHAPES["word_embeddings/embeddings"])), *values[1:]]


def train(tf, optimizer, steps, size=0.05, first=0):
    factors = tf.function(optimizer.factors, input_signature=[tf.TensorSpec([], tf.int64)])
    for step in range(first, steps):
        optimizer.apply(gradients(tf, step, size), factors(step))


@pytest.mark.parametrize(("size", "clipped"), [(0.5, True), (0.0001, False)])
def test_50_steps_are_those_of_model_garden(tf, make, size, clipped):
    """Bit for bit where nothing is clipped: the norm is rounded otherwise, and Keras rounds a sparse gradient otherwise."""
    from common.training.optimizer import ModelGarden, OnePass

    (fast, ours), (plain, theirs) = make(OnePass), make(ModelGarden)
    before = [variable.numpy() for variable in ours]
    train(tf, fast, 50, size)
    train(tf, plain, 50, size)
    for variable, expected, start in zip(ours, theirs, before, strict=True):
        assert np.abs(variable.numpy() - start).max() > 1e-3
        np.testing.assert_allclose(variable, expected, rtol=1e-6, atol=1e-7, err_msg=variable.name)
        if not (clipped or "word" in variable.name):
            np.testing.assert_array_equal(variable, expected, err_msg=variable.name)


def test_the_clip_norm_is_obeyed(tf, make):
    """Norm 5 of the rows before those of one place are added up: 3 in two rows of one word, 4 in a bias."""
    from common.training.optimizer import OnePass

    optimizer, _ = make(OnePass)
    values = [np.zeros(shape, np.float32) for shape in SHAPES.values()]
    rows = np.array([[3 / 2 ** 0.5] + [0] * 23] * 2, np.float32)
    values[2][0] = 4
    assert optimizer._clip([rows, *values[1:]]) == pytest.approx(1 / 5)
    assert optimizer._clip([rows / 10, *(each / 10 for each in values[1:])]) == 1
    assert np.isnan(optimizer._clip([rows, values[1] + np.inf]))


def test_a_restored_optimizer_goes_on_in_the_same_bits(tf, make):
    from common.training.optimizer import OnePass

    whole, expected = make(OnePass)
    train(tf, whole, 20)
    halted, _ = make(OnePass)
    train(tf, halted, 12)
    resumed, variables = make(OnePass)
    resumed.restore(halted.state())
    train(tf, resumed, 20, first=12)
    resumed.check()
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_variable_with_memory_of_its_own_is_noticed(tf, make):
    from common.training.optimizer import OnePass

    optimizer, variables = make(OnePass)
    optimizer.check()
    variables[2].assign(tf.zeros(11))
    with pytest.raises(RuntimeError, match="does not read layer/bias:0 from the optimizer's memory"):
        optimizer.check()


def test_model_garden_takes_its_place_where_numba_is_missing(tf, make, monkeypatch):
    from common.training import optimizer

    assert isinstance(make(optimizer.start_optimizer)[0], optimizer.OnePass)
    monkeypatch.setattr(optimizer, "kernels", None)
    assert isinstance(make(optimizer.start_optimizer)[0], optimizer.ModelGarden)
