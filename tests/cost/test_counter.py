import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lnas.builtin.cells import CellSpace
from lnas.core.errors import ConfigError
from lnas.core.types import Task
from lnas.cost import MultiplyAdds, multiply_adds, parameters


def same(count: int) -> MultiplyAdds:
    return MultiplyAdds(count, count, count)


class Function(nn.Module):
    """A network whose forward is a function of its parameters, buffers and input."""

    def __init__(self, function: Callable[..., Any], *sizes: tuple[int, ...], **buffers: Tensor) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList(nn.Parameter(torch.ones(size)) for size in sizes)
        for name, value in buffers.items():
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Any:
        return self.function(x, *self.weights, *self.buffers())


CONVOLUTIONS = {
    # 6x6 pictures; the second number is |W|, the third the places
    "plain": (nn.Conv2d(2, 4, 3), (2, 6, 6), 4 * 2 * 9, 4 * 4),
    "padded, with a bias": (nn.Conv2d(2, 4, 3, padding=1, bias=True), (2, 6, 6), 4 * 2 * 9, 6 * 6),
    "strided": (nn.Conv2d(2, 4, 3, stride=2, padding=1), (2, 6, 6), 4 * 2 * 9, 3 * 3),
    "dilated": (nn.Conv2d(2, 4, 3, dilation=2), (2, 6, 6), 4 * 2 * 9, 2 * 2),
    "oblong": (nn.Conv2d(2, 4, (1, 5)), (2, 6, 6), 4 * 2 * 5, 6 * 2),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (4, 6, 6), 6 * 2 * 9, 4 * 4),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), (4, 6, 6), 4 * 9, 4 * 4),
    "depthwise, two filters each": (nn.Conv2d(4, 8, 3, groups=4), (4, 6, 6), 8 * 9, 4 * 4),
    "one dimension": (nn.Conv1d(2, 3, 3), (2, 7), 3 * 2 * 3, 5),
    "three dimensions": (nn.Conv3d(2, 3, 2), (2, 3, 4, 5), 3 * 2 * 8, 2 * 3 * 4),
    "transposed": (nn.ConvTranspose2d(2, 4, 3, stride=2), (2, 6, 6), 2 * 4 * 9, 6 * 6),
    "transposed and grouped": (nn.ConvTranspose2d(4, 6, 3, groups=2), (4, 6, 6), 4 * 3 * 9, 6 * 6),
    "by name of the padding": (nn.Conv2d(2, 4, 3, padding="same"), (2, 6, 6), 4 * 2 * 9, 6 * 6),
}


