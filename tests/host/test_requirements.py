import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import ConfigError, PluginError
from lnas.host.config import Config, merge, read_toml, to_toml
from lnas.host.registry import PluginRecord
from lnas.host.requirements import check, requirement

PLUGINS = [
    PluginRecord("lnas", "lnas", "0.1.0", "built-in"),
    PluginRecord("cubic", "lnas-cubic", "0.3.1", "entry point"),
    PluginRecord("mine", None, None, "file"),
    PluginRecord("late", "lnas-late", "2.0", "entry point", status="failed", error="ImportError: x"),
]


@pytest.mark.parametrize(
    "text", ["lnas-cubic", "cubic", "Lnas_Cubic>=0.3", "lnas-cubic>=0.3,<0.4", "mine", "lnas>=0.1", "cubic==0.3.1"]
)
def test_a_requirement_that_is_met(text: str) -> None:
    check([requirement(text)], PLUGINS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lnas-quartic>=1", "plugins.require: lnas-quartic>=1 is not installed; pip install 'lnas-quartic>=1'"),
        ("cubic>=0.4", "plugins.require: cubic>=0.4 is needed, and lnas-cubic is 0.3.1"),
        ("mine>=1", "plugins.require: mine>=1 is needed, and mine has no version"),
        (
            "late",
            "plugins.require: late is not available:"
            " plugin late (lnas-late 2.0) failed: ImportError: x; see lnas plugins info late",
        ),
    ],
)
def test_a_requirement_that_is_not_met_says_how_to_meet_it(text: str, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        check([requirement("cubic"), requirement(text)], PLUGINS)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text", ["", ">=1", "a b", "lnas-cubic[extra]", "lnas-cubic @ file:///x", "lnas-cubic; python_version>'3'"]
)
def test_what_is_no_requirement(text: str) -> None:
    with pytest.raises(ConfigError, match="is no requirement"):
        requirement(text)


def test_a_file_requires_plugins_and_says_so_again_when_it_is_written(tmp_path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('batch = 8\n[plugins]\nrequire = ["lnas-cubic>=0.2", "mine"]\n')
    merged = merge(read_toml(path))
    assert merged.config.plugins == ("lnas-cubic>=0.2", "mine")
    assert merged.origins["plugins"] == f"file {path}"
    again = tmp_path / "again.toml"
    again.write_text(to_toml(merged.config))
    assert merge(read_toml(again)).config == merged.config
    assert "[plugins]" not in to_toml(Config())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[plugins]\nrequires = ["a"]', "x.toml: plugins: unknown key of [plugins] 'requires'; did you mean 'require'?"),
        ("[plugins]\nrequire = 3", "x.toml: plugins must be a list of requirements such as lnas-cubic>=0.2, not 3"),
        ("[plugins]\nrequire = [3]", "x.toml: plugins must be text, not 3"),
        ('plugins = ["a b"]', "x.toml: plugins: 'a b' is no requirement"),
    ],
)
def test_a_table_of_plugins_that_cannot_be_read(tmp_path, table: str, message: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(table)
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


@given(st.text() | st.from_regex(r"[a-z][a-z0-9._-]{0,8}( ?(>=|<|==|~=|!=) ?[0-9a-z.*+!]{1,6},?){0,3}", fullmatch=True))
def test_any_text_is_a_requirement_or_one_line_of_error(text: str) -> None:
    try:
        kept = requirement(text)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 400
    else:
        assert requirement(kept) == kept


def test_what_is_no_requirement_is_refused_in_a_short_line_however_long_it_is() -> None:
    with pytest.raises(ConfigError, match="is no requirement: Invalid specifier") as caught:
        requirement("la===*,====*,=====*=,=" + "\ufffd" * 1000 + "\u202e,===b")
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()
