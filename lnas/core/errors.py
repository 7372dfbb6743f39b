"""Everything that lnas raises on purpose, as one tree.

    LnasError                    exit code 2 unless said otherwise
    ├── ConfigError              an option, a specification, a configuration file
    │   └── UnknownNameError     a component, option or operation that does not exist
    ├── DataError                pictures that are missing, broken or too few
    ├── GenotypeError            an architecture that cannot be built
    ├── SparsityError            a sparsity that the target cannot reach
    ├── PluginError              a plugin that cannot be loaded
    │   ├── ContractError        a part of one that gives something else than it promises
    │   └── PluginFailedError    exit code 1: a part of one that failed while it worked
    ├── RunError                 a run directory that cannot be read or written
    │   └── RunInUseError        exit code 4: another process writes there
    └── NumericalError           exit code 3: a loss, a gradient, a score or alpha that is not finite

    A run ends with two more, which only the host raises: `Interrupted` (130, 143, or 0 out of time) and `PeerError` (5).

A message says what was given, what is allowed and what to do, in one line.  The command line turns any of these into
that line and `exit_code`; a library user catches `LnasError`.
"""

import difflib
from collections.abc import Iterable

_LONGEST_NAME = 100
"""Of one that is looked for, in characters."""


class LnasError(Exception):
    """The root of all errors that lnas raises on purpose."""

    exit_code: int = 2


class ConfigError(LnasError, ValueError):
    """An option, a specification or a configuration file that cannot be used."""


class UnknownNameError(ConfigError):
    """A name that nothing answers to; the message lists what there is and the nearest match."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1) if len(name) <= _LONGEST_NAME else []  # the search is quadratic
        self.near = near[0] if near else None
        hint = f"did you mean {near[0]!r}? " if near else ""
        shown = repr(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}...")
        super().__init__(f"unknown {what} {shown}; {hint}there are: {', '.join(names) or 'none'}")


class DataError(LnasError, ValueError):
    """Pictures that are missing, broken or too few."""


class GenotypeError(LnasError, ValueError):
    """An architecture that cannot be built."""


class SparsityError(LnasError, ValueError):
    """A sparsity that the target cannot reach; the message names the largest it can."""


class PluginError(LnasError):
    """A plugin that cannot be loaded, or a part that breaks its contract."""


class ContractError(PluginError):
    """A part that was loaded and gives something else than its kind promises; it says so where that is noticed.

    Attributes:
        kind: of the part: "importance".  Whoever knows which part was chosen adds its name, plugin and version.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class PluginFailedError(PluginError):
    """A part of a plugin that failed while it worked; the message names the part, its plugin and the version."""

    exit_code = 1


class RunError(LnasError):
    """A run directory that cannot be read or written."""


class RunInUseError(RunError):
    """Another process writes to the run directory."""

    exit_code = 4


class NumericalError(LnasError, ArithmeticError):
    """A loss, a score or alpha that is not finite."""

    exit_code = 3
