"""`python -m aural.batch`: see `aural.batch.cluster`."""

import sys

from aural.batch.cluster import main

if __name__ == "__main__":
    sys.exit(main())
