"""Hostile trees of folders: misleading names, links, and files beside pictures that lie."""

import json
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from hostile_containers import npy
from hostile_kit import BASE, Hostile, draw_all, write, write_base


def _tree(
    labels: Mapping[str, str | None], *refused: str, files: Mapping[str, bytes | str] | None = None
) -> Hostile:
    """Return pictures by path and the label each must get, None to be left out; or the refusal."""

    def write_all(root: Path) -> None:
        write(root, {**draw_all(*labels), **(files or {})})

    kept = {path: label for path, label in labels.items() if label is not None}
    splits = {
        path: split
        for path in kept
        for word, split in (("val/", "validation"), ("test/", "test"))
        if path.startswith(word)
    }
    return Hostile(write_all, refused, {} if refused else kept, splits={} if refused else splits)


def _in(folders: Mapping[str, str | None], count: int = 4) -> dict[str, str | None]:
    """Return `count` pictures in each folder; no two pictures have one name."""
    return {
        f"{folder}/{place}-{number}.png": label
        for place, (folder, label) in enumerate(folders.items())
        for number in range(count)
    }


def _empty(*folders: str) -> Hostile:
    def write_all(root: Path) -> None:
        write_base(root)
        for folder in folders:
            (root / folder).mkdir(parents=True)

    return Hostile(write_all, labels=BASE)


def _link_label(root: Path) -> None:
    write(root, draw_all(*BASE))
    (root / "sad").rename(root.parent / "elsewhere")
    (root / "sad").symlink_to(root.parent / "elsewhere")


def _link_source(root: Path) -> Path:
    write_base(root)
    (root.parent / "link").symlink_to(root)
    return root.parent / "link"


def _pipes(root: Path) -> None:
    write_base(root)
    for name in ("labels.csv", "happy/0.txt", "train_images.npy", "data.yaml", "fer2013.csv",
                 "happy/0_exp.npy", "x.zip", "labels.jsonl", "sad/1.json"):  # fmt: skip
        os.mkfifo(root / name)


_NFD = {name: unicodedata.normalize("NFD", name) for name in ("Überraschung", "Fröhlich")}

