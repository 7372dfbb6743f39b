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
        assert (
            "Leading argument" in hook.__doc__ or "No leading argument" in hook.__doc__ or "the function itself" in hook.__doc__
        )
        assert "Returns" in hook.__doc__


def test_the_public_marker_is_this_one() -> None:
    assert lnas.hookimpl is hookimpl
    assert hookimpl.project_name == "lnas"


def test_the_contract_has_a_version() -> None:
    assert hookspecs.PLUGIN_API == 1
