# An ordinary Python program that shows what it finds at /run/cloister/config, and whether it can change
# that, on vsock port 5006. Beside it runs /hello, which serves documents on port 5005.
import os
import socket

PLACE = "/run/cloister/config"


def attempt(change):
    try:
        change()
        return "done"
    except OSError as error:
        return os.strerror(error.errno)


def describe(path):
    status = os.stat(path)
    lines = ["%s %o %d:%d" % (path, status.st_mode, status.st_uid, status.st_gid)]
    if os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            lines += describe(path + "/" + name)
    else:
        with open(path, "rb") as file:
            contents = file.read()
        lines.append("%d %s" % (len(contents), contents[:32].decode()))
        lines.append("open: " + attempt(lambda: open(path, "ab")))
        lines.append("chmod: " + attempt(lambda: os.chmod(path, 0o666)))
    return lines


lines = ["user %d" % os.getuid()]
if os.path.lexists(PLACE):
    lines += describe(PLACE)
    lines.append("unlink: " + attempt(lambda: os.unlink(PLACE)))
    lines.append("new file: " + attempt(lambda: open(PLACE + "/new", "wb")))
else:
    lines.append("nothing")
if os.fork() == 0:
    os.execv("/hello", ["/hello"])
listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
listener.bind((socket.VMADDR_CID_ANY, 5006))
listener.listen()
while True:
    connection, caller = listener.accept()
    quoted = ['"%s"' % line for line in lines]
    connection.sendall(("[" + ",".join(quoted) + "]").encode())
    connection.close()
