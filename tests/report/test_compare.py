"""Runs side by side: their table, the settings that differ, the pairs among them, and what keeps them from being compared."""

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from lnas.core.errors import ConfigError
from lnas.report.compare import Comparison, compare, sentence, to_json
from lnas.report.run import Run

Make = Callable[..., Run]


@pytest.fixture
def make(make_run) -> Make:
    """`make("a", seed=1, test=0.9, lr=0.1)`: a run, which has finished or not; other words replace fields of its summary."""

    def made(
        name: str,
        *,
        seed: int = 0,
        test: float = 0.9,
        lr: float = 0.1,
        config: str = "",
        finished: bool = True,
        **summary: object,
    ) -> Run:
        run: Path = make_run("baseline", name=name)
        text = f'recipe = "baseline"\nseed = {seed}\nvalidation = 0.1\nname = "{name}"\nout = "runs"\ndata = "digits"\n'
        (run / "config.toml").write_text(f"{config or text}[train]\nlr = {lr}\n")
        if not finished:
            (run / "summary.json").unlink()
            (run / "status.json").write_text('{"state": "interrupted"}')
        else:
            known = json.loads((run / "summary.json").read_text())
            known |= {"accuracy": {"validation": 0.8, "test": test}, **summary}
            (run / "summary.json").write_text(json.dumps(known))
        return Run(run)

    return made


def cells(comparison: Comparison) -> dict[str, tuple[str, ...]]:
    return dict(comparison.table)


def test_each_run_is_a_column(make: Make) -> None:
    sparse = {"theta": {"target": 0.5, "attained": 0.5}}
    found = compare([make("a", test=0.9), make("b", test=0.95, seed=1, sparsity=sparse, macs=None)])
    table = cells(found)
    assert found.names == ("a", "b")
    assert table["State"] == ("finished", "finished")
    assert (table["Recipe"], table["Data"], table["Seed"]) == (("baseline",) * 2, ("digits",) * 2, ("0", "1"))
    assert table["Accuracy, test"] == ("90.00 %", "95.00 %")
    assert table["Sparsity of theta"] == ("–", "0.5 asked, 0.5 attained")
    assert table["Multiply-adds, dense"] == ("5,283,590", "–")
    assert table["Latency"][0].startswith("3.46 ms") and table["Time, search"] == ("41.2 s", "41.2 s")
    labels = [label for label, _ in found.table]
    assert labels.index("Sparsity of theta") == labels.index("Parameters, total") - 1, "where the second run has it"


def test_only_the_settings_that_differ_are_told_and_not_where_a_run_lies(make: Make) -> None:
    found = compare([make("a", lr=0.1), make("b", lr=0.2), make("c", seed=2, config="seed = 2\n")])
    assert found.settings == {
        "recipe": ("baseline", "baseline", None),
        "seed": ("0", "0", "2"),
        "validation": ("0.1", "0.1", None),
        "data": ("digits", "digits", None),
        "train.lr": ("0.1", "0.2", "0.1"),
    }
    assert compare([make("d"), make("e")]).settings == {}


def test_two_configurations_with_the_same_seeds_are_paired(make: Make) -> None:
    first, later = {0: 0.90, 1: 0.92, 2: 0.91}, {2: 0.95, 0: 0.93, 1: 0.93, 3: 0.1}
    runs = [make(f"a{seed}", seed=seed, test=test) for seed, test in first.items()]
    runs += [make(f"b{seed}", seed=seed, test=test, lr=0.2) for seed, test in later.items()]
    (pairing,) = compare(runs).pairings
    assert (pairing.first, pairing.later, pairing.seeds) == (("a0", "a1", "a2"), ("b0", "b1", "b2"), (0, 1, 2))
    differences = [later[seed] - first[seed] for seed in (0, 1, 2)]
    half = 4.302652729749464 * statistics.stdev(differences) / math.sqrt(3)
    mean = statistics.fmean(differences)
    assert pairing.difference.n == 3 and pairing.difference.mean == pytest.approx(mean)
    assert pairing.difference.interval == pytest.approx((mean - half, mean + half))
    assert sentence(pairing).startswith(
        f"b0, b1, b2 minus a0, a1, a2, test accuracy: +2.67 points, n = 3, 95 % interval {100 * (mean - half):+.2f} to "
        f"{100 * (mean + half):+.2f}, bootstrap +1.00 to "
    )
    assert sentence(pairing).endswith(", which disagree"), "Student's interval includes 0, and the bootstrap does not"


def test_two_intervals_that_agree_are_just_told(make: Make) -> None:
    runs = [make(f"a{seed}", seed=seed, test=0.9) for seed in range(3)]
    runs += [make(f"b{seed}", seed=seed, test=test, lr=0.2) for seed, test in enumerate((0.95, 0.951, 0.952))]
    (pairing,) = compare(runs).pairings
    assert ": +5.10 points, n = 3, 95 % interval +4.85 to +5.35, bootstrap +5.0" in sentence(pairing)
    assert "disagree" not in sentence(pairing)


def test_one_pair_has_no_interval(make: Make) -> None:
    (pairing,) = compare([make("a", test=0.9), make("b", test=0.88, lr=0.2)]).pairings
    assert sentence(pairing) == "b minus a, test accuracy: -2.00 points, n = 1, no interval"


