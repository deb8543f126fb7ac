// An ordinary Go web server on published libraries, on the loopback. Nothing in it knows Cloister or TLS.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// show answers with the request as it arrived.
func show(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	count, _ := io.Copy(hash, r.Body)
	json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "target": r.RequestURI, "protocol": r.Proto, "host": r.Host,
		"headers": r.Header, "bytes": count, "sha256": fmt.Sprintf("%x", hash.Sum(nil)),
	})
}

// count answers with as many bytes as the path says.
func count(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.PathValue("size"))
	io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat("cloister", size/8+1)), int64(size)))
}

var tocks = make(chan struct{}, 1)

// tick sends a line now and another one once tock was asked for, or after a minute.
func tick(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "one")
	w.(http.Flusher).Flush()
	select {
	case <-tocks:
	case <-time.After(time.Minute):
	}
	fmt.Fprintln(w, "two")
}

func tock(w http.ResponseWriter, r *http.Request) {
	select {
	case tocks <- struct{}{}:
	default:
	}
}

// echo sends back every message of a WebSocket.
func echo(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer socket.CloseNow()
	socket.SetReadLimit(1 << 20)
	for {
		kind, message, err := socket.Read(r.Context())
		if err != nil || socket.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func main() {
	http.HandleFunc("/", show)
	http.HandleFunc("/bytes/{size}", count)
	http.HandleFunc("/tick", tick)
	http.HandleFunc("/tock", tock)
	http.HandleFunc("/echo", echo)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
