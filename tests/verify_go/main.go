// What Go, and so etcd, says of certificates: one case a line on standard input, one answer a line on standard output.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"time"
)

type request struct {
	Chain, Key, CA, Role, Host, At string
}

type answer struct {
	Accept bool
	Why    string
}

// roots reads a CA file as etcd does: every block is a certificate, or the whole file is refused.
func roots(file []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for {
		var block *pem.Block
		if block, file = pem.Decode(file); block == nil {
			return pool, nil
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		pool.AddCert(certificate)
	}
}

func judge(r request) (err error) {
	// Some releases panic on some certificates; etcd then drops the connection.
	defer func() {
		if told := recover(); told != nil {
			err = fmt.Errorf("panic: %v", told)
		}
	}()
	var pair *tls.Certificate
	if r.Key != "" {
		read, err := tls.X509KeyPair([]byte(r.Chain), []byte(r.Key))
		if err != nil {
			return err
		}
		pair = &read
	}
	var sent []*x509.Certificate
	for rest := []byte(r.Chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		sent = append(sent, certificate)
	}
	if len(sent) == 0 {
		return fmt.Errorf("no certificate")
	}
	trusted, err := roots([]byte(r.CA))
	if err != nil {
		return err
	}
	now, err := time.Parse(time.RFC3339, r.At)
	if err != nil {
		panic(err)
	}
	for _, side := range []string{"server", "client"} {
		if r.Role != side && r.Role != "peer" {
			continue
		}
		options := x509.VerifyOptions{Roots: trusted, Intermediates: x509.NewCertPool(), CurrentTime: now}
		for _, certificate := range sent[1:] {
			options.Intermediates.AddCert(certificate)
		}
		if side == "client" {
			options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		} else {
			options.DNSName = r.Host
		}
		if _, err = sent[0].Verify(options); err != nil {
			return fmt.Errorf("%s: %w", side, err)
		}
		if pair == nil {
			err = fits(sent)
		} else {
			err = handshake(side, pair, trusted, r.Host, now)
		}
		if err != nil {
			return fmt.Errorf("%s's handshake: %w", side, err)
		}
	}
	return nil
}

// fits is what a handshake says of keys, where there is no private key to make one with.
func fits(sent []*x509.Certificate) error {
	var minor, patch int
	fmt.Sscanf(runtime.Version(), "go1.%d.%d", &minor, &patch)
	large := minor > 20 || minor == 20 && patch >= 7 || minor == 19 && patch >= 12
	for _, certificate := range sent {
		if key, ok := certificate.PublicKey.(*rsa.PublicKey); ok && large && key.N.BitLen() > 8192 {
			return fmt.Errorf("RSA key larger than 8192 bits")
		}
	}
	switch key := sent[0].PublicKey.(type) {
	case *rsa.PublicKey:
		// PSS with SHA-256 takes 66 bytes.
		small := minor >= 24 && !strings.Contains(os.Getenv("GODEBUG"), "rsa1024min=0")
		if key.Size() < 66 || small && key.N.BitLen() < 1024 {
			return fmt.Errorf("RSA key too small")
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return fmt.Errorf("unsupported certificate curve")
		}
	}
	return nil
}

var someone = func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}()

// handshake shows the pair to a peer that is set up as etcd and its client are: whatever was asked for, it is shown.
func handshake(side string, pair *tls.Certificate, trusted *x509.CertPool, host string, now time.Time) error {
	clock := func() time.Time { return now }
	server := &tls.Config{MinVersion: tls.VersionTLS12, Time: clock, Certificates: []tls.Certificate{someone}}
	client := &tls.Config{MinVersion: tls.VersionTLS12, Time: clock, InsecureSkipVerify: true}
	if side == "server" {
		server.Certificates = []tls.Certificate{*pair}
		// Without a name Go's client verifies nothing, which was done before.
		client.RootCAs, client.ServerName, client.InsecureSkipVerify = trusted, host, host == ""
	} else {
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, trusted
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	near, far := net.Pipe()
	defer near.Close()
	near.SetDeadline(time.Now().Add(time.Minute))
	served := make(chan error, 1)
	go func() {
		var err error
		defer func() {
			if told := recover(); told != nil {
				err = fmt.Errorf("panic: %v", told)
			}
			far.Close()
			served <- err
		}()
		connection := tls.Server(far, server)
		if err = connection.Handshake(); err == nil {
			_, err = connection.Write([]byte{1})
		}
	}()
	connection := tls.Client(near, client)
	err := connection.Handshake()
	if err == nil {
		_, err = connection.Read(make([]byte, 1))
	}
	near.Close()
	if other := <-served; other != nil && (err == nil || side == "client") {
		return other
	}
	return err
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for decoder := json.NewDecoder(lines); decoder.More(); {
		var r request
		if err := decoder.Decode(&r); err != nil {
			panic(err)
		}
		a := answer{Accept: true}
		if err := judge(r); err != nil {
			a = answer{Why: err.Error()}
		}
		out.Encode(a)
	}
}
