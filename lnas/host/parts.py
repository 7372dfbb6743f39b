"""From a specification to an object: the one place that calls the factories of components."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from lnas.core.errors import ConfigError, LnasError, PluginError, PluginFailedError, SparsityError
from lnas.host.foreign import in_one_line
from lnas.host.options import LEADING, options_of, validate
from lnas.host.registry import BUILT_IN, Component, Registry
from lnas.host.spec import Spec

LOSS = "lnas.builtin.classification:cross_entropy"
CORRECT = "lnas.builtin.classification:correct"
TRAINING = "lnas.builtin.weights:WeightTraining"
"""The built-in parts that every run uses and that have no hook."""


def imported(name: str) -> Any:
    """The object that "module:Object" names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def factory(registry: Registry, kind: str, spec: Spec, *, seed: int) -> Callable[..., Any]:
    """The component of a specification with its options filled in, to be called with what the host gives its kind.

    An option called `seed` that the user left unset becomes the run's root seed.

    Raises:
        ConfigError: for a name or an option that does not exist, or a value of the wrong type.
        PluginFailedError: from what is returned, where a plugin's part raises.
    """
    if spec.schedule is not None:
        raise ConfigError(f"{kind} {str(spec)!r} names a schedule; only a prune line has one")
    return bound(registry, kind, spec.name, spec.options, seed=seed)


def bound(registry: Registry, kind: str, name: str, options: Mapping[str, object], *, seed: int) -> Callable[..., Any]:
    """`factory` by name and options."""
    component = registry.get(kind, name)
    part = component.load()
    seeded = any(option.name == "seed" for option in options_of(part, kind))
    values = validate(component, {"seed": seed, **options} if seeded else options)
    if kind in LEADING:
        _check_call(component, part, values)

    def make(*given: Any) -> Any:
        from lnas.host.runtime import settled  # torch, which lists of names do without

        with settled():
            if kind == "importance":  # called in the middle of a run, which knows where it stands
                return part(*given, **values)
            try:
                return part(*given, **values)
            except (ConfigError, SparsityError) as error:  # an option out of range: whose it is, the part does not know
                if not str(error).startswith(f"{kind} "):
                    error.args = (f"{kind} {component.name}: {error}", *error.args[1:])
                raise
            except (KeyboardInterrupt, LnasError):
                raise
            except BaseException as error:  # foreign code: it may even exit
                if component.plugin == BUILT_IN:
                    raise
                raise PluginFailedError(f"{component} raised {in_one_line(error)}") from error

    return make


def _check_call(component: Component, part: Callable[..., Any], values: Mapping[str, object]) -> None:
    """Refuse, before anything is done, a part that cannot be called as its kind is."""
    try:
        inspect.signature(part).bind(*[None] * LEADING[component.kind], **values)
    except TypeError as error:
        raise PluginError(f"{component} cannot be called as lnas calls it: {error}") from error
    except ValueError:  # a function without a signature, of C
        return
