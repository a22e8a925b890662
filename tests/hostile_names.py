"""Hostile names of good pictures, and special files that are called like pictures."""

import os
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path

from hostile_kit import BASE, Hostile, encode, write, write_base
from hostile_pictures import among

_NAMES = {
    "a line break": "a\nb.png",
    "quotes": 'it\'s "x".png',
    "an emoji": "\U0001f600\U0001f3fd.png",
    "a turn of the writing's direction": "\u202egnp.png",
    "what steers a terminal": "\x1b[2J\x1b]0;x\x07.png",
    "255 bytes": "x" * 251 + ".png",
    "a dash in front": "--skip_unreadable.png",
    "a comma and a star": "*,?[x].png",
    "a percent sign and braces": "%s{0}%n.png",
    "a blank at both ends": " x .png",
    "a backslash": "a\\b.png",
    "two endings": "x.csv.png",
    "an ending in capitals": "X.PNG",
}


def _names(*names: str) -> Hostile:
    def write_all(root: Path) -> None:
        write_base(root)
        write(root, {f"sad/{name}": encode() for name in names})

    return Hostile(write_all, labels=BASE | {f"sad/{name}": "sad" for name in names})


def _special(make: Callable[[Path], object], name: str = "x.png") -> Callable[[Path], None]:
    def write_all(root: Path) -> None:
        write_base(root)
        make(root / "happy" / name)

    return write_all


def _bind(path: Path) -> None:
    # A socket's path has 107 bytes at most.
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def _not_utf8(root: Path) -> None:
    write_base(root)
    Path(os.fsdecode(os.fsencode(root / "happy") + b"/\xff\xfe.png")).write_bytes(encode())


def _forbid(path: Path) -> None:
    path.write_bytes(encode())
    path.chmod(0)


NAMES: dict[str, Hostile] = {
    **{f"a name with {name}": _names(file) for name, file in _NAMES.items()},
    "names that differ in case": _names("x.png", "X.png", "X.PNG"),
    "names that are equal to people": _names(
        *(unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
    ),
    "a name that is not UTF-8": Hostile(_not_utf8, ("happy/", "UTF-8")),
    "a bad picture with what steers a terminal": Hostile(
        among("\x1b[2J.png", lambda: b""), ("happy/", "empty file")
    ),
    "a pipe called .png": Hostile(_special(os.mkfifo), labels=BASE),
    "a socket called .png": Hostile(_special(_bind), labels=BASE),
    "a folder called .png": Hostile(_special(Path.mkdir), labels=BASE),
    "a link to endless zeros": Hostile(_special(lambda p: p.symlink_to("/dev/zero")), labels=BASE),
    "a link that leads nowhere": Hostile(
        _special(lambda p: p.symlink_to("gone.png")), ("happy/x.png", "no such file")
    ),
    "a link to itself": Hostile(_special(lambda p: p.symlink_to(p.name)), ("happy/x.png",)),
    "a link to the folder above": Hostile(
        _special(lambda p: p.symlink_to(".."), "again"), labels=BASE
    ),
    "a link to the root of the disk": Hostile(
        _special(lambda p: p.symlink_to("/"), "all"), labels=BASE
    ),
    "a picture that may not be read": Hostile(_special(_forbid), ("happy/x.png", "ermission")),
}
