"""A process that has imported torch and lnas once and forks a child for each call: starting a run takes milliseconds.

The child is a process like any other: it can be killed, has its own streams, folder and process group, and leaves an exit
code.  To fork the caller itself would not do: once torch has threads, or its autograd has seen a GPU, a forked child may
hang or refuse to differentiate.  The server computes nothing, and with one thread there is none to lose.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

PRELOADED = (
    *("lnas.host.runner", "lnas.builtin.annealed_sgd", "lnas.builtin.cells", "lnas.builtin.choices"),
    *("lnas.builtin.classification", "lnas.builtin.darts", "lnas.builtin.datasets", "lnas.builtin.importances"),
    *("lnas.builtin.pictures", "lnas.builtin.recipes", "lnas.builtin.schedules", "lnas.builtin.targets"),
    *("lnas.builtin.unrolled", "lnas.builtin.weights"),
)
"""What a run of the parts of lnas imports before its first step."""

LIMIT = 120
"""Seconds after which the kernel ends a child with SIGALRM, unless it is given others."""


class ForkServer:
    """The caller's side: `start` children, `wait` for each.  A context manager; its end kills the children that are left.

    Once a child has ended, and at the end, all that it has started is killed too, unless it has left its process group.

    Args:
        modules: imported by the server, beside those of a run.
        environment: variables of the server and of every child, over those of this process; torch has one thread.
    """

    def __init__(self, modules: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        own = Path(__file__).parents[2]
        variables = {
            **os.environ,
            **(environment or {}),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(own), *filter(None, sys.path)]),
        }
        command = [sys.executable, "-m", "lnas.testing.forkserver", *PRELOADED, *modules]
        self._server = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(
        self,
        call: str,
        *arguments: object,
        folder: Path | None = None,
        output: Path | None = None,
        errors: Path | None = None,
        at: float = 0.0,
        limit: int = LIMIT,
    ) -> int:
        """The process id of a child that calls `call` and exits.

        Args:
            call: "module:function".
            arguments: of the function; JSON.
            folder: its working directory; that of the server where it is None.
            output: the file of its standard output; none where it is None.
            errors: the file of its standard error.
            at: it calls at this time of `time.monotonic()`, if that is still to come.
            limit: seconds after which it is ended with SIGALRM.

        Raises:
            RuntimeError: where the server has ended.
        """
        files = {name: None if path is None else str(path) for name, path in (("output", output), ("errors", errors))}
        asked = {"call": call, "arguments": arguments, "folder": str(folder or Path.cwd()), "path": sys.path, **files}
        return self._ask({**asked, "at": at, "limit": limit})

    def wait(self, child: int) -> int:
        """The exit status of a child once it has ended, negative where a signal ended it."""
        return self._ask({"wait": child})

    def close(self) -> None:
        """End the server and whatever children there are."""
        if self._server.stdin:
            with suppress(BrokenPipeError):
                self._server.stdin.close()
        self._server.wait()
        if self._server.stdout:
            self._server.stdout.close()

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _ask(self, request: Mapping[str, object]) -> int:
        assert self._server.stdin is not None and self._server.stdout is not None
        with suppress(BrokenPipeError):
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that forks the runs has ended with status {self._server.wait()}")
        return int(line)


def waited(child: int) -> int:
    """The exit status of a child of this process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def threads() -> int:
    """How many this process has; 1 where the system does not say."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def _serve() -> Mapping[str, Any] | None:
    """Answer requests until there are no more, and return None; in a child, return what it shall do."""
    children: set[int] = set()
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "wait" in request:
            children.remove(request["wait"])
            print(_ended(request["wait"]), flush=True)
            continue
        assert threads() == 1, "a process with threads is not forked"
        if not (child := os.fork()):
            return dict(request)
        with suppress(ProcessLookupError, PermissionError):  # by now it may have done so, and even be gone
            os.setpgid(child, child)
        children.add(child)
        print(child, flush=True)
    for child in children:
        _kill_group(child)
        waited(child)
    return None


def _ended(child: int) -> int:
    """Wait for a child and kill what it has left; its exit status."""
    status = waited(child)
    _kill_group(child)
    return status


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left in it
        os.killpg(leader, signal.SIGKILL)


def _become(request: Mapping[str, Any]) -> None:
    """Do what a child was forked for."""
    os.setpgid(0, 0)
    os.chdir(request["folder"])
    for number, name in enumerate((None, request["output"], request["errors"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(name or os.devnull, flags, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.path[:] = request["path"]
    signal.alarm(request["limit"])
    module, _, function = request["call"].partition(":")
    call = getattr(import_module(module), function)
    time.sleep(max(0.0, request["at"] - time.monotonic()))
    call(*request["arguments"])


def _left(request: Mapping[str, Any]) -> int:
    """Do it; the exit status that Python would leave."""
    try:
        _become(request)
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
            return 1
        return leaving.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for _module in sys.argv[1:]:
        import_module(_module)
    gc.freeze()  # what is shared with the children stays shared
    _request = _serve()
    if _request is not None:
        _status = _left(_request)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_status)  # to take all of torch down, module by module, would cost seconds
