"""`python -m benchmarks [NAME...] [--json] [--quick]`."""

import json

import click

from benchmarks import dead_paths

BENCHMARKS = {"dead_paths": dead_paths.measure}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(sorted(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--quick", is_flag=True, help="Smaller networks and fewer repetitions.")
def main(names: tuple[str, ...], as_json: bool, quick: bool) -> None:
    """Measure the named benchmarks, or all; every figure is a ratio, and lower is better."""
    ratios: dict[str, float] = {}
    for name in names or sorted(BENCHMARKS):
        ratios |= BENCHMARKS[name](quick=quick)
    if as_json:
        click.echo(json.dumps({key: round(value, 4) for key, value in ratios.items()}))
        return
    for key, value in ratios.items():
        click.echo(f"{key:12} {value:.3f}")


if __name__ == "__main__":
    main()
