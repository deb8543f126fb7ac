# An ordinary Python program in the foreground: it says what it does, and ends with status 5 on SIGTERM, or
# ignores that when it is told to be deaf.
import signal
import sys


def end(number, frame):
    print("ending", file=sys.stderr, flush=True)
    sys.exit(5)


signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[1:] == ["deaf"] else end)
print("hidden", flush=True)
print("ready \x1b[2J", flush=True)
while True:
    signal.pause()
