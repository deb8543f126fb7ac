# An ordinary Python program that tells what time it is, on vsock port 5006.
import socket
import time

listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
listener.bind((socket.VMADDR_CID_ANY, 5006))
listener.listen()
while True:
    connection, caller = listener.accept()
    connection.sendall(b"%d" % (time.time_ns() // 1_000_000))
    connection.close()
