"""A hand on the file system of this process: what it is about to do to files is told first, and may be made to fail.

Nothing here is known to lnas: `open` and functions of `os` are replaced in a child that runs it.
"""

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Happen: TypeAlias = Callable[[str, str], None]
"""Told what is about to happen, and to which path ("" where only a descriptor is known); the call raises what it raises."""

_NAMED = {
    **{"mkdir": "mkdir", "rename": "rename", "replace": "rename", "ftruncate": "truncate", "truncate": "truncate"},
    **{"pwrite": "write", "unlink": "remove", "remove": "remove", "rmdir": "remove"},
}
"""Functions of `os` by the event that they are."""


def watch(folder: Path, happen: Happen) -> None:
    """Tell `happen` from now on of each change that this process makes in `folder`.

    The events are open (for writing), write, fsync, mkdir, rename, truncate and remove.  Where `happen` raises at a write, the
    first half of the bytes are there, as on a disk that fills up.
    """
    inside = str(folder.resolve()) + os.sep
    really: dict[str, Any] = {name: getattr(os, name) for name in (*_NAMED, "open", "fsync")}
    opened = builtins.open

    def within(path: object) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(inside)

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            try:
                happen("write", str(self.name))
            except OSError:
                super().write(memoryview(data)[: len(data) // 2])
                raise
            return super().write(data)

    def opening(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if not (within(file) and set(mode) & set("wax+")):
            return opened(file, mode, *rest, **named)
        if "opener" not in named:  # which comes by `os.open`
            happen("open", os.fsdecode(file))
        raw = Raw(file, mode.replace("b", "").replace("t", ""), opener=named.get("opener"))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, named.get("encoding") or "utf-8", named.get("errors"), named.get("newline"))

    def opening_a_descriptor(path: Any, flags: int, *rest: Any, **named: Any) -> Any:
        if within(path) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            happen("open", os.fsdecode(path))
        return really["open"](path, flags, *rest, **named)

    def syncing(descriptor: Any) -> None:
        happen("fsync", "")
        really["fsync"](descriptor)

    def changing(name: str) -> Callable[..., Any]:
        def change(path: Any, *rest: Any, **named: Any) -> Any:
            if isinstance(path, int) or within(path) or named.get("dir_fd") is not None:
                happen(_NAMED[name], "" if isinstance(path, int) else os.fsdecode(path))
            return really[name](path, *rest, **named)

        return change

    replaced = {"open": opening_a_descriptor, "fsync": syncing, **{name: changing(name) for name in _NAMED}}
    for name, function in replaced.items():
        setattr(os, name, function)
    builtins.open = io.open = opening
