"""The files of a run directory, read into one value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from lnas.core.document import parse
from lnas.core.errors import GenotypeError, RunError
from lnas.core.genotype import Genotype
from lnas.host import documents, toml
from lnas.host.spec import shown
from lnas.report.documents import Document, Epoch, Prune, Start, Status, Summary
from lnas.report.text import line

D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class RunFiles:
    """A run as its files tell it; what a run that stopped early did not write is None or empty."""

    name: str
    config: str
    environment: Mapping[str, object]
    starts: tuple[Start, ...]
    epochs: tuple[Epoch, ...]
    prunes: tuple[Prune, ...]
    genotype: Genotype | None
    summary: Summary | None
    status: Status | None


def read(run: Path) -> RunFiles:
    """Read the files of a run directory.  The last line of metrics.jsonl may be torn: the process died while writing it.

    Raises:
        RunError: where `run` is no run directory, or naming the file (and line) that cannot be understood.
    """
    if not (run / "config.toml").is_file():
        raise RunError(f"{run} is no run directory: it holds no config.toml; give the directory that `lnas run` printed")
    starts, epochs, prunes = _journal(run / "metrics.jsonl")
    summary, status = _json(run / "summary.json"), _json(run / "status.json")
    return RunFiles(
        name=run.resolve().name,
        config=(_content(run / "config.toml", most=toml.MOST_BYTES) or b"").decode(errors="replace"),
        environment=_json(run / "environment.json") or {},
        starts=starts,
        epochs=epochs,
        prunes=prunes,
        genotype=_genotype(run / "genotype.json"),
        summary=None if summary is None else document(Summary, summary, where=str(run / "summary.json")),
        status=None if status is None else document(Status, status, where=str(run / "status.json")),
    )


def document(kind: type[D], value: object, *, where: str) -> D:
    """`value` checked as a `kind`.

    Raises:
        RunError: saying `where`, which field, and why not.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{where}: {line(field, most=80) + ': ' if field else ''}{line(first['msg'], most=200)}") from error


def _content(path: Path, *, most: int = documents.MOST_BYTES) -> bytes | None:
    try:
        return documents.content(path, most=most)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error


def _json(path: Path) -> dict[str, object] | None:
    data = _content(path)
    return None if data is None else _object(data, where=str(path))


def _object(data: bytes, *, where: str) -> dict[str, object]:
    try:
        value = parse(data)
    except ValueError as error:
        raise RunError(f"{where}: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{where}: a JSON object was expected, not {shown(value)}")
    return value


def _genotype(path: Path) -> Genotype | None:
    document = _json(path)
    try:
        return None if document is None else Genotype.from_json(document)
    except GenotypeError as error:
        raise RunError(f"{path}: {error}") from error


def _journal(path: Path) -> tuple[tuple[Start, ...], tuple[Epoch, ...], tuple[Prune, ...]]:
    """The events in order.  An epoch or round that stands twice (a resumed run did it again) counts once, as it was last."""
    starts: dict[str, Start] = {}
    epochs: dict[tuple[str, int], Epoch] = {}
    prunes: dict[tuple[str, str, int], Prune] = {}
    for event, where in _events(path):
        match event.get("event"):
            case "start":
                start = document(Start, event, where=where)
                starts[start.stage] = start
            case "epoch":
                epoch = document(Epoch, event, where=where)
                epochs[epoch.stage, epoch.epoch] = epoch
            case "prune":
                prune = document(Prune, event, where=where)
                prunes[prune.stage, prune.target, prune.round] = prune
            case _:  # an event of a plugin
                pass
    return tuple(starts.values()), tuple(epochs.values()), tuple(prunes.values())


def _events(path: Path) -> Iterator[tuple[dict[str, object], str]]:
    """The objects of a journal, each with the words for where it stands; a last line that is none is torn."""
    broken: RunError | None = None
    try:
        for number, data in enumerate(documents.lines(path), start=1):
            if broken is not None:
                raise broken
            where = f"{path} line {number}"
            try:
                event = _object(data, where=where)
            except RunError as error:
                broken = error
            else:
                yield event, where
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
