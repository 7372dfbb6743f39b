"""Which plugins are loaded, and how loudly: the same few switches on the command line, in the environment and in Python."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lnas.core.errors import ConfigError
from lnas.host.spec import NAME, shown

DISABLE = "LNAS_DISABLE_PLUGINS"
LOAD = "LNAS_LOAD_PLUGINS"
STRICT = "LNAS_PLUGINS_STRICT"
TRACE = "LNAS_TRACE_PLUGINS"
VARIABLES = (DISABLE, LOAD, STRICT, TRACE)
"""The environment variables of plugins; a run's own settings are read elsewhere."""


@dataclass(frozen=True)
class Switches:
    """What a host is told about plugins before it looks for them.

    Attributes:
        installed: whether to look for installed plugins at all; False with `--no-plugins`.
        disabled: plugins that stay off, each with the words of the switch that says so; by the name of the plugin or of its
            distribution.
        only: the installed plugins that may be loaded; None for all.
        files: single modules that are plugins.
        strict: whether a plugin that fails is an error.
        trace: whether each call of a hook is shown.
    """

    installed: bool = True
    disabled: Mapping[str, str] | None = None
    only: frozenset[str] | None = None
    files: tuple[Path, ...] = ()
    strict: bool = False
    trace: bool = False

    @classmethod
    def of(
        cls,
        environment: Mapping[str, str],
        *,
        no_plugins: bool = False,
        disable: Iterable[str] = (),
        files: Iterable[Path] = (),
    ) -> "Switches":
        """The switches of the environment and those of a command line, which add up.

        Args:
            environment: `os.environ`; a variable that is empty is unset.
            no_plugins: leave out everything that is installed.
            disable: names of plugins or distributions.
            files: Python files.

        Raises:
            ConfigError: where a variable or a name cannot be one.
        """
        disabled = {canonical(name): DISABLE for name in _names(DISABLE, environment)}
        disabled |= {canonical(_checked(name, "--disable-plugin")): f"--disable-plugin {name}" for name in disable}
        allowed = _names(LOAD, environment)
        return cls(
            installed=not no_plugins,
            disabled=disabled,
            only=frozenset(map(canonical, allowed)) if allowed else None,
            files=tuple(files),
            strict=_truth(STRICT, environment),
            trace=_truth(TRACE, environment),
        )

    def off(self, name: str, distribution: str | None, *, installed: bool) -> str | None:
        """The switch that turns a plugin off, in words; None where none does."""
        names = {canonical(known) for known in (name, distribution) if known}
        for switched, words in (self.disabled or {}).items():
            if switched in names:
                return words
        if installed and self.only is not None and not names & self.only:
            return f"{LOAD}, which does not name it"
        return None


def canonical(name: str) -> str:
    """A name as packaging compares names: `Lnas_Cubic` and `lnas-cubic` are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _names(variable: str, environment: Mapping[str, str]) -> list[str]:
    return [_checked(name, variable) for name in re.split(r"[,;\s]+", environment.get(variable, "")) if name]


def _checked(name: str, switch: str) -> str:
    if not NAME.fullmatch(name):
        raise ConfigError(f'{switch}: {shown(name)} is no name of a plugin; letters, digits, "_", "-" and "." only')
    return name


def _truth(variable: str, environment: Mapping[str, str]) -> bool:
    text = environment.get(variable, "").strip()
    if text not in ("", "0", "1"):
        raise ConfigError(f"{variable} must be 0 or 1, not {shown(text)}")
    return text == "1"
