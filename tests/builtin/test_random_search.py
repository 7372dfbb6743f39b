"""Random search: what it draws, what it remembers, and what it calls best."""

import copy
from collections import Counter
from typing import Any

import pytest
import torch

from lnas.builtin.importances import probability
from lnas.builtin.random_search import RandomSearch
from lnas.builtin.targets import Alpha
from lnas.core.errors import ConfigError, NumericalError
from lnas.core.mask import prune

KINDS = ("normal", "reduce")


def test_a_step_trains_and_scores_one_architecture(make_space: Any, make_batches: Any, loss: Any) -> None:
    batches = make_batches(3)
    strategy = RandomSearch(make_space(), loss, 3, 5)
    twin = make_space()
    for train, val in batches:
        metrics = strategy.step(train, val)
        genotype, reward = strategy.tried[-1]
        assert metrics.keys() == {"loss", "alpha_loss"}
        assert torch.equal(metrics["alpha_loss"], -reward)
        assert not reward.requires_grad
    genotype, _ = strategy.tried[0]
    paths = twin.paths(genotype)
    assert [int(bits.sum()) for bits in paths.values()] == [4, 4]
    first = RandomSearch(make_space(), loss, 3, 5).step(*batches[0])
    assert torch.equal(
        first["loss"], loss(lambda x: twin(x, {k: b.float() for k, b in paths.items()}, paths), batches[0][0]).detach()
    )


def test_only_the_drawn_paths_learn_and_scoring_leaves_statistics_alone(make_space: Any, make_batches: Any, loss: Any) -> None:
    ((train, val),) = make_batches(1)
    strategy = RandomSearch(make_space(), loss)
    before = copy.deepcopy(strategy.space.state_dict())
    strategy.step(train, val)
    after = strategy.space.state_dict()
    paths = strategy.space.paths(strategy.tried[0][0])
    for c, kind in enumerate(strategy.space.kinds):  # type: ignore[attr-defined]
        for e in range(5):
            for o, name in enumerate(strategy.space.operations[kind]):
                prefix = f"cells.{c}.edges.{e}.operations.{name}."
                changed = [not torch.equal(value, before[key]) for key, value in after.items() if key.startswith(prefix)]
                assert any(changed) == (bool(paths[kind][e, o]) and bool(changed)), prefix
    assert int(after["stem.1.num_batches_tracked"]) == 1  # the training batch only


