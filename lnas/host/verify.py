"""`lnas verify`: whether a run is what was written, and whether its files belong together.  It only reads.

Covered by a hash are the checkpoints, what they know of the journal and, in a finished run, all that SHA256SUMS names:
everything but status.json and report.html, which may be written again.  The files are also read, and compared with each other.

A run may go on meanwhile: its files are replaced whole, and what is read first is what is written last.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import get_args

from torch import nn

from lnas.core.errors import RunError
from lnas.core.genotype import Genotype
from lnas.core.pipeline import Pipeline
from lnas.host import documents, runtime, sums, verify_finished, verify_journal
from lnas.host.assemble import build
from lnas.host.config import merge, read_toml
from lnas.host.plugins import Host
from lnas.host.present import check_present
from lnas.host.requirements import check
from lnas.host.rundir import SCHEMA, RunDirectory, RunState
from lnas.host.runs import marked
from lnas.host.verify_checkpoints import Checkpoints
from lnas.host.verify_finding import Finding, count, judged, unknown
from lnas.host.verify_finished import Known

__all__ = ["Finding", "verify"]

ENVIRONMENT = ("lnas", "python", "platform", "torch", "device", "threads", "command", "started")
"""What environment.json says, beside the plugins."""


def verify(path: Path, host: Host) -> tuple[Finding, ...]:
    """Look at every file of a run.

    Args:
        path: of the run directory.
        host: where the names of parts come from.

    Returns:
        One for each file that there is or could be, in the order of a table.

    Raises:
        RunError: where there is no run.
    """
    directory = RunDirectory(path)
    if not directory.marker.is_file():
        RunDirectory.open(path)
    finished = directory.finished()  # once: it may come to its end meanwhile
    findings = list(_findings(directory, host, finished))
    return tuple(_summed(directory, findings, finished))


def _findings(directory: RunDirectory, host: Host, finished: bool) -> Iterator[Finding]:
    path = directory.path
    blueprint = _Blueprint(directory, host)
    config = judged(path, directory.config, blueprint.read, needed=True)
    checkpoints = Checkpoints(directory, blueprint.text, blueprint.build if config.verdict == "ok" else None).look()
    if config.verdict == "ok" and checkpoints.strangers and not checkpoints.compared:
        names, are = " and ".join(checkpoints.strangers), "were" if len(checkpoints.strangers) > 1 else "was"
        config = replace(config, verdict="wrong", words=f"it is not the one that {names} {are} made with")
    yield config
    yield judged(path, directory.environment, lambda: _environment(directory, host), needed=bool(checkpoints.lengths))
    yield judged(path, directory.status, lambda: _status(directory, blueprint.stages, finished), needed=True)

    def journal() -> str:
        read = verify_journal.read(directory.metrics)
        words = read.check(checkpoints.lengths, finished=finished)
        for length, sha256 in checkpoints.journals.items():
            if verify_journal.sha256(directory.metrics, length) != sha256:
                raise RunError("it was changed since a checkpoint was made")
        rows.extend(read.until(read.size) if finished else ())  # a run that ends meanwhile has more than these
        return words

    rows: list[verify_journal.Row] = []
    yield judged(path, directory.metrics, journal, needed=any(checkpoints.lengths))
    for row in checkpoints.findings:
        none = finished and row.verdict == "absent"
        yield replace(row, words="the result is compared with none; nothing else needs one") if none else row
    found = [held.genotype for held in checkpoints.held if held.genotype is not None]
    genotypes: list[Genotype] = []
    yield judged(path, directory.genotype, lambda: _genotype(directory, found, genotypes), needed=bool(found) or finished)
    over = next((held for held in reversed(checkpoints.held) if held.digest is not None), None)
    known = Known(
        digest=over.digest if over else None,
        genotype=next(iter(genotypes), None),
        rows=tuple(rows),
        masks=over.masks if over else None,
        described=blueprint.described if config.verdict == "ok" else {},
    )
    yield from _result(directory, host, known, finished)
    if not marked(directory):
        yield Finding(directory.marker.name, "noted", "missing; lnas runs rm will not remove this run")
    ours = {entry.name for entry in vars(directory).values() if isinstance(entry, Path) and entry != path}
    yield from (unknown(path, entry) for entry in sorted(path.iterdir()) if entry.name not in ours)


def _summed(directory: RunDirectory, findings: list[Finding], finished: bool) -> Iterator[Finding]:
    """The findings, and of a file in which nothing else was found whether it is the one that SHA256SUMS knows."""
    written: dict[str, str] = {}

    def read() -> str:
        written.update(sums.read(directory.path))
        return count(len(written), "file")

    own = judged(directory.path, directory.sums, read, needed=finished)
    for finding in findings:
        expected = written.get(finding.file) if finished else None
        if finding.verdict == "ok" and expected and _changed(directory.path / finding.file, expected):
            yield replace(finding, verdict="wrong", words="it is not what was written: its sha256 is not that in SHA256SUMS")
        elif finding.verdict == "absent" and expected:
            yield replace(finding, verdict="wrong", words="missing, and named in SHA256SUMS")
        else:
            yield finding
    yield own


def _changed(path: Path, expected: str) -> bool:
    return path.exists() and sums.of(path) != expected


class _Blueprint:
    """What config.toml describes, on the CPU: a run is verified on any machine, and a GPU is left to those who work."""

    def __init__(self, directory: RunDirectory, host: Host) -> None:
        self._directory, self._host = directory, host
        self.text: str | None = None
        self.stages: tuple[str, ...] = ()
        self.described: dict[str, str] = {}

    def read(self) -> str:
        """It parses, and all that it names is there and can be built."""
        self.text = self._directory.read_config()
        config = merge(read_toml(self._directory.config)).config
        check(config.plugins, self._host.plugins)
        self._config = replace(config, device="cpu", precision="float32" if config.precision == "tf32" else config.precision)
        with runtime.undisturbed():
            job = build(self._config, self._host)
        self._dataset = job.dataset
        self.stages = tuple(stage.name for stage in job.pipeline.stages)
        self.described = {"recipe": job.recipe, "strategy": str(config.strategy), "space": str(config.space)}
        return f"{job.recipe} on {config.data.name}"

    def build(self) -> Pipeline:
        """A fresh pipeline, once it was read."""
        return build(self._config, self._host, self._dataset).pipeline


def _environment(directory: RunDirectory, host: Host) -> str:
    check_present(directory, host.plugins)
    written = documents.read(directory.environment)
    if missing := [key for key in ENVIRONMENT if key not in written]:
        raise RunError(f"it lacks {missing[0]}")
    return f"torch {written['torch']} on {written['device']}"


def _status(directory: RunDirectory, stages: tuple[str, ...], finished: bool) -> str:
    over = directory.summary.exists()  # before the status is read: it is written after it
    status = documents.read(directory.status)
    if not isinstance(status, dict) or status.get("schema", SCHEMA) != SCHEMA:
        raise RunError(f"it is no JSON object of schema {SCHEMA}")
    state, stage, step, steps = (status.get(key) for key in ("state", "stage", "step", "steps"))
    if state not in get_args(RunState):
        raise RunError(f"its state is {state!r}; a run is {', '.join(get_args(RunState))}")
    planned = stage is None or stage in stages or not stages
    if not planned or type(step) is not int or type(steps) is not int or not 0 <= step <= steps:
        raise RunError(f"it stands after {stage!r} step {step!r} of {steps!r}, which is not in the plan")
    try:
        datetime.fromisoformat(status["updated"])
    except (KeyError, TypeError, ValueError):
        raise RunError(f"it was written at {status.get('updated')!r}, which is no time") from None
    if state != "finished" and over:
        raise RunError(f"it says {state}, but there is a summary, which is written at the end")
    where = "" if stage is None else f", {stage} step {step:,} of {steps:,}"
    return f"{state}{where}" + ("; lnas resume writes the last files" if state == "finished" and not finished else "")


def _genotype(directory: RunDirectory, found: list[Genotype], read: list[Genotype]) -> str:
    genotype = Genotype.from_json(documents.read(directory.genotype))
    if any(genotype != other for other in found):
        raise RunError("it is not the architecture that the checkpoints hold")
    read.append(genotype)
    return count(sum(map(len, genotype.groups.values())), "operation")


def _result(directory: RunDirectory, host: Host, known: Known, finished: bool) -> Iterator[Finding]:
    path = directory.path
    weights = judged(path, directory.weights, lambda: verify_finished.check_weights(directory, known), needed=finished)
    masks = judged(path, directory.masks, lambda: verify_finished.check_masks(directory, known), needed=False)
    whole = weights.verdict == "ok" and masks.verdict != "wrong"
    networks: list[nn.Module] = []

    def look_at_model() -> str:
        words, network = verify_finished.check_model(directory, host, known, build=whole)
        networks.extend([network] if network is not None else [])
        return words

    def look_at_summary() -> str:
        return verify_finished.check_summary(directory, known, next(iter(networks), None))

    model = judged(path, directory.model, look_at_model, needed=finished)
    yield judged(path, directory.summary, look_at_summary, needed=finished)
    yield from (weights, masks, model)
    report = judged(path, directory.report, lambda: verify_finished.check_report(directory), needed=False)
    yield replace(report, words="lnas report writes it") if report.verdict == "absent" and finished else report
