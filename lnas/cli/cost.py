"""`lnas cost`: what a network costs, before or after it is trained."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from lnas.cli import output
from lnas.cli.place import found
from lnas.cli.session import Session, pass_session
from lnas.cli.tables import table
from lnas.core.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from lnas.core.types import Task
    from lnas.cost import Comparison, Cost

COUNTERS = {"ptflops": "pytorch", "ptflops-aten": "aten"}
"""What --against takes, and ptflops' word for it."""

AT_LEAST_ONE = click.IntRange(min=1)


@click.command()
@click.argument("architecture", metavar="[GENOTYPE|FILE|RUN]", required=False)
@click.option("--space", metavar="SPEC", help="A search space instead, with all its paths, as in cells.")
@click.option("--channels", type=AT_LEAST_ONE, metavar="N", help="C.  [default: 36; NAS-Bench-201: 16; a space: its own]")
@click.option(
    "--layers", type=AT_LEAST_ONE, metavar="N", help="Cells.  [default: 20; NAS-Bench-201: 5 a stage; a space: its own]"
)
@click.option("--classes", type=AT_LEAST_ONE, metavar="N", help="Classes.  [default: 10]")
@click.option("--size", type=AT_LEAST_ONE, metavar="N", help="Side of a picture.  [default: 32]")
@click.option("--input-channels", type=AT_LEAST_ONE, metavar="N", help="Channels of a picture.  [default: 3]")
@click.option("--data", metavar="SPEC", help="Take classes and pictures from this data set.")
@click.option("--against", metavar="COUNTER", help="Count with ptflops or ptflops-aten as well.")
@click.option("--cost", "measures", metavar="SPEC", multiple=True, help="Measure of a plugin; may be repeated.")
@click.option("--latency", is_flag=True, help="Measure the time of a forward pass too.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
def cost(
    session: Session,
    architecture: str | None,
    space: str | None,
    channels: int | None,
    layers: int | None,
    classes: int | None,
    size: int | None,
    input_channels: int | None,
    data: str | None,
    against: str | None,
    measures: tuple[str, ...],
    latency: bool,
    as_json: bool,
) -> None:
    """Count the parameters and multiply-adds of a network.

    GENOTYPE is a published name such as DARTS_V2 or a NAS-Bench-201 string, FILE a genotype file, RUN a run directory.
    """
    from lnas import cost as counting
    from lnas.host.architectures import network, supernet
    from lnas.host.costs import checked_measures, measured
    from lnas.host.spec import Spec

    if (architecture is None) == (space is None):
        raise ConfigError("cost needs either a GENOTYPE, FILE or RUN, or --space SPEC")
    if against is not None and against not in COUNTERS:
        raise UnknownNameError("counter", against, COUNTERS)
    specs = checked_measures(session.host().registry, map(Spec.parse, measures))
    task = _task(session, data, classes=classes, size=size, input_channels=input_channels)
    if space is not None:
        subject, task = supernet(space, session.host(), task=task, channels=channels, layers=layers)
    else:
        assert architecture is not None
        where = str(found(architecture)) if architecture == "latest" else architecture
        subject, task = network(where, session.host(), task=task, channels=channels, layers=layers)
    figures = counting.Cost(
        counting.parameters(subject),
        counting.multiply_adds(subject, task),
        counting.latency(subject, task) if latency else None,
    )
    backend: Any = COUNTERS.get(against or "")
    costs = {str(spec): measured(session.host().registry, spec, subject, task) for spec in specs}
    comparison = counting.against_ptflops(subject, task, backend) if backend else None
    if as_json:
        more = ({"costs": costs} if costs else {}) | ({"against": asdict(comparison)} if comparison else {})
        output.document(figures.to_json() | more)
        return
    output.result(
        space or architecture or "",
        table([*_rows(figures, task), *((f"Cost, {name}", f"{figure:,.6g}") for name, figure in costs.items())]),
    )
    if comparison:
        _compare(comparison)


def _task(
    session: Session, data: str | None, *, classes: int | None, size: int | None, input_channels: int | None
) -> "Task | None":
    """The pictures and classes that were asked for; None where none were."""
    from lnas.core.types import Task

    if data is None and classes is size is input_channels is None:
        return None
    task = Task()
    if data is not None:
        from lnas.host.assemble import load_dataset
        from lnas.host.spec import Spec

        task = load_dataset(session.host(), Spec.parse(data), seed=0).task
    if size is not None or input_channels is not None:
        if len(task.shape) != 3:
            raise ConfigError(f"--size and --input-channels are for pictures, and {data} has inputs of shape {task.shape}")
        depth, height, width = task.shape
        task = replace(task, shape=(input_channels or depth, size or height, size or width))
    return task if classes is None else replace(task, classes=classes)


def _rows(figures: "Cost", task: "Task") -> list[tuple[str, str]]:
    parameters, macs, latency = figures.parameters, figures.macs, figures.latency
    rows = [
        ("Input", f"{'x'.join(map(str, task.shape))}, {task.classes} classes"),
        ("Parameters, total", f"{parameters.total:,}"),
        ("Parameters, non-zero", f"{parameters.nonzero:,}"),
        ("Multiply-adds, dense", f"{macs.dense:,}"),
        ("Multiply-adds, non-zero", f"{macs.nonzero:,}"),
        ("Multiply-adds, structural", f"{macs.structural:,}"),
    ]
    if latency is not None:
        threads = f"{latency.threads} thread{'s' * (latency.threads != 1)}"
        how = f"batch of {latency.batch}, {latency.device}, {threads}, median of {latency.repeats}"
        rows.append(("Latency", f"{latency.ms:.3g} ms ({how})"))
    return rows


def _compare(comparison: "Comparison") -> None:
    counts = [
        ("lnas", f"{comparison.ours:,}", f"{comparison.our_parameters:,}"),
        (comparison.counter, f"{comparison.theirs:,}", f"{comparison.their_parameters:,}"),
    ]
    output.result("", table(counts, head=("counter", "multiply-adds, dense", "parameters")))
    if comparison.differences:
        rows = ((row.kind, f"{row.ours:,}", f"{row.theirs:,}", row.reason) for row in comparison.differences)
        output.result("", table(rows, head=("where they differ", "lnas", "ptflops", "why")))
    else:
        output.text("They do not differ.")
