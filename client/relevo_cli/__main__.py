"""Runs the `relevo` command, as `python -m relevo_cli`."""

import sys

from relevo_cli import main

if __name__ == "__main__":
    sys.exit(main())
