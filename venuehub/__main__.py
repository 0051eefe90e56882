"""`python -m venuehub`, the same as the command `venuehub`."""

import sys

from venuehub.cli import main

if __name__ == "__main__":
    sys.exit(main())
