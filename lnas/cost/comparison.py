"""Another counter's figures beside ours, and where and why the two differ."""

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from lnas.core.errors import ConfigError
from lnas.cost.counter import CONVOLUTION, LINEAR, by_kind
from lnas.cost.figures import parameters
from lnas.cost.forward import Shape, answer, evaluation, open_attention, zeros


@dataclass(frozen=True)
class Difference:
    """A kind of operation for which the two give different multiply-adds."""

    kind: str
    ours: int
    theirs: int
    reason: str


@dataclass(frozen=True)
class Comparison:
    """Dense multiply-adds and parameters of both; the differences add up to `theirs - ours`."""

    counter: str
    ours: int
    theirs: int
    our_parameters: int
    their_parameters: int
    differences: tuple[Difference, ...]


def against_ptflops(network: nn.Module, shape: Shape, backend: Literal["pytorch", "aten"] = "pytorch") -> Comparison:
    """Count with ptflops as well, in silence.

    Args:
        network: is afterwards as it was.
        shape: of one input, without the batch, or the task.
        backend: "pytorch" hooks modules and patches functions, "aten" listens to torch's operations as we do.

    Raises:
        ConfigError: where ptflops is not installed, has no such backend, or fails on the network.
    """
    if backend not in ("pytorch", "aten"):
        raise ConfigError(f"ptflops has no backend {backend!r}; it has pytorch and aten")
    try:
        ptflops = importlib.import_module("ptflops")
        hooks = _hooks(backend)
    except ImportError as error:
        raise ConfigError("ptflops is not installed; install it: pip install ptflops") from error
    ours = {kind: counts[0] for kind, counts in by_kind(network, shape).items()}
    theirs: dict[str, int] = {}
    said = io.StringIO()
    with evaluation(network), open_attention(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        x = zeros(network, shape)
        total, their_parameters = ptflops.get_model_complexity_info(
            _Subject(network, hooked=backend == "pytorch"),
            tuple(x.shape[1:]),
            print_per_layer_stat=False,
            as_strings=False,
            ost=said,
            input_constructor=lambda shape: x,
            custom_modules_hooks={key: _overhear(backend, key, hook, theirs) for key, hook in hooks.items()},
            backend=backend,
        )
    if total is None:
        raise ConfigError(f"ptflops ({backend}) fails on this network: {said.getvalue().strip().splitlines()[-1]}")
    theirs["function"] = total - sum(theirs.values())  # what it counts where it patches torch.nn.functional
    rows = (
        Difference(kind, ours.get(kind, 0), theirs.get(kind, 0), _REASONS.get(kind, _NOT_OURS))
        for kind in dict.fromkeys([*ours, *theirs])
    )
    differences = tuple(row for row in rows if row.ours != row.theirs)
    return Comparison(f"ptflops ({backend})", sum(ours.values()), total, parameters(network).total, their_parameters, differences)


_NOT_OURS = "ours are convolutions and linear layers only"
_REASONS = {
    CONVOLUTION: "ptflops adds one per output value for a bias; its pytorch backend misses what is no module of torch's own",
    LINEAR: "ptflops adds one per output value for a bias; its pytorch backend misses what is no nn.Linear",
    "normalisation": f"{_NOT_OURS}; ptflops counts two per value",
    "activation": f"{_NOT_OURS}; ptflops counts one per value",
    "pooling": f"{_NOT_OURS}; ptflops counts one per value of the input",
    "function": f"{_NOT_OURS}; ptflops counts functions too, and with them a ReLU or pooling module a second time",
    "bmm": "ptflops counts products of two activations; where a factor is a weight, ours is in linear",
    "multihead_attention": "ptflops counts an attention layer as a whole; of ours, the projections are in linear",
}
_KINDS = {
    "conv": CONVOLUTION,
    "convolution": CONVOLUTION,
    "_convolution": CONVOLUTION,
    "mm": LINEAR,
    "addmm": LINEAR,
    "bn": "normalisation",
    "relu": "activation",
    "pool": "pooling",
}


class _Subject(nn.Module):
    """A network as ptflops takes one: a module of one tensor.

    Its aten backend leaves hooks on the children of a module for good, so there the network is held, but is no child.
    """

    def __init__(self, network: nn.Module, *, hooked: bool) -> None:
        super().__init__()
        self.held = (network,)
        if hooked:
            self.network = network

    def forward(self, x: Tensor) -> Any:
        return answer(self.held[0], x)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return self.held[0].parameters(recurse)


def _hooks(backend: str) -> dict[Any, Callable[..., Any]]:
    """ptflops' table: a type of module or an operation -> how it is counted."""
    if backend == "aten":
        return dict(importlib.import_module("ptflops.aten_ops").ATEN_OPS_MAPPING)
    return dict(importlib.import_module("ptflops.pytorch_ops").MODULES_MAPPING)


def _overhear(backend: str, key: Any, hook: Callable[..., Any], heard: dict[str, int]) -> Callable[..., Any]:
    """ptflops' own hook, which also adds to `heard`, by kind, what it counts."""
    if backend == "aten":

        def operation(inputs: Any, outputs: Any) -> Any:
            count = hook(inputs, outputs)
            kind = _KINDS.get(key.__name__, key.__name__)
            heard[kind] = heard.get(kind, 0) + int(count)
            return count

        return operation

    def module(layer: Any, inputs: Any, output: Any) -> None:
        before = layer.__flops__
        hook(layer, inputs, output)
        name = getattr(hook, "func", hook).__name__  # as in conv_flops_counter_hook, partial for transposed ones
        name = name.removesuffix("_counter_hook").removesuffix("_flops")
        kind = _KINDS.get(name, name)
        heard[kind] = heard.get(kind, 0) + int(layer.__flops__ - before)

    return module
