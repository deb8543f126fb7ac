// HTTP/3 on quic-go: `serve ADDRESS CERTIFICATE KEY` answers with the body that it gets, and says when it listens; `post
// URL COUNT` sends that many bytes and says whether they came back. Certificates are verified by the authorities in
// SSL_CERT_FILE.
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/quic-go/quic-go/http3"
)

func serve(address, certificate, key string) error {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			w.Write(body)
		}
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	config := http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}})
	server := http3.Server{Handler: http.HandlerFunc(echo), TLSConfig: config}
	return server.Serve(socket)
}

func post(url string, count int) error {
	sent := make([]byte, count)
	rand.New(rand.NewSource(1)).Read(sent)
	client := http.Client{Transport: &http3.Transport{}}
	response, err := client.Post(url, "application/octet-stream", bytes.NewReader(sent))
	if err != nil {
		return err
	}
	received, err := io.ReadAll(response.Body)
	fmt.Println(response.Proto, len(received), bytes.Equal(sent, received))
	return err
}

func main() {
	log.SetFlags(0)
	var err error
	if os.Args[1] == "serve" {
		err = serve(os.Args[2], os.Args[3], os.Args[4])
	} else {
		count, _ := strconv.Atoi(os.Args[3])
		err = post(os.Args[2], count)
	}
	if err != nil {
		log.Fatal(err)
	}
}
