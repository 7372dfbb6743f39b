"""The zip archive that `torch.save` writes, checked byte for byte: torch itself maps it into memory and looks at no checksum."""

import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from lnas.core.errors import ConfigError
from lnas.host.spec import shown

_PIECE = 1 << 20
"""Bytes that are read at a time."""


def begins(path: Path) -> bool:
    """Whether a file begins as an archive does.

    Raises:
        ConfigError: where an archive ends it, and something else begins it: torch takes that for a file of another format.
        OSError: where it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(2)
        if head != b"PK" and head != b"\x80\x02" and zipfile.is_zipfile(file):  # a pickle may hold what looks like an archive
            raise ConfigError(
                f"{path} has something before the archive that torch.save wrote; cut it off, or copy the file again"
            )
    return head == b"PK"


def checked(path: Path) -> frozenset[tuple[int, int]]:
    """Read every record of an archive once, and compare it with its CRC-32.

    Returns:
        (bytes, CRC-32) of each record that holds the values of tensors.

    Raises:
        ConfigError: where it is another archive, a TorchScript program, packed or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_kind(path, members)
            for member in members:
                with archive.open(member) as record:
                    length = 0
                    while piece := record.read(_PIECE):
                        length += len(piece)
                if length != member.file_size:
                    raise ConfigError(f"{path} is a broken archive: {shown(member.filename)} is cut off")
            order = [archive.read(member) for member in members if PurePosixPath(member.filename).name == "byteorder"]
    except ConfigError:
        raise
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is a broken archive: {' '.join(str(error).split())[:160] or 'it is cut off'}") from None
    if any(word.decode(errors="replace") != sys.byteorder for word in order):
        raise ConfigError(
            f"{path} was written by a machine of another byte order; save it again on one that is {sys.byteorder}-endian"
        )
    return frozenset((member.file_size, member.CRC) for member in members if PurePosixPath(member.filename).parent.name == "data")


def check_values(path: Path, tensors: Mapping[str, Tensor], records: frozenset[tuple[int, int]]) -> None:
    """The memory behind each tensor is one whole record, and neither part of one nor what lies beside it in the file.

    Args:
        path: of the archive.
        tensors: that torch read from it.
        records: what `checked` gave.

    Raises:
        ConfigError: naming the first tensor of which it is not.
    """
    right: set[tuple[int, int]] = set()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        place = storage.data_ptr(), storage.nbytes()
        if not place[1] or place in right:
            continue
        values = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
        if (place[1], zlib.crc32(values.data)) not in records:
            raise ConfigError(
                f"{path} is damaged: {shown(name)} asks for {place[1]:,} bytes of values, and no record of the file is that"
            )
        right.add(place)


def _check_kind(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [PurePosixPath(member.filename).name for member in members]
    if "constants.pkl" in names:
        raise ConfigError(f"{path} is a TorchScript program, not weights; save the state_dict() of the module instead")
    if "data.pkl" not in names:
        raise ConfigError(f"{path} is an archive, but none that torch.save wrote")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ConfigError(f"{path} is a packed archive; torch.save does not pack, so lnas does not unpack")
    if len({member.filename for member in members}) < len(members):
        raise ConfigError(f"{path} is a broken archive: two of its records have the same name")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ConfigError(f"{path} is a broken archive: its records claim more bytes than it has")
