"""Readers of what is typed: specifications, options, values, lengths, names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from benchmarks.chaos.targets.expected import refused
from lnas.builtin.nasbench201 import parse_nasbench201, unparse_nasbench201
from lnas.core.genotype import Genotype
from lnas.host.architectures import genotype
from lnas.host.config import expand_recipe, merge, recipe_of
from lnas.host.duration import seconds_of
from lnas.host.epochs import Epochs
from lnas.host.layers import from_environment
from lnas.host.requirements import requirement
from lnas.host.run_name import run_name
from lnas.host.spec import Spec, format_options, parse_options
from lnas.host.switches import Switches
from lnas.host.values import converted

KINDS = (
    *(int, float, bool, str, Path, int | None, float | None, bool | int, tuple[int, ...], tuple[float, ...]),
    *(tuple[int, float], Literal["no", "exact"], Literal["a", "b"] | float | None, tuple[str, ...] | None),
)
"""The types that options of parts have."""


def spec(data: bytes) -> None:
    """A specification is written and read back."""
    with refused():
        read = Spec.parse(data.decode(errors="replace"))
        assert Spec.parse(str(read)) == read


def options(data: bytes) -> None:
    """Options are written and read back."""
    with refused():
        read = parse_options(data.decode(errors="replace"))
        assert parse_options(format_options(read)) == read


def values(data: bytes) -> None:
    """The text of an option becomes a value of its type."""
    text = data[1:].decode(errors="replace")
    kind = KINDS[data[0] % len(KINDS)] if data else str
    with refused():
        converted(kind, text)


def epochs(data: bytes) -> None:
    """Lengths are written and read back."""
    with refused():
        read = Epochs.of(data.decode(errors="replace"))
        assert Epochs.of(str(read)) == read


def prune(data: bytes) -> None:
    """A recipe, a sparsity and prune lines, one a line; what comes out is expanded already."""
    recipe, _, rest = data.decode(errors="replace").partition("\n")
    sparsity, _, rest = rest.partition("\n")
    with refused():
        read = expand_recipe(recipe or None, sparsity or None, [Spec.parse(line) for line in rest.splitlines()])
        assert expand_recipe(None, None, read) == read
        assert expand_recipe(recipe_of(read), None, read) == read


def duration(data: bytes) -> None:
    """A duration is a number of seconds."""
    with refused():
        assert 0 < seconds_of(data.decode(errors="replace")) < 1e12


def requirements(data: bytes) -> None:
    """A requirement as it is kept is one, and stays as it is."""
    with refused():
        read = requirement(data.decode(errors="replace"))
        assert requirement(read) == read


def nasbench201(data: bytes) -> None:
    """An architecture string is written and read back."""
    with refused():
        read = parse_nasbench201(data.decode(errors="replace"))
        assert parse_nasbench201(unparse_nasbench201(read)) == read


def architecture(data: bytes) -> None:
    """What a user calls an architecture, unless it is the path of a file."""
    text = data.decode(errors="replace")
    if "/" not in text and not text.startswith("."):
        with refused():
            assert isinstance(genotype(text), Genotype)


def name(data: bytes) -> None:
    """A name that passes is one folder below its parent, and prints as it is."""
    with refused():
        read = run_name(data.decode(errors="replace"))
        assert (Path("runs") / read).name == read and read.isascii() and read.isprintable()


def environment(data: bytes) -> None:
    """LNAS_* variables, one NAME=VALUE a line."""
    lines = data.decode(errors="replace").split("\n")
    variables = {f"LNAS_{name}": value for name, _, value in (line.partition("=") for line in lines)}
    with refused():
        from_environment(variables)
        Switches.of(variables)


def command_line(data: bytes) -> None:
    """Options of `lnas run`, one KEY=VALUE a line, merged into a configuration."""
    lines = data.decode(errors="replace").split("\n")
    with refused():
        merge(
            command_line={key: [value] if key == "prune" else value for key, _, value in (line.partition("=") for line in lines)}
        )


_SKIPS = b"|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
_SPECS = (b"darts", b"alpha:iterative,sparsity=0.75,rounds=10", b"folder,root=C:\\new\\,x,size=8", b"lnas/theta:extras/cubic")

TARGETS: dict[str, tuple[Callable[[bytes], None], Sequence[bytes]]] = {
    "spec": (spec, _SPECS),
    "options": (options, (b"", b"lr=0.1,flip=true", b"a=\\\\\\,b,c=\\\\")),
    "values": (
        values,
        [bytes([index]) + text for index in range(len(KINDS)) for text in (b"1", b"-0.5e+3", b"none", b"true", b"1+2.5")],
    ),
    "epochs": (epochs, (b"10:20", b"10ep:500it", b" 3 ")),
    "duration": (duration, (b"90s", b"1d2h30m1.5s", b"1:30:00", b"45")),
    "prune": (prune, (b"variant2\n\nalpha:iterative,rounds=3", b"\n0.5\ntheta:one-shot", b"generalized\n0.9\n", b"\n\n")),
    "requirements": (
        requirements,
        (b"lnas-cubic>=0.2", b"a", b"a==1.*,!=2", b"a @ https://b", b'a; python_version<"3"', b"a[b]"),
    ),
    "nasbench201": (nasbench201, (_SKIPS, _SKIPS.replace(b"skip_connect", b"none"), b"|nor_conv_3x3~0|")),
    "architecture": (architecture, (_SKIPS, b"DARTS_V2", b"DARTS_V3", b"")),
    "name": (name, (b"a", b"variant2-digits-0", b"..", b"a/b", b"x" * 100)),
    "environment": (
        environment,
        (b"SEED=3\nDATA=digits,crop=0", b"PLUGINS_STRICT=1\nDISABLE_PLUGINS=a,b;c", b"PRUNE=theta:one-shot;alpha:never"),
    ),
    "command_line": (
        command_line,
        (
            b"seed=1\nprune=alpha:iterative",
            b"recipe=variant1\nsparsity=0.5\ntrain=lr=1",
            b"epochs=1:2\nbatch=3\nname=a\nout=runs",
        ),
    ),
}
"""By name: what is called, and its corpus."""
