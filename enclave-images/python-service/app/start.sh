#!/bin/sh
# Passes connections to vsock port 5000 on to the server, which becomes the app.
socat -t 60 VSOCK-LISTEN:5000,fork,reuseaddr TCP:127.0.0.1:8080,retry=60 &
exec python3 /app/server.py
