# An ordinary Python program: it prints a lot, answers one caller on vsock port 5005, and exits with
# the status that the caller names.
import socket
import sys

for number in range(20_000):
    print("line", number)
print("all printed", file=sys.stderr, flush=True)

listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
listener.bind((socket.VMADDR_CID_ANY, 5005))
listener.listen()
connection, caller = listener.accept()
status = int(connection.recv(16))
connection.sendall(b"Python %d.%d\n" % sys.version_info[:2])
connection.close()
sys.exit(status)
