"""``python -m brainnet.cli``."""

import sys

from brainnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