FOLDERS: dict[str, Hostile] = {
    "persons above emotions": _tree(_in({"s1/happy": "happy", "s1/sad": "sad", "s2/sad": "sad"})),
    "persons below emotions": _tree(_in({"happy/s1": "happy", "happy/s2": "happy", "sad/s1": "sad"})),
    "persons alone": _tree(_in({f"S{n:03}": None for n in range(5)}), "source'", "persons"),
    "numbers of persons": _tree(_in({"001": None, "007": None, "012": None}), "source'", "persons"),
    "splits alone": _tree(_in({"train": None, "test": None}), "source'", "folders"),
    "splits of persons": _tree(
        _in({"train/P1": None, "train/P2": None, "test/P3": None}), "source'", "persons"),
    "containers around everything": _tree(
        _in({"dataset/images/faces/happy": "happy", "dataset/images/faces/sad": "sad"})),
    "containers inside of labels": _tree(_in({"happy/images": "happy", "sad/images/x": "sad"})),
    "labels at different depths": _tree(_in({"happy": "happy", "a/b/c/sad": "sad"})),
    "labels below sixty folders": _tree(_in({"a/" * 60 + "happy": "happy", "a/" * 60 + "sad": "sad"})),
    "pictures above the labels": _tree(
        {"cover.png": None, **_in({"happy": "happy", "sad": "sad"})}),
    "the same pictures twice": _tree(
        {f"{version}/{path}": None for version in ("aligned", "original") for path in BASE},
        "source'", "twice"),
    "an emotion in another": _tree(
        _in({"happy/sad": None, "sad/happy": None}), "happy/sad'", "emotions"),
    "one picture in two emotions": _tree(
        _in({"happy": None, "sad": None, "sad/happy": None}), "sad/happy'", "emotions"),
    "negated emotions": _tree(
        _in({"happy": "happy", "not_happy": "not_happy", "sad": "sad", "no anger": "no anger"})),
    "compound emotions": _tree(
        _in({"happily_surprised": "happily_surprised", "happy": "happy", "surprise": "surprise",
             "sadly angry": "sadly angry"})),
    "two emotions in one name": _tree(
        _in({"happy_sad": "happy_sad", "happy": "happy", "sad": "sad"})),
    "unhappy is not happy": _tree(_in({"unhappy": "sad", "happy": "happy"})),
    "words that begin like emotions": _tree(
        _in({"sadism": "sadism", "fearless": "fearless", "happy": "happy", "fear": "fear"})),
    "two spellings of a label": _tree(
        _in({"happy": "happy", "Happiness": "happy", "joy": "happy", "SAD": "sad"})),
    "labels that differ in case": _tree(
        {"Happy/1.png": "happy", "happy/1.png": "happy", "HAPPY/1.png": "happy",
         "happy/2.png": "happy", "sad/1.png": "sad", "sad/2.png": "sad", "SAD/2.png": "sad"}),
    "labels that are equal to people": _tree(
        {**_in({"Überraschung": "surprise", _NFD["Überraschung"]: "surprise"}),
         **_in({_NFD["Fröhlich"]: "happy"}, 3)}),
    "labels in wide letters": _tree(_in({"\uff48\uff41\uff50\uff50\uff59": "happy", "sad": "sad"})),
    "labels with a line break": _tree(_in({"happy\n": "happy", "sad\n": "sad"})),
    "labels that are emoji": _tree(_in({"\U0001f600": "\U0001f600", "\U0001f622": "\U0001f622"})),
    "labels that look like flags": _tree(_in({"--happy": "happy", "-sad-": "sad"})),
    "labels that are numbers": _tree(_in({"0": "0", "1": "1", "2": "2"})),
    "numbered labels": _tree(_in({"0_neutral": "neutral", "1_happiness": "happy", "2 - Sad": "sad"})),
    "sixty folders that are no emotions": _tree(
        {f"{a}{b}{a}/{a}{b}.png": None for a in "kmnprtvz" for b in "aeiouyäö"},
        "source'", "too many"),
    "one label": _tree(_in({"happy": None}), "source'", "one for each label"),
    "a label that train lacks": _tree(
        _in({"train/happy": None, "train/sad": None, "test/happy": None, "test/fear": None}),
        "`test`", "'fear'"),
    "train twice": _tree(
        _in({"train/happy": None, "train/sad": None, "training/happy": None}),
        "'train'", "'training'"),
    "a split in a split": _tree(
        _in({"train/test/happy": None, "train/happy": None, "train/test/sad": None,
             "test/happy": None, "test/sad": None}), "test", "splits"),
    "splits and labels without splits": _tree(
        _in({"train/happy": "happy", "train/sad": "sad", "test/happy": "happy", "test/sad": "sad",
             "fear": None})),
    "splits in capitals with words beside": _tree(
        _in({"train/Happy": "happy", "train/Sad": "sad", "val/Happy": "happy", "val/Sad": "sad"})),
    "words that hold the names of splits": _tree(
        _in({"contest/happy": "happy", "contest/sad": "sad", "trainers/sad": "sad"})),
    "labels below splits below labels": _tree(
        _in({"happy/train": "happy", "sad/train": "sad", "happy/test": "happy", "sad/test": "sad"})),
    "nothing": _tree({}, "source'", "holds nothing"),
    "hidden pictures alone": _tree({"happy/.1.png": None, ".x/sad/1.png": None}, "source'"),
    "what systems leave behind": _tree(
        {**_in({"happy": "happy", "sad": "sad"}), "__MACOSX/happy/._1.png": None,
         "happy/.DS_Store.png": None, "happy/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg": None,
         "$RECYCLE.BIN/happy/9.png": None, "__MACOSX/sad/1.png": None},
        files={"happy/Thumbs.db": "x", "happy/desktop.ini": "x"}),
    "empty folders of labels": _empty("fear", "anger/images", "surprise"),
    "a label folder that is a link": Hostile(
_link_label, labels=BASE),
    "a source that is a link": Hostile(_link_source, labels=BASE),
    "pipes with the names of lists": Hostile(_pipes, labels=BASE),
    "a picture as the source": Hostile(
        lambda root: write(root, draw_all("face.png")) or root / "face.png", ("face.png",)),
    "a source that is not there": Hostile(lambda root: root / "gone" / "faces", ("gone/faces",)),
    "a source whose name is 5000 letters": Hostile(lambda root: root / ("x" * 5000), ("xxx",)),
    "a source with a zero in its name": Hostile(lambda root: root / "a\0b", ("a",)),
    "a source that is a pipe": Hostile(
        lambda root: os.mkfifo(root / "x.csv") or root / "x.csv", ("x.csv",)),
    "a source that is a device": Hostile(lambda root: Path("/dev/zero"), ("/dev/zero",)),
    "captions beside pictures": _tree(
        BASE, files={f"{path[:-4]}.txt": f"face {n} of a person" for n, path in enumerate(BASE)}
        | {f"{path[:-4]}.json": f'{{"label": "take {n}"}}' for n, path in enumerate(BASE)}),
    "names of pictures that are negated": _tree(
        {**{f"happy_{n}.png": "happy" for n in range(10)}, "not_happy_1.png": None,
         **{f"sad_{n}.png": "sad" for n in range(10)}}),
    "names of pictures with two emotions": _tree(
        {f"happy_sad_{n}.png": None for n in range(10)}, "source'"),
    "names of pictures that mean another emotion": _tree(
        {**{f"unhappy{n}.png": "sad" for n in range(5)}, **{f"joy{n}.png": "happy" for n in range(5)}}),
}  # fmt: skip


