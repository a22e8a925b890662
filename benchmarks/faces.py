"""Measure finding and cropping faces, and write the tables to benchmarks/faces.md.

    python benchmarks/faces.py PHOTOS --yunet FILE [--threads 1]

PHOTOS holds a folder of photographs of one face each per label. YuNet's best box of a photograph
is the reference: a face is found by a box that has an intersection over union with it of 0.4, and
a box that does not touch it is an extra one. Settings were chosen on one half of the photographs,
drawn by a fixed seed; the tables tell the halves apart.
"""

import argparse
import math
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from tabulate import tabulate

from fer_hf.data.pictures import list_pictures, load_picture, to_rgb
from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.faces import Face, FaceDetector, crop_face, load_detector
from fer_hf.faces.tracking import compute_iou
from fer_hf.inference.classifier import ExpressionClassifier

FOUND_IOU = 0.4
CROPS_PER_SCENE = 40
BATCH_SIZE = 64
MARGINS = (-0.1, -0.05, 0.0, 0.1, 0.35)

Table = list[list[object]]
Pictures = Sequence[Image.Image]
Crop = Callable[[Image.Image, Face], Image.Image]


class PlainHaar:
    """What most demos do: one cascade as OpenCV's tutorial calls it, to compare with."""

    name = "haar"

    def __init__(self) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._cascade = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))

    def __call__(self, pictures: Pictures) -> list[list[Face]]:
        """Return the faces of each picture."""
        greys = [np.asarray(picture.convert("L")) for picture in pictures]
        boxes = [self._cascade.detectMultiScale(grey, 1.1, 5) for grey in greys]
        return [[Face((x, y, x + w, y + h), 1.0) for x, y, w, h in found] for found in boxes]


def find_best(faces: Sequence[Face]) -> Face | None:
    """Return the face that the detector is surest of."""
    return max(faces, key=lambda face: face.score, default=None)


def make_scenes(photos: Pictures, generator: np.random.Generator) -> dict[str, Pictures]:
    """Make pictures without a face: scenes, crops of them, and photographs in shuffled blocks."""
    scenes = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    crops = []
    for scene in scenes:
        for _ in range(CROPS_PER_SCENE):
            side = int(generator.uniform(0.2, 0.8) * min(scene.size))
            x, y = (int(generator.integers(length - side)) for length in scene.size)
            crops.append(scene.crop((x, y, x + side, y + side)))
    shuffled = []
    for photo in photos[: 2 * CROPS_PER_SCENE]:
        blocks = np.asarray(photo.resize((256, 256))).reshape(8, 32, 8, 32, 3).swapaxes(1, 2)
        blocks = generator.permutation(blocks.reshape(64, 32, 32, 3)).reshape(8, 8, 32, 32, 3)
        shuffled.append(Image.fromarray(blocks.swapaxes(1, 2).reshape(256, 256, 3)))
    return {"scenes": scenes + crops, "shuffled": shuffled}


def measure_detector(
    detector: FaceDetector, photos: Pictures, truths: Sequence[Face], held_out: np.ndarray
) -> tuple[list[object], list[list[Face]]]:
    """Return shares found and extra boxes on both halves, the median time, and all faces."""
    faces, times = [], []
    for photo in photos:
        start = time.perf_counter()
        faces += detector([photo])
        times.append(1000 * (time.perf_counter() - start))
    overlaps = [
        compute_iou([face.box for face in found], [truth.box])[:, 0].tolist()
        for found, truth in zip(faces, truths, strict=True)
    ]
    is_found = np.array([max(row, default=0.0) >= FOUND_IOU for row in overlaps])
    extra = np.array([row.count(0.0) for row in overlaps])
    row: list[object] = []
    for half in (~held_out, held_out):
        row += [f"{100 * is_found[half].mean():.1f}", f"{100 * extra[half].mean():.1f}"]
    return [*row, f"{np.median(times):.1f}"], faces


