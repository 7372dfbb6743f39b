"""Every rule of search spaces catches a space that breaks it, and it alone where that can be."""

from typing import Annotated, Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import lnas
from lnas.testing import SpaceSuite
from lnas.testing.part import PartSuite

EDGES = ((0, 1), (0, 2), (1, 2))
OPERATIONS = ("none", "keep", "mix")


class Child(nn.Module):
    """What is derived: nodes are sums of genes; node 0 is the input."""

    def __init__(self, genes: Any, width: int, task: Any) -> None:
        super().__init__()
        self.genes = tuple(sorted(genes, key=lambda gene: gene.node))
        self.stem = nn.Linear(64, width)
        self.mixes = nn.ModuleList(nn.Linear(width, width) for _ in self.genes)
        self.head = nn.Linear(width, task.classes)

    def forward(self, x: Any) -> Any:
        states = {0: functional.tanh(self.stem(x.flatten(1)))}
        for gene, mix in zip(self.genes, self.mixes, strict=True):
            term = states[gene.source] if gene.operation == "keep" else functional.tanh(mix(states[gene.source]))
            states[gene.node] = states[gene.node] + term if gene.node in states else term
        return self.head(states[2])


class Sound(lnas.SearchSpace):
    """Two nodes with three edges, each of which drops, keeps or mixes.  Every class below is this one, but for a fault."""

    def __init__(self, task: Any, *, width: Annotated[int, "of the hidden layers"] = 3) -> None:
        super().__init__()
        self.task, self.width = task, width
        self.edges, self.operations = {"graph": EDGES}, {"graph": OPERATIONS}
        self.alive = {"graph": torch.ones(3, 3, dtype=torch.bool)}
        self.stem = nn.Linear(64, width)
        self.mixes = nn.ModuleDict({str(edge): nn.Linear(width, width) for edge in range(3)})
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, task.classes)

    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        opened = (self.alive if paths is None else paths)["graph"].tolist()
        states = [functional.tanh(self.stem(x.flatten(1)))]
        for node in (1, 2):
            total = torch.zeros_like(states[0])
            for edge, (source, to) in enumerate(EDGES):
                if to == node:
                    total = total + self.edge(edge, states[source], gates["graph"][edge], opened[edge])
            states.append(total)
        return self.head(self.norm(states[1] + states[2]))

    def edge(self, edge: int, x: Any, gates: Any, opened: Any) -> Any:
        total = torch.zeros_like(x)
        if opened[1]:
            total = total + gates[1] * x
        if opened[2]:
            total = total + gates[2] * functional.tanh(self.mixes[str(edge)](x))
        return total

    def required(self, scores: Any, per: Any = "node") -> Any:
        spared = torch.zeros_like(self.alive["graph"])
        usable = self.usable()
        for key in EDGES if per == "edge" else (1, 2):
            rows = [row for row, edge in enumerate(EDGES) if key in (edge, edge[1])]
            found = [(float(scores["graph"][row, o]), row, o) for row in rows for o in (0, 1, 2) if usable[row, o]]
            if found:
                spared[self.best(found)[1:]] = True
        return {"graph": spared}

    def usable(self) -> Any:
        return self.alive["graph"] & torch.tensor([False, True, True])

    def best(self, found: Any) -> Any:
        return max(found)

    def discretize(self, scores: Any, policy: str | None = None) -> lnas.Genotype:
        if policy not in (None, "argmax"):
            raise lnas.ConfigError(f"policy {policy!r} does not exist; there is argmax")
        table = scores["graph"].detach().cpu()
        if not table[self.alive["graph"]].isfinite().all():
            raise lnas.NumericalError("a score is not finite")
        return self.chosen(table.masked_fill(~self.usable(), -torch.inf))

    def chosen(self, table: Any) -> lnas.Genotype:
        genes = []
        for row, edge in enumerate(EDGES):
            if table[row].isfinite().any():
                genes.append(lnas.Gene(OPERATIONS[int(table[row].argmax())], *edge))
        return lnas.Genotype({"graph": tuple(genes)}, {"graph": (2,)})

    def paths(self, genotype: lnas.Genotype) -> Any:
        kept = torch.zeros(3, 3, dtype=torch.bool)
        for gene in self.checked(genotype):
            kept[EDGES.index((gene.source, gene.node)), OPERATIONS.index(gene.operation)] = True
        return {"graph": kept}

    def checked(self, genotype: lnas.Genotype) -> Any:
        if set(genotype.groups) != {"graph"} or any(gene.operation not in OPERATIONS for gene in genotype.groups["graph"]):
            raise lnas.GenotypeError("no architecture of this space")
        return genotype.groups["graph"]

    def derive(self, genotype: lnas.Genotype) -> nn.Module:
        return Child(self.checked(genotype), self.width, self.task)

    def release(self) -> None:
        for edge, alive in enumerate(self.alive["graph"][:, 2].tolist()):
            if not alive and str(edge) in self.mixes:
                del self.mixes[str(edge)]


