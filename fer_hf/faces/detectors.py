"""The face detectors there are, by name."""

from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

from fer_hf.faces.face import Face, FaceDetector
from fer_hf.faces.finder import OUTPUTS, FaceFinder
from fer_hf.inference.files import PictureSource, open_picture
from fer_hf.inference.onnx_session import open_session

DETECTORS: Mapping[str, str] = {
    "finder": "fer_hf.faces.finder:FaceFinder",
    "yunet": "fer_hf.faces.yunet:YuNetDetector",
}
"""Name to where the detector is, `module:class`, imported when it is loaded. It is called without
arguments, and gives a `FaceDetector`."""


def load_detector(name_or_path: str = "auto", *, min_face: float | None = None) -> FaceDetector:
    """Load a face detector by name, or from its file.

    Args:
        name_or_path: `finder`, which `auto` is, too, comes with this package. `yunet` is downloaded
            from the Hub unless `FER_HF_YUNET` names its file. Or the path of an ONNX file: YuNet's,
            or a finder that `fer-hf train_finder` wrote.
        min_face: Height in pixels of the smallest face that matters; the finder is faster without
            the smaller ones. None for all. Other detectors take no notice of it.

    Returns:
        A detector whose `name` says which it is; it may serve several threads.

    Raises:
        ValueError: There is no such detector, or the file holds none.
        FileNotFoundError: There is no such file.
        ConnectionError: YuNet cannot be downloaded.
    """
    if name_or_path in ("auto", "finder"):
        return FaceFinder(min_face=min_face)
    if name_or_path in DETECTORS:
        return resolve_name(DETECTORS[name_or_path])()
    if not name_or_path.endswith(".onnx"):
        raise ValueError(
            f"There is no face detector {name_or_path!r}, expected one of {('auto', *DETECTORS)} "
            "or the path of an .onnx file. Choose one of these."
        )
    if _is_finder(name_or_path):
        return FaceFinder(name_or_path, min_face=min_face)
    return resolve_name(DETECTORS["yunet"])(name_or_path)


def _is_finder(path: str) -> bool:
    try:
        return [node.name for node in open_session(Path(path)).get_outputs()] == OUTPUTS
    except OSError:  # which YuNet's detector words
        return False


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

    Example:
        >>> faces = find_faces("party.jpg")
        >>> [face.box[0] < 240 for face in faces]
        [True, False]
    """
    loaded = load_detector(detector) if isinstance(detector, str) else detector
    return loaded([open_picture(picture)])[0]
