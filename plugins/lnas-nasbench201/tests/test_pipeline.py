"""In pipelines and in runs from the command line: searched, pruned, retrained, interrupted, in float64."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import lnas_nasbench201
import pytest
import torch
from lnas_nasbench201 import NasBench201Space
from torch import Tensor

import lnas

ROUTES = (("03",), ("01", "13"), ("02", "23"), ("01", "12", "23"))


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 1, 8, 8, generator=generator), torch.arange(8) % 4


def pipeline(strategy: str, *prune: str, recipe: str = "generalized", **options: object):
    sizes = {"channels": 2, "cells": 1, "network_channels": 2, "network_cells": 1, **options}
    with lnas.seeded(0, "supernet"):
        space = NasBench201Space(lnas.Task((1, 8, 8), 4), **sizes)
    host = lnas.Host([lnas_nasbench201], entry_points=False)
    lines = {"strategy": strategy, "prune": list(prune), "host": host}
    return lnas.pipeline(recipe, space, lnas.cross_entropy, search=6, train=6, **lines)


def step(made: lnas.Pipeline) -> None:
    at = 100 * len(made.stages) + made.progress.step
    made.step(batch(at), batch(at + 50) if made.progress.draws == "pairs" else None)


def reaches(genotype: lnas.Genotype) -> bool:
    edges = {f"{gene.source}{gene.node}" for gene in genotype.groups["cell"] if gene.operation != "none"}
    return any(edges.issuperset(route) for route in ROUTES)


def operations(genotype: lnas.Genotype) -> list[tuple[tuple[int, int], str]]:
    return [((gene.source, gene.node), gene.operation) for gene in genotype.groups["cell"]]


def weights_of(supernet: NasBench201Space) -> int:
    return sum(p.numel() for name, p in supernet.named_parameters() if ".edges." in name)


@pytest.mark.parametrize(
    ("strategy", "scope", "sparsity", "dead"),
    [
        ("darts", "edge", 0.2, 6),
        ("random", "edge", 0.4, 12),
        ("darts", "edge", 0.6, 18),
        ("darts,unrolled=exact", "edge", 0.8, 24),
        ("random", "edge", 0.8, 24),
        ("random", "global", 0.5, 15),
        ("darts", "global", 0.9, 27),
    ],
)
def test_alpha_is_pruned_at_all_levels_and_the_rest_is_retrained(strategy: str, scope: str, sparsity: float, dead: int) -> None:
    made = pipeline(strategy, f"alpha:iterative,sparsity={sparsity},rounds=2,scope={scope}", recipe="variant2")
    supernet = made.stages[0].strategy.space
    while made.progress.stage == "search" and not made.rounds.done:
        step(made)
    alive = supernet.alive["cell"]
    assert int((~alive).sum()) == dead
    if scope == "edge":
        assert (alive.sum(1) == 5 - dead // 6).all() and alive[:, 1:].any(1).all()
    per_width = alive[:, 2].sum() * 1 + alive[:, 3].sum() * 9
    assert weights_of(supernet) == per_width * (2 * 2 + 4 * 4 + 8 * 8)
    held = {id(p) for group in made.optimizers[0].param_groups for p in group["params"]}
    assert held == {id(p) for p in supernet.parameters()}
    while not made.done:
        step(made)
    genotype = made.ticket.genotype
    assert reaches(genotype)
    said = {edge: name for edge, name in operations(lnas.parse_nasbench201(lnas.unparse_nasbench201(genotype))) if name != "none"}
    assert said == {edge: name for edge, name in operations(genotype) if name != "none"}
    assert not (supernet.paths(genotype)["cell"] & ~alive).any()
    assert isinstance(made.ticket.network, lnas.NasBench201Network)
    assert all(p.isfinite().all() for p in made.ticket.network.parameters())


def test_survivors_are_retrained_and_their_weights_pruned() -> None:
    made = pipeline("darts", "alpha:one-shot,sparsity=0.4", "theta:one-shot,sparsity=0.5", policy="survivors")
    while not made.done:
        step(made)
    genes = [gene for gene in made.ticket.genotype.groups["cell"] if gene.operation != "none"]
    assert len(genes) == int(made.stages[0].strategy.space.alive["cell"][:, 1:].sum()) > 12
    for name, mask in made.ticket.masks.items():
        assert int(mask.sum()) == mask.numel() - round(0.5 * mask.numel())
        assert made.ticket.network.get_parameter(name)[~mask].eq(0).all()


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def dtype(request):
    """Of everything that is made in the test."""
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("strategy", ["darts", "random"])
def test_a_pipeline_that_is_saved_and_loaded_after_every_step_ends_the_same_bit_for_bit(strategy: str, dtype) -> None:
    def fresh() -> lnas.Pipeline:
        return pipeline(strategy, "alpha:iterative,sparsity=0.6,rounds=2", "theta:iterative,sparsity=0.5,rounds=2")

    straight, resumed = fresh(), fresh()
    while not straight.done:
        step(straight)
    while not resumed.done:
        again = fresh()
        again.load_state_dict(copy.deepcopy(resumed.state_dict()))
        step(again)
        resumed = again
    assert resumed.ticket.genotype == straight.ticket.genotype
    one, other = straight.ticket.network.state_dict(), resumed.ticket.network.state_dict()
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert {x.dtype for x in one.values() if x.is_floating_point()} == {dtype}


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`lnas` in a process of its own, working in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LNAS_")}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "lnas", *arguments], cwd=folder, capture_output=True, text=True, env=environment, timeout=300
    )


@pytest.fixture(scope="module", params=["darts --precision float32", "random --precision float64"])
def finished(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A whole run on the digits."""
    folder = tmp_path_factory.mktemp("runs")
    line = (
        f"run --strategy {request.param} --space nasbench201,channels=4,cells=1,network_channels=4,network_cells=1 "
        "--epochs 8it:8it --data digits --prune alpha:iterative,sparsity=0.6,rounds=2 --prune theta:one-shot,sparsity=0.5 "
        "--device cpu --out . --name one --json"
    )
    done = run(folder, *line.split())
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_a_run_from_the_command_line_leaves_a_cell_of_the_benchmark(finished) -> None:
    folder, summary = finished
    assert summary["sparsity"]["alpha"] == {"target": 0.6, "attained": 0.6}
    genotype = lnas.Genotype.loads((folder / "one" / "genotype.json").read_text())
    assert reaches(genotype)
    network = lnas.load_model(folder / "one")
    assert isinstance(network, lnas.NasBench201Network)
    assert summary["macs"]["dense"] == lnas.cost.multiply_adds(network, network.task).dense
    digits = lnas.digits()
    x, y = digits.batch("test", torch.arange(digits.size("test")), augment=None)
    accuracy = (network(x.to(network.classifier.weight.dtype)).argmax(1) == y).double().mean().item()
    assert accuracy == pytest.approx(summary["accuracy"]["test"], abs=1e-9)
    again = lnas.NasBench201Network(genotype, network.task, channels=4, cells=1)
    assert summary["parameters"]["total"] == sum(p.numel() for p in again.parameters())
    for name in {gene.operation for gene in genotype.groups["cell"]}:
        assert name in (folder / "one" / "report.html").read_text()
