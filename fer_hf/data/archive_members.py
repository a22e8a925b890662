"""What is inside zip and tar archives, read piece by piece and believed in nothing.

A room of its own because it only reads: where the pieces go is decided in `archives`.
"""

import bz2
import contextlib
import errno
import gzip
import logging
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

from fer_hf.emotions import EMOTIONS, canonical_emotion

logger = logging.getLogger(__name__)

_PIECE_BYTES = 1_000_000
_ALWAYS_ALLOWED_BYTES = 1_000_000_000
_MOST_GROWTH = 100
_MOST_MEMBERS = 5_000_000

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # its first member, or none
_DECOMPRESSORS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_LOCAL_HEADER_BYTES = 30
# `zipfile` reads others too, but takes whatever 4 KB of them unpack to at once: gigabytes.
_ZIP_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_NAMED_IN_UTF8 = 0x800
# What Windows in these languages writes: Chinese (two), Japanese, Korean, Russian,
# Turkish, Polish and Czech.
_ENCODINGS = ("gbk", "big5", "cp932", "cp949", "cp866", "cp857", "cp852")


BY_HAND = "Unpack it yourself, and pass the folder"
AGAIN = "Download or copy it again"


class RefusedArchiveError(ValueError):
    """An archive cannot be used; the message says which one, why, and what to do."""


def refuse(where: str, found: str, do: str) -> NoReturn:
    """Raise the error of an archive that cannot be used."""
    raise RefusedArchiveError(f"{where} {found}. {do}.")


