"""A run begins where another one stands: runs whose first stage is the same do it once.

What the other run left is taken as this run's own checkpoint, so that a run that adopts is one that was interrupted there,
and ends with the bytes of one that did everything itself.
"""

from collections.abc import Mapping
from pathlib import Path

from lnas.core.errors import RunError
from lnas.host import checkpoint, documents, durable
from lnas.host.rundir import RunDirectory


def adopt(directory: RunDirectory, other: RunDirectory, *, plugins: Mapping[str, str], keep: int) -> None:
    """Give a run without a checkpoint the last one of another run, and the journal so far.

    Args:
        directory: of the run that begins; its lock is held.
        other: stands between two stages or steps that both runs have; it is read only.
        plugins: versions of those that take part in the run that begins, by name.
        keep: how many checkpoints stay.

    Raises:
        RunError: where the other run has no checkpoint, its files do not fit each other, or writing fails.
    """
    if checkpoint.latest(directory.checkpoints) is not None:
        return
    found = whole(other)
    if found is None:
        raise RunError(f"{other.path} has no whole checkpoint that another run could begin with")
    state, meta = checkpoint.load(found), checkpoint.describe(found)
    try:
        journal = documents.content(other.metrics, most=documents.MOST_OF_A_JOURNAL)[: state["metrics"]]
    except OSError as error:
        raise RunError(f"cannot read {other.metrics}: {error.strerror or error}") from error
    with durable.writing(directory.path):
        durable.write_bytes(directory.metrics, journal)
    step = int(found.name.removeprefix("step-"))
    state["config"] = directory.read_config()
    checkpoint.save(directory.checkpoints, state, step=step, meta={**meta, "plugins": _plugins(meta, plugins)}, keep=keep)


def whole(other: RunDirectory) -> Path | None:
    """The newest whole checkpoint of a run that is somebody else's: a damaged one is passed over and left where it is."""
    for path in reversed(checkpoint.every(other.checkpoints)):
        try:
            checkpoint.describe(path)
        except RunError:
            continue
        return path
    return None


def _plugins(meta: Mapping[str, object], now: Mapping[str, str]) -> object:
    """Those of this run, where the other one had no other versions of them: what it did not use has not taken part yet."""
    words = [f"{name}-{version}" for name, version in sorted(now.items())]
    made = meta.get("plugins", "none")
    before = set() if made == "none" else set(str(made).split(" "))
    return (" ".join(words) or "none") if before <= set(words) else made
