package dataproxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func basic(idAndKey string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(idAndKey))
}

// often has the Manager asked every few milliseconds, with time for a busy machine.
func often(opts ...dataproxy.Option) []dataproxy.Option {
	return append(opts, dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithManagerTimeout(patience))
}

// A secret that is changed every night ended the client's node list, until somebody restarted the program.
func TestBasicAuthFileIsReadAgain(t *testing.T) {
	c := cluster(t)
	file := filepath.Join(t.TempDir(), "secret")
	replace(t, file, []byte("id:first\r\n"))
	log := &safeBuffer{}
	connect(t, c, often(dataproxy.WithBasicAuthFile(file), dataproxy.WithSlog(slog.New(slog.NewTextHandler(log, nil))))...)
	signed := func(by string) func() bool {
		return func() bool {
			r, asked := c.Manager().LastRequest()
			return asked && r.Header.Get("Authorization") == basic(by)
		}
	}
	eventually(t, "the first secret", signed("id:first"))
	replace(t, file, []byte("id:second"))
	eventually(t, "the second secret", signed("id:second"))

	// A file that is being written, or is gone, must not cost the secret that works; nor must the log show a half of one.
	for fault, spoil := range map[string]func(){
		"must be \"secretId:secretKey\", both not empty": func() { require.NoError(t, os.WriteFile(file, []byte("half-of-it"), 0o600)) },
		"no such file": func() { require.NoError(t, os.Remove(file)) },
	} {
		spoil()
		before := c.Manager().Calls()
		eventually(t, "asked again", func() bool { return c.Manager().Calls() > before+2 })
		require.True(t, signed("id:second")(), fault)
	}
	eventually(t, "a log line", func() bool { return strings.Contains(log.String(), "what it held before stays in use") })
	require.Contains(t, log.String(), "option basic_auth_file = ")
	replace(t, file, []byte("id:third\n"))
	eventually(t, "the third secret", signed("id:third"))
	for _, secret := range []string{"first", "second", "half-of-it", basic("id:second")} {
		require.NotContains(t, log.String(), secret)
	}
}

// Kubernetes changes a mounted secret by turning one link, and removes the folder that it pointed to: who keeps the folder open, or the place
// that the link led to at the start, reads the old secret for ever, or none.
func TestSecretThatIsMountedByKubernetesIsReadAgain(t *testing.T) {
	c := cluster(t)
	dir := t.TempDir()
	mount := func(version, secret string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, version, "secret"), []byte(secret), 0o600))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Skip(err)
		}
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	mount("..1", "id:first")
	file := filepath.Join(dir, "secret")
	require.NoError(t, os.Symlink(filepath.Join("..data", "secret"), file))
	connect(t, c, often(dataproxy.WithBasicAuthFile(file))...)
	mount("..2", "id:second")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..1")))
	eventually(t, "the second secret", func() bool {
		r, asked := c.Manager().LastRequest()
		return asked && r.Header.Get("Authorization") == basic("id:second")
	})
}

// A secret that has expired is refused by 403: the next question must take the file's new one at once, and not wait for five minutes.
func TestRefusedSecretIsReadAgainAtOnce(t *testing.T) {
	c := cluster(t, dataproxytest.WithBasicAuth("id", "new"))
	file := filepath.Join(t.TempDir(), "secret")
	replace(t, file, []byte("id:old"))
	client, err := dataproxy.NewClient(append(basics(c), often(dataproxy.WithBasicAuthFile(file), dataproxy.WithLazyStart(true))...)...)
	require.NoError(t, err)
	defer client.Close()
	eventually(t, "refused", func() bool { return c.Manager().Calls() > 0 })
	replace(t, file, []byte("id:new"))
	require.NoError(t, client.Send(patient(t), message("x")))
}

