"""Measure the demo as its visitors meet it, and write the tables to benchmarks/demo.md.

    python benchmarks/demo.py [--visitors 20] [--seconds 120] [--picture photo.jpg]

`fer-hf demo` runs as a process of its own. Each visitor sends a picture of 640×480 pixels, and the
next one as soon as the answer is there, which is more than people do. The stages are timed without
the page around them, one frame after the other.
"""

import argparse
import io
import json
import os
import platform
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import httpx
import numpy as np
import psutil
from PIL import Image
from tabulate import tabulate

from fer_hf.data.drawn.faces import draw_face
from fer_hf.demo.demo_models import DemoModels
from fer_hf.faces import crop_face
from fer_hf.faces.overlay import draw_readings

SIZE = (640, 480)
NUM_FRAMES = 50
WARM_UP = 5
BUSY = "busy"


class BusyError(Exception):
    """The demo asks to come again later."""


@dataclass
class Visits:
    """What visitors met; they share one.

    Attributes:
        seconds: Of each answer.
        errors: What came instead of an answer, and how often.
        memory: Pairs of seconds since the first visit and MB of the server.
    """

    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)


def build_frame(picture: str | None) -> Image.Image:
    """Return a frame with one face a third as wide: the picture's, or a drawn one."""
    face = Image.open(picture).convert("RGB") if picture else draw_face("happy", size=240, seed=5)
    face.thumbnail((240, 240))
    frame = Image.new("RGB", SIZE, (120, 124, 128))
    frame.paste(face, ((SIZE[0] - face.width) // 2, (SIZE[1] - face.height) // 2))
    return frame


def measure_stages(model: str, detector: str, frame: Image.Image) -> list[list[str]]:
    """Time what happens to a frame; the row of each stage, in milliseconds."""
    models = DemoModels([model], detector=detector)
    reader = models.reader
    [readings] = reader([frame])
    faces = [reading.face for reading in readings]
    crops = [crop_face(frame, face) for face in faces]
    stages: dict[str, Callable[[], object]] = {
        "find faces": lambda: models.detector([frame]),
        "crop": lambda: [crop_face(frame, face) for face in faces],
        "score": lambda: reader.classifier(crops),
        "draw": lambda: draw_readings(frame, readings),
        "all of it": lambda: draw_readings(frame, reader([frame])[0]),
    }
    rows = []
    for stage, call in stages.items():
        milliseconds = np.empty(NUM_FRAMES)
        for turn in range(-WARM_UP, NUM_FRAMES):
            start = time.perf_counter()
            call()
            if turn >= 0:
                milliseconds[turn] = 1000 * (time.perf_counter() - start)
        rows.append([stage, *(f"{x:.1f} ms" for x in np.percentile(milliseconds, [50, 95]))])
    return [*rows, ["faces found", str(len(faces)), ""]]


def start_server(model: str, detector: str) -> tuple[subprocess.Popen[bytes], str, float]:
    """Start `fer-hf demo`; return it, its address, and the seconds until the first page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "fer_hf", "demo", "--port", str(port), "--model", model]
    start = time.perf_counter()
    server = subprocess.Popen([*command, "--detector", detector])
    while server.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return server, address, time.perf_counter() - start
        except OSError:
            time.sleep(0.05)
    raise SystemExit("The demo ended before its first page.")


def find_function(session: httpx.Client, api_name: str) -> int:
    """Return the number of a function of the page."""
    functions = session.get("config").json()["dependencies"]
    return next(found["id"] for found in functions if found["api_name"] == api_name)


def ask(session: httpx.Client, function: int, visitor: str, picture: bytes) -> None:
    """Upload a picture, wait for the faces in it, and fetch the annotated one, as a browser does.

    `gradio_client` takes more time for that than the demo takes to answer.

    Args:
        session: Connected to the demo.
        function: Number of `read_faces`.
        visitor: A name that is only this visitor's.
        picture: An encoded picture.

    Raises:
        BusyError: The queue is full.
        RuntimeError: The demo answered with another error.
    """
    api = "gradio_api"
    [path] = session.post(f"{api}/upload", files={"files": ("face.jpg", picture)}).json()
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    question = {"data": [file, False], "fn_index": function, "session_hash": visitor}
    if session.post(f"{api}/queue/join", json=question).status_code == 503:
        raise BusyError
    answer = session.get(f"{api}/queue/data", params={"session_hash": visitor}).text
    messages = [json.loads(line.removeprefix("data: ")) for line in answer.split("\n\n") if line]
    [completed] = [message for message in messages if message["msg"] == "process_completed"]
    if not completed["success"]:
        raise RuntimeError(completed["output"].get("error"))
    session.get(completed["output"]["data"][0]["url"]).raise_for_status()


def visit(address: str, picture: bytes, until: float, visits: Visits) -> None:
    """Send the picture again and again until a time of `time.monotonic`."""
    with httpx.Client(base_url=address, timeout=60) as session:
        function, visitor = find_function(session, "read_faces"), secrets.token_hex(6)
        while time.monotonic() < until:
            start = time.monotonic()
            try:
                ask(session, function, visitor, picture)
                visits.seconds.append(time.monotonic() - start)
            except BusyError:
                visits.errors[BUSY] += 1
                time.sleep(1)
            # The point of the benchmark is that there are none.
            except Exception as error:
                visits.errors[f"{type(error).__name__}: {error}"[:80]] += 1


def measure_visits(
    server: subprocess.Popen[bytes], address: str, picture: bytes, num_visitors: int, seconds: float
) -> Visits:
    """Let visitors come for some seconds, and watch the memory of the server meanwhile."""
    visits, start = Visits(), time.monotonic()
    threads = [
        threading.Thread(target=visit, args=(address, picture, start + seconds, visits))
        for _ in range(num_visitors)
    ]
    for thread in threads:
        thread.start()
    process = psutil.Process(server.pid)
    while any(thread.is_alive() for thread in threads):
        visits.memory.append((time.monotonic() - start, process.memory_info().rss / 1e6))
        time.sleep(1)
    return visits


def describe_visits(visits: Visits, seconds: float) -> list[list[object]]:
    """Return the rows of the table."""
    middle, slow = np.percentile(visits.seconds or [np.nan], [50, 95])
    late = [rss for second, rss in visits.memory if second >= min(60, seconds / 2)]
    others = {error: num for error, num in visits.errors.items() if error != BUSY}
    return [
        ["answers", f"{len(visits.seconds):,}"],
        ["p50", f"{middle:.2f} s"],
        ["p95", f"{slow:.2f} s"],
        ['"busy"', visits.errors[BUSY]],
        ["other errors", sum(others.values())],
        *[["", error] for error in others],
        ["memory at the start", f"{visits.memory[0][1]:,.0f} MB"],
        [
            "memory later on (after a minute, or half the time)",
            f"{min(late):,.0f}–{max(late):,.0f} MB",
        ],
    ]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--model", default="resnetv2-ferplus")
    parser.add_argument("--detector", default="finder")
    parser.add_argument("--picture", help="a photograph with a face (default: a drawn one)")
    args = parser.parse_args()
    frame = build_frame(args.picture)
    stages = measure_stages(args.model, args.detector, frame)
    server, address, first_page = start_server(args.model, args.detector)
    encoded = io.BytesIO()
    frame.save(encoded, "jpeg")
    picture = encoded.getvalue()
    try:
        with httpx.Client(base_url=address, timeout=60) as session:
            # The first one waits for the model.
            ask(session, find_function(session, "read_faces"), "first", picture)
        visits = measure_visits(server, address, picture, args.visitors, args.seconds)
    finally:
        server.terminate()
        server.wait()
    visited = describe_visits(visits, args.seconds)
    text = (
        f"Written by `python benchmarks/demo.py`, visitors and server on "
        f"{len(os.sched_getaffinity(0))} CPU cores ({platform.machine()}, Python "
        f"{platform.python_version()}), detector {args.detector}.\n\n"
        f"The first page is there {first_page:.1f} s after the command.\n\n"
        f"One frame of {SIZE[0]}×{SIZE[1]}, over {NUM_FRAMES} calls:\n\n"
        f"{tabulate(stages, headers=['stage', 'p50', 'p95'], tablefmt='github')}\n\n"
        f"{args.visitors} visitors at once for {args.seconds:.0f} s:\n\n"
        f"{tabulate(visited, headers=['what', ''], tablefmt='github')}\n"
    )
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
