"""Run directories as the runner writes them, computed from a seed."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

OPERATIONS = [
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
]
EDGES = [[source, node] for node in range(2, 6) for source in range(node)]
STEPS = 20  # per epoch

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(recipe, name=..., collapsed=..., hostile=...)` writes a finished run and returns its directory.

    Recipes: baseline, variant1 (theta, one shot, rewound), variant2 (alpha, ten rounds), generalized (both).
    `hostile` is a text that stands wherever a run may hold a name, a word or a command.
    """

    def make(recipe: str, *, name: str = "run", collapsed: bool = False, hostile: str | None = None) -> Path:
        directory = tmp_path / "runs" / name
        directory.mkdir(parents=True)
        _write(directory, recipe, collapsed=collapsed)
        if hostile is not None:
            _spoil(directory, hostile)
        return directory

    return make


def _write(run: Path, recipe: str, *, collapsed: bool) -> None:
    random_ = random.Random(7)
    alpha_rounds = 10 if recipe in ("variant2", "generalized") else 0
    theta_rounds = {"variant1": 1, "generalized": 5}.get(recipe, 0)
    events, alive = _search(random_, alpha_rounds)
    genotype = _genotype(random_, alive if alpha_rounds else None, collapsed=collapsed)
    events += _train(random_, theta_rounds)
    sparsity = {}
    if alpha_rounds:
        sparsity["alpha"] = {"target": 0.75, "attained": 0.75}
    if theta_rounds:
        sparsity["theta"] = {"target": 0.5, "attained": 0.5000012}
    dense = 5_283_590
    nonzero = dense // 2 if theta_rounds else dense
    summary = {
        "schema": 1,
        "run": str(run),
        "recipe": recipe,
        "accuracy": {"validation": 0.9812, "test": 0.975},
        "baseline": {"validation": 0.9833, "what": "the same network before pruning, after 200 steps"} if theta_rounds else None,
        "sparsity": sparsity,
        "parameters": {"total": 334_942, "nonzero": 170_003 if theta_rounds else 334_942},
        "macs": {"dense": dense, "nonzero": nonzero, "structural": dense},
        "latency": {"ms": 3.4567, "device": "cpu", "threads": 2, "batch": 1, "repeats": 20},
        "seconds": {"search": 41.23, "train": 72.9},
        "digest": "sha256:" + "0123456789abcdef" * 4,
    }
    environment = {
        "lnas": "0.1.0",
        "python": "3.11.9",
        "torch": "2.14.0",
        "platform": "Linux-6.1-x86_64",
        "device": "cpu",
        "device_name": "Example CPU @ 2.00GHz",
        "threads": 2,
        "command": f"lnas run --strategy darts --recipe {recipe} --seed 0",
        "plugins": [{"name": "lnas-channels", "version": "0.1.0"}],
        "started": "2026-01-02T03:04:05Z",
    }
    config = f'recipe = "{recipe}"\nseed = 0\n\n[strategy]\nname = "darts"\nunrolled = "exact"  # <not a tag> & "quoted"\n'
    status = {"state": "finished", "stage": "train", "step": 200, "steps": 200, "pid": 7, "updated": "2026-01-02T03:06:05Z"}
    (run / "config.toml").write_text(config)
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for name, value in (("environment", environment), ("summary", summary), ("status", status), ("genotype", genotype)):
        (run / f"{name}.json").write_text(json.dumps(value))


def _search(random_: random.Random, rounds: int) -> tuple[list[dict], dict[str, list[list[bool]]]]:
    """Ten epochs; after each, where there are rounds, the weakest paths of every edge die until 2 of 8 are left."""
    space = {"edges": EDGES, "operations": OPERATIONS}
    events = [
        {"event": "start", "stage": "search", "space": {"normal": space, "reduce": space}, "steps": 10 * STEPS, "epochs": 10}
    ]
    drift = {group: [[random_.gauss(0, 0.25) for _ in OPERATIONS] for _ in EDGES] for group in ("normal", "reduce")}
    alive = {group: [[True] * len(OPERATIONS) for _ in EDGES] for group in drift}
    for epoch in range(1, 11):
        alpha = {
            group: [_softmax([epoch * d for d in row], live) for row, live in zip(drift[group], alive[group], strict=True)]
            for group in drift
        }
        asked = 1 - 0.25 ** ((epoch - 1) / 10) if rounds else 0.0
        events.append(
            {
                "event": "epoch",
                "stage": "search",
                "epoch": epoch,
                "step": epoch * STEPS,
                "round": epoch - 1 if rounds else 0,
                "rounds": rounds,
                "loss": 2.3 / epoch,
                "alpha_loss": 2.4 / epoch,
                "validation_accuracy": 0.95 - 0.6 / epoch + random_.uniform(0, 0.02),
                "sparsity": asked,
                "live_paths": sum(sum(row) for rows in alive.values() for row in rows),
                "seconds": 4.1 * epoch,
                "alpha": alpha,
            }
        )
        if rounds:
            asked = 1 - 0.25 ** (epoch / 10)
            layers = {}
            for group, rows in alive.items():
                for row, probabilities in zip(rows, alpha[group], strict=True):
                    for index in sorted(range(8), key=probabilities.__getitem__)[: round(8 * asked)]:
                        row[index] = False
                layers[group] = 1 - sum(map(sum, rows)) / (8 * len(EDGES))
            attained = sum(layers.values()) / 2
            events.append(_prune("search", epoch, epoch * STEPS, "alpha", asked, attained, layers, None))
    return events, alive


