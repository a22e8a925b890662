"""The `drawn` layout: the faces that this project draws itself, made on the spot."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from fer_hf.data.drawn.faces import DRAWING_VERSION, choose_emotion, draw_numbered_face
from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.stored_pictures import BATCH_SIZE, IMAGE_TYPE
from fer_hf.emotions import EMOTIONS


def _locate(path: Path, options: LoadOptions) -> Source:
    number, size, seed = options.num_drawn, options.drawn_size, options.seed
    if number < len(EMOTIONS):
        raise ValueError(
            f"Found num_drawn={number}, expected at least {len(EMOTIONS)}, one face for each "
            "emotion. Ask for more pictures."
        )
    faces = Part(
        [choose_emotion(index, seed) for index in range(number)],
        read=lambda rows: _draw(rows, size, seed),
        where="the drawn faces",
        name=lambda row: f"drawn face {row}",
        label_names=EMOTIONS,
        is_checked=True,
    )
    return Source([f"drawing {DRAWING_VERSION}"], lambda: {"train": faces}, "the emotions drawn")


def _draw(rows: np.ndarray, size: int, seed: int) -> Iterator[pa.StructArray]:
    with tqdm(total=len(rows), desc="Drawing", unit=" faces", disable=None) as bar:
        for start in range(0, len(rows), BATCH_SIZE):
            batch = []
            for row in rows[start : start + BATCH_SIZE].tolist():
                png = io.BytesIO()
                # Noise hardly compresses: run lengths alone give the same size in two thirds of
                # the time.
                face = draw_numbered_face(row, size=size, seed=seed)
                face.save(png, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
                batch.append({"bytes": png.getvalue()})
                bar.update()
            yield pa.array(batch, IMAGE_TYPE)


DRAWN = Layout(
    "drawn",
    "the drawn faces, made on the spot: the source is the word 'drawn'",
    recognise=lambda path, options: False,
    locate=_locate,
    recognise_text=lambda text: text == "drawn",
)
