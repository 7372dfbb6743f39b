"""A prune line becomes a `Pruning`: every option reaches the part that has it, and no other is accepted."""

import pytest
import torch

from lnas.builtin.importances import magnitude, probability
from lnas.builtin.schedules import Iterative, OneShot
from lnas.builtin.targets import Theta
from lnas.builtin.weights import WeightTraining
from lnas.core.errors import ConfigError, LnasError
from lnas.host.plugins import Host
from lnas.host.prunings import prune_line
from lnas.host.spec import Spec


@pytest.fixture(scope="module")
def registry():
    return Host(entry_points=False).registry


def line(registry, text: str, *, seed: int = 0):
    return prune_line(registry, Spec.parse(text), seed=seed)


def test_options_are_shared_out(registry) -> None:
    made = line(registry, "theta:iterative,sparsity=0.5,rounds=3,scope=global,output_rate=0.5,rewind=2ep,k=7it")
    pruning = made.pruning(10)
    assert made.stage == "train"
    assert pruning.schedule == Iterative(0.5, 3)
    assert (pruning.rewind, pruning.k) == (20, 7)
    target = pruning.target(WeightTraining(torch.nn.Linear(2, 2), lambda network, batch: network(batch).sum()))
    assert isinstance(target, Theta) and target.scope == "global" and target.output_rate == 0.5


def test_defaults_depend_on_the_target(registry) -> None:
    alpha, theta = line(registry, "alpha:one-shot").pruning(10), line(registry, "theta:one-shot").pruning(10)
    assert alpha.schedule == theta.schedule == OneShot()
    assert (alpha.rewind, theta.rewind) == (None, 0)
    tensors, masks = {"x": (x := torch.tensor([[1.0, -2.0]]))}, {"x": x.bool()}
    assert alpha.importance(tensors, masks, None)["x"].equal(probability(tensors, masks, None)["x"])
    assert theta.importance(tensors, masks, None)["x"].equal(magnitude(tensors, masks, None)["x"])


def test_fresh_weights_after_the_last_prune(registry) -> None:
    pruning = line(registry, "theta:iterative,rounds=3,rewind=fresh").pruning(10)
    assert (pruning.rewind, pruning.fresh, pruning.k) == (0, True, None)
    assert not line(registry, "theta:iterative,rewind=0").pruning(10).fresh


def test_random_importance_draws_from_the_seed_of_the_run(registry) -> None:
    tensors = {"x": torch.zeros(8)}
    one, same, other = (
        line(registry, "theta:one-shot,importance=random", seed=seed).pruning(1).importance(tensors, tensors, None)["x"]
        for seed in (1, 1, 2)
    )
    assert one.equal(same) and not one.equal(other)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("theta", "names no schedule; write one of theta:iterative"),
        ("theta:oneshot", "did you mean 'one-shot'"),
        ("theta:one-shot,sparsty=0.5", "did you mean 'sparsity'"),
        ("theta:one-shot,rounds=3", "unknown option 'rounds'"),
        ("theta:one-shot,importance=magnitud", "did you mean 'magnitude'"),
        ("thet:one-shot", "did you mean 'theta'"),
        ("theta:one-shot,sparsity=1", "sparsity must be in [0, 1)"),
        ("theta:one-shot,sparsity=half", "sparsity must be a number"),
        ("theta:iterative,rounds=0", "rounds must be a whole number of at least 1"),
        ("theta:one-shot,rewind=soon", "rewind must be a length such as 0, 2ep or 50it, none or fresh, not 'soon'"),
        ("alpha:one-shot,rewind=fresh", "rewind=fresh draws new weights for the training, and alpha is of the search"),
        ("theta:one-shot,k=-1", "k must be a length"),
    ],
)
def test_what_is_wrong_is_named(registry, text: str, says: str) -> None:
    with pytest.raises(LnasError) as caught:
        line(registry, text)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError) or "sparsity" in says
