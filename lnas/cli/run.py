"""`lnas run` and `lnas resume`: one run, from its options to its report."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lnas.cli import output
from lnas.cli.limits import given_limits, limits
from lnas.cli.place import found, found_sweep, of_a_run_or_sweep
from lnas.cli.processes import together
from lnas.cli.session import Session
from lnas.cli.settings import resolved, settings
from lnas.cli.show import tell
from lnas.cli.tables import table

if TYPE_CHECKING:
    from lnas.host.job import Job
    from lnas.host.plan import Plan
    from lnas.host.rundir import RunDirectory
    from lnas.host.signals import Limits

EXAMPLES = """
\b
Examples:
  lnas run --strategy darts --prune alpha:iterative
      Variant 2: prune paths of the supernet while searching
  lnas run --strategy darts --prune theta:one-shot
      Variant 1: prune weights while retraining
  lnas run --strategy darts --prune alpha:iterative --prune theta:iterative
      generalized LNAS: both
  lnas run --strategy darts
      the DARTS baseline: neither
"""


@click.command(epilog=EXAMPLES, short_help="Search, prune, retrain, write a report.")
@settings
@limits
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON instead of tables.")
@click.option("--dry-run", is_flag=True, help="Build everything, print the plan, and write nothing.")
@click.pass_context
def run(context: click.Context, as_json: bool, dry_run: bool) -> None:
    """Search for an architecture, prune, retrain, and write a report.

    SPEC is NAME,KEY=VALUE,...; `lnas components` lists the names, `lnas components NAME` the keys.
    """
    from lnas.host.assemble import build
    from lnas.host.config import to_toml
    from lnas.host.foreign import aside
    from lnas.host.rundir import RunDirectory
    from lnas.host.runtime import leave_a_core

    leave_a_core()
    session = context.ensure_object(Session)
    with together(context) as processes:
        merged, dataset = resolved(context)
        config = merged.config
        place: dict[str, Any] = {
            "out": Path(config.out),
            "name": config.name,
            "recipe": config.recipe or "baseline",
            "data": config.data.name,
            "seed": config.seed,
        }
        # refused before the data are moved and the supernet is built
        directory = Path(processes.told(lambda: str(RunDirectory.free(**place))))
        with aside():
            job = build(config, session.host(), dataset, processes)
        if processes.first:
            job.require_room(Path(config.out))
        ends = given_limits(context)
        if not processes.first:
            if not dry_run:
                job.run(RunDirectory(directory), limits=ends)
        elif dry_run:
            _show_plan(job.plan(), job, directory, as_json=as_json)
        else:
            _run(session, job, lambda: RunDirectory.create(**place, config=to_toml(config)), ends, as_json=as_json)


@click.command(short_help="Go on with an interrupted run or sweep.")
@of_a_run_or_sweep
@limits
@click.option(
    "--require-exact", is_flag=True, help="Refuse where torch, device, threads or processes are not those of the checkpoint."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON instead of tables.")
@click.pass_context
def resume(context: click.Context, run: str, require_exact: bool, as_json: bool) -> None:
    """Go on with RUN from its last checkpoint.

    Of a sweep all that is left is run, with the executor and as many workers as the last time.
    """
    from lnas.cli.sweeping import go_on
    from lnas.core.errors import ConfigError
    from lnas.host.assemble import reopen
    from lnas.host.foreign import aside
    from lnas.host.rundir import RunDirectory
    from lnas.host.runtime import leave_a_core

    session = context.ensure_object(Session)
    if (sweep := found_sweep(run)) is not None:
        if require_exact:
            raise ConfigError(f"{sweep} is a sweep; --require-exact is of one run, and its runs are in {sweep / 'trials'}")
        go_on(session, sweep, given_limits(context), as_json=as_json)
        return
    leave_a_core()
    with together(context) as processes:
        directory = RunDirectory(Path(processes.told(lambda: str(found(run)))))
        if processes.told(directory.finished):  # its test set was read once, and is not read again
            if processes.first:
                output.note(f"{directory.path} is finished; nothing is left to do")
                if not directory.report.exists():  # it was killed after its last step
                    from lnas.report.page import write

                    write(directory.path, session.host().registry)
                tell(directory.path, as_json=as_json)
            return
        with aside():
            job, directory = reopen(directory.path, session.host(), processes)
        ends = given_limits(context)
        if processes.first:
            if not directory.checkpoints.exists():
                output.note("there is no checkpoint yet; the run begins anew")
            job.require_room(directory.path)
            _run(session, job, lambda: directory, ends, as_json=as_json, require_exact=require_exact)
        else:
            job.run(directory, require_exact=require_exact, limits=ends)


def _run(
    session: Session,
    job: "Job",
    open_directory: "Callable[[], RunDirectory]",
    ends: "Limits",
    *,
    as_json: bool,
    require_exact: bool = False,
) -> None:
    from lnas.cli.progress import watching
    from lnas.host.foreign import aside
    from lnas.host.signals import Interrupted
    from lnas.report.pace import paces
    from lnas.report.page import write
    from lnas.report.read import read
    from lnas.report.table import rich_table

    with watching(job) as observer:
        directory = open_directory()
        command = ("lnas", *session.arguments)
        try:
            with aside():
                summary = job.run(directory, observers=[observer], command=command, require_exact=require_exact, limits=ends)
        except Interrupted as stop:
            if as_json and stop.exit_code == 0:
                place = {"stage": stop.progress.stage, "step": stop.progress.step, "steps": stop.progress.steps}
                output.document({"schema": 1, "run": str(directory.path), "finished": False, **place})
            raise
    if as_json:
        output.document(summary)
    else:
        output.result(rich_table(summary, paces(read(directory.path))))
    say = output.note if as_json else output.text
    say(f"Report: {write(directory.path, session.host().registry)}")
    say(f"To see this again: lnas show {shlex.quote(str(directory.path))}")


def _show_plan(plan: "Plan", job: "Job", directory: Path, *, as_json: bool) -> None:
    config = job.config
    if as_json:
        output.document({**plan.to_json(), "prune": list(map(str, config.prune)), "run": str(directory)})
        return
    splits = ", ".join(f"{number:,} {split}" for split, number in plan.examples.items())
    rows = [
        ("Recipe", plan.recipe),
        ("Prune", " and ".join(map(str, config.prune)) or "nothing"),
        ("Strategy", str(config.strategy)),
        ("Space", str(config.space)),
        ("Data", f"{config.data} ({splits})"),
        ("Device", f"{job.device}, {config.precision}"),
        ("Supernet, paths", f"{plan.paths:,}"),
        ("Supernet, parameters", f"{plan.parameters:,}"),
        ("Supernet, multiply-adds", f"{plan.multiply_adds:,}"),
        ("Run directory", str(directory)),
    ]
    stages = [
        (
            stage.name,
            f"{stage.steps:,}",
            f"{stage.epochs:.4g}",
            f"{stage.rounds} of {stage.k:,} steps" if stage.rounds else "none",
            f"{stage.sparsities[-1]:.4g}" if stage.sparsities else "0",
        )
        for stage in plan.stages
    ]
    output.result(
        "Plan (nothing is written)", table(rows), "", table(stages, head=("stage", "steps", "epochs", "rounds", "final sparsity"))
    )
