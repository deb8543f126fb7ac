"""What a parent program finds of AF_VSOCK; prints a JSON object. The enclave has CID 16, echoes on port
5005, never answers on port 5006, and nothing else is open."""

import array
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading

CID, ECHO, SILENT = 16, 5005, 5006
LOCAL = 1  # VMADDR_CID_LOCAL
CONNECT_TIMEOUT = 6  # SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD
found = {}
libc = ctypes.CDLL(None)


def vsock(kind=socket.SOCK_STREAM):
    return socket.socket(socket.AF_VSOCK, kind)


def set_time(sock, level, option, microseconds):
    """Python gives options of vsock sockets as whole numbers only."""
    value = struct.pack("ll", *divmod(microseconds, 1_000_000))
    assert libc.setsockopt(sock.fileno(), level, option, value, len(value)) == 0


def failure(action):
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
    return "success"


def dialled(port=ECHO):
    sock = vsock()
    sock.connect((CID, port))
    return sock


def echo(sock, word=b"word"):
    sock.sendall(word)
    return sock.recv(100).decode()


def errors():
    found["closed port"] = failure(lambda: dialled(1))
    found["unknown CID"] = failure(lambda: vsock().connect((99, ECHO)))
    found["hypervisor"] = failure(lambda: vsock().connect((0, ECHO)))
    found["host"] = failure(lambda: vsock().connect((2, ECHO)))
    slow = vsock()
    set_time(slow, socket.AF_VSOCK, CONNECT_TIMEOUT, 200_000)
    found["silent guest"] = failure(lambda: slow.connect((CID, SILENT)))
    found["datagrams"] = failure(lambda: vsock(socket.SOCK_DGRAM))
    found["packets"] = failure(lambda: vsock(socket.SOCK_SEQPACKET))
    sock = dialled()
    found["connected twice"] = failure(lambda: sock.connect((CID, ECHO)))
    found["unbound listen"] = failure(lambda: vsock().listen())
    found["name of no peer"] = failure(lambda: vsock().getpeername())
    found["bound twice"] = failure(lambda: [listening(8000), listening(8000)])
    found["bound to a reserved port"] = failure(lambda: listening(9000))
    found["bound to an enclave's CID"] = failure(lambda: vsock().bind((CID, 8000)))
    found["sent to after its end"] = failure(after_end)


def after_end():
    sock = dialled()
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(10) == b""
    sock.send(b"x")


def listening(port):
    sock = vsock()
    sock.bind((socket.VMADDR_CID_ANY, port))
    sock.listen()
    return sock


def names():
    sock = dialled()
    found["peer"] = sock.getpeername()
    found["local CID"] = sock.getsockname()[0]
    found["unbound"] = vsock().getsockname()
    found["family"] = sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
    found["adopted family"] = int(socket.socket(fileno=os.dup(sock.fileno())).family)
    with open("/dev/vsock") as device:
        cid = fcntl.ioctl(device, socket.IOCTL_VM_SOCKETS_GET_LOCAL_CID, array.array("I", [0]).tobytes())
    found["CID of the device"] = struct.unpack("I", cid)[0]


def descriptors():
    sock = vsock()
    sock.setblocking(False)
    poller = select.epoll()
    poller.register(sock, select.EPOLLOUT | select.EPOLLIN)
    found["non-blocking connect"] = sock.connect_ex((CID, ECHO))
    sock.send(b"word")
    while not poller.poll()[0][1] & select.EPOLLIN:
        pass
    found["non-blocking echo"] = sock.recv(100).decode()
    again = vsock()
    found["tried again"] = [failure(lambda: again.connect((CID, port))) for port in (1, 1, ECHO)]
    found["echo after that"] = echo(again)
    found["close on exec kept"] = not os.get_inheritable(again.fileno())
    original = dialled()
    copy = socket.socket(fileno=fcntl.fcntl(original.fileno(), fcntl.F_DUPFD, 200))
    found["echo of a copy"] = echo(copy)
    found["peer of a copy"] = copy.getpeername()
    code = "import socket; s = socket.socket(fileno=%d); s.send(b'word'); print(s.recv(9).decode(), s.getpeername())"
    kept = dialled()
    command = [sys.executable, "-c", code % kept.fileno()]
    child = subprocess.run(command, pass_fds=[kept.fileno()], stdout=subprocess.PIPE, check=True)
    found["echo of a program that inherits it"] = child.stdout.decode().strip()


def threads():
    results = []
    workers = [threading.Thread(target=lambda: results.append(echo(dialled()))) for _ in range(32)]
    patient = vsock()
    set_time(patient, socket.AF_VSOCK, CONNECT_TIMEOUT, 900_000_000)
    slow = threading.Thread(target=lambda: patient.connect((CID, SILENT)), daemon=True)
    slow.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found["threads"] = results.count("word")
    found["a silent guest holds up others"] = not slow.is_alive()


class Interrupted(Exception):
    pass


def interrupt(*_):
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise Interrupted


def accepting():
    listener = listening(8000)
    signal.signal(signal.SIGALRM, interrupt)
    try:
        # Again and again: the first one may come before the call.
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        listener.accept()
    except Interrupted:
        found["accept is interrupted"] = True
    set_time(listener, socket.SOL_SOCKET, socket.SO_RCVTIMEO, 50_000)
    found["accept in time"] = failure(listener.accept)
    set_time(listener, socket.SOL_SOCKET, socket.SO_RCVTIMEO, 0)
    listener.setblocking(False)
    found["accept of nothing"] = failure(listener.accept)
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    client = vsock()
    found["loopback"] = failure(lambda: client.connect((LOCAL, 8000)))
    found["listener polls"] = [event for _, event in poller.poll(5000)]
    connection, peer = listener.accept()
    found["accepted from"] = peer[0]
    found["accepted at"] = connection.getsockname()
    client.send(b"word")
    found["accepted word"] = connection.recv(10).decode()
    listener.close()
    found["bound again"] = failure(lambda: listening(8000))


def others():
    """Sockets of other families, with the calls that are reported to the supervisor."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    connection, peer = listener.accept()
    found["TCP"] = peer == client.getsockname() and connection.getpeername() == peer
    one, two = socket.socketpair()
    one.send(b"word")
    found["unix"] = two.recv(9).decode()
    found["bad address"] = libc.connect(client.fileno(), None, 16)


def real():
    """Whether the kernel has the socket as one of its unix sockets."""
    inode = os.readlink(f"/proc/self/fd/{(sock := vsock()).fileno()}").strip("socket:[]")
    with open("/proc/net/unix") as sockets:
        found["made of a unix socket"] = any(inode in line.split() for line in sockets)
    sock.close()


for part in (real, errors, names, descriptors, threads, accepting, others):
    part()
print(json.dumps(found))
