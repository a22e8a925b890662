"""Published sets with a list: the right picture, box and code for each row."""

import numpy as np
import pytest
from PIL import Image

from fer_hf.data import load_splits


def picture(path, *colours, size=(40, 20)):
    """Write a picture of vertical stripes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    width = size[0] // len(colours)
    for place, colour in enumerate(colours):
        pixels[:, place * width : (place + 1) * width] = colour
    Image.fromarray(pixels).save(path)


def colours_of(splits):
    names = splits["train"].features["label"].names
    return {
        row["image"].convert("RGB").getpixel((2, 2)): names[row["label"]]
        for data in splits.values()
        for row in data
    }


def about(splits):
    return splits["train"].info.description


def write_expw(root):
    lines, wanted = [], {}
    for number in range(14):
        for face, left in ((0, 0), (1, 20)):
            colour = (10 + 15 * number, 200 * face, 99)
            code = (number + face) % 7
            lines.append(f"angry_actor_{number}.png {face} 0 {left} {left + 20} 20 22.9 {code}")
            names = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")
            wanted[colour] = names[code]
        picture(
            root / f"image/origin/angry_actor_{number}.png",
            (10 + 15 * number, 0, 99),
            (10 + 15 * number, 200, 99),
        )
    (root / "label").mkdir()
    (root / "label" / "label.lst").write_text("\n".join([*lines, lines[0]]) + "\n")
    return wanted


def test_expw_cuts_each_face_out_and_takes_repeated_rows_once(tmp_path):
    wanted = write_expw(tmp_path)
    splits = load_splits(tmp_path)
    assert colours_of(splits) == wanted
    assert sum(map(len, splits.values())) == 28
    assert about(splits).startswith("`expw`; labels from the list 'label.lst' (0 → anger, ")


def write_raf_db(root, folder="basic", codes=7, code=lambda n: n % 7 + 1):
    lines, wanted = [], {}
    for number in range(1, 29):
        split, digits = ("train", 5) if number % 2 else ("test", 4)
        name = f"{split}_{number:0{digits}}"
        colour = (number * 8, 0, codes)
        picture(root / f"{folder}/Image/aligned/{name}_aligned.png", colour)
        picture(root / f"{folder}/Image/original/{name}.png", (0, 0, 0))
        lines.append(f"{name}.png {code(number)}")
        wanted[colour] = code(number)
    (root / folder / "EmoLabel").mkdir()
    (root / folder / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines))
    return wanted


BASIC = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")


def test_raf_db_counts_from_1_and_takes_the_aligned_pictures(tmp_path):
    wanted = write_raf_db(tmp_path)
    splits = load_splits(tmp_path)
    assert colours_of(splits) == {colour: BASIC[code - 1] for colour, code in wanted.items()}
    assert len(splits["test"]) == 14
    assert "its own splits train, test" in about(splits)


def test_the_same_list_of_compound_emotions_means_others(tmp_path):
    write_raf_db(tmp_path, "compound", 11)
    splits = load_splits(tmp_path)
    assert "1 → happily surprised" in about(splits)
    write_raf_db(tmp_path)
    with pytest.raises(ValueError, match="both say labels for the split `t"):
        load_splits(tmp_path)


def test_a_damaged_line_of_raf_db_is_refused(tmp_path):
    write_raf_db(tmp_path, code=lambda n: 0 if n == 3 else 1)
    with pytest.raises(ValueError, match=r"Line 3 of '.*list_patition_label.txt' is"):
        load_splits(tmp_path)


def write_affectnet(root, name="training.csv", first=0):
    header = (
        "subDirectory_filePath,face_x,face_y,face_width,face_height,"
        "facial_landmarks,expression,valence,arousal"
    )
    lines, wanted = [header], {}
    for number in range(first, first + 22):
        code = number % 11
        box = "20,0,20,20" if code < 8 else "NULL,NULL,-1,-1"
        lines.append(f"{number % 2}/{number}.png,{box},1;2;3;4,{code},-2,-2")
        colour = (number * 4, 0, 50)
        picture(root / f"Manually_Annotated_Images/{number % 2}/{number}.png", (0, 0, 0), colour)
        if code < 8:
            wanted[colour] = code
    (root / name).write_text("\n".join(lines))
    return wanted


def test_affectnet_cuts_faces_out_and_leaves_out_rows_without_an_emotion(tmp_path):
    wanted = write_affectnet(tmp_path) | write_affectnet(tmp_path, "validation.csv", 22)
    splits = load_splits(tmp_path)
    names = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
    assert colours_of(splits) == {colour: names[code] for colour, code in wanted.items()}
    assert len(splits["validation"]) == 16
    for code in (8, 9, 10):
        assert f"left out 4 labelled '{code}', which means no emotion" in about(splits)


@pytest.mark.parametrize("layout", ["raf-db", "expw", "affectnet-csv"])
def test_a_folder_without_its_list_is_refused(tmp_path, layout):
    picture(tmp_path / "a.png", (1, 2, 3))
    with pytest.raises(ValueError, match=f"has no list of the layout `{layout}`. Expected"):
        load_splits(tmp_path, layout=layout)
