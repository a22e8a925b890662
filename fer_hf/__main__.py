"""`python -m fer_hf`: the command line, as `accelerate launch -m fer_hf` starts it."""

import sys

from fer_hf.cli import main

if __name__ == "__main__":
    sys.exit(main())
