"""Whether the files of a finished run agree with each other: its summary, its network and its masks."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lnas import cost
from lnas.core.errors import RunError
from lnas.core.genotype import Genotype
from lnas.core.mask import sparsity_of
from lnas.host import checkpoint, documents, models, runtime
from lnas.host.packing import tensors_of
from lnas.host.plugins import Host
from lnas.host.rundir import RunDirectory
from lnas.host.spec import Spec
from lnas.host.verify_finding import count
from lnas.host.verify_journal import Rows


@dataclass(frozen=True)
class Known:
    """What is sure already.

    Attributes:
        digest: of the final tensors by a checkpoint that is whole, or None where none says.
        genotype: of genotype.json, or None where it could not be read.
        rows: of metrics.jsonl, where it is whole.
        masks: the digest of those of the network by a checkpoint that is whole, or None where none says.
        described: recipe, strategy and space, as config.toml describes them; empty where it cannot be read.
    """

    digest: str | None
    genotype: Genotype | None
    rows: Rows
    masks: str | None = None
    described: Mapping[str, str] = field(default_factory=dict)


def check_summary(directory: RunDirectory, known: Known, network: nn.Module | None) -> str:
    """summary.json is one, and agrees with the journal, the last checkpoint, the configuration and the network.

    Args:
        directory: of the run.
        known: what is sure already.
        network: the one that model.json describes, where it is right.

    Raises:
        RunError: saying in what it does not.
        OSError: where it cannot be read.
        ValueError: where it is not JSON.
    """
    summary = _object(documents.read(directory.summary), schema=1)
    accuracy, sparsity, digest = summary.get("accuracy"), summary.get("sparsity"), summary.get("digest")
    if not isinstance(digest, str) or not isinstance(sparsity, dict) or not isinstance(accuracy, dict):
        raise RunError("it lacks digest, sparsity or accuracy")
    for split in ("validation", "test"):
        if not _fraction(accuracy.get(split)):
            raise RunError(f"its {split} accuracy is {accuracy.get(split)!r}; an accuracy is between 0 and 1")
    if known.digest is not None and digest != known.digest:
        raise RunError(f"its digest is {digest[:23]}..., that of the last checkpoint {known.digest[:23]}...")
    for target, pair in sparsity.items():
        rounds = [row for row in known.rows if row["event"] == "prune" and row.get("target") == target]
        said = rounds[-1].get("attained") if rounds else None
        if not isinstance(pair, dict) or not _fraction(pair.get("attained")) or (rounds and pair["attained"] != said):
            raise RunError(f"its sparsity of {target} is {pair!r}; metrics.jsonl says that {said!r} was attained")
    epochs = [row for row in known.rows if row["event"] == "epoch"]
    if epochs and known.rows[-1] is epochs[-1] and epochs[-1].get("validation_accuracy") != accuracy["validation"]:
        raise RunError(
            f"its validation accuracy is {accuracy['validation']!r}; metrics.jsonl ends with"
            f" {epochs[-1].get('validation_accuracy')!r}"
        )
    if wrong := [key for key, value in known.described.items() if summary.get(key) != value]:
        raise RunError(f"its {wrong[0]} is {summary.get(wrong[0])!r}; config.toml says {known.described[wrong[0]]!r}")
    if network is not None:
        shape = documents.read(directory.model)["task"]["shape"]
        macs = cost.multiply_adds(network, tuple(shape))
        counts = {"parameters": asdict(cost.parameters(network)), "macs": asdict(macs)}
        if other := [key for key, count in counts.items() if summary.get(key) != count]:
            raise RunError(f"its {other[0]} are {summary.get(other[0])!r}; the network has {counts[other[0]]!r}")
    return f"accuracy {100 * accuracy['test']:.2f} % on the test set"


def check_weights(directory: RunDirectory, known: Known) -> str:
    """The tensors of the network are finite, and their digest is the one that was written.  Raises as `check_summary`."""
    tensors = _tensors(directory.weights)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise RunError(f"{name} is not finite")
    expected = known.digest or _digest(directory)
    found = checkpoint.digest(tensors)
    if expected is not None and found != expected:
        raise RunError(f"the digest of its tensors is {found[:23]}...; {expected[:23]}... was written")
    return f"digest {found}"


def check_masks(directory: RunDirectory, known: Known) -> str:
    """Masks are boolean, masked weights exactly 0, and the sparsity that of the summary.  Raises as `check_summary`."""
    masks = _tensors(directory.masks)
    try:
        weights = _tensors(directory.weights)
    except (OSError, ValueError):  # which has a row of its own
        weights = {}
    if not masks:
        raise RunError("it holds no mask")
    if known.masks is not None and checkpoint.digest(masks) != known.masks:
        raise RunError("its masks are not those of the last checkpoint")
    for name, mask in masks.items():
        weight = weights.get(name)
        if mask.dtype != torch.bool:
            raise RunError(f"the mask of {name} is {str(mask.dtype).removeprefix('torch.')}, not bool")
        # a target may have made the network smaller: such a weight is not masked any more, and `check_model` puts it in its place
        if weight is not None and weight.shape == mask.shape and bool((weight[~mask] != 0).any()):
            raise RunError(f"{name} is masked and not 0")
    attained, pruned = sparsity_of(masks), _pruned(directory)
    said = _sparsity(directory, pruned)
    if said is not None and attained != said:
        raise RunError(f"its sparsity is {attained:.6g}; summary.json says {said!r} of {pruned}")
    return f"sparsity {attained:.6g}"


def check_model(directory: RunDirectory, host: Host, known: Known, *, build: bool) -> tuple[str, nn.Module | None]:
    """The recipe of the network gives one into which its tensors load.

    Args:
        directory: of the run.
        host: where the names of parts come from.
        known: what is sure already.
        build: whether to build it: its tensors and masks are right.

    Returns:
        What is there, and the network if it was built.

    Raises:
        RunError: saying what is wrong, or as `models.loaded` does.
    """
    recipe = _object(documents.read(directory.model), schema=models.SCHEMA)
    genotype = Genotype.from_json(recipe.get("genotype"))
    if known.genotype is not None and genotype != known.genotype:
        raise RunError(f"its architecture is not that of {directory.genotype.name}")
    if recipe.get("pruned") is not None and not directory.masks.exists():
        raise RunError(f"it is pruned by {recipe['pruned']!r}, and {directory.masks.name} is missing")
    if not build:
        return "not built", None
    with runtime.undisturbed():
        network, _, precision = models.loaded(directory, host)
    return f"{count(cost.parameters(network).total, 'parameter')}, {precision}", network


def check_report(directory: RunDirectory) -> str:
    """The page is there to its end.  Raises as `check_summary`."""
    if not documents.content(directory.report, most=documents.MOST_OF_A_JOURNAL).rstrip().endswith(b"</html>"):
        raise RunError("it is torn")
    return ""


def _object(document: object, *, schema: int) -> Mapping[str, Any]:
    if not isinstance(document, dict) or document.get("schema") != schema:
        raise RunError(f"it is no JSON object of schema {schema}")
    return document


def _fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _tensors(path: Path) -> dict[str, Tensor]:
    return tensors_of(documents.content(path, most=documents.most_of_tensors()))


def _digest(directory: RunDirectory) -> str | None:
    """What summary.json says, if it can be read: what is wrong with it has a row of its own."""
    try:
        digest = documents.read(directory.summary)["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) else None


def _pruned(directory: RunDirectory) -> str:
    """The name of the target that pruned the network, as summary.json has it."""
    try:
        line = documents.read(directory.model)["pruned"]
        return Spec.parse(line).name.rpartition("/")[2]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _sparsity(directory: RunDirectory, target: str) -> float | None:
    try:
        said: float = documents.read(directory.summary)["sparsity"][target]["attained"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said
