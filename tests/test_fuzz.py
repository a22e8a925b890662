"""Sources, flags and bytes that Hypothesis makes up: refused in one line, or read as they are meant.

The same few examples every time. To look further: ``FER_HF_FUZZ=2000 pytest tests/test_fuzz.py``.
"""

import csv
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hostile_kit import encode, write
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_hf import cli
from fer_hf.data import load_splits
from fer_hf.data.pictures import describe_fault, load_picture, to_rgb
from fer_hf.data.stored_pictures import list_stored
from fer_hf.emotions.spellings import SPELLINGS

MORE = int(os.environ.get("FER_HF_FUZZ", "0"))
REFUSALS = (ValueError, OSError, RuntimeError)
PICTURE = encode()

pytestmark = pytest.mark.timeout(240 + MORE)


def fuzz(max_examples: int) -> settings:
    return settings(
        max_examples=MORE or max_examples,
        derandomize=not MORE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def fresh_folder():
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def assert_is_one_line(error: Exception) -> None:
    assert isinstance(error, REFUSALS), repr(error)
    assert not isinstance(error, UnicodeError), repr(error)
    assert len(str(error).strip()) > 10
    assert "\n" not in str(error)


def is_read_as_meant(source, root, truth):
    """Return whether a source is not refused; check that each picture kept has its true label."""
    try:
        splits = load_splits(source)
    except Exception as error:
        assert_is_one_line(error)
        return False
    for split, rows in splits.items():
        names = rows.features["label"].names
        for stored, label in zip(list_stored(rows), rows["label"], strict=True):
            path = Path(stored["path"]).relative_to(root).as_posix()
            true_label, true_split = truth[path]
            assert names[label] == true_label, path
            # A split that the source lacks is cut out of train.
            given = {split for _, split in truth.values() if split}
            assert not given or split == true_split or (split not in given), path
    return True


# Folders

SPLIT_WORDS = {
    "train": ("train", "Train", "TRAINING", "train_set", "images-train", "trainset"),
    "validation": ("val", "Valid", "validation", "dev", "val_set"),
    "test": ("test", "Test", "testing", "test-images", "TEST SET"),
}
CONTAINERS = ("images", "Faces", "aligned", "data", "photos (1)", "raw", "img", "cropped_faces")
SHARED = ("FaceSet-v2", "archive", "my set", "2024-05-01", "ünï", "emo_db", "KDEF-like", "a b c")
PERSONS = ("S{:03}", "P{}", "subject {}", "{:03}", "person_{}", "F{:02}", "id-{}")
OWN = ("not_happy", "happily_surprised", "bored", "no face", "sadly angry", "happy-sad", "unknown")
DECORATIONS = ("{}", "{}", "0_{}", "{} ", "3 - {}", "{}_images", "({})")

spellings = st.sampled_from(
    [
        (word.replace("_", " "), emotion)
        for words in SPELLINGS.values()
        for emotion, text in words.items()
        for word in text.split()
    ]
)


@st.composite
def label_folders(draw) -> tuple[str, str]:
    if draw(st.integers(0, 9)) == 0:
        own = draw(st.sampled_from(OWN))
        return own, own
    word, emotion = draw(spellings)
    word = draw(st.sampled_from([word, word.upper(), word.title(), word.replace(" ", "_")]))
    return draw(st.sampled_from(DECORATIONS)).format(word).strip(), emotion


@st.composite
def trees(draw) -> dict[str, tuple[str, str | None]]:
    """Return pictures by path, with the label and the split that each has."""
    labels = draw(st.lists(label_folders(), min_size=2, max_size=5, unique_by=lambda one: one[0]))
    splits = draw(st.sampled_from([(), ("train", "test"), tuple(SPLIT_WORDS)]))
    words = {split: draw(st.sampled_from(SPLIT_WORDS[split])) for split in splits}
    person = draw(st.sampled_from([None, *PERSONS]))
    order = ["split"] * bool(splits) + ["label"] + ["person"] * bool(person)
    order = draw(st.permutations(order))
    for level in ("container", "shared"):
        if draw(st.booleans()):
            order.insert(0 if level == "shared" else draw(st.integers(0, len(order))), level)
    shared, container = draw(st.sampled_from(SHARED)), draw(st.sampled_from(CONTAINERS))
    ending = draw(st.sampled_from(("png", "PNG", "jpg")))
    found: dict[str, tuple[str, str | None]] = {}
    for split in splits or (None,):
        for folder, label in labels:
            for number in range(3 if person else 1):
                names = {"split": words.get(split), "label": folder, "shared": shared}
                names |= {"container": container, "person": (person or "").format(number)}
                way = "/".join(names[level] for level in order)
                for take in range(2 if person else 4):
                    found[f"{way}/{len(found)}-{take}.{ending}"] = (label, split)
    return found


def test_label_folders_are_refused_or_read_as_they_are_meant():
    are_read = []

    @fuzz(60)
    @given(trees())
    def check(tree):
        with fresh_folder() as root:
            write(root, dict.fromkeys(tree, PICTURE))
            are_read.append(is_read_as_meant(root, root, tree))

    check()
    assert np.mean(are_read) > 0.8, np.mean(are_read)


# Lists

IMAGE_HEADINGS = ("image", "Path", "file_name", "FILENAME", "img", "filepath", "picture")
LABEL_HEADINGS = ("label", "Emotion", "expression", "class", "LABELS", "target")
SPLIT_HEADINGS = ("split", "Usage", "subset", "set")
NOTES = ("", "a note", "42", "x, y; z|w", 'said "hm"', "été", "happy?", "1.5")
PATH_STYLES: tuple[Callable[[str], str], ...] = (
    lambda path: path,
    lambda path: f"./{path}",
    lambda path: f"/home/ann/set/{path}",
    lambda path: "C:\\set\\" + path.replace("/", "\\"),
    lambda path: path.replace("/", "\\"),
    lambda path: path.rpartition("/")[2],
)


@st.composite
def lists(draw):
    """Return the name and content of a list, and what it says of each picture."""
    emotions = draw(st.lists(spellings, min_size=2, max_size=4, unique_by=lambda one: one[1]))
    splits = draw(st.sampled_from([None, ("train", "test"), ("train", "validation", "test")]))
    style, nested = draw(st.sampled_from(PATH_STYLES)), draw(st.booleans())
    rows, truth = [], {}
    for number in range(4 * len(emotions) * (len(splits) if splits else 1)):
        word, emotion = emotions[number % len(emotions)]
        split = splits[(number // len(emotions)) % len(splits)] if splits else None
        path = f"faces/{'ab'[number % 2] if nested else 'all'}/{number:03}.png"
        truth[path] = emotion, split
        rows.append({"image": style(path), "label": word, "split": split})
    headings = {
        "image": draw(st.sampled_from(IMAGE_HEADINGS)),
        "label": draw(st.sampled_from(LABEL_HEADINGS)),
    }
    if splits:
        headings["split"] = draw(st.sampled_from(SPLIT_HEADINGS))
    if draw(st.booleans()):
        headings["index"] = draw(st.sampled_from(("", "Unnamed: 0", "id")))
    if draw(st.booleans()):
        headings["note"] = draw(st.sampled_from(("note", "age", "comment")))
    order = draw(st.permutations(list(headings)))
    has_header = draw(st.integers(0, 3)) > 0
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=draw(st.sampled_from(",;\t|")),
        quoting=draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))),
        lineterminator=draw(st.sampled_from(("\n", "\r\n"))),
    )
    if has_header:
        writer.writerow([headings[key] for key in order])
    for number, row in enumerate(rows):
        row |= {"index": number, "note": draw(st.sampled_from(NOTES))}
        writer.writerow([row[key] for key in order])
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252")))
    try:
        content = text.getvalue().encode(encoding)
    except UnicodeEncodeError:
        content = text.getvalue().encode()
    ending = draw(st.sampled_from(("csv", "csv", "tsv", "txt")))
    return f"list.{ending}", content, truth


