"""The mask target: what is scored, what is removed, and that it stays 0."""

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from lnas_channels import Channels
from torch import Tensor, nn

import lnas

Build = Callable[[str], nn.Module]
ExampleOf = Callable[[nn.Module], Tensor]
Step = Callable[..., None]
RATIOS = [round(0.1 * tenth, 1) for tenth in range(1, 10)]


def kept(masks: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks.items()}


def only(channels: Channels, dead: Mapping[str, list[int]]) -> None:
    """Clear these bits by hand, and apply."""
    for name, mask in channels.masks().items():
        mask.fill_(True)[dead.get(name, [])] = False
    channels.apply()


def test_a_score_is_the_norm_of_all_that_goes() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([3.0, 1.0]).view(2, 1, 1, 1))
        network[2].weight.copy_(torch.tensor([[4.0, 2.0], [12.0, -2.0]]).view(2, 2, 1, 1))
        network[0].bias.fill_(100)
    scores = Channels(network, example=torch.zeros(1, 1, 2, 2)).tensors()
    assert scores["0"].tolist() == [13.0, 3.0]  # 3-4-12 and 1-2-2


@pytest.mark.parametrize("name", ["vgg", "auxiliary", "others"])
def test_a_score_is_what_the_weights_lose(name: str, build: Build, example_of: ExampleOf) -> None:
    network = build(name).double()
    channels = Channels(network, example=example_of(network))
    scores = channels.tensors()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    for group, entry in [(group, len(mask) // 2) for group, mask in channels.masks().items()]:
        only(channels, {group: [entry]})
        weights = [key for key, value in before.items() if value.dim() > 1]
        after = network.state_dict()
        lost = sum((before[key] - after[key]).square().sum() for key in weights)
        assert scores[group][entry].item() == pytest.approx(lost.sqrt().item(), rel=1e-12)
        network.load_state_dict(before)


@pytest.mark.parametrize("ratio", RATIOS)
def test_counts_are_exact_and_one_channel_stays(ratio: float, build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, ratio)
    assert kept(channels.masks()) == {name: n - round(ratio * n) for name, n in {"0": 10, "4": 20, "9": 30}.items()}
    lnas.prune(channels, 0.99)
    assert kept(channels.masks()) == {"0": 1, "4": 1, "9": 1}


def test_the_smallest_go_first(build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    scores = channels.tensors()
    lnas.prune(channels, 0.3)
    for name, mask in channels.masks().items():
        assert scores[name][~mask].max() < scores[name][mask].min()


def test_rounds_are_nested(build: Build, step: Step) -> None:
    network = build("darts")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    channels = Channels(network, [optimizer])
    schedule = lnas.Iterative(sparsity=0.9, rounds=4)
    before = {name: mask.clone() for name, mask in channels.masks().items()}
    for round_ in range(1, 5):
        step(network, optimizer)
        channels.apply()
        lnas.prune(channels, schedule.sparsity_after(round_))
        for name, mask in channels.masks().items():
            assert not (mask & ~before[name]).any()
            assert int(mask.sum()) == max(1, len(mask) - round(schedule.sparsity_after(round_) * len(mask)))
        before = {name: mask.clone() for name, mask in channels.masks().items()}


@pytest.mark.parametrize(
    ("make", "moments"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True), {"momentum_buffer"}),
        (lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, amsgrad=True), {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}),
    ],
    ids=["sgd", "adam"],
)
@pytest.mark.parametrize("name", ["auxiliary", "others"])
def test_dead_channels_stay_0_with_their_moments(
    name: str, make: Callable[..., torch.optim.Optimizer], moments: set[str], build: Build, step: Step
) -> None:
    network = build(name)
    optimizer = make(network.parameters())
    channels = Channels(network, [optimizer])
    step(network, optimizer)
    lnas.prune(channels, 0.5)
    zeros = {key: value == 0 for key, value in network.state_dict().items() if value.is_floating_point()}
    outputs = ("classifier.bias", "auxiliary.9.bias")
    assert all(zero.any() for key, zero in zeros.items() if not key.endswith("running_var") and key not in outputs)
    for _ in range(3):
        step(network, optimizer)
        channels.apply()
        state = network.state_dict()
        for key, zero in zeros.items():
            assert not state[key][zero].any(), key
        for key, parameter in network.named_parameters():
            found = {kind: value for kind, value in optimizer.state[parameter].items() if kind in moments}
            assert set(found) == moments or parameter.grad is None, key
            for value in found.values():
                assert not value[zeros[key]].any(), key
                assert value[~zeros[key]].any(), key


def test_what_grows_again_is_cleared() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2))  # a dead channel is 1/2 behind the sigmoid
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    channels = Channels(network, [optimizer], example=torch.zeros(1, 3))
    lnas.prune(channels, 0.5)
    dead = ~channels.masks()["0"]
    network(torch.ones(4, 3)).square().sum().backward()
    optimizer.step()
    assert network[2].weight[:, dead].all() and optimizer.state[network[2].weight]["momentum_buffer"][:, dead].all()
    channels.apply()
    assert not network[2].weight[:, dead].any()
    assert not optimizer.state[network[2].weight]["momentum_buffer"][:, dead].any()
    assert optimizer.state[network[2].weight]["momentum_buffer"][:, ~dead].all()


