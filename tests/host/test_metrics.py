"""The journal's end of the promise: what a checkpoint counts on is on the disk, and is what is gone on with."""

import hashlib
import os
from pathlib import Path

import pytest

from lnas.core.errors import RunError
from lnas.host.metrics_file import MetricsFile

FIRST, SECOND = b'{"event":"start"}\n', b'{"event":"epoch"}\n'


@pytest.fixture
def file(tmp_path: Path) -> MetricsFile:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.append({"event": "start"})
    return file


def test_what_is_kept_is_synced_with_all_its_bytes(file: MetricsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = [], os.fsync

    def recorded(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((found.st_ino, found.st_size))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    file.append({"event": "epoch"})
    assert synced == [], "a line alone costs no sync"
    assert file.keep() == (len(FIRST + SECOND), hashlib.sha256(FIRST + SECOND).hexdigest())
    assert synced == [(file.path.stat().st_ino, len(FIRST + SECOND))]


def test_lines_that_came_later_are_cut_and_may_be_anything(file: MetricsFile) -> None:
    kept = file.keep()
    file.append({"event": "epoch"})
    with open(file.path, "ab") as torn:
        torn.write(b'{"event":')
    MetricsFile(file.path).cut(*kept)
    assert file.path.read_bytes() == FIRST


@pytest.mark.parametrize("at", [0, 10, len(FIRST) - 1])
def test_a_journal_that_was_changed_is_refused_and_left(file: MetricsFile, at: int) -> None:
    kept = file.keep()
    file.append({"event": "epoch"})
    changed = bytearray(file.path.read_bytes())
    changed[at] ^= 1
    file.path.write_bytes(changed)
    with pytest.raises(RunError, match="metrics.jsonl was changed since the checkpoint was made; put the file back"):
        MetricsFile(file.path).cut(*kept)
    assert file.path.read_bytes() == changed
