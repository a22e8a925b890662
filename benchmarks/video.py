"""Measure what a 720p video costs from file to annotated file, and write it to benchmarks/video.md.

    python benchmarks/video.py [--seconds 600]

The video is made here: a drawn face that wanders over a ground, changes its expression every five
seconds, and gives way to another one by a cut every fifteen. Decoder and encoder have threads of
their own; the time of a stage is how long the analysis waits for it.
"""

import argparse
import cProfile
import os
import platform
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import psutil
import torch
from av.video.frame import VideoFrame
from PIL import Image
from tabulate import tabulate

from fer_hf.data.drawn.faces import EMOTION_ACTION_UNITS, draw_face
from fer_hf.faces import Face, load_detector
from fer_hf.faces.overlay import draw_readings
from fer_hf.faces.reader import FaceReader, FaceReading
from fer_hf.faces.tracking import FaceTracker
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.video import VideoResult, analyse_video
from fer_hf.video.frames import VideoLimits, open_video
from fer_hf.video.outputs import render_annotation

WIDTH, HEIGHT, FRAME_RATE, FACE = 1280, 720, 30, 300
MOMENTS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
EMOTIONS = tuple(EMOTION_ACTION_UNITS)
# Where the analysis spends its time, as the profiler names it.
STAGES = {
    "decode, scale": [("frames.py", "_decode"), ("frames.py", "_to_yuv")],
    "find faces, score them": [("reading.py", "__call__")],
    "draw": [("outputs.py", "render_annotation"), ("outputs.py", "lay_over")],
    "encode": [("outputs.py", "write")],
}

Table = list[list[object]]


def make_video(path: Path, seconds: int) -> None:
    """Write the video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE, options={"preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(seconds * FRAME_RATE):
            if number % (5 * FRAME_RATE) == 0:
                scene, part = divmod(number // (5 * FRAME_RATE), 3)
                ground = draw_ground(scene)
                face = draw_face(EMOTIONS[(scene + 3 * part) % 8], size=FACE, seed=scene)
            picture = ground.copy()
            angle = number / FRAME_RATE
            x, y = 490 + 400 * np.sin(angle / 2), 210 + 150 * np.cos(angle / 3)
            picture.paste(face, (round(x), round(y)))
            container.mux(stream.encode(VideoFrame.from_image(picture)))
        container.mux(stream.encode())


def draw_ground(scene: int) -> Image.Image:
    """Draw soft clouds with the grain of a camera, darker and lighter in turns."""
    rng = np.random.default_rng(scene)
    clouds = Image.fromarray(rng.integers(0, 96, (9, 16, 3), dtype=np.uint8))
    smooth = np.asarray(clouds.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.int16)
    bright = smooth + rng.normal(0, 4, smooth.shape) + 100 * (scene % 2)
    return Image.fromarray(np.clip(bright, 0, 255).astype(np.uint8))


def measure_analysis(
    video: Path, reader: FaceReader, folder: Path
) -> tuple[VideoResult, float, float, dict[str, float], list[float]]:
    """Analyse the video: time, CPU time, time of each stage, and MiB of memory after each look."""
    process = psutil.Process()
    memory: list[float] = []

    def analyse() -> VideoResult:
        return analyse_video(
            video,
            reader,
            output_dir=folder,
            max_seconds=float("inf"),
            max_frames=sys.maxsize,
            progress=lambda share: memory.append(process.memory_info().rss / 2**20),
        )

    profile, start, cpu_start = cProfile.Profile(), time.perf_counter(), time.process_time()
    result = profile.runcall(analyse)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    spent = {
        (Path(file).name, name): cumulative
        for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items()
    }
    stages = {stage: sum(spent.get(key, 0.0) for key in keys) for stage, keys in STAGES.items()}
    return result, wall, cpu, {**stages, "the rest": wall - sum(stages.values())}, memory


def measure_drawing(video: Path, label_names: list[str], num: int = 50) -> Table:
    """Time ways of drawing one face on a frame."""
    with open_video(video, VideoLimits(seconds=3600, pixels=2**24, frames=10**6)) as frames:
        frame = next(iter(frames))
    scores = dict(zip(label_names, np.eye(len(label_names))[0].tolist(), strict=True))
    reading = FaceReading(scores, label_names[0], face=Face((500, 200, 800, 500), 1.0))
    tracked = FaceTracker().update(0.0, [reading])
    annotation = render_annotation(tracked, frame.size)

    def draw_in_rgb() -> None:
        drawn = draw_readings(frame.to_picture(), [reading])
        VideoFrame.from_image(drawn).reformat(format="yuv420p").to_ndarray()

    calls: dict[str, Callable[[], object]] = {
        "to RGB, draw, and back": draw_in_rgb,
        "`lay_over`": lambda: annotation(frame.yuv),
        "`render_annotation`, once a detection": lambda: render_annotation(tracked, frame.size),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(num):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - start))
    return [[name, f"{np.median(taken):.2f}"] for name, taken in times.items()]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="duration of the video")
    parser.add_argument("--detector", default="auto", help="name or path, default: the one in use")
    args = parser.parse_args()
    reader = FaceReader(ExpressionClassifier(), load_detector(args.detector))
    reader([draw_ground(0)])  # so that nothing is loaded while the clock runs
    with tempfile.TemporaryDirectory() as name:
        video = Path(name, "video.mp4")
        make_video(video, args.seconds)
        result, wall, cpu, stages, memory = measure_analysis(video, reader, Path(name))
        drawing = measure_drawing(video, reader.label_names)
    cores = len(os.sched_getaffinity(0))
    machine = f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, "
    machine += (
        f"PyAV {av.__version__}, torch {torch.__version__} on {torch.get_num_threads()} threads"
    )
    sections = [
        f"Written by `python benchmarks/video.py --seconds {args.seconds}` ({machine}).",
        f"{result.num_frames:,} frames of {WIDTH}×{HEIGHT} at {FRAME_RATE} a second, "
        f"{result.num_detections:,} detections with `{reader.detector.name}`, "
        f"{result.num_faces} faces, {result.num_cuts} cuts: {wall:.1f} s for {args.seconds} s of "
        f"video, **{args.seconds / wall:.2f}× real time**; {cpu:.1f} s of CPU time, all threads "
        "together.",
        tabulate(
            [
                [stage, f"{spent:.1f}", f"{1000 * spent / result.num_frames:.2f}"]
                for stage, spent in stages.items()
            ],
            headers=["stage", "seconds", "ms for each frame"],
            tablefmt="github",
        ),
        "Memory of the process on the way:",
        tabulate(
            [
                [f"{share:.0%}", f"{memory[int(share * (len(memory) - 1))]:.0f}"]
                for share in MOMENTS
            ],
            headers=["of the video", "MiB"],
            tablefmt="github",
        ),
        "One face on a frame, which is YUV 4:2:0, median of 50:",
        tabulate(drawing, headers=["way", "ms"], tablefmt="github"),
    ]
    text = "\n\n".join(sections) + "\n"
    Path(__file__).with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
