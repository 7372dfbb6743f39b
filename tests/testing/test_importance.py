from collections.abc import Callable
from typing import Annotated

import pytest
import torch

import lnas
from lnas.testing import ImportanceSuite, judge
from lnas.testing.suite import rules

CALLS: list[int] = []


def sizes(tensors: lnas.Tensors) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().abs() for name, tensor in tensors.items()}


def snip(tensors, masks, loss):
    """|x · dL/dx| (Lee, Ajanthan and Torr 2019), as an author should write it."""
    value = loss()
    if not all(tensor.requires_grad for tensor in tensors.values()):
        raise lnas.ConfigError("snip needs tensors that require gradients")
    slopes = torch.autograd.grad(value, list(tensors.values()), materialize_grads=True)
    return {name: (x * g).detach().abs() for (name, x), g in zip(tensors.items(), slopes, strict=True)}


def relative(tensors, masks, loss, *, share: Annotated[float, "of the mean of the live ones"] = 0.5):
    if not 0 <= share <= 1:
        raise lnas.ConfigError(f"share must be in [0, 1], not {share!r}")
    live = {name: (x * masks[name]).sum() / masks[name].sum().clamp_min(1) for name, x in sizes(tensors).items()}
    return {name: x - share * live[name] for name, x in sizes(tensors).items()}


def seeded(tensors, masks, loss, *, seed: Annotated[int, "of the scores"] = 0):
    draws = {name: torch.rand(x.shape, generator=lnas.stream(seed, name), dtype=x.dtype) for name, x in tensors.items()}
    return draws


def of_one_tensor(tensors, masks, loss):
    name = next(iter(tensors))
    return {name: sizes(tensors)[name]}


def whole(tensors, masks, loss):
    return {name: (x > x.mean()).long() for name, x in sizes(tensors).items()}


def logarithm(tensors, masks, loss):
    return {name: x.mul(masks[name]).log() for name, x in sizes(tensors).items()}


def with_a_graph(tensors, masks, loss):
    return {name: tensor.abs() for name, tensor in tensors.items()}


def by_backward(tensors, masks, loss):
    loss().backward()
    return sizes(tensors)


def in_place(tensors, masks, loss):
    return {name: tensor.detach().abs_() for name, tensor in tensors.items()}


def thaws(tensors, masks, loss):
    loss.module.eval()
    return sizes(tensors)


def opens_paths(tensors, masks, loss):
    for mask in masks.values():
        mask.fill_(True)
    return sizes(tensors)


def pops(tensors, masks, loss):
    scores = sizes(tensors)
    tensors.pop(next(iter(tensors)))
    return scores


def counted(tensors, masks, loss):
    CALLS.append(1)
    return {name: x + len(CALLS) for name, x in sizes(tensors).items()}


def dice(tensors, masks, loss):
    return {name: torch.rand_like(x) for name, x in sizes(tensors).items()}


def deaf_to_its_seed(tensors, masks, loss, *, seed: Annotated[int, "of nothing"] = 0):
    return sizes(tensors)


def mean_of_the_live(tensors, masks, loss):
    return {name: x / x[masks[name]].mean() if not masks[name].all() else x for name, x in sizes(tensors).items()}


def needs_all_alive(tensors, masks, loss):
    if not all(mask.all() for mask in masks.values()):
        raise ValueError("shape mismatch")
    return sizes(tensors)


def mean_of_all(tensors, masks, loss):
    return {name: x / x.mean().clamp_min(1e-6) for name, x in sizes(tensors).items()}


def in_float32(tensors, masks, loss):
    ones = {name: torch.ones(tensor.shape) for name, tensor in tensors.items()}
    return {name: torch.dot(x.mul(masks[name]).flatten(), ones[name].flatten()) + x for name, x in sizes(tensors).items()}


def swallows(tensors, masks, loss):
    try:
        return snip(tensors, masks, loss)
    except lnas.ConfigError:
        return sizes(tensors)


