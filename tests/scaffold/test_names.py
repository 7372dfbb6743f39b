import pytest

from lnas.core.errors import UnknownNameError
from lnas.host.hookspecs import HOOKS
from lnas.host.plugins import Host
from lnas.scaffold.distribution import USES, contents
from lnas.scaffold.names import KINDS, Names, names_of


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(entry_points=False)


@pytest.mark.parametrize(
    ("name", "kind", "made"),
    [
        ("lnas-step-wise", "schedule", ("lnas_step_wise", "step-wise", "StepWise", "StepWiseSchedule")),
        ("Lnas_Step.Wise", "importance", ("lnas_step_wise", "step-wise", "StepWise", "step_wise_importance")),
        ("ripple", "target", ("ripple", "ripple", "Ripple", "RippleTarget")),
        ("lnas-my-target", "target", ("lnas_my_target", "my-target", "MyTarget", "MyTarget")),
        ("lnas-dataset", "dataset", ("lnas_dataset", "dataset", "Dataset", "dataset")),
        ("lnas-3d", "space", ("lnas_3d", "3d", "Lnas3d", "lnas_3d_space")),
        ("lnas-none", "strategy", ("lnas_none", "none", "None", "NoneStrategy")),
        ("lnas-import", "recipe", ("lnas_import", "import", "Import", "import_recipe")),
    ],
)
def test_all_names_are_made_of_one(host: Host, name: str, kind: str, made: tuple[str, ...]) -> None:
    found = names_of(name, kind, host)
    assert (found.package, found.part, found.title, found.object) == made
    assert (found.distribution, found.hook) == (name, HOOKS[kind])


def test_a_kind_without_a_template_is_unknown(host: Host) -> None:
    with pytest.raises(UnknownNameError, match="unknown kind of part 'command'"):
        names_of("lnas-wave", "command", host)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_kind_and_compiles(kind: str) -> None:
    made = contents(Names("lnas-wave", kind, "lnas_wave", "wave", "Wave", "Wave"))
    assert kind in HOOKS and USES[kind].count("{}") == 1
    for name, text in made.items():
        assert "{{" not in text and "{%" not in text
        if name.endswith(".py"):
            compile(text, name, "exec")
    part = made[f"lnas_wave/{kind}.py"]
    assert "An example" in part
    assert len(part.splitlines()) <= 90
