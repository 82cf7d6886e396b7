"""`python -m payments.simulator`."""

import sys

from payments.simulator.cli import main

sys.exit(main())
