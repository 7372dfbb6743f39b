import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from lnas import __version__
from lnas.core.errors import ConfigError, PluginError
from lnas.host.plugins import Host
from lnas.host.switches import Switches

Install = Callable[..., Path]

CUBIC = """
    import lnas
    __version__ = "0.9"

    @lnas.hookimpl
    def lnas_schedules(register):
        register("cubic", f"{__name__}:Cubic")

    class Cubic:
        pass
"""


def states(host: Host) -> dict[str, str]:
    return {plugin.name: plugin.status for plugin in host.plugins[1:]}


@pytest.fixture
def both_installed(install: Install) -> None:
    install("one", CUBIC)
    install("two", CUBIC)


@pytest.mark.usefixtures("both_installed")
@pytest.mark.parametrize(
    ("environment", "line", "one", "two"),
    [
        ({}, {}, None, None),
        ({"LNAS_DISABLE_PLUGINS": ""}, {}, None, None),
        ({"LNAS_DISABLE_PLUGINS": "one"}, {}, "LNAS_DISABLE_PLUGINS", None),
        ({"LNAS_DISABLE_PLUGINS": " two, one;"}, {}, "LNAS_DISABLE_PLUGINS", "LNAS_DISABLE_PLUGINS"),
        ({}, {"disable": ["two"]}, None, "--disable-plugin two"),
        ({}, {"disable": ["LNAS_Two"]}, None, "--disable-plugin LNAS_Two"),  # the distribution, as pip compares names
        ({"LNAS_DISABLE_PLUGINS": "one"}, {"disable": ["two"]}, "LNAS_DISABLE_PLUGINS", "--disable-plugin two"),
        ({"LNAS_LOAD_PLUGINS": "one"}, {}, None, "LNAS_LOAD_PLUGINS, which does not name it"),
        (
            {"LNAS_LOAD_PLUGINS": "lnas-two"},
            {"disable": ["two"]},
            "LNAS_LOAD_PLUGINS, which does not name it",
            "--disable-plugin two",
        ),
        ({}, {"no_plugins": True}, "--no-plugins", "--no-plugins"),
    ],
)
def test_a_plugin_that_is_switched_off_is_not_imported_and_says_by_what(
    environment: dict[str, str], line: dict[str, list[str]], one: str | None, two: str | None
) -> None:
    host = Host(switches=Switches.of(environment, **line))  # type: ignore[arg-type]
    for name, switch in {"one": one, "two": two}.items():
        (record,) = (plugin for plugin in host.plugins if plugin.name == name)
        assert (record.status, record.error) == (("disabled", f"switched off by {switch}") if switch else ("active", None))
        assert (f"lnas_{name}" in sys.modules) == (switch is None)
    assert host.warnings == ()


@pytest.mark.usefixtures("both_installed")
def test_the_environment_counts_where_no_switches_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNAS_DISABLE_PLUGINS", "two")
    assert states(Host()) == {"one": "active", "two": "disabled"}
    assert states(Host(switches=Switches())) == {"one": "active", "two": "active"}


@pytest.mark.usefixtures("both_installed")
def test_a_part_of_a_plugin_that_is_switched_off_is_not_unknown() -> None:
    host = Host(switches=Switches.of({}, disable=["one", "two"]))
    with pytest.raises(PluginError) as caught:
        host.registry.get("schedule", "cubic")
    assert str(caught.value).startswith(
        "schedule 'cubic' is not available: plugin one is switched off by --disable-plugin one;"
        " plugin two is switched off by --disable-plugin two; there are: "
    )
    host = Host(switches=Switches.of({}, no_plugins=True))
    with pytest.raises(
        PluginError, match=r"'cubic' is not available: plugins one, two are switched off by --no-plugins; there are"
    ):
        host.registry.get("schedule", "cubic")


@pytest.mark.usefixtures("both_installed")
def test_a_switch_that_names_no_plugin_costs_a_line() -> None:
    host = Host(switches=Switches.of({"LNAS_DISABLE_PLUGINS": "tow"}, disable=["quite-another"]))
    assert host.warnings == (
        "LNAS_DISABLE_PLUGINS: there is no plugin tow; did you mean two?",
        "--disable-plugin quite-another: there is no plugin quite-another",
    )
    host = Host(switches=Switches.of({"LNAS_LOAD_PLUGINS": "one, tow"}, disable=["lnas"]))
    assert host.warnings == (
        "LNAS_LOAD_PLUGINS: there is no plugin tow; did you mean two?",
        "--disable-plugin lnas: lnas itself cannot be switched off",
    )


