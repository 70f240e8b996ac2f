// What Go, and so etcd, says of certificates: one case a line on standard input, one answer a line on standard output.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
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

func judge(r request) error {
	if r.Key != "" {
		if _, err := tls.X509KeyPair([]byte(r.Chain), []byte(r.Key)); err != nil {
			return err
		}
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
	options := x509.VerifyOptions{Roots: trusted, Intermediates: x509.NewCertPool()}
	for _, certificate := range sent[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if options.CurrentTime, err = time.Parse(time.RFC3339, r.At); err != nil {
		panic(err)
	}
	if r.Role == "client" {
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	} else {
		options.DNSName = r.Host
	}
	_, err = sent[0].Verify(options)
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
