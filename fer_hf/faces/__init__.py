"""Finding faces in pictures, and cutting them out as classifiers want to see them."""

from fer_hf.faces.boxes import Face, FaceDetector
from fer_hf.faces.crops import crop_face
from fer_hf.faces.detectors import DETECTOR_NAMES, load_detector

__all__ = ["DETECTOR_NAMES", "Face", "FaceDetector", "crop_face", "load_detector"]
