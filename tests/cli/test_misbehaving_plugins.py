"""A plugin may do anything: each way to misbehave gets its line and its exit code, and costs nobody else anything."""

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SMALL = ["--epochs", "2it:2it", "--space", "cells,channels=2,layers=3,nodes=2,network_channels=2,network_layers=3", "--name", "r"]

OFFER = """
    import lnas

    @lnas.hookimpl
    def lnas_{kind}(register):
        register("odd", "lnas_odd:Odd", summary="as it likes")
"""
STRATEGY = """
    class Odd(lnas.Darts):
        pass
"""


def offering(kind: str, part: str) -> str:
    return dedent(OFFER.replace("{kind}", kind)) + "\n" + dedent(part)


def refused(lnas, *arguments: str) -> tuple[int, str]:
    """The exit code and the one line of an error."""
    result = lnas(*arguments)
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("lnas: error: ")]
    assert len(lines) == 1, result.stderr
    assert "bug of lnas" not in result.stderr
    return result.exit_code, lines[0].removeprefix("lnas: error: ")


NAME = "plugin odd (lnas-odd 0.3)"
LOADING = {
    "cannot be imported": ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    "exits": ("raise SystemExit(7)", "SystemExit: 7"),
    "misspells a hook": (
        "import lnas\n@lnas.hookimpl\ndef lnas_stategies(register): pass",
        "there is no hook lnas_stategies; did you mean lnas_strategies?",
    ),
}


@pytest.mark.parametrize(("source", "error"), LOADING.values(), ids=LOADING)
def test_a_plugin_that_cannot_be_loaded(install, lnas, source: str, error: str) -> None:
    install("odd", source)
    there = lnas("components", "--kind", "strategy")
    assert (there.exit_code, there.stderr.count("\n")) == (0, 1)
    assert there.stderr.startswith(f"lnas: warning: {NAME} cannot be used: {error}")
    code, message = refused(lnas, "run", "--strategy", "odd", "--dry-run")
    assert code == 2 and message.startswith(f"strategy 'odd' is not available: {NAME} failed: {error}")
    assert "see lnas plugins info odd" in message
    info = lnas("plugins", "info", "odd")
    assert (info.exit_code, info.stderr) == (0, "")
    assert error in info.stdout and "Traceback (most recent call last):" in info.stdout
    assert lnas("run", "--dry-run", "--disable-plugin", "odd").stderr == ""


def test_a_part_that_is_not_there(install, lnas) -> None:
    install("odd", offering("strategies", ""))
    code, message = refused(lnas, "run", "--strategy", "odd", "--dry-run")
    assert code == 2
    assert message == (
        f"strategy odd of {NAME} (lnas_odd:Odd) cannot be loaded: AttributeError: module 'lnas_odd' has no attribute 'Odd'"
    )


def test_two_plugins_that_clash(install, lnas) -> None:
    install("odd", offering("strategies", STRATEGY))
    install("even", offering("strategies", STRATEGY))
    assert lnas("run", "--dry-run").exit_code == 0
    code, message = refused(lnas, "run", "--strategy", "odd", "--dry-run")
    assert code == 2
    assert message.endswith(f"strategy 'odd' is offered by plugin even (lnas-even 0.3) and by {NAME}; write even/odd or odd/odd")
    assert lnas("run", "--strategy", "even/odd", "--dry-run").exit_code == 0


def test_an_option_without_a_type(install, lnas) -> None:
    install(
        "odd", offering("strategies", "class Odd(lnas.Darts):\n    def __init__(self, space, loss, steps, seed, *, tau=1): ...")
    )
    code, message = refused(lnas, "run", "--strategy", "odd", "--dry-run")
    assert code == 2
    assert message == "option 'tau' of strategy Odd has no type; annotate it, e.g. Annotated[int, \"help text\"]"