class HalfDeadAtBirth(Sound):
    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self.alive["graph"][0, 0] = False


class OneClass(Sound):
    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        return super().forward(x, gates, paths).squeeze(0)


class DetachesGates(Sound):
    def edge(self, edge: int, x: Any, gates: Any, opened: Any) -> Any:
        return super().edge(edge, x, gates.detach(), opened)


class SkipsGatesOfZero(Sound):
    def edge(self, edge: int, x: Any, gates: Any, opened: Any) -> Any:
        return super().edge(edge, x, torch.where(gates == 0, gates.detach(), gates), opened)


class RunsEverything(Sound):
    def edge(self, edge: int, x: Any, gates: Any, opened: Any) -> Any:
        if str(edge) in self.mixes and not opened[2]:
            x = x + 0 * gates[2] * self.mixes[str(edge)](x)
        return super().edge(edge, x, gates, opened)


class RunsForNothing(Sound):
    def edge(self, edge: int, x: Any, gates: Any, opened: Any) -> Any:
        if str(edge) in self.mixes:
            self.mixes[str(edge)](x)
        return super().edge(edge, x, gates, opened)


class OpenUnlessGiven(Sound):
    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        if paths is None:
            everything = torch.ones(3, 3, dtype=torch.bool)
            everything[:, 2] = torch.tensor([str(edge) in self.mixes for edge in range(3)])
            paths = {"graph": everything}
        return super().forward(x, gates, paths)


class CountsPasses(Sound):
    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        self.passes += 1
        return super().forward(x, gates, paths)


class Waits(Sound):
    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        if gates["graph"].sum() < 0:
            return self.head(x)
        return super().forward(x, gates, paths)


class HoldsItsHead(Sound):
    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self.held = [self.head.weight]

    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        result = super().forward(x, gates, paths)
        return result + 0.1 * self.held[0].sum().to(result) if self.head.weight is not self.held[0] else result * 1


class DrawsFromAnywhere(Sound):
    def __init__(self, task: Any) -> None:
        super().__init__(task)
        generator = torch.Generator()
        generator.seed()
        with torch.no_grad():
            self.stem.bias.uniform_(generator=generator)


class SinglePrecision(Sound):
    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        return super().forward(x, gates, paths).float()


class EmptyNodesAreNaN(Sound):
    def edge(self, edge: int, x: Any, gates: Any, opened: Any) -> Any:
        return super().edge(edge, x, gates, opened) / any(opened)


class ReleasesTheHead(Sound):
    def release(self) -> None:
        super().release()
        if not self.alive["graph"].all():
            with torch.no_grad():
                self.head.bias.zero_()


class KeepsItsParts(Sound):
    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self.parts = list(self.parameters())


class FreshMasks(Sound):
    def release(self) -> None:
        super().release()
        self.alive["graph"][0, 0] = True


class WorstFirst(Sound):
    def best(self, found: Any) -> Any:
        return min(found)


