"""Nothing is left in the temporary folder, and what fails there is no failure of a run."""
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from stand_in import Training
from test_driver import finish, wait_until
from test_machine import real_group

from common.running import processes, temporary
from common.running.executor import NoWorkers
from common.running.processes import FreshProcesses

DRIVER = Path(__file__).parent / "stand_in.py"


@pytest.fixture
def place():
    """A temporary folder for drivers, whose path is short enough for sockets."""
    return Path(tempfile.mkdtemp())


def start(folder, place, *options, enter=""):
    command = [sys.executable, DRIVER, folder, "--fresh", "--instances", 1, "--seconds", 0, *options]
    return subprocess.Popen(["sh", "-c", f'{enter or "exec "}"$@"', "sh", *map(str, command)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=os.environ | {"TMPDIR": str(place)})


def test_nothing_is_left_whatever_becomes_of_the_runs(tmp_path, place):
    """Of runs that end, raise, exit and are killed."""
    returned, output, _ = finish(start(tmp_path, place, "--batch-sizes", 2, 3, 5, 7, 16))
    assert (returned, len(output.splitlines())) == (1, 3)
    assert os.listdir(place) == []


def test_what_a_killed_study_left_is_removed_by_the_next(tmp_path, place):
    (place / "bert-glue-notes").write_text("a file of somebody else")
    driver = start(tmp_path, place, "--batch-sizes", 11)  # it never ends
    wait_until(lambda: Training(tmp_path / "runs").count("begun"))
    driver.kill()
    finish(driver)
    (left,) = (path for path in place.iterdir() if path.is_dir())
    assert sorted(path.name.partition("-")[0] for path in left.iterdir()) == ["listener", "run"]
    returned, _, errors = finish(start(tmp_path, place, "--batch-sizes", 2))
    assert (returned, errors) == (0, "")
    assert os.listdir(place) == ["bert-glue-notes"]


def test_the_folder_of_a_living_study_is_left_alone(tmp_path, place):
    driver = start(tmp_path, place, "--batch-sizes", 11)
    wait_until(lambda: Training(tmp_path / "runs").count("begun"))
    (own,) = place.iterdir()
    assert finish(start(tmp_path, place, "--batch-sizes", 2))[0] == 0
    assert list(place.iterdir()) == [own]
    driver.send_signal(signal.SIGTERM)
    assert finish(driver)[0] == 143
    assert os.listdir(place) == []


def test_a_temporary_folder_with_a_long_path(tmp_path):
    """Sockets have at most 107 characters in their path."""
    long = tmp_path / ("long" * 25)
    long.mkdir()
    returned, output, errors = finish(start(tmp_path, long, "--batch-sizes", 2, 16))
    assert (returned, output, errors) == (0, "", "")
    assert os.listdir(long) == []


# -- failures of the place

@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An executor of this process whose temporary folder is new."""
    def make(name: str) -> FreshProcesses:
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        monkeypatch.setattr(multiprocessing.current_process(), "_config", dict(multiprocessing.current_process()._config))
        multiprocessing.current_process()._config.pop("tempdir", None)
        temporary.own_folder.cache_clear()
        return FreshProcesses(1)

    yield make
    temporary.own_folder.cache_clear()


def test_no_place_for_a_socket_is_no_failure_of_the_run(fresh, monkeypatch):
    monkeypatch.setattr(temporary, "SHORT", ())
    with fresh("long" * 25) as executor, pytest.raises(NoWorkers, match="long has too long a path; set TMPDIR to a shorter"):
        executor.submit(print, 1).result()


def test_a_process_that_cannot_be_started_is_no_failure_of_the_run(fresh, monkeypatch):
    def start(process):
        raise OSError(11, "Resource temporarily unavailable")

    executor = fresh("t")
    monkeypatch.setattr(executor._context.Process, "start", start)
    with executor, pytest.raises(NoWorkers, match=r"^no run can be trained here \(\[Errno 11\] Resource temp"):
        executor.submit(print, 1).result()


def test_a_full_disk_fails_the_call_and_no_run(tmp_path, place):
    sentence = "error: no run can be trained here (No space left on device: /full/disk); fix that and call again\n"
    for _ in range(4):
        returned, _, errors = finish(start(tmp_path, place, "--batch-sizes", 19))
        assert (returned, errors) == (2, sentence)
    assert sorted(Training(tmp_path / "runs").count("begun").items()) == [((19, 0), 4)]


def test_a_run_that_dies_at_the_limit_of_its_control_group_says_so(tmp_path, place):
    with real_group(500_000_000) as enter:
        returned, output, _ = finish(start(tmp_path, place, "--batch-sizes", 2, 21, enter=enter))
    assert (returned, output) == (1, "21: its process was killed for lack of memory within the 0.5 GB of its control group: try "
                                     "fewer --workers\n")


# -- GPUs

def see_gpu(argument, report):
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def test_runs_at_a_time_are_spread_over_the_gpus(monkeypatch):
    monkeypatch.setattr(processes, "find_gpus", lambda: ("0", "GPU-b"))
    with processes._take_gpu() as first, processes._take_gpu() as second, processes._take_gpu() as third:
        assert sorted([first, second]) == ["0", "GPU-b"]
        assert third in (first, second)
    assert sum(processes._on_gpu.values()) == 0


def test_a_run_sees_its_gpu_alone(monkeypatch):
    monkeypatch.setattr(processes, "find_gpus", lambda: ("GPU-b",))
    with FreshProcesses(1) as executor:
        executor._context.set_forkserver_preload(["common.running.driver"])
        assert executor.submit(see_gpu, 1).result() == "GPU-b"
