"""`lnas import-weights`: the one place where a pickle is read, once, to be rid of it."""

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lnas.cli import output
from lnas.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
GIB = 2**30

EXAMPLES = """
\b
Examples:
  lnas import-weights theirs.pth weights.safetensors --key state_dict --strip-prefix module.
      a checkpoint of a network that was trained in DataParallel
"""


@click.command("import-weights", epilog=EXAMPLES, short_help="Turn a .pt file of others into safetensors.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", metavar=f"OUT{SUFFIX}", type=click.Path(path_type=Path))
@click.option("--key", metavar="KEY", help="Where the tensors lie in the file: state_dict, or ema/model for one in another.")
@click.option("--strip-prefix", "prefix", metavar="PREFIX", default="", help="Take PREFIX off the names that begin with it.")
@click.option("--max-size", "gib", metavar="GIB", default="32", help="Refuse more than so many GiB.  [default: 32]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def import_weights(file: Path, out: Path, key: str | None, prefix: str, gib: str, force: bool, as_json: bool) -> None:
    """Write the tensors of FILE, which torch.save wrote, to a safetensors file, in which nothing can be run.

    FILE may hold tensors and plain containers only: code in it is not run, but refused. lnas reads no such file anywhere else.
    Every checksum of FILE is compared first; what torch before 1.6 wrote has none.
    """
    most = _bytes(gib)
    if out.suffix != SUFFIX:
        raise ConfigError(f"{out} must end with {SUFFIX}: that is what is written")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is no folder; make it first")
    if (out.exists() or out.is_symlink()) and not force:
        raise ConfigError(f"{out} is there already; choose another name, or add --force")
    from lnas.host import checkpoint, durable
    from lnas.host.foreign_weights import read

    tensors = read(file, key=key, prefix=prefix, most=most)
    durable.require_room(out.parent, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    checkpoint.save_tensors(out, tensors)
    values = sum(tensor.numel() for tensor in tensors.values())
    dtypes = _dtypes(tensors)
    if as_json:
        facts = {"file": str(file), "out": str(out), "tensors": len(tensors), "values": values, "dtypes": dtypes}
        output.document({"schema": 1, **facts, "digest": checkpoint.digest(tensors)})
    else:
        kinds = ", ".join(f"{number:,} {dtype}" for dtype, number in dtypes.items())
        output.text(f"{out}: {len(tensors):,} tensors, {values:,} values ({kinds})")


def _bytes(gib: str) -> int:
    try:
        number = float(gib)
    except ValueError:
        number = math.nan
    if not 0 < number < 1e9:
        raise ConfigError(f"--max-size {gib[:40]!r} must be a number of GiB above 0")
    return int(number * GIB)


def _dtypes(tensors: "dict[str, Tensor]") -> dict[str, int]:
    """Values by dtype, the most first."""
    count: Counter[str] = Counter()
    for tensor in tensors.values():
        count[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    return dict(count.most_common())
