"""The optimizer: AdamW as Model Garden has it, on a CPU in one pass over memory.

Clipping, weight decay and Adam are a dozen operations in TensorFlow, and each reads and writes every weight. At a small batch
that is half of a step, and runs side by side share the way to memory. Here compiled loops (`common.training.kernels`) read a
weight, its moving averages and its gradient once. Where Numba is missing, and on a GPU, Model Garden's own is used. Both give the
same weights up to the rounding of the gradient's norm (tests/test_optimizer.py).
"""
import numpy as np
import tensorflow as tf

from common.studies.config import RunConfig
from common.training import model
from common.training.garden import create_slots, where_weight_decay

try:
    from common.training import kernels
except ImportError:  # a machine that Numba has no wheel for
    kernels = None

ALIGNMENT = 64
"""Bytes: TensorFlow copies a buffer that starts elsewhere."""


def start_optimizer(config: RunConfig, steps: int, variables: list) -> "OnePass | ModelGarden":
    """The optimizer of a run of `steps` steps, which trains these variables from the values that they have now."""
    fits = kernels is not None and not tf.config.list_physical_devices("GPU")
    return (OnePass if fits else ModelGarden)(config, steps, variables)


class ModelGarden:
    """Model Garden's AdamW.

    Args:
      config: its settings.
      steps: of the whole run.
      variables: what is trained.
    """

    def __init__(self, config: RunConfig, steps: int, variables: list):
        self._variables, self._optimizer = variables, model.build_optimizer(config, steps)
        create_slots(self._optimizer, variables)

    def factors(self, step: tf.Tensor) -> tuple:
        """What `apply` needs to know of a step, computed in the step's graph."""
        return ()

    @model.as_graph(reduce_retracing=True)
    def apply(self, gradients: list, factors: tuple) -> None:
        """One step: changes the variables."""
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))

    def state(self) -> list[np.ndarray]:
        """The values that the next step depends on: those of the variables, then those of the optimizer."""
        return [variable.numpy() for variable in self._state_variables()]

    def restore(self, state: list[np.ndarray]) -> None:
        """Goes on from what `state` gave."""
        for variable, value in zip(self._state_variables(), state, strict=True):
            variable.assign(value)

    def check(self) -> None:
        """Raises RuntimeError where the variables are not those that the optimizer changes."""

    def _state_variables(self) -> list:
        return [*self._variables, *self._optimizer.variables()]


class OnePass:
    """The same in one pass over memory.

    The weights lie in arrays of NumPy's, which the variables read without a copy: nothing may assign to the variables.

    Args: as `ModelGarden`.
    """

    def __init__(self, config: RunConfig, steps: int, variables: list):
        self._config, self._variables = config, variables
        self._schedule = model.build_schedule(config, steps)
        decaying = where_weight_decay(model.build_optimizer(config, steps), variables)
        self._decays = [config.weight_decay if each else 0 for each in decaying]
        self._weights = [_share(variable) for variable in variables]
        self._means, self._squares = ([_aligned_zeros(each.shape) for each in self._weights] for _ in range(2))
        self.check()

    def factors(self, step: tf.Tensor) -> tf.Tensor:
        """float32 [2]: the learning rate, and the same with Adam's correction of the first steps.

        Computed by TensorFlow in float32 as its own optimizer does, so that the bits are the same.
        """
        config, rate, done = self._config, self._schedule(tf.cast(step, tf.float32)), tf.cast(step + 1, tf.float32)
        corrected = rate * tf.sqrt(1 - tf.constant(config.beta_2) ** done) / (1 - tf.constant(config.beta_1) ** done)
        return tf.stack([rate, corrected])

    def apply(self, gradients: list, factors: tf.Tensor) -> None:
        """One step: changes the variables."""
        read = [[_read(part) for part in tf.nest.flatten(each, expand_composites=True)] for each in gradients]
        config, one = self._config, np.float32(1)
        pulls = [one - np.float32(beta) for beta in (config.beta_1, config.beta_2)]
        numbers = np.array([self._clip([values for values, *_ in read]), 0, *factors.numpy(), *pulls, config.epsilon], np.float32)
        for parts, *arrays, decay in zip(read, self._weights, self._means, self._squares, self._decays, strict=True):
            numbers[1] = decay
            if len(parts) == 1:
                kernels.update(*(array.reshape(-1) for array in (*arrays, *parts)), numbers)
            else:
                kernels.update_rows(*arrays, tuple(parts[:2]), numbers)

    def state(self) -> list[np.ndarray]:
        """The values that the next step depends on: the weights, then the moving averages."""
        return [array.copy() for array in self._arrays()]

    def restore(self, state: list[np.ndarray]) -> None:
        """Goes on from what `state` gave."""
        for array, value in zip(self._arrays(), state, strict=True):
            array[...] = value

    def check(self) -> None:
        """Raises RuntimeError where TensorFlow has made a copy of its own, which would not be trained."""
        for variable, weights in zip(self._variables, self._weights, strict=True):
            if _read(variable.read_value()).ctypes.data != weights.ctypes.data:
                raise RuntimeError(f"TensorFlow does not read {variable.name} from the optimizer's memory")

    def _clip(self, values: list[np.ndarray]) -> np.float32:
        """The factor that brings the gradient to the clip norm, as tf.clip_by_global_norm has it; NaN if it is not finite."""
        limit, one = np.float32(self._config.clip_norm), np.float32(1)
        if limit == 0:
            return one
        norm = np.float32(np.sqrt(sum(kernels.sum_of_squares(each.reshape(-1)) for each in values)))
        return limit * min(one / norm, one / limit) if np.isfinite(norm) else np.float32(np.nan)

    def _arrays(self) -> list[np.ndarray]:
        return [*self._weights, *self._means, *self._squares]


def _share(variable: tf.Variable) -> np.ndarray:
    """An array with the variable's value, which the variable reads from now on."""
    array = _aligned_zeros(variable.shape)
    array[...] = variable.numpy()
    variable.assign(tf.experimental.dlpack.from_dlpack(array.__dlpack__()))
    return array


def _read(tensor: tf.Tensor) -> np.ndarray:
    """The tensor's own memory, read-only."""
    return np.asarray(memoryview(tensor))


def _aligned_zeros(shape) -> np.ndarray:
    size = int(np.prod(shape))
    buffer = np.zeros(size + ALIGNMENT // 4, np.float32)
    first = -buffer.ctypes.data % ALIGNMENT // 4
    return buffer[first:first + size].reshape(shape)