class SparesNone(Sound):
    def usable(self) -> Any:
        return self.alive["graph"] if self.asked else super().usable()

    asked = False

    def required(self, scores: Any, per: Any = "node") -> Any:
        self.asked = True
        spared = super().required(scores, per)
        self.asked = False
        return spared


class ForgetsItsScale(Sound):
    def __init__(self, task: Any) -> None:
        super().__init__(task)
        self.scale = torch.rand(())

    def forward(self, x: Any, gates: Any, paths: Any = None) -> Any:
        return self.scale.to(x) * super().forward(x, gates, paths)


class LoadsWhatIsThere(Sound):
    def load_live(self, state: Any) -> None:
        self.load_state_dict(state, strict=False)


class ChoosesTheDead(Sound):
    def chosen(self, table: Any) -> lnas.Genotype:
        return super().chosen(table.masked_fill(table.isinf(), 2.0) if not self.alive["graph"].all() else table)


class NamesOthers(Sound):
    def paths(self, genotype: lnas.Genotype) -> Any:
        return {"graph": super().paths(genotype)["graph"].roll(1, 0)}


class DrawsLots(Sound):
    def chosen(self, table: Any) -> lnas.Genotype:
        self.count = getattr(self, "count", 0) + 1
        if (table[:, 1] == table[:, 2]).all() and self.count % 2:
            table = table.clone()
            table[:, 2] += 1
        return super().chosen(table)


class TurnsAround(Sound):
    def chosen(self, table: Any) -> lnas.Genotype:
        return super().chosen(torch.where(table.isinf(), table, -table))


class TakesNaN(Sound):
    def discretize(self, scores: Any, policy: str | None = None) -> lnas.Genotype:
        return super().discretize({"graph": scores["graph"].nan_to_num(0.0, 1.0)}, policy)


class TakesAnything(Sound):
    def checked(self, genotype: lnas.Genotype) -> Any:
        known = [gene for gene in genotype.groups["graph"] if gene.operation in OPERATIONS]
        return known or [lnas.Gene("keep", *EDGES[0])]


class DerivesNothing(Sound):
    def derive(self, genotype: lnas.Genotype) -> nn.Module:
        return nn.Sequential(super().derive(genotype), nn.Unflatten(1, (1, -1)))


class Heirs(Sound):
    def derive(self, genotype: lnas.Genotype) -> nn.Module:
        child = super().derive(genotype)
        child.head = self.head
        return child


class Trained(Sound):
    def derive(self, genotype: lnas.Genotype) -> nn.Module:
        child = super().derive(genotype)
        child.head.load_state_dict(self.head.state_dict())
        return child


class SortsScores(Sound):
    def discretize(self, scores: Any, policy: str | None = None) -> lnas.Genotype:
        genotype = super().discretize(scores, policy)
        scores["graph"].masked_fill_(~self.usable(), 0)
        return genotype


class WidthIsNoMatter(Sound):
    derived_only = frozenset({"width"})


class DepthIsNoMatter(Sound):
    derived_only = frozenset({"depth"})


REQUIRED = "required_paths_are_the_best_that_compute"
WHATEVER = "whatever_has_died_the_rest_computes"
GRADIENTS = "gradients_are_those_of_the_output"
RELEASE = "release_does_not_change_outputs"
ALIVE = "paths_are_those_alive_unless_given"
DERIVED = "what_is_only_of_the_derived_network_leaves_the_search_alone"
MEMORY = "a_released_path_leaves_no_memory"

