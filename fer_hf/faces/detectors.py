"""The face detectors there are, by name."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import resolve_name

from fer_hf.data.extras import naming_missing_extra
from fer_hf.faces.face import Face, FaceDetector
from fer_hf.inference.files import PictureSource, open_picture

DETECTORS: Mapping[str, str] = {
    "haar": "fer_hf.faces.haar:HaarDetector",
    "yunet": "fer_hf.faces.yunet:YuNetDetector",
}
"""Name to where the detector is, `module:class`, imported when it is loaded. It is called with
`thorough=`, and gives a `FaceDetector`."""


def load_detector(name_or_path: str = "auto", *, thorough: bool = True) -> FaceDetector:
    """Load a face detector by name, or YuNet from its file.

    Args:
        name_or_path: `haar` comes with OpenCV. `yunet` misses fewer faces and locates the eyes; it
            is downloaded from the Hub unless `FER_HF_YUNET` names its file. `auto` is YuNet where
            its file is at hand, otherwise Haar; it downloads nothing. Or the path of an ONNX file.
        thorough: Whether Haar searches a second time, with more cascades, where it found nothing;
            False for a video, whose frames without faces would cost most. YuNet searches once.

    Returns:
        A detector whose `name` says which it is; it may serve several threads.

    Raises:
        ModuleNotFoundError: OpenCV is not installed.
        ImportError: The installed OpenCV has no cascades.
        ValueError: There is no such detector, or the file does not hold YuNet.
        FileNotFoundError: There is no such file.
        ConnectionError: YuNet cannot be downloaded.
    """
    is_path = name_or_path.endswith(".onnx")
    if name_or_path not in ("auto", *DETECTORS) and not is_path:
        raise ValueError(
            f"There is no face detector {name_or_path!r}, expected one of {('auto', *DETECTORS)} "
            "or the path of an .onnx file. Choose one of these."
        )
    with naming_missing_extra():
        if is_path:
            return import_module("fer_hf.faces.yunet").YuNetDetector(name_or_path)
        if name_or_path == "auto":
            at_hand = import_module("fer_hf.faces.yunet").find_yunet() is not None
            name_or_path = "yunet" if at_hand else "haar"
        return resolve_name(DETECTORS[name_or_path])(thorough=thorough)


def find_faces(picture: PictureSource, detector: FaceDetector | str = "auto") -> list[Face]:
    """Find the faces of one picture, from left to right.

    Args:
        picture: A path, a PIL picture of any mode, or an array (H, W) or (H, W, 3) of 0–255; turned
            upright by its EXIF.
        detector: A detector, or what `load_detector` takes, which loads it with each call.

    Returns:
        Its faces, perhaps none; boxes are in pixels of the upright picture.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read as a picture, or there is no such detector.
        ModuleNotFoundError: OpenCV is not installed.

    Example:
        >>> faces = find_faces("party.jpg")
        >>> [face.box[0] < 240 for face in faces]
        [True, False]
    """
    loaded = load_detector(detector) if isinstance(detector, str) else detector
    return loaded([open_picture(picture)])[0]
