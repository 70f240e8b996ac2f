// Judges pairs as Go does: for each line "CA CERT KEY ROLE" on standard input, loads the pair as etcd does, and runs
// a TLS handshake with mutual authentication in which the pair has the role (server, client, or both). Prints a line
// for each that fails, and "N accepted" at the end.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
)

func pool(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		panic(file + " holds no certificate")
	}
	return pool
}

func handshake(server, client tls.Certificate, roots *x509.CertPool, name string, version uint16) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	failed := make(chan error, 1)
	go func() {
		config := &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: roots,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: version, MaxVersion: version}
		conn := tls.Server(a, config)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		} else {
			a.Close()
		}
		failed <- err
	}()
	config := &tls.Config{Certificates: []tls.Certificate{client}, RootCAs: roots, ServerName: name,
		MinVersion: version, MaxVersion: version}
	conn := tls.Client(b, config)
	_, err := conn.Read(make([]byte, 1))
	if err != nil {
		b.Close()
	}
	if theirs := <-failed; theirs != nil {
		return fmt.Errorf("server: %v, client: %v", theirs, err)
	}
	return err
}

func judge(ca, cert, key, role, name string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	roots := pool(ca)
	// The other side of the handshake: a pair of the same CA that is known to be both.
	directory := cert[:strings.LastIndex(cert, "/")]
	other, err := tls.LoadX509KeyPair(directory+"/other.pem", directory+"/other-key.pem")
	if err != nil {
		return err
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if role != "client" {
			if err := handshake(pair, other, roots, name, version); err != nil {
				return fmt.Errorf("as server, TLS %x: %v", version, err)
			}
		}
		if err := handshake(other, pair, roots, "127.0.0.1", version); err != nil {
			return fmt.Errorf("as client, TLS %x: %v", version, err)
		}
	}
	return nil
}

func main() {
	accepted := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if err := judge(field[0], field[1], field[2], field[3], field[4]); err != nil {
			fmt.Printf("%s (%s): %v\n", field[1], field[3], err)
		} else {
			accepted++
		}
	}
	fmt.Printf("%d accepted\n", accepted)
}
