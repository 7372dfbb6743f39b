"""Which channels go together, in networks small enough to say so by hand."""

from collections.abc import Callable, Mapping

import pytest
import torch
from lnas_channels import Channels
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import lnas


class Net(nn.Module):
    """Layers by name, and what is done with them."""

    def __init__(self, compute: Callable[["Net", Tensor], object], **layers: nn.Module) -> None:
        super().__init__()
        self.compute = compute
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> object:
        return self.compute(self, x)


def conv(into: int, out: int, **options: int) -> nn.Conv2d:
    return nn.Conv2d(into, out, 1, **options)


def found(network: nn.Module, **options: object) -> Mapping[str, list[str]]:
    """group -> its entries, each as "layer.side channels" joined by a space."""
    channels = Channels(network, example=torch.zeros(1, 3, 4, 4), **options)
    shown = {}
    for name, group in channels.groups.items():
        entries = []
        for entry in group.entries:
            places: dict[str, list[str]] = {}
            for port, channel in entry:
                places.setdefault(f"{port.layer}.{port.side}", []).append(str(channel))
            entries.append(" ".join(f"{place}:{'+'.join(numbers)}" for place, numbers in places.items()))
        shown[name] = entries
    return shown


def test_a_chain_has_a_group_for_each_layer_but_the_last() -> None:
    network = Net(lambda n, x: n.c(n.norm(n.b(n.a(x))).relu()), a=conv(3, 2), b=conv(2, 3), norm=nn.BatchNorm2d(3), c=conv(3, 4))
    assert found(network) == {
        "a": ["a.out:0 b.in:0", "a.out:1 b.in:1"],
        "b": [f"b.out:{i} c.in:{i} norm.out:{i}" for i in range(3)],
    }


def test_what_is_added_goes_together() -> None:
    network = Net(lambda n, x: n.c(n.a(x) + n.b(x)), a=conv(3, 2), b=conv(3, 2), c=conv(2, 4))
    channels = Channels(network, example=torch.zeros(1, 3, 4, 4))
    assert found(network) == {"a": ["a.out:0 b.out:0 c.in:0", "a.out:1 b.out:1 c.in:1"]}
    assert channels.groups["a"].producers == ("a", "b")


def test_what_is_concatenated_is_counted_on() -> None:
    network = Net(lambda n, x: n.c(torch.cat([x, n.a(x), n.b(x)], 1)), a=conv(3, 2), b=conv(3, 2), c=conv(7, 4))
    assert found(network) == {
        "a": ["a.out:0 c.in:3", "a.out:1 c.in:4"],
        "b": ["b.out:0 c.in:5", "b.out:1 c.in:6"],
    }


def test_a_layer_that_is_added_to_two_has_two_groups() -> None:
    network = Net(
        lambda n, x: n.d(torch.cat([n.a(x), n.b(x)], 1) + n.c(x)), a=conv(3, 2), b=conv(3, 2), c=conv(3, 4), d=conv(4, 4)
    )
    assert found(network) == {
        "a": ["a.out:0 c.out:0 d.in:0", "a.out:1 c.out:1 d.in:1"],
        "b": ["b.out:0 c.out:2 d.in:2", "b.out:1 c.out:3 d.in:3"],
    }


def test_what_is_added_to_itself_twice_goes_together() -> None:
    network = Net(lambda n, x: n.c(torch.cat([n.a(x)] * 2, 1) + n.b(x)), b=conv(3, 4), a=conv(3, 2), c=conv(4, 4))
    assert found(network) == {"b": [f"a.out:{i} b.out:{i}+{i + 2} c.in:{i}+{i + 2}" for i in range(2)]}


def test_a_flattened_channel_is_all_its_pixels() -> None:
    network = Net(lambda n, x: n.b(n.a(x).flatten(1)), a=nn.Conv2d(3, 2, 3), b=nn.Linear(8, 4))
    assert found(network) == {"a": ["a.out:0 b.in:0+1+2+3", "a.out:1 b.in:4+5+6+7"]}


