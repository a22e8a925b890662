"""Near-duplicates: the same photograph saved again, resized, mirrored or moved by a pixel or two.

Not by one of the usual 64-bit perceptual hashes: faces cropped alike resemble each other so much
that these take different people for one picture.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dct
from tqdm.auto import tqdm

from fer_hf.data.pictures import to_rgb
from fer_hf.data.stored_pictures import PROGRESS_FROM

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

THUMBNAIL_SIDE = 48
MIN_CORRELATION = 0.94
"""What two pictures must reach; `benchmarks/near_duplicates.md` has what that finds and misses."""

_MOST_SHIFT = 2  # pixels of the thumbnail, each way
_CROP_SIDE = THUMBNAIL_SIDE - 2 * _MOST_SHIFT
_CENTRE = (0, _MOST_SHIFT, _MOST_SHIFT)
# Few frequencies tolerate a shift of a pixel, so every second shift is enough to find candidates;
# more of them tell people apart.
_COARSE, _FINE = 8, 12
_MIN_COARSE_CORRELATION = 0.85
_BLOCK_ROWS = 1024


def make_thumbnail(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Shrink a picture of any mode and size to grey, shape (48, 48), whatever its proportions."""
    # Bilinear is symmetric: a mirrored picture has the mirrored thumbnail.
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    return np.asarray(to_rgb(picture).convert("L").resize(side, Image.Resampling.BILINEAR))


def find_near_duplicates(
    thumbnails: npt.NDArray[np.uint8], min_correlation: float = MIN_CORRELATION
) -> tuple[Ints, Floats]:
    """Find the pairs of pictures that are one photograph.

    Each picture is compared with all others, and their mirror images, under shifts of up to 2 of 48
    pixels each way. Two crops of 44×44 pixels are compared by the correlation of their lowest 12×12
    DCT coefficients, each multiplied by its frequency: that undoes the 1/f spectrum of photographs
    (Field, "Relations between the statistics of natural images and the response properties of
    cortical cells", JOSA A 1987), which otherwise lets the lighting decide. Brightness and contrast
    do not matter. All pairs are compared, so time grows with N².

    Args:
        thumbnails: Shape (N, 48, 48), from `make_thumbnail`.
        min_correlation: What two pictures must reach, 0.85 or more to miss none.

    Returns:
        Pairs of positions of shape (M, 2), first < second, in ascending order; and their
        correlations of shape (M,), `min_correlation` to 1.

    Raises:
        ValueError: The thumbnails have another shape.
    """
    if thumbnails.shape[1:] != (THUMBNAIL_SIDE, THUMBNAIL_SIDE):
        raise ValueError(
            f"Found thumbnails of shape {thumbnails.shape}, expected (N, {THUMBNAIL_SIDE}, "
            f"{THUMBNAIL_SIDE}). Make them with `make_thumbnail`."
        )
    candidates = np.concatenate(list(_find_candidates(thumbnails)))
    correlations = _correlate(thumbnails, candidates)
    found = correlations >= min_correlation
    pairs, positions = np.unique(candidates[found, :2], axis=0, return_inverse=True)
    best = np.zeros(len(pairs), np.float32)
    np.maximum.at(best, positions, correlations[found])
    return pairs, best


def _find_candidates(thumbnails: npt.NDArray[np.uint8]) -> Iterator[Ints]:
    """Yield pairs that are alike at low frequencies, as rows (first, second, mirrored, top, left).

    The last three are the view of the first picture that is like the centre of the second.
    """
    centres = _describe(_view(thumbnails, *_CENTRE), _COARSE)
    views = [(m, y, x) for m in (0, 1) for y in _shifts(2) for x in _shifts(2)]
    quiet = True if len(thumbnails) < PROGRESS_FROM else None
    for view in tqdm(views, desc="Comparing pictures", unit=" views", disable=quiet):
        described = _describe(_view(thumbnails, *view), _COARSE)
        for start in range(0, len(thumbnails), _BLOCK_ROWS):
            alike = described[start : start + _BLOCK_ROWS] @ centres[start:].T
            # In the flat array, because NumPy is far slower at searching two dimensions.
            found = np.flatnonzero(alike > _MIN_COARSE_CORRELATION)
            pairs = start + np.stack(np.divmod(found, alike.shape[1]), axis=1)
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
            yield np.column_stack([pairs, np.broadcast_to(view, (len(pairs), 3))])


def _correlate(thumbnails: npt.NDArray[np.uint8], candidates: Ints) -> Floats:
    """Return the best correlation (M,) of candidates, under their shifts and those a pixel off."""
    best = np.zeros(len(candidates), np.float32)
    first, second, mirrored, top, left = candidates.T
    for view in [(m, y, x) for m in (0, 1) for y in _shifts(1) for x in _shifts(1)]:
        near = (mirrored == view[0]) & (abs(top - view[1]) <= 1) & (abs(left - view[2]) <= 1)
        rows = np.flatnonzero(near)
        for some in np.split(rows, range(_BLOCK_ROWS, len(rows), _BLOCK_ROWS)):
            ours = _describe(_view(thumbnails[first[some]], *view), _FINE)
            theirs = _describe(_view(thumbnails[second[some]], *_CENTRE), _FINE)
            best[some] = np.maximum(best[some], (ours * theirs).sum(axis=1))
    return best


def _shifts(step: int) -> range:
    return range(0, 2 * _MOST_SHIFT + 1, step)


def _view(
    thumbnails: npt.NDArray[np.uint8], mirrored: int, top: int, left: int
) -> npt.NDArray[np.uint8]:
    """Return crops of shape (N, 44, 44)."""
    upright = thumbnails[:, :, ::-1] if mirrored else thumbnails
    return upright[:, top : top + _CROP_SIDE, left : left + _CROP_SIDE]


def _describe(crops: npt.NDArray[np.uint8], num_frequencies: int) -> Floats:
    """Return unit vectors (N, num_frequencies²) whose products are correlations."""
    waves = dct(np.eye(_CROP_SIDE, dtype=np.float32), axis=0, norm="ortho")[:num_frequencies]
    frequencies = np.hypot(*np.mgrid[:num_frequencies, :num_frequencies]).astype(np.float32)
    weighted = (waves @ crops.astype(np.float32) @ waves.T) * frequencies
    vectors = weighted.reshape(len(crops), num_frequencies**2)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    # A plain surface has nothing to recognise: below one grey level of contrast nothing is alike.
    return vectors / np.maximum(lengths, _CROP_SIDE)
