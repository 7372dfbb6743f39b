"""`lnas show`, `lnas eval` and `lnas report`: a run that is there already."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.place import found, found_sweep, of_a_run, of_a_run_or_sweep
from lnas.cli.session import Session, pass_session
from lnas.cli.tables import table
from lnas.report.text import line

if TYPE_CHECKING:
    from lnas.report.read import RunFiles


@click.command(short_help="Show what a run or a sweep came to.")
@of_a_run_or_sweep
@click.option(
    "--json", "as_json", is_flag=True, help="Print one line of JSON: summary.json, or status.json of an unfinished run."
)
def show(run: str, as_json: bool) -> None:
    """Show what RUN came to, or where it stands; of a sweep, the table of its rows and its verdicts."""
    if (sweep := found_sweep(run)) is not None:
        from lnas.cli.sweep_table import tell as tell_sweep

        tell_sweep(sweep, as_json=as_json)
    else:
        tell(found(run), as_json=as_json)


def tell(path: Path, *, as_json: bool) -> None:
    """Print what a run came to, or where it stands."""
    from lnas.host import documents
    from lnas.host.rundir import RunDirectory
    from lnas.host.runs import actual
    from lnas.report.read import read

    files = read(path)
    if as_json:
        output.document(documents.read(path / ("status.json" if files.summary is None else "summary.json")))
    elif files.summary is not None:
        from lnas.report.pace import paces
        from lnas.report.table import rich_table

        output.result(rich_table(files.summary, paces(files)))
        report = path / "report.html"
        output.text(f"Report: {report}" if report.exists() else f"There is no report; write it with: lnas report {_quoted(path)}")
    else:
        state = None if files.status is None else actual(RunDirectory(path), files.status.state)
        output.result(line(str(path)), table(_standing(files, state)))
        output.text(f"{'If it is stopped' if state == 'running' else 'To go on'}: lnas resume {_quoted(path)}")


@click.command("eval", short_help="Measure the network of a run again.")
@of_a_run
@click.option("--data", metavar="SPEC", help="Other data of the same shape and classes.  [default: the data of the run]")
@click.option("--device", metavar="NAME", default="auto", help="auto, cpu, cuda or cuda:N.  [default: auto]")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
def evaluate(session: Session, run: str, data: str | None, device: str, as_json: bool) -> None:
    """Measure the network of RUN on the test pictures of its data, or of others."""
    from lnas.host import models, runtime
    from lnas.host.assemble import load_dataset
    from lnas.host.config import merge, read_toml
    from lnas.host.rundir import RunDirectory

    directory = RunDirectory.open(found(run))
    layer = read_toml(directory.config)
    config = merge(layer, command_line={"data": data, "device": device}).config
    where = runtime.device(config.device)
    network, task, precision = models.loaded(directory, session.host())
    dataset = load_dataset(session.host(), config.data, seed=config.seed)
    models.check_task(task, dataset.task)
    accuracy, examples = models.measured(network, dataset, precision=precision, device=where)
    if as_json:
        result = {"run": str(directory.path), "data": str(config.data), "accuracy": accuracy, "examples": examples}
        output.document({"schema": 1, **result})
    else:
        right = round(accuracy * examples)
        rows = [("Data", str(config.data)), ("Accuracy, test", f"{100 * accuracy:.2f} % ({right:,} of {examples:,})")]
        output.result(line(str(directory.path)), table(rows))


@click.command(short_help="Write the report of a run or a sweep again.")
@of_a_run_or_sweep
@pass_session
def report(session: Session, run: str) -> None:
    """Write report.html of RUN again, and print where it lies.

    Of a sweep, trials.csv, rows.csv and table.tex too: each trial, each row, and the table for LaTeX.
    """
    if (sweep := found_sweep(run)) is not None:
        from lnas.report.sweep_files import write as write_sweep

        output.text(str(write_sweep(sweep)))
    else:
        from lnas.report.page import write

        output.text(str(write(found(run), session.host().registry)))


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _standing(files: "RunFiles", state: str | None) -> list[tuple[str, str]]:
    """Where an unfinished run stands, which is in that state."""
    rows = []
    if (status := files.status) is not None:
        rows.append(("State", state or status.state))
        if status.stage is not None and status.step is not None and status.steps is not None:
            rows.append(("Stage", f"{status.stage}, step {status.step:,} of {status.steps:,}"))
    if files.epochs and (accuracy := files.epochs[-1].validation_accuracy) is not None:
        rows.append(
            ("Accuracy, validation", f"{100 * accuracy:.2f} % (after {files.epochs[-1].stage} epoch {files.epochs[-1].epoch})")
        )
    if files.prunes:
        prune = files.prunes[-1]
        rows.append((f"Sparsity of {prune.target}", f"{prune.attained:.4g} (after round {prune.round})"))
    return rows