// A Manager whose certificate was renewed by another authority, or that asks for another certificate of the client's, must be reached
// without a restart.
func TestCertificatesAreReadAgain(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	var server atomic.Pointer[tls.Certificate]
	var shown atomic.Value
	become := func(a *authority) {
		pair, _, _ := a.issue(t, "manager")
		server.Store(&pair)
	}
	become(first)
	c := cluster(t, dataproxytest.WithManagerTLS(&tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return server.Load(), nil },
		ClientAuth:     tls.RequireAnyClientCert,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			cert, err := x509.ParseCertificate(raw[0])
			if err == nil {
				shown.Store(cert.Subject.CommonName)
			}
			return err
		},
	}))
	dir := t.TempDir()
	ca, certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(t, ca, first.pem)
	_, cert, key := first.issue(t, "client-1")
	replace(t, certFile, cert)
	replace(t, keyFile, key)
	log := &safeBuffer{}
	connect(t, c, often(dataproxy.WithCAFile(ca), dataproxy.WithClientCertFile(certFile), dataproxy.WithClientKeyFile(keyFile),
		dataproxy.WithSlog(slog.New(slog.NewTextHandler(log, nil))))...)
	require.Equal(t, "client-1", shown.Load())
	answers := func(what string) {
		before := c.Manager().Calls()
		eventually(t, what, func() bool { return c.Manager().Calls() > before+2 })
	}

	_, cert, key = first.issue(t, "client-2")
	replace(t, certFile, cert) // between the two writes they do not fit
	answers("asked with the old pair")
	require.Equal(t, "client-1", shown.Load())
	eventually(t, "a log line", func() bool { return strings.Contains(log.String(), "options client_cert_file = ") })
	replace(t, keyFile, key)
	eventually(t, "the new pair", func() bool { return shown.Load() == "client-2" })

	require.NoError(t, os.WriteFile(ca, append(first.pem, second.pem[:len(second.pem)/2]...), 0o600))
	answers("asked with the old authority")
	eventually(t, "a log line", func() bool { return strings.Contains(log.String(), "of 2 PEM blocks that begin 1 are whole") })
	replace(t, ca, append(first.pem, second.pem...))
	become(second)
	answers("the new authority")
	require.NotContains(t, log.String(), "PRIVATE")
}

// What is wrong with a file must be told at the start, by its option; a pipe would hold the client up for ever.
func TestFilesOfCredentialsAreCheckedAtTheStart(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	_, cert, key := a.issue(t, "client")
	_, other, _ := a.issue(t, "other")
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, data, 0o600))
		return file
	}
	pipe := filepath.Join(dir, "pipe")
	if err := makePipe(pipe); err != nil {
		t.Skip(err)
	}
	pair := func(certFile, keyFile string) []dataproxy.Option {
		return []dataproxy.Option{dataproxy.WithClientCertFile(certFile), dataproxy.WithClientKeyFile(keyFile)}
	}
	one := func(o ...dataproxy.Option) []dataproxy.Option { return o }
	good := write("good", []byte("id:s3cret"))
	for text, opts := range map[string][]dataproxy.Option{
		`option basic_auth_file = "/nowhere/x": open /nowhere/x: no such file`:                            one(dataproxy.WithBasicAuthFile("/nowhere/x")),
		`": must be "secretId:secretKey", both not empty`:                                                 one(dataproxy.WithBasicAuthFile(write("half", []byte("s3cret")))),
		`": must be "secretId:secretKey" in one line`:                                                     one(dataproxy.WithBasicAuthFile(write("lines", []byte("id:s3cret\nx\n")))),
		fmt.Sprintf(`option basic_auth_file = %q: it is not a regular file`, pipe):                        one(dataproxy.WithBasicAuthFile(pipe)),
		`option basic_auth_file: cannot be given together with basic_auth or auth (WithAuth)`:             one(dataproxy.WithBasicAuthFile(good), dataproxy.WithBasicAuth("id", "s3cret")),
		fmt.Sprintf(`option ca_file = %q: it is not a regular file`, pipe):                                one(dataproxy.WithCAFile(pipe)),
		`of 1 PEM blocks that begin 0 are whole`:                                                          one(dataproxy.WithCAFile(write("ca", a.pem[:len(a.pem)-9]))),
		`options client_cert_file and client_key_file must be given together`:                             one(dataproxy.WithClientCertFile(write("c", cert))),
		`tls: private key does not match public key`:                                                      pair(write("o", other), write("k", key)),
		`options client_cert_file = "/nowhere/c", client_key_file = "/nowhere/k": open /nowhere/c: no su`: pair("/nowhere/c", "/nowhere/k"),
		`option client_cert_file: cannot be given together with WithTLSConfig`:                            append(pair(write("c", cert), write("k", key)), dataproxy.WithTLSConfig(&tls.Config{})),
	} {
		_, err := dataproxy.NewClient(append([]dataproxy.Option{dataproxy.WithGroupID("test_group"), dataproxy.WithURL("http://h")}, opts...)...)
		require.ErrorContains(t, err, text)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
