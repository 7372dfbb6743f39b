"""Every cell of docs/plugins/matrix.md: the strategy searches, the target is pruned as asked, the network is trained."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lnas.core.errors import ConfigError
from lnas.host.assemble import build, resolve
from lnas.host.plugins import Host
from lnas.host.spec import Spec

PAGE = (Path(__file__).parents[1] / "docs" / "plugins" / "matrix.md").read_text()
SIZES = {
    "cells": "channels=4,layers=3,nodes=2,network_channels=4,network_layers=3",
    "nasbench201": "channels=4,cells=1,network_channels=4,network_cells=1",
}
ATTAINED = {"cells": {}, "nasbench201": {"alpha": 0.4}}
ROUNDS = {"one-shot": "", **dict.fromkeys(("iterative", "cubic", "linear", "exponential"), ",rounds=2")}
YES, NO = "yes", "–"


def tables() -> Iterator[tuple[str, list[str], list[str]]]:
    """(the heading, the cells of the first row, the cells of another) for every row of every table."""
    for section in PAGE.split("\n## ")[1:]:
        lines = [line for line in section.splitlines() if line.startswith("|")]
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        for row in rows:
            yield section.splitlines()[0], head, row


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


SEARCHES = [
    (words(heading)[0].removeprefix("--space "), words(row[0])[0], tuple(words(column)), cell)
    for heading, head, row in tables()
    if "--space" in heading
    for column, cell in zip(head[1:], row[1:], strict=True)
]
IMPORTANCES = [
    (words(row[0])[0], words(column)[0], cell)
    for heading, head, row in tables()
    if heading == "Importances"
    for column, cell in zip(head[1:], row[1:], strict=True)
]


@pytest.fixture(scope="module")
def host() -> Host:
    return Host()


def ran(host: Host, space: str, strategy: str, prune: list[str]) -> dict[str, tuple[float, float]]:
    """Run it, without a directory; the sparsities by target, as (asked, attained)."""
    line = {"strategy": strategy, "space": f"{space},{SIZES[space]}", "prune": prune, "epochs": "2it:3it", "batch": "4"}
    merged, dataset = resolve(host, environment={}, command_line={**line, "device": "cpu"})
    job = build(merged.config, host, dataset)
    steps = 0
    while not job.pipeline.done:
        job.pipeline.advance()
        before = job.pipeline.progress
        metrics = job.pipeline.step(*job.stream.draw(before.draws, before.step))
        assert all(value.isfinite() for value in metrics.values())
        steps += 1
    ticket = job.pipeline.ticket
    assert steps == 5 and ticket.genotype is not None and ticket.network is not None
    return {name: (sparsity.target, sparsity.attained) for name, sparsity in ticket.sparsity.items()}


def line(pruning: str) -> str:
    target, schedule = pruning.split(":")
    sparsity = {"alpha": 0.5, "theta": 0.5, "nm": 0.5, "channels": 0.25}[target]
    return f"{pruning},sparsity={sparsity}{ROUNDS[schedule]}"


@pytest.mark.filterwarnings("ignore:the search is over at step")
@pytest.mark.parametrize(("space", "strategy", "prunings", "cell"), SEARCHES)
def test_a_combination_runs(host: Host, space: str, strategy: str, prunings: tuple[str, ...], cell: str) -> None:
    assert cell == YES
    sparsities = ran(host, space, strategy, [line(pruning) for pruning in prunings])
    assert set(sparsities) == {pruning.split(":")[0] for pruning in prunings}
    for target, (asked, attained) in sparsities.items():
        assert asked == (0.25 if target == "channels" else 0.5)
        # whole paths of each edge, which has eight or five; whole weights of each layer; whole channels of groups of four
        assert attained == pytest.approx(ATTAINED[space].get(target, asked), abs=0.002)


@pytest.mark.parametrize(("target", "importance", "cell"), IMPORTANCES)
def test_an_importance_scores_its_target_or_says_that_it_does_not(host: Host, target: str, importance: str, cell: str) -> None:
    prune = [f"{target}:one-shot,sparsity=0.5,importance={importance}"]
    if cell == YES:
        ((asked, attained),) = ran(host, "cells", "darts", prune).values()
        assert abs(asked - attained) < 0.1
    else:
        assert cell == NO
        with pytest.raises(
            ConfigError, match=f"importance {importance} is for targets of the (search|train) stage, and {target} is"
        ):
            ran(host, "cells", "darts", prune)


@pytest.mark.parametrize("pruning", ["alpha:linear", "alpha:exponential", "theta:linear", "theta:exponential"])
def test_the_other_schedules_go_where_cubic_does(host: Host, pruning: str) -> None:
    ((asked, attained),) = ran(host, "cells", "darts", [line(pruning)]).values()
    assert asked == 0.5 and attained == pytest.approx(asked, abs=0.002)


def test_the_tables_are_of_all_that_there_is(host: Host) -> None:
    def names(kind: str) -> set[str]:
        return {part.name for part in host.registry.all(kind) if part.distribution in OURS}

    assert {space for space, *_ in SEARCHES} == names("space")
    for space in names("space"):
        assert {Spec.parse(strategy).name for s, strategy, *_ in SEARCHES if s == space} == names("strategy")
    prunings = {pruning for *_, several, _ in SEARCHES for pruning in several}
    assert {pruning.split(":")[0] for pruning in prunings} == names("target")
    assert {pruning.split(":")[1] for pruning in prunings} == names("schedule") - {"never", "linear", "exponential"}
    assert {importance for _, importance, _ in IMPORTANCES} == names("importance")
    assert {target for target, *_ in IMPORTANCES} == names("target") - {"channels"}


OURS = {"lnas", *(path.name for path in (Path(__file__).parents[1] / "plugins").iterdir())}
