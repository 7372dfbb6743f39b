"""As a target of pipelines, and of runs from the command line."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import lnas_channels
import pytest
import torch
from lnas_channels import Channels
from torch import Tensor, nn

import lnas

ROOT = Path(__file__).parent.parent


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 3, 16, 16, generator=generator), torch.arange(8) % 5


def retraining(genotype: lnas.Genotype, line: str) -> lnas.Pipeline:
    """The training stage of a run, at its beginning."""
    host = lnas.Host([lnas_channels], entry_points=False)
    space = lnas.CellSpace(lnas.Task((3, 16, 16), 5), channels=2, layers=2, network_channels=4, network_layers=3, auxiliary=True)
    whole = lnas.pipeline("variant1", space, lnas.cross_entropy, search=1, train=6, prune=[line], host=host)
    return lnas.Pipeline(whole.stages[1], ticket=lnas.Ticket(genotype=genotype))


def masked_and_0(target: Channels) -> dict[str, Tensor]:
    """A copy of the masks, after a look at the filters that are dead."""
    masks = {name: mask.clone() for name, mask in target.masks().items()}
    for name, group in target.groups.items():
        producer = group.producers[0]
        rows = [
            channel
            for entry, alive in zip(group.entries, masks[name].tolist(), strict=True)
            for port, channel in entry
            if port == (producer, "out") and not alive
        ]
        assert not target.module.get_parameter(f"{producer}.weight")[rows].any()
    return masks


@pytest.mark.parametrize(
    "line",
    [
        "channels:one-shot,sparsity=0.6",
        "channels:iterative,sparsity=0.8,rounds=3",
        "channels:one-shot,sparsity=0.5,k=0,rewind=none",
    ],
)
def test_retraining_leaves_a_smaller_network(line: str, darts_v2: lnas.Genotype) -> None:
    pipeline = retraining(darts_v2, line)
    before = masked_and_0(pipeline.rounds.target)
    while not pipeline.done:
        pipeline.step(batch(pipeline.progress.step))
        now = masked_and_0(pipeline.rounds.target)
        assert not any((now[name] & ~before[name]).any() for name in now)  # nested
        before = now
    ticket, masked = pipeline.ticket, pipeline.module
    asked = float(re.search(r"sparsity=([\d.]+)", line)[1])
    assert ticket.sparsity["channels"].target == pytest.approx(asked)
    assert ticket.sparsity["channels"].attained == pytest.approx(asked, abs=0.05)
    for name, mask in ticket.masks.items():
        assert int(mask.sum()) == max(1, len(mask) - round(asked * len(mask))), name
    assert isinstance(ticket.network, lnas.CellNetwork)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (ticket.network, masked)]
    assert sizes[0] < (1 - asked) * sizes[1]
    x, _ = batch(99)
    torch.testing.assert_close(ticket.network.eval()(x), masked.eval()(x), rtol=1e-4, atol=1e-5)


def test_a_saved_pipeline_goes_on_as_if_nothing_had_been(darts_v2: lnas.Genotype) -> None:
    def fresh() -> lnas.Pipeline:
        return retraining(darts_v2, "channels:iterative,sparsity=0.8,rounds=3")

    straight = fresh()
    while not straight.done:
        straight.step(batch(straight.progress.step))
    pipeline = fresh()
    while not pipeline.done:
        again = fresh()
        again.load_state_dict(pipeline.state_dict())
        again.step(batch(again.progress.step))
        pipeline = again
    one, other = straight.ticket.network.state_dict(), pipeline.ticket.network.state_dict()
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_lottery_ticket_of_ones_own_with_adam() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 12, 3), nn.ReLU())
    model.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5)])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.1)
    theta_0 = {name: value.clone() for name, value in model.state_dict().items()}

    def fit(pair: tuple[Tensor, Tensor]) -> Tensor:
        loss = nn.functional.cross_entropy(model(pair[0]), pair[1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    ticket = lnas.lottery_ticket(
        model,
        fit,
        schedule=lnas.Iterative(sparsity=0.75, rounds=2),
        k=3,
        finish=0,
        optimizers=[optimizer],
        target=lambda learner: Channels(learner.module, learner.optimizers, example=torch.zeros(1, 3, 16, 16)),
    )
    while not ticket.done:
        ticket.step(batch(ticket.t))
    assert {name: int(mask.sum()) for name, mask in ticket.target.masks().items()} == {"0": 4, "3": 3}
    small = ticket.target.compact(model)
    alive = [mask.nonzero().flatten() for mask in ticket.target.masks().values()]
    assert torch.equal(small[0].weight, theta_0["0.weight"][alive[0]])  # rewound to theta_0, less what is dead
    assert torch.equal(small[3].weight, theta_0["3.weight"][alive[1]][:, alive[0]])
    assert torch.equal(small[7].weight, theta_0["7.weight"][:, alive[1]])


def test_the_plugin_offers_the_target_without_torch() -> None:
    host = lnas.Host([lnas_channels], entry_points=False)
    assert host.warnings == ()
    assert [(part.kind, part.name) for part in host.plugins[-1].components] == [("target", "channels")]
    assert host.registry.get("target", "channels").load() is Channels
    code = "import sys, lnas_channels; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": _path()}).returncode == 0
    with pytest.raises(AttributeError, match="module 'lnas_channels' has no attribute 'Chanels'"):
        lnas_channels.Chanels  # noqa: B018


def test_the_distribution_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["lnas"] == {"channels": "lnas_channels"}
    assert project["tool"]["hatch"]["version"]["path"] == "lnas_channels/__init__.py"


def test_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def _path(*more: Path) -> str:
    """Where this Python found everything, also where nothing is installed."""
    return os.pathsep.join(map(str, [*more, *(folder for folder in sys.path if folder)]))


def test_a_run_from_the_command_line_can_be_loaded(tmp_path: Path) -> None:
    if not any(point.value == "lnas_channels" for point in importlib.metadata.entry_points(group="lnas")):
        info = tmp_path / "site" / "lnas_channels-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lnas-channels\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text("[lnas]\nchannels = lnas_channels\n")
    space = (
        "cells,channels=1,layers=2,operations=none+skip_connect+sep_conv_3x3,network_channels=4,network_layers=2,auxiliary=true"
    )
    arguments = (
        f"run --space {space} --prune channels:one-shot,sparsity=0.5 --epochs 2it:6it --batch 16 --device cpu --json".split()
    )
    command = [sys.executable, "-m", "lnas", *arguments, "--out", str(tmp_path), "--name", "run"]
    environment = {**os.environ, "PYTHONPATH": _path(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["sparsity"]["channels"] == {"target": 0.5, "attained": 0.5}

    host = lnas.Host([] if not (tmp_path / "site").exists() else [lnas_channels])
    network = lnas.load_model(tmp_path / "run", host=host)
    assert type(network) is lnas.CellNetwork and not network.training
    assert network.stem[0].out_channels == 6  # of 12
    parameters = sum(p.numel() for p in network.parameters())
    assert summary["parameters"]["total"] == parameters
    assert summary["macs"]["dense"] == lnas.cost.multiply_adds(network, network.task).dense

    digits = lnas.digits()
    x, y = digits.batch("test", torch.arange(digits.size("test")), augment=None)
    accuracy = (network(x).argmax(1) == y).double().mean().item()
    assert accuracy == pytest.approx(summary["accuracy"]["test"], abs=1e-9)
