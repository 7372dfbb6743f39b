"""GDAS: DARTS on one sampled path of each edge (Dong and Yang 2019)."""

from typing import Annotated, Any, Literal

import torch
from torch import Tensor

import lnas
from lnas_gdas.mirror import Mirror
from lnas_gdas.sampling import gumbel, largest, straight_through


class Gdas(lnas.Darts):
    """Each update samples one path of every edge from softmax(alpha), and computes nothing else.

    Its gates are one-hot; their gradient is that of softmax((alpha + Gumbel noise) / temperature), so that all live paths
    of an edge learn from the one that ran.  alpha and theta each have a sample of their own, and both samples of a step
    follow the alpha that the step began with.

    Args:
        space: the supernet; alpha is made on its device and in its dtype.
        loss: `loss(network, batch)`.
        steps: of the whole search, over which the temperature falls and theta's cosine runs; 0 keeps both as they are.
        seed: alpha is drawn from this seed's streams "alpha/GROUP", the samples from its stream "gdas".

    Raises:
        ConfigError: naming the option that is out of range.
    """

    waits = "which paths are launched depends on alpha, of which a copy is fetched while the step computes"

    def __init__(
        self,
        space: lnas.SearchSpace,
        loss: lnas.Loss,
        steps: int = 0,
        seed: int = 0,
        *,
        temperature: Annotated[float, "of the softmax behind the gradient, at the first step"] = 10.0,
        temperature_min: Annotated[float, "of the softmax behind the gradient, at the last step"] = 0.1,
        alternate: Annotated[int, "k alpha updates, then k theta updates; 1 does one of each in every step"] = 1,
        lr: Annotated[float, "learning rate of theta at the first step"] = 0.025,
        lr_min: Annotated[float, "learning rate of theta at the last step"] = 0.001,
        momentum: Annotated[float, "of theta's SGD, in [0, 1)"] = 0.9,
        weight_decay: Annotated[float, "of theta: L2, added to the gradient"] = 3e-4,
        clip: Annotated[float, "largest norm of theta's gradient; 0 does not clip"] = 5.0,
        alpha_optimizer: Annotated[Literal["adam", "sgd"], "adam (the paper) or plain sgd"] = "adam",
        alpha_lr: Annotated[float, "learning rate of alpha"] = 3e-4,
        alpha_weight_decay: Annotated[float, "of alpha"] = 1e-3,
    ) -> None:
        if not 0 < temperature_min < float("inf"):
            raise lnas.ConfigError(f"temperature_min must be finite and above 0, not {temperature_min!r}")
        if not temperature_min <= temperature < float("inf"):
            raise lnas.ConfigError(
                f"temperature must be finite and at least temperature_min, {temperature_min!r}, not {temperature!r}"
            )
        super().__init__(
            space,
            loss,
            steps,
            seed,
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
        self.steps = steps
        self.temperatures = (temperature, temperature_min)
        self.generator = lnas.stream(seed, "gdas")
        self._mirror = Mirror(self.alpha, self.alpha_optimizer)
        self._begun: dict[str, Tensor] | None = None  # alpha as this step began with it, on the CPU

    @property
    def temperature(self) -> float:
        """Of the next step: linear from the first step to the last of the search."""
        first, last = self.temperatures
        return first + (last - first) * min(self.t / max(self.steps - 1, 1), 1) if self.steps else first

    def step(self, train: lnas.Batch, val: lnas.Batch = None) -> lnas.Metrics:
        """An alpha update on `val` along one sample, then a theta update on `train` along another."""
        self._begun = self._mirror.read()
        try:
            return super().step(train, val)
        finally:
            self._begun = None

    def draw(self) -> tuple[lnas.Gates, lnas.Paths]:
        """A sample: one-hot gates with the gradient of the softmax at the present temperature, and the paths to compute."""
        known = self._mirror.read() if self._begun is None else self._begun
        gates: dict[str, Tensor] = {}
        paths: dict[str, Tensor] = {}
        for group, alpha in self.alpha.items():
            alive = self.space.alive[group]
            noise = gumbel(alpha.shape, self.generator).to(alpha.dtype)
            paths[group] = largest(known[group] + noise, alive)
            noisy = alpha + noise.to(alpha.device, non_blocking=True)
            gates[group] = straight_through(noisy, self.temperature, alive, paths[group])
        return gates, paths

    def predict(self, x: Any) -> Any:
        """The output of the likeliest path of each edge, which is what theta was trained as; no draw is made.

        Differentiable by alpha through softmax(alpha).
        """
        known = self._mirror.read()
        paths = {group: largest(known[group], alive) for group, alive in self.space.alive.items()}
        gates = {
            group: straight_through(alpha, 1.0, self.space.alive[group], paths[group]) for group, alpha in self.alpha.items()
        }
        return self.space(x, gates, paths)

    def state_dict(self) -> lnas.State:
        """That of DARTS, and the random stream of the samples."""
        return {**super().state_dict(), "generator": self.generator.get_state()}

    @torch.no_grad()
    def load_state_dict(self, state: lnas.State) -> None:
        """Go back to a state; paths that have died since stay dead."""
        super().load_state_dict(state)
        self.generator.set_state(state["generator"])
        self._mirror.refresh()
