"""The `table` layout."""

import io

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_hf.data import load_splits
from fer_hf.data.layout import LoadOptions
from fer_hf.data.recognition import locate_source, recognise_layout

LABELS = ["happy", "sad", "anger"] * 6
COLOURS = [(10 * number, 0, 0) for number in range(len(LABELS))]


@pytest.fixture
def folder(tmp_path):
    """Eighteen pictures in a folder `faces`, each of a colour of its own."""
    (tmp_path / "faces").mkdir()
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (4, 4), colour).save(tmp_path / "faces" / f"{number}.png")
    return tmp_path


def write(path, header, rows, delimiter=","):
    lines = [delimiter.join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows_of(labels=LABELS):
    return [(f"faces/{number}.png", label) for number, label in enumerate(labels)]


def pairs(data):
    """The (red level, label name) of every row: tells pictures and labels apart and together."""
    names = data.features["label"]
    return {(row["image"].getpixel((0, 0))[0], names.int2str(row["label"])) for row in data}


EXPECTED = {(colour[0], label) for colour, label in zip(COLOURS, LABELS, strict=True)}


@pytest.mark.parametrize("layout", [None, "table"])
@pytest.mark.parametrize(
    "header", [("pth", "label"), ("path", "Emotion"), ("file_name", "expression"), ("IMG", "class")]
)
def test_usual_columns_are_recognised(folder, header, layout):
    splits = load_splits(write(folder / "labels.csv", header, rows_of()), layout=layout)
    assert set.union(*map(pairs, splits.values())) == EXPECTED
    assert splits["train"].column_names == ["image", "label"]


def test_tsv_absolute_paths_byte_order_mark_and_extra_columns(folder):
    rows = [(n, folder / path, "x,y", label) for n, (path, label) in enumerate(rows_of())]
    path = write(folder / "all.tsv", ("", "path", "note", "label"), rows, "\t")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n\n")
    assert set.union(*map(pairs, load_splits(path).values())) == EXPECTED


def test_a_folder_with_a_table_for_each_split(folder):
    for name, rows in (("train", rows_of()), ("val", rows_of()[:6]), ("test", rows_of()[6:9])):
        write(folder / f"{name}.csv", ("path", "label"), rows)
    splits = load_splits(folder)
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [18, 6, 3]
    assert pairs(splits["test"]) == {(60, "happy"), (70, "sad"), (80, "anger")}


@pytest.mark.parametrize("column", ["split", "Usage", "set"])
def test_a_split_column_divides_one_table(folder, column):
    splits_of = ["Training"] * 12 + ["valid"] * 3 + ["PrivateTest"] * 3
    rows = [(*row, split) for row, split in zip(rows_of(), splits_of, strict=True)]
    splits = load_splits(write(folder / "a.csv", ("path", "label", column), rows))
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [12, 3, 3]
    assert pairs(splits["validation"]) == {(120, "happy"), (130, "sad"), (140, "anger")}


def test_numbers_get_their_names(folder):
    numbers = [{"sad": 0, "happy": 1, "anger": 2}[label] for label in LABELS]
    path = write(folder / "a.csv", ("path", "label"), rows_of(numbers))
    splits = load_splits(path, label_names=["sadness", "joy", "angry"])
    assert set.union(*map(pairs, splits.values())) == EXPECTED


def test_columns_can_be_named(folder):
    path = write(folder / "a.csv", ("where", "label", "what"), [(p, 0, w) for p, w in rows_of()])
    splits = load_splits(path, image_column="where", label_column="what")
    assert set.union(*map(pairs, splits.values())) == EXPECTED


def encode(colour):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["struct", "bytes", "large bytes", "relative", "text"])
def test_parquet_holds_pictures_or_paths(folder, kind):
    paths = [path for path, _ in rows_of()]
    match kind:
        case "struct":
            images = pa.array([{"bytes": encode(c), "path": "x.png"} for c in COLOURS])
        case "relative":
            struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
            images = pa.array([{"bytes": None, "path": path} for path in paths], struct)
        case "bytes":
            images = pa.array([encode(c) for c in COLOURS])
        case "large bytes":
            images = pa.array([encode(c) for c in COLOURS], pa.large_binary())
        case _:
            images = pa.array(paths)
    pq.write_table(pa.table({"image": images, "label": LABELS}), folder / "a.parquet")
    splits = load_splits(folder / "a.parquet", seed=4)
    assert set.union(*map(pairs, splits.values())) == EXPECTED
    assert sum(map(len, splits.values())) == 18


