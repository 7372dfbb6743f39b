"""A state goes into tensors and a document, and comes out of them; whatever does not is refused."""

import json
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import torch as safetensors

from lnas.core.errors import PluginError, RunError
from lnas.host.packing import pack, read, tensors_of, unpack, written

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$tensor", "$float", "$", "$$", "$x", "a", ""]), inner | st.sampled_from(["nan", "/a"])
        )
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_document_is_a_state_or_refused(document: object) -> None:
    try:
        state = unpack({"/a": torch.zeros(1)}, document)
    except RunError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 300
    else:
        tensors, packed = pack(state)
        assert len(tensors) == 1 and isinstance(packed, dict)


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda data: struct.pack("<Q", len(data)) + data))
def test_any_bytes_are_tensors_or_refused(data: bytes) -> None:
    try:
        tensors_of(data)
    except ValueError as error:
        assert str(error).startswith("no file of tensors: ") and len(str(error).splitlines()) == 1


def header(**tensors: object) -> bytes:
    words = json.dumps(tensors).encode()
    return struct.pack("<Q", len(words)) + words + b"\0" * 8


def entry(shape: object, *, kind: str = "F32", offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "data",
    [
        header(a=entry([2**62])),
        header(a=entry([2**63])),
        header(a=entry([-2])),
        header(a=entry([0, 2**64 - 1], offsets=(0, 0)), b=entry([2])),
        header(a=entry([0, 2**62, 2**62], offsets=(0, 0)), b=entry([2])),
        header(a=entry([16], kind="F4")),
        header(a=entry([8], kind="F8_E8M0")),
        header(a=entry([2]), b=entry([2])),
        header(a=entry([1], offsets=(0, 4)), b=entry([2], offsets=(2, 10))),
        header(a=entry([1], offsets=(4, 8))),
        header(a=entry([2], offsets=(8, 0))),
        header(a=entry("2")),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 20_000) + b'{"a":' + b"[" * 19_995,
        b"\x80\x04]\x94.",
    ],
)
def test_a_header_that_lies_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^no file of tensors: "):
        tensors_of(data)


def test_tensors_are_read_as_they_were_written() -> None:
    tensors = {"a": torch.arange(3), "b": torch.zeros(2, 0), "c": torch.tensor(float("nan"))}
    again = tensors_of(safetensors.save(tensors))
    assert all(torch.equal(again[name].nan_to_num(7), tensors[name].nan_to_num(7)) for name in tensors) and len(again) == 3


def test_what_could_not_be_read_is_not_written() -> None:
    deep: list[object] = []
    for _ in range(61):
        deep = [deep]
    _, document = pack({"a": deep})
    assert read(written(document)) == document
    with pytest.raises(PluginError, match="nested deeper than 63 dicts and lists"):
        pack({"a": [deep]})
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(PluginError, match=r"at /a/0/0/0/.* is nested deeper"):
        pack({"a": endless})
    assert unpack({}, read(written(pack({"a": 10**39 - 1, "b": 1 - 10**39})[1]))) == {"a": 10**39 - 1, "b": 1 - 10**39}
    with pytest.raises(PluginError, match="the state at /a is a whole number of more than 39 digits"):
        pack({"a": 10**39})


def test_a_document_that_is_too_large_is_neither_written_nor_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnas.host.packing.MOST_VALUES", 5)
    assert read(written([0] * 4)) == [0] * 4
    with pytest.raises(PluginError, match="at most .* and 5 values are kept: put numbers into tensors"):
        written([0] * 6)
    with pytest.raises(ValueError, match="more than 5 values"):
        read(b"[0,0,0,0,0,0]")
    monkeypatch.setattr("lnas.host.packing.MOST_BYTES", 10)
    with pytest.raises(PluginError, match="the state has 12 bytes beside its tensors"):
        written(["x" * 8])
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        read(b'["xxxxxxxx"]')
