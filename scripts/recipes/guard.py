"""A process beside a recipe that ends what the recipe has started when the recipe dies, by SIGKILL
too: then nobody else is left to do it. Reads process groups from standard input, a line each, 0 for
none; its end is the recipe's end. It inherits the recipe's lock, so that the folder stays locked
until its last command is gone."""

import os
import signal
import sys
import time

PATIENCE = 2.0  # seconds between asking and killing; no command of ours needs any


def main() -> None:
    """Wait for the end of the input, then end the group that was named last."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    group = 0
    for line in sys.stdin:
        group = int(line)
    if group:
        end(group)


def end(group: int) -> None:
    """End a process group: ask all its processes, and kill those that stay."""
    try:
        os.killpg(group, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all gone


if __name__ == "__main__":
    main()
