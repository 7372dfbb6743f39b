import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lnas.core.errors import RunError
from lnas.core.genotype import Gene, Genotype
from lnas.report.sweep_page import render, write
from lnas.sweep.findings import Finding
from lnas.sweep.results import Results, Row, TrialResult
from lnas.sweep.verdicts import verdicts

VOID = {"meta", "link", "br", "img", "hr", "input"}
HOSTILE = "</style></svg><script>alert(1)</script><img src=http://x.test/> {{ 7*7 }} \"'&\x1b[31mred\x1b[0m\ud800\u202e"
SECTIONS = ["verdicts", "table", "levels", "epochs", "fronts", "time", "cells", "controls", "failures", "how"]
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
MEASURE = """onload = () => {
    const page = document.querySelector("iframe").contentDocument;
    const style = element => page.defaultView.getComputedStyle(element);
    const scale = matrix => Math.hypot(matrix.a, matrix.b);  // of turned words too
    const shown = [...page.querySelectorAll("svg text")].filter(text => text.getClientRects().length);
    document.body.dataset.measured = JSON.stringify({
        scroll: page.documentElement.scrollWidth,
        scripts: page.scripts.length,
        smallest: Math.min(...shown.map(text => scale(text.getScreenCTM()) * parseFloat(style(text).fontSize))),
        background: style(page.body).backgroundColor,
        ink: style(page.querySelector("svg.plot text")).fill,
    });
}"""
CELL = Genotype({"normal": (Gene("sep_conv_3x3", 0, 2), Gene("skip_connect", 1, 2))}, {"normal": (2,)})


