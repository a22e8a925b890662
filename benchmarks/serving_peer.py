"""Time the package `fer` for benchmarks/serving.py, in the Python of an environment that has it.

    PYTHON benchmarks/serving_peer.py FACE.png

It answers each line of its input, a number of calls, with the milliseconds that each of them took:
from a decoded face to its scores, with the package's own network and preprocessing.
"""

import json
import sys
import time

import cv2
import numpy as np
from fer.fer import FER

peer = FER()
face = cv2.imread(sys.argv[1])


def score() -> np.ndarray:
    """Score the face as `FER.detect_emotions` does once it has found it."""
    grey = cv2.resize(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), (64, 64))
    levels = np.array([grey], dtype="float32") / 255.0
    return peer._classify_emotions((levels - 0.5) * 2.0)


for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        score()
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps(times), flush=True)
