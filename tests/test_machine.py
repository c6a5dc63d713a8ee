"""What a process may use of its machine: affinity, control groups made up and real, batch systems, GPUs by a stand-in."""
import contextlib
import os
import runpy
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from stand_in import make_config

from common.running.planning import Need, find_needs
from common.running.threads import share_cores
from common.training import machine

ROOT = Path(__file__).parent.parent
VERSION_1 = """\
31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
IN_DOCKER = """\
32 31 0:29 /docker/4711 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu
35 31 0:32 /docker/4711 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
"""
VERSION_2 = "31 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
NO_LIMIT_OF_1 = str(0x7FFFFFFFFFFFF000)


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Makes a machine of 16 cores and 64 GB free whose system files are given: own groups, mounts, and path -> content."""
    def make(groups: str = "", mounts: str = "", **files: str):
        files |= {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")

    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: SimpleNamespace(available=64e9))
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    monkeypatch.setattr(machine, "find_gpus", lambda: ())
    for name in machine.GRANTED:
        monkeypatch.delenv(name, raising=False)
    return make


def test_without_control_groups_the_machine_is_the_limit(system):
    system()
    assert (machine.count_cores(), machine.free_memory(), machine.memory_limit()) == (16, 64e9, float("inf"))
    assert [machine.runs_at_a_time(threads) for threads in (1, 3, 32)] == [16, 5, 1]


@pytest.mark.parametrize("files, cores", [
    ({"cpu.max": "400000 100000"}, 4), ({"cpu.max": "150000 100000"}, 1), ({"cpu.max": "50000 100000"}, 1),
    ({"cpu.max": "max 100000"}, 16), ({"cpu.max": "9900000 100000"}, 16), ({}, 16)])
def test_cores_of_a_container_of_version_2(system, files, cores):
    system("0::/", VERSION_2, **{f"sys/fs/cgroup/{name}": content for name, content in files.items()})
    assert machine.count_cores() == cores


@pytest.mark.parametrize("files, free", [
    ({"memory.max": "4000000000"}, 4e9),
    ({"memory.max": "4000000000", "memory.current": "1500000000"}, 2.5e9),
    ({"memory.max": "4000000000", "memory.current": "3500000000", "memory.stat": "anon 5\ninactive_file 3000000000"}, 3.5e9),
    ({"memory.max": "max", "memory.high": "3000000000", "memory.current": "1000000000"}, 2e9),
    ({"memory.max": "4000000000", "memory.current": "4100000000"}, 0),
    ({"memory.max": "max", "memory.high": "max", "memory.current": "1000000000"}, 64e9),
    ({}, 64e9)])
def test_memory_of_a_container_of_version_2(system, files, free):
    system("0::/", VERSION_2, **{f"sys/fs/cgroup/{name}": content for name, content in files.items()})
    assert machine.free_memory() == free


def test_a_container_of_4_gb_on_a_large_host_takes_two_runs(system):
    system("0::/", VERSION_2, **{"sys/fs/cgroup/memory.max": "4000000000", "sys/fs/cgroup/memory.current": "300000000"})
    assert machine.runs_at_a_time(1) == 2
    assert machine.runs_at_a_time(1, cores=1, memory=9e9) == 1


def test_the_lowest_limit_of_the_groups_around_it_counts(system):
    """The job has neither limit itself: its user's slice bounds memory, and what is above that the cores."""
    job = "sys/fs/cgroup/slurm/user_7/job_42"
    system("0::/slurm/user_7/job_42", VERSION_2, **{
        f"{job}/memory.max": "max", f"{job}/memory.current": "100000000", f"{job}/cpu.max": "max 100000",
        "sys/fs/cgroup/slurm/user_7/memory.max": "8000000000", "sys/fs/cgroup/slurm/user_7/memory.current": "5000000000",
        "sys/fs/cgroup/slurm/cpu.max": "300000 100000", "sys/fs/cgroup/slurm/memory.max": "90000000000",
        "sys/fs/cgroup/slurm/user_8/memory.max": "1000"})
    assert (machine.count_cores(), machine.free_memory(), machine.memory_limit()) == (3, 3e9, 8e9)


def test_control_groups_of_version_1(system):
    """As on a machine that has both: the second version is mounted, too, and holds no controller."""
    system("4:memory:/batch/job\n3:cpu,cpuacct:/batch\n1:name=systemd:/\n0::/", VERSION_1, **{
        "sys/fs/cgroup/memory/batch/job/memory.limit_in_bytes": NO_LIMIT_OF_1,
        "sys/fs/cgroup/memory/batch/memory.limit_in_bytes": "6000000000",
        "sys/fs/cgroup/memory/batch/memory.usage_in_bytes": "4000000000",
        "sys/fs/cgroup/memory/batch/memory.stat": "inactive_file 7\ntotal_inactive_file 1000000000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": NO_LIMIT_OF_1,
        "sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_quota_us": "250000",
        "sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"})
    assert (machine.count_cores(), machine.free_memory()) == (2, 3e9)


