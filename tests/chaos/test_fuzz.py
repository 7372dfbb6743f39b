"""The short form: every target at its corpus and at changes of it by chance.  The long form needs atheris."""

import importlib.util
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.chaos import fuzz, targets
from benchmarks.chaos.__main__ import main
from benchmarks.chaos.targets import TARGETS, Target
from lnas.core.errors import ConfigError, LnasError


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_reads_or_refuses_whatever_it_is_given(name: str) -> None:
    outcome = fuzz.by_chance(name, 150, seed=0)
    assert outcome.held == outcome.tried == 150 + len(TARGETS[name].corpus), outcome.broken[:3]
    assert not outcome.broken


def test_each_target_reads_some_of_its_corpus() -> None:
    """A target that refuses everything shows nothing."""

    def reads(check: object, data: bytes) -> bool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LnasError, "__str__", lambda error: "")  # a refusal has no message, and is a finding then
            patch.setattr(ConfigError, "__str__", lambda error: "")
            try:
                check(data)  # type: ignore[operator]
            except Exception:
                return False
        return True

    assert [name for name, target in TARGETS.items() if not any(reads(target.check, data) for data in target.corpus)] == []


def _raises(data: bytes) -> None:
    if b"\x1b" in data:
        raise KeyError("x")


def test_a_reader_that_raises_anything_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "TARGETS", {"weak": Target(_raises, (b"abc",))})
    outcome = fuzz.by_chance("weak", 300, seed=0)
    assert outcome.held < outcome.tried == 301
    assert outcome.broken[0].startswith("weak: KeyError: 'x' at b'")


def test_a_reader_that_is_slow_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(fuzz.time, "process_time", lambda: now[0])
    monkeypatch.setattr(targets, "TARGETS", {"slow": Target(lambda data: now.append(now.pop() + len(data)), (b"abc", b"abcdef"))})
    outcome = fuzz.by_chance("slow", 0, seed=0)
    assert (outcome.tried, outcome.held, outcome.broken) == (2, 1, ["slow: took 6.0 s at b'abcdef'"])


def test_the_same_seed_makes_the_same_changes() -> None:
    import random

    one, same, other = ([*fuzz.mutated((b"abc", b"defg"), 50, random.Random(seed))] for seed in (1, 1, 2))
    assert one == same != other
    assert len(set(one)) > 40


def test_without_atheris_the_long_form_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["fuzz", "--count", "10"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: the long form needs atheris, which is not installed: pip install atheris\n"
    assert list(tmp_path.iterdir()) == []
