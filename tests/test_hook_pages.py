"""docs/plugins/hooks.md has every hook as it is: its signature, and the arguments that a part of its kind is given."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lnas.host import hookspecs
from lnas.host.hookspecs import HOOKS
from lnas.host.plugins import Host
from lnas.testing.plugin import SUITES

PAGE = (Path(__file__).parent.parent / "docs" / "plugins" / "hooks.md").read_text(encoding="utf-8")
LEADING = {
    "section": "files",  # the only one, and given by position: its name is the page's
}


def leading(kind: str) -> list[str]:
    """The names of the leading arguments in the words of the hook's own contract."""
    if kind in LEADING:
        return [LEADING[kind]]
    text = inspect.getdoc(getattr(hookspecs, HOOKS[kind])) or ""
    found = re.search(r"Leading arguments?: (.*?)\. |called with (.*?)\. ", " ".join(text.split()))
    return re.findall(r"`(\w+)`", found[0]) if found else []


def sections(page: str) -> dict[str, str]:
    """The text below each heading that is the name of a hook."""
    parts = re.split(r"^## (lnas_\w+)$", page, flags=re.M)
    return dict(zip(parts[1::2], (re.split(r"^## ", part, flags=re.M)[0] for part in parts[2::2]), strict=True))


def row(section: str, name: str) -> str:
    found = re.search(rf"^\| {name} \| (.*) \|$", section, re.M)
    return found[1] if found else ""


def signature(hook: str) -> str:
    """As a plugin writes it."""
    names = ", ".join(
        f"{name}: lnas.{p.annotation.__name__}" for name, p in inspect.signature(getattr(hookspecs, hook)).parameters.items()
    )
    return f"@lnas.hookimpl\ndef {hook}({names}) -> None:\n"


def faults(page: str) -> list[str]:
    """What is wrong with a page of hooks."""
    found, wrong = sections(page), []
    head = page.split("\n## ")[0]
    for name in inspect.signature(hookspecs.Register.__call__).parameters:
        if name != "self" and not re.search(rf"\*\*{name}\*\*|`{name}=", head):
            wrong.append(f"register: nothing on {name}")
    for kind, hook in HOOKS.items():
        section = found.get(hook, "")
        if not section:
            wrong.append(f"{hook}: there is no section")
            continue
        if signature(hook) not in section:
            wrong.append(f"{hook}: no example has its signature")
        if f"[`{hook}`](#{hook}) | {kind} |" not in page:
            wrong.append(f"{hook}: it is not in the table")
        given = re.findall(r"`(\w+)`", row(section, "leading arguments"))
        expected = leading(kind)
        if list(dict.fromkeys(name for name in given if name in expected)) != expected:
            wrong.append(f"{hook}: leading arguments {given}, not {expected}")
        if not expected and not row(section, "leading arguments").startswith("none"):
            wrong.append(f"{hook}: it has no leading argument")
        wrong += [f"{hook}: nothing on {name}" for name in ("the part", "options", "returns", "called") if not row(section, name)]
        if row(section, "suite") != (f"`{SUITES[kind]}`" if kind in SUITES else ""):
            wrong.append(f"{hook}: another suite")
    wrong += [
        f"{name}: there is no such hook" for name in {*found, *re.findall(r"^def (lnas_\w+)\(", page, re.M)} - {*HOOKS.values()}
    ]
    return wrong


def test_the_page_has_every_hook() -> None:
    assert faults(PAGE) == []


def test_leading_arguments_are_read_off_the_contract() -> None:
    assert leading("strategy") == ["space", "loss", "steps", "seed"]
    assert leading("importance") == ["tensors", "masks", "loss"]
    assert leading("space") == ["task"]
    assert leading("cost") == ["network", "task"]
    assert leading("schedule") == leading("command") == []


@pytest.mark.parametrize("kind", ["strategy", "space", "importance", "recipe"])
def test_the_built_in_parts_take_the_leading_arguments(kind: str) -> None:
    """What the page says is what lnas's own parts of the kind are called with."""
    parts = Host(entry_points=False).registry.all(kind)
    assert parts
    for part in parts:
        parameters = inspect.signature(part.load()).parameters.values()
        assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == leading(kind), part


def test_the_keywords_of_a_recipe_are_on_the_page() -> None:
    words = re.findall(r"`(\w+)`", row(sections(PAGE)["lnas_recipes"], "by keyword"))
    for component in Host(entry_points=False).registry.all("recipe"):
        parameters = inspect.signature(component.load()).parameters.values()
        assert {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} <= set(words)


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(page: str) -> str:
        assert old in page
        return page.replace(old, new, 1)

    return change


BROKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "a hook is missing": (replaced("## lnas_costs", "## Costs"), "lnas_costs: there is no section"),
    "a hook that does not exist": (
        lambda page: page + "\n## lnas_losses\n\ntext\n",
        "lnas_losses: there is no such hook",
    ),
    "an example of a hook that does not exist": (
        lambda page: page + "\n```python\n@lnas.hookimpl\ndef lnas_losses(register):\n    ...\n```\n",
        "lnas_losses: there is no such hook",
    ),
    "a signature is another": (
        replaced("def lnas_targets(register: lnas.Register) -> None:", "def lnas_targets(add) -> None:"),
        "lnas_targets: no example has its signature",
    ),
    "a mark is missing": (
        replaced("@lnas.hookimpl\ndef lnas_recipes", "def lnas_recipes"),
        "lnas_recipes: no example has its signature",
    ),
    "a leading argument is not named": (
        replaced("`space`, `loss`, `steps` (of the whole search) and `seed`", "`space`, `loss` and `seed`"),
        "lnas_strategies: leading arguments ['space', 'loss', 'seed'], not ['space', 'loss', 'steps', 'seed']",
    ),
    "leading arguments in another order": (
        replaced("`tensors`, `masks` and `loss`", "`masks`, `tensors` and `loss`"),
        "lnas_importances: leading arguments ['masks', 'tensors', 'loss'], not ['tensors', 'masks', 'loss']",
    ),
    "an argument that is none": (
        replaced(
            "| leading arguments | none |\n| options | all parameters, usually",
            "| leading arguments | `round` |\n| options | all parameters, usually",
        ),
        "lnas_schedules: it has no leading argument",
    ),
    "a row is missing": (replaced("| returns | a finite number |\n", ""), "lnas_costs: nothing on returns"),
    "another suite": (replaced("| suite | `SpaceSuite` |", "| suite | `SpacesSuite` |"), "lnas_spaces: another suite"),
    "a line of the table is missing": (
        replaced("[`lnas_observers`](#lnas_observers)", "[`lnas_observers`](#observers)"),
        "lnas_observers: it is not in the table",
    ),
}


@pytest.mark.parametrize(("change", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_page_that_is_wrong_is_seen(change: Callable[[str], str], fault: str) -> None:
    assert fault in faults(change(PAGE))
