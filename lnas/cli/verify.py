"""`lnas verify`: whether a run is whole, file by file."""

import shlex
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.place import meant, of_a_run
from lnas.cli.session import Session, pass_session
from lnas.cli.tables import table
from lnas.report.text import line

if TYPE_CHECKING:
    from lnas.host.verify import Finding

WRONG = 3
"""Exit code: all was looked at, and something is wrong."""

EXAMPLES = """
\b
Examples:
  lnas verify latest
      the run whose status changed last
  lnas verify /backup/runs/first --json
      a copy, which may be read-only
"""


@click.command(epilog=EXAMPLES, short_help="Check that a run is whole.")
@of_a_run
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
@click.pass_context
def verify(context: click.Context, session: Session, run: str, as_json: bool) -> None:
    """Check every hash and the whole state of RUN, and say what is wrong.

    It only reads. RUN may be running, interrupted or finished. What a kill leaves behind is not wrong, for `lnas resume`
    goes on from there.

    Exit code 0 where all is well, 3 where something is wrong.
    """
    from lnas.host.foreign import aside
    from lnas.host.rundir import RunDirectory
    from lnas.host.verify import verify as verified

    path = meant(run)
    with aside():
        findings = verified(path, session.host())
    wrong = [finding for finding in findings if finding.verdict == "wrong"]
    if as_json:
        rows = [{"file": found.file, "verdict": found.verdict, "words": found.words} for found in findings]
        output.document({"schema": 1, "run": str(path), "whole": not wrong, "files": rows})
    else:
        finished = RunDirectory(path).finished()
        output.result(line(str(path)), table([_row(found) for found in findings], head=("file", "verdict", "what is there")), "")
        if wrong:
            files = ", ".join(finding.file for finding in wrong)
            output.text(line(f"{path} is not whole: see {files}"))
            output.text(line(_help(shlex.quote(str(path)), findings, finished)))
        else:
            output.text(line(f"{path} is whole{_but(shlex.quote(str(path)), findings, finished)}"))
    if wrong:
        context.exit(WRONG)


def _help(run: str, findings: "Sequence[Finding]", finished: bool) -> str:
    """What to do about files that are wrong."""
    wrong = {found.file for found in findings if found.verdict == "wrong"}
    if wrong == {"report.html"}:
        return f"lnas report {run} writes the page again"
    checkpoints = {found.file for found in findings if found.file.startswith("checkpoints/")}
    if finished and wrong <= checkpoints:
        return "the result is whole, and needs no checkpoint any more"
    if wrong <= checkpoints and any(found.file in checkpoints and found.verdict == "ok" for found in findings):
        return f"lnas resume {run} goes on from the newest whole checkpoint"
    copy = "put back what was written from a copy"
    return copy if "config.toml" in wrong else f"{copy}, or run it anew: lnas run --config {run}/config.toml --name NAME"


def _but(run: str, findings: "Sequence[Finding]", finished: bool) -> str:
    """What a whole run that is over lacks all the same."""
    absent: Collection[str] = {found.file for found in findings if found.verdict == "absent"} if finished else ()
    words = ["checkpoints are absent: the result was compared with none"] if "checkpoints" in absent else []
    if "report.html" in absent:
        words.append(f"report.html is absent: lnas report {run} writes it")
    return "".join(f"; {word}" for word in words)


def _row(found: "Finding") -> tuple[str, str, str]:
    return found.file, found.verdict, found.words
