// A program of Go's own net/http and resolver, built without cgo: fetches each URL of its arguments and prints
// what it gets.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	for _, url := range os.Args[1:] {
		response, err := http.Get(url)
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		fmt.Printf("%s %d bytes %v\n", response.Status, len(body), err)
	}
}
