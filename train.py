"""Fine-tune facial-expression classifiers.

accelerate launch train.py                        # three models on drawn faces, compared
accelerate launch train.py --data my_faces        # the same on pictures of your own
accelerate launch train.py --help                 # every setting
"""

import sys

from fer_hf.cli import run

if __name__ == "__main__":
    sys.exit(run("train", sys.argv[1:]))
