"""Measure finding and cropping faces, and write the tables to benchmarks/faces.md.

    python benchmarks/faces.py --photos PHOTOS --rooms ROOMS --yunet FILE

PHOTOS holds a folder of photographs of one face each per label, none of which trained a detector,
and ROOMS photographs without a face, of which every tenth did not. YuNet's best box of a photograph
and its landmarks are the truth, moved along where the head is pasted (benchmarks/face_frames.py). A
face is found by a box that has an intersection over union with it of 0.4. Any other box is an extra
one, unless it touches a face that was not found. The detectors take turns on the same frames, on
one thread each.
"""

import argparse
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType

# Read when a session of onnxruntime opens, and when torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnxruntime
from face_frames import PORTRAITS, ROWS, TURNS, Frame, FrameMaker, name_turn
from PIL import Image, ImageDraw
from tabulate import tabulate
from tqdm import tqdm

from fer_hf.data.pictures import list_pictures, load_picture, to_rgb
from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.faces import Face, FaceDetector, FaceReader, crop_face, load_detector
from fer_hf.faces.tracking import compute_iou, match_boxes
from fer_hf.inference.classifier import ExpressionClassifier

cv2: ModuleType | None
try:
    import cv2
except ModuleNotFoundError:
    cv2 = None

FOUND_IOU, EXTRA_IOU = 0.4, 0.1
UNUSED_ROOMS = 9  # of every ten files in order, the one that trains nothing
CASCADE = "OpenCV's cascade"
LARGE_FACES = 60  # pixels: the `min_face` that is timed beside all sizes
TIMED_ROW, TIMED_FRAMES, WARM_UP = "160 px in 640×480", 20, 5
READ_TURNS = (0, 15, 30, 45, 90)
BATCH_SIZE = 64
MARGINS = (-0.1, -0.05, 0.0, 0.1, 0.35)
TILE, COLUMNS, MOST_TILES = (400, 300), 6, 36

Table = list[list[object]]
Pictures = Sequence[Image.Image]
Crop = Callable[[Image.Image, Face], Image.Image]
Detectors = Mapping[str, FaceDetector]


class PlainCascade:
    """What many demos do: one cascade as OpenCV's tutorial calls it, to compare with.

    Raises:
        ImportError: There is no OpenCV, or it has no cascades.
    """

    name = CASCADE

    def __init__(self, min_face: float | None = None) -> None:
        if cv2 is None or not hasattr(cv2, "CascadeClassifier"):
            raise ImportError("There is no OpenCV with cascades, expected version 4. Install it.")
        folder = Path(cv2.__file__).parent / "data"
        self._cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
        self._min_size = (round(min_face or 0),) * 2

    def __call__(self, pictures: Pictures) -> list[list[Face]]:
        """Return the faces of each picture."""
        greys = [np.asarray(picture.convert("L")) for picture in pictures]
        boxes = [
            self._cascade.detectMultiScale(grey, 1.1, 5, minSize=self._min_size) for grey in greys
        ]
        return [[Face((x, y, x + w, y + h), 1.0) for x, y, w, h in found] for found in boxes]


@dataclass
class Found:
    """What a detector found in the frames of a row.

    Attributes:
        num_frames: How many there were.
        num_faces: How many faces they show.
        num_extra: Boxes that are no face, or the second of one.
        ious: Of each face that was found.
        eye_errors: Of each found face whose eyes are known on both sides: mean distance of the eyes
            from where they are, as a share of the distance between them.
    """

    num_frames: int = 0
    num_faces: int = 0
    num_extra: int = 0
    ious: list[float] = field(default_factory=list)
    eye_errors: list[float] = field(default_factory=list)

    def add(self, truths: Sequence[Face], faces: Sequence[Face]) -> bool:
        """Judge the faces of one frame; return whether one was missed or a box is an extra one."""
        boxes, true_boxes = ([face.box for face in row] for row in (faces, truths))
        pairs = match_boxes(true_boxes, boxes, min_iou=FOUND_IOU)
        iou = compute_iou(true_boxes, boxes)
        missed = sorted(set(range(len(truths))) - {row for row, _ in pairs})
        unpaired = sorted(set(range(len(faces))) - {column for _, column in pairs})
        extra = [
            column
            for column in unpaired
            if not any(
                iou[row, column] >= EXTRA_IOU or is_inside(boxes[column], true_boxes[row])
                for row in missed
            )
        ]
        self.num_frames += 1
        self.num_faces += len(truths)
        self.num_extra += len(extra)
        for row, column in pairs:
            self.ious.append(float(iou[row, column]))
            if truths[row].eyes and faces[column].eyes:
                self.eye_errors.append(measure_eye_error(truths[row], faces[column]))
        return bool(missed or extra)


