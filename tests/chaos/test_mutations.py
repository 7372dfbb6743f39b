"""The mutation matrix, short form."""

from pathlib import Path

from benchmarks.chaos import mutations


def test_some_items_of_a_checkpoint_are_needed(tmp_path: Path) -> None:
    outcome = mutations.measure(8, 0, tmp_path)
    assert outcome.held == outcome.tried == 8 and not outcome.broken, outcome.broken


def test_leaves_of_one_kind_are_one_item() -> None:
    state = {
        "pipeline": {
            "genotype": {"groups": {"normal": {"genes": [["none", 0, 2]]}}},
            "rounds": {
                "learner": {
                    "space": {"cells.0.weight": 1, "cells.1.bias": 2, "cells.1.running_mean": 3},
                    "sgd": {"optimizer": {"moments": {"w": {"step": 1, "m": 2}, "v": {"m": 3}}, "settings": [{"lr": 1}]}},
                },
                "origin": None,
            },
        }
    }
    assert [(item.name, len(item.leaves)) for item in mutations.items(state)] == [
        ("pipeline/genotype", 3),
        ("pipeline/rounds/learner/space: theta", 2),
        ("pipeline/rounds/learner/space: buffers running_mean", 1),
        ("pipeline/rounds/learner/sgd/optimizer/moments/*/step", 1),
        ("pipeline/rounds/learner/sgd/optimizer/moments/*/m", 2),
        ("pipeline/rounds/learner/sgd/optimizer/settings/lr", 1),
    ]


def test_an_item_that_makes_no_difference_is_seen_to(tmp_path: Path) -> None:
    tried = mutations.Moments(tmp_path)
    name = "pipeline/rounds/learner/space: buffers num_batches_tracked"
    assert name in [item.name for item in mutations.items(tried.state("search"))]
    assert tried.without(name, "search") is None