def test_a_depthwise_convolution_passes_channels_on() -> None:
    network = Net(lambda n, x: n.c(n.b(n.a(x))), a=conv(3, 2), b=conv(2, 2, groups=2), c=conv(2, 4))
    channels = Channels(network, example=torch.zeros(1, 3, 4, 4))
    assert found(network) == {"a": [f"a.out:{i} b.in:{i} b.out:{i} c.in:{i}" for i in range(2)]}
    assert channels.groups["a"].producers == ("a",)


def test_a_convolution_of_many_small_groups_loses_whole_groups() -> None:
    network = Net(lambda n, x: n.c(n.b(n.a(x))), a=conv(3, 4), b=conv(4, 6, groups=2), c=conv(6, 4))
    assert found(network) == {
        "a": ["a.out:0+1 b.in:0+1 b.out:0+1+2 c.in:0+1+2", "a.out:2+3 b.in:2+3 b.out:3+4+5 c.in:3+4+5"],
    }


def test_a_convolution_of_few_large_groups_loses_a_channel_in_each() -> None:
    network = Net(lambda n, x: n.c(n.b(n.a(x))), a=conv(3, 6), b=conv(6, 4, groups=2), c=conv(4, 4))
    assert found(network) == {
        "a": [f"a.out:{i}+{i + 3} b.in:{i}+{i + 3}" for i in range(3)],
        "b": [f"b.out:{i}+{i + 2} c.in:{i}+{i + 2}" for i in range(2)],
    }


def test_group_normalisation_loses_whole_groups() -> None:
    network = Net(lambda n, x: n.c(n.norm(n.a(x))), a=conv(3, 4), norm=nn.GroupNorm(2, 4), c=conv(4, 4))
    assert found(network) == {"a": [f"a.out:{i}+{i + 1} c.in:{i}+{i + 1} norm.out:{i}+{i + 1}" for i in (0, 2)]}


def test_what_is_made_in_the_image_of_another_goes_with_it() -> None:
    network = Net(lambda n, x: n.c(torch.zeros_like(n.a(x)) + n.b(x)), a=conv(3, 2), b=conv(3, 2), c=conv(2, 4))
    assert found(network) == {"a": ["a.out:0 b.out:0 c.in:0", "a.out:1 b.out:1 c.in:1"]}


def test_what_is_computed_and_not_used_goes_too() -> None:
    def compute(n: Net, x: Tensor) -> object:
        y = n.a(x)
        n.b(y) + n.c(y)
        return n.d(y)

    network = Net(compute, a=conv(3, 2), b=conv(2, 2), c=conv(2, 2), d=conv(2, 4))
    assert found(network) == {
        "a": [f"a.out:{i} b.in:{i} c.in:{i} d.in:{i}" for i in range(2)],
        "b": [f"b.out:{i} c.out:{i}" for i in range(2)],
    }


