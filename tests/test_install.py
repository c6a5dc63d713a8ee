"""The installation: which Python is chosen, what make says when it fails, and what is said of packages that are not there."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common import UserError
from common.store.store import Store

ROOT = Path(__file__).parent.parent


def add_python(folder: Path, name: str, status: int) -> None:
    """A stand-in for an interpreter: whatever it is asked, it ends with this status."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\nexit {status}\n")
    (folder / name).chmod(0o755)


def find_python(tmp_path: Path, *folders: Path) -> list[str]:
    done = subprocess.run([ROOT / "scripts" / "find_python"], capture_output=True, text=True, check=True,
                          env={"PATH": ":".join(map(str, folders)), "HOME": str(tmp_path / "home")})
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_newest_working_python_comes_first(tmp_path):
    launchers, real = tmp_path / "launchers", tmp_path / "a folder"
    for name in ("python3.11", "python3.12", "python3.13", "python3"):  # as pyenv's launchers refuse
        add_python(launchers, name, 127)
    add_python(real, "python3.12", 0)
    add_python(real, "python3.11", 0)
    add_python(real, "python3.14", 0)  # not supported yet
    assert find_python(tmp_path, launchers, real) == [f"{real}/python3.12", f"{real}/python3.11"]


def test_a_python_that_pyenv_has_but_does_not_offer_is_found(tmp_path):
    add_python(tmp_path / "launchers", "python3.13", 127)
    versions = tmp_path / "home" / ".pyenv" / "versions" / "3.13.0"
    versions.mkdir(parents=True)
    add_python(versions / "bin", "python3.13", 0)
    assert find_python(tmp_path, tmp_path / "launchers") == [f"{versions}/bin/python3.13"]


@pytest.fixture
def program(tmp_path):
    """A folder in which `make .venv/ready` has one package to install that cannot be had."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    lock = f"--no-index\n--find-links file:///nowhere\nidna==3.20 --hash=sha256:{64 * '0'}\n"
    (tmp_path / "requirements.lock").write_text(lock)
    return tmp_path


def make(program: Path, **variables) -> subprocess.CompletedProcess:
    given = [f"{name}={value}" for name, value in variables.items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PIP_"))}
    return subprocess.run(["make", ".venv/ready", *given], cwd=program, capture_output=True, text=True, env=environment)


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize(("python", "sentence"), [
    ("", "error: Python 3.11, 3.12 or 3.13 is needed, with its venv module, and none was found; install one, or name it with "
         "make PYTHON=/path/to/python3.13\n"),
    ("/bin/false", "error: /bin/false is not Python 3.11, 3.12 or 3.13; name another with make PYTHON=/path/to/python3.13\n")])
def test_make_names_the_versions_when_none_fits(program, python, sentence):
    done = make(program, PYTHON=python)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_make_shows_errors_of_pip_but_no_warnings(program):
    done = make(program, PYTHON=sys.executable)
    assert done.returncode == 2
    assert "ERROR: No matching distribution found for idna==3.20" in done.stderr
    assert "WARNING" not in done.stderr + done.stdout
    assert not (program / ".venv" / "ready").exists()


@pytest.mark.parametrize(("uv", "pip", "calls"), [(0, 0, ["uv pip", "python -c"]), (1, 0, ["uv pip", "python -m", "python -c"]),
                                                  (1, 1, ["uv pip", "python -m"])])
def test_pip_installs_what_uv_cannot_and_then_the_program_is_compiled(tmp_path, uv, pip, calls):
    for name, status in (("uv", uv), ("python", pip)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} $* >> {tmp_path}/calls\nexit {status}\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([ROOT / "scripts" / "install_packages", tmp_path / "python", "some.lock"], check=False)
    assert done.returncode == pip
    made = (tmp_path / "calls").read_text().splitlines()
    assert [" ".join(call.split()[:2]) for call in made] == calls
    assert all(call.endswith("--require-hashes --requirement some.lock") for call in made if "python -c" not in call)


def test_a_missing_driver_is_named_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "sqlalchemy.dialects.postgresql.psycopg", raising=False)
    with pytest.raises(UserError) as raised:
        Store("postgresql+psycopg://anna:s3cret@127.0.0.1:1/results")
    assert str(raised.value) == ("the results store postgresql+psycopg://anna:***@127.0.0.1:1/results needs the package psycopg, "
                                 "which is not installed; install it with `make .venv/all`")


def test_an_unknown_kind_of_database_is_refused():
    with pytest.raises(UserError) as raised:
        Store("nosuchbase://127.0.0.1/results")
    assert str(raised.value) == ("SQLAlchemy does not know the kind of database in nosuchbase://127.0.0.1/results; --db takes a "
                                 "file, or an address such as postgresql+psycopg://user@host/name")


def test_a_missing_dask_is_named_with_the_way_to_install_it():
    code = "import sys; sys.modules['distributed'] = None; import common.running.dask.cluster"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == ("common.UserError: --cluster needs the package distributed (Dask), which is not "
                                            "installed; install it with `make .venv/all`")
