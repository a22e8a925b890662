"""What Hypothesis makes up: trees of folders and lists with a known truth, calls, damaged bytes."""

import csv
import io
from collections.abc import Callable

from hypothesis import assume
from hypothesis import strategies as st

from fer_hf.emotions.spellings import SPELLINGS

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
    "data": {"--contact_sheet": ("sheet.png",), "--clear": (), "--fer2013": ("x.csv",)},
    "audit": {"--no_labels": (), "--most": ("3", "-3"), "--output_dir": ("out",), "--strict": ()},
    "push_data": {"--private": (), "--create_pr": (), "--license": ("mit", "cc-by-4.0")},
    "predict": {
        **{"--json": (), "--crowd": (), "--faces": (), "--batch_size": ("3", "0", "-3")},
        **{"--backend": ("torch", "onnx"), "--detector": ("finder",), "--allow_url": ()},
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
        # Of the drawn faces it would score 1,200.
        call += [draw(st.sampled_from(SOURCES[command == "predict" :]))]
    if command == "push_data":
        call += [draw(st.sampled_from(("you/faces", "", "a/b/c", "..")))]
    if command != "predict":
        call += ["--num_drawn", "48", "--drawn_size", "16"]
    for flag in draw(st.lists(st.sampled_from(sorted(known)), max_size=4)):
        call.append(flag)
        good = known[flag]
        if good or draw(st.integers(0, 9)) == 0:
            call.append(draw(st.sampled_from((*good, *good, *TEXTS))))
    return call


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
