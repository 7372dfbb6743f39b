import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lnas.core.errors import RunError
from lnas.report.paths import PathHistory, draw_paths, path_histories
from lnas.report.read import read

MakeRun = Callable[..., Path]
SVG = "{http://www.w3.org/2000/svg}"

HISTORY = PathHistory(
    group="normal",
    edges=((0, 2), (1, 2)),
    operations=("skip_connect", "sep_conv_3x3"),
    epochs=(1, 2, 3),
    probabilities=np.array([[[0.5, 0.4, 0.0], [0.5, 0.6, 1.0]], [[0.5, 0.0, 0.0], [0.5, 1.0, 1.0]]]),
)


def test_a_history_holds_every_probability(make_run: MakeRun) -> None:
    files = read(make_run("variant2"))
    normal, reduce = path_histories(files)
    assert (normal.group, reduce.group) == ("normal", "reduce")
    assert normal.probabilities.shape == (14, 8, 10)
    assert normal.edges[0] == (0, 2) and normal.operations[3] == "skip_connect" and normal.epochs == tuple(range(1, 11))
    np.testing.assert_allclose(normal.probabilities.sum(axis=1), 1.0, atol=1e-12)
    alpha = files.epochs[4].alpha
    assert alpha is not None and normal.probabilities[3, 2, 4] == alpha["normal"][3][2]
    dead = (normal.probabilities == 0).sum(axis=(0, 1))
    assert dead[0] == 0 and (np.diff(dead) >= 0).all() and dead[-1] > 0


def test_a_run_that_searched_nothing_has_none(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    (tmp_path / "metrics.jsonl").write_text('{"event": "start", "stage": "train"}\n')
    assert path_histories(read(tmp_path)) == ()


def test_probabilities_that_do_not_fit_the_space_are_refused(make_run: MakeRun) -> None:
    run = make_run("variant2")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    event = json.loads(lines[1])
    event["alpha"]["normal"][3].pop()
    (run / "metrics.jsonl").write_text("\n".join([lines[0], json.dumps(event), *lines[2:]]))
    with pytest.raises(RunError, match="alpha of 'normal' in epoch 1 is not 14 rows of 8"):
        path_histories(read(run))


def test_every_edge_and_operation_has_its_label() -> None:
    root = ElementTree.fromstring(draw_paths(HISTORY, name="p"))
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert words.count("skip_connect") == words.count("sep_conv_3x3") == 2
    assert words.count("0→2") == words.count("1→2") == 1
    assert root.attrib["aria-label"].endswith("2 of 4 paths are dead at the end.")


def test_dead_paths_are_hatched_from_the_epoch_they_died_in() -> None:
    drawing = draw_paths(HISTORY, name="p")
    (hatched,) = [
        path for path in ElementTree.fromstring(drawing).iter(f"{SVG}path") if "url(#p-" in path.attrib.get("style", "")
    ]
    rectangles = [[float(n) for n in part.split() if n not in "MLz"] for part in hatched.attrib["d"].split("M")[1:]]
    widths = [max(numbers[::2]) - min(numbers[::2]) for numbers in rectangles]
    assert len(widths) == 2  # one row is dead in the last epoch, one in the last two
    assert widths[1] == pytest.approx(2 * widths[0])
    right = {round(max(numbers[::2]), 3) for numbers in rectangles}
    assert len(right) == 1


def test_where_all_paths_live_nothing_is_hatched() -> None:
    alive = dataclasses.replace(HISTORY, probabilities=np.full((2, 2, 3), 0.5))
    assert "<pattern" not in draw_paths(alive, name="p")
    assert "<pattern" in draw_paths(HISTORY, name="p")


def test_an_even_choice_does_not_look_decided() -> None:
    even = dataclasses.replace(HISTORY, operations=tuple("abcdefgh"), probabilities=np.full((2, 8, 3), 1 / 8))
    words = [text.text for text in ElementTree.fromstring(draw_paths(even, name="p")).iter(f"{SVG}text")]
    scale = [float(word) for word in words if word and re.fullmatch(r"0\.\d+", word)]
    assert scale[0] == 0 and 0.125 < max(scale) <= 0.25  # it ends at twice the even probability


def test_two_maps_on_one_page_share_no_id_and_are_the_same_each_time() -> None:
    one, two = draw_paths(HISTORY, name="one"), draw_paths(HISTORY, name="two")
    assert 'id="one-' in one and 'id="one-' not in two
    assert one == draw_paths(HISTORY, name="one")