@dataclass
class Allowance:
    """How much may still come out of an archive and of all archives in it.

    An archive may unpack to `_MOST_GROWTH` times its size, or to `_ALWAYS_ALLOWED_BYTES`, whichever
    is more.
    """

    num_bytes: int
    num_members: int

    @classmethod
    def of(cls, archive: Path) -> "Allowance":
        """Return the allowance of an archive in a file."""
        size = archive.stat().st_size
        return cls(max(_ALWAYS_ALLOWED_BYTES, _MOST_GROWTH * size), _MOST_MEMBERS)

    def take(self, num_members: int, num_bytes: int, where: str) -> None:
        """Count members that the archive announces.

        Raises:
            ValueError: If it is more than an archive of pictures has.
        """
        self.num_members -= num_members
        self.num_bytes -= num_bytes
        if self.num_members < 0 or self.num_bytes < 0:
            over = "members" if self.num_members < 0 else "bytes"
            refuse(
                where,
                f"would unpack to too many {over}, as a zip bomb does. Expected at most "
                f"{_MOST_MEMBERS:,} members, and {_MOST_GROWTH} times the archive's size or "
                f"{_ALWAYS_ALLOWED_BYTES:,} bytes",
                BY_HAND,
            )


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive.

    Attributes:
        name: As the archive has it, with ``/`` between folders; not to be trusted.
        num_bytes: How long the archive says it is.
        is_folder: Whether it is a folder.
        is_special: Whether it is a link, a device, or anything else that is neither.
        read: Yields its content in pieces; to be called before the next member is asked for.
    """

    name: str
    num_bytes: int
    is_folder: bool
    is_special: bool
    read: Callable[[], Iterator[bytes]]


def is_readable_kind(path: Path) -> bool:
    """Return whether a file is a zip, or a tar, compressed or not, by its content."""
    with path.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    if start.startswith((*_ZIP, *_DECOMPRESSORS)):
        return True
    try:
        tarfile.TarInfo.frombuf(start, tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        # An empty tar is zeros.
        return len(start) == tarfile.BLOCKSIZE and not any(start)
    return True


def read_members(file: IO[bytes], allowance: Allowance, where: str) -> Iterator[Member]:
    """Yield the members of an open archive, in the order in which they lie in it.

    Args:
        file: Of a kind that `is_readable_kind` knows.
        allowance: Pays for the members.
        where: The archive, for messages.

    Raises:
        ValueError: If it is damaged, encrypted, compressed in an unusual way, or
            unpacks to more than is allowed.
    """
    with _explaining_damage(where):
        start = file.read(6)
        file.seek(0)
        if start.startswith(_ZIP):
            yield from _read_zip(file, allowance, where)
            return
        for magic, decompress in _DECOMPRESSORS.items():
            if start.startswith(magic):
                with decompress(file) as unpacked:
                    yield from _read_tar(unpacked, allowance, where)
                return
        yield from _read_tar(file, allowance, where)


@contextlib.contextmanager
def _explaining_damage(where: str) -> Iterator[None]:
    try:
        yield
    except RefusedArchiveError:
        raise
    # Readers meet damaged archives with whatever goes wrong first: BadZipFile, TarError, EOFError,
    # zlib.error, LZMAError, struct.error, ValueError, RecursionError and more.
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RefusedArchiveError(
            f"{where} is damaged or not complete ({reason}). {AGAIN}."
        ) from error


def _read_zip(file: IO[bytes], allowance: Allowance, where: str) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        # In the order of the file, which is the fastest, and shows what overlaps.
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        allowance.take(len(infos), sum(info.file_size for info in infos), where)
        ends = [*(info.header_offset for info in infos), archive.start_dir][1:]
        for info, end in zip(infos, ends, strict=True):
            if info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size > end:
                raise zipfile.BadZipFile(f"member {info.filename!r} overlaps the next one")
        for info, name in zip(infos, _decode_names(infos, where), strict=True):
            if info.flag_bits & _ENCRYPTED:
                refuse(where, f"needs a password for member {name!r}, expected none", BY_HAND)
            if info.compress_type not in _ZIP_METHODS:
                refuse(
                    where,
                    f"has member {name!r} compressed by method {info.compress_type}, expected one "
                    f"of {_ZIP_METHODS}",
                    BY_HAND,
                )
            kind = stat.S_IFMT(info.external_attr >> 16)
            yield Member(
                name,
                info.file_size,
                is_folder=name.endswith("/"),
                is_special=kind not in (0, stat.S_IFREG, stat.S_IFDIR),
                read=partial(_read_pieces, partial(archive.open, info), where, name),
            )


def _decode_names(infos: Sequence[zipfile.ZipInfo], where: str) -> list[str]:
    """Return the names of a zip, which need not say in which encoding they are.

    It is UTF-8 where all names are valid in it, as macOS writes them; else the one of `_ENCODINGS`
    in which most folders are named after an emotion, if any is; else cp437, as the format has it.
    """
    raw = [info.orig_filename.encode("utf-8" if _is_utf8(info) else "cp437") for info in infos]
    unknown = [name for name, info in zip(raw, infos, strict=True) if not _is_utf8(info)]
    encoding = _guess_encoding(unknown)
    if encoding == "cp437" and any(not name.isascii() for name in unknown):
        logger.warning("%s has names in an unknown encoding; they may look strange.", where)
    return [
        name.decode("utf-8" if _is_utf8(info) else encoding).replace("\\", "/")
        for name, info in zip(raw, infos, strict=True)
    ]


def _is_utf8(info: zipfile.ZipInfo) -> bool:
    return bool(info.flag_bits & _NAMED_IN_UTF8)


def _guess_encoding(names: Sequence[bytes]) -> str:
    joined = b"\n".join(names)
    with contextlib.suppress(UnicodeDecodeError):
        joined.decode("utf-8")
        return "utf-8"
    best, most = "cp437", 0
    for encoding in _ENCODINGS:
        with contextlib.suppress(UnicodeDecodeError):
            lines = joined.decode(encoding).replace("\\", "/").split("\n")
            folders = {part for line in lines for part in line.split("/")[:-1]}
            found = sum(canonical_emotion(folder) in EMOTIONS for folder in folders)
            if found > most:
                best, most = encoding, found
    return best


class _TarStream:
    """What `tarfile` reads from: bounded in what it asks for, and its latest block remembered."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end, self.latest = file, end, b""

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def read(self, size: int) -> bytes:
        # Headers are read whole, as long as they say they are.
        if not 0 <= size <= _PIECE_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        if self._file.tell() > self._end:
            raise tarfile.ReadError("longer than its members")
        self.latest = self._file.read(size)
        return self.latest


def _read_tar(file: IO[bytes], allowance: Allowance, where: str) -> Iterator[Member]:
    stream = _TarStream(file, allowance.num_bytes + _ALWAYS_ALLOWED_BYTES)
    with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]
        while (info := archive.next()) is not None:
            if info.size < 0:
                raise tarfile.ReadError(f"member {info.name!r} of {info.size} bytes")
            allowance.take(1, info.size, where)
            yield Member(
                info.name.replace("\\", "/"),
                info.size,
                is_folder=info.isdir(),
                is_special=not (info.isdir() or info.isreg()) or info.issparse(),
                read=partial(_read_pieces, partial(archive.extractfile, info), where, info.name),
            )
            # It would keep them all.
            archive.members.clear()
    # `tarfile` takes a damaged header, and the end of the file, for the end of the archive.
    if stream.latest != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it stops before its end")
    # Only at its end does a compressed file say whether all was right.
    while rest := stream.read(_PIECE_BYTES):
        if any(rest):
            raise tarfile.ReadError("something follows its end")


def _read_pieces(open_member: Callable[[], Any], where: str, name: str) -> Iterator[bytes]:
    with _explaining_damage(f"{where} (member {name!r})"), open_member() as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
