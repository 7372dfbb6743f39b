"""Every built-in schedule, importance, recipe and data set that needs no download keeps the rules of its kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from PIL import Image

import lnas
from lnas.builtin import plugin
from lnas.testing import DatasetSuite, ImportanceSuite, RecipeSuite, ScheduleSuite, Suite, judge

BUILT_IN = "lnas.builtin.plugin"


class TestNever(ScheduleSuite):
    part = "lnas.builtin.schedules:Never"
    plugin = BUILT_IN


class TestOneShot(ScheduleSuite):
    part = "lnas.builtin.schedules:OneShot"
    plugin = BUILT_IN


class TestIterative(ScheduleSuite):
    part = "lnas.builtin.schedules:Iterative"
    plugin = BUILT_IN


@pytest.mark.filterwarnings("ignore:the literal form of p = 0.5 in 3 rounds ends at a sparsity of 0.99122:UserWarning")
class TestIterativeAsPrinted(ScheduleSuite):
    part = "lnas.builtin.schedules:Iterative"
    plugin = BUILT_IN
    options: ClassVar = {"sparsity": "0.5", "rounds": 3, "form": "literal"}
    ends_at_sparsity = False


class TestMagnitude(ImportanceSuite):
    part = "lnas.builtin.importances:magnitude"
    plugin = BUILT_IN


class TestProbability(ImportanceSuite):
    part = "lnas.builtin.importances:probability"
    plugin = BUILT_IN


class TestRandom(ImportanceSuite):
    part = "lnas.builtin.importances:random"
    plugin = BUILT_IN


class TestShuffled(ImportanceSuite):
    part = "lnas.builtin.importances:shuffled"
    plugin = BUILT_IN


class TestBaseline(RecipeSuite):
    part = "lnas.builtin.recipes:baseline"
    plugin = BUILT_IN


class TestVariant1(RecipeSuite):
    part = "lnas.builtin.recipes:variant1"
    plugin = BUILT_IN


class TestVariant2(RecipeSuite):
    part = "lnas.builtin.recipes:variant2"
    plugin = BUILT_IN


class TestGeneralized(RecipeSuite):
    part = "lnas.builtin.recipes:generalized"
    plugin = BUILT_IN


class TestDigits(DatasetSuite):
    part = "lnas.builtin.datasets:digits"
    plugin = BUILT_IN


class TestDigitsAugmented(DatasetSuite):
    part = "lnas.builtin.datasets:digits"
    plugin = BUILT_IN
    options: ClassVar = {"crop": 2, "flip": True, "cutout": 3, "normalise": False}


def wrong(suite: type[Suite], part: str, options: Mapping[str, object]) -> list[str]:
    made = type("Of", (suite,), {"part": part, "plugin": BUILT_IN, "options": options})
    return [f"{verdict.rule}: {verdict.message}" for verdict in judge(made) if verdict.outcome == "broken"]


@pytest.mark.parametrize("split", [False, True], ids=["to be split", "split"])
def test_a_folder_of_pictures(tmp_path: Path, split: bool) -> None:
    generator = lnas.stream(0, "pictures")
    for number in range(36):
        part = ("test" if number % 4 == 3 else "train") if split else "."
        place = tmp_path / part / "abc"[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(256, (9, 11, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(pixels.numpy()).save(place / f"{number}.png")
    assert wrong(DatasetSuite, "lnas.builtin.folder:folder", {"root": str(tmp_path), "size": 8, "crop": 2}) == []


def test_no_part_was_forgotten() -> None:
    """What is offered of these kinds, but for data sets of torchvision that need a download."""
    offered: list[str] = []
    for hook in (plugin.lnas_schedules, plugin.lnas_importances, plugin.lnas_recipes, plugin.lnas_datasets):
        hook(lambda name, target, *, summary="": offered.append(target))
    downloaded = {f"lnas.builtin.datasets:{name}" for name in ("cifar10", "cifar100", "mnist", "fashion_mnist")}
    suites = [value for value in globals().values() if isinstance(value, type) and issubclass(value, Suite)]
    tested = {part for suite in suites if isinstance(part := vars(suite).get("part"), str)} | {"lnas.builtin.folder:folder"}
    assert set(offered) - downloaded == tested