def test_parquet_of_datasets_brings_its_label_names(folder):
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["sad", "happy", "anger"])}
    )
    rows = {"image": [str(folder / path) for path, _ in rows_of()], "label": LABELS}
    data = datasets.Dataset.from_dict(rows, features=features)
    data.to_parquet(folder / "train.parquet")
    data.select(range(6)).to_parquet(folder / "test.parquet")
    splits = load_splits(folder)
    assert splits["train"].features["label"].names == ["anger", "happy", "sad"]
    assert set.union(pairs(splits["train"]), pairs(splits["validation"])) == EXPECTED


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        (("path", "label"), {"image_column": "x"}, "but no column 'x'. Pass `image_column`"),
        (("path", "label"), {"label_column": "x"}, "but no column 'x'. Pass `label_column`"),
        (("path", "label"), {"label_names": ["happy", "sad"]}, "'anger', which is none of the"),
    ],
)
def test_columns_that_do_not_fit_are_refused_with_those_found(folder, header, options, message):
    with pytest.raises(ValueError, match=message):
        load_splits(write(folder / "a.csv", header, rows_of()), **options)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("faces/0.png", "", "train"), "'.*a.csv' row 18 has no label"),
        (("faces/0.png",), r"\[''\] \(the first in row 18\) are none of train, validation"),
        (("faces/0.png", "", "train"), "'.*0.png' in '.*a.csv' row 18 has no label"),
        (("faces/99.png", "sad", "train"), "99.png' in '.*a.csv' row 18: no such file"),
        (("https://a.b/c.png", "sad", "train"), "row 18: no such file"),
        (
            ("faces/0.png", "sad", "extra"),
            r"\['extra'\] \(the first in row 18\) are none of train, validation and test",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_number(folder, row, message):
    rows = [*((*row, "train") for row in rows_of()), row]
    with pytest.raises(ValueError, match=message):
        load_splits(write(folder / "a.csv", ("path", "label", "split"), rows))


def test_a_column_that_holds_no_pictures_is_refused(folder):
    pq.write_table(pa.table({"image": [1.5] * 18, "label": LABELS}), folder / "a.parquet")
    with pytest.raises(ValueError, match=r"Column 'image' of .* holds double. Expected paths"):
        load_splits(folder / "a.parquet")


def test_columns_without_usual_names_are_told_by_their_content(folder):
    splits = load_splits(write(folder / "a.csv", ("where", "mood"), rows_of()))
    assert set.union(*map(pairs, splits.values())) == EXPECTED


def test_two_formats_of_one_split_are_refused(folder):
    write(folder / "train.csv", ("path", "label"), rows_of())
    write(folder / "train.tsv", ("path", "label"), rows_of(), "\t")
    with pytest.raises(ValueError, match=r"lists 'train.csv' and 'train.tsv', which may both"):
        load_splits(folder, layout="table")


def find(source, **options):
    """What the layout finds, without decoding a picture."""
    return locate_source(source, LoadOptions(layout="table", **options))[1]


def test_what_was_chosen_is_said(folder):
    rows = [(n, f"{n}.png", f"0,{n}", label) for n, label in enumerate(LABELS[:-1])]
    path = write(folder / "labels.csv", ("Nr", "Datei", "Wert", "Gefühl"), rows, ";")
    path.write_bytes(path.read_text("utf-8").encode("cp1252"))
    assert recognise_layout(folder) == "table"
    found = find(folder)
    assert found.labels_from == (
        "the column `Gefühl` of 'labels.csv', pictures from the column `Datei`, separated by ';', "
        "read as cp1252 because it is not UTF-8, in 'faces/'; 1 pictures of the folder are in no "
        "row"
    )
    assert found.read()["train"].labels == LABELS[:-1]


def test_a_list_below_the_folder_without_header_divides_by_names(tmp_path):
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "Image" / "aligned").mkdir(parents=True)
    names = [f"{split}_{n}.png" for split in ("train", "test") for n in range(3)]
    for name in names:
        Image.new("RGB", (4, 4)).save(tmp_path / "Image" / "aligned" / name)
    text = "".join(f"{name}  {number % 3 + 1}\n" for number, name in enumerate(names))
    (tmp_path / "EmoLabel" / "list.txt").write_text(text)
    for source in (tmp_path, tmp_path / "EmoLabel" / "list.txt"):
        parts = find(source).read()
        assert {split: part.labels for split, part in parts.items()} == {
            "train": ["1", "2", "3"],
            "test": ["1", "2", "3"],
        }


@pytest.mark.parametrize("name", ["train", "labels_train", "train/metadata"])
def test_the_name_of_a_list_or_its_folder_says_the_split(folder, name):
    for split in ("train", "test"):
        path = folder / f"{name.replace('train', split)}.csv"
        path.parent.mkdir(exist_ok=True)
        write(path, ("path", "label"), rows_of())
    assert set(find(folder).read()) == {"train", "test"}


def test_the_first_splits_may_be_without_a_name(folder):
    write(folder / "labels.csv", ("path", "label"), rows_of()[:12])
    write(folder / "test.csv", ("path", "label"), rows_of()[12:])
    assert {split: len(part.labels) for split, part in find(folder).read().items()} == {
        "train": 12,
        "test": 6,
    }


