import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import lnas
from lnas import __version__, hookimpl
from lnas.core.errors import PluginError, UnknownNameError
from lnas.host.options import options_of
from lnas.host.plugins import Host, PluginRecord
from lnas.host.registry import KINDS
from lnas.host.switches import Switches

Install = Callable[..., Path]

CUBIC = """
    from lnas import hookimpl

    @hookimpl
    def lnas_schedules(register):
        register("cubic", "{module}:Cubic", summary="fast early,\\n  gentle late")

    class Cubic:
        pass
"""


def record(host: Host, name: str) -> PluginRecord:
    (found,) = [plugin for plugin in host.plugins if plugin.name == name]
    return found


def test_the_built_in_parts_come_through_the_hooks_and_can_all_be_loaded() -> None:
    host = Host(entry_points=False)
    (built_in,) = host.plugins
    assert (built_in.name, built_in.version, built_in.origin, built_in.status) == ("lnas", __version__, "built-in", "active")
    assert host.warnings == ()
    names = {kind: [part.name for part in host.registry.all(kind)] for kind in KINDS}
    assert names == {
        "strategy": ["darts", "random"],
        "space": ["cells"],
        "schedule": ["iterative", "never", "one-shot"],
        "target": ["alpha", "theta"],
        "importance": ["magnitude", "probability", "random", "shuffled"],
        "recipe": ["baseline", "generalized", "variant1", "variant2"],
        "dataset": ["cifar10", "cifar100", "digits", "fashion_mnist", "folder", "mnist"],
        "observer": [],
        "executor": ["process", "serial"],
        "cost": [],
        "section": [],
        "command": [],
    }
    for part in built_in.components:
        assert part.summary
        for option in options_of(part.load(), part.kind):
            assert option.help, f"{part}: {option.name} is not explained"


def test_an_installed_plugin_is_found_with_its_distribution(install: Install) -> None:
    install("cubic", CUBIC)
    host = Host()
    found = record(host, "cubic")
    assert (found.distribution, found.version, found.origin, found.status) == ("lnas-cubic", "0.3", "entry point", "active")
    part = host.registry.get("schedule", "cubic")
    assert found.components == (part,)
    assert (part.plugin, part.version, part.summary) == ("cubic", "0.3", "fast early, gentle late")
    assert part.load().__name__ == "Cubic"


def test_installed_plugins_are_not_looked_for_where_they_are_not_wanted(install: Install) -> None:
    install("cubic", CUBIC)
    assert [plugin.name for plugin in Host(entry_points=False).plugins] == ["lnas"]
    assert "lnas_cubic" not in sys.modules


def test_installed_plugins_come_in_the_order_of_their_names(install: Install) -> None:
    for name in ("zeta", "alpha_first", "middle"):
        install(name, CUBIC)
    ours = [plugin.name for plugin in Host().plugins if plugin.name in ("zeta", "alpha_first", "middle")]
    assert ours == ["alpha_first", "middle", "zeta"]


BROKEN = {
    "an import that is missing": ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    "an exit": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "a syntax error": ("def (:", "SyntaxError: invalid syntax"),
    "a message of several lines": (r"raise RuntimeError('one\n\x1b[31mtwo')", "RuntimeError: one ?[31mtwo"),
    "an error that cannot be shown": (
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "E",
    ),
    "a misspelt hook": (
        "import lnas\n@lnas.hookimpl\ndef lnas_shedules(register): pass",
        "there is no hook lnas_shedules; did you mean lnas_schedules?",
    ),
    "an unmarked hook": (
        "def lnas_schedules(register): pass",
        "its function lnas_schedules is not marked; write @lnas.hookimpl above it",
    ),
    "a generator": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): yield",
        "its function lnas_schedules is a generator or a coroutine; it must call register at once",
    ),
    "no hook": ("pass", "it implements no hook; the hooks are lnas_strategies, "),
    "a hook with other arguments": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(registrar): pass",
        "PluginValidationError: ",
    ),
    "a hook that raises": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "a name that cannot be typed": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): register('a:b', 'a:B')",
        "'a:b' cannot be the name of a schedule; letters, digits, ",
    ),
    "a target that is no target": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): register('a', 'a.B')",
        "schedule a: 'a.B' is no \"module:Object\"",
    ),
    "a class in place of its name": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): register('a', int)",
        "schedule a: <class 'int'> is no \"module:Object\"",
    ),
    "small options that are none": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): register('a', 'a:B', small='rounds')",
        "schedule a: small='rounds': option 'rounds' has no value in 'rounds'; write rounds=VALUE",
    ),
    "small options that are no text": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): register('a', 'a:B', small=3)",
        "schedule a: small=3: ",
    ),
    "a name registered twice": (
        "import lnas\n@lnas.hookimpl\ndef lnas_schedules(register): register('a', 'a:B'); register('a', 'a:C')",
        "schedule a is registered twice",
    ),
}


