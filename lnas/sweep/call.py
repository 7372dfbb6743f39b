"""How a sweep was run: what status.json says, for the report and for who goes on with it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Call:
    """How a sweep was run, the last time that something was.

    Attributes:
        executor: its spec; "" in a sweep of an earlier version.
        workers: of it.
        most_workers: the most of any call so far.
        command: what was typed.
        folder: where relative paths began; "" in a sweep of an earlier version.
    """

    executor: str
    workers: int
    most_workers: int
    command: str
    folder: str = ""

    @classmethod
    def said(cls, status: Mapping[str, Any]) -> "Call | None":
        """That of a status.json; None where it says nothing of the kind."""
        executor, workers, command = status.get("executor", ""), status.get("workers"), status.get("command")
        most = status.get("most_workers", workers)
        if not (isinstance(executor, str) and isinstance(workers, int) and isinstance(most, int) and isinstance(command, str)):
            return None
        folder = status.get("folder", "")
        return cls(executor, workers, max(most, workers), command, folder if isinstance(folder, str) else "")

    def after(self, before: "Call | None") -> "Call":
        """This one, with what is to be known of those before."""
        return self if before is None else replace(self, most_workers=max(self.most_workers, before.most_workers))
