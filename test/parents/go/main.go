// A parent program in Go, on the package that Go programs for Nitro Enclaves use: `client CID PORT` sends
// standard input, half-closes and prints what comes back; `server PORT COUNT` echoes streams.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/mdlayher/vsock"
)

func client(cid, port uint32) error {
	connection, err := vsock.Dial(cid, port, nil)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := io.Copy(connection, os.Stdin); err != nil {
		return err
	}
	if err := connection.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, connection)
	return err
}

func server(port, count uint32) error {
	listener, err := vsock.Listen(port, nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "listening")
	for ; count > 0; count-- {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		peer := connection.RemoteAddr().(*vsock.Addr)
		fmt.Println("cid", peer.ContextID, "port", peer.Port)
		if _, err := io.Copy(connection, connection); err != nil {
			return err
		}
		connection.Close()
	}
	return listener.Close()
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("client CID PORT, or server PORT COUNT")
	}
	numbers := [2]uint32{}
	for index, text := range os.Args[2:] {
		number, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			log.Fatal(err)
		}
		numbers[index] = uint32(number)
	}
	roles := map[string]func(uint32, uint32) error{"client": client, "server": server}
	if err := roles[os.Args[1]](numbers[0], numbers[1]); err != nil {
		log.Fatal(err)
	}
}
