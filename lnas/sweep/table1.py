"""Table 1 of the paper as a list of rows, at three scales."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lnas.core.errors import ConfigError, SparsityError, UnknownNameError
from lnas.host.fields import READERS, read
from lnas.host.prune_lines import RECIPES, short
from lnas.host.spec import Spec, shown
from lnas.sweep.planned import PlannedRow
from lnas.sweep.results import Row
from lnas.sweep.sources import laid

LEVELS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.95)
"""The sparsities of Table 1.  At the last, alpha keeps one candidate an edge, 0.875 of eight."""

NO_PREPROCESSING: Mapping[str, str] = MappingProxyType({"crop": "0", "flip": "false", "normalise": "false"})
"""Options of the pictures as the paper has them: numbers from 0 to 1, and nothing else is done to them."""

SETS_ITSELF = ("recipe", "prune", "sparsity", "seed", "out", "name")
"""Settings that make the rows and the trials."""

_PICTURES = ("digits", "cifar10", "cifar100", "mnist", "fashion_mnist", "folder")


@dataclass(frozen=True)
class Scale:
    """The sizes of all rows.

    Attributes:
        settings: as one would type them for `lnas run`.
        data: the data set where nobody names one; None where somebody has to.
    """

    settings: Mapping[str, str]
    data: str | None = None


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "tiny": Scale(
            {
                "space": "cells,channels=2,layers=3,nodes=1,network_channels=8,network_layers=3",
                "epochs": "5:10",
                "batch": "64",
                "validation": "0.3",
                "train": "lr=0.2",
            },
            "digits",
        ),
        "small": Scale(
            {
                "space": "cells,channels=4,layers=3,nodes=1,network_channels=12,network_layers=3",
                "epochs": "4:8",
                "batch": "128",
                "train": "lr=0.1",
            },
        ),
        "paper": Scale(
            {
                "space": "cells,channels=16,layers=8,nodes=4,network_channels=36,network_layers=20",
                "epochs": "10:20",
                "batch": "64",
                "train": "lr=0.025",
            },
        ),
    }
)
"""By name.  Of "paper", the paper gives epochs and batch, and DARTS the rest.  The smaller ones have cells of one node and twice
as many epochs of training as of search; after the last prune at least 70 steps are left, which the statistics of a batch norm
take to follow weights that became few (0.9 ** 70 is 6e-4), and a larger learning rate to use them.
"""


def table1(
    scale: str,
    *,
    data: str | None = None,
    levels: Sequence[float] = LEVELS,
    overrides: Mapping[str, object] | None = None,
) -> tuple[PlannedRow, ...]:
    """The rows of Table 1: the baseline, and Variant 1, Variant 2 and generalized LNAS at every level.

    Variant 1 prunes theta at once, after half of the training, and rewinds to theta_0.  Variant 2 prunes alpha after every
    epoch of the search.  Generalized LNAS does both.

    Args:
        scale: one of `SCALES`.
        data: the data set, as for `lnas run`; nothing is done to its pictures unless its options say so.
        levels: sparsities, each once.
        overrides: settings that replace those of the scale, in every row; the options of a part are replaced one by one.

    Raises:
        ConfigError: for a scale that does not exist or needs a data set, a level that is given twice, or an override of
            what the table sets itself.
        SparsityError: for a level outside (0, 1).
    """
    if scale not in SCALES:
        raise UnknownNameError("scale", scale, SCALES)
    given = dict(overrides or {})
    for key in given:
        if key in SETS_ITSELF:
            raise ConfigError(f"table1 sets {key} itself, so it cannot be {shown(given[key])}; use a sweep of your own for that")
        if key not in READERS:
            raise UnknownNameError("key", key, READERS)
    _check_levels(levels)
    settings = laid(SCALES[scale].settings, {key: value for key, value in given.items() if key != "data"})
    settings["data"] = _pictures(scale, data or given.get("data"))
    rounds = _rounds(str(settings["epochs"]))
    lines = {
        "baseline": (),
        "variant1": ("theta:one-shot",),
        "variant2": (f"alpha:iterative,rounds={rounds}",),
        "generalized": (f"alpha:iterative,rounds={rounds}", "theta:one-shot"),
    }
    rows = [PlannedRow(Row("baseline", "baseline"), {"recipe": "baseline", **settings})]
    for recipe in RECIPES:
        for level in levels if lines[recipe] else ():
            chosen = {"recipe": recipe, "prune": lines[recipe], "sparsity": f"{level:g}", **settings}
            rows.append(PlannedRow(Row(f"{recipe} p={level:g}", recipe, level), chosen))
    return tuple(rows)


def _check_levels(levels: Sequence[float]) -> None:
    for level in levels:
        if not 0 < level < 1:
            raise SparsityError(f"level {level!r} is outside (0, 1); the baseline is the row that prunes nothing")
        if float(f"{level:g}") != level:
            raise ConfigError(f"level {level!r} has more digits than a row shows; six are read")
        if list(levels).count(level) > 1:
            raise ConfigError(f"level {level:g} is given twice; a row is run once for each seed")


def _pictures(scale: str, data: object) -> str:
    """The data set; of those that come with lnas, the pictures as they are."""
    chosen = SCALES[scale].data if data is None else data
    if chosen is None:
        raise ConfigError(f"scale {scale} needs a data set; name one, as in --data folder,root=DIR or --data cifar10,root=DIR")
    spec = Spec.of(chosen)
    plain = NO_PREPROCESSING if short(spec.name) in _PICTURES else {}
    return str(Spec(spec.name, None, {**plain, **spec.options}))


def _rounds(epochs: str) -> int:
    """One prune after each epoch of the search; ten where its length is in steps."""
    search = read("epochs", epochs, "epochs").search
    return search.number if search.unit == "ep" else 10
