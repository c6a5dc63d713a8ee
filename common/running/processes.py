"""An executor that gives every call a process of its own.

A fresh process keeps memory flat, makes a crash cost one run, and starts from the same state whatever ran before. It is
forked from a server that has TensorFlow imported already, so it starts in a quarter of a second instead of ten.
"""
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path

from common import PACKAGE
from common.running.executor import WorkerError


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
        self._context = multiprocessing.get_context("forkserver")
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
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            receiver, sender = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_child, args=(sender, log.name, function, argument))
            _start(process)
            self._processes.add(process)
            if self._stopped:
                process.kill()
            sender.close()
            try:
                return self._receive(receiver, process, argument, Path(log.name))
            finally:
                receiver.close()
                process.join()
                self._processes.discard(process)

    def _receive(self, receiver, process, argument, log: Path):
        while True:
            try:
                kind, *content = receiver.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                raise WorkerError(_cause_of_death(process.exitcode), log.read_text(errors="replace")) from None
            if kind == "report":
                self.on_report(argument, *content)
            elif kind == "result":
                return content[0]
            else:
                raise WorkerError(*content)


_starting = threading.Lock()


def _start(process: multiprocessing.Process) -> None:
    """Starts a process that does not import the main module, as multiprocessing has it: a script that trains at its top level,
    without `if __name__ == "__main__"`, would run again in each."""
    with _starting:
        main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
        try:
            process.start()
        finally:
            sys.modules["__main__"] = main


def path_to_this_program() -> str:
    """The value of PYTHONPATH with which another Python finds this program, whatever its folder."""
    here, paths = str(PACKAGE.parent), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(filter(None, [here, *(path for path in paths if path != here)]))


def _child(sender, log: str, function, argument) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)  # TensorFlow's chatter is shown only if the process dies
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    try:
        result = function(argument, lambda progress: sender.send(("report", progress)))
        sender.send(("result", result))
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # Python's, or TensorFlow's
            sender.send(("error", "out of memory: try fewer --workers or a smaller batch", traceback.format_exc()))
            return
        text = str(error).strip().splitlines()
        sender.send(("error", f"{type(error).__name__}: {text[0] if text else ''}".removeprefix("UserError: "),
                     traceback.format_exc()))


def _end_with_parent() -> None:
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _cause_of_death(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "its process was killed (signal 9), perhaps for lack of memory: try fewer --workers"
    if exit_code < 0:
        return f"its process died of signal {-exit_code} ({signal.strsignal(-exit_code)})"
    return f"its process ended with exit status {exit_code}"
