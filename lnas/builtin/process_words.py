"""What a worker process and who employs it say to each other: a line of JSON for each piece of work, and one for its outcome."""

import json
from typing import Any

from lnas.core.executor import Outcome, Work


def of_work(work: Work) -> bytes:
    """A line that says what is to be done."""
    # A list can only be a tuple of text: a `Work` holds no other.
    return _line({"name": work.name, "target": work.target, "arguments": dict(work.arguments), "threads": work.threads})


def to_work(line: bytes) -> Work:
    """The work of a line."""
    said = json.loads(line)
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in said["arguments"].items()}
    return Work(said["name"], said["target"], arguments, said["threads"])


def of_outcome(outcome: Outcome) -> bytes:
    """A line that says what came of it."""
    return _line({"state": outcome.state, "reason": outcome.reason, "figures": dict(outcome.figures)})


def to_outcome(line: bytes) -> Outcome:
    """The outcome of a line."""
    said = json.loads(line)
    return Outcome(said["state"], said["reason"], said["figures"])


def _line(words: dict[str, Any]) -> bytes:
    return json.dumps(words).encode("ascii") + b"\n"
