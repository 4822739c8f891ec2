// Package access reads what a client shows to the Manager, and to a proxy before the nodes, from files that may change while it is
// open: credentials and certificates.
package access

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

// longestFile is longer than any bundle of certificates.
const longestFile = 8 << 20

// read reads a whole regular file. A pipe is refused, because its second reader would get nothing.
func read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file (%v)", info.Mode().Type())
	}
	data, err := io.ReadAll(io.LimitReader(f, longestFile+1))
	if err == nil && len(data) > longestFile {
		err = fmt.Errorf("it has more than %d bytes", longestFile)
	}
	return data, err
}

// CheckPair returns what is wrong with "first:second". Its error shows no part of it.
func CheckPair(text, form string) error {
	if first, second, ok := strings.Cut(text, ":"); !ok || first == "" || second == "" {
		return fmt.Errorf("must be %q, both not empty", form)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("must be %q in one line, without control characters", form)
	}
	return nil
}

// ReadBasicAuth reads "secretId:secretKey", with or without a newline at the end. No error shows a part of it.
func ReadBasicAuth(path string) (string, error) {
	data, err := read(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	return text, CheckPair(text, "secretId:secretKey")
}

// ReadRoots reads the certificates of authorities.
func ReadRoots(path string) (*x509.CertPool, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	whole := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		whole++
	}
	if begun := bytes.Count(data, []byte("-----BEGIN ")); begun > whole {
		return nil, fmt.Errorf("of %d PEM blocks that begin %d are whole", begun, whole)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, errors.New("holds no PEM certificate")
	}
	return roots, nil
}

// ReadClient reads a client's certificate, with those of the authorities between it and the root, and its key.
func ReadClient(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := read(certFile)
	if err != nil {
		return nil, err
	}
	key, err := read(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err // it says which of the two is wrong, and shows neither
	}
	return &pair, nil
}

// Kept is a value from files. They are read at each use: checking whether they have changed costs as much, and can be wrong. If
// they cannot be read, the last good value stays in use.
type Kept[T any] struct {
	read func() (T, error)
	warn func(error)

	mu   sync.Mutex // held while files are read, so that an older value never replaces a newer one
	good T
}

// Keep reads the value for the first time. warn is called with the reason if a later one cannot be used.
func Keep[T any](read func() (T, error), warn func(error)) (*Kept[T], error) {
	good, err := read()
	return &Kept[T]{read: read, warn: warn, good: good}, err
}

// Get returns the value as it is now, or the last good one.
func (k *Kept[T]) Get() T {
	k.mu.Lock()
	defer k.mu.Unlock()
	value, err := k.read()
	if err != nil {
		k.warn(err)
		return k.good
	}
	k.good = value
	return value
}
