"""Hostile arrays and archives: lies about sizes, code in pickles, names that lead elsewhere."""

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hostile_kit import BASE, Hostile, draw_all, write

_TRAIN, _LABELS = "train_images", "train_labels"


def npy(array: object, **settings: bool) -> bytes:
    """Return the .npy file of an array."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), **settings)
    return buffer.getvalue()


def _base_arrays() -> dict[str, np.ndarray]:
    images = np.stack([np.full((12, 12), number + 1, np.uint8) for number in range(8)])
    names = np.array(["happy", "sad"])
    return {_TRAIN: images, _LABELS: np.arange(8) % 2, "label_names": names}


_GREYS = {str(number + 1): ("happy", "sad")[number % 2] for number in range(8)}


def _arrays(
    *refused: str,
    labels: Mapping[str, str] = _GREYS,
    raw: Mapping[str, bytes] | None = None,
    **changed: Any,
) -> Hostile:
    """Return eight pictures as .npz with some arrays changed (None to leave out), or files."""

    def write_all(root: Path) -> Path:
        arrays = {**_base_arrays(), **changed}
        members = {f"{name}.npy": npy(a) for name, a in arrays.items() if a is not None}
        with zipfile.ZipFile(root / "x.npz", "w") as archive:
            for name, content in {**members, **(raw or {})}.items():
                archive.writestr(name, content)
        return root / "x.npz"

    return Hostile(write_all, refused, {} if refused else labels)


def _announce(count: int) -> bytes:
    """Return an array whose header says that it has `count` pictures, of which it has eight."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, 12, 12), }}"
    header += " " * (117 - len(header)) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + bytes(8 * 144)


def _npz(content: bytes | None = None, **files: bytes) -> Callable[[Path], Path]:
    def write_all(root: Path) -> Path:
        write(root, {"x.npz": content or b"", **files})
        return root / "x.npz"

    return write_all