@pytest.mark.parametrize(("layer", "shape", "weights", "places"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_a_convolution_takes_its_weights_at_every_place(
    layer: nn.Module, shape: tuple[int, ...], weights: int, places: int
) -> None:
    assert multiply_adds(layer, shape) == same(weights * places)


W = (3, 4)  # three features out of four

PRODUCTS: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
    "one row": (nn.Linear(4, 3), (4,), 12),
    "without a bias": (nn.Linear(4, 3, bias=False), (4,), 12),
    "rows": (nn.Linear(4, 3), (5, 4), 5 * 12),
    "a picture of rows": (nn.Linear(4, 3), (5, 6, 4), 30 * 12),
    "rows that are not contiguous": (Function(lambda x, w: F.linear(x.transpose(1, 2), w), W), (4, 5), 5 * 12),
    "a function": (Function(lambda x, w: F.linear(x, w), W), (5, 4), 5 * 12),
    "a product with a parameter": (Function(lambda x, w: x @ w.t(), W), (5, 4), 5 * 12),
    "a parameter times the input": (Function(lambda x, w: w @ x, W), (4, 5), 5 * 12),
    "a parameter times a vector": (Function(lambda x, w: torch.mv(w, x[0]), W), (4,), 12),
    "a vector of parameters": (Function(lambda x, w: x[0] @ w, (4,)), (5, 4), 5 * 4),
    "an einsum": (Function(lambda x, w: torch.einsum("bri,oi->bro", x, w), W), (5, 4), 5 * 12),
    "a batch of matrices": (Function(lambda x, w: torch.bmm(x[0], w), (2, 4, 3)), (2, 5, 4), 2 * 5 * 12),
    "addmm": (Function(lambda x, b, w: torch.addmm(b, x[0], w), (3,), (4, 3)), (5, 4), 5 * 12),
    "a masked weight": (Function(lambda x, w, m: F.linear(x, w * m), W, m=torch.ones(W)), (5, 4), 5 * 12),
    "a slice of a weight": (Function(lambda x, w: F.linear(x, w[:2]), W), (5, 4), 5 * 8),
    "two activations": (Function(lambda x: x @ x.transpose(1, 2)), (5, 4), 0),
    "an activation that was kept in a buffer": (
        Function(lambda x, kept: kept.copy_(x[0]) @ x[0].t(), kept=torch.zeros(5, 4)),
        (5, 4),
        0,
    ),
}


@pytest.mark.parametrize(("network", "shape", "count"), PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_with_a_weight_is_a_linear_layer(network: nn.Module, shape: tuple[int, ...], count: int) -> None:
    assert multiply_adds(network, shape) == same(count)
    network.requires_grad_(False)
    assert multiply_adds(network, shape) == same(count)
    with torch.inference_mode():
        assert multiply_adds(network, shape) == same(count)


def test_a_mask_that_is_neither_parameter_nor_buffer_is_seen() -> None:
    network = nn.Linear(4, 3, bias=False)
    network.mask = torch.tensor([[1.0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]])
    network.forward = lambda x: F.linear(x, network.weight * network.mask)  # type: ignore[method-assign]
    # Two of three filters and two of four channels are left.
    assert multiply_adds(network, (5, 4)) == MultiplyAdds(5 * 12, 5 * 3, 5 * 2 * 2)


def test_a_network_made_in_inference_mode_counts() -> None:
    with torch.inference_mode():
        network = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.Flatten(2), nn.Linear(16, 3))
        assert multiply_adds(network, (2, 6, 6)) == same(72 * 16 + 4 * 48)
    assert multiply_adds(network, (2, 6, 6)) == same(72 * 16 + 4 * 48)


def test_functional_convolutions_count() -> None:
    network = Function(lambda x, w, m: F.conv2d(F.conv2d(x, w), w * m), (2, 2, 3, 3), m=torch.eye(2)[:, :, None, None])
    found = multiply_adds(network, (2, 6, 6))
    assert found == MultiplyAdds(36 * (16 + 4), 36 * 16 + 18 * 4, 36 * (16 + 4))


def test_a_layer_called_twice_counts_twice() -> None:
    layer = nn.Conv2d(2, 2, 3, padding=1)
    assert multiply_adds(nn.Sequential(layer, nn.ReLU(), layer), (2, 4, 4)) == same(2 * 36 * 16)


def test_a_layer_that_is_not_called_does_not_count() -> None:
    network = nn.Sequential(nn.Linear(4, 3))
    network[0].spare = nn.Linear(100, 100)
    assert multiply_adds(network, (4,)) == same(12)


def test_what_runs_in_training_only_does_not_count() -> None:
    network = nn.Linear(4, 3)
    network.register_forward_hook(lambda module, inputs, output: output @ module.weight if module.training else output)
    network.train()
    assert multiply_adds(network, (4,)) == same(12)


def test_nonzero_and_structural_of_a_masked_convolution() -> None:
    layer = nn.Conv2d(3, 4, 2, bias=False)
    nn.init.ones_(layer.weight)
    with torch.no_grad():
        layer.weight[1] = 0  # a filter
        layer.weight[:, 2] = 0  # an input channel
        layer.weight[0, 0, 0, 0] = 0  # one weight: no structure goes with it
        layer.weight[3, 0] = 0  # the kernel of one channel in one filter: neither does here
    # 9 places; |W| = 4·3·4; left are 3 filters of 2 channels of 4, of which 1 + 4 more are 0
    assert multiply_adds(layer, (3, 4, 4)) == MultiplyAdds(9 * 48, 9 * (24 - 5), 9 * 24)
    assert parameters(layer).nonzero == 19


def test_structural_looks_at_each_group_alone() -> None:
    layer = nn.Conv2d(4, 4, 1, groups=2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 1], [0, 0], [0, 1], [0, 1]])[:, :, None, None])
    # group 1: 1 filter · 2 channels; group 2: 2 filters · 1 channel
    assert multiply_adds(layer, (4, 3, 3)) == MultiplyAdds(9 * 8, 9 * 4, 9 * (2 + 2))