IN_A_RUN = {
    "raises": ("def step(self, train, val=None):\n        raise ValueError('no \\n way')", "raised ValueError: no way"),
    "exits": ("def step(self, train, val=None):\n        raise SystemExit(0)", "raised SystemExit: 0"),
    "raises what nobody expects": (
        "def step(self, train, val=None):\n        raise type('Odd', (BaseException,), {'__str__': lambda e: exit(0)})",
        "raised Odd",
    ),
    "refuses": ("def step(self, train, val=None):\n        raise lnas.ConfigError('not today')", "raised not today"),
    "is called wrongly": (
        "def step(self, train, val=None):\n        return super().step(train, val, 3)",
        "raised TypeError: Darts.step() takes from 2 to 3 positional arguments but 4 were given",
    ),
    "returns no metrics": ("def step(self, train, val=None): ...", "broke its contract: step must return metrics by name"),
    "returns a vector": (
        "def step(self, train, val=None): return {'loss': torch.zeros(3)}",
        "broke its contract: metric 'loss' must be a 0-d tensor, not one of shape (3,)",
    ),
    "returns no genotype": (
        "def genotype(self): return 'DARTS_V1'",
        "broke its contract: genotype() must return a Genotype, not a str",
    ),
}


@pytest.mark.parametrize(("method", "error"), IN_A_RUN.values(), ids=IN_A_RUN)
def test_a_strategy_that_fails_in_the_middle_of_a_run(install, lnas, tmp_path: Path, method: str, error: str) -> None:
    install("odd", offering("strategies", f"import torch\nclass Odd(lnas.Darts):\n    {method}"))
    code, message = refused(lnas, "run", "--strategy", "odd", *SMALL)
    assert code == 1
    words, _, way = message.partition("; go on with: ")
    assert words.startswith(f"strategy odd of {NAME} {error}") and ", after search step " in words
    assert way.startswith("lnas resume runs/r")
    assert message.endswith("; run again with --debug for the traceback")
    assert json.loads((tmp_path / "runs/r/status.json").read_text())["state"] == "failed"


def test_a_run_goes_on_from_its_checkpoint_once_the_plugin_is_mended(install, lnas, tmp_path: Path) -> None:
    """The checkpoint of the step before is kept, and the run ends as one that never failed."""
    broken = "class Odd(lnas.Darts):\n    def genotype(self): {body}"
    path = install("odd", offering("strategies", broken.replace("{body}", "raise OSError('disk')")))
    code, message = refused(lnas, "run", "--strategy", "odd", *SMALL)
    assert code == 1 and f"strategy odd of {NAME} raised OSError: disk" in message
    path.write_text(offering("strategies", broken.replace("{body}", "return super().genotype()")))
    del sys.modules["lnas_odd"]
    resumed = lnas("resume", "r", "--json")
    assert resumed.exit_code == 0, resumed.stderr
    straight = lnas("run", "--strategy", "darts", *SMALL[:-1], "straight", "--json")
    assert json.loads(resumed.stdout)["digest"] == json.loads(straight.stdout)["digest"]


def test_a_constructor_that_raises(install, lnas, tmp_path: Path) -> None:
    install("odd", offering("strategies", "class Odd(lnas.Darts):\n    def __init__(self, *given): raise KeyError('space')"))
    code, message = refused(lnas, "run", "--strategy", "odd", *SMALL)
    assert (code, message) == (1, f"strategy odd of {NAME} raised KeyError: 'space'; run again with --debug for the traceback")
    assert not (tmp_path / "runs").exists()


