from .boxes import Face as Face
from .boxes import FaceDetector as FaceDetector
from .crops import crop_face as crop_face
from .detectors import DETECTOR_NAMES as DETECTOR_NAMES
from .detectors import load_detector as load_detector
from .reading import FaceReader as FaceReader
from .reading import FaceReading as FaceReading
