"""How a run was trained: machine, software and code, kept beside its numbers."""
import functools
import hashlib
import json
import os
import platform
import socket
import subprocess
from importlib.metadata import version
from pathlib import Path

from common import PACKAGE


def environment_row(threads: int) -> dict:
    """The row of the store's `environments` for a run with this many threads; `digest` names all of it but the host."""
    row = _machine() | {"threads": threads}
    named = {name: value for name, value in row.items() if name != "host"}
    return row | {"digest": hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()}


def count_cores() -> int:
    """Cores that this process may use, by its affinity and its control group."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")
    if limit.exists():
        quota, period = limit.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


PACKAGES = ("tensorflow", "tf-keras", "tf-models-official", "numpy", "scipy", "scikit-learn", "distributed")


@functools.cache
def software() -> dict[str, str]:
    """What has to be the same on all machines that train for one driver: versions, and a digest of this program's code.

    It is that of the first call: a process that goes on after its files were changed still runs the old ones.
    """
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return {"code": digest.hexdigest()[:12], "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


@functools.cache
def _machine() -> dict:
    return {"host": socket.gethostname(), "processor": _processor(), "cores": count_cores(),
            "platform": platform.platform(terse=True), "python": platform.python_version(),
            "tensorflow": version("tensorflow"), "tf_models": version("tf-models-official"), "numpy": version("numpy"),
            "code": _revision()}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _revision() -> str | None:
    """The commit of the code, with a + when files differ from it; None outside a repository."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def set_up_tensorflow(threads: int) -> None:
    """Makes this process compute the same bits each time; to be called before TensorFlow does anything."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tf_keras

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    # With more than one, bit-equality is lost even under op determinism, at no gain in speed.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(0)
    tf_keras.backend.experimental.enable_tf_random_generator()