def test_lists_are_refused_or_read_as_they_are_meant():
    are_read = []

    @fuzz(60)
    @given(lists(), st.booleans())
    def check(made, as_folder):
        name, content, truth = made
        with fresh_folder() as root:
            write(root, {**dict.fromkeys(truth, PICTURE), name: content})
            are_read.append(is_read_as_meant(root if as_folder else root / name, root, truth))

    check()
    assert np.mean(are_read) > 0.8, np.mean(are_read)


# Flags

TEXTS = (
    "",
    "x",
    "-1",
    "0",
    "2",
    "1e3",
    "nan",
    "ä",
    "a b",
    "=",
    "--",
    "\0",
    "a\nb",
    "../..",
    "None",
)
VALUES = {
    "--layout": ("folders", "drawn", "table", "arrays", "hub"),
    "--label_pattern": ("(", "(?P<label>[a-z]+)", "(?P<split>x)", "(?P<label>)"),
    "--image_column": ("image",),
    "--label_column": ("label",),
    "--label_names": ("happy", "a=b", "happy=happy"),
    "--votes_file": ("/dev/null", "gone.csv"),
    "--vote_rule": ("all", "majority"),
    "--drawn_size": ("16", "1", "-16"),
    "--revision": ("main",),
    "--skip_unreadable": ("true", "false", "maybe"),
    "--seed": ("7", "-7"),
    "--config": ("gone.yaml",),
}
OF_COMMAND = {
    "data": {"--contact_sheet": ("sheet.png", "gone/sheet.png"), "--clear": (), "--fer2013": ("x.csv",)},
    "audit": {"--no_labels": (), "--most": ("3", "-3"), "--output_dir": ("out",), "--strict": ()},
    "push_data": {"--private": (), "--create_pr": (), "--license": ("mit", "cc-by-4.0")},
    "predict": {
        **{"--json": (), "--crowd": (), "--faces": (), "--batch_size": ("3", "0", "-3")},
        **{"--backend": ("torch", "onnx"), "--detector": ("haar",), "--allow_url": ()},
    },
    "evaluate": {
        **{"--split": ("test", "all"), "--batch_size": ("3", "0"), "--output_dir": ("out",)},
        **{"--corruption_pictures": ("3", "0"), "--data": ("drawn", "faces", "gone")},
    },
}  # fmt: skip
SOURCES = (
    "drawn",
    "faces",
    "faces/list.csv",
    "faces/happy/0.png",
    "gone",
    "",
    "faces/*.png",
    "https://x",
)


