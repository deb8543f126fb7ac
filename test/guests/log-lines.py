# An ordinary Python program that prints more than may leave, faster than it may leave, as a user who is
# not root, and exits with status 7.
import os
import sys
import time

print("audit: manifest", open("/run/cloister/manifest.json").read().strip())
print("secret: the key is 1234", flush=True)
print("audit: on the wrong stream", file=sys.stderr, flush=True)
with open("/dev/stdout", "w") as stream:
    stream.write("audit: by name, as user %d\n" % os.getuid())
print("audit: long " + "y" * 5000)
print("audit: control \x1b[2J", flush=True)
for number in range(1000):
    print("audit: burst", number)
sys.stdout.flush()
for number in range(20_000):
    print("audit: flood", number, "x" * 180)
sys.stdout.flush()
time.sleep(3)
print("audit: the last, without a line end", end="", flush=True)
sys.exit(7)