class Page(HTMLParser):
    """Tags and text of a page; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def sections(self) -> list[str | None]:
        return [attributes.get("id") for tag, attributes in self.tags if tag == "section"]

    def all(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


def trial(row: Row, seed: int, *, index: int) -> TrialResult:
    top = 0.8 + 0.01 * ((7 * index + 3 * seed) % 11)
    return TrialResult(
        f"{row.label} s{seed}",
        row.label,
        seed,
        "finished",
        path=f"trials/{row.label} s{seed}",
        course=(top / 2, top - 0.1, top),
        half=top / 2,
        end=top,
        ticket=top,
        validation=top,
        test=top - 0.01,
        parameters=1000 - 10 * index,
        macs_dense=10**6,
        macs_nonzero=10**6 - index,
        macs_structural=10**6,
        nni_compat=10**5,
        attained={"theta": row.sparsity} if row.sparsity else {},
        search_seconds=5.0 + index,
        train_seconds=4.0,
        search="shared",
        exact=True,
        digest=f"sha256:{index:032x}{seed:032x}",
    )


def sweep(rows: tuple[Row, ...], seeds: int, **changes: object) -> Results:
    trials = tuple(trial(row, seed, index=index) for index, row in enumerate(rows) for seed in range(seeds))
    results = Results("s", rows, trials, command="lnas sweep", config="seeds = 3\n", seeds=tuple(range(seeds)), seconds=60.0)
    return replace(results, **changes)  # type: ignore[arg-type]


def rows(*levels: float) -> tuple[Row, ...]:
    return (Row("baseline", "baseline"), *(Row(f"variant1 p={p:g}", "variant1", p) for p in levels))


@pytest.fixture(scope="module")
def whole() -> tuple[Results, str]:
    """A sweep with everything that a page may show, three seeds."""
    control = Row("variant1 p=0.5 reinit", "variant1", 0.5, "reinit", "variant1 p=0.5")
    results = sweep((*rows(0.25, 0.5), control), 3, kind="table1", scale="tiny", workers=2)
    failed = TrialResult("x", "baseline", 2, "failed", "out of memory: 2 GiB asked")
    trials = tuple(failed if (one.row, one.seed) == ("baseline", 2) else one for one in results.trials)
    results = replace(results, trials=trials)
    return results, drawn(results)


def drawn(results: Results) -> str:
    found = (
        Finding("violated", "costs", "variant1 p=0.5", "costs rise from 1 to 2"),
        Finding("noted", "sparsity", "variant1 p=0.25", "0.25 asked, 0.2 attained"),
    )
    return render(results, verdicts(results), found, cells={"baseline": CELL, "variant1 p=0.5": CELL})


def test_a_sweep_has_every_section_in_order(whole: tuple[Results, str]) -> None:
    page = Page(whole[1])
    assert page.sections == SECTIONS
    assert "4 rows, n = 3 seeds (0 to 2), 12 trials: 11 finished, 1 failed, in 1 min 0 s, 2 trials at a time." in page.text
    assert "out of memory: 2 GiB asked" in page.text
    assert "2 trials ran at a time, which these times show: they are rough" in page.text and "not an honest cost" in page.text
    assert "lnas sweep" in page.text and "seeds = 3" in page.text


def test_every_verdict_stands_in_words_with_n_and_its_numbers(whole: tuple[Results, str]) -> None:
    page, found = Page(whole[1]), verdicts(whole[0])
    assert found and all(f"{one.claim}{one.sentence}" in page.text for one in found)
    assert [attributes["class"] for tag, attributes in page.tags if "word" in (attributes.get("class") or "").split()] == [
        f"word {dict(holds='holds').get(one.word, 'fails' if one.word == 'does not hold' else 'open')}" for one in found
    ]
    assert page.text.count("bootstrap ") >= sum(one.bootstrap is not None for one in found)
    assert f"Of {len(found)} claims," in page.text


def test_what_the_best_may_be_stands_below_it(whole: tuple[Results, str]) -> None:
    page = Page(whole[1])
    assert "of a row that prunes weights it can be that of the network before it was pruned, which nobody keeps" in page.text
    assert "validation, best after the last prune" in page.text and "validation, last weights" in page.text


def test_n_stands_in_every_caption(whole: tuple[Results, str]) -> None:
    text = Page(whole[1]).text
    for words in (
        "A line goes through the means over the seeds (n from 2 to 3)",
        "Validation accuracy of the training, the mean over the seeds (n from 2 to 3)",
        "A point is a row, the mean over its seeds (n from 2 to 3)",
        "Wall-clock time of the search stage (n from 2 to 3)",
    ):
        assert words in text


def test_fronts_are_picked_by_validation_and_conclude_nothing() -> None:
    """By the test set the level would be on the front, by validation the baseline beats it."""
    plain = sweep(rows(0.5), 3)
    turned = {"baseline": (0.9, 0.1, 100), "variant1 p=0.5": (0.2, 0.8, 200)}
    trials = tuple(
        replace(one, validation=turned[one.row][0], test=turned[one.row][1], parameters=turned[one.row][2])
        for one in plain.trials
    )
    html = render(replace(plain, trials=trials), (), ())
    assert (
        "validation accuracy against non-zero parameters of 2 rows. On the Pareto front: baseline (90.00 at 100, n = 3)." in html
    )
    assert "speaks against" not in html and "for the verdicts to say" not in html


def test_where_trials_were_stopped_early_nothing_has_an_interval_and_it_says_why() -> None:
    html = render(sweep(rows(0.25, 0.5), 3, stopped_early="median"), (), ())
    text = Page(html).text
    assert not re.search(r"\d ± \d", text) and "opacity: 0.15" not in html
    assert "without intervals: these were chosen by their accuracy" in text
    assert "There are no bands: the trials that are left were chosen by their accuracy" in text
    assert "opacity: 0.15" in render(sweep(rows(0.25, 0.5), 3), (), ())


def test_what_the_checks_found_violated_stands_in_red_at_the_top(whole: tuple[Results, str]) -> None:
    html = whole[1]
    assert html.index('<div class="violated"') < html.index('<section id="verdicts"')
    assert "Checks of this table are violated: costs (1). What stands below" in Page(html).text
    assert "variant1 p=0.5, costs: costs rise from 1 to 2" in Page(html).text
    assert "0.25 asked, 0.2 attained" in Page(html).text


def test_where_nothing_is_violated_it_says_so() -> None:
    html = render(sweep(rows(), 0), (), ())
    assert "The checks of the table found nothing violated." in Page(html).text and 'class="violated"' not in html


def test_the_printed_table_is_marked_as_printed(whole: tuple[Results, str]) -> None:
    page = Page(whole[1])
    printed = [tag for tag, attributes in page.tags if attributes.get("class") == "printed"]
    assert printed.count("td") == 4 * 4  # four columns beside four rows
    assert "74.04" in page.text and "752.355M" in page.text and "another scale than this sweep's" in page.text


def test_the_page_runs_nothing_and_asks_for_nothing(whole: tuple[Results, str]) -> None:
    html = whole[1]
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base", "img"} & {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert set(re.findall(r"https?://[^\s\"'<>]*", html)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert all(reference.startswith(("#", "./")) for reference in (*page.all("href"), *page.all("xlink:href"), *page.all("src")))
    assert "@import" not in html and not re.search(r"url\((?!#)", html)
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; ") and "script" not in policy


def test_ids_are_unique_and_every_reference_is_answered(whole: tuple[Results, str]) -> None:
    ids = Page(whole[1]).all("id")
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', whole[1]))
    assert references and references <= set(ids)


def test_every_figure_says_what_it_shows(whole: tuple[Results, str]) -> None:
    drawings = [attributes for tag, attributes in Page(whole[1]).tags if tag == "svg"]
    # accuracy and time wide and narrow, one panel, four fronts; two cells
    assert [one["class"] for one in drawings].count("plot") == 9 and [one["class"] for one in drawings].count("cell") == 2
    assert all(one.get("role") == "img" and len(one.get("aria-label") or "") > 20 for one in drawings)


def test_the_same_values_give_the_same_characters(whole: tuple[Results, str]) -> None:
    assert drawn(whole[0]) == whole[1]


def test_links_go_to_the_report_of_each_trial_and_never_elsewhere() -> None:
    paths = ("trials/a b", "javascript:alert(1)", "//x.test/a", 'a"b', "")
    trials = tuple(TrialResult(f"t{seed}", "baseline", seed, "finished", path=path) for seed, path in enumerate(paths))
    html = render(sweep(rows(), 5, trials=trials), (), ())
    assert Page(html).all("href") == [
        "./trials/a%20b/",
        "./javascript%3Aalert%281%29/",
        "./x.test/a/",
        "./a%22b/",
    ]


def test_everything_of_a_sweep_is_escaped() -> None:
    row = Row(f"baseline {HOSTILE}", HOSTILE, 0.5, varied={HOSTILE: HOSTILE})
    control = Row(f"control {HOSTILE}", HOSTILE, 0.5, HOSTILE, row.label)
    results = sweep((row, control), 1, name=HOSTILE, command=HOSTILE, config=HOSTILE, kind="table1", scale=HOSTILE)
    lost = TrialResult(HOSTILE, row.label, 1, "failed", HOSTILE, path=HOSTILE, digest=HOSTILE)
    results = replace(results, trials=(*results.trials, lost))
    found = (Finding("violated", HOSTILE, HOSTILE, HOSTILE),)
    html = render(results, verdicts(results), found, cells={HOSTILE: Genotype({HOSTILE: (Gene(HOSTILE, 0, 1),)})})
    page = Page(html)
    assert "<script" not in html and "<img" not in html and "\x1b" not in html and "\u202e" not in html
    html.encode("utf-8")
    assert "{{ 7*7 }}" in page.text and " 49 " not in page.text
    assert page.text.count("</style></svg><script>alert(1)</script>") >= 8


def test_one_row_and_one_seed_have_no_interval_and_no_claim() -> None:
    results = sweep(rows(), 1)
    page = Page(render(results, verdicts(results), ()))
    assert page.sections == ["verdicts", "table", "epochs", "fronts", "how"]
    assert "n = 1 seed (0)" in page.text and "n = 1no interval" in page.text
    assert "Nothing was claimed" in page.text
    assert not re.search(r"\d ± \d", page.text)


def test_a_sweep_of_which_nothing_is_finished() -> None:
    waiting = tuple(TrialResult(f"t{index}", row.label, 0, "waiting") for index, row in enumerate(rows(0.5)))
    results = sweep(rows(0.5), 1, trials=waiting)
    page = Page(render(results, verdicts(results), ()))
    assert page.sections == ["verdicts", "table", "failures", "how"]
    assert "0 finished, 0 failed, 2 waiting" in page.text and "n = 0" in page.text


def test_a_sweep_that_was_stopped_early_gives_the_reason_in_place_of_verdicts() -> None:
    results = sweep(rows(), 0, stopped_early="asha")
    page = Page(render(results, verdicts(results), ()))
    assert page.text.count("No verdicts: trials were stopped early (asha)") == 2
    assert "warning" in page.all("class") and "verdicts" not in page.all("class")


def test_trials_that_went_on_elsewhere_are_counted() -> None:
    trials = tuple(TrialResult(f"t{seed}", "baseline", seed, "finished", exact=seed > 0) for seed in range(2))
    assert "1 trial went on with another torch" in Page(render(sweep(rows(), 2, trials=trials), (), ())).text


def test_cells_beyond_a_limit_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.report.sweep_page._MOST_CELLS", 10)
    html = render(sweep(rows(), 0), (), (), cells={"a": CELL, "b": CELL})
    assert html.count('<svg class="cell"') == 1 and html.count("Too large to draw.") == 1


@pytest.mark.parametrize(
    ("number", "words"), [(12, ""), (13, "1 more architecture is not drawn."), (15, "3 more architectures are not drawn.")]
)
def test_how_many_architectures_have_no_room_is_said(number: int, words: str) -> None:
    html = render(sweep(rows(), 0), (), (), cells={f"row {index}": CELL for index in range(number)})
    assert html.count('<svg class="cell"') == 12
    assert words in Page(html).text and ("not drawn" in Page(html).text) == bool(words)


def test_sixty_rows_of_ten_seeds_fit_a_small_file() -> None:
    many = tuple(
        Row(f"recipe{recipe} p={level / 15:.3f}", f"recipe{recipe}", level / 15) for recipe in range(4) for level in range(15)
    )
    html = render(sweep(many, 10), (), tuple(Finding("violated", "r", f"t{index}", "w") for index in range(600)))
    assert len(html.encode()) < 2_000_000
    page = Page(html)
    assert "60 rows, n = 10 seeds (0 to 9), 600 trials" in page.text and "588 more" in page.text


def test_the_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, path = sweep(rows(), 0), tmp_path / "report.html"
    assert write(path, results, (), ()) == path
    before = path.read_bytes()
    assert before == render(results, (), ()).encode()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"report\.html: No space left on device"):
        write(path, replace(results, name="other"), (), ())
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (400, "light")])
def test_a_browser_shows_it_without_scrolling_sideways(
    whole: tuple[Results, str], tmp_path: Path, width: int, scheme: str
) -> None:
    """A frame of `width` pixels holds the page; a script outside of it, in the test's own page, measures it."""
    report, probe = tmp_path / "report.html", tmp_path / "probe.html"
    report.write_text(whole[1])
    frame = f"<iframe src='{report.as_uri()}' style='border:0;width:{width}px;height:6000px'></iframe>"
    probe.write_text(f"<!doctype html>{frame}<script>{MEASURE}</script>")
    assert CHROMIUM is not None
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files", f"--window-size={width + 40},6100"),
        *(f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", "--dump-dom", probe.as_uri()),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    (measured,) = [json.loads(value) for value in Page(dom).all("data-measured")]
    assert measured["scroll"] == width and measured["scripts"] == 0
    assert measured["smallest"] >= 9  # pixels
    shades = [sum(map(int, re.findall(r"\d+", measured[key])[:3])) / 765 for key in ("background", "ink")]
    assert (shades[0] < 0.15 and shades[1] > 0.5) if scheme == "dark" else (shades[0] > 0.9 and shades[1] < 0.5)
