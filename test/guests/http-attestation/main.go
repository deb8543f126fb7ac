// An ordinary Go web server on published libraries: over HTTP on vsock port 5005 it answers with an
// attestation document for the nonce in the query. Nothing in it knows Cloister.
package main

import (
	"encoding/hex"
	"fmt"
	"log"
	"net/http"

	"github.com/hf/nsm"
	"github.com/hf/nsm/request"
	"github.com/mdlayher/vsock"
)

func attest(w http.ResponseWriter, r *http.Request) {
	nonce, err := hex.DecodeString(r.URL.Query().Get("nonce"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Println("attesting", r.RemoteAddr)
	document, err := attested(&request.Attestation{Nonce: nonce})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(document)
}

func attested(asked *request.Attestation) ([]byte, error) {
	session, err := nsm.OpenDefaultSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	answer, err := session.Send(asked)
	if err != nil {
		return nil, err
	}
	if answer.Attestation == nil {
		return nil, fmt.Errorf("the NSM answers %s", answer.Error)
	}
	return answer.Attestation.Document, nil
}

func main() {
	listener, err := vsock.Listen(5005, nil)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/attestation", attest)
	log.Fatal(http.Serve(listener, nil))
}
