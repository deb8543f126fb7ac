"""A parent program in Python, of the shape of AWS's vsock-sample.py: `client CID PORT` sends standard
input, half-closes and prints what comes back; `server PORT COUNT` echoes streams."""

import socket
import sys


def client(cid, port):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.connect((cid, port))
        sock.sendall(sys.stdin.buffer.read())
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            sys.stdout.buffer.write(data)


def server(port, count):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.bind((socket.VMADDR_CID_ANY, port))
        sock.listen()
        print("listening", file=sys.stderr, flush=True)
        for _ in range(count):
            connection, (cid, peer_port) = sock.accept()
            assert connection.getpeername() == (cid, peer_port)
            print("cid", cid, "port", peer_port, flush=True)
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)


role, *numbers = sys.argv[1:]
{"client": client, "server": server}[role](*map(int, numbers))