# rule -> what breaks it, words of the message, and the rules that must break with it
BREAKS: list[tuple[str, type[Sound], str, set[str]]] = [
    ("names_and_shapes_agree", HalfDeadAtBirth, "paths of graph are dead from the beginning", {"nothing_comes_alive_again"}),
    ("outputs_are_one_row_of_classes_for_each_input", OneClass, "in evaluation mode is (3,), not (1, 3)", set()),
    (GRADIENTS, DetachesGates, "the gradient by gates['graph']", {REQUIRED}),
    (GRADIENTS, SkipsGatesOfZero, "the gradient by gates['graph']", set()),
    ("closed_paths_are_not_run", RunsEverything, "gates and theta of closed paths matter", set()),
    ("closed_paths_are_not_run", RunsForNothing, "of closed paths is run", set()),
    (ALIVE, OpenUnlessGiven, "does not run those alive", {WHATEVER}),
    ("a_forward_pass_leaves_no_trace", CountsPasses, "in evaluation mode changed something", set()),
    ("a_forward_pass_waits_for_nothing", Waits, "reads the value of a tensor on the device", set()),
    ("theta_may_be_given_for_a_call", HoldsItsHead, "the output is not that space's", {"a_forward_pass_waits_for_nothing"}),
    ("the_same_seed_makes_the_same_space", DrawsFromAnywhere, "made under the same seed differ", {"closed_paths_are_not_run"}),
    ("double_precision", SinglePrecision, "of a space in float64 is torch.float32", {GRADIENTS}),
    (WHATEVER, EmptyNodesAreNaN, "the output is not finite where", {RELEASE}),
    (RELEASE, ReleasesTheHead, "release() changes the output in evaluation mode", {ALIVE}),
    (MEMORY, KeepsItsParts, "still in memory", set()),
    ("nothing_comes_alive_again", FreshMasks, "release() changed what is alive", set()),
    (REQUIRED, WorstFirst, "the best live paths that compute something are", set()),
    (REQUIRED, SparesNone, "none on (1, 2)", {"derived_networks_answer"}),
    (
        "a_state_loads_bitwise",
        ForgetsItsScale,
        "loaded the state of another computes something else",
        {"theta_may_be_given_for_a_call", "a_forward_pass_waits_for_nothing"},
    ),
    ("an_older_state_loads_after_paths_have_died", LoadsWhatIsThere, "and said nothing", set()),
    ("an_architecture_is_made_of_living_paths", ChoosesTheDead, "which are no live paths of graph", set()),
    ("an_architecture_is_made_of_living_paths", NamesOthers, "paths() of a genotype", {"paths_is_the_inverse_of_discretize"}),
    ("ties_fall_the_same_way", DrawsLots, "equal scores gave different genotypes", set()),
    ("paths_is_the_inverse_of_discretize", TurnsAround, "scores that are 10 on paths(genotype)", set()),
    ("scores_that_are_not_finite_are_refused", TakesNaN, "it must raise NumericalError", set()),
    ("what_is_not_of_the_space_is_refused", TakesAnything, "it must raise GenotypeError", set()),
    ("derived_networks_answer", DerivesNothing, "not (3, 3)", set()),
    ("derived_networks_are_fresh", Heirs, "changes what is not its own", set()),
    ("derived_networks_are_fresh", Trained, "theta_0 is not theta", set()),
    (DERIVED, WidthIsNoMatter, "another width (2) changes the search", set()),
    (DERIVED, DepthIsNoMatter, "derived_only of space DepthIsNoMatter holds 'depth', which is none of its options", set()),
    ("deriving_leaves_the_space_alone", SortsScores, "reading an architecture changed something", set()),
]


def suite_of(space: type[Sound]) -> type[SpaceSuite]:
    class OfIt(SpaceSuite):
        part = space

    return OfIt


def test_a_space_of_ones_own_keeps_all_rules(broken: Any) -> None:
    assert broken(suite_of(Sound)) == {}


@pytest.mark.parametrize(("rule", "space", "words", "also"), BREAKS, ids=[space.__name__ for _, space, _, _ in BREAKS])
def test_a_broken_space_is_found_out(rule: str, space: type[Sound], words: str, also: set[str], broken: Any) -> None:
    found = broken(suite_of(space))
    assert set(found) == {rule} | also
    assert words in found[rule]


def test_every_rule_has_a_space_that_breaks_it(names: Any) -> None:
    assert names(SpaceSuite) - names(PartSuite) - {"cuda"} == {rule for rule, *_ in BREAKS}
