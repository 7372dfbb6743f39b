"""`lnas completion`: what a shell needs to complete commands, options and the names of parts."""

import click
from click.shell_completion import get_completion_class

from lnas.cli import output
from lnas.core.errors import UnknownNameError

SHELLS = ("bash", "fish", "zsh")

HELP = """Print a script that completes lnas in your shell.

\b
bash:  eval "$(lnas completion bash)"     in ~/.bashrc
zsh:   eval "$(lnas completion zsh)"      in ~/.zshrc
fish:  lnas completion fish | source      in ~/.config/fish/config.fish
"""


@click.command(help=HELP)
@click.argument("shell", metavar="bash|zsh|fish")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Find the shell's kind of script."""
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        raise UnknownNameError("shell", shell, SHELLS)
    script = kind(context.find_root().command, {}, "lnas", "_LNAS_COMPLETE").source()
    output.text(script)
