"""Rules about a search space whose paths die."""

import gc
import weakref
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from lnas.core.space import SearchSpace
from lnas.testing.space_subject import SpaceSubject, output
from lnas.testing.states import copied, difference
from lnas.testing.subjects import derived, gates_of, kill, plain_gates, scores_of
from lnas.testing.suite import require

ROUNDING = 1e-9
"""How far outputs in double precision may be apart that are computed in another order."""


class SpacePaths(SpaceSubject):
    """Rules about `alive`, `release`, `required` and the states of a space that shrinks."""

    def test_whatever_has_died_the_rest_computes(self) -> None:
        """Whatever subset of paths is dead: outputs are finite, and no gradient reaches a dead gate."""
        x = self.inputs()
        for what, space, masks in self.dying():
            space.release()
            gates = gates_of(space)
            result = space.train()(x, gates)
            expected = (len(x), self.task.classes)
            require(tuple(result.shape) == expected, f"the output is {tuple(result.shape)}, not {expected}, where {what}")
            require(bool(result.isfinite().all()), f"the output is not finite where {what}")
            slopes = torch.autograd.grad(result.sum(), list(gates.values()), allow_unused=True, materialize_grads=True)
            for group, slope in zip(gates, slopes, strict=True):
                require(bool(slope.isfinite().all()), f"the gradient by gates[{group!r}] is not finite where {what}")
                require(not slope[~masks[group]].any(), f"a gradient reaches gates of dead paths of {group} where {what}")

    def test_release_does_not_change_outputs(self) -> None:
        """Deleting dead modules leaves outputs as they were: bitwise in evaluation mode, but for rounding in training mode."""
        x = self.inputs()
        for what, masks in self.some_deaths():
            space = self.space()
            kill(space, masks)
            gates = plain_gates(gates_of(space))
            before = output(space, x, gates)
            space.release()
            found = difference(before, output(space, x, gates), "output")
            require(not found, f"release() changes the output in evaluation mode where {what}: {found}")
            whole = self.space().double()
            kill(whole, masks)
            exact = {group: gate.double() for group, gate in gates.items()}
            before = output(whole, x.double(), exact, training=True)
            whole.release()
            off = float((before - output(whole, x.double(), exact, training=True)).abs().max())
            bound = ROUNDING * max(1.0, float(before.abs().max()))
            require(off <= bound, f"release() changes the output in training mode by {off:.3g} in float64 where {what}")

    def test_a_released_path_leaves_no_memory(self) -> None:
        """`release` deletes the parameters of dead paths for good, those alone, and does nothing when called again."""
        for what, masks in self.some_deaths():
            space = self.space()
            held = {name: weakref.ref(parameter) for name, parameter in space.named_parameters()}
            count = sum(parameter.numel() for parameter in space.parameters())
            space.release()
            same = sum(parameter.numel() for parameter in space.parameters())
            require(same == count, f"release() deletes {count - same} of {count} parameters where nothing has died")
            kill(space, masks)
            space.release()
            names = {name for name, _ in space.named_parameters()}
            space.release()
            again = {name for name, _ in space.named_parameters()}
            require(again == names, f"a second release() deletes {sorted(names - again)[:3]} more where {what}")
            left = [name for name, reference in held.items() if name not in names and reference() is not None]
            if left and gc.collect():
                left = [name for name in left if held[name]() is not None]
            require(not left, f"{', '.join(left[:3])} is deleted and still in memory where {what}; something holds on to it")
        space = self.space()
        kill(space, space.required(scores_of(space)))
        before = sum(parameter.numel() for parameter in space.parameters())
        space.release()
        after = sum(parameter.numel() for parameter in space.parameters())
        require(after < before, f"the space has {after} of {before} parameters where all but one path of every node are dead")

    def test_nothing_comes_alive_again(self) -> None:
        """`alive` holds the live masks: what `prune` clears in place stays cleared, whatever is called, and nothing else is."""
        for what, masks in self.some_deaths():
            space = self.space()
            state = copied(space.state_dict())
            kill(space, masks)
            expected = copied(masks)
            found = difference(expected, dict(space.alive), "alive")
            require(not found, f"bits that were cleared in place are not cleared: {found}; `alive` holds the masks themselves")
            scores = scores_of(space)
            genotype = space.discretize(scores)
            works: dict[str, Callable[[], object]] = {
                "release()": space.release,
                "a forward pass": partial(output, space, self.inputs(), gates_of(space), training=True),
                "load_live()": partial(space.load_live, state),
                "required()": partial(space.required, scores, "edge"),
                "discretize()": partial(space.discretize, scores),
                "paths()": partial(space.paths, genotype),
                "derive()": partial(derived, space, genotype),
                "double()": space.double,
            }
            for name, work in works.items():
                work()
                found = difference(expected, dict(space.alive), "alive")
                require(not found, f"{name} changed what is alive where {what}: {found}")

    def test_required_paths_are_the_best_that_compute(self) -> None:
        """`required` spares, of every node or edge, the live path with the best score among those that compute something."""
        space = self.space()
        computing = self._computing(space)
        for what, space, masks in self.dying():
            for seed in range(2):
                scores = scores_of(space, seed)
                for per in ("node", "edge"):
                    spared = space.required(scores, per)
                    for group, mask in spared.items():
                        where = f"required(scores, {per!r})[{group!r}]"
                        fits = mask.shape == masks[group].shape and mask.dtype == torch.bool and mask.device.type == "cpu"
                        require(fits, f"{where} must be bool, on the CPU, of shape {tuple(masks[group].shape)}")
                        best = _best(space, group, scores[group], masks[group] & computing[group], per)
                        found = difference(best, mask, where)
                        require(
                            not found,
                            f"{where} spares {_named(space, group, mask)} where {what}; the best live paths that compute"
                            f" something are {_named(space, group, best)}",
                        )

    def test_a_state_loads_bitwise(self) -> None:
        """`state_dict` holds all that the output depends on, and a space loads its own."""
        one, other, x = self.space(), self.space(1), self.inputs()
        output(one, x, gates_of(one), training=True)  # running statistics move
        other.load_state_dict(copied(one.state_dict()))
        for training in (False, True):
            gates = gates_of(one)
            found = difference(output(one, x, gates, training=training), output(other, x, gates, training=training), "output")
            require(not found, f"a space that loaded the state of another computes something else: {found}")

    def test_an_older_state_loads_after_paths_have_died(self) -> None:
        """`load_live` takes a state of before a death: live tensors go back to it bitwise, and what it lacks is an error."""
        for what, masks in self.some_deaths():
            space, donor = self.space(), self.space(1)
            kill(space, masks)
            space.release()
            state = copied(donor.state_dict())
            space.load_live(state)
            live = space.state_dict()
            found = difference({key: state[key] for key in live if key in state}, live)
            require(not found, f"load_live did not bring back the state that was saved before, where {what}: {found}")
            lacking = {key: value for key, value in state.items() if key != next(iter(live))}
            try:
                space.load_live(lacking)
            except Exception:  # torch's own, or another
                continue
            require(False, f"load_live took a state without {next(iter(live))!r}, which is alive, and said nothing")

    def _computing(self, space: SearchSpace) -> dict[str, Tensor]:
        """Which paths compute something: those whose gate has a gradient on some input."""
        space = space.double().train()
        found = {group: torch.zeros_like(alive) for group, alive in space.alive.items()}
        for seed in range(2):
            gates = gates_of(space, seed, dtype=torch.float64)
            value = space(self.inputs(seed=seed).double(), gates).square().sum()
            slopes = torch.autograd.grad(value, list(gates.values()), allow_unused=True, materialize_grads=True)
            for group, slope in zip(gates, slopes, strict=True):
                found[group] |= slope != 0
        return found


def _best(space: SearchSpace, group: str, scores: Tensor, usable: Tensor, per: str) -> Tensor:
    """The usable path with the largest score of every node or edge that has one, by plain loops."""
    best: dict[object, tuple[float, int, int]] = {}
    for row, column in usable.nonzero().tolist():
        edge = space.edges[group][row]
        key = edge if per == "edge" else edge[1]
        best[key] = max(best.get(key, (-1.0, 0, 0)), (float(scores[row, column]), row, column))
    mask = torch.zeros_like(usable)
    for _, row, column in best.values():
        mask[row, column] = True
    return mask


def _named(space: SearchSpace, group: str, mask: Tensor) -> str:
    names: Mapping[int, str] = dict(enumerate(space.operations[group]))
    return ", ".join(f"{names[column]} on {space.edges[group][row]}" for row, column in mask.nonzero().tolist()) or "nothing"
