"""The environment of a run: what its digest names, and what of the outside is kept away from training."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.training import environment
from common.training.environment import code_digest, environment_row

PACKAGE = Path(__file__).parent.parent / "common"


def settings() -> dict:
    return json.loads(environment_row(1)["settings"])


@pytest.mark.parametrize("name, value", [
    ("TF_ENABLE_ONEDNN_OPTS", "0"), ("ONEDNN_MAX_CPU_ISA", "AVX2"), ("DNNL_MAX_CPU_ISA", "AVX2"),
    ("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"), ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2"), ("NVIDIA_TF32_OVERRIDE", "0"),
    ("TF_SET_ONEDNN_FPMATH_MODE", "BF16"), ("MKL_CBWR", "COMPATIBLE"), ("OMP_DYNAMIC", "true"),
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2"), ("TF_CUDNN_USE_AUTOTUNE", "0"), ("NUMBA_CPU_NAME", "generic")])
def test_a_switch_that_changes_arithmetic_makes_another_environment(monkeypatch, name, value):
    monkeypatch.delenv(name, raising=False)
    before = environment_row(1)
    monkeypatch.setenv(name, value)
    assert settings()[name] == value
    assert environment_row(1)["digest"] != before["digest"]


@pytest.mark.parametrize("name, value", [
    ("OMP_NUM_THREADS", "4"), ("MKL_NUM_THREADS", "4"), ("TF_CPP_MIN_LOG_LEVEL", "1"), ("TF_USE_LEGACY_KERAS", "1"),
    ("NUMBA_CACHE_DIR", "/tmp"), ("TF_VAR_password", "secret"), ("TF_TOKEN_app_terraform_io", "secret"), ("HOME", "/nowhere"),
    ("KMP_INIT_AT_FORK", "FALSE")])
def test_what_changes_no_number_is_not_named(monkeypatch, name, value):
    monkeypatch.delenv(name, raising=False)
    before = environment_row(1)
    monkeypatch.setenv(name, value)
    assert environment_row(1) == before
    assert "secret" not in json.dumps(before)


def test_the_instruction_sets_of_the_processor_are_named(monkeypatch):
    flags = {"flags": ["fpu avx2 smep fma avx512_bf16 sse4_2"] * 2, "Features": []}
    monkeypatch.setattr(environment, "_cpuinfo", flags.get)
    assert settings()["instructions"] == "avx2 avx512_bf16 fma sse4_2"
    flags |= {"flags": [], "Features": ["fp asimd aes bf16 sve"]}  # ARM
    assert settings()["instructions"] == "asimd bf16 sve"
    flags["Features"] = []
    assert settings()["instructions"] == ""


def test_threads_and_gpu_make_another_environment_but_not_host_and_revision(monkeypatch):
    row = environment_row(1)
    assert (row["threads"], row["gpu"], len(row["digest"]), len(row["code_digest"])) == (1, None, 64, 64)
    assert len({row["digest"], environment_row(2)["digest"], environment_row(1, "NVIDIA H100")["digest"]}) == 3
    here = environment._machine()
    for changed, same in (({"host": "elsewhere"}, True), ({"code": "0123456789ab"}, True), ({"code_digest": "0" * 64}, False),
                          ({"numpy": "1.0"}, False)):
        monkeypatch.setattr(environment, "_machine", lambda changed=changed: here | changed)
        assert (environment_row(1)["digest"] == row["digest"]) == same


class GpuTensorFlow:
    """Stands in for a TensorFlow that finds these GPUs, and records what is set."""

    def __init__(self, *names):
        self.names, self.heard = names, []
        self.config = self.experimental = self

    def list_physical_devices(self, kind):
        return list(range(len(self.names))) if kind == "GPU" else []

    def set_memory_growth(self, gpu, on):
        self.heard.append((gpu, on))

    def enable_tensor_float_32_execution(self, on):
        self.heard.append(("TensorFloat-32", on))

    def get_device_details(self, gpu):
        return {"device_name": self.names[gpu]} if self.names[gpu] else {}


@pytest.mark.parametrize("gpus, names, heard", [
    ((), None, []),
    (("NVIDIA H100",), "NVIDIA H100", [(0, True), ("TensorFloat-32", False)]),
    (("NVIDIA H100", ""), "NVIDIA H100, unknown", [(0, True), ("TensorFloat-32", False), (1, True), ("TensorFloat-32", False)])])
def test_a_gpu_is_named_and_gives_its_memory_as_it_is_needed(gpus, names, heard):
    tensorflow = GpuTensorFlow(*gpus)
    assert environment._set_up_gpus(tensorflow) == names
    assert tensorflow.heard == heard


# -- the code that takes part in a number

@pytest.fixture
def package(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "common", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "common"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_another_revision_with_the_same_arithmetic_has_the_same_code_digest(package):
    before = code_digest(package)
    assert before == code_digest()
    trainer = package / "training" / "trainer.py"
    change(trainer, '"""', '"""Another docstring. ')
    change(trainer, "\nclass Trainer", "\n# A comment.\n\n\nclass Trainer")
    change(trainer, "import gc\n", "import gc  \n")
    change(package / "report" / "page.py", "\n", "\nsurprise = 1\n")
    change(package / "training" / "machine.py", "1.5e9", "2.5e9")
    change(package / "inputs" / "download.py", "\nimport ", "\nimport os\nimport ")
    assert code_digest(package) == before


@pytest.mark.parametrize("name, old, new", [
    ("training/trainer.py", "self.steps_done += 1", "self.steps_done += 2"), ("training/masks.py", "import", "import os\nimport"),
    ("inputs/batches.py", "import", "import os\nimport"), ("studies/config.py", "RECIPE = 1", "RECIPE = 2"),
    ("studies/tasks.py", "import", "import os\nimport")])
def test_other_code_has_another_digest(package, name, old, new):
    before = code_digest(package)
    change(package / name, old, new)
    assert code_digest(package) != before


def test_a_new_file_and_a_new_name_have_another_digest(package):
    before = code_digest(package)
    (package / "training" / "kernels.py").write_text("fast = True\n")
    assert code_digest(package) != before
    (package / "training" / "kernels.py").unlink()
    (package / "training" / "masks.py").rename(package / "training" / "dropout.py")
    assert code_digest(package) != before


# -- Keras's own settings

SHOW = """
from common.training.environment import set_up_tensorflow
gpu = set_up_tensorflow(1)
import sys
import tf_keras
from tf_keras import backend, mixed_precision
print("keras" in sys.modules, gpu)
print(backend.floatx(), backend.epsilon(), backend.image_data_format(), mixed_precision.global_policy().name)
"""


@pytest.mark.tensorflow
def test_the_keras_settings_of_other_work_are_left_alone(tmp_path):
    """With `epsilon` a whole number Keras could not even be imported. Keras 3 is not imported at all."""
    mine = tmp_path / ".keras" / "keras.json"
    mine.parent.mkdir()
    mine.write_text('{"floatx": "float64", "epsilon": 1, "backend": "jax", "image_data_format": "channels_first"}')
    environment = os.environ | {"HOME": str(tmp_path), "KERAS_BACKEND": "torch", "CUDA_VISIBLE_DEVICES": ""}
    for name in ("KERAS_HOME", "TF_USE_LEGACY_KERAS"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", SHOW], cwd=PACKAGE.parent, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "False None\nfloat32 1e-07 channels_last float32\n"), done.stderr
    assert json.loads(mine.read_text())["floatx"] == "float64"
    assert os.listdir(mine.parent) == ["keras.json"]


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
    found = environment.software.__wrapped__()
    assert found["no-such-package"] is None and found["numpy"].count(".") == 2
