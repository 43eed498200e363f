"""Make the virtual environment VENV with extras of the plugin: what scripts/test.sh asks for."""

import sys

from recipes import environment
from recipes.engine import ending

if __name__ == "__main__":
    with ending():
        environment.make(sys.argv[1])