SHAPES = {
    "no strategy": (
        "strategies",
        "def Odd(space, loss, steps, seed): return 3",
        ["--strategy", "odd"],
        "a SearchStrategy, not a int",
    ),
    "alphas of other groups": (
        "strategies",
        "class Odd(lnas.Darts):\n    def alphas(self): return {}",
        ["--strategy", "odd"],
        "alphas() must have the names normal, reduce, not ",
    ),
    "masks of another shape": (
        "targets",
        "import torch\nclass Odd(lnas.Alpha):\n    def masks(self): return {n: t[:1] > 0 for n, t in self.tensors().items()}",
        ["--prune", "odd:one-shot"],
        "masks() of normal must be of shape (5, 8), not (1, 8)",
    ),
    "masks that are numbers": (
        "targets",
        "class Odd(lnas.Theta):\n    def masks(self): return {n: 0 * t for n, t in self.tensors().items()}",
        ["--prune", "odd:one-shot"],
        "must be bool, not float32",
    ),
    "a space that is none": ("spaces", "def Odd(task): return task", ["--space", "odd"], "must be a SearchSpace, not a Task"),
    "a schedule that is none": (
        "schedules",
        "def Odd(): return None",
        ["--prune", "theta:odd"],
        "must be a PruningSchedule, not None",
    ),
    "a data set that is none": ("datasets", "def Odd(): return []", ["--data", "odd"], "must be a Dataset, not a list"),
}


@pytest.mark.parametrize(("hook", "part", "option", "error"), SHAPES.values(), ids=SHAPES)
def test_a_part_of_the_wrong_shape_is_refused_before_the_run(
    install, lnas, tmp_path: Path, hook: str, part: str, option: list[str], error: str
) -> None:
    install("odd", offering(hook, part))
    given = [*SMALL, *option] if option[0] != "--space" else ["--epochs", "1it:1it", *option]
    code, message = refused(lnas, "run", *given)
    assert code == 1 and error in message
    assert f" odd of {NAME} broke its contract: " in message
    assert not (tmp_path / "runs").exists()


CALLS = {
    "an importance of two arguments": (
        "importances",
        "def Odd(tensors, masks): ...",
        ["--prune", "theta:one-shot,importance=odd"],
        "importance odd of plugin odd (lnas-odd 0.3) cannot be called as lnas calls it: too many positional arguments",
    ),
    "a strategy of one": (
        "strategies",
        "def Odd(space): ...",
        ["--strategy", "odd"],
        "strategy odd of plugin odd (lnas-odd 0.3) cannot be called as lnas calls it: too many positional arguments",
    ),
}


@pytest.mark.parametrize(("hook", "part", "option", "error"), CALLS.values(), ids=CALLS)
def test_a_part_that_cannot_be_called_is_refused_ahead(
    install, lnas, hook: str, part: str, option: list[str], error: str
) -> None:
    install("odd", offering(hook, part))
    assert refused(lnas, "run", "--dry-run", *option) == (2, error)


IMPORTANCES = {
    "None": ("return None", "it returned None"),
    "another shape": ("return {name: t.sum() for name, t in tensors.items()}", "has shape ()"),
}


@pytest.mark.parametrize(("body", "error"), IMPORTANCES.values(), ids=IMPORTANCES)
def test_an_importance_that_scores_something_else(install, lnas, body: str, error: str) -> None:
    install("odd", offering("importances", f"def Odd(tensors, masks, loss): {body}"))
    code, message = refused(lnas, "run", "--prune", "alpha:one-shot,importance=odd", *SMALL)
    assert code == 1
    assert message.startswith(f"importance odd of {NAME} broke its contract: ") and error in message
    assert ", after search step " in message


def test_a_space_whose_network_gives_other_logits(install, lnas) -> None:
    part = "class Odd(lnas.CellSpace):\n    def forward(self, x, gates, paths=None): return super().forward(x, gates, paths)[:1]"
    install("odd", offering("spaces", part))
    sizes = SMALL[3].removeprefix("cells,")
    code, message = refused(lnas, "run", "--epochs", "1it:1it", "--space", f"odd,{sizes}")
    assert code == 1
    assert message.startswith(
        f"space odd of {NAME} broke its contract: a network must give (32, classes) logits for 32 examples,"
        " not a tensor of shape (1, 10), after search step 0; go on with: lnas resume runs/"
    )


