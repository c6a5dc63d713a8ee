"""Fixtures that several test files share."""
import os
import signal
import tempfile

import postgres_server
import pytest
import stand_in

from common.running.temporary import own_folder
from common.store.owner import Owner
from common.store.store import Store

# TensorFlow leaves files in the temporary folder of a process: the tests have one of their own, save for pytest's own folders.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
tempfile.tempdir = os.environ["TMPDIR"] = str(own_folder())
os.chmod(tempfile.tempdir, 0o711)  # PostgreSQL's server, of another user, has its folder in it

# A shell starts its background jobs with Ctrl-C ignored, and every process started from there inherits that: the tests of
# Ctrl-C need it as in the foreground.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Files that train or are slow come first, so that no worker is left alone with a long one in the end."""
    heavy = {item.path for item in items if item.get_closest_marker("tensorflow") or item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in heavy)


@pytest.fixture
def store(tmp_path):
    """A new, empty results store in `tmp_path / "results.db"`."""
    store = Store(tmp_path / "results.db")
    yield store
    store.close()


@pytest.fixture(scope="session")
def postgres():
    """A running PostgreSQL server of the tests' own."""
    programs = postgres_server.find_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL server on this machine: install the package postgresql")
    server = postgres_server.Server(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def database(postgres):
    """The URL of an empty place for a store in PostgreSQL."""
    return postgres.new_place()


@pytest.fixture
def config():
    """Batch size 8 and rate 2e-5 on MRPC."""
    return stand_in.make_config()


@pytest.fixture
def owner():
    return Owner.of_this_process()


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """The GPUs that are found with a stand-in for nvidia-smi, with CUDA's libraries or without."""
    from common.training import machine

    def find(nvidia_smi=None, visible=None, cuda=True):
        if nvidia_smi:
            (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{nvidia_smi}\n")
            (tmp_path / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(machine, "_has_cuda", lambda: cuda)
        machine.find_gpus.cache_clear()
        return machine.find_gpus()

    yield find
    machine.find_gpus.cache_clear()


@pytest.fixture(scope="session")
def tf():
    """TensorFlow, set up in this process as a worker sets it up."""
    from common.training.environment import set_up_tensorflow

    set_up_tensorflow(1)
    import tensorflow

    return tensorflow


@pytest.fixture
def fill(tmp_path, monkeypatch):
    """A `TaskFiller` of `results.db` in the working folder, for reports."""
    from task_filler import TaskFiller

    monkeypatch.chdir(tmp_path)
    filler = TaskFiller("results.db")
    yield filler
    filler.store.close()
