"""The tiny things that most tests share: a task, its supernet, its batches and its loss."""

import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import hypothesis
import pytest
import torch
from torch import Tensor

from lnas.builtin.cells import CellSpace
from lnas.core.types import Loss, Predict, Task

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; processes that tests start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # the bits of a convolution depend on the number of threads
hypothesis.settings.register_profile("lnas", deadline=None)  # no test depends on how busy the machine is
hypothesis.settings.load_profile("lnas")

TASK = Task((1, 6, 6), 3)

Pair = tuple[Tensor, Tensor]
MakeSpace = Callable[..., CellSpace]
MakeBatches = Callable[..., list[tuple[Pair, Pair]]]
Install = Callable[..., Path]

FIRST_PARTY = {path.name for path in (Path(__file__).parents[1] / "plugins").iterdir()}


@pytest.fixture
def task() -> Task:
    """Grey pictures of 6x6, 3 classes."""
    return TASK


@pytest.fixture
def make_space() -> MakeSpace:
    """`make_space(seed=0, **options)`: a supernet of 3 cells with 2 nodes and 2 channels; theta is drawn from the seed."""

    def make(seed: int = 0, **options: object) -> CellSpace:
        sizes: dict[str, object] = {"channels": 2, "layers": 3, "nodes": 2, "network_channels": 2, "network_layers": 3}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return CellSpace(TASK, **{**sizes, **options})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_batches() -> MakeBatches:
    """`make_batches(count, size=4, dtype=torch.float32)`: (train, val) pairs, all different, the same in every test."""

    def make(count: int, size: int = 4, dtype: torch.dtype = torch.float32) -> list[tuple[Pair, Pair]]:
        generator = torch.Generator().manual_seed(1234)

        def one() -> Pair:
            pictures = torch.randn(size, *TASK.shape, generator=generator, dtype=torch.float64).to(dtype)
            return pictures, torch.randint(TASK.classes, (size,), generator=generator)

        return [(one(), one()) for _ in range(count)]

    return make


@pytest.fixture
def loss() -> Loss:
    """Cross entropy of (pictures, labels)."""

    def cross_entropy(network: Predict, batch: Pair) -> Tensor:
        pictures, labels = batch
        return torch.nn.functional.cross_entropy(network(pictures), labels)

    return cross_entropy


@pytest.fixture
def built_in_parts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """First-party plugins that are installed stay out of sight, so that lists of names are the same everywhere."""
    installed = metadata.entry_points

    def without_ours(*, group: str) -> list[metadata.EntryPoint]:
        return [point for point in installed(group=group) if point.dist is None or point.dist.name not in FIRST_PARTY]

    monkeypatch.setattr("lnas.host.found.metadata.entry_points", without_ours)


@pytest.fixture
def install(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install(name, source)` puts a distribution lnas-NAME 0.3 with one module lnas_NAME on the import path."""
    place = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(str(place))

    def write(name: str, source: str, *, entry: str | None = None, target: str | None = None, version: str = "0.3") -> Path:
        module = f"lnas_{name}"
        text = textwrap.dedent(source).replace("{module}", module)
        (place / f"{module}.py").write_text(text, encoding="utf-8")
        info = place / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lnas-{name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[lnas]\n{entry or name} = {target or module}\n")
        return place / f"{module}.py"

    return write


@pytest.fixture(autouse=True)
def forgotten(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test writes and imports is no module for the next one."""
    before, here = set(sys.modules), str(tmp_path_factory.getbasetemp())
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield
    for name in set(sys.modules) - before:
        said = getattr(sys.modules[name], "__dict__", {})  # a lazy module would make up what it is asked for
        places = [said.get("__file__"), *(said.get("__path__") or ())]
        if any(str(place).startswith(here) for place in places):
            del sys.modules[name]
