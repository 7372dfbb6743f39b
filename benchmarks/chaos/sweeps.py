"""SIGKILL for the workers of a sweep, and for the sweep itself, at random moments; then the same command again.

A try is one sweep of nine trials in two processes, which share three searches.  Three of ten pieces of work lose their
worker, drawn by chance, and in every other try the sweep is killed once too.  It holds if the command, given again where it was
killed, ends with exit status 0 and the table of the quiet sweep, which ran its trials one after the other: every figure but
times, the digest of every network.  Where lnas-ray is installed, it runs once on a local Ray too, unkilled.
"""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.chaos.outcome import Outcome, progress
from lnas.sweep.collect import collect

LONG = 20
SHARE = 0.3
"""Of the pieces of work, that lose their worker."""
WORK = 12
"""Pieces of work of the sweep: trials and shared searches."""
STARTS = 20
"""Of one try at most."""
LATEST = 3600.0
"""Seconds after which a sweep is taken to hang."""

WORDS = (
    *("--recipe", "baseline,variant1,generalized", "--sparsity", "0.25,0.5", "--seeds", "1", "--controls", "random-mask"),
    *("--space", "cells,channels=1,layers=3,nodes=1,network_channels=2,network_layers=3", "--epochs", "12it:24it"),
    *("--batch", "16", "--threads", "1"),
)


def measure(count: int, seed: int, folder: Path) -> Outcome:
    """So many sweeps."""
    quiet = _table(_run_quietly(folder / "quiet", "serial", 1))
    broken, counts = [], Counter[str]()
    others = ["process", *(["ray"] if find_spec("lnas_ray") else [])]
    for name in others:
        if _table(_run_quietly(folder / name, name, 2)) != quiet:
            broken.append(f"{name} gives another table than serial")
    for number in range(count):
        progress(f"sweep {number + 1} of {count}")
        drawn = random.Random(f"{seed}/{number}")
        trouble = _killed(folder / f"try-{number}", drawn, counts, itself=number % 2 == 1, expected=quiet)
        if trouble:
            broken.append(f"try {number}: {trouble}")
    if count and not counts["workers killed"]:
        broken.append("no worker was killed, so nothing was shown")
    tried = count + len(others) + 1
    return Outcome(tried, tried - len(broken), dict(counts), broken)


def _killed(place: Path, drawn: random.Random, counts: Counter[str], *, itself: bool, expected: Any) -> str | None:
    """What went wrong, or None."""
    left = sum(drawn.random() < SHARE for _ in range(WORK))
    began = time.monotonic()
    for _ in range(STARTS):
        process = _start(place, "process", 2)
        while process.poll() is None:
            if time.monotonic() - began > LATEST:
                process.kill()
                return "it hangs"
            time.sleep(drawn.uniform(0.2, 2.0))
            workers = _children(process.pid)
            if workers and left:
                _kill(drawn.choice(workers))
                counts["workers killed"] += 1
                left -= 1
            elif workers and itself and _some(place):
                _kill(process.pid)
                counts["sweeps killed"] += 1
                itself = False
        if process.returncode == 0:
            return None if _table(place) == expected else "another table"
        if process.returncode != -signal.SIGKILL:
            return f"exit status {process.returncode}"
    return f"not finished after {STARTS} starts"


def _run_quietly(place: Path, executor: str, workers: int) -> Path:
    code = _start(place, executor, workers).wait()
    if code:
        raise RuntimeError(f"lnas sweep --executor {executor} ended with exit status {code}")
    return place


def _start(place: Path, executor: str, workers: int) -> "subprocess.Popen[bytes]":
    words = ["sweep", *WORDS, "--executor", executor, "--workers", str(workers), "--out", str(place)]
    with open(place.with_name(f"{place.name}.log"), "ab") as log:
        return subprocess.Popen([sys.executable, "-m", "lnas", *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _table(place: Path) -> list[dict[str, Any]]:
    """All that the trials came to, but for clock time."""
    timed = ("search_seconds", "train_seconds")
    trials = [dataclasses.asdict(trial) for trial in collect(place).trials]
    return [{key: value for key, value in trial.items() if key not in timed} for trial in trials]


def _some(place: Path) -> bool:
    return any((place / "outcomes").glob("*.json")) if place.is_dir() else False


def _children(process: int) -> list[int]:
    """Of all its threads: workers are begun by threads of their own."""
    found: list[int] = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