def test_equal_differences_have_no_interval(make: Make) -> None:
    runs = [make(f"{name}{seed}", seed=seed, lr=lr) for name, lr in (("a", 0.1), ("b", 0.2)) for seed in (0, 1)]
    (pairing,) = compare(runs).pairings
    assert sentence(pairing).endswith(": 0.00 points, n = 2, all differences are equal, no interval")


def test_every_other_configuration_is_held_against_the_first(make: Make) -> None:
    runs = [make("a"), make("b", lr=0.2), make("c", lr=0.3), make("c again", lr=0.3, test=0.1)]
    pairings = compare(runs).pairings
    assert [(pairing.first, pairing.later) for pairing in pairings] == [(("a",), ("b",)), (("a",), ("c",))]
    assert compare(runs).warnings == ("the intervals of the 2 differences are not corrected for several comparisons",)


def test_runs_on_other_pictures_are_no_pairs(make: Make) -> None:
    text = 'recipe = "baseline"\nseed = 0\ndata = "{data}"\nvalidation = {validation}\n'
    first, lr = make("a", config=text.format(data="digits", validation=0.1)), {"lr": 0.2}
    same = make("b", config=text.format(data="digits", validation=0.1), **lr)
    data = make("c", config=text.format(data="digits,size=8", validation=0.1), **lr)
    share = make("d", config=text.format(data="digits", validation=0.2), **lr)
    assert [pairing.later for pairing in compare([first, data, share, same]).pairings] == [("b",)]
    assert compare([data, share]).pairings == ()


def test_seeds_of_one_configuration_are_no_pair_and_neither_are_other_seeds(make: Make) -> None:
    assert compare([make("a", seed=0), make("b", seed=1)]).pairings == ()
    assert compare([make("c", seed=0), make("d", seed=1, lr=0.2)]).pairings == ()
    assert compare([make("e"), make("f", lr=0.2, finished=False)]).pairings == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"config": 'data = "digits"\nvalidation = 0.2\n'}, "the shares held out for validation differ (0.1 | 0.2)"),
        ({"config": 'data = "digits,size=8"\nvalidation = 0.1\n'}, "the data differ (digits | digits,size=8)"),
        ({"finished": False}, "b has not finished (interrupted)"),
        ({"exact": False}, "b is not exact: it was resumed on another torch"),
    ],
)
def test_what_is_not_comparable_is_said_in_a_line(make: Make, changed: dict, words: str) -> None:
    (warning,) = compare([make("a"), make("b", **changed)]).warnings
    assert warning.startswith(words) and "\n" not in warning
    assert compare([make("c"), make("d")]).warnings == ()


def test_times_of_two_machines_are_not_comparable(make: Make) -> None:
    a, b = make("a"), make("b")
    environment = json.loads((b.path / "environment.json").read_text())
    (b.path / "environment.json").write_text(json.dumps(environment | {"threads": 1}))
    (warning,) = compare([a, b]).warnings
    assert warning == "the runs were on different machines or numbers of threads: latency and times are not comparable"


def test_a_document_says_it_all(make: Make) -> None:
    runs = [make("a", test=0.9), make("b", test=0.95, lr=0.2), make("c", lr=0.3, finished=False)]
    found = json.loads(json.dumps(to_json(runs, compare(runs)), allow_nan=False))
    assert [(run["name"], run["state"], run["recipe"], run["data"], run["seed"]) for run in found["runs"]] == [
        ("a", "finished", "baseline", "digits", 0),
        ("b", "finished", "baseline", "digits", 0),
        ("c", "interrupted", "baseline", "digits", 0),
    ]
    assert [run["path"] for run in found["runs"]] == [str(run.path) for run in runs]
    assert found["runs"][0]["summary"]["macs"] == {"dense": 5_283_590, "nonzero": 5_283_590, "structural": 5_283_590}
    assert found["runs"][1]["summary"]["accuracy"]["test"] == 0.95 and found["runs"][2]["summary"] is None
    assert found["settings"] == {"train.lr": ["0.1", "0.2", "0.3"]} and found["schema"] == 1
    (pairing,) = found["pairings"]
    assert (pairing["first"], pairing["later"], pairing["seeds"]) == (["a"], ["b"], [0])
    assert pairing["difference"]["n"] == 1 and pairing["difference"]["mean"] == pytest.approx(0.05)
    assert len(found["warnings"]) == 1


def test_runs_of_one_name_are_told_by_their_paths(make: Make, tmp_path: Path) -> None:
    a = make("a")
    other = tmp_path / "elsewhere" / "a"
    other.parent.mkdir()
    make("a2").path.rename(other)
    assert compare([a, Run(other), make("b")]).names == (str(a.path), str(other), "b")


def test_what_cannot_be_compared_is_refused_in_a_line(make: Make, tmp_path: Path) -> None:
    a, b = make("a"), make("b")
    with pytest.raises(ConfigError, match=r"^1 run cannot be compared; give two or more$"):
        compare([a])
    with pytest.raises(ConfigError, match=r"/runs/a is given twice; name each run once$"):
        compare([a, b, Run(a.path)])
    (tmp_path / "link").symlink_to(a.path)
    with pytest.raises(ConfigError, match=r"/link and .*/runs/a are the same run; name each run once$"):
        compare([a, Run(tmp_path / "link")])
