import inspect

import pluggy

import lnas
from lnas.host import hookspecs
from lnas.host.hookspecs import HOOKS, hookimpl


def test_there_is_one_documented_hook_for_each_kind() -> None:
    manager = pluggy.PluginManager("lnas")
    specs = [name for name in vars(hookspecs) if manager.parse_hookspec_opts(hookspecs, name) is not None]
    assert specs == list(HOOKS.values())
    for name in specs:
        hook = getattr(hookspecs, name)
        assert list(inspect.signature(hook).parameters) == ["register"]
        assert any(words in hook.__doc__ for words in ("Leading argument", "No leading argument", "The part is "))
        assert "Returns" in hook.__doc__ or name == "lnas_commands"


def test_the_public_marker_is_this_one() -> None:
    assert lnas.hookimpl is hookimpl
    assert hookimpl.project_name == "lnas"


def test_the_contract_has_a_version() -> None:
    assert hookspecs.PLUGIN_API == 1
