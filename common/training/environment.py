"""How a run was trained: machine, software, code and settings, kept beside its numbers."""
import ast
import functools
import hashlib
import json
import os
import platform
import socket
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from common import PACKAGE
from common.training.machine import count_cores

NOT_NAMED = ("host", "code")
"""What of an environment can differ without changing a number: its digest leaves that out."""


def environment_row(threads: int, gpu: str | None = None) -> dict:
    """The row of the store's `environments` for a run.

    Args:
      threads: threads of the run.
      gpu: the names of its GPUs, as `set_up_tensorflow` returns them.
    """
    row = _machine() | {"threads": threads, "gpu": gpu, "settings": json.dumps(_settings(), sort_keys=True)}
    named = {name: value for name, value in row.items() if name not in NOT_NAMED}
    return row | {"digest": hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()}


PACKAGES = ("tensorflow", "tf-keras", "tf-models-official", "numpy", "numba", "scipy", "scikit-learn", "distributed")


@functools.cache
def software() -> dict[str, str | None]:
    """What has to be the same on all machines that train for one driver: versions, and a digest of this program's code.

    It is that of the first call: a process that goes on after its files were changed still runs the old ones.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    packages = {name: _find_version(name) for name in PACKAGES}
    return {"code": digest.hexdigest()[:12], "python": platform.python_version(), **packages}


def _find_version(package: str) -> str | None:
    """None: it is not installed. Numba may be missing (common.training.optimizer)."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@functools.cache
def _machine() -> dict:
    return {"host": socket.gethostname(), "processor": _processor(), "cores": count_cores(),
            "platform": platform.platform(terse=True), "python": platform.python_version(),
            "tensorflow": version("tensorflow"), "tf_models": version("tf-models-official"), "numpy": version("numpy"),
            "code": _revision(), "code_digest": code_digest()}


def _processor() -> str:
    return next(iter(_cpuinfo("model name")), "") or platform.processor() or platform.machine()


def _cpuinfo(field: str) -> list[str]:
    """The values of a field of Linux's description of the processors, one for each core."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return [line.split(":", 1)[1].strip() for line in lines if line.startswith(field) and ":" in line]


def _revision() -> str | None:
    """The commit of the code, with a + when files differ from it; None outside a repository."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


# -- the code that takes part in a number

TAKES_PART = ("training/*.py", "inputs/*.py", "studies/config.py", "studies/tasks.py", "files.py")
TAKES_NO_PART = ("training/artifacts.py", "training/classifier.py", "training/glue_server.py", "training/input_check.py",
                 "training/machine.py", "training/saved_classifier.py", "inputs/archives.py", "inputs/download.py")
"""What is kept beside the numbers, how many runs a machine trains at a time, and how files whose digests are checked get here."""


def code_digest(package: Path = PACKAGE) -> str:
    """SHA-256 (hex) of the code that takes part in a run's numbers, without its docstrings, comments and empty lines."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in TAKES_PART for path in package.glob(pattern)):
        name = path.relative_to(package).as_posix()
        if name not in TAKES_NO_PART:
            digest.update(f"{name}\n{_strip(path.read_text(encoding='utf-8'))}\n".encode())
    return digest.hexdigest()


def _strip(source: str) -> str:
    """Python code without the lines of strings that are no values (docstrings), of comments, and without empty ones."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines[node.lineno - 1:node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


# -- what else changes arithmetic

SWITCHES = ("TF_AUTO_MIXED_", "TF_CONV2D_", "TF_CUBLAS_", "TF_CUDNN_", "TF_DETERMINISTIC_", "TF_DISABLE_", "TF_ENABLE_",
            "TF_FP16_", "TF_MATMUL_", "TF_ONEDNN_", "TF_OVERRIDE_", "TF_SET_ONEDNN_", "TF_USE_", "TF_XLA_", "XLA_FLAGS",
            "ONEDNN_", "DNNL_", "MKL_", "OMP_", "OPENBLAS_", "NPY_", "NUMBA_", "GLIBC_TUNABLES", "CUBLAS_", "CUDNN_",
            "NVIDIA_TF32_OVERRIDE")
"""Prefixes of environment variables that make TensorFlow, or a library that it computes with, round differently. Not all of TF_:
Terraform uses that prefix, too, also for secrets."""
HARMLESS = ("TF_USE_LEGACY_KERAS", "_NUM_THREADS", "_CACHE_DIR", "_VERBOSE")
"""Suffixes of such variables that change no number. The program itself sets the threads of a run."""
INSTRUCTIONS = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "sve", "bf16", "i8mm")
"""Prefixes of instruction sets, among which TensorFlow chooses when it starts."""


def _settings() -> dict[str, str]:
    """What changes arithmetic from outside: environment variables by name, and the processor's `instructions`."""
    found = {name: value for name, value in os.environ.items() if name.startswith(SWITCHES) and not name.endswith(HARMLESS)}
    flags = next(iter(_cpuinfo("flags") or _cpuinfo("Features")), "").split()
    return found | {"instructions": " ".join(sorted(flag for flag in flags if flag.startswith(INSTRUCTIONS)))}


def choose_tensorflow_options() -> None:
    """Sets what TensorFlow and Keras read when they are imported; to be called before that.

    oneDNN's products are faster at every batch size, but TensorFlow chooses them itself only on processors with AVX-512 VNNI.
    TensorFlow imports the Keras of Model Garden, Keras 2, and not Keras 3, which takes a quarter as long again.
    Keras reads ~/.keras/keras.json, where other work may have chosen another number format or backend. Here it reads the file of
    that name beside this one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ |= {"KERAS_HOME": str(PACKAGE / "training"), "KERAS_BACKEND": "tensorflow"}


def set_up_tensorflow(threads: int) -> str | None:
    """Makes this process compute the same bits each time; to be called before TensorFlow does anything.

    Returns:
      The names of the GPUs that it computes on; None: it computes on the processor.
    """
    choose_tensorflow_options()
    import tensorflow as tf
    import tf_keras

    tf_keras.backend.set_floatx("float32")  # where Keras was imported before
    tf_keras.mixed_precision.set_global_policy("float32")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    # With more than one, bit-equality is lost even under op determinism, at no gain in speed.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(0)
    tf_keras.backend.experimental.enable_tf_random_generator()
    return _set_up_gpus(tf)


def _set_up_gpus(tf) -> str | None:
    """Has TensorFlow take a GPU's memory as it needs it, not all at once, and compute in float32, not in TensorFloat-32.

    Returns:
      The names of the GPUs; None where there are none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
    return ", ".join(tf.config.experimental.get_device_details(gpu).get("device_name", "unknown") for gpu in gpus) or None
