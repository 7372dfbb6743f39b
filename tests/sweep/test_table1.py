"""Table 1 as rows: which there are, what each would type, and that all of them can be built."""

from typing import Any

import pytest

from lnas.core.errors import LnasError
from lnas.core.stages import Retrain
from lnas.host.assemble import build, resolve
from lnas.host.plugins import Host
from lnas.sweep.planned import PlannedRow
from lnas.sweep.printed import PRINTED
from lnas.sweep.table1 import LEVELS, SCALES, table1


def test_the_rows_of_the_paper_in_its_order() -> None:
    labels = [planned.row.label for planned in table1("tiny")]
    assert labels[:3] == ["baseline", "variant1 p=0.125", "variant1 p=0.25"]
    assert labels == ["baseline", *(f"{recipe} p={p:g}" for recipe in ("variant1", "variant2", "generalized") for p in LEVELS)]
    assert len(labels) == 25
    baseline, *others = [planned.row for planned in table1("tiny", levels=(0.5,))]
    assert (baseline.recipe, baseline.sparsity) == ("baseline", None)
    assert [(row.recipe, row.sparsity) for row in others] == [("variant1", 0.5), ("variant2", 0.5), ("generalized", 0.5)]


@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_every_kind_of_row_can_be_built_and_leaves_steps_after_its_last_prune(scale: str) -> None:
    host = Host(entry_points=False)
    for planned in table1(scale, data="digits", levels=(0.95,)):
        merged, dataset = resolve(host, command_line=planned.settings)
        job = build(merged.config, host, dataset)
        assert job.recipe == planned.row.recipe
        search, train = job.plan().stages
        rounds = merged.config.epochs.search.number
        assert (search.rounds, train.rounds) == {
            "baseline": (0, 0),
            "variant1": (0, 1),
            "variant2": (rounds, 0),
            "generalized": (rounds, 1),
        }[planned.row.recipe]
        if search.rounds:
            assert search.k == search.steps_per_epoch, "a round an epoch"
            assert search.sparsities[-1] == 0.95
        if train.rounds:
            assert (train.k, train.sparsities) == (train.steps // 2, (0.95,))
            stage = job.pipeline.stages[1]
            assert isinstance(stage, Retrain) and stage.pruning.rewind == 0 and not stage.pruning.fresh
            if scale == "tiny":
                assert train.steps - train.k >= 70


def settings(*planned: PlannedRow) -> list[dict[str, Any]]:
    return [dict(row.settings) for row in planned]


def test_the_paper_is_what_the_paper_and_darts_say() -> None:
    for row in settings(*table1("paper", data="cifar10,root=pictures")):
        assert row["space"] == "cells,channels=16,layers=8,nodes=4,network_channels=36,network_layers=20"
        assert (row["epochs"], row["batch"], row["train"]) == ("10:20", "64", "lr=0.025")
        assert row["data"] == "cifar10,crop=0,flip=false,normalise=false,root=pictures", "numbers from 0 to 1 and nothing else"
    variant2 = settings(*table1("paper", data="cifar10,root=x", levels=(0.5,)))[2]
    assert (variant2["recipe"], variant2["prune"], variant2["sparsity"]) == ("variant2", ("alpha:iterative,rounds=10",), "0.5")


def test_overrides_replace_option_by_option() -> None:
    given = {"space": "cells,network_channels=4", "epochs": "3:6", "train": "momentum=0.5", "batch": 32}
    baseline, _, variant2, generalized = settings(*table1("tiny", data="digits,flip=true", levels=(0.5,), overrides=given))
    assert baseline["space"] == "cells,channels=2,layers=3,nodes=1,network_channels=4,network_layers=3"
    assert baseline["train"] == {"lr": "0.2", "momentum": "0.5"}
    assert (baseline["batch"], baseline["epochs"]) == (32, "3:6")
    assert baseline["data"] == "digits,crop=0,flip=true,normalise=false"
    assert variant2["prune"] == ("alpha:iterative,rounds=3",)
    assert generalized["prune"] == ("alpha:iterative,rounds=3", "theta:one-shot")
    [other] = settings(*table1("tiny", levels=(), overrides={"space": "nasbench201,cells=1", "data": "pets,size=8"}))
    assert (other["space"], other["data"]) == ("nasbench201,cells=1", "pets,size=8")
    in_steps = settings(*table1("tiny", levels=(0.5,), overrides={"epochs": "40it:10"}))[2]
    assert in_steps["prune"] == ("alpha:iterative,rounds=10",)


@pytest.mark.parametrize(
    ("scale", "options", "says"),
    [
        ("tinny", {}, "unknown scale 'tinny'; did you mean 'tiny'"),
        ("small", {}, "scale small needs a data set; name one, as in --data folder,root=DIR"),
        ("tiny", {"levels": (0.5, 0.5)}, "level 0.5 is given twice"),
        ("tiny", {"levels": (0.0,)}, "level 0.0 is outside (0, 1)"),
        ("tiny", {"levels": (1.0,)}, "level 1.0 is outside (0, 1)"),
        ("tiny", {"overrides": {"recipe": "baseline"}}, "table1 sets recipe itself"),
        ("tiny", {"overrides": {"seed": 3}}, "table1 sets seed itself"),
        ("tiny", {"overrides": {"spaec": "cells"}}, "unknown key 'spaec'; did you mean 'space'"),
        ("tiny", {"overrides": {"epochs": "ten"}}, "epochs must be SEARCH:TRAIN"),
    ],
)
def test_what_cannot_be_is_refused(scale: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(LnasError) as caught:
        table1(scale, **options)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_the_levels_are_those_that_the_paper_prints() -> None:
    assert tuple(sorted({level for _, level in PRINTED if level is not None})) == LEVELS
    assert list(SCALES) == ["tiny", "small", "paper"]
