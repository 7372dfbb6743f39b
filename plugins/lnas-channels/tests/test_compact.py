"""The smaller network: that it is smaller, by how much, and that it computes the same."""

import copy
from collections.abc import Callable

import lnas_channels.cuts
import pytest
import torch
from lnas_channels import Channels
from torch import Tensor, nn

import lnas

Build = Callable[[str], nn.Module]
ExampleOf = Callable[[nn.Module], Tensor]
Step = Callable[..., None]
RATIOS = [round(0.1 * tenth, 1) for tenth in range(1, 10)]


def assert_same(one: nn.Module, other: nn.Module, example: Tensor, *, training: bool = False) -> None:
    """In double precision, on pictures that the plugin has not seen."""
    x = torch.randn(3, *example.shape[1:], dtype=torch.float64)
    answers = [copy.deepcopy(network).double().train(training)(x) for network in (one, other)]
    flat = [torch.cat(a, 1) if isinstance(a, tuple) else a for a in answers]
    assert flat[0].abs().max() > 1e-3
    torch.testing.assert_close(flat[1], flat[0], rtol=0, atol=1e-10 * max(1.0, flat[0].abs().max().item()))


def sizes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_chain_has_the_sizes_that_one_can_count(ratio: float, build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, ratio)
    small = channels.compact(network)
    a, b, c = (n - round(ratio * n) for n in (10, 20, 30))
    assert [small[i].weight.shape for i in (0, 4, 9, 12)] == [(a, 3, 3, 3), (b, a, 3, 3), (c, b * 4), (5, c)]
    assert (small[0].out_channels, small[1].num_features, small[4].in_channels, small[4].out_channels) == (a, a, a, b)
    assert (small[5].num_features, small[9].in_features, small[9].out_features, small[12].in_features) == (b, b * 4, c, c)
    assert small[1].running_mean.shape == small[1].running_var.shape == (a,)
    assert_same(network, small, example_of(network))


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["auxiliary", "others", "resnet18"])
def test_cells_and_residual_networks(name: str, ratio: float, build: Build, example_of: ExampleOf) -> None:
    network = build(name)
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, ratio)
    small = channels.compact(network)
    layers = dict(small.named_modules())
    for group in channels.groups.values():
        left = int(channels.masks()[group.name].sum())
        assert left == max(1, len(group.entries) - round(ratio * len(group.entries)))
        for producer in group.producers:
            others = [g for g in channels.groups.values() if producer in g.producers]
            expected = sum(int(channels.masks()[g.name].sum()) for g in others)
            assert layers[producer].weight.shape[0] == layers[producer].out_channels == expected
    assert sum(p.numel() for p in small.parameters()) < (1 - ratio) * sum(p.numel() for p in network.parameters())
    assert_same(network, small, example_of(network))
    if name == "auxiliary":
        assert len(small.train()(torch.randn(2, 3, 16, 16))) == 2
        assert_same(network, small, example_of(network), training=True)


def test_a_ratio_that_torch_pruning_misses_is_reached(build: Build, example_of: ExampleOf) -> None:
    network = build("resnet18")
    channels = Channels(network, example=example_of(network), scope="global")
    lnas.prune(channels, 0.9)
    assert lnas.sparsity_of(channels.masks()) == 0.9  # 2592 of 2880
    small = channels.compact(network)
    assert sum(m.out_channels for n, m in small.named_modules() if n in channels.groups) == 288