def _npz_bomb(root: Path) -> Path:
    """Write an array whose header announces 14 TB."""
    with zipfile.ZipFile(root / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in _base_arrays().items():
            archive.writestr(f"{name}.npy", _announce(10**11) if name == _TRAIN else npy(array))
    return root / "x.npz"


def _folder_of_arrays(**changed: bytes) -> Callable[[Path], None]:
    def write_all(root: Path) -> None:
        files = {f"{name}.npy": npy(array) for name, array in _base_arrays().items()}
        write(root, {**files, **{f"{name}.npy": content for name, content in changed.items()}})

    return write_all


_PICKLE = npy(np.array([{"a": 1}] * 8, object), allow_pickle=True)
_IMAGES = _base_arrays()[_TRAIN]
_NAN = np.full((8, 12, 12), 0.5, np.float32)
_NAN[3, 0, 0] = np.nan

ARRAYS: dict[str, Hostile] = {
    "arrays as they should be": _arrays(),
    "a pickle for labels": _arrays(f"`{_LABELS}`", "x.npz'", "pickle", raw={f"{_LABELS}.npy": _PICKLE}, train_labels=None),
    "a pickle for pictures": _arrays(f"`{_TRAIN}`", "x.npz'", "pickle", raw={f"{_TRAIN}.npy": _PICKLE}, train_images=None),
    "a pickle for names": _arrays("`label_names`", "x.npz'", "pickle", raw={"label_names.npy": _PICKLE}, label_names=None),
    "pictures of five axes": _arrays(f"`{_TRAIN}`", "shape", train_images=_IMAGES[:, None, :, None]),
    "pictures of two channels": _arrays(f"`{_TRAIN}`", "shape", train_images=np.zeros((8, 12, 12, 2), np.uint8)),
    "pictures with channels first": _arrays(f"`{_TRAIN}`", "shape", train_images=np.zeros((8, 3, 12, 12), np.uint8)),
    "pictures of no width": _arrays(f"`{_TRAIN}`", "shape", train_images=np.zeros((8, 12, 0), np.uint8)),
    "no pictures at all": _arrays("empty", train_images=_IMAGES[:0], train_labels=np.arange(0)),
    "one picture too many": _arrays(f"`{_TRAIN}`", "8", train_labels=np.arange(7) % 2),
    "complex pictures": _arrays(f"`{_TRAIN}`", "complex", train_images=_IMAGES.astype(complex)),
    "pictures of 64-bit numbers": _arrays(f"`{_TRAIN}`", "int64", train_images=_IMAGES.astype(np.int64)),
    "pictures with a NaN": _arrays(f"`{_TRAIN}`", "row 3", "NaN", train_images=_NAN),
    "pictures with an infinity": _arrays(f"`{_TRAIN}`", "row", "inf", train_images=np.full((8, 12, 12), np.inf)),
    "pictures from 0 to 255 as floats": _arrays(f"`{_TRAIN}`", "divide", train_images=_IMAGES * 30.0),
    "pictures from -1 to 1": _arrays(f"`{_TRAIN}`", "-0.75", train_images=_IMAGES / 4 - 1.25),
    "pictures of big-endian floats": _arrays(train_images=(_IMAGES / 255).astype(">f4")),
    "pictures in Fortran's order": _arrays(train_images=np.asfortranarray(_IMAGES)),
    "labels with a NaN": _arrays(f"`{_LABELS}`", train_labels=np.array([0, 1, 0, np.nan] * 2)),
    "labels with an infinity": _arrays(f"`{_LABELS}`", train_labels=np.array([0, 1, 0, np.inf] * 2)),
    "labels that are halves": _arrays(f"`{_LABELS}`", "whole", train_labels=np.arange(8) / 2),
    "labels that are whole floats": _arrays(train_labels=np.arange(8) % 2 * 1.0),
    "complex labels": _arrays(f"`{_LABELS}`", train_labels=np.arange(8) % 2 * 1j),
    "labels of three axes": _arrays(f"`{_LABELS}`", "shape", train_labels=np.zeros((8, 1, 1))),
    "labels two at a time": _arrays(f"`{_LABELS}`", "one-hot", train_labels=np.ones((8, 2))),
    "labels of one number alone": _arrays(f"`{_LABELS}`", "shape", train_labels=np.array(3)),
    "negative labels": _arrays("-1", train_labels=np.arange(8) % 2 - 1),
    "labels without a name": _arrays("[7]", "names", train_labels=np.array([0, 1, 0, 7] * 2)),
    "labels as large as can be": _arrays("9223372036854775807", train_labels=np.array([0, 2**63 - 1] * 4)),
    "labels as large as can be, without names": _arrays(
        labels={key: {"happy": "0", "sad": str(2**63 - 1)}[name] for key, name in _GREYS.items()},
        train_labels=np.array([0, 2**63 - 1] * 4), label_names=None),
    "labels that are dates": _arrays(f"`{_LABELS}`", train_labels=np.array(["2020-01-01", "2021-01-01"] * 4, "M8[D]")),
    "labels that are truth values": _arrays(train_labels=np.arange(8) % 2 == 1),
    "labels as bytes": _arrays(train_labels=np.array([b"happy", b"sad"] * 4), label_names=None),
    "labels as bytes that are no text": _arrays(f"`{_LABELS}`", train_labels=np.array([b"\xff\xfe", b"sad"] * 4)),
    "labels that are empty texts": _arrays(f"`{_LABELS}`", "no label", train_labels=np.array(["", "sad"] * 4)),
    "names that come twice": _arrays("`label_names`", "sad", label_names=np.array(["sad", "sad"])),
    "names as bytes": _arrays(label_names=np.array([b"happy", b"sad"])),
    "names as bytes that are no text": _arrays("`label_names`", "UTF-8", label_names=np.array([b"\xff", b"sad"])),
    "names of too few labels": _arrays("[1]", "happy", label_names=np.array(["happy"])),
    "pictures without labels": _arrays("x.npz'", f"`{_LABELS}`", train_labels=None),
    "arrays of another kind": _arrays("x.npz'", train_images=None, train_labels=None, label_names=None, raw={"a.npy": npy(3)}),
    "an .npz that is cut off": Hostile(_npz(b"PK\3\4" + bytes(60)), ("x.npz'",)),
    "an .npz that is empty": Hostile(_npz(b""), ("x.npz'",)),
    "an .npz that is a text": Hostile(_npz(b"hello" * 99), ("x.npz'",)),
    "an .npz with an array that is a text": _arrays(f"`{_LABELS}`", "x.npz'", raw={f"{_LABELS}.npy": b"hello"}, train_labels=None),
    "an .npz that announces 14 TB": Hostile(_npz_bomb, (f"`{_TRAIN}`", "x.npz'")),
    "an .npy that announces 14 TB": Hostile(_folder_of_arrays(train_images=_announce(10**11)), (f"`{_TRAIN}`",)),
    "an .npy that announces more than a number holds": Hostile(_folder_of_arrays(train_images=_announce(10**30)), (f"`{_TRAIN}`",)),
    "an .npy of negative size": Hostile(_folder_of_arrays(train_images=_announce(-8)), (f"`{_TRAIN}`",)),
    "an .npy that is cut off": Hostile(_folder_of_arrays(train_images=npy(_IMAGES)[:500]), (f"`{_TRAIN}`",)),
    "an .npy that is empty": Hostile(_folder_of_arrays(train_labels=b""), (f"`{_LABELS}`",)),
    "an .npy with a header that is code": Hostile(
        _folder_of_arrays(train_labels=npy(np.arange(8) % 2).replace(b"(8,)", b"f()0")), (f"`{_LABELS}`",)),
}  # fmt: skip


def _zip(
    files: Mapping[str, bytes | str], name: str = "x.zip", **settings: Any
) -> Callable[[Path], Path]:
    def write_all(root: Path) -> Path:
        with zipfile.ZipFile(root / name, "w", **settings) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        return root / name

    return write_all


def _tar(*extra: tarfile.TarInfo, name: str = "x.tar", mode: str = "w") -> Callable[[Path], Path]:
    def write_all(root: Path) -> Path:
        with tarfile.open(root / name, mode) as archive:  # type: ignore[call-overload]
            for member, content in _PICTURES.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            for info in extra:
                archive.addfile(info, io.BytesIO(bytes(info.size)))
        return root / name

    return write_all


def _member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _changed(
    make: Callable[[Path], Path], change: Callable[[bytes], bytes]
) -> Callable[[Path], Path]:
    def write_all(root: Path) -> Path:
        file = make(root)
        file.write_bytes(change(file.read_bytes()))
        return file

    return write_all


def _inside(make: Callable[[Path], Path], times: int) -> Callable[[Path], Path]:
    def write_all(root: Path) -> Path:
        file = make(root)
        for _ in range(times):
            content = file.read_bytes()
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("inner.zip", content)
        return file

    return write_all


_PICTURES = draw_all(*BASE)
_FLAGS = b"PK\1\2\x14\x03\x14\0"


def _encrypted(content: bytes) -> bytes:
    return content.replace(_FLAGS + b"\0\0", _FLAGS + b"\1\0")


def _lie(content: bytes) -> bytes:
    """Say in the directory of a zip that each member has 12 bytes."""
    out, start = bytearray(content), 0
    while (start := content.find(b"PK\1\2", start) + 1) > 0:
        out[start + 23 : start + 27] = struct.pack("<I", 12)
    return bytes(out)


def _two_archives(root: Path) -> None:
    _zip(_PICTURES, "x.zip")(root)
    _tar(name="x.tar")(root)


ARCHIVES: dict[str, Hostile] = {
    "a zip as it should be": Hostile(_zip(_PICTURES), labels=BASE),
    "a zip in a zip in a zip": Hostile(_inside(_zip(_PICTURES), 2), labels=BASE),
    "a zip nested four deep": Hostile(_inside(_zip(_PICTURES), 4), ("x.zip'", "nested")),
    "a zip with Windows' paths": Hostile(
        _zip({path.replace("/", "\\"): content for path, content in _PICTURES.items()}), labels=BASE),
    "a zip called .ZIP": Hostile(_zip(_PICTURES, "X.ZIP"), labels=BASE),
    "a zip that climbs out": Hostile(
        _zip({**_PICTURES, "../../evil.png": b"x"}), ("x.zip'", "../../evil.png", "outside")),
    "a zip with an absolute path": Hostile(
        _zip({**_PICTURES, "/tmp/evil.png": b"x"}), ("x.zip'", "/tmp/evil.png", "outside")),
    "a zip with a path of Windows": Hostile(
        _zip({**_PICTURES, "C:\\evil.png": b"x"}), ("x.zip'", "evil.png", "outside")),
    "a zip with one name twice in other cases": Hostile(
        _zip({**_PICTURES, "HAPPY/0.PNG": b"x"}), ("x.zip'", "HAPPY/0.PNG")),
    "a zip with a line break in a name": Hostile(
        _zip({**_PICTURES, "happy/a\nb.png": b"x"}), ("x.zip'", "character")),
    "a zip with a name of 400 letters": Hostile(
        _zip({**_PICTURES, "happy/" + "x" * 400 + ".png": b"x"}), ("x.zip'", "255 bytes")),
    "a zip with a password": Hostile(_changed(_zip(_PICTURES), _encrypted), ("x.zip'", "password")),
    "a zip that lies about sizes": Hostile(_changed(_zip(_PICTURES), _lie), ("x.zip'",)),
    "a zip cut off": Hostile(_changed(_zip(_PICTURES), lambda c: c[: len(c) // 2]), ("x.zip'",)),
    "a zip of 0 bytes": Hostile(_changed(_zip(_PICTURES), lambda c: b""), ("x.zip'",)),
    "a zip without members": Hostile(_zip({}), ("x.zip'",)),
    "a zip of texts": Hostile(_zip({"read me.txt": "hello"}), ("holds",)),
    "a zip with flipped bytes": Hostile(
        _changed(_zip(_PICTURES), lambda c: c[:80] + bytes(20) + c[100:]), ("x.zip'",)),
    "a zip of 3 GB of zeros": Hostile(
        _changed(_zip({**_PICTURES, "happy/x.png": bytes(30_000_000)}, compression=zipfile.ZIP_DEFLATED),
                 lambda c: c.replace(struct.pack("<I", 30_000_000), struct.pack("<I", 3_000_000_000))),
        ("x.zip'", "too many bytes")),
    "a text called .zip": Hostile(lambda root: write(root, {"x.zip": "hello" * 99}) or root / "x.zip",
                                  ("x.zip'", "no archive")),
    "a RAR": Hostile(lambda root: write(root, {"x.rar": b"Rar!\x1a\7"}) or root / "x.rar", ("x.rar'",)),
    "a tar as it should be": Hostile(_tar(), labels=BASE),
    "a tar.gz as it should be": Hostile(_tar(name="x.tar.gz", mode="w:gz"), labels=BASE),
    "a tar that climbs out": Hostile(_tar(_member("../evil.png", tarfile.REGTYPE)), ("x.tar'", "outside")),
    "a tar with a link": Hostile(
        _tar(_member("happy/x.png", tarfile.SYMTYPE, "/etc/passwd")), ("x.tar'", "happy/x.png", "link")),
    "a tar with a hard link": Hostile(
        _tar(_member("happy/x.png", tarfile.LNKTYPE, "happy/0.png")), ("x.tar'", "link")),
    "a tar with a device": Hostile(_tar(_member("happy/x.png", tarfile.CHRTYPE)), ("x.tar'", "special")),
    "a tar with a pipe": Hostile(_tar(_member("happy/x.png", tarfile.FIFOTYPE)), ("x.tar'", "special")),
    "a tar.gz cut off": Hostile(
        _changed(_tar(name="x.tgz", mode="w:gz"), lambda c: c[: len(c) // 2]), ("x.tgz'", "damaged")),
    "a tar.xz that is rubbish": Hostile(
        _changed(_tar(name="x.tar.xz", mode="w:xz"), lambda c: c[:40] + bytes(60)), ("x.tar.xz'",)),
    "a gz of nothing": Hostile(_changed(_tar(name="x.tar.gz"), lambda c: gzip.compress(b"")), ("x.tar.gz'",)),
    "archives of one name": Hostile(
        _two_archives, ("x.tar'", "x.zip'")),
}  # fmt: skip
