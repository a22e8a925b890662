"""Follow the faces of videos, or of a webcam, and read their expressions over time.

Each video gets a folder of its name in --output_dir, with an annotated copy (annotated.mp4, without
sound), a table with a row for each face and moment (faces.csv, faces.parquet) and a plot
(plot.png). Of two videos of one name the second one's folder ends in -2. Results that are there
already are left alone, unless --overwrite says otherwise. Ctrl-C leaves nothing of the video that
is being read; of a webcam it keeps what was read so far.

Examples:
  fer-hf video party.mp4                                    results in videos/party
  fer-hf video holiday/ 'more/*.mov' --output_dir read      every video of a folder, and a glob
  fer-hf video 0                                            the first webcam, until Ctrl-C
  fer-hf video 0 --seconds 20                               or for so long
"""

import math
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from fer_hf.cli.parsing import add_shared, build_parser, parse

if TYPE_CHECKING:
    from fer_hf.faces.reader import FaceReader
    from fer_hf.video.analysis import VideoResult

_MOST_LABELS = 3
_MOST_PIXELS = 40_000_000  # 8K and a little more
_BAR = "{desc} {percentage:3.0f} % |{bar}| {elapsed}<{remaining}"
_ENDLESS_BAR = "{desc} {elapsed}, Ctrl-C ends it"


def main(args: Sequence[str]) -> None:
    """Write what is read of each video, and print where it is.

    Raises:
        OSError: There are videos without results.
    """
    given = _parse(args)
    folders = _name_folders(_find_videos(given.videos, given.output_dir), given.output_dir)
    from fer_hf.faces.reader import FaceReader
    from fer_hf.inference.classifier import ExpressionClassifier
    from fer_hf.video.analysis import FILES

    classifier = ExpressionClassifier(given.model, backend=given.backend)
    reader = FaceReader(classifier, given.detector)
    failed = []
    for source, folder in folders.items():
        try:
            if not given.overwrite and any((folder / name).exists() for name in FILES.values()):
                raise FileExistsError(
                    f"{str(folder)!r} holds results already. Choose another --output_dir, or pass "
                    "--overwrite."
                )
            result = _read(source, folder, reader, given)
        except (ValueError, OSError) as error:
            failed.append(f"no results for {_name(source)}: {' '.join(str(error).split())}")
            if len(folders) > 1:
                print(f"fer-hf: {failed[-1]}", file=sys.stderr)
        else:
            print(_describe(source, result), flush=True)
    if failed:
        told = f"{len(failed)} of {len(folders)} videos have no results; see above."
        raise OSError(told if len(folders) > 1 else failed[0])


def _parse(args: Sequence[str]) -> Namespace:
    parser = build_parser(__name__, __doc__)
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="file, folder or glob; or the number of a webcam"
    )
    add_shared(
        parser,
        "--output_dir",
        type=Path,
        default=Path("videos"),
        help="where the results go, a folder for each video (default: videos)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, metavar="N", help="read only so much of each"
    )
    add_shared(parser, "--model", "--backend", "--detector")
    return parse(parser, args)


def _find_videos(places: Sequence[str], output_dir: Path) -> list[str | int]:
    """List videos and numbers of webcams, each once.

    Raises:
        FileNotFoundError: A place without a video.
    """
    from fer_hf.data.pictures import VIDEO_ENDINGS
    from fer_hf.inference.files import find_files

    found: list[str | int] = []
    for place in places:
        if place.isdecimal() and not Path(place).exists():
            found.append(int(place))
            continue
        # Results of an earlier call are not meant, unless they are named.
        files = [
            file
            for file in find_files(place, VIDEO_ENDINGS)
            if file == place or not Path(file).resolve().is_relative_to(output_dir.resolve())
        ]
        if not files:
            raise FileNotFoundError(
                f"There is no video at {place!r}, expected a file, a folder of videos, a glob such "
                "as 'holiday/*.mp4', or the number of a webcam. Check the path."
            )
        found += files
    return list(dict.fromkeys(found))


def _name_folders(sources: Sequence[str | int], output_dir: Path) -> dict[str | int, Path]:
    """Choose a folder for each video: of its name, and of a webcam one that is new."""
    folders: dict[str | int, Path] = {}
    taken: set[str] = set()
    for source in sources:
        stem = f"webcam-{source}" if isinstance(source, int) else Path(source).stem
        names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        name = next(
            name
            for name in names
            # Some file systems take both cases of a letter for one.
            if name.lower() not in taken
            and not (isinstance(source, int) and (output_dir / name).exists())
        )
        taken.add(name.lower())
        folders[source] = output_dir / name
    return folders


def _read(source: str | int, folder: Path, reader: "FaceReader", given: Namespace) -> "VideoResult":
    from tqdm.auto import tqdm

    from fer_hf.video.analysis import analyse_video

    is_endless = isinstance(source, int) and given.seconds == math.inf
    bar = tqdm(
        total=None if is_endless else 1.0,
        desc=_name(source),
        bar_format=_ENDLESS_BAR if is_endless else _BAR,
        miniters=0,
        disable=None,
        leave=False,
    )

    def show_progress(share: float) -> None:
        bar.update(share - bar.n)

    with bar, _stop_on_interrupt(source) as stopped:
        try:
            return analyse_video(
                source,
                reader,
                output_dir=folder,
                seconds=given.seconds,
                max_seconds=math.inf,
                max_pixels=_MOST_PIXELS,
                max_frames=sys.maxsize,
                progress=show_progress,
                stop=stopped.is_set,
            )
        finally:
            with suppress(OSError):
                folder.rmdir()  # only if nothing is in it


@contextmanager
def _stop_on_interrupt(source: str | int) -> Iterator[threading.Event]:
    """Yield what Ctrl-C sets for a webcam, whose end it is; the second one is as always."""
    stopped = threading.Event()
    if not isinstance(source, int):
        yield stopped
        return

    def stop(*_: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _name(source: str | int) -> str:
    return f"webcam {source}" if isinstance(source, int) else source


def _describe(source: str | int, result: "VideoResult") -> str:
    """Return how long it is, who is in it and what they express most, and where the files are."""
    total = sum(result.labels.values())
    shown = [f"{label} {100 * n / total:.0f} %" for label, n in result.labels.items()]
    faces = "1 face" if result.num_faces == 1 else f"{result.num_faces} faces"
    expressions = f": {', '.join(shown[:_MOST_LABELS])}" if shown else ""
    files = filter(None, (result.annotated, result.csv, result.parquet, result.plot))
    lines = [
        f"{_name(source)}: {result.seconds:.1f} seconds, {faces}{expressions}",
        f"  {result.csv.parent}: {', '.join(file.name for file in files)}",
        *([f"  {result.note}"] if result.note else []),
    ]
    return "\n".join(lines)