def _beside(ending: str, changed: bytes | str, *refused: str, right: str | None = "") -> Hostile:
    """Return eight pictures with a file each, of which the fourth says something else."""
    texts = ("angry", "joy")
    good = {
        ".cls": lambda label: label,
        ".txt": lambda label: f"{label}\n",
        ".json": lambda label: json.dumps({"emotion": label, "age": 3}),
        ".npy": lambda label: npy(label),
        "_exp.npy": lambda label: npy(str(("", "joy").index(label)) if label == "joy" else "6"),
        "_emotion.txt": lambda label: {"angry": " 1.0e+00\n", "joy": "5"}[label],
    }[ending]
    labels: dict[str, str | None] = {
        f"images/{n}.png": ("anger", "happy")[n % 2] for n in range(12)
    }
    files = {f"labels/{n}{ending}": good(texts[n % 2]) for n in range(12)}
    files[f"labels/4{ending}"] = changed
    if right != "":
        labels["images/4.png"] = right
    return _tree(labels, *refused, files=files)


_TENFOLD = "x0: &x0 [a,a]\n" + "".join(
    f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
_HUGE_NPY = npy(np.zeros(4, np.uint8)).replace(b"(4,)", b"(9999999999999,)")[:128]


def _yolo(
    line: str, *refused: str, names: str = "names: [angry, happy]\n", kept: bool = True
) -> Hostile:
    """Return eight pictures with a box each, of which the fourth picture's file says `line`."""
    files: dict[str, bytes | str] = {"data.yaml": names}
    files |= {f"labels/{n}.txt": f"{n % 2} 0.5 0.5 1 1\n" for n in range(8)}
    files["labels/4.txt"] = line
    paths = [f"images/{n}.png" for n in range(8)]

    def write_all(root: Path) -> None:
        write(root, {**draw_all(*paths), **files})

    labels = {str(n + 1): ("anger", "happy")[n % 2] for n in range(8) if n != 4 or kept}
    return Hostile(write_all, refused, {} if refused else labels)


SIDECARS: dict[str, Hostile] = {
    "a JSON beside a picture that is cut off": _beside(".json", '{"emotion": "joy', "4.json'"),
    "a JSON beside a picture nested 100,000 deep": _beside(".json", "[" * 100_000, "4.json'"),
    "a JSON beside a picture with a list for a label": _beside(
        ".json", '{"emotion": ["joy", "angry"]}', "4.json'", "one label"),
    "a JSON beside a picture without a label": _beside(".json", "{}", "4.json'", "one label"),
    "a JSON beside a picture with a NaN": _beside(".json", '{"emotion": NaN}', "4.png", "no label"),
    "a JSON beside a picture in capitals": _beside(
        ".json", '{"EMOTION": "ANGRY"}', right="anger"),
    "a JSON beside a picture that is empty": _beside(".json", "", "4.json'"),
    "a text beside a picture with two labels": _beside(".txt", "joy\nangry\n", "4.txt'", "one label"),
    "a text beside a picture that is UTF-16": _beside(
        ".txt", "joy".encode("utf-16"), "4.txt'", "cannot be read"),
    "a text beside a picture that begins with a mark": _beside(".txt", "\ufeffangry", right="anger"),
    "a text beside a picture that is empty": _beside(".txt", "", "4.txt'", "one label"),
    "an array beside a picture that is a pickle": _beside(
        ".npy", npy(np.array([{"a": 1}], object), allow_pickle=True), "4.npy'", "cannot be read"),
    "an array beside a picture of two labels": _beside(
        ".npy", npy(["joy", "angry"]), "4.npy'", "one label"),
    "an array beside a picture that announces 10 TB": _beside(".npy", _HUGE_NPY, "4.npy'"),
    "an array beside a picture that is cut off": _beside(".npy", npy("joy")[:130], "4.npy'"),
    "a code that AffectNet does not have": _beside("_exp.npy", npy("99"), "99"),
    "a code of AffectNet for no face": _beside("_exp.npy", npy("10"), right=None),
    "a code that CK+ does not have": _beside("_emotion.txt", " 9.0e+00", "9"),
    "two pictures for one label": _tree(
        {**{f"{n}.png": None for n in range(8)}, "1.jpg": None}, "1.json'",
        files={f"{n}.json": json.dumps(("angry", "joy")[n % 2]) for n in range(8)}),
    "a number without a name beside a picture": _tree(
        {f"{n}.png": None for n in range(8)}, "7", 
        files={"classes.txt": "angry\nhappy\n", **{f"{n}.cls": str(n % 2) for n in range(7)},
               "7.cls": "7"}),
    "a face whose number has no name": _yolo("7 0.5 0.5 1 1", "7", "names"),
    "a face outside of its picture": _yolo("0 1.5 0.5 1 1", "4.txt'", "1.5"),
    "a face that is NaN": _yolo("0 nan 0.5 1 1", "4.txt'", "nan"),
    "a face without a size": _yolo("0 0.5 0.5 0 0", "4.txt'"),
    "a face that is a polygon": _yolo("0 0.1 0.1 0.2 0.1 0.2 0.2", "4.txt'"),
    "a face in words": _yolo("angry 0.5 0.5 1 1", "4.txt'"),
    "a face that reaches over the edge": _yolo("0 0.9 0.5 0.9 1"),
    "a picture without a face": _yolo("", kept=False),
    "names of faces that explode": _yolo(
        "0 0.5 0.5 1 1", "data.yaml'", names=_TENFOLD + "names: *x11\n"),
    "names of faces that run code": _yolo(
        "0 0.5 0.5 1 1", "data.yaml'", names="names: !!python/object/apply:os.system ['true']\n"),
    "names of faces with gaps": _yolo(
        "0 0.5 0.5 1 1", "data.yaml'", names="names: {0: angry, 2: happy}\n"),
    "names of faces that come twice": _yolo(
        "0 0.5 0.5 1 1", "data.yaml'", "angry", names="names: [angry, angry]\n"),
    "names of faces that are cut off": _yolo("0 0.5 0.5 1 1", "data.yaml'", names="names: [angry"),
}  # fmt: skip
