"""`python -m models.data prepare FOOTAGE OUT`."""

import sys

from models.data.command import main

if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("broken off: the same command goes on from here")
