"""What is refused, and how soon; what an error of Ray means; what a worker does.  None of these starts Ray."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import lnas_ray
import pytest
from lnas_ray import Ray, address, task
from lnas_ray.manners import polite
from ray import exceptions
from ray._private import services

import lnas

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray that others run on this machine is found."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "find_gcs_addresses", lambda: set())
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gpus": -0.5}, "gpus must be a fraction of 1, or a whole number, of at least 0, not -0.5"),
        ({"gpus": 1.5}, "gpus must be a fraction of 1, or a whole number, of at least 0, not 1.5"),
        ({"gpus": float("inf")}, "gpus must be a fraction of 1, or a whole number, of at least 0, not inf"),
        ({"cpus": -1}, "cpus must be at least 0, not -1"),
        ({"address": "ray://there:10001"}, "address 'ray://there:10001' is one of Ray's client; start the sweep on a node"),
        *(
            (
                {"address": text},
                f"address must be HOST:PORT of the head node of a cluster, such as 10.0.0.1:6379, or auto, not {text!r}",
            )
            for text in (
                "there",
                "local",
                ":6379",
                "there:",
                "there:0",
                "there:65536",
                "there:six",
                "there:²",
                " there:1",
                "1:-1",
            )
        ),
    ],
)
def test_what_cannot_be_is_refused_before_ray_is_tried(options: dict[str, object], words: str) -> None:
    with pytest.raises(lnas.ConfigError) as refused:
        Ray(1, **options)  # type: ignore[arg-type]
    assert str(refused.value).startswith(words) and "\n" not in str(refused.value)


def refused(place: str) -> str:
    """The message, which Ray itself would take minutes for."""
    before = time.monotonic()
    with pytest.raises(lnas.ConfigError) as error:
        Ray(1, address=place)
    assert time.monotonic() - before < 10
    advice = "; start one with: ray start --head; or leave address out to start Ray on this machine"
    begin = f"no Ray cluster answers at address={place}: "
    assert str(error.value).startswith(begin) and str(error.value).endswith(advice)
    return str(error.value).removeprefix(begin).removesuffix(advice)


def test_an_address_where_nobody_listens_is_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        assert refused(place) == "[Errno 111] Connection refused"


def test_a_server_that_says_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "PATIENCE", 0.4)
    monkeypatch.setattr(services, "resolve_ip_for_localhost", lambda host: host)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        assert refused(place) == "timed out"


def test_a_name_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()

    def resolve(host: str) -> str:
        given_up.wait(60)
        raise OSError(f"{host} is unknown")

    monkeypatch.setattr(address, "PATIENCE", 0.1)
    monkeypatch.setattr(services, "resolve_ip_for_localhost", resolve)
    assert refused("there:6379") == "nobody answered within 0.1 s"
    given_up.set()


def test_another_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "resolve_ip_for_localhost", lambda host: host)
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(99)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        place = f"127.0.0.1:{other.getsockname()[1]}"
        assert refused(place) == f"what listens at {place} is not the head node of one"
        thread.join()


def test_auto_is_refused_where_no_cluster_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("auto").startswith("Could not find any running Ray instance.")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert refused("auto") == "RAY_ADDRESS says local"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{unused.getsockname()[1]}")
        assert refused("auto") == "[Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (exceptions.OutOfMemoryError("no room\n  left"), "lost", "OutOfMemoryError: no room left"),
        (exceptions.TaskCancelledError(), "lost", "TaskCancelledError"),
        (exceptions.LocalRayletDiedError(), "lost", "LocalRayletDiedError: The task's local raylet died."),
        (
            exceptions.RuntimeEnvSetupError("no such package"),
            "failed",
            "RuntimeEnvSetupError: Failed to set up runtime environment. no such package",
        ),
        (
            exceptions.RayTaskError("attempt", "Traceback\n  of many lines", ModuleNotFoundError("No module named 'lnas'")),
            "failed",
            "ModuleNotFoundError: No module named 'lnas'",
        ),
        (exceptions.WorkerCrashedError(), "lost", "WorkerCrashedError: The worker died unexpectedly"),
    ],
)
def test_an_error_of_ray_is_a_failure_only_where_it_would_come_again(error: Exception, state: str, reason: str) -> None:
    came = task.befallen(error)
    assert came.state == state and came.reason.startswith(reason) and "\n" not in came.reason
    assert len(task.befallen(exceptions.OutOfMemoryError("x" * 900)).reason) == 300


def test_a_worker_has_the_threads_of_the_work_and_ends_by_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    seen: list[object] = []

    def do(self: lnas.Work) -> lnas.Outcome:
        seen.extend((os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"], signal.getsignal(signal.SIGTERM)))
        raise ValueError("out of sorts")

    monkeypatch.setattr(lnas.Work, "do", do)
    handler = signal.getsignal(signal.SIGTERM)
    came = task.attempt(lnas.Work("sum", "lnas.testing.work:add", {}, threads=3))
    assert came == lnas.Outcome("failed", "ValueError: out of sorts")
    assert seen == ["3", "3", signal.SIG_DFL] and signal.getsignal(signal.SIGTERM) == handler


def test_the_environment_is_put_back_and_the_users_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.delenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", raising=False)
    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError), polite():
        assert (os.environ["RAY_USAGE_STATS_ENABLED"], os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"]) == ("1", "0")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyError
    assert dict(os.environ) == before and signal.getsignal(signal.SIGTERM) == handler


def test_the_plugin_offers_the_executor_without_torch() -> None:
    host = lnas.Host([lnas_ray], entry_points=False)
    assert [(part.kind, part.name) for part in host.plugins[-1].components] == [("executor", "ray")]
    assert host.registry.get("executor", "ray").load() is Ray
    code = "import sys, lnas_ray; sys.exit(bool({'torch', 'ray'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
    with pytest.raises(AttributeError, match="module 'lnas_ray' has no attribute 'Beam'"):
        lnas_ray.Beam  # noqa: B018


def test_the_distribution_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"ray": "lnas_ray"}
    assert project["tool"]["hatch"]["version"]["path"] == "lnas_ray/__init__.py"
