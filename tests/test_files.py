"""Files and folders that appear whole or not at all, and the lock of the cache; with real processes, users and full disks."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from common.files import file_lock, make_once, new_file, new_folder, process_space, replace_file, write_arrays

ROOT = Path(__file__).parent.parent
HOLD = """if True:
    import sys
    from pathlib import Path
    from common.files import file_lock
    with file_lock(Path(sys.argv[1])):
        print("locked", flush=True)
        sys.stdin.read()
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")


def start(code, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.fixture
def open_folder():
    """A folder that every user can enter, as those of pytest are not."""
    before = os.umask(0o022)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
    os.umask(before)


# -- writing

def test_a_file_is_replaced_whole(tmp_path):
    for content in (b"old", b"new"):
        replace_file(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_whose_writing_fails_stays_as_it_was(tmp_path):
    replace_file(tmp_path / "file", b"old")
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "file") as new:
        new.write_bytes(b"half")
        1 / 0  # noqa: B018
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("write", ["replace_file(path, bytes(100_000))", "write_arrays(path, {'a': np.zeros(20_000)})"])
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, write):
    code = f"""if True:
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        from common.files import replace_file, write_arrays
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        path = Path(sys.argv[1])
        try:
            {write}
        except OSError as error:
            print(error.errno, error.filename)"""
    printed, _ = start(code, tmp_path / "file").communicate()
    assert printed == f"27 {tmp_path}/file\n"  # EFBIG
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_goes_with_the_next_writing(tmp_path, kind):
    code = f"""if True:
        import os, sys
        from pathlib import Path
        from common.files import new_file, new_folder
        with new_{kind}(Path(sys.argv[1])) as new:
            (new / "a" if {kind == 'folder'} else new).write_text("half")
            os.kill(os.getpid(), 9)"""
    assert start(code, tmp_path / "x").wait(20) == -9
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".x.")
    others = [f".x.{os.getpid()}-9999-{process_space()}.new",  # of a process that lives,
              ".x.999999-0-01234567.new", ".x.999999-0.new"]  # of one that cannot be seen from here, and of an older program
    old = tmp_path / ".x.999999-1-01234567.new"
    for path in (*(tmp_path / name for name in others), old):
        path.touch()
    os.utime(old, (0, 0))
    with new_folder(tmp_path / "x") if kind == "folder" else new_file(tmp_path / "x") as new:
        (new / "a" if kind == "folder" else new).write_text("whole")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "x"])


def test_arrays_can_be_read_by_every_user(tmp_path):
    before = os.umask(0o022)
    try:
        write_arrays(tmp_path / "a.npz", {"ids": np.arange(3)})
        replace_file(tmp_path / "b", b"")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.npz", "b")] == [0o644, 0o644]
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["ids"].tolist() == [0, 1, 2]


# -- locking

def test_who_waits_for_a_lock_says_so_and_goes_on(tmp_path):
    entry = tmp_path / "tokens" / "x.npz"
    holder = start(HOLD, entry)
    assert holder.stdout.readline() == "locked\n"
    waiting = start(HOLD, entry)
    assert waiting.stderr.readline() == "waiting for another process that makes x.npz\n"
    holder.communicate("")
    assert waiting.stdout.readline() == "locked\n"
    assert waiting.communicate("") == ("", "")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["locks", "tokens", "x.npz.lock"]


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    holder = start(HOLD, tmp_path / "tokens" / "x")
    assert holder.stdout.readline() == "locked\n"
    holder.kill()
    holder.wait()
    with file_lock(tmp_path / "tokens" / "x"):
        pass


def test_an_entry_is_made_once(tmp_path):
    made = []

    def make():
        made.append(1)
        replace_file(tmp_path / "a" / "x", b"x")

    make_once(tmp_path / "a" / "x", make)
    make_once(tmp_path / "a" / "x", make)
    assert made == [1]


@needs_root
def test_two_users_share_locks_and_entries(open_folder):
    """What the first has made and locked before, the second can use."""
    with file_lock(open_folder / "a" / "x"):
        replace_file(open_folder / "a" / "x", b"whole")
    code = """if True:
        import os, sys
        from pathlib import Path
        from common.files import file_lock, make_once
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        with file_lock(Path(sys.argv[1])):
            make_once(Path(sys.argv[1]), lambda: print("made again"))
            print(Path(sys.argv[1]).read_bytes())
        try:
            make_once(Path(sys.argv[1]).with_name("y"), lambda: None)
        except PermissionError as error:
            print(error.filename)"""
    printed, errors = start(code, open_folder / "a" / "x").communicate()
    assert (printed, errors) == (f"b'whole'\n{open_folder}/locks/y.lock\n", "")


def test_a_system_without_fcntl_locks_as_windows_does(tmp_path):
    """The branch for Windows, with a stand-in for its module that says "taken" once."""
    code = """if True:
        import errno, sys, types
        sys.modules["fcntl"] = None
        calls = []
        def locking(descriptor, mode, size):
            calls.append((mode, size))
            if len(calls) == 1:
                raise PermissionError(errno.EACCES, "Permission denied")
        from pathlib import Path
        from common.files import file_lock
        sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
        with file_lock(Path(sys.argv[1])):
            print(calls)"""
    printed, errors = start(code, tmp_path / "a" / "x").communicate()
    assert (printed, errors) == ("[(2, 1), (2, 1)]\n", "waiting for another process that makes x\n")
