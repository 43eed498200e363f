"""Run a recipe: what scripts/recipe.sh hands over to. Needs nothing beyond the standard library."""

import sys

from recipes.command import main

if __name__ == "__main__":
    main(sys.argv[1:])