def trips(tensors, masks, loss):
    try:
        return snip(tensors, masks, loss)
    except lnas.ConfigError:
        raise KeyError("loss") from None


def plain_snip(tensors, masks, loss):
    slopes = torch.autograd.grad(loss(), list(tensors.values()), materialize_grads=True)
    return {name: (x * g).detach().abs() for (name, x), g in zip(tensors.items(), slopes, strict=True)}


def idle(tensors, masks, loss, *, power: Annotated[int, "of nothing"] = 2):
    return sizes(tensors)


ENTRY, FINITE, DETACHED = "there_is_a_score_for_every_entry", "scores_are_finite", "scores_are_detached"
UNCHANGED, SAME, SEED = "nothing_is_changed", "it_is_deterministic", "another_seed_gives_other_scores"
DEAD, EMPTY, LOCAL = "it_works_when_entries_are_dead", "it_works_when_all_of_a_kind_are_dead", "dead_entries_do_not_matter"
DOUBLE, LOSS, GRADIENTS = "it_works_in_float64", "without_a_loss_it_says_so", "without_gradients_it_says_so"
PRUNES, EFFECT = "prune_takes_its_scores", "every_option_has_an_effect"
BROKEN = {
    of_one_tensor: {ENTRY, FINITE, DEAD, EMPTY, DOUBLE, PRUNES},
    whole: {ENTRY, LOCAL},
    logarithm: {DEAD, EMPTY},
    with_a_graph: {DETACHED},
    by_backward: {UNCHANGED},
    in_place: {UNCHANGED},
    thaws: {UNCHANGED},
    opens_paths: {UNCHANGED},
    pops: {UNCHANGED, PRUNES},
    counted: {SAME, LOCAL},
    dice: {SAME, LOCAL, "the_global_random_state_is_left_alone"},
    deaf_to_its_seed: {SEED, EFFECT},
    mean_of_the_live: {EMPTY},
    needs_all_alive: {DEAD, EMPTY, LOCAL, UNCHANGED},
    mean_of_all: {LOCAL},
    in_float32: {DOUBLE},
    swallows: {LOSS},
    trips: {LOSS, GRADIENTS},
    plain_snip: {GRADIENTS},
    idle: {EFFECT},
}


def found(part: Callable[..., object], **attributes: object) -> dict[str, str]:
    suite = type("Of", (ImportanceSuite,), {"part": staticmethod(part), **attributes})
    return {verdict.rule: verdict.message for verdict in judge(suite) if verdict.outcome == "broken"}


@pytest.mark.parametrize("part", [snip, relative, seeded], ids=lambda part: part.__name__)
def test_a_sound_one_keeps_all(part: Callable[..., object]) -> None:
    assert found(part) == {}


@pytest.mark.parametrize("part", BROKEN, ids=lambda part: part.__name__)
def test_the_broken_rule_is_named(part: Callable[..., object]) -> None:
    assert found(part, targets=("theta",)).keys() == BROKEN[part]


def test_a_broken_rule_is_seen_on_paths_too() -> None:
    assert {UNCHANGED, ENTRY} <= found(pops, targets=("alpha",)).keys()


def test_every_rule_of_importances_can_be_broken() -> None:
    own = {name.removeprefix("test_") for name, _ in rules(ImportanceSuite) if name in vars(ImportanceSuite)}
    assert own - {"it_works_on_the_gpu"} <= set().union(*BROKEN.values())


def test_only_the_targets_that_the_suite_names_are_tried() -> None:
    def of_weights(tensors, masks, loss):
        if "normal" in tensors:
            raise lnas.ConfigError("this scores weights only")
        return sizes(tensors)

    assert found(of_weights, targets=("theta",)) == {}
    assert "this scores weights only" in found(of_weights)["scores_are_finite"]


def test_the_message_says_what_came_out_and_what_should_have() -> None:
    message = found(by_backward)["nothing_is_changed"]
    assert message.startswith("importance by_backward on theta left something changed: ['gradients']")
    assert message.endswith("An importance reads; use torch.autograd.grad")
