"""What the columns of a list are."""

import pytest

from fer_hf.data.layouts.list_columns import divide_by_path, find_box_columns
from fer_hf.data.layouts.list_readings import examine_list, settle_columns
from fer_hf.data.layouts.picture_index import PictureIndex

EMOTIONS = ["happy", "sad", "anger", "fear"]


def settle(folder, text, **asked):
    """The names of the picture's, the label's and the split's column."""
    for name in ("a", "b"):
        (folder / name).mkdir(exist_ok=True)
        for number in range(4):
            (folder / name / f"{number}.png").touch()
    (folder / "l.csv").write_text(text)
    index = PictureIndex(folder)
    reading = examine_list(folder / "l.csv", index, **asked)
    columns, names = settle_columns(reading, index, **asked), [*reading.table.names, None]
    split = -1 if columns.split is None else columns.split
    return names[columns.image], names[columns.label], names[split]


def rows(header, *makers):
    """A CSV of four rows, each cell made from the row's number."""
    lines = [",".join(str(make(row)) for make in makers) for row in range(4)]
    return "\n".join([header] * bool(header) + lines) + "\n"


def path(row):
    return f"a/{row}.png"


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        (rows("x,y", path, EMOTIONS.__getitem__), {}, ("x", "y", None)),
        (rows("", path, EMOTIONS.__getitem__), {}, ("1", "2", None)),
        (rows("", path, int), {}, ("1", "2", None)),
        (rows("", int, path, EMOTIONS.__getitem__), {}, ("2", "3", None)),
        (rows("", path, "abcd".__getitem__), {"label_column": "2"}, ("1", "2", None)),
        (rows("x,y", path, "abcd".__getitem__), {"label_column": "y"}, ("x", "y", None)),
        (rows("i,label,e", path, int, EMOTIONS.__getitem__), {}, ("i", "e", None)),
        (
            rows("image,mask,label", path, lambda row: f"b/{row}.png", int),
            {},
            ("image", "label", None),
        ),
        (rows("p,q,label", path, lambda row: f"./a/{row}.png", int), {}, ("p", "label", None)),
        (
            rows("p,fold,label", path, ["Train", "val", "dev", "test"].__getitem__, int),
            {},
            ("p", "label", "fold"),
        ),
    ],
)
def test_columns_are_told(tmp_path, text, asked, expected):
    assert settle(tmp_path, text, **asked) == expected


def test_a_separator_counts_only_if_pictures_come_of_it(tmp_path):
    text = "".join(f"a/{row}.png;0,{row};{EMOTIONS[row]}\n" for row in range(4))
    assert settle(tmp_path, text) == ("1", "3", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            rows("p,q,label", path, lambda row: f"b/{row}.png", int),
            r"several columns .*\['p', 'q'\]",
        ),
        (
            rows("p,label,class", path, int, lambda row: row % 2),
            "'label' and 'class', which may both",
        ),
        (rows("p,x", path, int), r"none of \['label', .* Pass `label_column`"),
        (rows("", path, int, int), r"columns \['1', '2', '3'\] .*Pass `label_column`"),
        (rows("p,label", "xyzw".__getitem__, int), r"none of \['image', .*Pass `image_column`"),
        (rows("", path), r"columns \['1'\]"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        settle(tmp_path, text)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["image", "x", "y", "w", "h"], ((1, 2, 3, 4), True)),
        (["face_x", "face_y", "face_width", "face_height"], ((0, 1, 2, 3), True)),
        (
            ["face_box_top", "face_box_left", "face_box_right", "face_box_bottom"],
            ((1, 0, 2, 3), False),
        ),
        (["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"], ((0, 1, 2, 3), False)),
        (["x", "y", "w"], None),
    ],
)
def test_box_columns_are_told_by_their_headings(names, expected):
    assert find_box_columns(names) == expected


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["train/1.jpg", "x/val/2.jpg"], ["train", "validation"]),
        (["train_1.jpg", "img/test-2.jpg"], ["train", "test"]),
        (["train/1.jpg", "2.jpg"], None),
        (["test/1.jpg", "test/2.jpg"], None),
        ([], None),
    ],
)
def test_paths_divide_only_if_all_of_them_do(paths, expected):
    assert divide_by_path(paths) == expected
