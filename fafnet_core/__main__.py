"""`python -m fafnet_core` is `fafnet`."""

import sys

from fafnet_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
