"""What this process may use of its machine, and how many runs at a time fit on it.

Linux limits a process by its affinity and by control groups: its own and all those around it (cgroups(7)); a container is such a
group. Both versions of them are read.
"""
import functools
import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil

MEMORY_OF_A_RUN = 1.5e9
"""Bytes."""
ROOT = Path("/")
"""Where the system's files are; the tests have others."""
GRANTED = ("SLURM_CPUS_PER_TASK", "PBS_NCPUS", "NSLOTS", "LSB_DJOB_NUMPROC")
"""Variables by which SLURM, PBS, Grid Engine and LSF tell a job how many cores it was granted, whether or not they enforce it."""


def runs_at_a_time(threads: int, cores: int | None = None, memory: float | None = None) -> int:
    """How many runs fit on a machine at a time: one for each GPU, else one for each core; in both cases as far as memory goes.

    Args:
      threads: threads of each run.
      cores, memory: how many cores and bytes there are; None: what this process may use.
    """
    carried = len(find_gpus()) or (count_cores() if cores is None else cores) // threads
    return max(1, int(min(carried, (free_memory() if memory is None else memory) // MEMORY_OF_A_RUN)))


def count_cores() -> int:
    """Cores that this process may use: by its affinity, its control groups, and what a batch system granted it."""
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = [int(value) for value in map(os.environ.get, GRANTED) if value and value.isdigit()]
    return max(1, int(min([have, *granted, *map(_quota, _groups("cpu"))])))


def free_memory() -> float:
    """Bytes that new processes may take: of the machine, and within the limits of this process's control groups."""
    free = [_limit(group) - _used(group) for group in _groups("memory")]
    return max(0.0, min([psutil.virtual_memory().available, *free]))


def memory_limit() -> float:
    """The lowest memory limit among this process's control groups, in bytes; infinite without one."""
    return min(map(_limit, _groups("memory")), default=float("inf"))


def count_memory_kills() -> int:
    """How many processes of this process's control group were killed for lack of memory so far."""
    own = [groups[0] for groups in _hierarchies("memory")]
    return sum(_field(group / name, "oom_kill") for group in own for name in ("memory.events", "memory.oom_control"))


# -- control groups: what is not limited has an infinite limit

def _quota(group: Path) -> float:
    """Cores."""
    words = _read(group / "cpu.max").split() or [_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    return int(words[0]) / int(words[1]) if all(word.isdigit() for word in words) else float("inf")  # else "max", or -1


def _limit(group: Path) -> float:
    """Bytes."""
    values = [_read(group / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    return min((float(value) for value in values if value.isdigit()), default=float("inf"))


def _used(group: Path) -> float:
    """Bytes, without those of files that are only kept in memory while nobody needs it."""
    used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes") or "0"
    files = _field(group / "memory.stat", "total_inactive_file") or _field(group / "memory.stat", "inactive_file")
    return float(used) - files


def _groups(controller: str) -> list[Path]:
    return list(itertools.chain.from_iterable(_hierarchies(controller)))


def _hierarchies(controller: str) -> list[list[Path]]:
    """For each mounted hierarchy with this controller: the folder of this process's control group, then those around it as far as
    they can be seen."""
    own = {name: path for line in _read(ROOT / "proc/self/cgroup").splitlines()
           for _, names, path in [line.split(":", 2)] for name in names.split(",")}  # version 2 has an empty name
    found = []
    for mount, top, names in _mounts():
        name = controller if controller in names else "" if "cgroup2" in names else None
        if name in own:
            inside = Path(own[name]).is_relative_to(top) and ".." not in own[name]
            below = Path(own[name]).relative_to(top) if inside else Path()
            found.append([mount / group for group in (below, *below.parents)])
    return found


def _mounts() -> Iterator[tuple[Path, str, list[str]]]:
    """Folder, topmost group, and controllers (or `cgroup2`) of each mounted hierarchy, from proc_pid_mountinfo(5)."""
    for line in _read(ROOT / "proc/self/mountinfo").splitlines():
        where, _, what = line.partition(" - ")
        kind, _, options = what.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            top, mount = where.split(" ")[3:5]
            yield ROOT / mount.lstrip("/"), top, [kind, *options.split(",")]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _field(path: Path, name: str) -> int:
    """A number in a file that has a name and a number on each line; 0 where it is not there."""
    found = re.search(rf"^{name} (\d+)$", _read(path), re.MULTILINE)
    return int(found[1]) if found else 0


# -- GPUs

@functools.cache
def find_gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that TensorFlow will use, named as in CUDA_VISIBLE_DEVICES; found without loading TensorFlow."""
    return _visible_gpus() if _has_cuda() else ()


def has_unused_gpu() -> bool:
    """Whether there is a GPU that TensorFlow will not use, because the CUDA libraries are missing."""
    return not _has_cuda() and bool(_visible_gpus())


def _has_cuda() -> bool:
    """Whether there is cuDNN, without which TensorFlow computes on the processor: from pip, or of the system."""
    from ctypes.util import find_library

    return bool(find_spec("nvidia") and find_spec("nvidia.cudnn") or find_library("cudnn"))


def _visible_gpus() -> tuple[str, ...]:
    """The GPUs of the machine, or those that CUDA_VISIBLE_DEVICES chooses, up to the first that is not there (as CUDA does)."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    numbers = re.findall(r"^GPU (\d+):", listed, re.MULTILINE)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(numbers)
    names = [name.strip() for name in chosen.split(",")]
    return tuple(itertools.takewhile(lambda name: name in numbers or (len(name) > 4 and name in listed), names))
