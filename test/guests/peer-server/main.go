// An HTTP server behind a load balancer, on a published library: it learns who asks from the PROXY protocol, and takes
// no connection without it. Nothing in it knows Cloister.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/pires/go-proxyproto"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:8001")
	if err != nil {
		log.Fatal(err)
	}
	required := func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		return proxyproto.REQUIRE, nil
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey)
		fmt.Fprintf(w, "%s asked %s\n", r.RemoteAddr, local)
	})
	log.Fatal(http.Serve(&proxyproto.Listener{Listener: listener, ConnPolicy: required}, nil))
}
