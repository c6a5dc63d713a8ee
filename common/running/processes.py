"""An executor that runs every call in a new process.

A fresh process keeps memory flat, makes a crash cost one run, and starts from the same state whatever ran before. On Linux it is
forked from a server that has TensorFlow imported already, so it starts in a quarter of a second instead of ten. On macOS a fork
after that import is not safe, and every process imports TensorFlow itself.
"""
import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
import types
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path

from common import PACKAGE, UserError
from common.running.executor import NoWorkers, WorkerError
from common.running.temporary import run_folder, socket_folder
from common.training.machine import count_memory_kills, find_gpus, memory_limit

PLACE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
"""Errors of the machine and not of a run: no room, a read-only disk, too many open files."""
_on_gpu: Counter[str | None] = Counter()
"""How many runs of this process use each GPU."""
_lock = threading.Lock()
"""For what all executors of this process share."""


class FreshProcesses(Executor):
    """Runs `function(argument, report)` in a new process for each call, several at a time.

    Args:
      workers: how many at a time.
      on_report: called with (argument, what `report` was called with), from another thread.
    """

    def __init__(self, workers: int, on_report: Callable = lambda argument, progress: None):
        self._threads = ThreadPoolExecutor(workers)
        self.on_report = on_report
        self._workers = workers
        self._processes = set()
        self._stopped = False
        self._context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self._context.set_forkserver_preload(["common.running.preload"])
        # Python 3.11 does not hand its search path to the server, which else preloads nothing when started from elsewhere.
        os.environ["PYTHONPATH"] = path_to_this_program()

    def places(self) -> int:
        """How many runs at a time it takes."""
        return self._workers

    def submit(self, function, /, argument) -> Future:
        return self._threads.submit(self._run, function, argument)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """Ends every process now; their calls fail."""
        self._stopped = True
        for process in list(self._processes):
            process.kill()
        self.shutdown(cancel_futures=True)

    def _run(self, function, argument):
        with _place() as folder, _take_gpu() as gpu:
            killed = count_memory_kills()
            receiver, sender = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_child, args=(sender, folder, gpu, function, argument))
            _start(process)
            self._processes.add(process)
            if self._stopped:
                process.kill()
            sender.close()
            try:
                return self._receive(receiver, process, argument, folder)
            except EOFError:
                process.join()
                log = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
                raise WorkerError(_cause_of_death(process.exitcode, count_memory_kills() > killed), log) from None
            finally:
                receiver.close()
                process.join()
                self._processes.discard(process)

    def _receive(self, receiver, process, argument, folder: Path):
        """What the process sends in the end.

        Raises:
          EOFError: it has died.
        """
        while True:
            try:
                kind, *content = receiver.recv()
            except ConnectionResetError:
                raise EOFError from None
            if kind == "report":
                self.on_report(argument, *content)
            elif kind == "result":
                return content[0]
            elif kind == "place":
                raise NoWorkers(content[0])
            else:
                raise WorkerError(*content)


def path_to_this_program() -> str:
    """The value of PYTHONPATH with which another Python finds this program, whatever its folder."""
    here, paths = str(PACKAGE.parent), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(filter(None, [here, *(path for path in paths if path != here)]))


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    """The folder for a run's temporary files; what fails here is the machine's fault and not the run's."""
    try:
        with _lock:
            multiprocessing.current_process()._config.setdefault("tempdir", str(socket_folder()))
            folder = run_folder()
    except OSError as error:
        raise _cannot_train(error) from error
    with folder as name:
        yield Path(name)


@contextlib.contextmanager
def _take_gpu() -> Iterator[str | None]:
    """The GPU with the fewest runs of this process; None on a machine without one."""
    with _lock:
        gpu = min(find_gpus(), key=_on_gpu.__getitem__, default=None)
        _on_gpu[gpu] += 1
    try:
        yield gpu
    finally:
        with _lock:
            _on_gpu[gpu] -= 1


def _start(process: multiprocessing.Process) -> None:
    """Starts a process that does not import the main module, as multiprocessing has it: a script that trains at its top level,
    without `if __name__ == "__main__"`, would run again in each."""
    with _lock:
        main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
        try:
            process.start()
        except (OSError, EOFError) as error:  # the latter: the server that it is forked from has died
            raise _cannot_train(error) from error
        finally:
            sys.modules["__main__"] = main


def _cannot_train(error: Exception | str) -> NoWorkers:
    return NoWorkers(f"no run can be trained here ({error or type(error).__name__}); fix that and call again")


def _child(sender, folder: Path, gpu: str | None, function, argument) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 2)  # TensorFlow's chatter is shown only if the process dies
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        result = function(argument, lambda progress: sender.send(("report", progress)))
        sender.send(("result", result))
    except Exception as error:
        sender.send(_describe(error))


def _describe(error: Exception) -> tuple[str, ...]:
    """What a worker process sends when its call has failed."""
    if isinstance(error, OSError) and error.errno in PLACE_ERRORS:
        text = f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
        return "place", str(_cannot_train(text))
    if isinstance(error, UserError) and isinstance(error.__cause__, OSError):  # the cache cannot be used, by no run
        return "place", f"no run can be trained here: {error}"
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # Python's, or TensorFlow's
        return "error", "out of memory: try fewer --workers or a smaller batch", traceback.format_exc()
    text = str(error).strip().splitlines()
    return "error", f"{type(error).__name__}: {text[0] if text else ''}".removeprefix("UserError: "), traceback.format_exc()


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _cause_of_death(exit_code: int, for_memory: bool) -> str:
    """Why a process died.

    Args:
      for_memory: the system has killed a process of this control group for lack of memory since the run began.
    """
    if exit_code == -signal.SIGKILL and for_memory:
        limit = memory_limit()
        where = f" within the {limit / 1e9:.1f} GB of its control group" if limit < float("inf") else ""
        return f"its process was killed for lack of memory{where}: try fewer --workers"
    if exit_code == -signal.SIGKILL:
        return "its process was killed (signal 9), perhaps for lack of memory: try fewer --workers"
    if exit_code < 0:
        return f"its process died of signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return f"its process ended with exit status {exit_code}"
