#!/bin/sh
# Passes connections to vsock port 5000 on to the server, which becomes the app. Without KVM, Python may take
# minutes until it listens: it has no compiled modules here.
socat -t 60 VSOCK-LISTEN:5000,fork,reuseaddr TCP:127.0.0.1:8080,retry=600 &
exec python3 /app/server.py
