from .detectors import find_faces as find_faces
from .detectors import load_detector as load_detector
from .face import Face as Face
from .face import FaceDetector as FaceDetector
from .face import crop_face as crop_face
from .reader import FaceReader as FaceReader
from .reader import FaceReading as FaceReading
