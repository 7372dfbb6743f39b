"""The Ray that trials run on: started here, connected to, or what this program uses already."""

import logging
from collections.abc import Callable

import ray

import lnas
from lnas_ray.address import LOCAL, RUNNING, place_of
from lnas_ray.manners import polite, silence


def join(address: str, cpus: int) -> Callable[[], None]:
    """Start Ray on this machine, or connect to a cluster; where this program has done so itself, use that.

    Args:
        address: of the cluster; `LOCAL` for a Ray of our own.
        cpus: of a Ray of our own.

    Returns:
        What leaves it: ends what was started here, else disconnects, else does nothing.

    Raises:
        ConfigError: where that cannot be.
    """
    if ray.is_initialized():
        _check_joined(address)
        return lambda: None
    place = "local" if address == LOCAL else place_of(address)
    speak = silence()
    try:
        with polite():
            ray.init(
                address=place,
                num_cpus=cpus if address == LOCAL else None,
                include_dashboard=False if address == LOCAL else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except Exception as error:  # of many types, a bare Exception among them
        with polite():
            ray.shutdown()
        speak()
        what = "cannot be started on this machine" if address == LOCAL else f"cannot connect to address={address}"
        raise lnas.ConfigError(f"Ray {what}: {' '.join(str(error).split())}") from error

    def leave() -> None:
        with polite():
            ray.shutdown()
        speak()

    return leave


def require_room(cpus: int, gpus: float) -> None:
    """A task that fits on no node would wait for ever.

    Raises:
        ConfigError: where there is none with so many CPUs and GPUs.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        return
    most = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes) or "no node"
    wanted, option = (f"gpus={gpus:g}", "gpus") if gpus else (f"cpus={cpus}", "cpus")
    raise lnas.ConfigError(
        f"a trial asks Ray for {cpus} CPUs and {gpus:g} GPUs ({wanted}), which no node has; there are: {most}; set a smaller"
        f" {option}, or add a node"
    )


def _check_joined(address: str) -> None:
    here = ray.get_runtime_context().gcs_address
    if address not in (RUNNING, here):
        asked = "a Ray of its own" if address == LOCAL else f"address={address}"
        raise lnas.ConfigError(f"this program uses the Ray at {here} already, and was asked for {asked}; set address=auto")