def test_a_container_of_version_1_sees_its_own_group_at_the_top_of_the_mount(system):
    system("4:memory:/docker/4711\n3:cpu:/docker/4711", IN_DOCKER, **{
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000", "sys/fs/cgroup/memory/memory.usage_in_bytes": "100000000",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"})
    assert (machine.count_cores(), machine.free_memory()) == (2, 1.9e9)


def test_a_group_outside_of_what_is_mounted_is_looked_for_at_the_top(system):
    system("0::/../../other", VERSION_2, **{"sys/fs/cgroup/memory.max": "2000000000"})
    assert machine.free_memory() == 2e9


@pytest.mark.parametrize("variables, cores", [
    ({"SLURM_CPUS_PER_TASK": "4"}, 4), ({"NSLOTS": "2", "PBS_NCPUS": "3"}, 2), ({"SLURM_CPUS_PER_TASK": "64"}, 16),
    ({"SLURM_CPUS_PER_TASK": "0"}, 1), ({"SLURM_CPUS_PER_TASK": ""}, 16), ({"SLURM_CPUS_PER_TASK": "4(x2)"}, 16)])
def test_what_a_batch_system_granted_counts_also_where_it_is_not_enforced(system, monkeypatch, variables, cores):
    system()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert machine.count_cores() == cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_the_affinity_of_a_process_counts():
    def ask():
        return int(subprocess.run([sys.executable, "-c", "from common.training.machine import *; print(count_cores())"], cwd=ROOT,
                                  capture_output=True, text=True, check=True).stdout)

    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert ask() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_system_without_affinity_has_the_cores_of_the_machine(system, monkeypatch):
    system()
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 10)
    assert machine.count_cores() == 10


def test_kills_for_lack_of_memory_are_counted_for_this_group_alone(system):
    system("0::/box", VERSION_2, **{
        "sys/fs/cgroup/box/memory.events": "low 0\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 0",
        "sys/fs/cgroup/memory.events": "oom_kill 90"})
    assert machine.count_memory_kills() == 2
    system("4:memory:/box", VERSION_1, **{
        "sys/fs/cgroup/memory/box/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5"})
    assert machine.count_memory_kills() == 5


# -- real control groups

@contextlib.contextmanager
def real_group(limit: int):
    """A new control group inside this process's own with a memory limit; gives what moves a process into it."""
    for own in [groups[0] for groups in machine._hierarchies("memory")]:
        group = own / f"test-{uuid.uuid4().hex[:8]}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            name = "memory.max" if (group / "memory.max").exists() else "memory.limit_in_bytes"
            (group / name).write_text(str(limit))
            yield f"echo $$ > {group}/cgroup.procs && exec "
            return
        except PermissionError:
            continue
        finally:
            with contextlib.suppress(OSError):
                group.rmdir()
    pytest.skip("no control group with a memory limit may be made here")


