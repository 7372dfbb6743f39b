"""Arbitrary bytes for everything that reads what others may have written.

Each target of `targets` reads the bytes or refuses them with an error of ours in one line; where there is a writer, what was
read is written and read back as an equal value.  Anything else is a finding.  The long form is guided by coverage, by atheris
(libFuzzer for Python), a process a target; the short form, of the test suite, mutates the corpus by chance and needs nothing.

    python -m benchmarks.chaos fuzz --count 1000000         every target, so many executions each
    python -m benchmarks.chaos.fuzz spec toml --count 5000  some of them
"""

import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from benchmarks.chaos.outcome import Outcome, progress

LONG = 1_000_000
"""Executions of each target."""
LONGEST_INPUT = 4096
"""Bytes; that no reader is slow at large ones is tested one by one."""
SLOW = 5
"""Seconds after which one execution is a finding; by chance, seconds of this process, whatever else the machine does."""

_PIECES = (
    *(b"\x00", b"\xff", b"\x1b[31m", b"\n", b"\r", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"[/x]", b"<script>"),
    *(b"nan", b"inf", b"-1", b"0", b"1e309", b"9" * 50, b"null", b"true", b"{}", b"[]", b'""', b"[" * 70, b'{"a":' * 70, b"../"),
    *(b",", b"=", b":", b"\\", b'"', b"'", b"+", b"|", b"~", b".", b"#", b"$tensor", b"$float", b"__metadata__"),
)


class Missing(click.ClickException):
    """What the long form needs is not there."""

    exit_code = 2


def measure(count: int, seed: int, folder: Path) -> Outcome:
    """Every target with atheris, `count` executions each."""
    from benchmarks.chaos.targets import TARGETS

    return guided(list(TARGETS), count, seed, folder)


def guided(names: Sequence[str], count: int, seed: int, folder: Path) -> Outcome:
    """The named targets with atheris, `count` executions each; what breaks one is kept in `folder`."""
    if importlib.util.find_spec("atheris") is None:
        raise Missing("the long form needs atheris, which is not installed: pip install atheris")
    held, broken, figures = 0, [], {}
    for name in names:
        began = time.monotonic()
        place = folder.absolute() / name
        (place / "corpus").mkdir(parents=True, exist_ok=True)
        words = [
            sys.executable,
            "-m",
            "benchmarks.chaos.guided",
            name,
            f"-runs={count}",
            f"-seed={seed + 1}",
            str(place / "corpus"),
        ]
        options = [
            f"-max_len={LONGEST_INPUT}",
            f"-timeout={SLOW}",
            f"-artifact_prefix={place}/",
            "-verbosity=0",
            "-rss_limit_mb=4096",
        ]
        ended = subprocess.run([*words, *options], capture_output=True, text=True)
        if ended.returncode == 0:
            held += count
        else:
            last = [line for line in ended.stderr.splitlines() if line.strip()][-12:]
            broken.append(f"{name}: exit status {ended.returncode}; see {place}: {' | '.join(last)}")
            progress(broken[-1])
        figures[name] = f"{count:,} executions" if ended.returncode == 0 else "a finding"
        progress(f"{name}: {figures[name]} in {time.monotonic() - began:.0f} s")
    return Outcome(count * len(names), held, figures, broken)


def by_chance(name: str, count: int, seed: int) -> Outcome:
    """One target at its corpus and at `count` mutations of it."""
    from benchmarks.chaos.targets import TARGETS

    target, generator = TARGETS[name], random.Random(f"{name} {seed}")
    held, broken = 0, []
    for data in (*target.corpus, *mutated(target.corpus, count, generator)):
        began = time.process_time()
        try:
            target.check(data)
        except Exception as error:  # whatever it is, it is a finding
            broken.append(f"{name}: {type(error).__name__}: {error} at {data[:400]!r}")
        else:
            if (took := time.process_time() - began) < SLOW:
                held += 1
            else:
                broken.append(f"{name}: took {took:.1f} s at {data[:400]!r}")
    return Outcome(len(target.corpus) + count, held, {}, broken)


def mutated(corpus: Sequence[bytes], count: int, generator: random.Random) -> Iterable[bytes]:
    """As many changed entries of a corpus: bytes flipped, cut, doubled, put in, or two entries joined."""
    for _ in range(count):
        data = bytearray(generator.choice(corpus))
        for _ in range(generator.randint(1, 4)):
            start, end = sorted(generator.randint(0, len(data)) for _ in range(2))
            match generator.randrange(6):
                case 0 if data:
                    data[generator.randrange(len(data))] = generator.randrange(256)
                case 1:
                    del data[start : min(end, start + 16)]
                case 2:
                    data[start:start] = data[start:end]
                case 3:
                    data[start:start] = generator.choice(_PIECES)
                case 4:
                    data[start : start + generator.randrange(4)] = generator.choice(_PIECES)
                case _:
                    data[start:] = generator.choice(corpus)[start:]
        yield bytes(data[:LONGEST_INPUT])


@click.command()
@click.argument("names", nargs=-1)
@click.option("--count", type=click.IntRange(min=1), default=LONG, show_default=True, help="Executions of each target.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="What the tries are drawn from.")
@click.option("--chance", is_flag=True, help="Mutations by chance, without atheris.")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Keep corpora and findings in this directory.")
def main(names: tuple[str, ...], count: int, seed: int, chance: bool, folder: Path | None) -> None:
    """Fuzz the named targets, or all."""
    from benchmarks.chaos.targets import TARGETS

    for name in names:
        if name not in TARGETS:
            raise click.UsageError(f"there is no target {name}; there are: {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory(prefix="lnas-chaos-fuzz-") as scratch:
        if chance:
            outcomes = [by_chance(name, count, seed) for name in names or TARGETS]
        else:
            outcomes = [guided(names or list(TARGETS), count, seed, folder or Path(scratch))]
    tried, held = sum(one.tried for one in outcomes), sum(one.held for one in outcomes)
    click.echo(f"fuzz: {held:,} of {tried:,} held")
    for line in [line for one in outcomes for line in one.broken]:
        click.echo(f"broken: {line}", err=True)
    sys.exit(held < tried)


if __name__ == "__main__":
    main()
