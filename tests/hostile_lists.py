"""Hostile lists of pictures: damaged, ambiguous, or with cells that lead elsewhere."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hostile_kit import Hostile, draw, draw_all, write

_PATHS = [f"faces/{number}.png" for number in range(10)]
_TRUE = {path: ("happy", "sad")[number % 2] for number, path in enumerate(_PATHS)}
_ROWS = list(_TRUE.items())


def _text(
    rows: Sequence[Sequence[object]] = _ROWS, head: str = "image,label", sep: str = ","
) -> str:
    lines = [head.replace(",", sep)] * bool(head) + [sep.join(map(str, row)) for row in rows]
    return "\n".join(lines) + "\n"


def _list(
    content: str | bytes,
    *refused: str,
    name: str = "list.csv",
    labels: dict[str, str] | None = None,
    **options: object,
) -> Hostile:
    """Return ten pictures in a folder with a list beside it."""

    def write_all(root: Path) -> Path:
        write(root, {**draw_all(*_PATHS), name: content})
        return root / name

    kept = {} if refused else _TRUE if labels is None else labels
    return Hostile(write_all, refused, kept, options=options)


def _paths(change: Callable[[str], str]) -> str:
    return _text([(change(path), label) for path, label in _ROWS])


def _swap(row: int, *cells: object) -> str:
    return _text([cells if number == row else one for number, one in enumerate(_ROWS)])


def _parquet(columns: dict[str, object], **settings: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **settings)
    return buffer.getvalue()


def _objects(*changed: object) -> list[object]:
    rows: list[object] = [{"image": path, "label": label} for path, label in _ROWS]
    return rows[: len(rows) - len(changed)] + list(changed)


_AFFECTNET = "subDirectory_filePath,face_x,face_y,face_width,face_height,expression\n" + "".join(
    f"{path},0,0,8,8,{number % 2 + 1}\n" for number, path in enumerate(_PATHS[:9])
)
_LABELS = list(_TRUE.values())
_STORED = [draw(number + 1) for number in range(10)]
_GREYS = {str(number + 1): label for number, label in enumerate(_LABELS)}
_BAD_PARQUET = bytearray(_parquet({"image": _PATHS, "label": _LABELS}))
_BAD_PARQUET[20:60] = bytes(40)


def _fer(pixels: str, emotion: str = "3", usage: str = "Training") -> str:
    good = " ".join(["7"] * 2304)
    rows = [
        f"{n % 7},{good},{('Training', 'PublicTest', 'PrivateTest')[n // 7]}" for n in range(21)
    ]
    return "\n".join(["emotion,pixels,Usage", *rows[:3], f"{emotion},{pixels},{usage}", *rows[4:]])


_PIXELS = " ".join(["7"] * 2304)

LISTS: dict[str, Hostile] = {
    "a list as it should be": _list(_text()),
    "a list separated by semicolons": _list(_text(sep=";", head="image,label")),
    "a list separated by tabs called .csv": _list(_text(sep="\t")),
    "a list separated by bars": _list(_text(sep="|")),
    "a list separated by blanks": _list(_text(sep=" ", head=""), name="list.txt"),
    "a list without a header": _list(_text(head="")),
    "a list with the columns the other way round": _list(
        _text([(label, path) for path, label in _ROWS], "label,image")),
    "a list with headings in capitals and blanks": _list(_text(head=" IMAGE , Label ")),
    "a list with an index": _list(
        _text([(n, *row) for n, row in enumerate(_ROWS)], ",image,label")),
    "a list with line ends of Windows": _list(_text().replace("\n", "\r\n")),
    "a list with line ends of old Macs": _list(_text().replace("\n", "\r")),
    "a list with mixed line ends": _list(_text().replace("\n", "\r\n", 4)),
    "a list without a last line end": _list(_text().rstrip()),
    "a list with a byte order mark": _list(_text().encode("utf-8-sig")),
    "a list in UTF-16": _list(_text().encode("utf-16")),
    "a list in UTF-16 the other way round": _list(b"\xfe\xff" + _text().encode("utf-16-be")),
    "a list in UTF-32": _list(_text().encode("utf-32"), "list.csv'"),
    "a list in cp1252": _list(_text([(p, "fröhlich" if v == "happy" else v) for p, v in _ROWS]).encode("cp1252")),
    "a list with quotes around everything": _list(
        _text([(f'"{p}"', f'"{v}"') for p, v in _ROWS], '"image","label"')),
    "a list separated by semicolons with quotes around everything": _list(
        _text([(f'"{p}"', f'"{v}"') for p, v in _ROWS], '"image","label"', ";")),
    "AffectNet's list with a row too short": _list(
        _AFFECTNET + "faces/9.png,0\n", "list.csv'", "faces/9.png"),
    "AffectNet's list with a box that is a word": _list(
        _AFFECTNET + "faces/9.png,x,0,8,8,1\n", "list.csv'", "x"),
    "ExpW's list with a box that is a word": _list(
        "0.png 0 1 x 9 9 50 3\n1.png 0 1 1 9 9 50 4\n", "label.lst'", name="label.lst"),
    "a list with blank lines": _list(_text().replace("\n", "\n\n")),
    "a list with blanks around cells": _list(_text([(f" {p} ", f" {v} ") for p, v in _ROWS])),
    "a list with a comma in a note": _list(
        _text([(p, v, '"a, ""b""\nc"') for p, v in _ROWS], "image,label,note")),
    "an empty list": _list("", "list.csv'"),
    "a list of blanks": _list(" \n \n", "list.csv'"),
    "a list of only a header": _list("image,label\n", "empty"),
    "a list with a quote left open": _list(_swap(3, '"' + _PATHS[3], "sad"), "list.csv'"),
    "a list with zero bytes": _list(_text().replace("happy", "ha\0ppy", 1), "list.csv'"),
    "a list of zero bytes": _list(bytes(4000), "list.csv'"),
    "a list that is a PNG": _list(draw(9), "list.csv'"),
    "a list that is a zip": _list(b"PK\3\4" + bytes(range(256)), "list.csv'"),
    "a list that is a page": _list("<!doctype html><html><body>Log in, please</body></html>", "list.csv'"),
    "a list with a heading twice": _list(
        _text([(p, v, "sad") for p, v in _ROWS], "image,label,label"), "list.csv'", "label"),
    "a list with two columns that disagree": _list(
        _text([(p, v, "sad") for p, v in _ROWS], "image,label,emotion"), "list.csv'", "label", "emotion"),
    "a list with two columns that agree": _list(
        _text([(p, v, v.upper()) for p, v in _ROWS], "image,label,emotion")),
    "a list with a row too long": _list(_swap(3, _PATHS[3], "sad", "x", "y"), "list.csv'"),
    "a list with a row too short": _list(_swap(3, _PATHS[3]), "3", "no label"),
    "a list with 10,000 columns": _list(
        _text([(p, v, *"x" * 10_000) for p, v in _ROWS], "image,label," + ",".join(f"c{n}" for n in range(10_000)))),
    "a list with a cell of a megabyte": _list(
        _text([(p, v, "x" * 1_000_000) for p, v in _ROWS[:4]] + [(p, v, "") for p, v in _ROWS[4:]], "image,label,note")),
    "a list with a formula for a label": _list(_swap(3, _PATHS[3], "=cmd|' /C calc'!A0"), labels=_TRUE | {_PATHS[3]: "=cmd|' /C calc'!A0"}),
    "a list with a label missing": _list(_swap(3, _PATHS[3], ""), "3.png", "no label"),
    "a list with a label NaN": _list(_swap(3, _PATHS[3], "NaN"), "3.png"),
    "a list with numbers and one negative": _list(
        _text([(p, n % 2 if n != 3 else -1) for n, p in enumerate(_PATHS)]), "-1"),
    "a list with numbers and one huge": _list(
        _text([(p, n % 2 if n != 3 else 10**40) for n, p in enumerate(_PATHS)]), str(10**40),
        label_names=["happy", "sad"]),
    "a list with numbers and one half": _list(
        _text([(p, n % 2 if n != 3 else 0.5) for n, p in enumerate(_PATHS)]), "has label",
        label_names=["happy", "sad"]),
    "a list with numbers as 1.0": _list(
        _text([(p, f"{n % 2}.0") for n, p in enumerate(_PATHS)]), label_names=["happy", "sad"]),
    "a list with a picture missing": _list(_swap(3, "", "sad"), "row 3"),
    "a list with a picture that is not there": _list(_swap(3, "faces/99.png", "sad"), "faces/99.png"),
    "a list of pictures of which none is there": _list(
        _paths(lambda path: f"/data/gone/{path[6:-4]}-x.jpg"), "list.csv'"),
    "a list with a row twice": _list(_text([*_ROWS, _ROWS[0]])),
    "a list with a picture twice with two labels": _list(_text([*_ROWS, (_PATHS[0], "sad")]), "0.png"),
    "a list with paths of elsewhere": _list(_paths(lambda path: f"/home/ann/set/{path}")),
    "a list with paths of Windows": _list(_paths(lambda path: "C:\\Users\\ann\\" + path.replace("/", "\\"))),
    "a list with paths of a network": _list(_paths(lambda path: "\\\\server\\share\\" + path.replace("/", "\\"))),
    "a list with addresses": _list(_paths(lambda path: f"https://example.org/{path}")),
    "a list with file addresses": _list(_paths(lambda path: f"file:///data/{path}")),
    "a list with names alone": _list(_paths(lambda path: path.split("/")[1])),
    "a list with names without endings": _list(_paths(lambda path: path[:-4])),
    "a list with names in capitals": _list(_paths(str.upper)),
    "a list with ./ in front": _list(_paths(lambda path: f"./{path}")),
    "a list with a path to the folder above and back": _list(_paths(lambda path: f"../source/{path}")),
    "a list with paths to /etc": _list(_swap(3, "../../../../../../../../etc/passwd", "sad"), "passwd"),
    "a list with a path to endless zeros": _list(_swap(3, "/dev/zero", "sad"), "/dev/zero"),
    "a list with a folder for a picture": _list(_swap(3, "faces", "sad"), "faces"),
    "a list with a wrong split": _list(
        _text([(p, v, "fold7") for p, v in _ROWS], "image,label,split"), "fold7"),
    "a list with a split missing": _list(
        _text([(p, v, "train" if n else "") for n, (p, v) in enumerate(_ROWS)], "image,label,split"), "list.csv'"),
    "a JSON list as it should be": _list(json.dumps(_objects()), name="list.json"),
    "a JSON list cut off": _list(json.dumps(_objects())[:-9], "list.json'", name="list.json"),
    "a JSON list nested 100,000 deep": _list("[" * 100_000, "list.json'", name="list.json"),
    "a JSON list that is a number": _list("7", "list.json'", name="list.json"),
    "a JSON list with a list in it": _list(json.dumps(_objects([])), "list.json'", name="list.json"),
    "a JSON list with a label that is an object": _list(
        json.dumps(_objects({"image": _PATHS[9], "label": {"a": 1}})), "list.json'", name="list.json"),
    "a JSON list with a label that is null": _list(
        json.dumps(_objects({"image": _PATHS[9], "label": None})), "9.png", "no label", name="list.json"),
    "a JSON object by path": _list(json.dumps(_TRUE), name="list.json"),
    "a JSON list of a line each": _list("\n".join(map(json.dumps, _objects())), name="list.jsonl"),
    "a JSON list of a line each, one cut off": _list(
        "\n".join(map(json.dumps, _objects())) + '\n{"image": "', "list.jsonl'", name="list.jsonl"),
    "Parquet as it should be": _list(_parquet({"image": _PATHS, "label": _LABELS}), name="list.parquet"),
    "Parquet with pictures in it": _list(
        _parquet({"image": _STORED, "label": _LABELS}), name="list.parquet", labels=_GREYS),
    "Parquet with a picture that is rubbish": _list(
        _parquet({"image": [*_STORED[:9], b"rubbish"], "label": _LABELS}), "row 9", "not a picture", name="list.parquet"),
    "Parquet with a picture that is null": _list(
        _parquet({"image": [*_STORED[:9], None], "label": _LABELS}), "row 9", name="list.parquet"),
    "Parquet with a label that is null": _list(
        _parquet({"image": _PATHS, "label": [*_LABELS[:9], None]}), "9", "no label", name="list.parquet"),
    "Parquet with labels that are lists": _list(
        _parquet({"image": _PATHS, "label": [[v] for v in _LABELS]}), "list.parquet'", name="list.parquet"),
    "Parquet with pictures that are numbers": _list(
        _parquet({"image": list(range(10)), "label": _LABELS}), "list.parquet'", name="list.parquet"),
    "Parquet without rows": _list(
        _parquet({"image": pa.array([], pa.string()), "label": pa.array([], pa.string())}), "empty", name="list.parquet"),
    "Parquet cut off": _list(
        _parquet({"image": _PATHS, "label": _LABELS})[:-20], "list.parquet'", name="list.parquet"),
    "Parquet with a damaged page": _list(bytes(_BAD_PARQUET), "list.parquet'", name="list.parquet"),
    "Parquet that is a text": _list(_text(), "list.parquet'", name="list.parquet"),
    "a spreadsheet": _list(b"PK\3\4", "list.xlsx'", "CSV", name="list.xlsx"),
    "FER2013 with a pixel of 256": _list(_fer("256 " + _PIXELS[2:]), "fer2013.csv'", "pixels", name="fer2013.csv"),
    "FER2013 with a pixel that is a word": _list(_fer("x " + _PIXELS[2:]), "fer2013.csv'", "pixels", name="fer2013.csv"),
    "FER2013 with a pixel that is negative": _list(_fer("-1 " + _PIXELS[2:]), "fer2013.csv'", "pixels", name="fer2013.csv"),
    "FER2013 with a pixel too few": _list(_fer(_PIXELS[2:]), "fer2013.csv'", "2303", name="fer2013.csv"),
    "FER2013 without pixels in a row": _list(_fer(""), "fer2013.csv'", "pixels", name="fer2013.csv"),
    "FER2013 with an emotion of 8": _list(_fer(_PIXELS, "8"), "8", "fer2013.csv'", name="fer2013.csv"),
    "FER2013 with a usage of its own": _list(_fer(_PIXELS, usage="Holdout"), "fer2013.csv'", "Holdout", name="fer2013.csv"),
    "FER2013 cut off within a row": _list(
        _fer(_PIXELS)[:-2000], "fer2013.csv'", name="fer2013.csv"),
}  # fmt: skip
