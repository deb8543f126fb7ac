// Verifies documents with github.com/hf/nitrite, for comparison: one JSON line in, one line out.
//
//	{"document": base64, "root": base64 DER, "atMs": number}  ->  "accepted" or "refused: <error>"
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/hf/nitrite"
)

type question struct {
	Document []byte `json:"document"`
	Root     []byte `json:"root"`
	AtMs     int64  `json:"atMs"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		fmt.Fprintln(out, answer(lines.Bytes()))
		out.Flush()
	}
}

func answer(line []byte) (text string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			text = fmt.Sprintf("refused: panic: %v", panicked)
		}
	}()
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return fmt.Sprintf("refused: %v", err)
	}
	root, err := x509.ParseCertificate(asked.Root)
	if err != nil {
		return fmt.Sprintf("refused: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	options := nitrite.VerifyOptions{Roots: roots, CurrentTime: time.UnixMilli(asked.AtMs)}
	if _, err := nitrite.Verify(asked.Document, options); err != nil {
		return fmt.Sprintf("refused: %v", err)
	}
	return "accepted"
}
