# Python's own http.server on vsock port 5005: GET serves files of /tmp, POST answers with the SHA-256 of
# what it was sent, and /from-parent is what an HTTP server on port 8000 of the parent serves.
import hashlib
import http.server
import os
import socket
import socketserver

SIZE = 100_000_000


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args):
        super().__init__(*args, directory="/tmp")

    def do_GET(self):
        if self.path != "/from-parent":
            return super().do_GET()
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as parent:
            parent.connect((3, 8000))
            parent.sendall(b"GET / HTTP/1.0\r\n\r\n")
            parent.shutdown(socket.SHUT_WR)
            self.answer(b"".join(iter(lambda: parent.recv(65536), b"")))

    def do_POST(self):
        sha256 = hashlib.sha256()
        left = int(self.headers["Content-Length"])
        while left > 0:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece) or left
            sha256.update(piece)
        self.answer(sha256.hexdigest().encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class VsockServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_VSOCK
    request_queue_size = 128

    def server_bind(self):
        # HTTPServer's own looks up the name of an IP address.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "guest", 5005


with open("/tmp/big", "wb") as big:
    sha256 = hashlib.sha256()
    for _ in range(SIZE // 100_000):
        piece = os.urandom(100_000)
        sha256.update(piece)
        big.write(piece)
with open("/tmp/big.sha256", "w") as sum:
    sum.write(sha256.hexdigest())

VsockServer((socket.VMADDR_CID_ANY, 5005), Handler).serve_forever()
