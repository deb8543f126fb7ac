"""Prints the signals that come, and ends with status 3 at SIGINT."""

import os
import signal
import sys


def tell(number, _):
    if number == signal.SIGINT:
        sys.exit(3)
    os.write(1, f"{signal.Signals(number).name}\n".encode())


for caught in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    signal.signal(caught, tell)
os.write(1, b"ready\n")
while True:
    signal.pause()
