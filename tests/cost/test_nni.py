import pytest
import torch
from torch import nn

from lnas.core.errors import SparsityError
from lnas.cost import multiply_adds, nni_compat


def test_without_a_mask_it_is_the_honest_count() -> None:
    network = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(32, 5))
    assert nni_compat(network, (4, 6, 6), 0) == multiply_adds(network, (4, 6, 6)).dense


def test_what_is_left_is_squeezed_into_whole_filters() -> None:
    layer = nn.Conv2d(2, 4, 3)  # |W| = 72, one filter has 18
    # int(0.3 · 72) = 21 go, 51 are left: 2 filters of 18 at 16 places
    assert nni_compat(layer, (2, 6, 6), 0.3) == 2 * 18 * 16
    assert nni_compat(layer, (2, 6, 6), 0.25) == 3 * 18 * 16
    assert nni_compat(layer, (2, 6, 6), 0.77) == 0


def test_a_masked_depthwise_layer_counts_nothing() -> None:
    layer = nn.Conv2d(4, 4, 3, groups=4)  # |W| = 36, which NNI takes for one filter
    assert nni_compat(layer, (4, 6, 6), 0.1) == 0


def test_a_masked_grouped_layer_is_divided_by_its_groups_twice() -> None:
    layer = nn.Conv2d(4, 8, 1, groups=2)  # |W| = 16; NNI takes a filter to have 4 weights
    # 14 are left: 3 "filters" of 4 at 9 places, halved
    assert nni_compat(layer, (4, 3, 3), 0.125) == 3 * 4 * 9 // 2


def test_a_linear_layer_counts_once_and_a_layer_called_twice_twice() -> None:
    layer = nn.Linear(4, 4)
    assert nni_compat(layer, (7, 4), 0.5) == 8
    assert nni_compat(layer, (7, 4), 0.3) == 12  # int(0.3 · 16) = 4 go, and no fifth
    assert nni_compat(nn.Sequential(layer, layer), (4,), 0.5) == 16


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)).train()
    weight = network[0].weight.detach().clone()
    nni_compat(network, (2, 6, 6), 0.5)
    assert torch.equal(network[0].weight, weight)
    assert network.training and network[1].training
    with pytest.raises(RuntimeError):
        nni_compat(network, (3, 6, 6), 0.5)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_a_sparsity_outside_its_range_is_refused(sparsity: float) -> None:
    with pytest.raises(SparsityError, match=r"outside \[0, 1\)"):
        nni_compat(nn.Linear(4, 3), (4,), sparsity)
