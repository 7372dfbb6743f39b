import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import pytest

from lnas.core.errors import RunError
from lnas.report.page import render, write

MakeRun = Callable[..., Path]

VOID = {"meta", "link", "br", "img", "hr", "input"}
HOSTILE = (
    "</style></svg><script>alert(1)</script><img src=http://x.test/> \"'& $\\frac$ [/x] {{ 7*7 }}\x1b[31mred\x1b[0m\ud800\u202e"
    + "y" * 300
)
MEASURE = """onload = () => {
    const page = document.querySelector("iframe").contentDocument;
    const style = element => page.defaultView.getComputedStyle(element);
    const shown = [...page.querySelectorAll("svg text")].filter(text => text.getClientRects().length);
    document.body.dataset.measured = JSON.stringify({
        scroll: page.documentElement.scrollWidth,
        title: page.title,
        scripts: page.scripts.length,
        sections: [...page.querySelectorAll("section")].map(section => section.id),
        smallest: Math.min(...shown.map(text => text.getScreenCTM().a * parseFloat(style(text).fontSize))),
        background: style(page.body).backgroundColor,
        ink: style(page.querySelector("svg.plot text")).fill,
    });
}"""
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


class Page(HTMLParser):
    """Tags, attributes and text of a page; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.within: dict[str, str] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
            self.within[self.open[-1] if self.open else ""] = data

    @property
    def sections(self) -> list[str | None]:
        return [attributes.get("id") for tag, attributes in self.tags if tag == "section"]

    def all(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


@pytest.mark.parametrize(
    ("recipe", "sections"),
    [
        ("baseline", ["results", "accuracy", "paths", "cells", "how"]),
        ("variant1", ["results", "accuracy", "paths", "sparsity", "cells", "how"]),
        ("variant2", ["results", "accuracy", "pace", "paths", "sparsity", "cells", "how"]),
        ("generalized", ["results", "accuracy", "pace", "paths", "sparsity", "cells", "how"]),
    ],
)
def test_a_finished_run_has_every_section(make_run: MakeRun, recipe: str, sections: list[str]) -> None:
    run = make_run(recipe)
    page = Page(render(run))
    assert page.sections == sections
    assert "97.50 % of the test pictures right" in page.text
    assert "n = 1" in page.text and "no interval" in page.text and "no claim" in page.text
    assert f"lnas run --strategy darts --recipe {recipe} --seed 0" in page.text
    assert (run / "config.toml").read_text() in page.text
    assert "Example CPU @ 2.00GHz" in page.text and "lnas-channels 0.1.0" in page.text
    drawings = [attributes["class"] for tag, attributes in page.tags if tag == "svg"]
    # accuracy and perhaps time wide and narrow, two heat maps; two cells
    assert drawings == ["plot"] * (6 if "pace" in sections else 4) + ["cell"] * 2


@pytest.mark.parametrize("recipe", ["baseline", "generalized"])
def test_the_page_runs_nothing_and_asks_for_nothing(make_run: MakeRun, recipe: str) -> None:
    html = render(make_run(recipe))
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert set(re.findall(r"https?://[^\s\"'<>]*", html)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    for reference in (*page.all("href"), *page.all("xlink:href"), *page.all("src")):
        assert reference.startswith(("#", "data:image/png;base64,"))
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; ") and "script" not in policy


def test_ids_are_unique_and_every_reference_is_answered(make_run: MakeRun) -> None:
    html = render(make_run("generalized"))
    page = Page(html)
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert references and references <= set(ids)


def test_everything_of_a_run_is_escaped(make_run: MakeRun) -> None:
    html = render(make_run("generalized", name="<script>[red]", hostile=HOSTILE))
    page = Page(html)
    plain = render(make_run("generalized", name="plain"))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in Page(plain).tags}
    assert "<script" not in html and "x.test/>" not in html
    assert "\x1b" not in html and "\u202e" not in html
    html.encode("utf-8")
    assert "<script>[red]" in page.text
    shown = HOSTILE.replace("\x1b[31m", "").replace("\x1b[0m", "").replace("\ud800", "\ufffd").replace("\u202e", "")
    assert page.text.count(shown) >= 5  # baseline, device, command, layer, plugin, digest
    assert "{{ 7*7 }}" in page.text and " 49" not in page.text


def test_the_same_files_give_the_same_bytes(make_run: MakeRun) -> None:
    run = make_run("generalized")
    here = write(run).read_bytes()
    code = (
        "import sys, pathlib; from lnas.report.page import render;"
        "sys.stdout.buffer.write(render(pathlib.Path(sys.argv[1])).encode())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    there = subprocess.run([sys.executable, "-c", code, str(run)], env=environment, capture_output=True, check=True, timeout=120)
    assert there.stdout == here


def test_the_report_needs_neither_torch_nor_pyplot(make_run: MakeRun) -> None:
    code = (
        "import sys, pathlib; from lnas.report.page import write; write(pathlib.Path(sys.argv[1]));"
        "assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(make_run("variant2"))], check=True, timeout=120)


def test_no_global_setting_of_matplotlib_is_changed(make_run: MakeRun) -> None:
    before = matplotlib.rcParams.copy()
    matplotlib.rcParams["svg.fonttype"] = "path"
    try:
        theirs = matplotlib.rcParams.copy()
        html = render(make_run("variant2"))
        assert matplotlib.rcParams.copy() == theirs
    finally:
        matplotlib.rcParams.update(before)
    assert ">skip_connect</text>" in html


def test_a_collapsed_search_is_warned_about(make_run: MakeRun) -> None:
    text = Page(render(make_run("baseline", name="a", collapsed=True))).text
    assert text.count("this looks like a collapsed search") == 1  # the normal cell, not the reduction cell
    assert "Of 8 operations, 8 are parameter-free:" in text
    assert "collapsed" not in Page(render(make_run("baseline", name="b"))).text


def test_weights_that_were_rewound_are_told(make_run: MakeRun) -> None:
    assert "After 1 prune round the weights were rewound to step 0." in Page(render(make_run("variant1", name="a"))).text
    assert "rewound" not in Page(render(make_run("variant2", name="b"))).text


def test_a_run_that_went_on_elsewhere_says_so(make_run: MakeRun) -> None:
    run = make_run("baseline")
    assert "another torch" not in render(run)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "exact": False}))
    assert "went on with other libraries, data, threads, processes or another device" in Page(render(run)).text


def test_the_time_per_epoch_is_shown_from_the_second_epoch_of_a_pruned_search_on(make_run: MakeRun) -> None:
    run = make_run("variant2")
    assert "4.1 s with 224 live paths, 4.1 s with " in Page(render(run)).text
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:4]))  # start, epoch, round, epoch
    assert "pace" in Page(render(run)).sections
    (run / "metrics.jsonl").write_text("\n".join(lines[:3]))
    page = Page(render(run))
    assert "pace" not in page.sections
    assert "Time per epoch, search4.1 s with 224 live paths" in page.text.replace("\n", "")


def test_sparsity_of_every_layer_is_a_bar_of_its_length(make_run: MakeRun) -> None:
    run = make_run("variant1")
    page = Page(render(run))
    (event,) = [row for text in (run / "metrics.jsonl").read_text().splitlines() if (row := json.loads(text))["event"] == "prune"]
    widths = [style.removeprefix("width:") for style in page.all("style") if style.startswith("width:")]
    assert widths == [f"{100 * sparsity:.2f}%" for sparsity in event["layers"].values()]
    assert all(name in page.text for name in event["layers"])


def test_a_run_that_stopped_early_says_where(make_run: MakeRun) -> None:
    run = make_run("variant2")
    for name in ("summary.json", "genotype.json", "environment.json"):
        (run / name).unlink()
    (run / "status.json").write_text(json.dumps({"state": "interrupted", "stage": "search", "step": 1060, "steps": 2000}))
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([*lines[:6], lines[6][:30]]))
    page = Page(render(run))
    assert "This run has not finished: interrupted, search step 1,060 of 2,000." in page.text
    assert page.sections == ["results", "accuracy", "pace", "paths", "sparsity", "how"]
    assert "read once" not in page.text


def test_a_run_that_finished_without_a_summary_is_not_called_unfinished(make_run: MakeRun) -> None:
    run = make_run("variant2")
    (run / "summary.json").unlink()
    text = Page(render(run)).text
    assert "finished, but it left no summary" in text and "has not finished" not in text


def test_a_run_of_which_nothing_is_known_yet(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    page = Page(render(tmp_path))
    assert page.sections == ["results", "accuracy", "how"]
    assert "This run has not finished." in page.text and "Not recorded." in page.text


def test_the_file_is_whole_or_as_it_was(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("baseline")
    assert write(run) == run / "report.html"
    before = (run / "report.html").read_bytes()
    assert before == render(run).encode()
    names = sorted(path.name for path in run.iterdir())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (run / "config.toml").write_text("changed = true\n")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"report\.html: No space left on device"):
        write(run)
    assert (run / "report.html").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == names


def test_what_is_no_run_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run directory"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")])
def test_a_browser_shows_it_without_scrolling_sideways(make_run: MakeRun, tmp_path: Path, width: int, scheme: str) -> None:
    """A frame of `width` pixels holds the page; a script outside of it, in the test's own page, measures it."""
    report = write(make_run("generalized", hostile=HOSTILE if width == 400 else None))
    picture = tmp_path / "picture.png"
    probe = tmp_path / "probe.html"
    frame = f"<iframe src='{report.as_uri()}' style='border:0;width:{width}px;height:6000px'></iframe>"
    probe.write_text(f"<!doctype html>{frame}<script>{MEASURE}</script>")
    dom = browse(
        "--allow-file-access-from-files",
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        f"--window-size={width + 40},6100",
        f"--screenshot={picture}",
        "--dump-dom",
        probe.as_uri(),
        profile=tmp_path / "profile",
    )
    (measured,) = [json.loads(value) for value in Page(dom).all("data-measured")]
    assert measured["scroll"] == width
    assert measured["title"].endswith("· lnas") and measured["scripts"] == 0
    assert measured["sections"] == ["results", "accuracy", "pace", "paths", "sparsity", "cells", "how"]
    assert measured["smallest"] >= 9  # pixels
    shades = [sum(map(int, re.findall(r"\d+", measured[key])[:3])) / 765 for key in ("background", "ink")]
    assert (shades[0] < 0.15 and shades[1] > 0.5) if scheme == "dark" else (shades[0] > 0.9 and shades[1] < 0.5)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width + 40, 6100)


def browse(*arguments: str, profile: Path) -> str:
    """Run headless Chromium without a network and return what it prints."""
    assert CHROMIUM is not None
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000"),
        f"--user-data-dir={profile}",
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=True).stdout
