"""`lnas plugins new`: begins a plugin that works."""

from pathlib import Path

import click

from lnas.cli import output
from lnas.cli.session import Session, pass_session


@click.command("new", short_help="Begin a plugin that works.")
@click.argument("name")
@click.option(
    "--kind",
    required=True,
    metavar="KIND",
    help="strategy, space, schedule, target, importance, observer, recipe, dataset or executor.",
)
@click.option("--into", type=click.Path(path_type=Path), default=Path(), metavar="DIR", help="Where to make the folder NAME.")
@pass_session
def new(session: Session, name: str, kind: str, into: Path) -> None:
    """Write a distribution into the folder NAME: a part of that KIND that works, and its test.

    A NAME such as lnas-cubic makes the plugin cubic.
    """
    from lnas.scaffold.distribution import USES, write
    from lnas.scaffold.names import names_of

    names = names_of(name, kind, session.silent_host())
    folder, files = write(names, into)
    output.text(f"{folder}: the {kind} {names.part}, in {len(files)} files\n")
    for command, what in (
        (f"cd {folder}", ""),
        ("pip install --editable .", "once"),
        (f"lnas plugins check {names.part}", "whether it keeps the rules of its kind"),
        ("python -m pytest", "the same, and your own tests"),
        (USES[kind].format(names.part), "use it"),
    ):
        output.text(f"  {command:<50}  {what}".rstrip())
    output.text(f"\nThe example to replace is {names.package}/{kind}.py.")
