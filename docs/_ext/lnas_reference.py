"""Directives that write the reference from the code: `lnas-commands` from click, `lnas-components` from the registry,
`lnas-suites` from `lnas.testing`.

They make sections, each with a label of its own, so that a page may link to `#lnas-run` or to `#strategy-darts`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.logging import getLogger

import lnas.testing
from lnas.cli import main
from lnas.host.hookspecs import HOOKS
from lnas.host.options import Option, options_of
from lnas.host.plugins import Host
from lnas.host.registry import Component
from lnas.host.spec import as_text
from lnas.testing.part import PartSuite
from lnas.testing.plugin import SUITES
from lnas.testing.suite import rules

LOGGER = getLogger(__name__)

TITLES = {
    "strategy": "Search strategies",
    "space": "Search spaces",
    "schedule": "Pruning schedules",
    "target": "Mask targets",
    "importance": "Importances",
    "recipe": "Recipes",
    "dataset": "Data sets",
    "observer": "Observers",
    "executor": "Executors",
    "cost": "Costs",
    "section": "Sections of the report",
    "command": "Commands",
}


class Commands(SphinxDirective):
    """Every command of `lnas`, as `--help` shows it."""

    def run(self) -> list[nodes.Node]:
        found = list(self.sections(main, click.Context(main, info_name="lnas")))
        for section in found:
            self.state.document.note_explicit_target(section)
        return found

    def sections(self, command: click.Command, context: click.Context) -> Iterator[nodes.section]:
        usage = f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
        section = titled(context.command_path, context.command_path.replace(" ", "-"))
        section += nodes.literal_block(usage, usage, language="text")
        section += paragraphs(command.help or "")
        records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
        section += definitions(records)
        yield section
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                if inner is not None and not inner.hidden:
                    yield from self.sections(inner, click.Context(inner, info_name=name, parent=context))


class Components(SphinxDirective):
    """Every part, with its options; a plugin that failed is a warning, and warnings are errors."""

    def run(self) -> list[nodes.Node]:
        host = Host()
        for warning in host.warnings:
            LOGGER.warning("%s", warning)
        found = [self.of_kind(kind, host.registry.all(kind)) for kind in HOOKS]
        return [section for section in found if len(section) > 1]

    def of_kind(self, kind: str, parts: Iterable[Component]) -> nodes.section:
        section = titled(TITLES[kind], f"kind-{kind}")
        for part in parts:
            section += self.of_part(part)
        return section

    def of_part(self, part: Component) -> nodes.section:
        section = titled(part.name, f"{part.kind}-{part.name}")
        self.state.document.note_explicit_target(section)
        origin = "" if part.distribution in (None, "lnas") else f" Comes with `{part.distribution}`."
        section += paragraphs(f"{sentence(part.summary)}{origin}")
        loaded = part.load()
        section += paragraphs(inspect.getdoc(loaded) or "", most=1)
        section += definitions((option.name, described(option)) for option in options_of(loaded, part.kind))
        return section


class Suites(SphinxDirective):
    """Every suite: what an author may say, and its rules; those that all suites have stand first."""

    def run(self) -> list[nodes.Node]:
        common = dict(rules(PartSuite))
        found = [self.of_rules("Every kind", "suite-every", "The rules of every kind of part.", common)]
        for kind, name in SUITES.items():
            suite = getattr(lnas.testing, name)
            own = {rule: check for rule, check in rules(suite) if rule not in common or check is not common[rule]}
            found.append(self.of_rules(name, f"suite-{kind}", inspect.getdoc(suite) or "", own))
        for section in found:
            self.state.document.note_explicit_target(section)
        return found

    def of_rules(self, title: str, label: str, text: str, found: Mapping[str, Callable[..., object]]) -> nodes.section:
        section = titled(title, label)
        words, _, attributes = text.partition("Attributes:\n")
        section += [part for part in paragraphs(words) if "(" not in part.astext() or "class Test" not in part.astext()]
        pairs = re.findall(r"^    (\w+): (.+(?:\n     .+)*)", attributes, re.M)
        section += definitions((name, sentence(" ".join(what.split()))) for name, what in pairs)
        items = (nodes.list_item("", *paragraphs(inspect.getdoc(check) or "")) for check in found.values())
        section += nodes.bullet_list("", *items)
        return section


def described(option: Option) -> str:
    if option.required:
        default = "needed"
    elif option.default is None or option.default in ("", ()):
        default = "none by default"
    else:
        default = f"default `{as_text(option.name, option.default)}`"
    return f"{sentence(option.help)} {sentence(option.form).removesuffix('.')}; {default}.".strip()


def sentence(text: str) -> str:
    """With a capital and a full stop; a letter of the paper (k, p, n) stays small."""
    text = text.strip()
    first = text[:1] if re.match(r"[a-z]\b", text) else text[:1].upper()
    return text and first + text[1:] + ("" if text.endswith((".", "!", "?", ":")) else ".")


def titled(title: str, label: str) -> nodes.section:
    label = re.sub(r"[^a-z0-9-]+", "-", label.lower())
    section = nodes.section(ids=[label], names=[label])
    section += nodes.title(title, title)
    return section


def paragraphs(text: str, most: int | None = None) -> list[nodes.Node]:
    """The paragraphs of a help text or docstring; click's mark \\b keeps the lines of one as they are."""
    found: list[nodes.Node] = []
    for part in [part for part in re.split(r"\n\s*\n", inspect.cleandoc(text).split("\f")[0]) if part.strip()][:most]:
        if part.startswith("\b"):
            lines = part.removeprefix("\b").strip("\n")
            found.append(nodes.literal_block(lines, lines, language="text"))
        else:
            found.append(nodes.paragraph("", "", *inline(" ".join(part.split()))))
    return found


def definitions(records: Iterable[tuple[str, str]]) -> list[nodes.Node]:
    items = [
        nodes.definition_list_item(
            "",
            nodes.term("", "", nodes.literal(term, term)),
            nodes.definition("", nodes.paragraph("", "", *inline(text))),
        )
        for term, text in records
    ]
    return [nodes.definition_list("", *items)] if items else []


def inline(text: str) -> Iterator[nodes.Node]:
    """Plain text with `code` in it."""
    for index, part in enumerate(re.split(r"`+([^`]+)`+", text)):
        if part:
            yield nodes.literal(part, part) if index % 2 else nodes.Text(part)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("lnas-commands", Commands)
    app.add_directive("lnas-components", Components)
    app.add_directive("lnas-suites", Suites)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
