"""The machinery of the suites: naming a part, judging, comparing states, meta tensors, lockstep."""

import unittest
from functools import partial
from typing import Annotated, Any

import pytest
import torch

import lnas
import lnas.testing
from lnas.testing import Suite, Violation, judge, require
from lnas.testing.device import META, no_value_is_read
from lnas.testing.lockstep import Lockstep
from lnas.testing.states import copied, difference, not_plain
from lnas.testing.subjects import deaths, tiny_cells, tiny_choices


def part(seed: Annotated[int, "of its draws"], size: Annotated[int, "how many"] = 3) -> tuple[int, int]:
    return seed, size


class OfPart(Suite):
    kind = "dataset"
    part = staticmethod(part)
    options = {"size": "4"}

    def test_size(self) -> None:
        """The size
        is four."""
        require(self.make() == (0, 4), f"it made {self.make()}")

    def test_never(self) -> None:
        """Does not apply."""
        raise unittest.SkipTest("no such thing here")

    def test_wrong(self) -> None:
        """Is broken."""
        require(self.make(size=5)[1] == 4, "it made\nfive")

    def test_raises(self) -> None:
        """Goes wrong."""
        raise KeyError("size")


def test_judging_says_of_every_rule_what_came_of_it() -> None:
    verdicts = {verdict.rule: verdict for verdict in judge(OfPart)}
    assert list(verdicts) == ["size", "never", "wrong", "raises"]
    assert [verdict.outcome for verdict in verdicts.values()] == ["kept", "skipped", "broken", "broken"]
    assert verdicts["size"].says == "The size is four."
    assert verdicts["never"].message == "no such thing here"
    assert verdicts["wrong"].message == "it made five"
    assert verdicts["raises"].message == "KeyError: 'size'"


def test_options_are_read_as_a_user_types_them() -> None:
    assert OfPart.make() == (0, 4)
    assert OfPart.make(seed=2, size="7") == (2, 7)
    with pytest.raises(lnas.ConfigError, match="option 'sizes' does not exist"):
        OfPart.make(sizes=1)


def test_a_part_that_is_not_there_is_a_violation() -> None:
    class Lost(OfPart):
        part = "lnas.builtin.darts:NoSuch"

    with pytest.raises(Violation, match="lnas.builtin.darts:NoSuch cannot be imported"):
        Lost.loaded()