def measure_detectors(
    detectors: dict[str, FaceDetector],
    photos: Pictures,
    truths: Sequence[Face],
    held_out: np.ndarray,
) -> tuple[Table, dict[str, list[list[Face]]]]:
    """Measure each detector; return its row, and the faces it found on the photographs."""
    faceless = make_scenes(photos, np.random.default_rng(0))
    frame = faceless["scenes"][0].resize((640, 480))
    rows, faces = [], {}
    for name, detector in detectors.items():
        row, faces[name] = measure_detector(detector, photos, truths, held_out)
        extra = [sum(map(len, detector(pictures))) for pictures in faceless.values()]
        counts = [
            f"{num} of {len(pictures)}"
            for num, pictures in zip(extra, faceless.values(), strict=True)
        ]
        times = []
        for _ in range(20):
            start = time.perf_counter()
            detector([frame])
            times.append(1000 * (time.perf_counter() - start))
        rows.append([name, *row, *counts, f"{np.median(times):.1f}"])
    return rows, faces


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
    faces: dict[str, list[Face | None]], photos: Pictures, labels: np.ndarray, held_out: np.ndarray
) -> Table:
    """Score the whole pictures and every crop; a picture without a face found counts as a whole."""
    classifier = ExpressionClassifier()
    crops: dict[tuple[str, str], Crop] = {}
    for name in faces:
        for margin in MARGINS:
            crops[name, f"margin {margin:g}"] = partial(crop_face, margin=margin)
    yunet = next(iter(faces))
    crops[yunet, "margin 0, black bars"] = crop_with_bars
    crops[yunet, "margin 0, eyes level"] = crop_level
    rows = [["", "whole picture", *score(classifier, photos, labels, held_out)]]
    for (name, shown), cut in crops.items():
        cut_out = [
            photo if face is None else cut(photo, face)
            for photo, face in zip(photos, faces[name], strict=True)
        ]
        rows.append([name, shown, *score(classifier, cut_out, labels, held_out)])
    return rows


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


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--yunet", required=True, help="YuNet's ONNX file")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    files = sorted(list_pictures(args.photos))
    photos = [to_rgb(load_picture(file)) for file in files]
    held_out = np.ones(len(photos), bool)
    held_out[np.random.default_rng(0).permutation(len(photos))[::2]] = False
    yunet = load_detector(args.yunet)
    best = [find_best(found) for found in yunet(photos)]
    kept = [row for row, face in enumerate(best) if face]
    photos, files, held_out = [photos[r] for r in kept], [files[r] for r in kept], held_out[kept]
    truths = [face for face in best if face]
    detectors = {
        "YuNet": yunet,
        "haar": load_detector("haar"),
        "haar, first pass only": load_detector("haar", thorough=False),
        "one cascade as in OpenCV's tutorial": PlainHaar(),
    }
    found, faces = measure_detectors(detectors, photos, truths, held_out)
    names = ExpressionClassifier().label_names
    labels = np.array([names.index(file.parent.name) for file in files])
    crop_faces = {name: [find_best(row) for row in faces[name]] for name in ("YuNet", "haar")}
    crops = measure_crops(crop_faces, photos, labels, held_out)
    parts = [
        f"Written by `python benchmarks/faces.py` ({platform.machine()}, Python "
        f"{platform.python_version()}, OpenCV {cv2.__version__}, {args.threads} thread(s)).",
        f"{len(photos)} of {len(best)} photographs have a face for YuNet, whose best box is the "
        "reference. Settings were chosen on one half; the other is held out. Found and extra boxes "
        "in percent of the photographs, times in milliseconds (p50), extra boxes on pictures "
        "without a face as counts: scenes and crops of them, and photographs in shuffled blocks.",
        tabulate(
            found,
            headers=[
                *("detector", "found, chosen on", "extra", "found, held out", "extra"),
                *("ms a photograph", "extra, scenes", "extra, shuffled", "ms, 640×480, no face"),
            ],
            tablefmt="github",
            disable_numparse=True,
        ),
        "Accuracy / balanced accuracy of the bundled model, in percent, by crop. A photograph "
        "in which the detector found nothing counts as a whole.",
        tabulate(
            crops,
            headers=["detector", "crop", "chosen on", "held out", "all"],
            tablefmt="github",
            disable_numparse=True,
        ),
    ]
    text = "\n\n".join(parts) + "\n"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