def _train(random_: random.Random, rounds: int) -> list[dict]:
    events = [{"event": "start", "stage": "train", "steps": 10 * STEPS, "epochs": 10}]
    due = {10 * STEPS * round_ // (rounds + 1): round_ for round_ in range(1, rounds + 1)}
    since = 0
    for epoch in range(1, 11):
        since += 1
        events.append(
            {
                "event": "epoch",
                "stage": "train",
                "epoch": epoch,
                "step": epoch * STEPS,
                "round": 0,
                "rounds": rounds,
                "loss": 2 / epoch,
                "validation_accuracy": 0.985 - 0.5 / (since + 1) ** 2 + random_.uniform(0, 0.003),
                "sparsity": 0.0,
                "seconds": 7.3 * epoch,
            }
        )
        for step, round_ in due.items():
            if (epoch - 1) * STEPS < step <= epoch * STEPS:
                asked = 1 - 0.5 ** (round_ / rounds)
                names = ["stem.0.weight", "classifier.weight"] + [
                    f"cells.{cell}.nodes.{node}.edges.{edge}.operations.sep_conv_5x5.{part}.weight"
                    for cell in range(3)
                    for node in range(2, 6)
                    for edge in range(2)
                    for part in (1, 2)
                ]
                layers = {name: min(asked * random_.uniform(0.9, 1.1), 1.0) for name in names}
                events.append(_prune("train", round_, step, "theta", asked, asked, layers, 0))
                since = 0
    return events


def _prune(
    stage: str, round_: int, step: int, target: str, asked: float, attained: float, layers: dict, rewind: int | None
) -> dict:
    return {
        "event": "prune",
        "stage": stage,
        "round": round_,
        "step": step,
        "target": target,
        "asked": asked,
        "attained": attained,
        "layers": layers,
        "rewind": rewind,
    }


def _softmax(logits: list[float], live: list[bool]) -> list[float]:
    weights = [2.718281828**logit if alive else 0.0 for logit, alive in zip(logits, live, strict=True)]
    return [weight / sum(weights) for weight in weights]


def _genotype(random_: random.Random, alive: dict | None, *, collapsed: bool) -> dict:
    """Two operations a node; or, where paths were pruned, every survivor but `none`."""
    groups = {}
    for group in ("normal", "reduce"):
        if alive is None:
            genes = [
                ["skip_connect" if collapsed else random_.choice(OPERATIONS[1:]), source, node]
                for node in range(2, 6)
                for source in sorted(random_.sample(range(node), 2))
            ]
        else:
            genes = [
                [operation, *edge]
                for edge, row in zip(EDGES, alive[group], strict=True)
                for operation, live in zip(OPERATIONS, row, strict=True)
                if live and operation != "none"
            ]
        groups[group] = {"genes": genes, "output": [2, 3, 4, 5]}
    return {"schema": 1, "groups": groups}


def _spoil(run: Path, words: str) -> None:
    """Put `words` into every field of a generalized run that is free text."""
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for event in events:
        for key in ("space", "alpha"):
            if key in event:
                event[key] = {words: event[key]["normal"], "reduce": event[key]["reduce"]}
        if "space" in event:
            event["space"]["reduce"] = {"edges": EDGES, "operations": [words, *OPERATIONS[1:]]}
        if event["event"] == "prune":
            event["layers"] = {words: 0.25, **event["layers"]}
            event["target"] = words if event["target"] == "theta" else "alpha"
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    _change(run / "summary.json", run=words, recipe=words, digest=words, sparsity={words: {"target": 0.5, "attained": 0.5}})
    _change(run / "summary.json", baseline={"validation": 0.5, "what": words})
    _change(run / "summary.json", latency={"ms": 1, "device": words, "threads": 1, "batch": 1, "repeats": 1})
    _change(run / "environment.json", **{"command": words, words: words, "plugins": [{"name": words, "version": words}]})
    genotype = json.loads((run / "genotype.json").read_text())
    genes = [*genotype["groups"]["normal"]["genes"], [words, 1, 5, 0.333]]
    _change(run / "genotype.json", groups={words: {"genes": genes, "output": [2, 3, 4, 5]}})
    (run / "config.toml").write_text(f"# {words}\n", encoding="utf-8", errors="replace")


def _change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
