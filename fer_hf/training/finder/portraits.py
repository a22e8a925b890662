"""Faces to compose scenes from: pictures of one face each, with its box and landmarks."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm.auto import tqdm

from fer_hf.data.drawn.faces import draw_numbered_face, locate_numbered_face
from fer_hf.data.pictures import list_pictures
from fer_hf.faces.face import FaceDetector
from fer_hf.inference.files import open_picture

COLUMNS = ("file", "left", "top", "right", "bottom")
LANDMARK_COLUMNS = tuple(
    f"{name}_{axis}"
    for name in ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
    for axis in "xy"
)
"""Of the table of boxes, in pixels; eyes and mouth corners are the person's right and left."""

LONGEST_SIDE = 192
"""To which portraits are reduced, in pixels: what takes memory, and a scene seldom needs more."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Portrait:
    """A grey picture with one face.

    Attributes:
        picture: Of mode L.
        box: Left, top, right and bottom of the face in pixels, shape (4,).
        landmarks: Shape (5, 2), NaN where unknown.
        longest: The largest height that its face is shown at, in pixels.
    """

    picture: Image.Image
    box: Array
    landmarks: Array
    longest: float

    @classmethod
    def build(
        cls, picture: Image.Image, box: Sequence[float] | Array, landmarks: Array
    ) -> "Portrait":
        """Turn grey and reduce what is large; a face is shown at up to three times its height."""
        factor = min(1.0, LONGEST_SIDE / max(picture.size))
        grey = picture.convert("L")
        if factor < 1:
            size = [max(1, round(side * factor)) for side in picture.size]
            grey = grey.resize(size, Image.Resampling.BOX)
        scaled = np.asarray(box, float) * factor
        return cls(grey, scaled, landmarks * factor, 3 * (scaled[3] - scaled[1]))


def load_portraits(boxes: Path, folder: Path | None = None) -> list[Portrait]:
    """Load the faces of a table, or of a COCO file.

    Args:
        boxes: A CSV file with the columns `file`, `left`, `top`, `right`, `bottom` in pixels and
            perhaps those of `LANDMARK_COLUMNS`; or a JSON file as of COCO's keypoints (`bbox` is
            x, y, width and height; five `keypoints`, or none).
        folder: What the files' names are relative to; None for the folder of `boxes`.

    Raises:
        ValueError: The file does not hold what is expected.
        FileNotFoundError: There is no such file or picture.
    """
    read = _read_coco if boxes.suffix == ".json" else _read_table
    portraits = []
    for file, box, landmarks in tqdm(read(boxes), desc=f"faces of {boxes.name}", disable=None):
        picture = open_picture((folder or boxes.parent) / file)
        portraits.append(Portrait.build(picture, box, landmarks))
    return portraits


def _read_table(path: Path) -> list[tuple[str, list[float], Array]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise ValueError(
                f"{str(path)!r} has the columns {rows.fieldnames}, and lacks {missing}. Expected "
                f"{', '.join(COLUMNS)}, in pixels. Name them so."
            )
        found = []
        for number, row in enumerate(rows, 2):
            try:
                box = [float(row[name]) for name in COLUMNS[1:]]
                points = [float(row.get(name) or "nan") for name in LANDMARK_COLUMNS]
            except (TypeError, ValueError):
                raise ValueError(
                    f"Line {number} of {str(path)!r} holds a value that is no number, expected "
                    "pixels. Mend or remove that line."
                ) from None
            found.append((row["file"], _check_box(box, f"Line {number} of {str(path)!r}"), points))
    return [(file, box, np.reshape(points, (5, 2))) for file, box, points in found]


def _read_coco(path: Path) -> list[tuple[str, list[float], Array]]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        files = {image["id"]: image["file_name"] for image in given["images"]}
        found = []
        for row in given["annotations"]:
            left, top, width, height = row["bbox"]
            box = _check_box([left, top, left + width, top + height], f"A box of {str(path)!r}")
            points = np.full((5, 2), np.nan)
            if row.get("keypoints"):
                values = np.reshape(np.asarray(row["keypoints"], float), (5, 3))
                points = np.where(values[:, 2:] > 0, values[:, :2], np.nan)
            found.append((files[row["image_id"]], box, points))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{str(path)!r} is not a COCO file ({type(error).__name__}: {error}), expected "
            "`images` with `id` and `file_name`, and `annotations` with `image_id` and `bbox`."
        ) from None
    return found


def _check_box(box: list[float], where: str) -> list[float]:
    if not (box[2] - box[0] >= 1 and box[3] - box[1] >= 1):
        raise ValueError(f"{where} is {box}, expected a face of a pixel or more. Remove it.")
    return box


def label_portraits(folder: Path, detector: FaceDetector, table: Path) -> None:
    """Let a detector find the face of each picture of a folder, and write the table of boxes.

    Pictures in which it finds none are left out; of several faces the likeliest counts.
    """
    rows = []
    for file in tqdm(list_pictures(folder), desc=f"faces of {folder.name}", disable=None):
        found = detector([open_picture(file)])[0]
        if found:
            face = max(found, key=lambda face: face.score)
            points = np.reshape(face.landmarks or [np.nan] * 10, 10)
            numbers = [f"{value:.2f}" for value in (*face.box, *points)]
            rows.append([str(file.relative_to(folder)), *numbers])
    with table.open("w", newline="", encoding="utf-8") as written:
        writer = csv.writer(written)
        writer.writerows([[*COLUMNS, *LANDMARK_COLUMNS], *rows])


def label_small_faces(pictures: Iterable[Image.Image], detector: FaceDetector) -> list[Portrait]:
    """Locate the faces of pictures such as FER+'s 48 pixels, which a face fills.

    A detector sees them enlarged, with their edges repeated; those it does not find are left out.
    """
    portraits = []
    enlarged, border = 4, 48
    for picture in pictures:
        grey = picture.convert("L")
        size = [enlarged * side for side in grey.size]
        pixels = np.asarray(grey.resize(size, Image.Resampling.BICUBIC))
        padded = Image.fromarray(np.pad(pixels, border, mode="edge")).convert("RGB")
        if found := detector([padded])[0]:
            face = max(found, key=lambda face: face.score)
            box = (np.array(face.box) - border) / enlarged
            points = (np.array(face.landmarks) - border) / enlarged
            portraits.append(Portrait(grey, box, points, 1.5 * (box[3] - box[1])))
    return portraits


def draw_portraits(num: int, seed: int) -> list[Portrait]:
    """Draw faces, which the demo's examples are, too."""
    portraits = []
    for index in range(num):
        box, landmarks = locate_numbered_face(index, size=LONGEST_SIDE, seed=seed)
        picture = draw_numbered_face(index, size=LONGEST_SIDE, seed=seed)
        portraits.append(Portrait.build(picture, box, landmarks))
    return portraits
