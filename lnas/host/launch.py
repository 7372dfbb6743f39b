"""Which of several processes this is, as `torchrun` and its like say it: in five environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass

from lnas.core.errors import ConfigError

_ALL = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """One of the processes of a run.

    Attributes:
        rank: its number among all, 0 and up; process 0 writes and speaks.
        size: how many there are.
        local_rank: its number on its machine, which is that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    attempt: int = 0
    """How often torchrun has started the processes of this machine again."""


ONE = Place()
"""The only process."""


def place(environment: Mapping[str, str]) -> Place:
    """What the launcher of this process says; `ONE` where there was none, or it started a single process.

    Raises:
        ConfigError: where a variable is missing or is no number, or they contradict each other.
    """
    if "RANK" not in environment or environment.get("WORLD_SIZE", "1") == "1":
        return ONE
    if missing := [name for name in _ALL if not environment.get(name)]:
        raise ConfigError(
            f"RANK is set, but not {' and '.join(missing)}; start several processes with torchrun, or unset RANK for one"
        )
    texts = {name: environment[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")}
    if wrong := [f"{name}={text!r}" for name, text in texts.items() if not (text.isascii() and text.isdigit())]:
        raise ConfigError(f"{wrong[0]} is no number; start several processes with torchrun, or unset RANK for one")
    rank, size, local_rank = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if rank >= size:
        raise ConfigError(f"RANK is {rank} of WORLD_SIZE {size}; ranks go from 0 to {size - 1}")
    attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "")
    return Place(rank, size, local_rank, int(attempt) if attempt.isdigit() else 0)