def test_the_table_of_contents_is_sorted_and_resolves() -> None:
    assert lnas.testing.__all__ == sorted(lnas.testing.__all__)
    assert dir(lnas.testing) == lnas.testing.__all__
    for name in ("Suite", "StrategySuite", "SpaceSuite", "TargetSuite", "judge", "require", "Verdict", "Violation"):
        assert getattr(lnas.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Sweet'"):
        _ = lnas.testing.Sweet


ONE = torch.tensor([0.0, 1.0])


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"a": [ONE, 1]}, {"a": (ONE.clone(), 1)}, ""),
        ({"a": float("nan")}, {"a": float("nan")}, ""),
        (ONE / 0, ONE / 0, ""),
        ({"a": [ONE]}, {"a": [ONE + torch.tensor([0.0, 0.25])]}, "state['a'][0] differs in 1 of 2 entries, by up to 0.25"),
        (ONE, -ONE * torch.tensor([1.0, -1.0]), "differs in 0 of 2 entries"),  # 0 is not -0
        (ONE, ONE.double(), "is torch.float32 (2,) in one and torch.float64 (2,) in the other"),
        ({"a": 1}, {"b": 1}, "has the keys a in one and b in the other"),
        ([1], [1, 2], "has 1 entries in one and 2 in the other"),
        ({"a": 1}, {"a": 1.0}, "state['a'] is 1 in one and 1.0 in the other"),
        ({"a": True}, {"a": 1}, "state['a'] is True in one and 1 in the other"),
    ],
)
def test_states_are_compared_bit_by_bit(one: Any, other: Any, words: str) -> None:
    found = difference(one, other)
    assert words in found
    assert bool(found) == bool(words)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"a": [1, 2.0, "x", True, None, ONE]}, ""),
        ({"a": (1, 2)}, "state['a'] is a tuple"),
        ({"a": {1: 2}}, "state['a'] has the key 1, a int; keys are text"),
        ({"a": [torch.nn.Parameter(ONE)]}, "state['a'][0] is a Parameter, not a plain tensor"),
        ({"a": {1, 2}}, "state['a'] is a set"),
        ({"a": lambda: 1}, "state['a'] is a function"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_found(state: Any, words: str) -> None:
    assert not_plain(state) == words or (words and words in not_plain(state))


def test_a_copy_shares_nothing() -> None:
    state = {"a": [ONE.clone(), {"b": torch.ones(2)}], "c": 1}
    other = copied(state)
    assert not difference(state, other)
    other["a"][1]["b"].zero_()
    other["a"].append(3)
    assert not difference(state, {"a": [ONE, {"b": torch.ones(2)}], "c": 1})


READS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "bool": lambda x: 1 if x.sum() > 0 else 0,
    "index": lambda x: x[x > 0],
    "cpu": lambda x: x.cpu(),
    "tolist": lambda x: x.tolist(),
    "nonzero": lambda x: x.nonzero(),
    "equal": lambda x: torch.equal(x, x),
    "format": lambda x: f"{x.sum():.2f}",
    "numpy": lambda x: x.numpy(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_whoever_reads_a_value_is_found_with_the_line(read: Any) -> None:
    with pytest.raises(Violation, match=r"the work reads the value .* at test_suite.py:\d+ \("), no_value_is_read("the work"):
        read(torch.zeros(3, device=META))


COPIES = {
    "to": lambda x, cpu: cpu.to(META),
    "to a dtype": lambda x, cpu: cpu.to(META, torch.float64),
    "copy_": lambda x, cpu: x.copy_(cpu),
    "index": lambda x, cpu: x[cpu.long()],
    "index_put_": lambda x, cpu: x.__setitem__(cpu.long(), 1.0),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_whoever_copies_and_waits_is_found_with_the_line(copy: Any) -> None:
    given = torch.zeros(3, device=META), torch.zeros(3)
    with pytest.raises(Violation, match=r"copies a tensor .* at test_suite.py:\d+ \("), no_value_is_read("the work"):
        copy(*given)


def test_copies_that_do_not_wait_pass_and_so_do_those_that_may() -> None:
    x, cpu = torch.zeros(3, device=META), torch.zeros(3)
    with no_value_is_read("the work"):
        x.copy_(cpu.to(META, non_blocking=True))
        x.copy_(cpu, non_blocking=True)
    with no_value_is_read("the work", may_copy=True):
        cpu.to(META)


def test_work_without_values_passes_and_what_has_no_such_form_is_left_undecided() -> None:
    layer = torch.nn.Linear(2, 2, device=META)
    with no_value_is_read("the work"):
        layer(torch.zeros(3, 2, device=META)).sum().backward()
        torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0, foreach=True)
        torch.optim.SGD(layer.parameters(), 0.1, foreach=True).step()
    with pytest.raises(unittest.SkipTest, match="cannot run on the meta device"), no_value_is_read("the work"):
        raise NotImplementedError("aten::something has no kernel")


def test_in_lockstep_all_get_the_mean_and_its_gradients() -> None:
    """y_r = x_r², m = mean(y), loss_r = (r + 1) m³: what comes out by x_r is mean(r + 1) · 3 m² · 2 x_r."""
    together = Lockstep(3)
    leaves = [torch.tensor([float(rank + 1)], dtype=torch.float64, requires_grad=True) for rank in range(3)]

    def work(rank: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        [mean] = together.average(rank)([leaves[rank] ** 2])
        [slope] = torch.autograd.grad((rank + 1) * mean**3, leaves[rank], create_graph=True)
        [second] = torch.autograd.grad(slope, leaves[rank])
        return mean.detach(), slope.detach(), second

    results = together.run([partial(work, rank) for rank in range(3)])
    m = (1 + 4 + 9) / 3
    for rank, (mean, slope, second) in enumerate(results):
        x = rank + 1
        assert float(mean) == pytest.approx(m, rel=1e-15)
        assert float(slope) == pytest.approx(2 * 3 * m**2 * 2 * x, rel=1e-12)
        # The objective is a mean over the processes: d/dx_r of Σ_s slope_s/3 reaches m through every s, and x_r itself.
        others = sum(2 * 6 * m * 2 * (s + 1) for s in range(3)) / 3 * 2 * x
        assert float(second) == pytest.approx(others + 2 * 3 * m**2 * 2, rel=1e-12)
    assert together.calls == 4  # forward, backward, and both again


def test_in_lockstep_one_that_comes_alone_or_brings_other_shapes_is_found() -> None:
    together = Lockstep(2)
    with pytest.raises(Violation, match="waits in `average` for another that does not come"):
        together.run([lambda: together.average(0)([ONE]), lambda: None])
    with pytest.raises(Violation, match=r"shapes \[\(2,\)\] in one process and \[\(1,\)\] in another"):
        together.run([lambda: together.average(0)([ONE]), lambda: together.average(1)([ONE[:1]])])
    with pytest.raises(ZeroDivisionError):
        together.run([lambda: together.average(0)([ONE]), lambda: 1 / 0])


@pytest.mark.parametrize("make", [tiny_cells, tiny_choices])
def test_ways_to_die_leave_every_node_an_input_and_the_space_as_it_is(make: Any) -> None:
    space = make()
    ways = list(deaths(space))
    assert all(mask.all() for mask in space.alive.values())
    assert len({name for name, _ in ways}) == len(ways) >= 12
    for _, masks in ways:
        for group, mask in masks.items():
            computing = mask & torch.tensor([name != "none" for name in space.operations[group]])
            for node in {node for _, node in space.edges[group]}:
                rows = [row for row, edge in enumerate(space.edges[group]) if edge[1] == node]
                assert computing[rows].any()


def test_every_subset_of_one_edge_is_among_the_ways_to_die() -> None:
    space = tiny_cells()
    last = {tuple(masks["normal"][-1].tolist()) for _, masks in deaths(space)}
    assert len(last) == 2 ** len(space.operations["normal"])
