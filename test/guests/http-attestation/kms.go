// What an app of AWS KMS does inside an enclave: it makes an RSA key, shows a document with it, and opens
// CiphertextForRecipient. The parent passes the document on and brings the answer.
package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/hf/nsm/request"
)

var key *rsa.PrivateKey

func init() {
	http.HandleFunc("/recipient", showRecipient)
	http.HandleFunc("/open", openAnswer)
}

// showRecipient answers with a document for a fresh key.
func showRecipient(w http.ResponseWriter, r *http.Request) {
	fresh, err := rsa.GenerateKey(rand.Reader, 2048)
	if err == nil {
		key = fresh
		var document, spki []byte
		if spki, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err == nil {
			document, err = attested(&request.Attestation{PublicKey: spki})
		}
		if err == nil {
			w.Write(document)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// openAnswer answers with the SHA-256 of what was encrypted for the key.
func openAnswer(w http.ResponseWriter, r *http.Request) {
	cms, err := io.ReadAll(io.LimitReader(r.Body, 6144))
	if err == nil {
		var plaintext []byte
		if plaintext, err = open(cms); err == nil {
			fmt.Fprintf(w, "%x", sha256.Sum256(plaintext))
			return
		}
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
}

// open reads CMS EnvelopedData as AWS KMS encodes it: of all its OCTET STRINGs the encrypted key is the
// first, the IV the second, the content the third.
func open(cms []byte) ([]byte, error) {
	strings := octetStrings(cms)
	if len(strings) != 3 || key == nil {
		return nil, errors.New("not EnvelopedData for this key")
	}
	contentKey, err := rsa.DecryptOAEP(sha256.New(), rand.Reader, key, strings[0], nil)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(contentKey)
	iv, text := strings[1], strings[2]
	if err != nil || len(iv) != aes.BlockSize || len(text) == 0 || len(text)%aes.BlockSize != 0 {
		return nil, errors.New("not AES-256-CBC")
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(text, text)
	padding := int(text[len(text)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errors.New("wrong padding")
	}
	return text[:len(text)-padding], nil
}

// octetStrings lists the OCTET STRINGs of a BER text in order, constructed values entered.
func octetStrings(ber []byte) (found [][]byte) {
	for len(ber) >= 2 {
		tag, length, head := ber[0], int(ber[1]), 2
		if length == 0x82 && len(ber) >= 4 {
			length, head = int(ber[2])<<8|int(ber[3]), 4
		} else if length == 0x81 && len(ber) >= 3 {
			length, head = int(ber[2]), 3
		} else if length >= 0x80 {
			length = 0 // indefinite: what is inside follows
		}
		if tag&0x20 != 0 {
			length = 0
		}
		if head+length > len(ber) {
			return nil
		}
		if tag == 4 {
			found = append(found, ber[head:head+length])
		}
		ber = ber[head+length:]
	}
	return found
}
