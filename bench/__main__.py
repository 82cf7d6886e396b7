"""The command line of `bin/bench`."""

import sys
from collections.abc import Sequence

from bench.run import parse, run
from project.local import interrupts
from project.local.errors import LocalError


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 if something failed or, with `--gate`, if a gate doesn't hold."""
    options = parse(argv)
    interrupts.install()
    try:
        return run(options)
    except (LocalError, EOFError, ConnectionError, TimeoutError, RuntimeError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130  # 128 + SIGINT, as in shells


if __name__ == "__main__":
    sys.exit(main())
