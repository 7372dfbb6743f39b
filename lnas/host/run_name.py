"""What a run may be called: a folder name that no shell, page, terminal or file system reads as something else."""

import re

from lnas.core.errors import ConfigError
from lnas.host.spec import shown

LONGEST = 100
"""Characters, which are bytes too."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def run_name(name: str) -> str:
    """The name, where a run can have it.

    Raises:
        ConfigError: in words to follow what was named: "must be 1 to 100 of ...".
    """
    if len(name) > LONGEST or not _NAME.fullmatch(name):
        raise ConfigError(
            f"must be 1 to {LONGEST} of the letters a-z and A-Z, digits, '.', '_' and '-', and begin with a letter, a digit or"
            f" '_', not {shown(name)}"
        )
    return name
