"""`lnas verify`: whether a run is whole, file by file."""

from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.place import meant
from lnas.cli.session import Session, pass_session
from lnas.cli.tables import table

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
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@pass_session
@click.pass_context
def verify(context: click.Context, session: Session, run: str, as_json: bool) -> None:
    """Check every hash and the whole state of RUN, and say what is wrong; `latest` is the run whose status changed last.

    It only reads. RUN may be running, interrupted or finished. What a kill leaves behind is not wrong, for `lnas resume`
    goes on from there.

    Exit code 0 where all is well, 3 where something is wrong.
    """
    from lnas.host.foreign import aside
    from lnas.host.verify import verify as verified

    path = meant(run)
    with aside():
        findings = verified(path, session.host())
    wrong = [finding for finding in findings if finding.verdict == "wrong"]
    if as_json:
        rows = [{"file": found.file, "verdict": found.verdict, "words": found.words} for found in findings]
        output.document({"schema": 1, "run": str(path), "whole": not wrong, "files": rows})
    else:
        output.result(str(path), table([_row(found) for found in findings], head=("file", "verdict", "what is there")), "")
        files = ", ".join(finding.file for finding in wrong)
        output.text(f"{path} is not whole: see {files}" if wrong else f"{path} is whole")
    if wrong:
        context.exit(WRONG)


def _row(found: "Finding") -> tuple[str, str, str]:
    return found.file, found.verdict, found.words
