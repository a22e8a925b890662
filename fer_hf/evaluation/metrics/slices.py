"""Whether a classifier does worse on some kinds of pictures: dark ones, blurred ones, small ones.

In `robustness` the same pictures are made worse; here they are taken as they come, so that a slice
may also differ in who it shows and what they feel.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import laplace

from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share

NUM_SLICES = 5
# Pictures of all sizes are measured at this one, or sharpness would be size by another name.
_SHARPNESS_SIDE = 96


@dataclass(frozen=True)
class Slice:
    """A classifier's accuracy on the `num_pictures` pictures with values from `low` to `high`."""

    low: float
    high: float
    num_pictures: int
    accuracy: Estimate


def measure_pictures(pictures: Iterable[Image.Image]) -> dict[str, list[float]]:
    """Measure the properties of 8-bit pictures, grey or colour, by which slices are cut.

    Returns:
        For each picture its `brightness` (mean grey level, 0–255), `sharpness` (variance of the
        Laplacian of the grey levels at 96×96 pixels; 0 is one flat level) and `size` (pixels on the
        shorter side). The variance of the Laplacian is the focus measure of Pech-Pacheco et al.,
        "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000; it also
        falls with contrast.
    """
    values: dict[str, list[float]] = {"brightness": [], "sharpness": [], "size": []}
    for picture in pictures:
        grey = picture.convert("L")
        even = grey.resize((_SHARPNESS_SIDE, _SHARPNESS_SIDE), Image.Resampling.BILINEAR)
        values["brightness"].append(float(np.asarray(grey).mean()))
        values["sharpness"].append(float(laplace(np.asarray(even, np.float32)).var()))
        values["size"].append(float(min(picture.size)))
    return values


def compute_slices(right: npt.ArrayLike, values: npt.ArrayLike) -> list[Slice]:
    """Cut pictures into fifths by a property, and compute the accuracy of each.

    Equal values stay together: where many pictures share one, slices are uneven or fewer.

    Args:
        right: (N,) whether the top label of each picture is right.
        values: (N,) finite values, such as one property of `measure_pictures`.

    Returns:
        Slices of rising values, with Wilson's intervals; none if all values are the same.

    Raises:
        ValueError: The shapes differ, there are no pictures, or a value is not finite.
    """
    right, values = np.asarray(right, dtype=bool), np.asarray(values, dtype=float)
    if right.ndim != 1 or right.shape != values.shape or not len(right):
        raise ValueError(
            f"Found `right` of shape {right.shape} and `values` of shape {values.shape}, expected "
            "one of each for one or more pictures. Take both from the same pictures."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"Found {values[~np.isfinite(values)][0]} among `values`, expected finite numbers. "
            "Leave such pictures out."
        )
    if values.min() == values.max():
        return []
    edges = np.quantile(values, np.arange(1, NUM_SLICES) / NUM_SLICES)
    groups = np.searchsorted(edges, values)
    slices = []
    for group in np.unique(groups):
        hits, own = right[groups == group], values[groups == group]
        accuracy = estimate_share(int(hits.sum()), len(hits))
        slices.append(Slice(float(own.min()), float(own.max()), len(hits), accuracy))
    return slices
