"""``python -m fastembed``."""

import sys

from fastembed.cli import main

if __name__ == "__main__":
    sys.exit(main())
