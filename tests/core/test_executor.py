from pathlib import Path
from typing import Any

import pytest
import torch

import lnas
from lnas.core.errors import ConfigError
from lnas.core.executor import Outcome, Work
from lnas.core.one_line import in_one_line


def threads(words: tuple[str, ...]) -> Outcome:
    return Outcome("done", figures={"threads": torch.get_num_threads(), "words": " ".join(words)})


def target(name: str) -> str:
    """Of a function of this file, which pytest imports under a name of its own."""
    return f"{threads.__module__}:{name}"


def refuse() -> None:
    raise ConfigError("this will\n  not do")


def leave() -> None:
    raise SystemExit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_work_is_done_with_its_threads_and_they_are_put_back() -> None:
    before = torch.get_num_threads()
    for number in (1, 3):
        outcome = Work("count", target("threads"), {"words": ("a", "b")}, number).do()
        assert outcome == Outcome("done", "", {"threads": number, "words": "a b"})
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        (target("refuse"), ConfigError, "this will not do"),
        (target("leave"), SystemExit, "SystemExit: 3"),
        (target("nothing"), AttributeError, f"AttributeError: module '{threads.__module__}' has no attribute 'nothing'"),
        ("no_such_module:f", ModuleNotFoundError, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("os:getcwd", TypeError, "TypeError: os:getcwd returned a str, not an Outcome"),
    ],
)
def test_an_attempt_turns_an_error_into_a_failure(wrong: str, error: type[BaseException], reason: str) -> None:
    before, work = torch.get_num_threads(), Work("wrong", wrong, {}, 2)
    with pytest.raises(error):
        work.do()
    assert work.attempt() == Outcome("failed", reason)
    assert torch.get_num_threads() == before


def test_an_interrupt_is_the_callers() -> None:
    with pytest.raises(KeyboardInterrupt):
        Work("stop", target("interrupt"), {}).attempt()


@pytest.mark.parametrize("value", [Path("a"), ["a"], {"a": 1}, (1, 2), b"a", torch.tensor(1.0)], ids=lambda v: type(v).__name__)
def test_what_is_not_plain_is_no_argument_and_no_figure(value: Any) -> None:
    kind = type(value).__name__
    with pytest.raises(TypeError, match=f"argument root is a {kind}; it must be text, a number"):
        Work("x", "os:getcwd", {"size": 3, "root": value})
    with pytest.raises(TypeError, match=f"figure loss is a {kind}; it must be text, a number"):
        Outcome("done", figures={"loss": value})


def test_the_names_are_public() -> None:
    assert (lnas.Work, lnas.Outcome) == (Work, Outcome)
    assert lnas.Executor.own_workers is True


def test_a_line_is_short_and_printable() -> None:
    assert in_one_line(ValueError("a\n b\x07")) == "ValueError: a b?"
    assert in_one_line(KeyError()) == "KeyError"
    assert len(in_one_line(ConfigError("x" * 400))) == 300