@st.composite
def calls(draw) -> list[str]:
    command = draw(st.sampled_from(list(OF_COMMAND)))
    known = OF_COMMAND[command] | (VALUES if command != "predict" else {})
    call = [command]
    if command == "evaluate":
        call += [draw(st.sampled_from(("resnetv2-ferplus", "gone", "faces")))]
    elif draw(st.integers(0, 9)):
        call += [draw(st.sampled_from(SOURCES))]
    if command == "push_data":
        call += [draw(st.sampled_from(("you/faces", "", "a/b/c", "..")))]
    if command != "predict":
        call += ["--num_drawn", "16", "--drawn_size", "16"]
    for flag in draw(st.lists(st.sampled_from(sorted(known)), max_size=4)):
        call.append(flag)
        good = known[flag]
        if good or draw(st.integers(0, 9)) == 0:
            call.append(draw(st.sampled_from((*good, *good, *TEXTS))))
    return call


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flags")
    write(
        folder, {f"faces/{label}/{n}.png": PICTURE for label in ("happy", "sad") for n in range(5)}
    )
    rows = "".join(f"{label}/{n}.png,{label}\n" for label in ("happy", "sad") for n in range(5))
    write(folder, {"faces/list.csv": f"image,label\n{rows}"})
    return folder


@fuzz(80)
@given(calls())
def test_flags_are_followed_or_refused_in_one_line(workplace, call):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        shutil.rmtree("out", ignore_errors=True)
        try:
            assert cli.main([*call, "--debug"]) == 0
        except Exception as error:
            assert isinstance(error, REFUSALS), repr(error)
            assert str(error).strip()


# Bytes


def _noise(form: str, **settings: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    return encode(form, Image.fromarray(pixels), **settings)


SEEDS = {
    **{form: _noise(form) for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")},
    "progressive": _noise("JPEG", progressive=True),
    "deflated": _noise("TIFF", compression="tiff_deflate"),
    "turned": _noise("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
}


@st.composite
def mutations(draw, seeds: dict[str, bytes]) -> bytes:
    """Return one of the contents with some bytes changed, repeated, taken out or put in."""
    content = bytearray(seeds[draw(st.sampled_from(sorted(seeds)))])
    for _ in range(draw(st.integers(1, 6))):
        # Headers are short and matter most.
        most = len(content) - 1 if draw(st.booleans()) else min(len(content) - 1, 64)
        at = draw(st.integers(0, max(0, most)))
        kind = draw(st.sampled_from(("change", "change", "fill", "cut", "repeat", "insert")))
        if kind == "change":
            content[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "fill":
            content[at : at + 4] = draw(
                st.sampled_from((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
            )
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 400))]
        elif kind == "repeat":
            content[at:at] = content[at : at + draw(st.integers(1, 200))]
        else:
            content[at:at] = draw(st.binary(max_size=20))
        assume(content)
    return bytes(content)


@fuzz(300)
@given(mutations(SEEDS))
def test_damaged_pictures_are_read_or_their_fault_is_told(content):
    try:
        picture = to_rgb(load_picture(content))
    except Exception as error:
        assert describe_fault(error, content).strip()
    else:
        assert picture.mode == "RGB"


def _arrays() -> bytes:
    buffer = io.BytesIO()
    images, labels = np.zeros((8, 6, 6), np.uint8), np.arange(8) % 2
    np.savez(buffer, train_images=images, train_labels=labels, label_names=["happy", "sad"])
    return buffer.getvalue()


def _zip(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for number in range(8):
            archive.writestr(f"{('happy', 'sad')[number % 2]}/{number}.png", PICTURE)
    return buffer.getvalue()


LIST = "image,label\n" + "".join(f"faces/{n}.png,{('happy', 'sad')[n % 2]}\n" for n in range(8))
FILES = {
    "x.csv": {"comma": LIST.encode(), "bars": LIST.replace(",", "|").encode("utf-16")},
    "x.npz": {"npz": _arrays()},
    "x.zip": {"stored": _zip(zipfile.ZIP_STORED), "deflated": _zip(zipfile.ZIP_DEFLATED)},
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_read_or_refused_in_one_line(name):
    @fuzz(50)
    @given(mutations(FILES[name]))
    def check(content):
        with fresh_folder() as root:
            write(root, {f"faces/{n}.png": PICTURE for n in range(8)})
            write(root, {name: content})
            try:
                load_splits(root / name)
            except Exception as error:
                assert_is_one_line(error)

    check()
