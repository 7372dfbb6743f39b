"""What a network costs by the measures of plugins, beside those that lnas counts itself."""

import copy
import math
from collections.abc import Iterable, Mapping
from numbers import Real

from torch import Tensor, nn

from lnas.core.errors import ContractError, PluginFailedError
from lnas.core.types import Task
from lnas.host.blame import attributing
from lnas.host.foreign import in_one_line, warn
from lnas.host.parts import factory
from lnas.host.registry import Registry
from lnas.host.runtime import apart
from lnas.host.spec import Spec, shown


def checked_measures(registry: Registry, specs: Iterable[Spec]) -> tuple[Spec, ...]:
    """The specifications, once their names and options are checked: before the work of which the costs are the last part.

    Raises:
        LnasError: for a name or an option that does not exist.
    """
    specs = tuple(specs)
    for spec in specs:
        factory(registry, "cost", spec, seed=0)
    return specs


def measured(registry: Registry, spec: Spec, network: nn.Module, task: Task) -> float:
    """One cost of a copy of the network, in evaluation mode on the CPU.

    Raises:
        PluginFailedError: where the part raises, or returns no finite number.
    """
    with apart(), attributing(lambda: [registry.get("cost", spec.name)]):
        value = factory(registry, "cost", spec, seed=0)(copy.deepcopy(network).cpu().eval(), task)
        if isinstance(value, Tensor) and value.numel() == 1:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, Real) or not _is_finite(value):
            raise ContractError("cost", f"a cost must be a finite number, not {shown(value)}")
    return float(value)


def all_measured(registry: Registry, specs: Iterable[Spec], network: nn.Module, task: Task) -> Mapping[str, float | None]:
    """Each cost by its line, at the end of a run.  One that fails costs a warning, not the run: its value is None."""
    figures: dict[str, float | None] = {}
    for spec in specs:
        try:
            figures[str(spec)] = measured(registry, spec, network, task)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # after all the work is done
            figures[str(spec)] = None
            warn(f"{_named(registry, spec, error)}; it is left out")
    return figures


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _named(registry: Registry, spec: Spec, error: BaseException) -> str:
    return str(error) if isinstance(error, PluginFailedError) else f"{registry.get('cost', spec.name)}: {in_one_line(error)}"
