"""relax: the softmax of Eq. 4 under the mask of Eq. 7; and loading a state that is older than the masks."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.space import SearchSpace, relax


def test_dead_paths_are_exactly_zero_and_the_others_share_everything() -> None:
    alpha = torch.tensor([[math.log(1.0), math.log(2), math.log(5), 100.0]])
    gates = relax(alpha, torch.tensor([[True, True, True, False]]))
    assert gates.tolist()[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8, 0.0], rel=1e-6)
    assert gates[0, 3] == 0


def test_a_single_path_has_gate_one_and_its_alpha_no_gradient() -> None:
    alpha = torch.randn(2, 4, requires_grad=True)
    gates = relax(alpha, torch.eye(4, dtype=torch.bool)[:2])
    assert gates.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    gates.sum().backward()
    assert alpha.grad is not None
    assert alpha.grad.eq(0).all()


def test_an_edge_without_paths_is_zero_and_its_gradient_finite() -> None:
    alpha = torch.randn(2, 3, requires_grad=True)
    gates = relax(alpha, torch.tensor([[False] * 3, [True] * 3]))
    assert gates[0].tolist() == [0, 0, 0]
    (gates * torch.randn(2, 3)).sum().backward()
    assert alpha.grad is not None
    assert alpha.grad[0].tolist() == [0, 0, 0]
    assert alpha.grad.isfinite().all()
    assert alpha.grad[1].abs().sum() > 0


@given(st.lists(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=5, max_size=5), min_size=1, max_size=4))
def test_rows_are_distributions_over_the_living(rows: list[list[tuple[float, bool]]]) -> None:
    alpha = torch.tensor([[a for a, _ in row] for row in rows], dtype=torch.float64, requires_grad=True)
    alive = torch.tensor([[bit for _, bit in row] for row in rows])
    gates = relax(alpha, alive)
    for gate, row in zip(gates.tolist(), rows, strict=True):
        total = sum(math.exp(a) for a, bit in row if bit)
        assert gate == pytest.approx([math.exp(a) / total if bit else 0.0 for a, bit in row], rel=1e-9, abs=1e-300)
    (gates * torch.arange(5.0)).sum().backward()
    assert alpha.grad is not None
    assert alpha.grad.isfinite().all()
    assert alpha.grad[~alive].eq(0).all()


def test_an_older_state_loads_without_what_has_died_and_a_poorer_one_does_not(make_space: Any) -> None:
    old, new = make_space(seed=1), make_space(seed=2)
    state = {name: tensor.clone() for name, tensor in old.state_dict().items()}
    for space in (new,):
        space.alive["normal"][:, 3:] = False
        space.release()
    assert len(new.state_dict()) < len(state)
    new.load_live(state)
    for name, tensor in new.state_dict().items():
        assert torch.equal(tensor, state[name])
    with pytest.raises(RuntimeError, match="Missing key"):
        old.load_live(new.state_dict())


def test_a_search_space_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        SearchSpace()  # type: ignore[abstract]
