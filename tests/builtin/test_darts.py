"""DARTS as a learner: how alpha begins, what a step updates, and that its state is all there is to it."""

import copy
import hashlib
import math
from typing import Any

import pytest
import torch

from lnas.builtin.darts import Darts
from lnas.builtin.importances import probability
from lnas.builtin.targets import Alpha
from lnas.core.errors import ConfigError, NumericalError
from lnas.core.mask import prune
from lnas.core.space import relax

KINDS = ("normal", "reduce")


def everything(darts: Darts) -> dict[str, torch.Tensor]:
    """All tensors of a state, by a path of keys."""
    found: dict[str, torch.Tensor] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, torch.Tensor):
            found[path] = value.clone()
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}/{key}")
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, f"{path}/{index}")

    walk(darts.state_dict(), "")
    return found


def same(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_alpha_begins_as_a_thousandth_of_a_normal_draw_from_its_own_stream(make_space: Any, loss: Any) -> None:
    torch.manual_seed(0)
    darts = Darts(make_space(), loss, 0, 11)
    for kind in KINDS:
        seed = int(hashlib.sha256(f"11/alpha/{kind}".encode()).hexdigest()[:16], 16) // 2
        assert torch.equal(darts.alpha[kind], 1e-3 * torch.randn(5, 8, generator=torch.Generator().manual_seed(seed)))
    assert torch.equal(Darts(make_space(seed=3), loss, 0, 11).alpha["normal"], darts.alpha["normal"])
    assert not torch.equal(Darts(make_space(), loss, 0, 12).alpha["normal"], darts.alpha["normal"])
    assert not torch.equal(darts.alpha["normal"], darts.alpha["reduce"])
    wide = Darts(make_space().double(), loss, 0, 11)
    assert wide.alpha["normal"].dtype == torch.float64
    assert torch.equal(wide.alpha["normal"].float(), darts.alpha["normal"])


def test_a_step_updates_alpha_on_val_and_theta_on_train(make_space: Any, make_batches: Any, loss: Any) -> None:
    darts = Darts(make_space(), loss)
    (train, val), *_ = make_batches(1)
    twin = make_space()
    gates = {kind: relax(alpha.detach(), twin.alive[kind]) for kind, alpha in darts.alpha.items()}
    expected = loss(lambda x: twin(x, gates), val)
    before = everything(darts)
    metrics = darts.step(train, val)
    assert metrics.keys() == {"alpha_loss", "loss"}
    assert torch.equal(metrics["alpha_loss"], expected)
    assert all(value.dim() == 0 and not value.requires_grad for value in metrics.values())
    after = everything(darts)
    assert all(not torch.equal(after[name], before[name]) for name in before if name.startswith("/alpha/"))
    assert not torch.equal(after["/space/stem.0.weight"], before["/space/stem.0.weight"])


def test_k_alpha_updates_then_k_theta_updates(make_space: Any, make_batches: Any, loss: Any) -> None:
    darts = Darts(make_space(), loss, alternate=2)
    seen = [set(darts.step(*batch)) for batch in make_batches(7)]
    assert seen == [{"alpha_loss"}] * 2 + [{"loss"}] * 2 + [{"alpha_loss"}] * 2 + [{"loss"}]
    assert darts.t == 7
    assert darts.sgd.t == 3


def test_plain_sgd_on_alpha_is_the_papers_formula(make_space: Any, make_batches: Any, loss: Any) -> None:
    """alpha - eta (gradient + weight decay alpha)."""
    darts = Darts(make_space(), loss, alpha_optimizer="sgd", alpha_lr=0.5, alpha_weight_decay=0.1, alternate=9)
    (train, val), *_ = make_batches(1)
    _, slopes = darts.alpha_gradient(train, val)
    before = {kind: alpha.detach().clone() for kind, alpha in darts.alpha.items()}
    darts.step(train, val)
    for (kind, alpha), slope in zip(before.items(), slopes, strict=True):
        assert slope.ne(0).any()
        torch.testing.assert_close(darts.alpha[kind].detach(), alpha - 0.5 * (slope + 0.1 * alpha), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"unrolled": "exact"}, {"alternate": 2, "alpha_optimizer": "sgd"}])
