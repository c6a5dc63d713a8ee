"""Two containers on one machine: process namespaces of their own, one host name, one store on a shared disk."""
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import Training

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
DRIVER = Path(__file__).parent / "stand_in.py"


def can_unshare() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif("not can_unshare()", reason="no process namespaces may be made here: unshare needs root")


def start_driver(folder, *options, unshare=UNSHARE):
    return subprocess.Popen([*unshare, sys.executable, DRIVER, folder, *map(str, options)], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("second", [UNSHARE, UNSHARE[:-1], []], ids=["its own /proc", "the host's /proc", "the host"])
def test_two_drivers_in_namespaces_of_their_own_train_every_run_once(tmp_path, second):
    options = ("--batch-sizes", 2, 8, "--instances", 2, "--seconds", 1, "--workers", 1)
    drivers = [start_driver(tmp_path, *options), start_driver(tmp_path, *options, unshare=second)]
    assert [(driver.wait(60), driver.stderr.read()) for driver in drivers] == [(0, "")] * 2
    runs = Training(tmp_path / "runs")
    assert runs.count("begun") == runs.count("ended") == {(2, 0): 1, (2, 1): 1, (8, 0): 1, (8, 1): 1}


def test_a_run_held_in_another_namespace_is_taken_over_after_the_lease(tmp_path):
    first = start_driver(tmp_path, "--batch-sizes", 8, "--instances", 1, "--seconds", 600)
    runs = Training(tmp_path / "runs")
    deadline = time.monotonic() + 30
    while not runs.count("begun"):
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.05)
    second = start_driver(tmp_path, "--batch-sizes", 8, "--instances", 1, "--lease", 3)
    first.kill()
    first.wait()
    killed = time.monotonic()
    assert second.wait(60) == 0
    assert time.monotonic() - killed > 2
    assert runs.count("ended") == {(8, 0): 1}