def test_what_a_plugin_prints_stays_out_of_the_json(install, lnas) -> None:
    words = "print('at import')\n" + offering(
        "strategies",
        "class Odd(lnas.Darts):\n    def genotype(self):\n        print('in a step')\n        return super().genotype()",
    )
    install("odd", words)
    result = lnas("run", "--strategy", "odd", *SMALL, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["recipe"] == "baseline" and result.stdout.count("\n") == 1
    assert "at import\n" in result.stderr and "in a step" in result.stderr
    assert f"lnas: warning: {NAME} prints to standard output while it is loaded" in result.stderr
    assert json.loads(lnas("components", "--json").stdout)


def test_a_plugin_that_is_slow_to_import(install, lnas) -> None:
    install("odd", "import time; time.sleep(5)\n" + offering("strategies", STRATEGY))
    result = lnas("plugins", "list", "--json")
    (record,) = (plugin for plugin in json.loads(result.stdout)["plugins"] if plugin["name"] == "odd")
    assert record["milliseconds"] > 5000
    seconds = f"{record['milliseconds'] / 1000:.1f}"
    assert result.stderr == f"lnas: warning: {NAME} took {seconds} s to load; --disable-plugin odd leaves it out\n"


def test_the_traceback_of_a_plugin_is_shown_on_request(install, lnas) -> None:
    install("odd", offering("strategies", "class Odd(lnas.Darts):\n    def step(self, train, val=None): 1 / 0"))
    result = lnas("run", "--strategy", "odd", *SMALL, "--debug")
    assert 'lnas_odd.py", line' in result.stderr and "ZeroDivisionError" in result.stderr
    assert not result.stderr.rstrip().endswith("--debug for the traceback")


def test_what_may_be_a_bug_of_either_names_both(install, lnas) -> None:
    """A space of torch's own modules in the wrong sizes: no line of the plugin is in the traceback."""
    part = """
    from torch import nn

    def Odd(task):
        options = {"a": nn.Linear(3, 3), "b": nn.Linear(5, 3)}
        return lnas.ChoiceSpace(nn.Sequential(nn.Flatten(), lnas.MixedOp(options), nn.Linear(3, task.classes)))
    """
    install("odd", offering("spaces", part))
    result = lnas("run", "--epochs", "1it:1it", "--space", "odd")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"this is a bug of lnas or of space odd of {NAME}; run again with --debug" in result.stderr


def test_a_data_set_that_changes_settings_of_the_process_changes_no_run(install, lnas, tmp_path: Path) -> None:
    part = """
    import os
    import torch

    def Odd():
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        os.chdir("/")
        return lnas.digits()
    """
    install("odd", offering("datasets", part))
    digests = []
    for data, name in (("odd", "a"), ("digits", "b")):
        given = ["--data", data, "--batch", "32", *SMALL[:-1], name, "--json"]
        result = lnas("run", *given)
        assert result.exit_code == 0, result.stderr
        digests.append(json.loads(result.stdout)["digest"])
    assert digests[0] == digests[1] and (tmp_path / "runs/a/report.html").exists()


def test_a_part_of_a_plugin_that_failed_is_not_unknown_to_components(install, lnas) -> None:
    install("odd", "import no_such_module_at_all")
    code, message = refused(lnas, "components", "quux")
    assert code == 2 and message.startswith(f"part 'quux' is not available: {NAME} failed: ModuleNotFoundError")


def test_a_default_that_nobody_types_can_be_shown(install, lnas) -> None:
    part = """
    from dataclasses import dataclass
    from pathlib import Path
    from typing import Annotated

    @dataclass(frozen=True)
    class Odd(lnas.PruningSchedule):
        file: Annotated[Path, "where"] = Path("/x,y")
        rounds = 0
        def sparsity_after(self, round): return 0.0
    """
    install("odd", offering("schedules", part))
    assert "/x,y" in lnas("components", "odd").stdout