def test_structural_of_a_transposed_grouped_convolution() -> None:
    layer = nn.ConvTranspose2d(4, 6, 1, groups=2, bias=False)  # weight (in, out / groups, 1, 1)
    nn.init.ones_(layer.weight)
    with torch.no_grad():
        layer.weight[0] = 0  # an input channel of the first group
        layer.weight[2:, 1] = 0  # a filter of the second
    assert multiply_adds(layer, (4, 3, 3)) == MultiplyAdds(9 * 12, 9 * (3 + 4), 9 * (3 + 4))


def test_structural_of_a_depthwise_convolution_is_its_live_channels() -> None:
    layer = nn.Conv2d(4, 4, 3, groups=4, bias=False)
    nn.init.ones_(layer.weight)
    with torch.no_grad():
        layer.weight[2] = 0
        layer.weight[0, 0, 1, 1] = 0
    assert multiply_adds(layer, (4, 3, 3)) == MultiplyAdds(36, 26, 27)


def test_a_layer_of_zeros_is_nothing() -> None:
    layer = nn.Linear(4, 3)
    nn.init.zeros_(layer.weight)
    assert multiply_adds(layer, (4,)) == MultiplyAdds(12, 0, 0)


def test_a_filter_that_is_gone_does_not_touch_the_next_layer() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    with torch.no_grad():
        network[0].weight[0] = 0
    assert multiply_adds(network, (4,)) == MultiplyAdds(12 + 6, 8 + 6, 8 + 6)


class Attention(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.attention(x, x, x)[0]
        return found


@pytest.mark.parametrize("fast", [True, False])
def test_the_four_projections_of_an_attention_layer_count(fast: bool) -> None:
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        assert multiply_adds(Attention(), (5, 8)) == same(4 * 5 * 64)
        encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        assert multiply_adds(encoder, (5, 8)) == same(5 * (4 * 64 + 2 * 128))
        assert torch.backends.mha.get_fastpath_enabled() is fast
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_projections_are_seen_through_their_slices() -> None:
    network = Attention()
    with torch.no_grad():
        network.attention.in_proj_weight[8:16] = 0  # the keys
    assert multiply_adds(network, (5, 8)) == MultiplyAdds(4 * 5 * 64, 3 * 5 * 64, 3 * 5 * 64)

    class Cross(Attention):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.attention(x, x[:, :2], x[:, :2])[0]
            return found

    assert multiply_adds(Cross(), (5, 8)) == same((5 + 2 + 2 + 5) * 64)


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_a_recurrent_layer_meets_each_weight_at_each_step(kind: Any, gates: int) -> None:
    class Last(nn.Module):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.layer = kind(3, 5, batch_first=True, **options)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.layer(x)[0]
            return found

    assert multiply_adds(Last(), (7, 3)) == same(7 * gates * 5 * (3 + 5))
    both = 2 * 7 * gates * 5 * (3 + 5) + 2 * 7 * gates * 5 * (10 + 5)
    assert multiply_adds(Last(num_layers=2, bidirectional=True), (7, 3)) == same(both)


def test_weight_normalisation_counts_the_weight_that_is_used() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    assert multiply_adds(layer, (5, 4)) == same(60)


def test_double_precision_and_a_network_without_parameters() -> None:
    assert multiply_adds(nn.Linear(4, 3).double(), (4,)) == same(12)
    assert multiply_adds(nn.AvgPool2d(2), (3, 4, 4)) == same(0)


def test_a_search_space_runs_its_live_paths_only() -> None:
    task = Task((1, 8, 8), 3)
    space = CellSpace(task, channels=2, layers=3, nodes=1, operations=("none", "skip_connect", "sep_conv_3x3"))
    before = multiply_adds(space, task).dense
    space.alive["normal"][:, 2] = False
    # Cell 0 is the only normal one, at 8x8: two edges of 2 · (depthwise 2·9 + pointwise 2·2).
    assert before - multiply_adds(space, task).dense == 64 * 2 * 2 * (18 + 4)


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "grouped and dilated": (
        nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, dilation=2, groups=8)),
        (4, 9, 9),
    ),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), nn.Conv2d(6, 1, 1)), (4, 5, 5)),
    "rows": (nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2, bias=False)), (7, 4)),
    "functions": (Function(lambda x, w, v: F.conv2d(x, w).flatten(1) @ v, (3, 2, 3, 3), (48, 5)), (2, 6, 6)),
}


