"""The `table` layout."""

import io

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_hf.data import load_splits

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
        (
            ("where", "label"),
            {},
            r"columns \['where', 'label'\], but none of .*Pass `image_column`",
        ),
        (("path", "mood"), {}, r"columns \['path', 'mood'\], but none .* Pass `label_column`"),
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


def test_a_table_in_another_encoding_is_refused(folder):
    path = folder / "a.csv"
    path.write_bytes("path,label\nfaces/0.png,fröhlich\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"cannot be read as a table .* Save it as UTF-8"):
        load_splits(path)


def test_two_formats_of_one_split_are_refused(folder):
    write(folder / "train.csv", ("path", "label"), rows_of())
    write(folder / "train.tsv", ("path", "label"), rows_of(), "\t")
    with pytest.raises(ValueError, match="no table to choose"):
        load_splits(folder, layout="table")
