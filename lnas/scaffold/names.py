"""What a new plugin's distribution, package, part and object are called, all made of one name."""

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder

from lnas.core.errors import ConfigError, UnknownNameError
from lnas.host.hookspecs import HOOKS
from lnas.host.plugins import Host
from lnas.host.spec import shown

KINDS = ("strategy", "space", "schedule", "target", "importance", "observer", "recipe", "dataset", "executor")
"""The kinds of part that can be begun."""
LONGEST = 40
"""Characters of a name."""

_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_CLASSES = ("strategy", "schedule", "target", "observer", "executor")


@dataclass(frozen=True)
class Names:
    """All that is made of a name.

    Attributes:
        distribution: as pip installs it, and the folder: "lnas-step-wise".
        kind: of the part: "schedule".
        package: as Python imports it: "lnas_step_wise".
        part: as a user types it, and the plugin's own name: "step-wise".
        title: "StepWise".
        object: the class or the function: "StepWiseSchedule", or for an importance "step_wise_importance".
    """

    distribution: str
    kind: str
    package: str
    part: str
    title: str
    object: str

    @property
    def hook(self) -> str:
        """The function of the plugin contract that offers the part: "lnas_schedules"."""
        return HOOKS[self.kind]


def names_of(name: str, kind: str, host: Host) -> Names:
    """The names for a new plugin.

    Args:
        name: of the distribution, usually beginning with "lnas-", which the part's name does without.
        kind: one of `KINDS`.
        host: what is installed.

    Raises:
        UnknownNameError: where the kind is none of `KINDS`.
        ConfigError: where the name is none for a distribution or a package, or would hide something that is there.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of part", kind, KINDS)
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise ConfigError(
            f"{shown(name)} cannot be the name of a distribution: 1 to {LONGEST} of the letters a-z and A-Z, digits, '.', '_' and"
            " '-', with a letter or a digit first and last"
        )
    words = re.split(r"[-_.]+", name.lower())
    package = "_".join(words)
    own = words[1:] if words[0] == "lnas" and len(words) > 1 else words
    written = own if own[0][0].isalpha() else words  # no class or function begins with a digit
    title = "".join(word.capitalize() for word in written)
    said = [*written, *([] if written[-1] == kind else [kind])]
    object = "".join(word.capitalize() for word in said) if kind in _CLASSES else "_".join(said)
    made = Names(name, kind, package, "-".join(own), title, object)
    _check_package(made)
    _check_installed(made, host)
    return made


def _check_package(names: Names) -> None:
    package, name = names.package, names.distribution
    if not package.isidentifier() or keyword.iskeyword(package):
        raise ConfigError(f"{name} would be the package {package}, and Python can import none of that name; try lnas-{name}")
    if package == "lnas":
        raise ConfigError(f"{name} is lnas itself; choose another name, e.g. lnas-{names.kind}")
    if package in sys.stdlib_module_names:
        raise ConfigError(f"{name} would hide the module {package} of Python's standard library; try lnas-{name}")
    spec = PathFinder.find_spec(package)
    if (spec is not None and spec.origin is not None) or package in sys.modules:
        raise ConfigError(f"{name} would hide the package {package}, which is installed; choose another name")


def _check_installed(names: Names, host: Host) -> None:
    plugins = {record.name: record for record in host.plugins}
    distributions = {re.sub(r"[-_.]+", "_", record.distribution or "").lower(): record for record in host.plugins}
    taken = plugins.get(names.part) or distributions.get(names.package)
    if taken is not None:
        raise ConfigError(f"{taken} is there already; choose another name than {names.distribution}")
    parts = [part for part in host.registry.all(names.kind) if part.name == names.part]
    if parts:
        raise ConfigError(f"{parts[0]} is there already; choose another name than {names.distribution}")
