"""Rules about what a search space computes."""

import unittest
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lnas.core.random import stream
from lnas.core.space import Gates, SearchSpace
from lnas.testing.device import META, no_value_is_read, no_waiting
from lnas.testing.space_subject import SpaceSubject, output
from lnas.testing.states import copied, difference
from lnas.testing.subjects import derived, gates_of, kill, plain_gates, scores_of
from lnas.testing.suite import require

STEP = 1e-6
"""Of the central differences, in double precision."""
TOLERANCE = 1e-5
"""Of a directional derivative: a central difference in double precision is good to about 1e-8; where it crosses the corner of
one relu, less."""


class SpaceForward(SpaceSubject):
    """Rules about `forward`."""

    def test_names_and_shapes_agree(self) -> None:
        """`edges`, `operations` and `alive` have the same groups; `alive` is bool on the CPU, one for each path, all True."""
        space = self.space()
        require(isinstance(space, SearchSpace), f"it is a {type(space).__name__}, not a lnas.SearchSpace")
        groups = {"edges": list(space.edges), "operations": list(space.operations), "alive": list(space.alive)}
        require(len({tuple(sorted(names)) for names in groups.values()}) == 1, f"the groups are not the same: {groups}")
        require(bool(space.alive), "the space has no groups")
        for group, alive in space.alive.items():
            edges, operations = space.edges[group], space.operations[group]
            expected = (len(edges), len(operations))
            require(
                tuple(alive.shape) == expected, f"alive[{group!r}] has the shape {tuple(alive.shape)}, its names say {expected}"
            )
            require(alive.dtype == torch.bool and alive.device.type == "cpu", f"alive[{group!r}] must be bool, on the CPU")
            require(bool(alive.all()), f"paths of {group} are dead from the beginning")
            require(
                len(set(edges)) == len(edges) and all(0 <= source < node for source, node in edges),
                f"edges of {group} must be distinct pairs (source, node) with 0 <= source < node, not {edges}",
            )
            require(
                len(set(operations)) == len(operations) and all(isinstance(name, str) and name for name in operations),
                f"operations of {group} must have distinct names, not {operations}",
            )

    def test_outputs_are_one_row_of_classes_for_each_input(self) -> None:
        """`forward` maps (B, ...) to (B, classes), in training and in evaluation mode, from one input on in the latter."""
        space = self.space()
        for training, count in ((True, 3), (False, 3), (False, 1)):
            result = output(space, self.inputs(count), gates_of(space), training=training)
            expected = (count, self.task.classes)
            mode = "training" if training else "evaluation"
            require(tuple(result.shape) == expected, f"the output in {mode} mode is {tuple(result.shape)}, not {expected}")
            require(bool(result.isfinite().all()), f"the output in {mode} mode is not finite")

    def test_gradients_are_those_of_the_output(self) -> None:
        """Gradients by gates (0 among them) and by theta equal central differences, in double precision and both modes."""
        space, x = self.space().double(), self.inputs().double()
        gates = gates_of(space, dtype=torch.float64)
        with torch.no_grad():
            for gate in gates.values():
                gate[::2, ::2] = 0.0  # a path whose gate is 0 is computed all the same: some strategies need its gradient
        weights = torch.randn(len(x), self.task.classes, generator=stream(0, "weights"), dtype=torch.float64)
        theta: list[Tensor] = [parameter for parameter in space.parameters() if parameter.requires_grad]
        leaves: dict[str, list[Tensor]] = {"theta": theta, **{f"gates[{group!r}]": [gate] for group, gate in gates.items()}}
        for training in (True, False):
            space.train(training)
            value = (space(x, gates) * weights).sum()
            require(value.requires_grad, "the output has no gradient at all")
            slopes = {
                what: torch.autograd.grad(value, tensors, retain_graph=True, allow_unused=True)
                for what, tensors in leaves.items()
            }
            for what, tensors in leaves.items():
                generator = stream(0, f"direction of {what}")
                along = [torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in tensors]
                found = sum(float((s * d).sum()) for s, d in zip(slopes[what], along, strict=True) if s is not None)
                expected = self._central(space, x, gates, weights, tensors, along)
                mode = "training" if training else "evaluation"
                require(
                    abs(found - expected) <= TOLERANCE * max(1.0, abs(expected)),
                    f"the gradient by {what} along a random direction is {found:.8g} in {mode} mode, a central difference"
                    f" {expected:.8g}",
                )

    def test_closed_paths_are_not_run(self) -> None:
        """`paths` says what is run: of a closed path neither the gate nor a parameter is looked at."""
        x = self.inputs()
        for what, masks in self.some_deaths():
            space, poisoned, smaller = self.space(), self.space(), self.space()
            gates = plain_gates(gates_of(space))
            kill(smaller, masks)
            smaller.release()
            kept = smaller.state_dict().keys()
            with torch.no_grad():
                for key, value in poisoned.state_dict(keep_vars=True).items():
                    if key not in kept and value.is_floating_point():
                        value.fill_(torch.nan)
            spoilt = {group: gate.masked_fill(~masks[group], torch.nan) for group, gate in gates.items()}
            for training in (False, True):
                one = output(space, x, gates, masks, training=training)
                other = output(poisoned, x, spoilt, masks, training=training)
                found = difference(one, other, "output")
                require(not found, f"with `paths` open where {what}, gates and theta of closed paths matter: {found}")
            names = {name for name, _ in smaller.named_modules()}
            run: list[str] = []
            for name, module in space.named_modules():
                if name not in names:
                    module.register_forward_pre_hook(partial(_noted, run, name))
            output(space, x, gates, masks)
            require(not run, f"with `paths` open where {what}, {', '.join(run[:3])} of closed paths is run")

    def test_paths_are_those_alive_unless_given(self) -> None:
        """`forward(x, gates)` is `forward(x, gates, space.alive)`, before modules are deleted and after."""
        x = self.inputs()
        for what, masks in self.some_deaths():
            space = self.space()
            gates = plain_gates(gates_of(space))
            expected = output(space, x, gates, masks)
            kill(space, masks)
            for when in ("before", "after"):
                found = difference(expected, output(space, x, gates), "output")
                require(not found, f"where {what}, {when} release(), forward without `paths` does not run those alive: {found}")
                space.release()

    def test_a_forward_pass_leaves_no_trace(self) -> None:
        """In evaluation mode nothing changes; in training mode no parameter, mode, input or gate, nor what is alive."""
        space = self.space()
        for training in (False, True):
            space.train(training)
            x, gates = self.inputs(), gates_of(space)
            held = space.state_dict() if not training else dict(space.named_parameters())
            modes = {name: module.training for name, module in space.named_modules()}
            before = copied([held, dict(space.alive), x, gates, modes])
            space(x, gates)
            modes = {name: module.training for name, module in space.named_modules()}
            found = difference(before, [held, dict(space.alive), x, gates, modes], "[state, alive, x, gates, modes]")
            mode = "training" if training else "evaluation"
            require(not found, f"a forward pass in {mode} mode changed something: {found}")

    def test_a_forward_pass_waits_for_nothing(self) -> None:
        """Forward and backward read no value of a tensor on the device."""
        space = self.space().to(META)
        require(all(mask.device.type == "cpu" for mask in space.alive.values()), "alive left the CPU with space.to(device)")
        gates = {group: gate.detach().to(META).requires_grad_() for group, gate in gates_of(self.space()).items()}
        x = self.inputs().to(META)
        with no_value_is_read("forward and backward"):
            space(x, gates).sum().backward()

    def test_theta_may_be_given_for_a_call(self) -> None:
        """`torch.func.functional_call` runs the space with other parameters, and has a gradient by them."""
        space, other, x = self.space(), self.space(1), self.inputs()
        gates = plain_gates(gates_of(space))
        given = {name: value.detach().clone().requires_grad_() for name, value in other.named_parameters()}
        for training in (True, False):
            space.train(training)
            result = functional_call(space, given, (x, gates))
            found = difference(output(other, x, gates, training=training), result, "output")
            require(not found, f"with the parameters of another space the output is not that space's: {found}")
            slopes = torch.autograd.grad(result.sum(), list(given.values()), allow_unused=True)
            require(any(slope is not None for slope in slopes), "a call with given parameters has no gradient by them")

    def test_the_same_seed_makes_the_same_space(self) -> None:
        """Two spaces made under one seed of torch's generator are bitwise equal, and so are their outputs in both modes."""
        one, other = self.space(), self.space()
        found = difference(one.state_dict(), other.state_dict())
        require(not found, f"two spaces made under the same seed differ: {found}")
        for training in (True, False):
            results = [output(space, self.inputs(), gates_of(space), training=training) for space in (one, other)]
            found = difference(results[0], results[1], "output")
            require(not found, f"two equal spaces give different outputs: {found}")

    def test_double_precision(self) -> None:
        """A space in float64 computes in float64, and what it does in float32 but for rounding."""
        space, x = self.space(), self.inputs()
        single = output(space, x, gates_of(space))
        double = output(space.double(), x.double(), gates_of(space, dtype=torch.float64))
        require(double.dtype == torch.float64, f"the output of a space in float64 is {double.dtype}")
        scale = float(double.abs().max())
        off = float((single - double).abs().max())
        require(
            off <= 1e-4 * max(scale, 1.0), f"outputs in float32 and float64 are {off:.3g} apart, where they reach {scale:.3g}"
        )

    def test_cuda(self) -> None:
        """On a GPU the space computes what it does on the CPU, and waits for nothing."""
        if not torch.cuda.is_available():
            raise unittest.SkipTest("there is no GPU")
        space, x = self.space().double(), self.inputs().double()
        expected = output(space, x, gates_of(space, dtype=torch.float64))
        space, x = space.cuda(), x.cuda()
        gates = gates_of(space, dtype=torch.float64)
        off = float((output(space, x, gates).cpu() - expected).abs().max())
        require(off <= 1e-8 * max(float(expected.abs().max()), 1.0), f"outputs on the GPU are {off:.3g} away from the CPU's")
        space.train()
        try:
            with no_waiting():
                space(x, gates).sum().backward()
        except RuntimeError as error:
            require(False, f"forward and backward wait for the GPU: {error}")
            raise
        child = derived(space, space.discretize(scores_of(space)))
        away = [name for name, value in child.state_dict().items() if value.device.type != "cpu"]
        require(not away, f"{away[:1]} of a network derived of a space on the GPU is not on the CPU")

    def _central(
        self, space: SearchSpace, x: Tensor, gates: Gates, weights: Tensor, leaves: list[Tensor], along: list[Tensor]
    ) -> float:
        """The derivative of the weighted output along a direction, by a central difference."""
        values = []
        with torch.no_grad():
            kept = [leaf.clone() for leaf in leaves]
            for sign in (1, -1):
                for leaf, start, direction in zip(leaves, kept, along, strict=True):
                    leaf.copy_(start + sign * STEP * direction)
                values.append(float((space(x, gates) * weights).sum()))
            for leaf, start in zip(leaves, kept, strict=True):
                leaf.copy_(start)
        return (values[0] - values[1]) / (2 * STEP)


def _noted(run: list[str], name: str, module: nn.Module, given: object) -> None:
    """Note that a module was called."""
    run.append(name)
