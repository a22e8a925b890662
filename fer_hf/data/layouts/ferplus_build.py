"""Building FER+'s Parquet files from its two public originals."""

import io
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm.auto import tqdm

from fer_hf.data.layouts.fer2013 import require_fer2013
from fer_hf.data.layouts.ferplus import (
    VOTE_COLUMNS,
    VotedPictures,
    join_votes,
    require_votes,
)
from fer_hf.data.splits import SPLITS
from fer_hf.data.stored_pictures import BATCH_SIZE

_SCHEMA = datasets.Features(
    {
        "image": datasets.Image(),
        "name": datasets.Value("string"),
        **{column: datasets.Value("uint8") for column in VOTE_COLUMNS},
    }
).arrow_schema


def build_ferplus(fer2013: Path, votes: Path | None, output_dir: Path) -> dict[str, int]:
    """Write `train.parquet`, `validation.parquet` and `test.parquet`, a row for each face.

    Column `image` has 48×48 grey PNGs, `name` FER+'s name of the picture, and ten uint8 columns the
    votes, unchanged. Rows without a name, which are not faces, are left out. The files get their
    names when all three are complete, so a run that was killed can be started again.

    Args:
        fer2013: The challenge's `fer2013.csv`, or its folder.
        votes: FER+'s `fer2013new.csv`; by default the one beside `fer2013.csv`.
        output_dir: A folder that is new or empty.

    Returns:
        The number of rows in each split.

    Raises:
        FileNotFoundError: If there is no `fer2013`.
        FileExistsError: If `output_dir` is a file, or a folder with something in it.
        ValueError: If the two are not these files, are damaged, or do not belong together.
    """
    halves = {split: output_dir / f"{split}.parquet.incomplete" for split in SPLITS}
    _refuse_what_is_there(output_dir, {half.name for half in halves.values()})
    if not fer2013.exists():
        raise FileNotFoundError(f"There is no file or folder '{fer2013}'. Check the path.")
    pictures = require_fer2013(fer2013)
    joined = join_votes(pictures, require_votes(pictures, votes, "votes"))
    counts = {split: len(joined.rows.get(split, ())) for split in SPLITS}
    if missing := [split for split, count in counts.items() if not count]:
        raise ValueError(
            f"'{pictures}' has no faces for {missing}. Expected rows of the usages Training, "
            "PublicTest and PrivateTest: use both files as they were published."
        )

    output_dir.mkdir(parents=True, exist_ok=True)
    try:
        for split, half in halves.items():
            _write_split(half, joined, joined.rows[split])
        # `train` comes last: a folder without it is refused, one with it alone would be split anew.
        for split in reversed(SPLITS):
            halves[split].rename(output_dir / f"{split}.parquet")
    finally:
        for half in halves.values():
            half.unlink(missing_ok=True)
    return counts


def _refuse_what_is_there(output_dir: Path, allowed: set[str]) -> None:
    found = ""
    if output_dir.is_dir():
        names = sorted({child.name for child in output_dir.iterdir()} - allowed)
        found = f"holds {', '.join(names[:3])}{' and more' if names[3:] else ''}" if names else ""
    elif output_dir.exists():
        found = "is a file"
    if found:
        raise FileExistsError(
            f"'{output_dir}' {found}. Expected a new or an empty folder: pass another `output_dir`."
        )


def _write_split(path: Path, joined: VotedPictures, rows: np.ndarray) -> None:
    columns = {
        "image": [
            {"bytes": _encode_png(joined.pixels[row]), "path": joined.names[row]}
            for row in tqdm(rows, f"Writing {path.stem}", unit=" pictures", disable=None)
        ],
        "name": [joined.names[row] for row in rows],
        **dict(zip(VOTE_COLUMNS, joined.votes[rows].T.astype(np.uint8), strict=True)),
    }
    table = pa.Table.from_pydict(columns, schema=_SCHEMA)
    pq.write_table(table, path, row_group_size=BATCH_SIZE, compression="none")


def _encode_png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
