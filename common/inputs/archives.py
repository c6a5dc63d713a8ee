"""Untrusted archives: unpacks the wanted files of a zip as streams under fixed names, or says why it is refused."""
import os
import re
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from common import UserError

MAX_TOTAL_BYTES = 4 << 30
"""Most that the files of an archive may hold together."""
MAX_MEMBERS = 1000
MAX_RATIO = 200
"""Vocabularies, TSV files and weights compress 2 to 10 times; a bomb about 1000 times."""


def unpack(file: BinaryIO, where: str, wanted: dict[str, str], folder: Path, optional: dict[str, str] | None = None
            ) -> None:
    """Writes the wanted members of a zip into `folder`, as streams and under the given names.

    Args:
      wanted: name of a file at the root of the archive or below one folder -> the name to write.
      optional: the same, for files that may be missing.

    Raises:
      UserError: the archive is damaged or unsafe, or a wanted file is missing.
    """
    optional = optional or {}
    try:
        with zipfile.ZipFile(file) as archive:
            members = _find_members(archive, {*wanted, *optional})
            missing = sorted(set(wanted) - set(members))
            if missing:
                raise _Refused(f"it has no {missing[0]}")
            _check_members(members, os.fstat(file.fileno()).st_size)
            for name, member in members.items():
                _copy_member(archive, member, folder / {**wanted, **optional}[name])
    except _Refused as refused:
        raise UserError(f"the archive {where} cannot be used: {refused}; give another file") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
            OverflowError, IndexError, KeyError):
        raise UserError(f"the archive {where} is damaged or no zip file; fetch or copy it again") from None


class _Refused(Exception):
    """An archive that is whole but must not be used, and why."""


def _find_members(archive: zipfile.ZipFile, names: set[str]) -> dict[str, zipfile.ZipInfo]:
    """File name -> member, of those that are asked for and in the archive."""
    if len(archive.infolist()) > MAX_MEMBERS:
        raise _Refused(f"it has {len(archive.infolist())} members, more than {MAX_MEMBERS}")
    found = {}
    for member in archive.infolist():
        path = PurePosixPath(member.orig_filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in str(path) or re.match("[A-Za-z]:", str(path)):
            raise _Refused(f"its member {member.orig_filename[:80]!r} points outside of it")
        if path.name not in names or len(path.parts) > 2 or path.parts[0] == "__MACOSX" or member.is_dir():
            continue
        if path.name in found:
            raise _Refused(f"it has {path.name} twice")
        found[path.name] = member
    return found


def _check_members(members: dict[str, zipfile.ZipInfo], archive_size: int) -> None:
    for name, member in members.items():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _Refused(f"its {name} is a link or device, not a plain file")
        if member.flag_bits & 0x1:
            raise _Refused(f"its {name} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refused(f"its {name} is compressed by a method other than deflate")
        if member.file_size > MAX_RATIO * member.compress_size + 1024:
            times = member.file_size // max(member.compress_size, 1)
            raise _Refused(f"its {name} would grow to {times} times its size, as in a zip bomb")
    if sum(member.compress_size for member in members.values()) > archive_size:
        raise _Refused("its members overlap")
    if sum(member.file_size for member in members.values()) > MAX_TOTAL_BYTES:
        raise _Refused(f"its files would take more than {MAX_TOTAL_BYTES >> 30} GiB")


def _copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    with archive.open(member) as source, open(target, "xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        if file.tell() != member.file_size:
            raise zipfile.BadZipFile