def test_a_real_control_group_bounds_memory_and_runs():
    code = "from common.training.machine import *; print(memory_limit(), runs_at_a_time(1, cores=16), free_memory())"
    with real_group(3_200_000_000) as enter:
        done = subprocess.run(["sh", "-c", f"{enter} {sys.executable} -c '{code}'"], cwd=ROOT, capture_output=True, text=True,
                              check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    limit, runs, free = map(float, done.stdout.split())
    assert (limit, runs) == (pytest.approx(3.2e9, rel=1e-5), 2)
    assert 3.0e9 < free < 3.2e9


# -- GPUs

TWO = "echo 'GPU 0: NVIDIA H100 (UUID: GPU-aaaa-1)'; echo 'GPU 1: NVIDIA H100 (UUID: GPU-bbbb-2)'"


@pytest.mark.parametrize("nvidia_smi, visible, found", [
    (TWO, None, ("0", "1")), (TWO, "1", ("1",)), (TWO, "1,0", ("1", "0")), (TWO, "GPU-bbbb-2", ("GPU-bbbb-2",)),
    (TWO, "", ()), (TWO, "-1", ()), (TWO, "0,7,1", ("0",)), ("exit 9", None, ()), (None, None, ()), (None, "0", ())])
def test_gpus_are_those_that_the_process_may_see(gpus, nvidia_smi, visible, found):
    assert gpus(nvidia_smi, visible) == found


def test_a_gpu_without_the_libraries_of_cuda_is_not_used(gpus):
    assert gpus(TWO, cuda=False) == ()
    assert machine.has_unused_gpu()
    gpus(TWO)
    assert not machine.has_unused_gpu()
    gpus(TWO, visible="", cuda=False)
    assert not machine.has_unused_gpu()


def test_runs_at_a_time_are_what_the_gpus_carry_and_not_the_cores(gpus, monkeypatch):
    gpus(TWO)
    monkeypatch.setattr(machine, "count_cores", lambda: 16)
    monkeypatch.setattr(machine, "free_memory", lambda: 64e9)
    assert machine.runs_at_a_time(1) == 2
    assert machine.runs_at_a_time(1, cores=16, memory=2e9) == 1
    gpus(TWO, visible="1")
    assert machine.runs_at_a_time(1) == machine.runs_at_a_time(8) == 1
    gpus(TWO, visible="")
    assert machine.runs_at_a_time(1) == 16


# -- a program and a home that can only be read

def test_kernels_are_compiled_where_nothing_can_be_written(monkeypatch):
    caching = pytest.importorskip("numba.core.caching")
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator available"):
        pytest.importorskip("numba").njit(cache=True)(lambda: 0)
    namespace = runpy.run_module("common.training.kernels")
    assert namespace["sum_of_squares"](np.float32([3, 4])) == 25


# -- threads of a run

@pytest.mark.parametrize(("asked", "workers", "runs", "threads"), [
    (1, None, 1, 1), (3, None, 1, 3),
    ("auto", None, 1, 16), ("auto", None, 5, 3), ("auto", None, 16, 1), ("auto", None, 100, 1),
    ("auto", 2, 100, 8),  # no more than two at a time, as asked
])
def test_idle_cores_are_shared_out_when_asked(monkeypatch, asked, workers, runs, threads):
    from common.running.options import RunOptions

    monkeypatch.setattr(machine, "count_cores", lambda: 16)
    monkeypatch.setattr(machine, "free_memory", lambda: 64e9)
    monkeypatch.setattr(machine, "find_gpus", lambda: [])
    config = make_config()
    shared = RunOptions(threads=asked, workers=workers).share_threads(find_needs(None, [config], runs))
    assert shared.of(config) == threads


HOURS = {"MNLI": 5.1, "SNLI": 4.7, "QQP": 4.3, "QNLI": 1.9, "SST-2": 0.4, "CoLA": 0.1}


@pytest.mark.parametrize(("cores", "workers", "threads"), [
    (16, 16, {"MNLI": 4, "SNLI": 4, "QQP": 4, "QNLI": 2, "SST-2": 1, "CoLA": 1}),
    (16, 4, {"MNLI": 4, "SNLI": 4, "QQP": 4, "QNLI": 4, "SST-2": 4, "CoLA": 4}),  # no memory for more than four
    (5, 5, {"MNLI": 1, "SNLI": 1, "QQP": 1, "QNLI": 1, "SST-2": 1, "CoLA": 1}),
    (2, 2, dict.fromkeys(HOURS, 1))])
def test_a_run_longer_than_an_even_share_gets_more_threads(cores, workers, threads):
    configs = {task: make_config(task=task) for task in HOURS}
    needs = [Need(config, 0, [0], [0], [], 3600 * HOURS[task]) for task, config in configs.items()]
    shared = share_cores(needs, workers, cores)
    assert {task: shared.of(config) for task, config in configs.items()} == threads


def test_one_long_run_among_many_gets_its_share_of_the_cores():
    long, short = make_config(task="MNLI"), make_config()
    needs = [Need(long, 0, [0], [0], [], 3600.0), Need(short, 0, list(range(30)), list(range(30)), [], 60.0)]
    shared = share_cores(needs, 16, 16)  # 90 minutes on one core, 5.6 on each of sixteen
    assert (shared.of(long), shared.of(short), shared.places(long)) == (10, 1, 10)


def test_the_share_of_a_run_without_a_known_time_follows_from_its_rows():
    """On a machine that has trained nothing yet: MNLI has a hundred times as many rows as MRPC."""
    mnli, mrpc = make_config(task="MNLI"), make_config()
    shared = share_cores(find_needs(None, [mnli, mrpc], 1), 8, 8)
    assert (shared.of(mnli), shared.of(mrpc), shared.places(mnli)) == (7, 1, 7)


def test_a_cluster_has_no_idle_cores_to_share_out():
    from common import UserError
    from common.running.options import make_options

    with pytest.raises(UserError, match="give a number of threads with --cluster"):
        make_options(threads="auto", cluster="local:2")