def test_other_texts_beside_a_list_do_not_matter(folder):
    write(folder / "labels.csv", ("path", "label"), rows_of())
    (folder / "README.txt").write_text("faces/0.png,happy\n")
    (folder / "notes.txt").write_text("Some pictures, made by me,\nin 2020\n")
    (folder / "sizes.csv").write_text("path,bytes\nfaces/0.png,12\n")
    (folder / "config.json").write_text("[1, 2]")
    assert find(folder).read()["train"].labels == LABELS


@pytest.mark.parametrize("name", ["labels.csv", "labels.xlsx"])
def test_a_damaged_list_is_refused_where_nothing_else_says_the_labels(folder, name):
    (folder / name).write_bytes(b"PK\0\0")
    with pytest.raises(ValueError, match=r"labels.* Save (it|the list) as CSV"):
        load_splits(folder)


def test_a_list_without_labels_is_refused_where_nothing_else_says_them(folder):
    write(folder / "a.csv", ("path", "mood"), [(path, "so-so") for path, _ in rows_of()])
    with pytest.raises(
        ValueError, match=r"columns \['path', 'mood'\] \(first row: \['faces/0.png', 'so-so'\]"
    ):
        load_splits(folder)


def test_a_list_without_labels_does_not_hide_label_folders(tmp_path):
    for label in ("happy", "sad"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / label / "0.png")
    write(tmp_path / "sizes.csv", ("path", "bytes"), [("happy/0.png", 70), ("sad/0.png", 71)])
    assert recognise_layout(tmp_path) == "folders"


def test_a_folder_without_a_list_is_refused_with_what_was_looked_at(folder):
    (folder / "notes.txt").write_text("some words")
    with pytest.raises(ValueError, match=r"no list of pictures with labels .*'notes.txt'"):
        find(folder)


def test_shards_of_one_split_are_left_to_datasets(tmp_path):
    for number in range(2):
        rows = pa.table({"image": [encode((0, 0, 0))], "label": ["happy"]})
        pq.write_table(rows, tmp_path / f"train-{number:05d}-of-00002.parquet")
    assert recognise_layout(tmp_path) == "hub"


def test_parquet_says_pictures_and_labels_by_content(folder):
    images = pa.array([encode(c) for c in COLOURS])
    pq.write_table(pa.table({"what": LABELS, "jpeg": images}), folder / "a.parquet")
    splits = load_splits(folder / "a.parquet")
    assert set.union(*map(pairs, splits.values())) == EXPECTED


def test_boxes_cut_faces_out(tmp_path):
    picture = Image.new("RGB", (8, 4), "red")
    picture.paste("blue", (4, 0, 8, 4))
    picture.save(tmp_path / "a.png")
    rows = [("a.png", -2, 0, 4, 4, "happy"), ("a.png", 4, 0, 9, 4, "sad")] * 2
    header = ("name", "box_left", "box_top", "box_right", "box_bottom", "emotion")
    found = find(write(tmp_path / "l.csv", header, rows))
    part = found.read()["train"]
    assert "faces cut out by the columns `box_left`, `box_top`" in found.labels_from
    assert "2 repeated rows left out" in found.labels_from
    (batch,) = part.read(np.arange(2))
    faces = [Image.open(io.BytesIO(stored["bytes"])) for stored in batch.to_pylist()]
    assert [(face.size, face.getpixel((0, 0))) for face in faces] == [
        ((4, 4), (255, 0, 0)),
        ((4, 4), (0, 0, 255)),
    ]


@pytest.mark.parametrize("box", [(0, 0, 0, 4), ("", 0, 4, 4)])
def test_a_row_without_a_box_is_refused(folder, box):
    rows = [(*row, 0, 0, 2, 2) for row in rows_of()[:2]] + [(*rows_of()[2], *box)]
    with pytest.raises(ValueError, match=r"row 2 has no box: `x`, `y`, `w`, `h` are"):
        find(write(folder / "a.csv", ("path", "label", "x", "y", "w", "h"), rows))


def test_a_row_that_contradicts_another_is_refused(folder):
    path = write(folder / "a.csv", ("path", "label"), [*rows_of(), ("faces/0.png", "sad")])
    with pytest.raises(ValueError, match=r"rows 0 and 18 both name .*0.png', as 'happy' and 'sad'"):
        find(path)
    rows = [(*row, "train") for row in rows_of()] + [("faces/0.png", "happy", "test")]
    path = write(folder / "a.csv", ("path", "label", "split"), rows)
    with pytest.raises(ValueError, match="as 'happy in train' and 'happy in test'"):
        find(path)


def test_a_row_that_repeats_another_counts_once(folder):
    path = write(folder / "a.csv", ("path", "label"), [*rows_of(), ("./faces/0.png", "happiness")])
    found = find(path)
    assert "1 repeated rows left out" in found.labels_from
    assert len(found.read()["train"].labels) == 18


def test_a_name_that_fits_two_pictures_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    path = write(tmp_path / "l.csv", ("path", "label"), [("1.png", "happy")])
    with pytest.raises(ValueError, match=r"row 0 names '1.png', .* \['a/1.png', 'b/1.png'\]"):
        find(path)