def test_apply_changes_nothing_that_lives_and_not_twice(build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    channels.apply()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    only(channels, {"0": [3], "4": [0, 19]})
    once = {key: value.clone() for key, value in network.state_dict().items()}
    assert once["0.weight"][3].count_nonzero() == once["4.weight"][:, 3].count_nonzero() == once["0.bias"][3] == 0
    assert once["1.weight"][3] == once["1.bias"][3] == once["1.running_mean"][3] == 0
    assert torch.equal(once["1.running_var"], before["1.running_var"])
    assert once["9.weight"][:, [*range(4), *range(76, 80)]].count_nonzero() == 0  # 2x2 pixels each
    changed = {key: int((value != before[key]).sum()) for key, value in once.items() if (value != before[key]).any()}
    assert changed == {
        **{"0.weight": 27, "0.bias": 1, "1.weight": 1, "1.bias": 1, "1.running_mean": 1},
        **{"4.weight": 20 * 9 + 2 * 9 * 9, "5.weight": 2, "5.bias": 2, "5.running_mean": 2, "9.weight": 30 * 8},
    }
    channels.apply()
    assert all(torch.equal(value, once[key]) for key, value in network.state_dict().items())


def test_a_loaded_mask_is_applied(build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, 0.5)
    again = Channels(build("vgg"), example=example_of(network))
    for name, mask in again.masks().items():
        mask.copy_(channels.masks()[name])
    again.apply()
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in again.module.state_dict().items())


def test_global_scope_spares_the_best_of_each_group() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 1, 1)).double()
    with torch.no_grad():
        network[0].weight.copy_(torch.arange(1.0, 5).view(4, 1, 1, 1))
        network[1].weight.zero_()
        network[2].weight.copy_(torch.arange(11.0, 15).view(1, 4, 1, 1))
    channels = Channels(network, example=torch.zeros(1, 1, 2, 2), scope="global")
    lnas.prune(channels, 0.5)
    assert channels.masks()["0"].tolist() == [False, False, False, True]  # all smaller than any of the other group
    assert channels.masks()["1"].tolist() == [False, True, True, True]
    lnas.prune(channels, 0.75)
    assert kept(channels.masks()) == {"0": 1, "1": 1}
    with pytest.raises(lnas.SparsityError, match=r"at most 0\.750 \(6 of 8\) is feasible"):
        lnas.prune(channels, 0.9)


def test_floor_is_how_many_stay(build: Build, example_of: ExampleOf) -> None:
    for scope in ("layer", "global"):
        network = build("vgg")
        channels = Channels(network, example=example_of(network), floor=7, scope=scope)
        lnas.prune(channels, 39 / 60)
        assert min(kept(channels.masks()).values()) == 7
        assert sum(kept(channels.masks()).values()) >= 21


def test_coupled_channels_have_a_rate_of_their_own(build: Build) -> None:
    for scope in ("layer", "global"):
        channels = Channels(build("darts"), coupled_rate=0.5, scope=scope)
        lnas.prune(channels, 0.5)
        coupled = {name for name, group in channels.groups.items() if len(group.producers) > 1}
        assert 0 < len(coupled) < len(channels.groups)
        masks = channels.masks()
        assert lnas.sparsity_of({name: masks[name] for name in coupled}) == 0.25
        assert lnas.sparsity_of({name: masks[name] for name in masks.keys() - coupled}) == 0.5


def test_the_random_importance_works_too(build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    channels = Channels(network, example=example_of(network))
    lnas.prune(channels, 0.5, importance=lnas.random)
    assert kept(channels.masks()) == {"0": 5, "4": 10, "9": 15}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scope": "row"}, "scope must be layer or global, not 'row'"),
        ({"floor": 0}, "floor must be a whole number of at least 1, not 0"),
        ({"floor": True}, "floor must be a whole number of at least 1, not True"),
        ({"coupled_rate": 1.5}, r"coupled_rate must be in \[0, 1\], not 1.5"),
        ({"coupled_rate": float("nan")}, r"coupled_rate must be in \[0, 1\], not nan"),
        ({"exclude": ("conv*",)}, "'conv\\*' matches no layer; there are e.g. 0, 1, 4, 5"),
        ({"exclude": ("*",)}, "Sequential has no channels that can go, or all are excluded"),
        ({"example": torch.zeros(())}, "the example must be a tensor with a batch dimension"),
        ({"example": ()}, "the example must be a tensor with a batch dimension"),
        ({"example": None}, "must know what Sequential is called with; give example="),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], message: str, build: Build, example_of: ExampleOf) -> None:
    network = build("vgg")
    with pytest.raises(lnas.ConfigError, match=message):
        Channels(network, **{"example": example_of(network), **options})


def test_a_network_of_nothing_but_its_output_is_refused() -> None:
    with pytest.raises(lnas.ConfigError, match="Linear has no channels that can go"):
        Channels(nn.Linear(3, 2), example=torch.zeros(1, 3))


def test_the_example_may_be_several_and_the_task_says_it_too(build: Build) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.one, self.last = nn.Embedding(9, 6), nn.Linear(4, 6), nn.Linear(6, 2)
            self.hidden = nn.Linear(6, 8)
            self.back = nn.Linear(8, 6)

        def forward(self, x: Tensor, word: Tensor) -> Tensor:
            return self.last(self.back(self.hidden(self.one(x) + self.words(word)).relu()))

    channels = Channels(Both(), example=(torch.zeros(1, 4), torch.tensor([3])))
    assert set(channels.groups) == {"hidden", "back"}  # what is added to an embedding stays
    network = build("vgg")
    network.task = lnas.Task((3, 8, 8), 5)
    assert Channels(copy.deepcopy(network)).groups == Channels(network, example=torch.zeros(2, 3, 8, 8)).groups
