"""What the journal says of alpha: the probabilities of every strategy that comes with lnas."""

import math

import pytest
import torch

import lnas
from lnas.host.diagnosis import Course
from lnas.host.plugins import Host

SPACES = {
    "cells": {"channels": 4, "layers": 1, "nodes": 2, "network_channels": 4, "network_layers": 1},
    "nasbench201": {"channels": 2, "cells": 1, "network_channels": 2, "network_cells": 1},
}
STRATEGIES = ("darts", "random", "gdas", "drnas", "pc-darts", "robust-darts")
BATCH = (torch.zeros(2, 1, 4, 4), torch.tensor([0, 1]))


def strategy_of(host: Host, name: str, space: str = "cells") -> lnas.SearchStrategy:
    supernet = host.registry.get("space", space).load()(lnas.Task((1, 4, 4), 2), **SPACES[space])
    strategy: lnas.SearchStrategy = host.registry.get("strategy", name).load()(supernet, lnas.cross_entropy, 4, 0)
    strategy.step(BATCH, BATCH)
    return strategy


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


@pytest.mark.parametrize("name", STRATEGIES)
def test_they_sum_to_one_over_live_paths_and_leave_the_strategy_as_it_is(host: Host, name: str) -> None:
    strategy = strategy_of(host, name)
    strategy.space.alive["normal"][0, 1:5] = False
    lnas.Alpha(strategy).apply()
    alphas = {group: alpha.detach().clone() for group, alpha in strategy.alphas().items()}
    state = torch.get_rng_state()
    found = strategy.probabilities()
    assert torch.equal(state, torch.get_rng_state())
    for group, table in found.items():
        assert not table.requires_grad and table.shape == strategy.space.alive[group].shape
        assert table.double().sum(-1).allclose(torch.ones(len(table), dtype=torch.float64), atol=1e-6)
        assert bool((table[~strategy.space.alive[group]] == 0).all())
        assert torch.equal(strategy.alphas()[group].detach(), alphas[group])
        if name != "drnas":
            assert torch.equal(table, lnas.relax(alphas[group], strategy.space.alive[group]))


def test_those_of_drnas_are_the_mean_of_its_distribution(host: Host) -> None:
    strategy = strategy_of(host, "drnas")
    with torch.no_grad():
        strategy.alphas()["normal"].copy_(
            torch.randn(strategy.alphas()["normal"].shape, generator=torch.Generator().manual_seed(0))
        )
    beta = torch.nn.functional.elu(strategy.alphas()["normal"].detach().double()) + 1
    mean = beta / beta.sum(-1, keepdim=True)
    assert strategy.probabilities()["normal"].double().allclose(mean, atol=1e-6)
    assert not lnas.relax(strategy.alphas()["normal"], strategy.space.alive["normal"]).double().allclose(mean, atol=1e-2)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_is_diagnosed_on_every_space_whatever_has_died(host: Host, name: str, space: str) -> None:
    strategy, course = strategy_of(host, name, space), Course()
    for epoch in range(1, 4):
        if epoch > 1:
            best = strategy.space.required(strategy.alphas(), "edge")
            for group, alive in strategy.space.alive.items():
                alive[: 2 if epoch == 2 else None] &= best[group][: 2 if epoch == 2 else None]
            lnas.Alpha(strategy).apply()
        before = strategy.genotype()
        diagnoses, _ = course.after_epoch(strategy, epoch=epoch, last=False)
        assert strategy.genotype() == before and set(diagnoses) == set(before.groups)
        for group, diagnosis in diagnoses.items():
            assert diagnosis.found is not None and diagnosis.found.count == len(before.groups[group])
            live = strategy.space.alive[group].sum(-1).tolist()
            assert (diagnosis.entropy is None) is (name == "random")
            for value, count in zip(diagnosis.entropy or (), live, strict=name != "random"):
                assert (value == 0) is (count == 1) and value <= math.log(count) + 1e-12
            if name != "random":
                assert diagnosis.ranking_still == tuple(epoch - 1 if count > 1 else None for count in live)
