"""No architecture is read from an alpha that is not finite: every strategy that comes with lnas, on every space of its own."""

import pytest
import torch
from torch import Tensor, nn

import lnas
from lnas.host.plugins import Host

TASK = lnas.Task((1, 4, 4), 2)
SPACES = {
    "cells": {"channels": 4, "layers": 1, "nodes": 2, "network_channels": 4, "network_layers": 1},
    "nasbench201": {"channels": 2, "cells": 1, "network_channels": 2, "network_cells": 1},
}
STRATEGIES = ("darts", "random", "gdas", "drnas", "pc-darts", "robust-darts")


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


def strategy_of(host: Host, name: str, space: str) -> lnas.SearchStrategy:
    made = host.registry.get("space", space).load()(TASK, **SPACES[space])
    strategy: lnas.SearchStrategy = host.registry.get("strategy", name).load()(made, lnas.cross_entropy, 4, 0)
    return strategy


def test_these_are_all(host: Host) -> None:
    ours = {part.name for part in host.registry.all("strategy") if (part.distribution or "lnas").startswith("lnas")}
    assert ours == set(STRATEGIES)
    assert {part.name for part in host.registry.all("space") if (part.distribution or "lnas").startswith("lnas")} == set(SPACES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_search_ends_without_an_architecture(host: Host, name: str, space: str, value: float) -> None:
    strategy = strategy_of(host, name, space)
    batch = (torch.zeros(2, *TASK.shape), torch.tensor([0, 1]))
    strategy.step(batch, batch)
    tables = strategy.totals if name == "random" else strategy.alphas()  # type: ignore[attr-defined]
    group = list(tables)[-1]
    edge = strategy.space.edges[group][1]
    spoil(strategy, tables[group], value)
    where = f"alpha is not finite: in group '{group}', on the edge from {edge[0]} to {edge[1]}, "
    if name == "random":  # whose preferences are differences to the mean of all
        where = r"alpha is not finite: in group '\w+', on the edge from \d to \d, \w+ has "
    stage = lnas.Search(strategy, lnas.Pruning(lnas.Alpha, lnas.Never(), lnas.probability), 1)
    with pytest.raises(lnas.NumericalError, match=where) as error:
        stage.end(stage.begin(lnas.Ticket()), lnas.Ticket())
    assert error.value.exit_code == 3
    if name != "random":  # which chooses by the losses of whole architectures
        with pytest.raises(lnas.NumericalError, match=where):
            strategy.genotype()


def spoil(strategy: lnas.SearchStrategy, table: Tensor, value: float) -> None:
    with torch.no_grad():
        table[1, 1] = value
        for counts in getattr(strategy, "counts", {}).values():
            counts[1, 1] = 1


class Careless(lnas.Darts):
    """Reads an architecture from anything."""

    def genotype(self) -> lnas.Genotype:
        return self.space.discretize({group: torch.nan_to_num(alpha) for group, alpha in self.alpha.items()})


def test_a_strategy_that_does_not_look_is_stopped_all_the_same(host: Host) -> None:
    space = host.registry.get("space", "cells").load()(TASK, **SPACES["cells"])
    strategy = Careless(space, lnas.cross_entropy)
    assert isinstance(strategy.alpha["normal"], nn.Parameter)
    spoil(strategy, strategy.alpha["normal"], float("nan"))
    assert isinstance(strategy.genotype(), lnas.Genotype)
    stage = lnas.Search(strategy, lnas.Pruning(lnas.Alpha, lnas.Never(), lnas.probability), 1)
    with pytest.raises(
        lnas.NumericalError, match="alpha is not finite: in group 'normal', on the edge from 1 to 2, max_pool_3x3 has nan"
    ):
        stage.end(stage.begin(lnas.Ticket()), lnas.Ticket())
