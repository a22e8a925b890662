"""Pictures on their way into Arrow."""

import numpy as np
import pytest

from fer_hf.data.encoding import encode_pictures
from fer_hf.data.pictures import load_picture


@pytest.mark.parametrize("shape", [(3, 5, 7, 3), (3, 5, 7), (1, 1, 1, 3)])
def test_encoding_loses_nothing(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    encoded = encode_pictures(pixels).to_pylist()
    decoded = [np.asarray(load_picture(picture["bytes"])) for picture in encoded]
    np.testing.assert_array_equal(np.stack(decoded), pixels)