def test_the_state_is_all_that_steers_the_next_step(
    make_space: Any, make_batches: Any, loss: Any, options: dict[str, Any]
) -> None:
    batches = make_batches(5)
    straight = Darts(make_space(), loss, 5, 1, **options)
    for t, batch in enumerate(batches):
        state = copy.deepcopy(straight.state_dict())
        resumed = Darts(make_space(seed=t + 5), loss, 5, 99, **options)
        resumed.load_state_dict(state)
        assert same(everything(resumed), everything(straight))
        mine, theirs = resumed.step(*batch), straight.step(*batch)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
        assert same(everything(resumed), everything(straight))
    assert straight.sgd.lr == 0.001 if "alternate" not in options else straight.sgd.t == 2


def test_a_state_shrinks_with_every_prune_and_an_older_one_still_loads(make_space: Any, make_batches: Any, loss: Any) -> None:
    batches = make_batches(4)
    darts = Darts(make_space(), loss)
    for batch in batches[:2]:
        darts.step(*batch)
    old, old_tensors = copy.deepcopy(darts.state_dict()), everything(darts)
    target = Alpha(darts)
    sizes = [len(old_tensors)]
    for sparsity in (0.25, 0.5, 0.75):
        prune(target, sparsity, importance=probability)
        sizes.append(len(everything(darts)))
    assert sizes == sorted(set(sizes), reverse=True)
    darts.step(*batches[2])
    target.apply()
    alive = copy.deepcopy(darts.space.alive)
    darts.load_state_dict(old)
    target.apply()
    now = everything(darts)
    assert len(now) == sizes[-1]
    for name, value in now.items():
        if name.startswith("/alpha"):
            kind = name.split("/")[2] if name.startswith("/alpha/") else name.split("/")[3]
            if value.dim():
                assert torch.equal(value, old_tensors[name] * alive[kind]), name
                continue
        assert torch.equal(value, old_tensors[name]), name
    assert all(torch.equal(bits, alive[kind]) for kind, bits in darts.space.alive.items())
    darts.step(*batches[3])


def test_alphas_gates_and_prediction(make_space: Any, make_batches: Any, loss: Any) -> None:
    darts = Darts(make_space(), loss)
    assert all(darts.alphas()[kind] is darts.alpha[kind] for kind in KINDS)
    gates = darts.gates()
    assert all(gate.sum(1).detach().numpy() == pytest.approx([1] * 5) for gate in gates.values())
    pictures = make_batches(1)[0][0][0]
    darts.space.eval()
    assert torch.equal(darts.predict(pictures), darts.space(pictures, gates))
    assert darts.predict(pictures).requires_grad


def test_the_genotype_is_read_from_alpha_and_never_from_nan(make_space: Any, loss: Any) -> None:
    darts = Darts(make_space(), loss)
    darts.alpha["normal"].data[1, 5] = 3.0
    assert ("sep_conv_5x5", 1, 2) in {(g.operation, g.source, g.node) for g in darts.genotype().groups["normal"]}
    darts.alpha["reduce"].data[0, 0] = math.nan
    with pytest.raises(NumericalError, match="alpha is not finite"):
        darts.genotype()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unrolled": "yes"}, "unrolled must be no, exact or finite, not 'yes'"),
        ({"alternate": 0}, "alternate must be at least 1, not 0"),
        ({"lr": -1.0}, "lr must be finite"),
        ({"momentum": 1.0}, "momentum must be in"),
        ({"alpha_optimizer": "adamw"}, "alpha_optimizer must be adam or sgd, not 'adamw'"),
        ({"alpha_lr": math.nan}, "alpha_lr must be finite"),
        ({"alpha_weight_decay": -1.0}, "alpha_weight_decay must be finite"),
    ],
)
def test_options_out_of_range_are_refused(make_space: Any, loss: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Darts(make_space(), loss, **options)


def test_the_cosine_spans_the_updates_of_theta_when_they_alternate(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = Darts(make_space(), loss, 8, alternate=2, lr=0.1, lr_min=0.01)
    for train, val in make_batches(8):
        strategy.step(train, val)
    assert strategy.sgd.t == strategy.sgd.steps == 4
    assert strategy.sgd.lr == pytest.approx(0.01, rel=1e-12)
