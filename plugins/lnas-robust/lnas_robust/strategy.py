"""DARTS that stops early, where it starts to overfit alpha (Zela et al. 2020; Liang et al. 2019)."""

import warnings
from typing import Annotated, Literal

import torch
from torch import Tensor

import lnas
from lnas_robust.hessian import hessian_product
from lnas_robust.lanczos import Which, dominant_eigenvalue
from lnas_robust.rules import SKIP, before_the_rise, skip_connections
from lnas_robust.series import Series


class RobustDarts(lnas.Darts):
    """DARTS, and every now and then a measurement of the dominant eigenvalue of the Hessian of L_val by alpha.

    Where the eigenvalue rises, alpha goes back to what it was before the rise, and the search is over: further steps do
    nothing.  The rules of DARTS+ may end it too, where alpha then is.  A measurement reads values of the device, and costs
    one gradient of alpha and up to `iterations` backward passes through such a gradient.

    Args:
        space: the supernet; alpha is made on its device and in its dtype.
        loss: `loss(network, batch)`; differentiable twice.
        steps: of the whole search, over which theta's cosine runs; 0 keeps the learning rate as it is.
        seed: alpha is drawn from this seed's streams "alpha/GROUP", the vector that a measurement begins with from its stream
            "eigenvalue".

    Attributes:
        stopped: whether the search is over.

    Raises:
        ConfigError: naming the option that is out of range, or does not fit the space.
    """

    waits = "where a measurement is due, its values decide whether the search goes on"

    def __init__(
        self,
        space: lnas.SearchSpace,
        loss: lnas.Loss,
        steps: int = 0,
        seed: int = 0,
        *,
        every: Annotated[float, "steps between two measurements; below 1, the fraction of the search"] = 0.02,
        window: Annotated[int, "measurements that an eigenvalue is averaged over, and between the two that are compared"] = 5,
        ratio: Annotated[float, "stop where the eigenvalue before is less than this of the eigenvalue now; 0 never stops"] = 0.75,
        which: Annotated[Which, "eigenvalue: of largest magnitude, or the largest, as in the authors' code"] = "magnitude",
        iterations: Annotated[int, "largest number of Hessian-vector products in a measurement"] = 20,
        skips: Annotated[int, "stop with so many skip connections in the cell (DARTS+: 2); 0 does not count them"] = 0,
        group: Annotated[str, "the group whose skip connections are counted"] = "normal",
        stable: Annotated[int, "stop once alpha's ranking was the same for so many measurements (DARTS+: 10); 0 never"] = 0,
        unrolled: Annotated[
            Literal["no", "exact", "finite"],
            "gradient of alpha: no (first order), or through one step of theta, exact or by finite differences",
        ] = "no",
        alternate: Annotated[int, "k alpha updates, then k theta updates; 1 does one of each in every step"] = 1,
        lr: Annotated[float, "learning rate of theta at the first step"] = 0.025,
        lr_min: Annotated[float, "learning rate of theta at the last step"] = 0.001,
        momentum: Annotated[float, "of theta's SGD, in [0, 1)"] = 0.9,
        weight_decay: Annotated[float, "of theta: L2, added to the gradient"] = 3e-4,
        clip: Annotated[float, "largest norm of theta's gradient; 0 does not clip"] = 5.0,
        alpha_optimizer: Annotated[Literal["adam", "sgd"], "adam (DARTS) or plain sgd"] = "adam",
        alpha_lr: Annotated[float, "learning rate of alpha"] = 3e-4,
        alpha_weight_decay: Annotated[float, "of alpha"] = 1e-3,
    ) -> None:
        for name, value, least in (
            ("window", window, 1),
            ("iterations", iterations, 1),
            ("skips", skips, 0),
            ("stable", stable, 0),
        ):
            if value < least:
                raise lnas.ConfigError(f"{name} must be at least {least}, not {value!r}")
        if not 0 <= ratio <= 1:
            raise lnas.ConfigError(f"ratio must be in [0, 1], not {ratio!r}")
        if which not in ("magnitude", "largest"):
            raise lnas.ConfigError(f"which must be magnitude or largest, not {which!r}")
        self.every = _interval(every, steps)
        if skips and group not in space.operations:
            raise lnas.ConfigError(f"group must be one of {', '.join(space.operations)}, for skips={skips}, not {group!r}")
        if skips and SKIP not in space.operations[group]:
            raise lnas.ConfigError(f"skips must be 0 where the group has no {SKIP}, not {skips!r}: {group} has none")
        super().__init__(
            space,
            loss,
            steps,
            seed,
            unrolled=unrolled,
            alternate=alternate,
            lr=lr,
            lr_min=lr_min,
            momentum=momentum,
            weight_decay=weight_decay,
            clip=clip,
            alpha_optimizer=alpha_optimizer,
            alpha_lr=alpha_lr,
            alpha_weight_decay=alpha_weight_decay,
        )
        self.seed = seed
        self.window = window
        self.ratio = ratio
        self.which = which
        self.iterations = iterations
        self.skips = skips
        self.group = group
        self.stable = stable
        self.series = Series(2 * window)
        self.stopped = False

    def step(self, train: lnas.Batch, val: lnas.Batch = None) -> lnas.Metrics:
        """A step of DARTS; before it, where one is due, a measurement on `val`, after which there may be no more steps.

        Returns:
            What DARTS reports, "eigenvalue" where it was measured; nothing once the search is over.

        Raises:
            NumericalError: where the eigenvalue or alpha is not finite.
        """
        if self.stopped:
            return {}
        metrics: dict[str, Tensor] = {}
        if self.t and self.t % self.every == 0:
            eigenvalue = self.eigenvalue(val)
            metrics["eigenvalue"] = torch.tensor(eigenvalue, device=next(iter(self.alpha.values())).device)
            self.series.add(eigenvalue, self.alpha, self.space.alive)
            self._stop_where_due()
        return metrics if self.stopped else {**super().step(train, val), **metrics}

    def eigenvalue(self, val: lnas.Batch) -> float:
        """The dominant eigenvalue, with its sign, of the Hessian of L_val by the alphas of live paths.

        Raises:
            NumericalError: where the Hessian is not finite.
        """
        alive = torch.cat([self.space.alive[group].flatten() for group in self.alpha])
        start = torch.randn(alive.shape, generator=lnas.stream(self.seed, "eigenvalue"), dtype=torch.float64) * alive
        if not bool(start.any()):
            return 0.0  # nothing is alive
        return dominant_eigenvalue(hessian_product(self, val), start, which=self.which, iterations=self.iterations)

    @torch.no_grad()
    def _stop_where_due(self) -> None:
        back = before_the_rise(self.series.eigenvalues, self.window, self.ratio)
        if back is not None:
            for group, alpha in self.alpha.items():
                alpha.copy_(self.series.alphas[back][group])
        derived = self.space.discretize(self.alpha, "argmax") if self.skips else None
        crowded = derived is not None and skip_connections(derived, self.group) >= self.skips
        settled = bool(self.stable) and self.series.unchanged >= self.stable
        self.stopped = back is not None or crowded or settled
        if self.stopped:
            why = f"{self.skips} skip connections" if crowded else "the ranking of alpha no longer changes"
            if back is not None:
                ago = len(self.series.eigenvalues) - 1 - back
                why = f"the curvature rose, and alpha is again what it was {ago} measurement{'s' * (ago != 1)} ago"
            warnings.warn(f"the search is over at step {self.t}: {why}; the rest of it costs nothing", stacklevel=2)

    def state_dict(self) -> lnas.State:
        """That of DARTS, what was measured, and whether the search is over."""
        return {**super().state_dict(), "series": self.series.state_dict(), "stopped": self.stopped}

    @torch.no_grad()
    def load_state_dict(self, state: lnas.State) -> None:
        """Go back to a state; paths that have died since stay dead, and a search that was not over then goes on."""
        super().load_state_dict(state)
        self.series.load_state_dict(state["series"])
        self.stopped = state["stopped"]


def _interval(every: float, steps: int) -> int:
    """In steps."""
    if not 0 < every < float("inf"):
        raise lnas.ConfigError(f"every must be finite and above 0, not {every!r}")
    if every < 1:
        if not steps:
            raise lnas.ConfigError(f"every must be a number of steps where the length of the search is not known, not {every!r}")
        return max(1, round(every * steps))
    if every != int(every):
        raise lnas.ConfigError(f"every must be a whole number of steps, or below 1, not {every!r}")
    return int(every)