@pytest.mark.parametrize(("source", "error"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_recorded_and_the_others_work(install: Install, source: str, error: str) -> None:
    install("broken", source)
    install("cubic", CUBIC)
    host = Host()
    failed = record(host, "broken")
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.startswith(error)
    assert "\n" not in failed.error
    assert failed.traceback.startswith("Traceback (most recent call last):") and failed.traceback.count("\n") > 2
    assert host.warnings == (f"plugin broken (lnas-broken 0.3) cannot be used: {failed.error}; see lnas plugins info broken",)
    assert record(host, "cubic").status == "active"
    assert host.registry.get("schedule", "cubic").load().__name__ == "Cubic"
    assert len(host.registry.all("schedule")) == 4


def test_an_interrupt_is_not_swallowed(install: Install) -> None:
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Host()


def test_a_hook_of_a_later_lnas_may_be_marked_optional(install: Install) -> None:
    later = "import lnas\n@lnas.hookimpl(optionalhook=True)\ndef lnas_reports(register): pass\n"
    install("later", later + textwrap.dedent(CUBIC))
    assert record(Host(), "later").status == "active"


def test_an_entry_point_that_does_not_exist_is_recorded(install: Install) -> None:
    install("lost", CUBIC, target="lnas_nowhere:plugin")
    assert record(Host(), "lost").error == "ModuleNotFoundError: No module named 'lnas_nowhere'"


def test_a_part_that_was_registered_before_the_failure_cannot_be_used(install: Install) -> None:
    install("half", textwrap.dedent(CUBIC) + "\n@hookimpl\ndef lnas_importances(register): raise OSError('no disk')")
    host = Host()
    with pytest.raises(PluginError) as caught:
        host.registry.get("schedule", "cubic")
    assert str(caught.value) == (
        "schedule 'cubic' is not available: plugin half (lnas-half 0.3) failed: OSError: no disk; see lnas plugins info half"
    )


def test_a_name_is_not_unknown_where_a_plugin_failed_that_may_have_it(install: Install) -> None:
    install("broken", "raise ImportError('libx is missing')")
    failed = "plugin broken (lnas-broken 0.3) failed: ImportError: libx is missing; see lnas plugins info broken"
    with pytest.raises(PluginError) as caught:
        Host().registry.get("schedule", "iterativ")
    assert str(caught.value) == (
        f"schedule 'iterativ' is not available: {failed}; did you mean 'iterative'? there are: iterative, never, one-shot"
    )
    with pytest.raises(PluginError) as caught:
        Host().registry.get("schedule", "broken/cubic")
    assert str(caught.value) == f"schedule 'cubic' is not available: {failed}"


def test_the_second_plugin_of_a_name_is_shadowed_and_never_renamed(install: Install) -> None:
    install("one", CUBIC, entry="cubic")
    install("two", CUBIC, entry="cubic")
    install("three", CUBIC, entry="lnas")
    host = Host()
    assert [(plugin.name, plugin.distribution, plugin.status) for plugin in host.plugins[1:]] == [
        ("cubic", "lnas-one", "active"),
        ("cubic", "lnas-two", "shadowed"),
        ("lnas", "lnas-three", "shadowed"),
    ]
    assert host.registry.get("schedule", "cubic").target == "lnas_one:Cubic"
    assert "lnas_two" not in sys.modules
    assert host.warnings == (
        "plugin cubic (lnas-two 0.3) is shadowed: the name is that of plugin cubic (lnas-one 0.3);"
        " to use this one, write --disable-plugin lnas-one",
        f"plugin lnas (lnas-three 0.3) is shadowed: the name is that of lnas {__version__}; give this one another",
    )
    other = Host(switches=Switches.of({}, disable=["lnas-one"]))
    assert other.registry.get("schedule", "cubic").target == "lnas_two:Cubic"
    assert other.registry.get("schedule", "cubic/cubic").target == "lnas_two:Cubic"


def test_one_object_is_one_plugin(install: Install) -> None:
    install("one", CUBIC, entry="first")
    install("two", CUBIC, entry="second", target="lnas_one")
    assert record(Host(), "second").error == "it is the same object as the plugin first"


def test_a_distribution_whose_entry_points_are_damaged_costs_no_other_plugin(install: Install) -> None:
    path = install("odd", CUBIC)
    install("cubic", CUBIC)
    damaged = path.with_name("lnas_odd-0.3.dist-info") / "entry_points.txt"
    damaged.write_text("[lnas]\njust words\n")
    host = Host()
    assert {"lnas", "cubic"} <= {plugin.name for plugin in host.plugins if plugin.status == "active"}
    (line,) = host.warnings
    assert line.startswith(f"the entry points of {damaged.parent} cannot be read: ")
    with pytest.raises(PluginError, match="cannot be read"):
        Host(switches=Switches(strict=True))


def test_two_names_of_one_distribution_are_told_apart_by_nobody(install: Install) -> None:
    path = install("twice", CUBIC, entry="cubic")
    path.with_name("lnas_twice-0.3.dist-info").joinpath("entry_points.txt").write_text(
        "[lnas]\ncubic = lnas_twice\ncubic = lnas_none\n"
    )
    host = Host()
    assert [plugin.status for plugin in host.plugins] == ["active", "active", "shadowed"]
    assert host.warnings[0].endswith("the name is that of plugin cubic (lnas-twice 0.3); its distribution uses it twice")


def test_a_file_that_several_threads_ask_for_is_loaded_once(tmp_path: Path) -> None:
    source = "import time; time.sleep(0.2)\n" + textwrap.dedent(CUBIC).replace("{module}", "slow_cubic")
    (tmp_path / "slow_cubic.py").write_text(source)
    switches = Switches(files=(tmp_path / "slow_cubic.py",))
    with ThreadPoolExecutor(4) as pool:
        hosts = list(pool.map(lambda _: Host(switches=switches, entry_points=False), range(4)))
    assert [host.plugins[-1].status for host in hosts] == ["active"] * 4


class Toy:
    """A plugin as an embedder hands it over."""

    @hookimpl
    def lnas_schedules(self, register: Callable[..., None]) -> None:
        register("toy", "lnas_toy:Toy")


def test_an_argument_is_a_plugin_too() -> None:
    host = Host([Toy(), Toy()], entry_points=False)
    assert [(p.name, p.origin, p.status) for p in host.plugins[1:]] == [
        ("Toy", "argument", "active"),
        ("Toy", "argument", "shadowed"),
    ]
    assert host.registry.get("schedule", "toy").qualified == "Toy/toy"


def test_an_argument_wins_its_name_from_what_is_installed(install: Install) -> None:
    install("toy", CUBIC, entry="Toy")
    host = Host([Toy()])
    assert [(plugin.origin, plugin.status) for plugin in host.plugins[1:]] == [
        ("argument", "active"),
        ("entry point", "shadowed"),
    ]


def test_an_argument_that_cannot_be_a_plugin_is_recorded() -> None:
    host = Host([SimpleNamespace(), Toy()], entry_points=False)
    assert [plugin.status for plugin in host.plugins] == ["active", "failed", "active"]
    assert host.plugins[1].error == "TypeError: unhashable type: 'types.SimpleNamespace'"


def test_a_plugin_that_failed_leaves_nothing_behind() -> None:
    class Broken(Toy):
        @hookimpl
        def lnas_recipes(self, register: Callable[..., None]) -> None:
            raise OSError("no disk")

    broken = Broken()
    broken.__name__ = "first"
    host = Host([broken, Toy()], entry_points=False)
    assert [plugin.error for plugin in host.plugins[1:]] == ["OSError: no disk", None]
    assert host.registry.get("schedule", "toy").plugin == "Toy"
    host = Host([broken], entry_points=False)
    with pytest.raises(PluginError, match="schedule 'toy' is not available: plugin first failed: OSError: no disk"):
        host.registry.get("schedule", "toy")


def test_nothing_is_global() -> None:
    with_toy, without = Host([Toy()], entry_points=False), Host(entry_points=False)
    assert with_toy.registry.get("schedule", "toy").name == "toy"
    with pytest.raises(UnknownNameError):
        without.registry.get("schedule", "toy")


def test_naming_things_does_not_import_torch() -> None:
    names = [
        "config",
        "epochs",
        "fields",
        "hookspecs",
        "layers",
        "options",
        "plugins",
        "prune_lines",
        "registry",
        "spec",
        "switches",
        "toml",
    ]
    imports = ", ".join(f"lnas.host.{module}" for module in [*names, "values"])
    code = f"""
        import sys, {imports}, lnas.builtin.plugin
        host = lnas.host.plugins.Host(entry_points=False)  # what else is installed here may import what it likes
        lnas.host.config.merge(None, {{}}, {{"recipe": "variant1"}})
        assert len(host.registry.all("strategy")) >= 2
        heavy = {{"torch", "torchvision", "numpy", "click", "rich"}} & set(sys.modules)
        sys.exit(f"imported {{heavy}}" if heavy else 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("plugins", [Toy(), "lnas_cubic", 3])
def test_plugins_that_are_no_list(plugins: object) -> None:
    with pytest.raises(lnas.ConfigError, match=r"plugins must be a list of modules or objects, not .*; write plugins=\[\.\.\.\]"):
        Host(plugins, entry_points=False)  # type: ignore[arg-type]
