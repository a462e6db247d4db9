"""Run a program that dies with the process that started it: `leash.py <pid of that process> <program> <arguments>`.

Linux sends the signal asked for here when the parent's thread ends, and keeps the request over exec; so this little
program asks, and then becomes the real one. Elsewhere leftovers are swept by the next start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then turn into the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request took effect
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606


if __name__ == "__main__":
    main()
