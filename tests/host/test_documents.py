"""Files of a run are read where they are regular, of a bounded size, and its own."""

import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnas.core.errors import RunError
from lnas.host import documents
from lnas.host.rundir import RunDirectory
from lnas.report.read import read as report


def refused(path: Path, number: int, words: str) -> None:
    for reader in (documents.content, documents.read, lambda path: list(documents.lines(path))):
        with pytest.raises(OSError) as caught:
            reader(path)
        assert caught.value.errno == number and words in (caught.value.strerror or "")


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1]}')
    assert documents.content(tmp_path / "a.json") == b'{"a": [1]}'
    assert documents.read(tmp_path / "a.json") == {"a": [1]}
    (tmp_path / "b.jsonl").write_bytes(b"1\n\n2")
    assert list(documents.lines(tmp_path / "b.jsonl")) == [b"1\n", b"\n", b"2"]


def test_what_is_no_file_of_the_run_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("{}")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")  # must not be waited for
    refused(tmp_path / "none", errno.ENOENT, "No such file")
    refused(tmp_path, errno.EISDIR, "Is a directory")
    refused(tmp_path / "link", errno.ELOOP, "a link; a run holds its files itself")
    refused(tmp_path / "loop", errno.ELOOP, "a link; a run holds its files itself")
    refused(tmp_path / "pipe", errno.EINVAL, "no regular file")
    refused(Path("/dev/zero"), errno.EINVAL, "no regular file")
    refused(tmp_path / "a\0b", errno.EINVAL, "null byte")
    assert documents.content(tmp_path / "link", through_links=True) == b"{}"  # where the user named it
    with pytest.raises(OSError, match="Too many levels"):
        documents.content(tmp_path / "loop", through_links=True)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert documents.content(path, most=10) == b"x" * 10
    with pytest.raises(OSError, match="larger than 9 bytes, the most that is read"):
        documents.content(path, most=9)
    os.truncate(path, 10**13)  # takes nothing on the disk, and would not fit into memory
    refused(path, errno.EFBIG, "larger than")
    assert documents.content(Path("/proc/self/status"))  # says that it has no bytes, and has some
    with pytest.raises(OSError, match="larger than 5 bytes"):
        documents.content(Path("/proc/self/status"), most=5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 20_000_000, "line 1 is longer than 8,000,000 bytes, the most that is read"),
        (b"{}\n" * 1999 + b"[" * 8_000_001, "line 2000 is longer than 8,000,000 bytes"),
        (b"{}\n" * 2001, "more than 2,000 lines, the most that are read"),
        ((b"[" * 7_000_000 + b"\n") * 3, "more than 1,000,000 values, the most that are read"),
        (b"[" * 900 + b"\n{}\n", "not a JSON document: Expecting value"),
        (b"[" * 100 + b"]" * 100 + b"\n{}\n", "not a JSON document: nested too deep"),
    ],
    ids=["one line", "last line", "lines", "values", "brackets", "deep"],
)
def test_a_journal_of_nonsense_is_refused_by_both_readers_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    assert documents.MOST_LINES == 200_000
    monkeypatch.setattr(documents, "MOST_LINES", 2000)
    (tmp_path / "config.toml").touch()
    (tmp_path / "metrics.jsonl").write_bytes(content)
    for reader in (report, lambda path: RunDirectory(path).rows()):
        began = time.process_time()
        with pytest.raises(RunError) as caught:
            reader(tmp_path)
        assert message in str(caught.value) and str(tmp_path / "metrics.jsonl") in str(caught.value)
        assert time.process_time() - began < 10


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"{}", b'{"event":"epoch","stage":"a","epoch":1}', b"[]", b"\xff"])))
def test_both_readers_read_or_refuse_any_journal(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    run = tmp_path_factory.mktemp("run")
    (run / "config.toml").touch()
    (run / "metrics.jsonl").write_bytes(b"\n".join(lines))
    for reader in (report, lambda path: RunDirectory(path).rows()):
        try:
            reader(run)
        except RunError as error:
            assert len(str(error).splitlines()) == 1