def test_alpha_is_the_mean_reward_of_a_path_less_the_mean_of_all(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = RandomSearch(make_space(), loss)
    for batch in make_batches(4):
        strategy.step(*batch)
    entries: dict[tuple[str, int, int], list[float]] = {}
    for genotype, reward in strategy.tried:
        for kind, bits in strategy.space.paths(genotype).items():
            for e, o in bits.nonzero().tolist():
                entries.setdefault((kind, e, o), []).append(float(reward))
    everything = [value for values in entries.values() for value in values]
    assert len(everything) == 4 * 8
    mean = sum(everything) / len(everything)
    for kind, alpha in strategy.alphas().items():
        for e in range(5):
            for o in range(8):
                values = entries.get((kind, e, o))
                expected = sum(values) / len(values) - mean if values else 0.0
                assert float(alpha[e, o]) == pytest.approx(expected, abs=1e-6)


def test_draws_are_uniform_over_the_architectures(make_space: Any, loss: Any) -> None:
    strategy = RandomSearch(make_space(operations=("none", "skip_connect", "max_pool_3x3")), loss, 0, 1)
    counts: Counter[Any] = Counter()
    for _ in range(2400):
        counts[strategy._draw().groups["normal"]] += 1
    # node 2: both edges, 2 operations each; node 3: 3 pairs of edges, 2 operations each: 4 * 3 * 4
    assert len(counts) == 48
    assert all(20 < count < 90 for count in counts.values())  # 50 expected, sigma 7
    assert sum((count - 50) ** 2 / 50 for count in counts.values()) < 85  # chi-squared with 47 degrees of freedom: p = 0.0006
    assert all(gene.operation != "none" for genes in counts for gene in genes)


def test_the_best_of_the_latest_candidates_wins(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = RandomSearch(make_space(), loss, candidates=3)
    with pytest.raises(ConfigError, match="has tried no architecture yet"):
        strategy.genotype()
    drawn = []
    for batch in make_batches(5):
        strategy.step(*batch)
        drawn.append(strategy.tried[-1])
    assert [genotype for genotype, _ in strategy.tried] == [genotype for genotype, _ in drawn[-3:]]
    best = max(drawn[-3:], key=lambda pair: float(pair[1]))[0]
    assert strategy.genotype() == best
    strategy.tried[0] = (strategy.tried[0][0], torch.tensor(0.0))  # above every loss
    assert strategy.genotype() == drawn[2][0]


def test_a_reward_that_is_not_finite_is_never_the_best(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = RandomSearch(make_space(), loss)
    for batch in make_batches(2):
        strategy.step(*batch)
    strategy.tried[1] = (strategy.tried[1][0], torch.tensor(float("nan")))
    with pytest.raises(NumericalError, match="not finite"):
        strategy.genotype()


def test_prediction_is_that_of_the_best(make_space: Any, make_batches: Any, loss: Any) -> None:
    batches = make_batches(2)
    pictures = batches[0][0][0]
    strategy = RandomSearch(make_space(), loss)
    strategy.space.eval()
    ones = {kind: torch.ones(5, 8) for kind in KINDS}
    assert torch.equal(strategy.predict(pictures), strategy.space(pictures, ones))
    strategy.space.train()
    for batch in batches:
        strategy.step(*batch)
    strategy.space.eval()
    paths = strategy.space.paths(strategy.genotype())
    gates = {kind: bits.float() for kind, bits in paths.items()}
    assert torch.equal(strategy.predict(pictures), strategy.space(pictures, gates, paths))


def test_the_state_is_all_that_steers_the_next_step(make_space: Any, make_batches: Any, loss: Any) -> None:
    batches = make_batches(6)
    straight = RandomSearch(make_space(), loss, 6, 3, candidates=2)
    target = Alpha(straight)
    for t, batch in enumerate(batches):
        if t == 3:
            prune(target, 0.5, importance=probability)
        resumed = RandomSearch(make_space(seed=9), loss, 6, 4, candidates=2)
        for kind, bits in resumed.space.alive.items():
            bits.copy_(straight.space.alive[kind])
        Alpha(resumed).apply()
        resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
        mine, theirs = resumed.step(*batch), straight.step(*batch)
        assert all(torch.equal(mine[name], theirs[name]) for name in ("loss", "alpha_loss"))
        assert resumed.genotype() == straight.genotype()
        assert [g for g, _ in resumed.tried] == [g for g, _ in straight.tried]
        for kind in KINDS:
            assert torch.equal(resumed.alphas()[kind], straight.alphas()[kind])
        mine, theirs = resumed.space.state_dict(), straight.space.state_dict()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


def test_once_paths_have_died_the_genotype_is_what_survives(make_space: Any, make_batches: Any, loss: Any) -> None:
    strategy = RandomSearch(make_space(), loss)
    batches = make_batches(3)
    strategy.step(*batches[0])
    prune(Alpha(strategy), 0.75, importance=probability)
    for batch in batches[1:]:
        strategy.step(*batch)
        drawn = strategy.space.paths(strategy.tried[-1][0])
        assert all(bool((bits <= strategy.space.alive[kind]).all()) for kind, bits in drawn.items())
    found = strategy.space.paths(strategy.genotype())
    for kind, bits in strategy.space.alive.items():
        assert torch.equal(found[kind], bits & (torch.arange(8) > 0))
        assert strategy.alphas()[kind][~bits].eq(0).all()


def test_candidates_below_one_are_refused(make_space: Any, loss: Any) -> None:
    with pytest.raises(ConfigError, match="candidates must be at least 1, not 0"):
        RandomSearch(make_space(), loss, candidates=0)


def test_a_space_in_double_precision_is_searched_in_it(make_space: Any, make_batches: Any, loss: Any) -> None:
    search = RandomSearch(make_space().double(), loss)
    for train, val in make_batches(3, dtype=torch.float64):
        search.step(train, val)
    # Every path's mean reward less the mean of all, from the table of what was tried: nothing was rounded to single precision.
    rewards = [(search.space.paths(genotype), reward) for genotype, reward in search.tried]
    used = [(paths["normal"], reward) for paths, reward in rewards]
    uses = torch.stack([sum(mask.sum() for mask in paths.values()) for paths, _ in rewards])
    mean = (uses * torch.stack([reward for _, reward in rewards])).sum() / uses.sum()
    for edge, operation in (used[0][0] | used[1][0]).nonzero().tolist():
        own = torch.stack([reward for mask, reward in used if mask[edge, operation]])
        assert own.dtype == torch.float64
        assert abs(search.alphas()["normal"][edge, operation] - (own.mean() - mean)) < 1e-14