@pytest.mark.parametrize(
    ("environment", "line", "message"),
    [
        ({"LNAS_PLUGINS_STRICT": "yes"}, {}, "LNAS_PLUGINS_STRICT must be 0 or 1, not 'yes'"),
        ({"LNAS_TRACE_PLUGINS": "2"}, {}, "LNAS_TRACE_PLUGINS must be 0 or 1, not '2'"),
        ({"LNAS_DISABLE_PLUGINS": "a:b"}, {}, "LNAS_DISABLE_PLUGINS: 'a:b' is no name of a plugin; letters, digits, "),
        ({}, {"disable": [""]}, "--disable-plugin: '' is no name of a plugin; letters, digits, "),
    ],
)
def test_a_switch_that_cannot_be_one(environment: dict[str, str], line: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Switches.of(environment, **line)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


def test_strict_raises(install: Install) -> None:
    install("broken", "raise ValueError('no')")
    assert states(Host(switches=Switches.of({"LNAS_PLUGINS_STRICT": "0"}))) == {"broken": "failed"}
    with pytest.raises(PluginError, match=r"^plugin broken \(lnas-broken 0\.3\) failed: ValueError: no$"):
        Host(switches=Switches.of({"LNAS_PLUGINS_STRICT": "1"}))


@pytest.mark.usefixtures("both_installed")
def test_trace_shows_each_call_of_a_hook(capsys: pytest.CaptureFixture[str]) -> None:
    Host(switches=Switches.of({"LNAS_TRACE_PLUGINS": "1"}))
    lines = capsys.readouterr().err.splitlines()
    assert "lnas: trace: lnas_schedules of plugin one (lnas-one 0.3): cubic" in lines
    assert len(lines) == 10  # eight hooks of lnas itself
    Host(switches=Switches())
    assert capsys.readouterr().err == ""


def written(folder: Path, name: str, source: str = CUBIC) -> Path:
    path = folder / name
    path.write_text(dedent(source))
    return path


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    path = written(tmp_path, "my_cubic.py")
    for _ in range(2):  # several hosts in a process load it once
        host = Host(switches=Switches(files=(path, path)), entry_points=False)
        assert len(host.plugins) == 2
        record = host.plugins[-1]
        assert (record.name, record.version, record.origin, record.place) == ("my_cubic", "0.9", "file", str(path))
        assert host.registry.get("schedule", "cubic").load().__name__ == "Cubic"


def test_a_file_that_fails_is_recorded_and_can_be_tried_again(tmp_path: Path) -> None:
    path = written(tmp_path, "my_cubic.py", "def (:")
    record = Host(switches=Switches(files=(path,)), entry_points=False).plugins[-1]
    assert record.status == "failed" and record.error == "SyntaxError: invalid syntax (my_cubic.py, line 1)"
    written(tmp_path, "my_cubic.py", CUBIC)
    assert Host(switches=Switches(files=(path,)), entry_points=False).plugins[-1].status == "active"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.py", "there is no such file"),
        ("my-cubic.py", "a plugin of one file is a module, NAME.py"),
        ("cubic.txt", "a plugin of one file is a module, NAME.py"),
        ("random.py", "there is a module random already, which this file would hide; rename the file"),
        ("colorsys.py", "there is a module colorsys already, which this file would hide; rename the file"),
    ],
)
def test_a_file_that_cannot_be_a_plugin(tmp_path: Path, name: str, message: str) -> None:
    if name != "absent.py":
        written(tmp_path, name)
    with pytest.raises(ConfigError) as caught:
        Host(switches=Switches(files=(tmp_path / name,)), entry_points=False)
    assert str(caught.value).startswith(f"--plugin {tmp_path / name}: {message}")


@pytest.mark.parametrize("api", [0, 1])
def test_this_plugin_api_and_the_one_before_are_loaded(install: Install, api: int) -> None:
    install("cubic", f"PLUGIN_API = {api}\n" + dedent(CUBIC))
    assert states(Host()) == {"cubic": "active"}


def test_another_plugin_api_is_incompatible(install: Install) -> None:
    install("late", "PLUGIN_API = 2\n" + dedent(CUBIC))
    host = Host()
    assert states(host) == {"late": "incompatible"}
    assert host.plugins[1].error == (f"it is written for plugin API 2, and lnas {__version__} has 1; install a newer lnas")
    assert host.warnings == (f"plugin late (lnas-late 0.3) is incompatible: {host.plugins[1].error}",)
    with pytest.raises(PluginError, match="'cubic' is not available: plugin late .* is incompatible: it is written for"):
        host.registry.get("schedule", "cubic")
    assert host.plugins[1].components == ()


def test_a_plugin_api_that_is_no_number(install: Install) -> None:
    install("odd", "PLUGIN_API = '1'\n" + dedent(CUBIC))
    assert Host().plugins[1].error == "its PLUGIN_API is '1'; it must be a whole number, now 1"


def test_what_a_plugin_prints_goes_aside(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("noisy", "print('hello')\n" + dedent(CUBIC) + "\nprint('again')")
    host = Host()
    assert capsys.readouterr() == ("", "hello\nagain\n")
    assert host.warnings == (
        "plugin noisy (lnas-noisy 0.3) prints to standard output while it is loaded, which is for results;"
        " it went to standard error",
    )


def test_a_slow_plugin_costs_a_line(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.host.plugins.SLOW", 100.0)
    install("slow", "import time; time.sleep(0.12)\n" + dedent(CUBIC))
    host = Host()
    assert 120 <= host.plugins[1].milliseconds < 10_000
    assert host.warnings == (
        f"plugin slow (lnas-slow 0.3) took {host.plugins[1].milliseconds / 1000:.1f} s to load;"
        " --disable-plugin slow leaves it out",
    )
