"""The detectors there are, by name, and where the file of the better one comes from."""

import os
from importlib.util import find_spec

import httpx2
from huggingface_hub import hf_hub_download, try_to_load_from_cache

from fer_hf.faces.boxes import FaceDetector

DETECTOR_NAMES = ("auto", "haar", "yunet")

YUNET_VARIABLE = "FER_HF_YUNET"
"""Environment variable with the path of YuNet's file."""

YUNET_REPO_ID = "opencv/face_detection_yunet"
YUNET_FILE = "face_detection_yunet_2026may.onnx"


def load_detector(name_or_path: str = "auto", *, thorough: bool = True) -> FaceDetector:
    """Load a face detector by name, or YuNet from its file.

    Args:
        name_or_path: `haar` comes with OpenCV. `yunet` misses fewer faces and knows where the eyes
            are; it is downloaded from the Hub unless `FER_HF_YUNET` names its file. `auto` is
            YuNet where its file is at hand, else Haar; it downloads nothing. Or a path to an ONNX
            file.
        thorough: Whether Haar looks a second time, with more cascades, where it found nothing;
            False for a video, whose frames without faces would cost most. YuNet looks once.

    Returns:
        A detector whose `name` is `haar` or `yunet`; it may serve several threads.

    Raises:
        ModuleNotFoundError: OpenCV is not installed.
        ImportError: The OpenCV that is installed has no cascades.
        ValueError: There is no such detector, or the file is no YuNet.
        FileNotFoundError: There is no such file.
        ConnectionError: YuNet cannot be downloaded.
    """
    if name_or_path not in DETECTOR_NAMES and not name_or_path.endswith(".onnx"):
        raise ValueError(
            f"There is no face detector {name_or_path!r}, expected one of {DETECTOR_NAMES} or the "
            "path of an .onnx file. Choose one of these."
        )
    if find_spec("cv2") is None:
        raise ModuleNotFoundError(
            'Finding faces needs OpenCV, which is not installed. Say: pip install "fer-hf[faces]"'
        )
    path = _find_yunet(name_or_path)
    # OpenCV is an extra: this room can be imported without it.
    if path is None:
        from fer_hf.faces.haar import HaarDetector

        return HaarDetector(thorough=thorough)
    from fer_hf.faces.yunet import YuNetDetector

    return YuNetDetector(path)


def _find_yunet(name_or_path: str) -> str | None:
    """Return where YuNet's file is; None where Haar is meant."""
    if name_or_path == "haar":
        return None
    if name_or_path not in DETECTOR_NAMES:
        return name_or_path
    if path := os.environ.get(YUNET_VARIABLE):
        return path
    if name_or_path == "yunet":
        return _download_yunet()
    cached = try_to_load_from_cache(YUNET_REPO_ID, YUNET_FILE)
    # Besides None there is a marker for "the Hub says there is no such file".
    return cached if isinstance(cached, str) else None


def _download_yunet() -> str:
    try:
        return hf_hub_download(YUNET_REPO_ID, YUNET_FILE)
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise ConnectionError(
            f"YuNet cannot be downloaded ({type(error).__name__}), expected `{YUNET_FILE}` of "
            f"`{YUNET_REPO_ID}` on the Hub. Go online once, name its file in {YUNET_VARIABLE}, or "
            "take the detector 'haar', which comes along."
        ) from None