KEPT = {
    "the output": lambda n, x: n.b(x),
    "one of two outputs": lambda n, x: (n.c(n.b(x)), n.b(x)),
    "an output by name": lambda n, x: {"answer": n.c(n.b(x)), "features": [n.b(x)]},
    "divided in forward": lambda n, x: n.c(torch.cat(n.b(x).split([2, 4], 1)[::-1], 1)),
    "divided in half": lambda n, x: n.three(n.b(x).chunk(2, 1)[1].relu()),
    "sliced in forward": lambda n, x: n.three(n.b(x)[:, 3:]),
    "sliced behind another": lambda n, x: n.c(torch.cat([n.a(x), n.b(x)], 1)[:, 6:]),
    "with a parameter outside of layers": lambda n, x: n.c(n.b(x) * n.scale),
    "normalised over channels": lambda n, x: n.c(n.norm(n.b(x).movedim(1, -1)).movedim(-1, 1)),
    "with shared weights": lambda n, x: n.c(n.b(x)) + n.twin(n.a(x)),
    "with computed weights": lambda n, x: n.c(n.normed(n.a(x))),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_cannot_go_stays(name: str) -> None:
    inner = Net(KEPT[name], a=conv(6, 6), b=conv(6, 6), c=conv(6, 4), twin=conv(6, 4), three=conv(3, 4), norm=nn.LayerNorm(6))
    inner.add_module("normed", weight_norm(conv(6, 6)))
    inner.twin.weight = inner.c.weight
    inner.scale = nn.Parameter(torch.rand(6, 1, 1))
    network = Net(lambda n, x: n.inner(n.first(x)), first=conv(3, 6), inner=inner)
    assert set(found(network)) == {"first"}


def test_what_is_added_to_the_input_stays() -> None:
    network = Net(lambda n, x: n.c(n.b(n.a(x)) + x), a=conv(3, 2), b=conv(2, 3), c=conv(3, 4))
    assert found(network) == {"a": ["a.out:0 b.in:0", "a.out:1 b.in:1"]}


def test_excluded_layers_stay() -> None:
    network = Net(lambda n, x: n.c(n.b(n.a(x))), a=conv(3, 2), b=conv(2, 3), c=conv(3, 4))
    assert set(found(network, exclude=("a*",))) == {"b"}
    assert set(found(network, exclude=("[bc]",))) == {"a"}


def test_an_auxiliary_head_is_found_though_it_answers_in_training_only(build: Callable[[str], nn.Module]) -> None:
    network = build("auxiliary").eval()
    assert {"auxiliary.2", "auxiliary.5"} <= set(Channels(network).groups)


def test_the_network_and_the_random_state_are_left_alone(build: Callable[[str], nn.Module]) -> None:
    network = build("auxiliary")
    network.cells[1].eval()
    modes = [part.training for part in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    channels = Channels(network)
    channels.compact(network)
    assert torch.equal(torch.get_rng_state(), random)
    assert [part.training for part in network.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(part._forward_hooks for part in network.modules())


def test_groups_are_the_same_every_time(build: Callable[[str], nn.Module]) -> None:
    one, other = Channels(build("darts")), Channels(build("darts"))
    assert list(one.groups.items()) == list(other.groups.items())
    assert list(one.groups)[:3] == ["stem.0", "cells.0.inputs.0.1", "cells.0.inputs.1.1"]


def test_a_network_that_mixes_channels_is_refused_with_a_name() -> None:
    network = Net(lambda n, x: n.c(n.b(n.a(x)).softmax(1)), a=conv(3, 4), b=conv(4, 4), c=conv(4, 4))
    with pytest.raises(lnas.PluginError, match=r"without channels of b would not compute the same; exclude them: outputs differ"):
        found(network)
    assert set(found(network, exclude=("b",))) == {"a"}


def test_channels_that_are_mixed_in_training_alone_are_seen_too() -> None:
    def compute(n: Net, x: Tensor) -> object:
        features = n.b(n.a(x))
        return (n.c(features), n.head(features.softmax(1))) if n.training else n.c(features)

    network = Net(compute, a=conv(3, 4), b=conv(4, 4), c=conv(4, 4), head=conv(4, 4)).eval()
    with pytest.raises(lnas.PluginError, match="without channels of b would not compute the same"):
        found(network)


def test_chance_in_training_is_no_difference() -> None:
    network = Net(lambda n, x: n.b(n.drop(n.a(x))), a=conv(3, 4), drop=nn.Dropout(0.5), b=conv(4, 4))
    assert set(found(network)) == {"a"}


def test_a_network_that_knows_its_sizes_is_refused_with_a_name() -> None:
    network = Net(lambda n, x: n.b(n.a(x).view(-1, 4 * 16)), a=conv(3, 4), b=nn.Linear(64, 4))
    with pytest.raises(lnas.PluginError, match="without channels of a would not compute the same"):
        found(network)


def test_a_network_that_cannot_be_traced_or_copied_is_refused() -> None:
    def broken(n: Net, x: Tensor) -> object:
        raise KeyError("nothing\nhere")

    with pytest.raises(lnas.PluginError, match="cannot trace this network: KeyError: .nothing.*here.$"):
        found(Net(broken, a=conv(3, 4)))
    network = Net(lambda n, x: n.b(n.a(x)), a=conv(3, 4), b=conv(4, 4))
    network.held = network.a.weight * 2
    with pytest.raises(lnas.PluginError, match="cannot be copied: RuntimeError: "):
        found(network)
