"""The golden figures, through the command line; they were computed independently."""

import json

import pytest

SMALL = ["--channels", "4", "--layers", "3"]


def bench(operation: str) -> str:
    return "+".join("|" + "|".join(f"{operation}~{source}" for source in range(node)) + "|" for node in (1, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "parameters", "multiply_adds"),
    [
        (["DARTS_V2"], 3_349_342, 528_359_040),
        (["PC_DARTS_cifar"], 3_634_678, 556_670_592),
        (["--space", "cells"], 1_930_618, 300_253_184 + 2_560),
        ([bench("nor_conv_3x3")], 1_531_546, 220_119_040 + 640),
        ([bench("skip_connect")], 73_306, 7_782_400 + 640),
    ],
    ids=["DARTS_V2", "PC_DARTS_cifar", "supernet", "all nor_conv_3x3", "all skip_connect"],
)
def test_the_golden_figures(lnas, arguments: list[str], parameters: int, multiply_adds: int) -> None:
    document = json.loads(lnas("cost", *arguments, "--json").stdout)
    macs = dict.fromkeys(("dense", "nonzero", "structural"), multiply_adds)
    assert document == {"schema": 1, "parameters": parameters, "macs": macs, "latency_ms": None}


def test_the_table_says_what_the_json_says(lnas) -> None:
    text = lnas("cost", "DARTS_V2", *SMALL).stdout
    document = json.loads(lnas("cost", "DARTS_V2", *SMALL, "--json").stdout)
    assert f"Parameters, total           {document['parameters']:,}" in text
    assert f"Multiply-adds, dense        {document['macs']['dense']:,}" in text
    assert "3x32x32, 10 classes" in text and "Latency" not in text


def test_pictures_and_classes_can_be_given(lnas) -> None:
    def figures(*more: str) -> tuple[str, str]:
        result = lnas("cost", "DARTS_V1", *SMALL, *more)
        assert result.exit_code == 0, result.output
        words, total = result.stdout.splitlines()[1:3]
        return words.removeprefix("Input").strip(), total.rpartition("  ")[2].strip()

    assert figures("--classes", "100", "--size", "16", "--input-channels", "1")[0] == "1x16x16, 100 classes"
    assert figures("--data", "digits")[0] == "1x8x8, 10 classes"
    assert figures("--data", "digits", "--size", "32", "--input-channels", "3") == figures()


def test_the_sizes_of_a_space_are_its_options(lnas) -> None:
    one = lnas("cost", "--space", "cells", *SMALL, "--json")
    two = lnas("cost", "--space", "cells,channels=4,layers=3", "--json")
    assert one.exit_code == 0 and one.stdout == two.stdout


def test_latency_is_measured_when_asked_for(lnas) -> None:
    assert json.loads(lnas("cost", "DARTS_V1", *SMALL, "--latency", "--json").stdout)["latency_ms"] > 0
    assert "ms (batch of 1, cpu, 1 thread, median of 20)" in lnas("cost", "DARTS_V1", *SMALL, "--latency").stdout


@pytest.mark.parametrize(("counter", "name"), [("ptflops", "ptflops (pytorch)"), ("ptflops-aten", "ptflops (aten)")])
def test_another_counter_stands_beside_ours(lnas, counter: str, name: str) -> None:
    against = json.loads(lnas("cost", "DARTS_V1", *SMALL, "--against", counter, "--json").stdout)["against"]
    assert against["counter"] == name
    assert against["our_parameters"] == against["their_parameters"]
    assert sum(row["theirs"] - row["ours"] for row in against["differences"]) == against["theirs"] - against["ours"] > 0
    text = lnas("cost", "DARTS_V1", *SMALL, "--against", counter).stdout
    assert f"{against['theirs']:,}" in text and "where they differ" in text
    for row in against["differences"]:
        assert row["reason"] in text
