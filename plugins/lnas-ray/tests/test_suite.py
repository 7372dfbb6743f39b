"""The rules of executors, as anyone who writes one inherits them, and what is Ray's own, on two CPUs that are started once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import wait
from typing import ClassVar

import pytest
import ray
from lnas_ray import Ray
from lnas_ray.manners import polite, silence

import lnas
from lnas.testing import ExecutorSuite

pytestmark = pytest.mark.usefixtures("cluster")

CONNECTED = """
import json, os, signal, sys
from lnas_ray import Ray
before = dict(os.environ), signal.getsignal(signal.SIGTERM)
Ray(2, address=sys.argv[1]).close()
print(json.dumps([before == (dict(os.environ), signal.getsignal(signal.SIGTERM)), Ray.__module__]))
"""
LOCAL = """
import json, os
import lnas
from lnas_ray import Ray
from pathlib import Path

def below(process):
    children = [int(word) for path in Path(f"/proc/{process}/task").glob("*/children") for word in path.read_text().split()]
    return [*children, *(one for child in children for one in below(child))]

def lives(process):
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"

executor = Ray(1)
died = executor.submit(lnas.Work("exit", "os:_exit", {"status": 3}, threads=2)).result(120)
busy = executor.submit(lnas.Work("sleep", "subprocess:run", {"args": ("sleep", "600")}))
started = below(os.getpid())
executor.close()
executor.close()
lost = busy.result(0)
untouched = print.__module__ == "builtins"
print(json.dumps([died.state, len(started) > 2, [one for one in started if lives(one)], lost.state, lost.reason, untouched]))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with polite():
        options = {"num_cpus": 2, "num_gpus": 0, "include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        place = ray.init(address="local", **options).address_info["gcs_address"]
        speak = silence()  # to tell of a worker that died, Ray replaces the builtin print, for good
        yield place
        ray.shutdown()
        speak()


class TestRay(ExecutorSuite):
    part: ClassVar[str] = "lnas_ray.executor:Ray"
    plugin: ClassVar[str] = "lnas_ray"
    options: ClassVar[dict[str, object]] = {"address": "auto", "cpus": 1}


def called(program: str, *arguments: str) -> list[object]:
    """What a program prints that is clean of all else: no warning, no word of Ray."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_ADDRESS"):
        environment.pop(name, None)
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    return json.loads(line)  # type: ignore[no-any-return]


def test_a_program_that_connects_leaves_the_cluster_and_itself_as_they_were(cluster: str) -> None:
    assert called(CONNECTED, cluster) == [True, "lnas_ray.executor"]
    assert [node["Alive"] for node in ray.nodes()] == [True]


def test_a_ray_of_our_own_ends_with_all_its_processes_and_prints_nothing() -> None:
    """Also where a worker dies, of which Ray would tell."""
    assert called(LOCAL) == ["lost", True, [], "lost", "the executor was closed", True]


def test_what_this_program_uses_already_stays_and_no_other_is_asked_for(cluster: str) -> None:
    for address in ("auto", cluster):
        Ray(1, address=address).close()
        assert ray.is_initialized()
    used = f"this program uses the Ray at {cluster} already, and was asked for"
    with pytest.raises(lnas.ConfigError, match=f"^{used} a Ray of its own; set address=auto$"):
        Ray(1)
    with pytest.raises(lnas.ConfigError, match=f"^{used} address=127.0.0.1:1; set address=auto$"):
        Ray(1, address="127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "asked", "smaller"),
    [
        ({"gpus": 0.5}, r"1 CPUs and 0.5 GPUs \(gpus=0.5\)", "gpus"),
        ({"gpus": 2.0}, r"1 CPUs and 2 GPUs \(gpus=2\)", "gpus"),
        ({"cpus": 3}, r"3 CPUs and 0 GPUs \(cpus=3\)", "cpus"),
    ],
)
def test_what_no_node_has_is_refused_before_it_waits_for_ever(options: dict[str, float], asked: str, smaller: str) -> None:
    words = (
        f"a trial asks Ray for {asked}, which no node has; there are: 2 CPUs and 0 GPUs; set a smaller {smaller}, or add a node"
    )
    with pytest.raises(lnas.ConfigError, match=f"^{words}$"):
        Ray(1, address="auto", **options)  # type: ignore[arg-type]


def test_a_trial_takes_as_many_cpus_as_it_has_threads() -> None:
    executor = Ray(1, address="auto")
    with pytest.raises(lnas.ConfigError, match=r"^a trial asks Ray for 3 CPUs and 0 GPUs \(cpus=3\), which no node has"):
        executor.submit(lnas.Work("sum", "lnas.testing.work:add", {"left": 2, "right": 3}, threads=3))
    executor.close()
    with pytest.raises(RuntimeError, match="^sum was submitted to an executor that is closed$"):
        executor.submit(lnas.Work("sum", "lnas.testing.work:add", {"left": 2, "right": 3}))


def test_a_worker_that_is_told_to_end_before_its_run_listens_is_lost() -> None:
    """Ray's own handler raises SystemExit in the work, which would look like an error of it, and never be tried again."""
    executor = Ray(1, address="auto", cpus=1)
    ending = lnas.Work("end", "subprocess:run", {"args": ("sh", "-c", "kill -TERM $PPID; sleep 60")})
    came = executor.submit(ending).result(60)
    assert (came.state, came.reason.partition(":")[0]) == ("lost", "WorkerCrashedError")
    executor.close()


def test_work_that_waits_for_room_is_lost_with_the_rest_at_close() -> None:
    executor = Ray(3, address="auto", cpus=2)
    asleep = lnas.Work("sleep", "subprocess:run", {"args": ("sleep", "600")})
    futures = [executor.submit(asleep) for _ in range(3)]
    assert not futures[0].cancel(), "it is Ray's"
    before = time.monotonic()
    executor.close()
    assert time.monotonic() - before < 10
    assert wait(futures, 0).not_done == set()
    assert [future.result() for future in futures] == [lnas.Outcome("lost", "the executor was closed")] * 3
