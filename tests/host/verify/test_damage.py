"""`lnas verify` on runs that are not whole: what is damaged is named, nothing else is, and nothing is changed."""

import hashlib
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lnas.core.mask import sparsity_of
from lnas.core.types import State
from lnas.host import checkpoint, sums

Look = Callable[[Path], Any]
Damage = Callable[[Path], None]


def edited(name: str, change: Callable[[Any], object]) -> Damage:
    """A JSON file with a change."""

    def damage(run: Path) -> None:
        document = json.loads((run / name).read_text())
        change(document)
        (run / name).write_text(json.dumps(document))

    return damage


def edited_text(name: str, old: str, new: str, *, last: bool = False) -> Damage:
    """A text with other words at the first place, or at the last."""

    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text, text
        (run / name).write_text(new.join(text.rsplit(old, 1)) if last else text.replace(old, new, 1))

    return damage


def flipped(name: str, fraction: float = 0.0) -> Damage:
    """One bit, at a fraction of the file."""

    def damage(run: Path) -> None:
        path = place(run, name)
        data = bytearray(path.read_bytes())
        data[int(fraction * (len(data) - 1))] ^= 1
        path.write_bytes(data)

    return damage


def cut(name: str, most: int = -1) -> Damage:
    def damage(run: Path) -> None:
        path = place(run, name)
        path.write_bytes(path.read_bytes()[:most])

    return damage


def missing(name: str) -> Damage:
    return lambda run: place(run, name).unlink()


def newest(run: Path) -> Path:
    return checkpoint.every(run / "checkpoints")[-1]


def place(run: Path, name: str) -> Path:
    """Of a file; one in the last checkpoint is called NEWEST/state.json."""
    return newest(run) / Path(name).name if name.startswith("NEWEST") else run / name


def remade(change: Callable[[Any], object], step: int = 0) -> Damage:
    """The newest checkpoint with a change, all its hashes made again; `step` is added to that of its name."""

    def damage(run: Path) -> None:
        path = newest(run)
        state, meta = checkpoint.load(path), checkpoint.describe(path)
        change(state)
        shutil.rmtree(path)
        checkpoint.save(path.parent, state, step=int(path.name.removeprefix("step-")) + step, meta=meta)

    return damage


