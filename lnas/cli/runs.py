"""`lnas runs`: which runs there are, and the removal of some."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.cli.place import LATEST, folder, meant
from lnas.cli.tables import table
from lnas.core.errors import ConfigError
from lnas.report.text import line

if TYPE_CHECKING:
    from rich.table import Table

    from lnas.host.runs import Entry

HEAD = ("name", "state", "stage", "recipe", "valid.", "test", "size", "updated")
SPARED = ("recipe", "size", "valid.")
"""Columns that a narrow terminal does without, the first to go first."""
BREAKABLE = ("stage", "updated", "state")
"""Columns that may be broken between words, the first to get what room there is."""
GAP = 3
"""Between two columns."""
LONGEST_WORD = 12
"""A longer one, as the name of a file may be, can be broken."""

REMOVE = """
\b
Examples:
  lnas runs rm first second
      two runs of the folder runs, or of LNAS_OUT
  lnas runs rm /data/runs/first --yes
      without being asked, as in a script
"""


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """List and remove runs."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@runs.command("list", short_help="List the runs of a folder.")
@click.option("--out", metavar="FOLDER", help="Folder of the run directories.  [default: LNAS_OUT, else runs]")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def list_runs(out: str | None, as_json: bool) -> None:
    """List the runs of a folder, the one whose status changed last at the end.

    A run that is said to be running, but that no process holds, is shown as stopped: it was killed, and `lnas resume` goes
    on with it.  A run is not exact where it was resumed on another torch, device or number of threads or processes.

    Times are those of this machine's clock. A terminal that is too narrow shows fewer columns; --json shows all.
    """
    from lnas.host.runs import leftovers, listed

    place = folder() if out is None else Path(out)
    entries, left = listed(place), leftovers(place)
    if as_json:
        rows = [{**asdict(entry), "path": str(entry.path), "name": entry.path.name} for entry in entries]
        output.document({"schema": 1, "out": str(place), "runs": rows, "leftovers": [str(path) for path in left]})
        return
    if entries:
        output.result(_listing([_row(entry) for entry in entries], output.width()))
    else:
        output.text(f"there is no run in {place}; start one with: lnas run")
    for path in left:
        output.note(f"{path} is left by a process that was killed in making or removing a run; lnas runs rm removes it too")


@runs.command("rm", epilog=REMOVE, short_help="Remove runs.")
@click.argument("run", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def remove_runs(run: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove each RUN, a directory or a name in LNAS_OUT or runs.

    Only what `lnas run` made and no process holds is removed; if one of several cannot be, none is.  Links in a run are removed
    and not followed.

    Exit code 0 also where the answer is no: nothing is removed then, and that is said.
    """
    from lnas.host.runs import discard, leftovers, removable, remove, size_of

    if LATEST in run:
        raise ConfigError(f"{LATEST} is not removed, for it may be another run than you think; name the run: see lnas runs list")
    chosen = removable([meant(name) for name in run])
    paths = [directory.path for directory in chosen]
    size = sum(map(size_of, paths))
    words = line(f"{len(paths)} run{'s' * (len(paths) != 1)} ({_bytes(size)}): {', '.join(map(str, paths))}")
    if not yes and not _agreed(words):
        paths, size = [], 0
        words = "nothing"
    else:
        remove(chosen)
        for left in dict.fromkeys(left for path in paths for left in leftovers(path.parent)):
            discard(left)
    if as_json:
        output.document({"schema": 1, "removed": [str(path) for path in paths], "size": size})
    else:
        output.text(f"Removed {words}")


def _agreed(words: str) -> bool:
    """Ask at the terminal.

    Raises:
        ConfigError: where there is none.
    """
    if not _at_a_terminal():
        raise ConfigError("nothing is removed: there is no terminal to ask at; to remove without being asked, add --yes")
    return click.confirm(f"Remove {words}?", err=True)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _listing(rows: Sequence[tuple[str, ...]], width: int) -> "Table":
    """The rows, with as many of the columns of `HEAD` as have room without a broken word."""
    from rich.cells import cell_len

    columns = {name: [name, *(line(row[index]) for row in rows)] for index, name in enumerate(HEAD)}
    widths = {name: max(map(cell_len, cells)) for name, cells in columns.items()}
    wanted = {name: widths[name] for name in BREAKABLE}
    for name in BREAKABLE:
        widths[name] = min(LONGEST_WORD, max(cell_len(word) for cell in columns[name] for word in cell.split()))
    for name in SPARED:
        if _total(widths) > width:
            del widths[name]
    for parts in (False, True):  # first those that can be had without a break
        for name in BREAKABLE:
            more, room = wanted[name] - widths[name], max(0, width - _total(widths))
            widths[name] += min(more, room) if parts or more <= room else 0
    shown = [[cell for name, cell in zip(HEAD, row, strict=True) if name in widths] for row in rows]
    return table(shown, head=list(widths), widths=list(widths.values()))


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _row(entry: "Entry") -> tuple[str, ...]:
    state = f"{entry.state}, not exact" if entry.exact is False else entry.state
    return (
        entry.path.name,
        f"{state}: {entry.reason}" if entry.reason else state,
        "" if entry.stage is None or entry.state == "finished" else f"{entry.stage} {entry.step:,} of {entry.steps:,}",
        entry.recipe or "",
        _percent(entry.validation),
        _percent(entry.test),
        _bytes(entry.size),
        _time(entry.updated),
    )


def _time(updated: str | None) -> str:
    """Of this machine's clock, to the minute."""
    if updated is None:
        return ""
    try:
        return datetime.fromisoformat(updated).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):  # what a run says, or a year that the clock does not know
        return updated


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _bytes(size: int) -> str:
    """In units of 1000, as a disk is sold."""
    if size < 1000:
        return f"{size} B"
    number = size / 1000
    for unit in ("kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
