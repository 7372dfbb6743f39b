from pathlib import Path

import pytest
import torch

from lnas.host.plugins import Host
from lnas.report.page import render
from lnas.report.read import read
from lnas.report.sections import Section, added

SOURCE = """
    import lnas
    from markupsafe import Markup

    @lnas.hookimpl
    def lnas_report_sections(register):
        register("a", "lnas_notes:plain", summary="Notes <1>")
        register("b", "lnas_notes:markup", summary="Marked")
        register("c", "lnas_notes:broken", summary="Broken")
        register("d", "lnas_notes:silent", summary="Silent")
        register("e", "lnas_notes:number")
        register("f", "lnas_notes:leaves")
        register("g", "lnas_notes:lost")

    def plain(run):
        print("aside")
        return f"<b>{run.name}</b> & more"

    def markup(run):
        return Markup("<table class='mine'><tr><td>1</td></tr></table>")

    def broken(run):
        raise KeyError("<script>")

    def silent(run):
        return None

    def number(run):
        import torch
        torch.manual_seed(1)
        return 3

    def leaves(run):
        raise SystemExit(3)
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_text("batch = 8\n")
    return folder


@pytest.fixture
def host(install, built_in_parts_only) -> Host:
    install("notes", SOURCE)
    return Host()


def test_a_section_is_what_its_plugin_says_or_what_went_wrong(run: Path, host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    name, state = "plugin notes (lnas-notes 0.3)", torch.get_rng_state()
    missing = "AttributeError: module 'lnas_notes' has no attribute 'lost'"
    assert added(host.registry, read(run)) == [
        Section("Notes <1>", "<b>run</b> & more"),
        Section("Marked", "<table class='mine'><tr><td>1</td></tr></table>"),
        Section("Broken", f"section c of {name} failed: KeyError: '<script>'", failed=True),
        Section("e", f"section e of {name} returned a int, not text", failed=True),
        Section("f", f"section f of {name} failed: SystemExit: 3", failed=True),
        Section("g", f"section g of {name} (lnas_notes:lost) cannot be loaded: {missing}", failed=True),
    ]
    assert torch.equal(state, torch.get_rng_state())
    assert capsys.readouterr() == ("", "aside\n")


def test_text_is_escaped_and_markup_is_not(run: Path, host: Host) -> None:
    page = render(run, host.registry)
    assert "<h2>Notes &lt;1&gt;</h2>" in page
    assert "&lt;b&gt;run&lt;/b&gt; &amp; more" in page
    assert "<table class='mine'><tr><td>1</td></tr></table>" in page
    assert "KeyError: &#39;&lt;script&gt;&#39;" in page and "<script>" not in page
    assert "Silent" not in page


def test_the_rest_of_the_report_is_as_without(run: Path, host: Host) -> None:
    page, plain = render(run, host.registry), render(run)
    start, end = page.index('<section class="plugin">'), page.index('<section id="how">')
    assert (page[:start] + page[end:]).split() == plain.split()
