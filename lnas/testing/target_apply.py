"""Rules about `apply`, and about the learner under a mask."""

import unittest
from collections.abc import Callable, Iterator
from itertools import cycle

import torch
from torch import Tensor, nn

from lnas.builtin.schedules import Iterative
from lnas.core.learner import Learner, SearchStrategy
from lnas.core.mask import MaskTarget
from lnas.core.random import stream
from lnas.core.rounds import Pruning, Rounds
from lnas.testing.device import META, no_value_is_read, no_waiting
from lnas.testing.states import copied, difference
from lnas.testing.subjects import TASK, derived, moved
from lnas.testing.suite import require
from lnas.testing.target_subject import TargetSubject, by_scores, everything, feasible, pruned

EQUAL = 1e-9
"""How far outputs in double precision may be apart that are computed in another order."""


class TargetApply(TargetSubject):
    """Rules about `apply`, `compact`, and states."""

    def test_an_open_mask_changes_nothing(self) -> None:
        """`apply` changes nothing, bit by bit, where nothing is masked."""
        for name, learner, target in self.fresh():
            before = everything(learner, target)
            target.apply()
            found = difference(before, everything(learner, target))
            require(not found, f"apply() changes {name} although nothing is masked: {found}")

    def test_masked_entries_are_zero(self) -> None:
        """After `prune`, and after every step and `apply`, what is masked is exactly 0, and the masks are as they were."""
        for name, learner, target in self.fresh():
            for sparsity, _ in pruned(target):
                _require_zeros(target, f"{name} after prune(target, {sparsity})")
                masks = copied(dict(target.masks()))
                for train, val in self.pairs(2):
                    learner.step(train, val)
                    target.apply()
                    _require_zeros(target, f"{name} after a step and apply() at sparsity {sparsity}")
                found = difference(masks, dict(target.masks()), "masks")
                require(not found, f"steps and apply() changed the masks of {name}: {found}")

    def test_moments_of_masked_entries_are_zero(self) -> None:
        """Whatever `apply` sets to 0 in a parameter is 0 in its moments too: momentum would bring it back."""
        for name, learner, target in self.fresh():
            for sparsity, _ in pruned(target):
                learner.step(*self.pairs(1)[0])
                before = [(parameter, parameter.detach().clone()) for parameter in _optimized(learner)]
                target.apply()
                for parameter, value in before:
                    cleared = (parameter == 0) & (value != 0)
                    for optimizer in learner.optimizers:
                        for key, moment in optimizer.state.get(parameter, {}).items():
                            if isinstance(moment, Tensor) and moment.shape == parameter.shape:
                                left = int(moment[cleared].count_nonzero())
                                require(
                                    not left,
                                    f"{left} entries of a parameter of {name} are masked at sparsity {sparsity}, and {key} of"
                                    " them is not 0; call lnas.mask_moments",
                                )

    def test_applying_twice_is_applying_once(self) -> None:
        """`apply` is idempotent, bit by bit."""
        for name, learner, target in self.fresh():
            for sparsity, _ in pruned(target):
                learner.step(*self.pairs(1)[0])
                target.apply()
                before = everything(learner, target)
                target.apply()
                found = difference(before, everything(learner, target))
                require(not found, f"a second apply() changes {name} at sparsity {sparsity}: {found}")

    def test_applying_waits_for_nothing(self) -> None:
        """`apply` is called after every step, and reads no value of a tensor on the device."""
        for name, make in self.modules().items():
            target = self._without_values(make)
            with no_value_is_read(f"the first apply() after a round, on {name},", may_copy=True):
                target.apply()
            with no_value_is_read(f"apply() on {name}"):
                target.apply()

    def test_rewinding_keeps_the_masks(self) -> None:
        """An older state of the learner, loaded after a round, comes under the newer masks: they are not the learner's."""
        for name, learner, target in self.fresh():
            state = copied(learner.state_dict())
            for sparsity, _ in pruned(target):
                masks = copied(dict(target.masks()))
                learner.load_state_dict(copied(state))
                target.apply()
                found = difference(masks, dict(target.masks()), "masks")
                require(not found, f"rewinding {name} changed the masks at sparsity {sparsity}: {found}")
                _require_zeros(target, f"{name} after rewinding at sparsity {sparsity}")

    def test_pruned_learning_resumes_bitwise(self) -> None:
        """Two rounds, saved and restored after every step: masks, learner and metrics are bitwise those of the straight run."""
        for (name, make), rewind in zip(self.modules().items(), cycle((0, None)), strict=False):
            pairs = self.pairs(3)
            straight = self._rounds(make(), rewind)
            states, reported = [copied(straight.state_dict())], []
            for train, val in pairs:
                reported.append(copied(straight.step(train, val)))
                states.append(copied(straight.state_dict()))
            for t, state in enumerate(states):
                resumed = self._rounds(make(), rewind)
                resumed.load_state_dict(copied(state))
                for number in range(t, len(pairs)):
                    metrics = copied(resumed.step(*pairs[number]))
                    after = difference(states[number + 1], resumed.state_dict())
                    found = difference(reported[number], metrics, "metrics") or after
                    require(
                        not found,
                        f"pruned learning of {name} (rewind to {rewind}), resumed after step {t}, differs after step"
                        f" {number + 1}: {found}; what apply() did must follow from the masks and the learner's state",
                    )

    def test_a_compact_network_computes_the_same(self) -> None:
        """`compact` gives a network with the outputs of the masked one, and leaves the masked one as it is."""
        for name, learner, target in self.fresh():
            x = torch.randn(3, *TASK.shape, generator=stream(0, "inputs"), dtype=torch.float64)
            for sparsity, _ in pruned(target):
                network = self._network(learner).double().eval()
                before = copied(network.state_dict())
                small = target.compact(network)
                require(isinstance(small, nn.Module), f"compact returned a {type(small).__name__}")
                found = difference(before, network.state_dict())
                require(not found, f"compact changed the network that it was given, {name}: {found}")
                with torch.no_grad():
                    expected, result = network(x), small.eval()(x)
                off = float((expected - result).abs().max())
                bound = EQUAL * max(1.0, float(expected.abs().max()))
                require(off <= bound, f"compact({name}) at sparsity {sparsity} computes something {off:.3g} away, in float64")
                if not self.searches():
                    learner.module.float().train()

    def test_double_precision(self) -> None:
        """A subject in float64 is pruned as one in float32, and stays float64."""
        for name, make in self.modules().items():
            learner = self.learner(make().double())
            target = self.target(learner)
            for _ in pruned(target):
                train, val = self.pairs(1)[0]
                learner.step(moved(train, dtype=torch.float64), moved(val, dtype=torch.float64))
                target.apply()
            wrong = [key for key, tensor in target.tensors().items() if tensor.dtype != torch.float64]
            require(not wrong, f"tensors()[{wrong[:1]}] of {name} in float64 is not float64")

    def test_cuda(self) -> None:
        """On a GPU masks do what they do on the CPU, and `apply` waits for nothing."""
        if not torch.cuda.is_available():
            raise unittest.SkipTest("there is no GPU")
        for name, make in self.modules().items():
            found = []
            for device in ("cpu", "cuda"):
                learner = self.learner(make().to(device))
                target = self.target(learner)
                for _ in pruned(target):
                    train, val = self.pairs(1)[0]
                    learner.step(moved(train, device=device), moved(val, device=device))
                    target.apply()
                    _require_zeros(target, f"{name} on {device}")
                found.append({key: mask.cpu() for key, mask in target.masks().items()})
                if device == "cuda":
                    _require_no_waiting(target, name)
            differs = difference(found[0], found[1], "masks")
            require(not differs, f"{name} is pruned differently on the GPU and on the CPU: {differs}")

    def _without_values(self, make: Callable[[], nn.Module]) -> MaskTarget:
        """A target of a subject on the meta device, some of whose bits are clear where the masks are on the CPU."""
        try:
            target = self.target(self.learner(make().to(META)))
        except Exception:  # it must know values to be made, which may be: only what comes after every step must not wait
            learner = self.learner(make())
            target = self.target(learner)
            learner.module.to(META)
        for mask in target.masks().values():
            if mask.device.type != META:
                mask.view(-1)[0] = False
        return target

    def _network(self, learner: Learner) -> nn.Module:
        """The finished network: the one that is trained, or the one that is derived after a search."""
        if isinstance(learner, SearchStrategy):
            return derived(learner.space, learner.genotype())
        return learner.module

    def _rounds(self, module: nn.Module, rewind: int | None) -> Rounds:
        learner = self.learner(module)
        target = self.target(learner)
        sparsity = next((level for level in (0.5, 0.25, 0.1) if feasible(target, level, [])), 0.0)
        pruning = Pruning(self.target, Iterative(sparsity=sparsity, rounds=2), by_scores(), rewind=rewind)
        return Rounds(learner, target, pruning, k=1, finish=1)


def _optimized(learner: Learner) -> Iterator[Tensor]:
    for optimizer in learner.optimizers:
        for group in optimizer.param_groups:
            yield from group["params"]


def _require_zeros(target: MaskTarget, where: str) -> None:
    masks = target.masks()
    for key, tensor in target.tensors().items():
        left = int(tensor.detach()[~masks[key].to(tensor.device)].count_nonzero())
        require(not left, f"{left} masked entries of {key} of {where} are not 0")


def _require_no_waiting(target: MaskTarget, name: str) -> None:
    try:
        with no_waiting():
            target.apply()
    except RuntimeError as error:
        require(False, f"apply() on {name} waits for the GPU: {error}")