@pytest.mark.parametrize(("network", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_torchs_own_counter_gives_exactly_twice_as_much(network: nn.Module, shape: tuple[int, ...]) -> None:
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    assert flops.get_total_flops() == 2 * multiply_adds(network, shape).dense


class Restless(nn.Module):
    """Changes all that a forward pass can change, and may fail at the end."""

    def __init__(self, fail: bool) -> None:
        super().__init__()
        self.fail = fail
        self.norm = nn.BatchNorm1d(4)
        self.frozen = nn.Dropout().eval()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        assert not any(module.training for module in self.modules())
        assert not torch.is_grad_enabled()
        self.calls += 1
        self.last = torch.randn(1, 4)
        if self.fail:
            raise RuntimeError("broken on purpose")
        found: Tensor = self.norm(x)
        return found


@pytest.mark.parametrize("fail", [True, False])
def test_the_network_and_the_random_state_are_left_as_they_were(fail: bool) -> None:
    network = Restless(fail).train()
    network.frozen.eval()
    last, state, random = network.last, copy.deepcopy(network.state_dict()), torch.get_rng_state()
    try:
        assert multiply_adds(network, (4,)) == same(0)
        assert not fail
    except RuntimeError as error:
        assert fail and "broken on purpose" in str(error)
    assert [module.training for module in network.modules()] == [True, True, False]
    assert network.last is last
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_what_a_network_keeps_from_the_pass_can_still_be_trained() -> None:
    class Caching(nn.Linear):
        kept: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            self.kept = self.kept if self.kept is not None else torch.ones(4)
            return super().forward(x * self.kept)

    network = Caching(4, 3)
    multiply_adds(network, (4,))
    network(torch.randn(2, 4, requires_grad=True)).sum().backward()
    assert network.weight.grad is not None


@pytest.mark.parametrize("shape", [(), (3, 0), (3, -1), (2.5,)])
def test_a_shape_that_is_none_is_refused(shape: Any) -> None:
    with pytest.raises(ConfigError, match="whole numbers above 0"):
        multiply_adds(nn.Linear(4, 3), shape)


def test_a_network_without_weights_to_look_at_is_refused() -> None:
    with pytest.raises(ConfigError, match="meta device"):
        multiply_adds(nn.Linear(4, 3, device="meta"), (4,))


def test_a_task_is_as_good_as_its_shape() -> None:
    network = nn.Conv2d(3, 2, 1)
    assert multiply_adds(network, Task((3, 5, 5), 2)) == multiply_adds(network, (3, 5, 5)) == same(150)
