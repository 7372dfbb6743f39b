"""Sections that plugins add to a report; one that fails is a box that says so."""

from dataclasses import dataclass

from markupsafe import Markup

from lnas.host.foreign import in_one_line
from lnas.host.registry import Registry
from lnas.report.read import RunFiles


@dataclass(frozen=True)
class Section:
    """A section as a plugin wrote it.

    Attributes:
        title: the part's summary.
        body: text, which the template escapes, or markup, which it does not.
        failed: whether the body says what went wrong.
    """

    title: str
    body: str | Markup
    failed: bool = False


def added(registry: Registry, files: RunFiles) -> list[Section]:
    """The sections of all plugins that have something to say about a run, by name."""
    parts, sections = registry.all("section"), []
    if parts:  # a report without them is written without torch
        from lnas.host.runtime import apart
    for part in parts:
        title = part.summary or part.name
        try:
            with apart():
                body = part.load()(files)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # foreign code, which may even exit: the rest of the report is as ever
            words = in_one_line(error)
            sections.append(Section(title, words if words.startswith(str(part)) else f"{part} failed: {words}", failed=True))
            continue
        if body is not None and not isinstance(body, str):
            sections.append(Section(title, f"{part} returned a {type(body).__name__}, not text", failed=True))
        elif body and any("\ud800" <= character <= "\udfff" for character in body):
            sections.append(Section(title, f"{part} returned text that is no Unicode", failed=True))
        elif body:
            sections.append(Section(title, body))
    return sections
