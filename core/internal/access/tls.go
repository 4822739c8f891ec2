package access

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// Files names the files of TLS; those of empty names are not used.
type Files struct {
	CA         string // of the authorities that may sign the other side's certificate; empty: the system's
	Cert, Key  string // of the client
	Base       *tls.Config
	ServerName string // the name that the other side's certificate must have; empty: the host that is dialled
}

// Check reads the files and returns what is wrong with each.
func (f Files) Check() (errs []error) {
	if f.CA != "" {
		if _, err := f.roots(); err != nil {
			errs = append(errs, err)
		}
	}
	if f.Cert != "" && f.Key != "" {
		if _, err := f.client(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (f Files) roots() (*x509.CertPool, error) {
	roots, err := ReadRoots(f.CA)
	if err != nil {
		return nil, fmt.Errorf("option ca_file = %q: %w", f.CA, err)
	}
	return roots, nil
}

func (f Files) client() (*tls.Certificate, error) {
	pair, err := ReadClient(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("options client_cert_file = %q, client_key_file = %q: %w", f.Cert, f.Key, err)
	}
	return pair, nil
}

// TLS makes configurations from the present content of the files.
type TLS struct {
	base   *tls.Config
	name   string
	roots  *Kept[*x509.CertPool]
	client *Kept[*tls.Certificate]
}

// Open reads the files for the first time.
func (f Files) Open(warn func(error)) (t *TLS, err error) {
	t = &TLS{base: f.Base, name: f.ServerName}
	if f.CA != "" {
		if t.roots, err = Keep(f.roots, warn); err != nil {
			return nil, err
		}
	}
	if f.Cert != "" && f.Key != "" {
		if t.client, err = Keep(f.client, warn); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Config returns the configuration for the next connection; nil if no file is named.
func (t *TLS) Config() *tls.Config {
	if t.roots == nil && t.client == nil {
		return t.base
	}
	config := &tls.Config{}
	if t.roots != nil {
		config.RootCAs = t.roots.Get()
	}
	if t.client != nil {
		config.Certificates = []tls.Certificate{*t.client.Get()}
	}
	return config
}

// To returns the configuration of a connection to host.
func (t *TLS) To(host string) *tls.Config {
	config := t.Config().Clone() // of nil: nil
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName = t.name; t.name == "" {
		config.ServerName = host
	}
	return config
}
