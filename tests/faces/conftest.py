"""What tests of more than one detector need."""

import pytest

from fer_hf.faces.yunet import FILE


@pytest.fixture
def yunet_path(photos_dir):
    """The path of YuNet's file, which is not part of this project."""
    return str(photos_dir.parent / "yunet" / FILE)
