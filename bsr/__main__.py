"""`python -m bsr` is the command `bsr`."""

import sys

from bsr.cli import main

sys.exit(main())