def test_every_kind_of_layer() -> None:
    class All(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(4, 12, 3, padding=1)
            self.few = nn.Conv2d(12, 8, 1, groups=2)
            self.slopes = nn.PReLU(8)
            self.many = nn.Conv2d(8, 16, 3, groups=4)
            self.norm = nn.GroupNorm(8, 16)
            self.slope = nn.PReLU()
            self.up = nn.ConvTranspose2d(16, 12, 2, groups=2)
            self.instance = nn.InstanceNorm2d(12, affine=True, track_running_stats=True)
            self.spread = nn.ConvTranspose2d(12, 24, 2, stride=2, groups=12)
            self.bare = nn.BatchNorm2d(24, affine=False)
            self.widen = nn.Conv2d(24, 48, 1, groups=24)
            self.fresh = nn.BatchNorm2d(48, track_running_stats=False)
            self.plain = nn.ConvTranspose2d(48, 6, 1, bias=False)
            self.hidden = nn.Linear(6, 10)
            self.norm1d = nn.BatchNorm1d(10)
            self.last = nn.Linear(10, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.many(self.slopes(self.few(self.first(x).sigmoid())))
            x = self.bare(self.spread(self.instance(self.up(self.slope(self.norm(x))))))
            x = self.plain(self.fresh(self.widen(x)).relu()).mean((2, 3))
            return self.last(self.norm1d(self.hidden(x)))

    network, example = All(), torch.zeros(1, 4, 6, 6)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        network(torch.randn(8, 4, 6, 6)).square().sum().backward()
        optimizer.step()
    channels = Channels(network, example=example)
    assert {name: len(mask) for name, mask in channels.masks().items()} == {
        "first": 6,
        "few": 2,
        "up": 6,
        "plain": 6,
        "hidden": 10,
    }
    lnas.prune(channels, 0.5)
    small = channels.compact(network)
    assert (small.few.groups, small.few.in_channels, small.few.weight.shape) == (2, 6, (4, 3, 1, 1))
    assert (small.many.groups, small.many.in_channels, small.many.weight.shape) == (2, 4, (8, 2, 3, 3))
    assert (small.norm.num_groups, small.norm.num_channels) == (4, 8)
    assert (small.up.groups, small.up.out_channels, small.up.weight.shape) == (2, 6, (8, 3, 2, 2))
    assert (small.spread.groups, small.spread.out_channels, small.spread.weight.shape) == (6, 12, (6, 2, 2, 2))
    assert (small.widen.groups, small.widen.weight.shape, small.fresh.num_features) == (12, (24, 1, 1, 1), 24)
    assert (small.slopes.num_parameters, small.slope.num_parameters) == (4, 1)
    assert_same(network, small, example)
    assert_same(network, small, example, training=True)


def test_it_is_a_plain_network_of_its_own(build: Build) -> None:
    network = build("darts").to(torch.bfloat16).eval()
    network.stem[0].weight.requires_grad_(False)
    channels = Channels(network)
    lnas.prune(channels, 0.5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    small = channels.compact(network)
    assert type(small) is type(network) and not small.training
    assert list(small.state_dict()) == list(before)
    assert all(value.dtype == before[name].dtype for name, value in small.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in small.modules())
    assert [name for name, parameter in small.named_parameters() if not parameter.requires_grad] == ["stem.0.weight"]
    with torch.no_grad():
        for value in small.state_dict().values():
            value.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_nothing_pruned_is_a_copy(build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    same = Channels(network, example=example_of(network)).compact(network)
    assert same is not network
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in same.state_dict().items())


def test_training_the_small_one_is_training_the_masked_one(build: Build, step: Step) -> None:
    network = build("auxiliary").double()
    channels = Channels(network)
    lnas.prune(channels, 0.5)
    small = channels.compact(network)
    for trained in (network, small):
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
        for _ in range(3):
            step(trained, optimizer)
            if trained is network:
                channels.apply()
    for name, value in channels.compact(network).state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu(build: Build, step: Step) -> None:
    network = build("auxiliary").cuda()
    random = torch.cuda.get_rng_state()
    channels = Channels(network)
    lnas.prune(channels, 0.5)
    small = channels.compact(network)
    assert torch.equal(torch.cuda.get_rng_state(), random)
    assert all(value.is_cuda for value in small.state_dict().values())
    assert_same(network.cpu(), small.cpu(), example=torch.zeros(1, 3, 16, 16))
    step(network)  # a network may move after it was pruned
    channels.apply()
    assert not network.stem[0].weight[~channels.masks()["stem.0"]].any()


def test_a_masked_channel_that_is_not_0_is_an_error(build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, 0.5)
    with pytest.raises(lnas.PluginError, match="does not compute what the masked one does: outputs differ by"):
        channels.compact(build("vgg"))
    step_ = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        network.train()(step_)  # a dead channel that is exactly 0 stays so
    channels.compact(network)


def test_a_network_that_is_not_finite_is_an_error(build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, 0.5)
    with torch.no_grad():
        network[12].weight[0, 0] = torch.nan
        network[12].weight[:, ~channels.masks()["9"]] = 0
        network[12].bias[0] = torch.nan
    with pytest.raises(lnas.PluginError, match="outputs differ by inf"):
        channels.compact(network)


@pytest.mark.parametrize("wrong", ["other rows", "too many rows", "no rows"])
def test_a_wrong_cut_is_noticed(wrong: str, build: Build, example_of: ExampleOf, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, 0.5)
    right = lnas_channels.cuts._shrink

    def shrink(layer: nn.Module, cut: lnas_channels.cuts.Cut) -> None:
        rows = {dim: row.roll(1) if wrong == "other rows" else torch.zeros_like(row) for dim, row in cut.dead.items()}
        if wrong == "too many rows":
            rows = {dim: row | (torch.arange(len(row)) < 8) for dim, row in cut.dead.items()}
        right(layer, lnas_channels.cuts.Cut(cut.layer, cut.tensor, cut.dims, rows) if cut.layer == "4" else cut)

    monkeypatch.setattr(lnas_channels.cuts, "_shrink", shrink)
    error, message = {
        "other rows": (lnas.PluginError, "outputs differ by"),
        "too many rows": (lnas.SparsityError, "layer 4 has .* channels in where 5 should be left"),
        "no rows": (lnas.SparsityError, r"layer 4 has 5 and 10 channels in where 5 should be left"),
    }[wrong]
    with pytest.raises(error, match=message):
        channels.compact(network)