def at(*keys: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


def first_weight(state: State) -> tuple[str, Any, Any]:
    """Name, values and mask of a pruned weight."""
    rounds = state["pipeline"]["rounds"]
    name = next(name for name, mask in rounds["masks"].items() if not mask.all() and mask.any())
    return name, rounds["learner"]["module"][name], rounds["masks"][name]


def a_pruned_weight_lives(state: State) -> None:
    _, _, mask = first_weight(state)
    mask[tuple((~mask).nonzero()[0])] = True


def a_live_weight_is_masked(state: State) -> None:
    _, weight, mask = first_weight(state)
    mask[tuple((mask & (weight != 0)).nonzero()[0])] = False


def a_masked_weight_is_back(state: State) -> None:
    _, weight, mask = first_weight(state)
    weight[~mask] = 1e-30


def another_is_masked(state: State) -> None:
    """As many as before, so that only the values tell."""
    a_pruned_weight_lives(state)  # it is 0, so that the next is another one
    a_live_weight_is_masked(state)


def alpha_is_not_finite(state: State) -> None:
    learner = state["pipeline"]["rounds"]["learner"]
    alpha, mask = next(iter(learner["alpha"].values())), next(iter(state["pipeline"]["rounds"]["masks"].values()))
    alpha[tuple(mask.nonzero()[0])] = torch.nan


def theta_is_not_finite(state: State) -> None:
    _, weight, mask = first_weight(state)
    weight[tuple(mask.nonzero()[0])] = torch.inf


def a_pruned_path_lives(state: State) -> None:
    mask = state["pipeline"]["rounds"]["masks"]["normal"]
    mask[tuple((~mask).nonzero()[0])] = True


def a_pruned_path_lives_in_the_journal_too(run: Path) -> None:
    remade(a_pruned_path_lives)(run)
    masks = checkpoint.load(newest(run))["pipeline"]["rounds"]["masks"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    prune = next(row for row in lines if row["event"] == "prune")
    prune["attained"] = sparsity_of(masks)
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in lines)
    (run / "metrics.jsonl").write_text(text)
    kept = "".join(text.splitlines(keepends=True)[:3]).encode()  # the start, the round, the epoch
    remade(at("metrics", value=len(kept)))(run)
    remade(at("journal", value=hashlib.sha256(kept).hexdigest()))(run)


def a_pruned_path_has_an_alpha(state: State) -> None:
    rounds = state["pipeline"]["rounds"]
    rounds["learner"]["alpha"]["normal"][~rounds["masks"]["normal"]] = -0.5


def random_state_is_cut(state: State) -> None:
    state["random"]["cpu"] = state["random"]["cpu"][:-1]


def origin_is_not_finite(state: State) -> None:
    module = state["pipeline"]["rounds"]["origin"]["module"]
    module[next(iter(module))][:] = torch.nan


def another_operation(document: Any) -> None:
    gene = document["groups"]["normal"]["genes"][0]
    gene[0] = "skip_connect" if gene[0] != "skip_connect" else "max_pool_3x3"


def torn(run: Path) -> None:
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"event":"ep')


def masks_of_one_entry(state: State) -> None:
    masks = state["pipeline"]["rounds"]["masks"]
    name = next(iter(masks))
    masks[name] = masks[name].flatten()[:1]


def masks_of_numbers(state: State) -> None:
    masks = state["pipeline"]["rounds"]["masks"]
    name = next(iter(masks))
    masks[name] = masks[name].float()


def weights_of_another(state: State) -> None:
    module = state["pipeline"]["rounds"]["learner"]["module"]
    del module[next(iter(module))]


def of_another_run(run: Path) -> None:
    """A checkpoint made with another seed, one step later."""
    path = newest(run)
    state, meta = checkpoint.load(path), checkpoint.describe(path)
    state["config"] = state["config"].replace("seed = 0", "seed = 1")
    checkpoint.save(path.parent, state, step=int(path.name.removeprefix("step-")) + 1, meta=meta)


def renamed(run: Path) -> None:
    path = newest(run)
    path.rename(path.with_name("step-00000077"))


def all_are_damaged(run: Path) -> None:
    for path in checkpoint.every(run / "checkpoints"):
        path.rename(path.with_name(f"{path.name}.damaged"))


def a_masked_weight_is_trained(run: Path) -> None:
    """And the digest of the summary made again."""
    weights, masks = load_file(run / "model.safetensors"), load_file(run / "masks.safetensors")
    name = next(name for name, mask in masks.items() if not mask.all())
    weights[name][~masks[name]] = 0.25
    save_file(weights, run / "model.safetensors")
    edited("summary.json", at("digest", value=checkpoint.digest(weights)))(run)


def a_mask_is_opened(run: Path) -> None:
    masks = load_file(run / "masks.safetensors")
    masks[next(iter(masks))][:] = True
    save_file(masks, run / "masks.safetensors")


def one_is_opened_without_checkpoints(run: Path) -> None:
    a_mask_is_opened(run)
    shutil.rmtree(run / "checkpoints")


def two_lines_are_swapped(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join([lines[0], lines[3], lines[2], lines[1], *lines[4:]]))


def a_line_is_lost(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join(lines[:-1]))


def swapped_with_the_one_before(run: Path) -> None:
    path = newest(run)
    state, meta = checkpoint.load(path), checkpoint.describe(path)
    older = checkpoint.save(run / "elsewhere", {**state, "metrics": 0}, step=1, meta=meta)
    shutil.copyfile(older / "state.json", path / "state.json")
    shutil.rmtree(run / "elsewhere")


CONFIG, STATUS, JOURNAL, SUMMARY = "config.toml", "status.json", "metrics.jsonl", "summary.json"
WEIGHTS, MASKS, MODEL, GENOTYPE = "model.safetensors", "masks.safetensors", "model.json", "genotype.json"
TENSORS, STATE, MANIFEST = "NEWEST/tensors.safetensors", "NEWEST/state.json", "NEWEST/MANIFEST.json"
ROUNDS = ("pipeline", "rounds")

FINISHED: dict[str, tuple[Damage, set[str], str]] = {
    "config: a bit": (flipped(CONFIG), {CONFIG}, ""),
    "config: another seed": (edited_text(CONFIG, "seed = 0", "seed = 1"), {CONFIG}, "is not the one that checkpoints/step-"),
    "config: a part that is not there": (
        edited_text(CONFIG, 'data = "digits"', 'data = "digitz"'),
        {CONFIG},
        "dataset 'digitz' is not available",
    ),
    "config: missing": (missing(CONFIG), {CONFIG}, "config.toml: missing"),
    "environment: a bit": (flipped("environment.json"), {"environment.json"}, "JSON"),
    "environment: without plugins": (edited("environment.json", lambda d: d.pop("plugins")), {"environment.json"}, "plugins"),
    "environment: without torch": (edited("environment.json", lambda d: d.pop("torch")), {"environment.json"}, "lacks torch"),
    "environment: missing": (missing("environment.json"), {"environment.json"}, "environment.json: missing"),
    "status: a bit": (flipped(STATUS), {STATUS}, "JSON"),
    "status: of another schema": (edited(STATUS, at("schema", value=7)), {STATUS}, "schema 1"),
    "status: of a state unknown": (edited(STATUS, at("state", value="lost")), {STATUS}, "'lost'; a run is running, finished"),
    "status: running beside a summary": (edited(STATUS, at("state", value="running")), {STATUS}, "there is a summary"),
    "status: of no time": (edited(STATUS, at("updated", value="soon")), {STATUS}, "written at 'soon', which is no time"),
    "status: beyond the plan": (edited(STATUS, at("step", value=7)), {STATUS}, "step 7 of 6, which is not in the plan"),
    "status: missing": (missing(STATUS), {STATUS}, "status.json: missing"),
    "journal: a bit": (flipped(JOURNAL), {JOURNAL}, "line 1 "),
    "journal: a line lost": (a_line_is_lost, {JOURNAL}, "its whole lines have"),
    "journal: torn": (cut(JOURNAL), {JOURNAL}, "a checkpoint was made after"),
    "journal: torn after the checkpoint": (torn, {JOURNAL}, "its last line is torn, and the run is finished"),
    "journal: lines swapped": (two_lines_are_swapped, {JOURNAL}, "but the line before it of step"),
    "journal: missing": (missing(JOURNAL), {JOURNAL}, "metrics.jsonl: missing"),
    "checkpoint: a bit of a tensor": (flipped(TENSORS, 0.9), {"NEWEST"}, "its sha256 differs"),
    "checkpoint: a bit of the state": (flipped(STATE, 0.5), {"NEWEST"}, "its sha256 differs"),
    "checkpoint: a bit of the manifest": (flipped(MANIFEST, 0.5), {"NEWEST"}, "is not what was written"),
    "checkpoint: truncated": (cut(TENSORS), {"NEWEST"}, "were written"),
    "checkpoint: a file of another": (swapped_with_the_one_before, {"NEWEST"}, "state.json"),
    "checkpoint: a file missing": (missing(STATE), {"NEWEST"}, "not tensors.safetensors, state.json and MANIFEST.json"),
    "checkpoint: of another run": (of_another_run, {"NEWEST"}, "it was made with another config.toml"),
    "checkpoint: under another name": (renamed, {"NEWEST"}, "under another name"),
    "checkpoints: all damaged": (all_are_damaged, {"checkpoints/X.damaged"}, "a checkpoint that was found damaged"),
    "state: a pruned weight lives": (remade(a_pruned_weight_lives), {"NEWEST"}, "the last round in metrics.jsonl"),
    "state: a live weight is masked": (remade(a_live_weight_is_masked), {"NEWEST"}, "is masked and not 0"),
    "state: as many, but others": (remade(another_is_masked), {"NEWEST"}, "is masked and not 0"),
    "state: a masked weight is back": (remade(a_masked_weight_is_back), {"NEWEST"}, "is masked and not 0"),
    "state: theta not finite": (remade(theta_is_not_finite), {"NEWEST"}, "is not finite"),
    "state: a mask of another shape": (remade(masks_of_one_entry), {"NEWEST"}, "of shape (1,), not bool of shape"),
    "state: a mask of numbers": (remade(masks_of_numbers), {"NEWEST"}, "is float32 of shape"),
    "state: a weight missing": (remade(weights_of_another), {"NEWEST"}, "does not fit what the configuration describes"),
    "state: no masks": (
        remade(lambda s: s["pipeline"]["rounds"]["masks"].clear()),
        {"NEWEST"},
        "does not fit what the configuration",
    ),
    "state: a mask too many": (remade(at(*ROUNDS, "masks", "more", value=torch.ones(1).bool())), {"NEWEST"}, "it has masks of"),
    "state: a key missing": (remade(lambda s: s.pop("random")), {"NEWEST"}, "it lacks random"),
    "state: random state cut": (remade(random_state_is_cut), {"NEWEST"}, "its random state does not fit"),
    "state: a stage too many": (remade(at("pipeline", "stage", value=2)), {"NEWEST"}, "not of one of the 2 stages"),
    "state: a round too many": (remade(at(*ROUNDS, "round", value=1)), {"NEWEST"}, "has done 1 prune rounds after train step 6"),
    "state: a step too many": (remade(at(*ROUNDS, "t", value=7), 1), {"NEWEST"}, "after train step 7; the plan has 6"),
    "state: a step under another name": (remade(at(*ROUNDS, "t", value=5)), {"NEWEST"}, "its name says another"),
    "state: steps of no stage": (remade(at("memory", "closed", value=7), 1), {"NEWEST"}, "counts 7 steps before stage train"),
    "state: nowhere to rewind": (remade(at(*ROUNDS, "origin", value=None)), {"NEWEST"}, "lacks the state of step 0"),
    "state: rewinds to what is not finite": (remade(origin_is_not_finite), {"NEWEST"}, "to rewind to is not finite"),
    "state: longer than the journal": (remade(at("metrics", value=10**6)), {JOURNAL}, "a checkpoint was made after 1,000,000"),
    "state: inside a line": (remade(at("metrics", value=10)), {JOURNAL}, "where no line ends"),
    "genotype: a bit": (flipped(GENOTYPE), {GENOTYPE}, "JSON"),
    "genotype: another": (edited(GENOTYPE, another_operation), {GENOTYPE}, "not the architecture that the checkpoints hold"),
    "genotype: missing": (missing(GENOTYPE), {GENOTYPE}, "genotype.json: missing"),
    "summary: a bit": (flipped(SUMMARY), {SUMMARY}, "JSON"),
    "summary: another digest": (edited(SUMMARY, at("digest", value="sha256:0")), {SUMMARY}, "that of the last checkpoint"),
    "summary: another sparsity": (edited(SUMMARY, at("sparsity", "alpha", "attained", value=0.6)), {SUMMARY}, "was attained"),
    "summary: another accuracy": (edited(SUMMARY, at("accuracy", "validation", value=1)), {SUMMARY}, "metrics.jsonl ends with"),
    "summary: another space": (edited(SUMMARY, at("space", value="cells")), {SUMMARY}, "config.toml says 'cells,channels=1"),
    "summary: other parameters": (edited(SUMMARY, at("parameters", "nonzero", value=1)), {SUMMARY}, "its parameters are"),
    "summary: other macs": (edited(SUMMARY, at("macs", "dense", value=1)), {SUMMARY}, "its macs are"),
    "summary: an accuracy of 2": (edited(SUMMARY, at("accuracy", "test", value=2)), {SUMMARY}, "is between 0 and 1"),
    "weights: a bit": (flipped(WEIGHTS, 1.0), {WEIGHTS}, "the digest of its tensors is"),
    "weights: truncated": (cut(WEIGHTS), {WEIGHTS}, "no file of tensors"),
    "weights: missing": (missing(WEIGHTS), {WEIGHTS}, "model.safetensors: missing"),
    "weights: a masked one is not 0": (a_masked_weight_is_trained, {SUMMARY, WEIGHTS, MASKS}, "is masked and not 0"),
    "masks: a bit": (flipped(MASKS, 1.0), {MASKS}, ""),
    "masks: one opened": (a_mask_is_opened, {MASKS}, "its masks are not those of the last checkpoint"),
    "masks: one opened, and no checkpoint": (one_is_opened_without_checkpoints, {MASKS}, "its sparsity is"),
    "masks: missing": (missing(MASKS), {MODEL, MASKS}, "masks.safetensors: missing, and named in SHA256SUMS"),
    "model: a bit": (flipped(MODEL), {MODEL}, "JSON"),
    "model: another architecture": (edited(MODEL, lambda d: another_operation(d["genotype"])), {MODEL}, "not that of genotype"),
    "model: of other pictures": (edited(MODEL, at("task", "classes", value=3)), {MODEL}, "do not fit each other"),
    "model: missing": (missing(MODEL), {MODEL}, "model.json: missing"),
    "report: torn": (cut("report.html", 100), {"report.html"}, "it is torn"),
}

KILLED: dict[str, tuple[Damage, set[str], str]] = {
    "alpha not finite": (remade(alpha_is_not_finite), {"NEWEST"}, "alpha of normal is not finite"),
    "a pruned path lives": (remade(a_pruned_path_lives), {"NEWEST"}, "the last round in metrics.jsonl"),
    "a pruned path lives, and the journal agrees": (a_pruned_path_lives_in_the_journal_too, {"NEWEST"}, "in some pool"),
    "a pruned path has an alpha": (remade(a_pruned_path_has_an_alpha), {"NEWEST"}, "normal is masked and not 0"),
    "the journal is shorter than the checkpoint": (cut(JOURNAL, 50), {JOURNAL}, "its whole lines have"),
    "a line that is no JSON": (edited_text(JOURNAL, '{"event":"epoch"', '{"event":epoch'), {JOURNAL}, "JSON"),
    "a line of nothing known": (edited_text(JOURNAL, '"stage":"search"', '"stage":"later"', last=True), {JOURNAL}, "is not open"),
    "the config is another's": (edited_text(CONFIG, "batch = 256", "batch = 128"), {CONFIG}, "is not the one that"),
}


@pytest.mark.parametrize(("damage", "expected", "words"), FINISHED.values(), ids=FINISHED)
def test_what_is_wrong_with_a_finished_run_is_named(
    finished: Path, look: Look, damage: Damage, expected: set[str], words: str
) -> None:
    damage(finished)
    found = look(finished)
    assert {re.sub(r"step-\d+.damaged", "X.damaged", name) for name in found.files("wrong")} == expected, found.words
    assert words in found.words, found.words


@pytest.mark.parametrize(("damage", "expected", "words"), KILLED.values(), ids=KILLED)
def test_what_is_wrong_with_a_killed_run_is_named(
    killed: Path, look: Look, damage: Damage, expected: set[str], words: str
) -> None:
    damage(killed)
    found = look(killed)
    assert found.files("wrong") == expected, found.words
    assert words in found.words, found.words


@pytest.mark.parametrize("name", sums.FILES)
def test_a_changed_digit_anywhere_in_a_finished_run_is_seen(finished: Path, look: Look, name: str) -> None:
    """One that leaves JSON and TOML whole, and says nothing that another file knows better."""
    path = finished / name
    data = bytearray(path.read_bytes())
    places = [place for place, byte in enumerate(data) if byte in b"123456789"]
    for place in random.Random(0).sample(places, 3):
        data[place] ^= 1
        path.write_bytes(data)
        assert name in look(finished).files("wrong"), (place, bytes(data[place - 20 : place + 20]))
        data[place] ^= 1
    path.write_bytes(data)
    assert not look(finished).files("wrong")


def test_the_sums_are_read_by_sha256sum_too(finished: Path) -> None:
    checked = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=finished, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.splitlines() == [f"{name}: OK" for name in sums.FILES]


@pytest.mark.parametrize("line", ["", "x", "{}  ../../etc/passwd\n", "{} summary.json\n", "{}  model.json\n"])
def test_sums_that_are_none_are_named(finished: Path, look: Look, line: str) -> None:
    (finished / "SHA256SUMS").write_text(line.format("0" * 64))
    assert "SHA256SUMS" in look(finished).files("wrong")
