"""`python -m nanonuclei`."""

import sys

from nanonuclei.cli import main

if __name__ == "__main__":
    sys.exit(main())
