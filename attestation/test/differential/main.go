// Verifies documents with github.com/hf/nitrite, for comparison: one JSON line in, one line out.
//
//	{"document": base64, "root": base64 DER, "atMs": number}  ->  "accepted" or "refused: <error>"
//
// With the argument "bench": reads {"documents": [base64], "root": ..., "atMs": ...}, verifies all of
// them twice, and writes the CPU seconds per document of the second time.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hf/nitrite"
)

type question struct {
	Document  []byte   `json:"document"`
	Documents [][]byte `json:"documents"`
	Root      []byte   `json:"root"`
	AtMs      int64    `json:"atMs"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "bench" {
		bench()
		return
	}
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
	options, err := optionsOf(asked)
	if err != nil {
		return fmt.Sprintf("refused: %v", err)
	}
	if _, err := nitrite.Verify(asked.Document, options); err != nil {
		return fmt.Sprintf("refused: %v", err)
	}
	return "accepted"
}

func optionsOf(asked question) (nitrite.VerifyOptions, error) {
	root, err := x509.ParseCertificate(asked.Root)
	if err != nil {
		return nitrite.VerifyOptions{}, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return nitrite.VerifyOptions{Roots: roots, CurrentTime: time.UnixMilli(asked.AtMs)}, nil
}

func bench() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	options, err := optionsOf(asked)
	if err != nil {
		panic(err)
	}
	verifyAll(asked, options)
	begin := cpuSeconds()
	verifyAll(asked, options)
	fmt.Println((cpuSeconds() - begin) / float64(len(asked.Documents)))
}

func verifyAll(asked question, options nitrite.VerifyOptions) {
	for _, document := range asked.Documents {
		if _, err := nitrite.Verify(document, options); err != nil {
			panic(err)
		}
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
