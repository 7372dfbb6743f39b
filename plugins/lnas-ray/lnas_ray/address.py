"""The address of a cluster: refused where it is none, or where nobody answers, before Ray tries it for minutes."""

import os
import socket
from queue import Empty, SimpleQueue
from threading import Thread

import lnas

LOCAL = ""
"""No cluster: a Ray of our own, on this machine."""
RUNNING = "auto"
"""The cluster that this machine is a node of."""

PATIENCE = 8.0
"""Seconds that a cluster has to answer."""

_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = 4
"""The type of the frame that either side of a connection of HTTP/2 sends first (RFC 9113, section 3.4)."""


def check_form(address: str) -> None:
    """Refuse what can be no address.

    Raises:
        ConfigError: saying what one looks like.
    """
    if address in (LOCAL, RUNNING):
        return
    if "://" in address:
        raise lnas.ConfigError(
            f"address {address!r} is one of Ray's client; start the sweep on a node of the cluster, with address=auto, or"
            " with address=HOST:PORT of its head node"
        )
    host, _, port = address.rpartition(":")
    if not host or host != host.strip() or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise lnas.ConfigError(
            f"address must be HOST:PORT of the head node of a cluster, such as 10.0.0.1:6379, or auto, not {address!r};"
            " leave it out to start Ray on this machine"
        )


def place_of(address: str) -> str:
    """HOST:PORT of the head node that Ray would connect to.

    Raises:
        ConfigError: where there is none, or nobody answers there as the head node of a cluster does.
    """
    found: SimpleQueue[tuple[str, str]] = SimpleQueue()
    Thread(target=lambda: found.put(_looked(address)), daemon=True).start()  # a name server may take its time
    try:
        place, fault = found.get(timeout=PATIENCE)
    except Empty:
        place, fault = "", f"nobody answered within {PATIENCE:g} s"
    if fault:
        raise lnas.ConfigError(
            f"no Ray cluster answers at address={address}: {fault}; start one with: ray start --head; or leave address out to"
            " start Ray on this machine"
        )
    return place


def _looked(address: str) -> tuple[str, str]:
    """Where the head node is, and why it cannot be used; one of them is empty."""
    from ray._private.services import canonicalize_bootstrap_address  # for auto, Ray alone knows

    try:
        place = canonicalize_bootstrap_address(address)
        if place is None:  # RAY_ADDRESS=local
            return "", "RAY_ADDRESS says local"
        return (place, "") if _answers(place) else ("", f"what listens at {place} is not the head node of one")
    except Exception as error:  # of whatever type Ray has for it
        return "", " ".join(str(error).split())


def _answers(place: str) -> bool:
    """Whether a server of gRPC is there, which is what a head node is."""
    host, _, port = place.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE / 2) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("0", "false", "False"):
            return True  # it says nothing in plain text
        connection.sendall(_HTTP2 + bytes((0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0)))
        header = connection.recv(9)
    return len(header) > 3 and header[3] == _SETTINGS