def is_inside(box: Sequence[float], outer: Sequence[float]) -> bool:
    """Return whether the middle of a box is in another box."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return outer[0] <= x < outer[2] and outer[1] <= y < outer[3]


def measure_eye_error(truth: Face, face: Face) -> float:
    """Return the mean distance of the eyes from the true ones, as a share of the eye distance."""
    true, found = np.array(truth.eyes), np.array(face.eyes)
    return float(np.hypot(*(found - true).T).mean() / math.dist(*true))


def find_best(faces: Sequence[Face]) -> Face | None:
    """Return the face that the detector is surest of."""
    return max(faces, key=lambda face: face.score, default=None)


def find_portraits(files: Sequence[Path], yunet: FaceDetector) -> tuple[list[Frame], list[Path]]:
    """Return the photographs in which YuNet finds a face, with the best one; and their files."""
    portraits, kept = [], []
    for file in tqdm(files, "truth of the portraits"):
        photo = to_rgb(load_picture(file))
        if best := find_best(yunet([photo])[0]):
            portraits.append(Frame(photo, (best,)))
            kept.append(file)
    return portraits, kept


def open_detector(name: str, min_face: float | None = None) -> FaceDetector | None:
    """Load a detector; of one that cannot be loaded, say so and why."""
    load = PlainCascade if name == CASCADE else partial(load_detector, name)
    try:
        return load() if min_face is None else load(min_face=min_face)
    # A detector may not take `min_face`.
    except (ImportError, OSError, TypeError, ValueError) as error:
        shown = f" with min_face={min_face:g}" if min_face else ""
        print(f"Left out: {name}{shown} ({type(error).__name__}: {error})")
        return None


def open_detectors(names: Sequence[str]) -> tuple[dict[str, FaceDetector], dict[str, str]]:
    """Load those that can be; return them, and the names they were loaded by, by what to call them.

    That is their own name, or where two have the same, that of the second one's file.
    """
    detectors, sources = {}, {}
    for name in names:
        if detector := open_detector(name):
            label = Path(name).stem if detector.name in detectors else detector.name
            detectors[label], sources[label] = detector, name
    return detectors, sources


def measure_row(
    row: str, frames: Iterable[Frame], num: int, detectors: Detectors, sheets: Path | None
) -> dict[str, Found]:
    """Run the detectors on the frames of a row; with `sheets`, draw what went wrong there."""
    found = {name: Found() for name in detectors}
    tiles: dict[str, list[Image.Image]] = {name: [] for name in detectors}
    for frame in tqdm(frames, row, num):
        for name, detector in detectors.items():
            faces = detector([frame.picture])[0]
            is_wrong = found[name].add(frame.truths, faces)
            if sheets and is_wrong and len(tiles[name]) < MOST_TILES:
                tiles[name].append(draw_tile(frame, faces))
    if sheets:
        for name, pictures in tiles.items():
            save_sheet(pictures, sheets / name / f"{row.replace('/', '-')}.png")
    return found


def draw_tile(frame: Frame, faces: Sequence[Face]) -> Image.Image:
    """Draw the true boxes of a frame in black and white, the found ones in colour, in a tile."""
    scale = min(TILE[0] / frame.picture.width, TILE[1] / frame.picture.height)
    size = tuple(round(side * scale) for side in frame.picture.size)
    tile = frame.picture.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(tile)
    for truth in frame.truths:
        left, top, right, bottom = (at * scale for at in truth.box)
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="black")
        pen.rectangle((left, top, right, bottom), outline="white")
    for face in faces:
        pen.rectangle(tuple(at * scale for at in face.box), outline="magenta", width=2)
        pen.text((face.box[0] * scale + 3, face.box[1] * scale), f"{face.score:.2f}", "magenta")
    return tile


def save_sheet(tiles: Pictures, path: Path) -> None:
    """Write tiles side by side into a PNG; without a tile an old one is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if tiles:
        columns = min(COLUMNS, len(tiles))
        sheet = Image.new("RGB", (columns * TILE[0], math.ceil(len(tiles) / columns) * TILE[1]))
        for number, tile in enumerate(tiles):
            sheet.paste(tile, (number % columns * TILE[0], number // columns * TILE[1]))
        sheet.save(path)


def show_share(num: int, total: int) -> str:
    """Return a share in percent with Wilson's 95 % interval (JASA, 1927); a dash for none."""
    if not total:
        return "–"
    z, share = 1.96, num / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (2 * total) ** 2)
    low, high = 100 * max(middle - half, 0), 100 * min(middle + half, 1)
    return f"{100 * share:.1f} ({low:.1f}–{high:.1f})"


def show_mean(values: Sequence[float]) -> str:
    """Return a mean in percent; a dash for that of nothing."""
    return f"{100 * np.mean(values):.1f}" if values else "–"


def tabulate_found(found: Mapping[str, Mapping[str, Found]], names: Sequence[str]) -> str:
    """Show what was found in each row."""
    table: Table = []
    for row, by_name in found.items():
        first = by_name[names[0]]
        cells = [
            cell
            for name in names
            for cell in (
                show_share(len(by_name[name].ious), by_name[name].num_faces),
                by_name[name].num_extra,
            )
        ]
        table.append([row, first.num_frames, first.num_faces, *cells])
    headers = ["frames", "number", "faces"]
    for name in names:
        headers += [f"{name}: found, %", "extra"]
    return show_table(table, headers)


def tabulate_places(found: Mapping[str, Mapping[str, Found]], names: Sequence[str]) -> str:
    """Show how well boxes and eyes are placed."""
    rows = [PORTRAITS, *map(name_turn, TURNS)]
    table = [
        [
            name,
            show_mean(found[PORTRAITS][name].ious),
            *(show_mean(found[row][name].eye_errors) for row in rows),
        ]
        for name in names
    ]
    headers = ["detector", "mean IoU, portraits", "eye error, portraits", *rows[1:]]
    return show_table(table, headers)


def show_table(table: Table, headers: Sequence[str]) -> str:
    """Return a table of Markdown."""
    return tabulate(table, headers=headers, tablefmt="github", disable_numparse=True)


def measure_times(maker: FrameMaker, sources: Mapping[str, str], num_turns: int) -> str:
    """Time finding, and finding and reading, in turns; show the medians in milliseconds."""
    frames = [maker.make(TIMED_ROW, number).picture for number in range(TIMED_FRAMES)]
    calls: dict[tuple[str, str], Callable[[Pictures], object]] = {}
    classifier = ExpressionClassifier("tiny")
    kinds = {"all sizes": None, f"min_face={LARGE_FACES}": LARGE_FACES}
    for kind, min_face in kinds.items():
        for name, source in sources.items():
            if detector := open_detector(source, min_face):
                calls[name, f"boxes, {kind}"] = detector
                calls[name, f"boxes and scores, {kind}"] = FaceReader(classifier, detector)
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for turn in tqdm(range(-WARM_UP, num_turns), "times"):
        frame = frames[turn % len(frames)]
        for key, call in calls.items():
            start = time.perf_counter()
            call([frame])
            if turn >= 0:
                times[key].append(1000 * (time.perf_counter() - start))
    columns = [f"{what}, {kind}" for what in ("boxes", "boxes and scores") for kind in kinds]
    table: Table = []
    for name in sources:
        measured = (times.get((name, column)) for column in columns)
        table.append([name, *(f"{np.median(row):.1f}" if row else "–" for row in measured)])
    return show_table(table, ["detector", *columns])


def crop_with_bars(picture: Image.Image, face: Face) -> Image.Image:
    """Cut out the square as `crop_face` does, but black where there is no picture."""
    left, top, right, bottom = face.box
    half = max(right - left, bottom - top) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return picture.crop((round(x - half), round(y - half), round(x + half), round(y + half)))


def crop_level(picture: Image.Image, face: Face) -> Image.Image:
    """Cut out the square, turned so that the eyes are level."""
    wide = crop_face(picture, face, margin=0.5)
    if face.eyes:
        (left_x, left_y), (right_x, right_y) = face.eyes
        angle = math.degrees(math.atan2(right_y - left_y, right_x - left_x))
        wide = wide.rotate(angle, Image.Resampling.BILINEAR)
    side = wide.width / 4
    return wide.crop((round(side), round(side), round(3 * side), round(3 * side)))


def measure_crops(
    detectors: Detectors, portraits: Sequence[Frame], labels: np.ndarray, held_out: np.ndarray
) -> str:
    """Score the whole pictures and every crop; a picture without a face found counts as a whole."""
    classifier = ExpressionClassifier()
    photos = [portrait.picture for portrait in portraits]
    cuts: dict[str, Crop] = {
        f"margin {margin:g}": partial(crop_face, margin=margin) for margin in MARGINS
    }
    cuts["margin 0, black bars"] = crop_with_bars
    cuts["margin 0, eyes level"] = crop_level
    table: Table = [["", "whole picture", *score(classifier, photos, labels, held_out)]]
    for name, detector in detectors.items():
        best = [find_best(detector([photo])[0]) for photo in photos]
        for shown, cut in tqdm(cuts.items(), f"crops, {name}"):
            cut_out = [
                photo if face is None else cut(photo, face)
                for photo, face in zip(photos, best, strict=True)
            ]
            table.append([name, shown, *score(classifier, cut_out, labels, held_out)])
    return show_table(table, ["detector", "crop", "chosen on", "held out", "all"])


def score(
    classifier: ExpressionClassifier, pictures: Pictures, labels: np.ndarray, held_out: np.ndarray
) -> list[str]:
    """Return accuracy / balanced accuracy in percent on the chosen half, the other, and all."""
    batches = [
        classifier(pictures[row : row + BATCH_SIZE]) for row in range(0, len(pictures), BATCH_SIZE)
    ]
    scores = np.concatenate(batches).astype(float)
    shown = []
    for rows in (~held_out, held_out, np.ones(len(labels), bool)):
        metrics = compute_metrics(scores[rows], labels[rows])
        shown.append(f"{100 * metrics['accuracy']:.1f} / {100 * metrics['balanced_accuracy']:.1f}")
    return shown


def measure_turned(
    detectors: Detectors, maker: FrameMaker, names: Sequence[str], num_frames: int
) -> str:
    """Read turned faces; show the accuracy of all, missed ones being wrong, and of those found."""
    classifier = ExpressionClassifier()
    readers = {name: FaceReader(classifier, detector) for name, detector in detectors.items()}
    num_frames = min(num_frames, len(maker.heads))
    table: Table = [[name] for name in detectors]
    for turn in READ_TURNS:
        is_right: dict[str, list[bool]] = {name: [] for name in detectors}
        for number in tqdm(range(num_frames), f"reading, {name_turn(turn)}"):
            frame = maker.make(name_turn(turn), number)
            for name, reader in readers.items():
                readings = reader([frame.picture])[0]
                boxes = [reading.face.box for reading in readings]
                truth = [frame.truths[0].box]
                for _, column in match_boxes(truth, boxes, min_iou=FOUND_IOU):
                    is_right[name].append(readings[column].top_label == names[number])
        for cells, right in zip(table, is_right.values(), strict=True):
            of_found = f"{100 * np.mean(right):.1f}" if right else "–"
            cells.append(f"{100 * sum(right) / num_frames:.1f} / {of_found}")
    return show_table(table, ["detector", *map(name_turn, READ_TURNS)])


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--rooms", type=Path, required=True)
    parser.add_argument("--yunet", required=True, help="YuNet's ONNX file")
    parser.add_argument(
        "--detectors", nargs="+", help="names or files; default: finder, and YuNet's file"
    )
    parser.add_argument(
        "--frames", type=int, default=200, help="of each row; five times as many are read"
    )
    parser.add_argument("--turns", type=int, default=100, help="timed calls of each kind")
    parser.add_argument(
        "--misses", type=Path, help="folder for pictures of what is missed or extra, to look at"
    )
    args = parser.parse_args()
    if cv2 is not None:
        cv2.setNumThreads(1)
    names = [*(args.detectors or ("finder", args.yunet)), CASCADE]
    detectors, sources = open_detectors(names)
    files = list_pictures(args.photos)
    portraits, kept = find_portraits(files, load_detector(args.yunet))
    rooms = [file for row, file in enumerate(list_pictures(args.rooms)) if row % 10 == UNUSED_ROOMS]
    maker = FrameMaker(portraits, rooms)
    found = {}
    for row in ROWS:
        num = len(portraits) if row == PORTRAITS else args.frames
        frames = (maker.make(row, number) for number in range(num))
        found[row] = measure_row(row, frames, num, detectors, args.misses)
    held_out = np.ones(len(files), bool)
    held_out[np.random.default_rng(0).permutation(len(files))[::2]] = False
    held_out = held_out[[files.index(file) for file in kept]]
    label_names = ExpressionClassifier().label_names
    labels = np.array([label_names.index(file.parent.name) for file in kept])
    shown_labels = [kept[row].parent.name for row in maker.order]
    versions = f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}"
    if cv2 is not None:
        versions += f", OpenCV {cv2.__version__}"
    loaded = list(detectors)
    parts = [
        f"Written by `python benchmarks/faces.py` ({platform.machine()}, {versions}, 1 thread).",
        f"{len(kept)} of {len(files)} photographs have a face for YuNet, whose best box is the "
        "truth: it finds the portraits by definition. Most fill their picture and are grey, so "
        "that little hair comes along when a head is pasted, and no neck: a detector that leans on "
        "these has a harder time than in life. Found in percent with Wilson's 95 % "
        f"interval: an intersection over union of {FOUND_IOU}. Extra boxes as counts: those that "
        "touch no face, and second ones of one face.",
        tabulate_found(found, loaded),
        "Intersection over union with YuNet's boxes, and the mean distance of the eyes from where "
        "they are in percent of the distance between them; of the faces that were found.",
        tabulate_places(found, loaded),
        f"Milliseconds for a frame of 640×480 with one face of 160 pixels (p50 of {args.turns}), "
        "to its boxes, and to boxes and scores with the model `tiny`; faces of all sizes, and of "
        f"{LARGE_FACES} pixels or more.",
        measure_times(maker, sources, args.turns),
        "Accuracy / balanced accuracy of the bundled model, in percent, by crop. A photograph in "
        "which the detector found nothing counts as a whole. Settings were chosen on one half; the "
        "other is held out.",
        measure_crops(detectors, portraits, labels, held_out),
        "Accuracy of the bundled model in percent on turned faces of 120–200 pixels, of all faces, "
        "where one that is not found counts as wrong, / of those that were found "
        f"({min(5 * args.frames, len(shown_labels))} frames).",
        measure_turned(detectors, maker, shown_labels, 5 * args.frames),
    ]
    text = "\n\n".join(parts) + "\n"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
