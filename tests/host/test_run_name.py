"""A name of a run is a name of a folder, and nothing else."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError
from lnas.host.config import Config
from lnas.host.run_name import run_name
from lnas.host.rundir import RunDirectory

PLAIN = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", fullmatch=True)


@given(st.text() | PLAIN | PLAIN.map(lambda name: name + "\n"))
def test_a_name_that_passes_is_one_folder_whoever_reads_it(name: str) -> None:
    try:
        assert run_name(name) == name
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1 and str(error).isprintable()
        with pytest.raises(ConfigError, match="^name must be 1 to 100 of"):
            Config(name=name)
        with pytest.raises(ConfigError, match="^run name must be 1 to 100 of"):
            RunDirectory.free(Path("/tmp"), name=name, recipe="a", data="b", seed=0)
    else:
        assert (Path("runs") / name).parent == Path("runs") and Path(name).name == name
        assert shlex.quote(name) == name and name.isascii() and name.isprintable() and not name.startswith("-")
        assert Config(name=name).name == name


@given(PLAIN)
def test_plain_names_pass(name: str) -> None:
    assert run_name(name) == name
