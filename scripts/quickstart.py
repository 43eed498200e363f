"""Run the quickstart: what scripts/quickstart.sh hands over to."""

import sys

from recipes.quickstart import main

if __name__ == "__main__":
    main(sys.argv[1:])
