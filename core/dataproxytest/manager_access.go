package dataproxytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Demand makes the Manager answer 403 to each request whose header of that name has another value, instead of what WithBasicAuth
// says. An empty name ends it.
func (m *Manager) Demand(header, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.demand = [2]string{header, value}
}

func (m *Manager) demanded() (header, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.demand[0], m.demand[1]
}

// Identity is an authority, and a client's certificate of it with its key, all as PEM.
type Identity struct {
	URL  string `json:"url"` // the Manager's, now
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// SpeakTLS has the Manager speak https from now on, by a certificate of an authority that is made for it, and demand a client's certificate
// of the same. Open connections are closed. Called again, it does the same with another authority.
func (m *Manager) SpeakTLS() (Identity, error) {
	a, err := newAuthority()
	if err != nil {
		return Identity{}, err
	}
	cert, key, err := a.issue()
	if err != nil {
		return Identity{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return Identity{}, err
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(a.cert)
	m.mu.Lock()
	m.tls = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	if m.server != nil {
		err = m.server.Close()
		m.server = nil
	}
	if e := m.settleListener(); err == nil {
		err = e
	}
	m.mu.Unlock()
	return Identity{URL: m.URL(), CA: string(pemOf("CERTIFICATE", a.cert.Raw)), Cert: string(cert), Key: string(key)}, err
}

// authority signs certificates for 127.0.0.1, of either side.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key}, err
}

func (a *authority) issue() (cert, key []byte, err error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "dataproxytest"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &own.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(own)
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", pkcs), err
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
