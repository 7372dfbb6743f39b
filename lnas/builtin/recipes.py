"""The paper's algorithms.  Hold them beside Algorithms 1 to 3: a line here is a loop there.

`strategy` does the two lines inside the search loop (the alpha step and the theta step); `fit` makes the learner that does
the theta steps of retraining; `alpha` and `theta` are the prune rounds; `search` and `train` are steps in all.  Two things of
the experiment are not printed in the algorithms: after each prune theta returns to theta_0 where `theta.rewind` is 0, and the
retraining goes on for k steps after the last prune.  All departures are listed in docs/paper-to-code.md.
"""

from lnas.builtin.importances import magnitude
from lnas.builtin.schedules import Never
from lnas.builtin.targets import Alpha, Theta
from lnas.core.learner import SearchStrategy
from lnas.core.pipeline import Pipeline
from lnas.core.rounds import Pruning
from lnas.core.stages import Fit, Retrain, Search

KEEP_ALPHA = Pruning(Alpha, Never(), magnitude)
KEEP_THETA = Pruning(Theta.of, Never(), magnitude)


def baseline(strategy: SearchStrategy, fit: Fit, *, search: int, train: int, seed: int = 0) -> Pipeline:
    """DARTS and a standard training loop: nothing is pruned."""
    return Pipeline(
        Search(strategy, KEEP_ALPHA, search),
        Retrain(strategy.space.derive, fit, KEEP_THETA, train, seed),
    )


def variant1(strategy: SearchStrategy, fit: Fit, *, theta: Pruning, search: int, train: int, seed: int = 0) -> Pipeline:
    """Algorithm 1: search, then prune theta while retraining."""
    return Pipeline(
        # while not converged: 1. alpha step, 2. theta step
        Search(strategy, KEEP_ALPHA, search),
        # for n rounds: 1. k theta steps, 2. theta ⊙ M_theta; then k steps more
        Retrain(strategy.space.derive, fit, theta, train, seed),
    )


def variant2(strategy: SearchStrategy, fit: Fit, *, alpha: Pruning, search: int, train: int, seed: int = 0) -> Pipeline:
    """Algorithm 2 (missing from the paper's text; it is Algorithm 3 without theta rounds): prune alpha while searching."""
    return Pipeline(
        # for n rounds: k times (1. alpha step, 2. theta step), 3. alpha ⊙ M_alpha
        Search(strategy, alpha, search),
        # a standard training loop
        Retrain(strategy.space.derive, fit, KEEP_THETA, train, seed),
    )


def generalized(
    strategy: SearchStrategy, fit: Fit, *, alpha: Pruning, theta: Pruning, search: int, train: int, seed: int = 0
) -> Pipeline:
    """Algorithm 3: prune alpha while searching, then theta while retraining."""
    return Pipeline(
        # for n rounds: k times (1. alpha step, 2. theta step), 3. alpha ⊙ M_alpha
        Search(strategy, alpha, search),
        # for n rounds: 1. k theta steps, 2. theta ⊙ M_theta; then k steps more
        Retrain(strategy.space.derive, fit, theta, train, seed),
    )
