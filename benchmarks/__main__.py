"""`python -m benchmarks [NAME...] [--json] [--quick] [--plot FILE]`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import torch

from benchmarks import activations, checkpoints, dead_paths, gradients, growth, guard, memory, retrain, startup, steps, variant2
from benchmarks.measured import Measured
from benchmarks.sizes import device
from benchmarks.timing import progress


class Benchmark(NamedTuple):
    """How to measure, and the keys of the ratios that come out."""

    measure: Callable[..., Measured]
    keys: tuple[str, ...] = ()


BENCHMARKS = {
    "first_order_big": Benchmark(steps.first_order_big, ("first_order_big", "first_order_big_checkpointed")),
    "first_order_small": Benchmark(steps.first_order_small, ("first_order_small", "one_path_small")),
    "unrolled_big": Benchmark(steps.unrolled_big, ("unrolled_big",)),
    "activations": Benchmark(activations.measure, ("activations_big", "activations_big_checkpointed")),
    "dead_paths": Benchmark(dead_paths.measure, ("dead_50", "dead_875")),
    "variant2_search": Benchmark(variant2.measure, ("variant2_search_875",)),
    "retrain": Benchmark(retrain.measure, ("retrain_big",)),
    "gradients": Benchmark(gradients.measure, ("float64_gradients",)),
    "guard": Benchmark(guard.measure, ("guard_big", "guard_small")),
    "checkpoints": Benchmark(checkpoints.measure, ("checkpoints",)),
    "memory": Benchmark(memory.measure),
    "startup": Benchmark(startup.measure, ("startup_plugins",)),
    "growth": Benchmark(growth.measure),
}
MEASURED_BY = {key: name for name, benchmark in BENCHMARKS.items() for key in (*benchmark.keys, name)}
"""The benchmark of every name that may be asked for: its own, or a key of its."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(MEASURED_BY)), metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line; the last is the ratios by key.")
@click.option("--quick", is_flag=True, help="Smaller networks and fewer repetitions: minutes instead of a quarter of an hour.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write the curves of `growth` to this SVG file.")
def main(names: tuple[str, ...], as_json: bool, quick: bool, plot: Path | None) -> None:
    """Measure the named benchmarks, or those with the named keys, or all.  Ratios: lower is better."""
    chosen = [name for name in BENCHMARKS if not names or name in {MEASURED_BY[asked] for asked in names}]
    if plot is not None and "growth" not in chosen:
        raise click.UsageError("--plot draws what `growth` measures; name it too")
    torch.backends.cudnn.benchmark = True  # as the published code: the shapes of a search do not change
    machine = {"device": _device_name(), "threads": torch.get_num_threads(), "torch": torch.__version__, "quick": quick}
    click.echo(json.dumps(machine) if as_json else ", ".join(f"{key} {value}" for key, value in machine.items()))
    ratios: dict[str, float] = {}
    for name in chosen:
        progress(f"== {name}")
        measure = partial(growth.measure, plot=plot) if name == "growth" else BENCHMARKS[name].measure
        measured = measure(quick=quick)
        ratios |= {key: _rounded(value) for key, value in measured.ratios.items()}
        _print(name, measured, as_json)
    if as_json:
        click.echo(json.dumps(ratios))


def _print(name: str, measured: Measured, as_json: bool) -> None:
    figures = {what: {of: _rounded(value) for of, value in column.items()} for what, column in measured.figures.items()}
    if as_json:
        click.echo(json.dumps({"benchmark": name, **figures}))
        return
    for key, value in measured.ratios.items():
        click.echo(f"{key:<32} {_rounded(value):g}")
    for what, column in figures.items():
        click.echo(f"    {what:<36} {'   '.join(f'{of} {figure:g}' for of, figure in column.items())}")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _device_name() -> str:
    return torch.cuda.get_device_name() if device().type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
