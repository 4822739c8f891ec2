package dataproxy_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// serverTLS returns a server's configuration for 127.0.0.1, and the certificate of the authority behind it.
func serverTLS(t *testing.T) (*tls.Config, *x509.Certificate) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}, s.Certificate()
}

// caFile writes that authority's PEM file.
func caFile(t *testing.T) string {
	t.Helper()
	_, cert := serverTLS(t)
	return pemFile(t, cert.Raw)
}

func pemFile(t *testing.T, cert []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

// Scenario N8: a private authority works when it is named, in either way; without it the Manager is refused.
func TestN8_ManagerOverHTTPS(t *testing.T) {
	config, cert := serverTLS(t)
	c := cluster(t, dataproxytest.WithManagerTLS(config))
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	require.NoError(t, connect(t, c, dataproxy.WithCAFile(caFile(t))).Send(patient(t), message("x")))
	require.NoError(t, connect(t, c, dataproxy.WithTLSConfig(&tls.Config{RootCAs: roots})).Send(patient(t), message("y")))
	refused := func(opts ...dataproxy.Option) error { // a handshake takes its time on a busy machine
		_, err := dataproxy.NewClient(append(append(basics(c), dataproxy.WithManagerTimeout(patience)), opts...)...)
		require.Error(t, err)
		return err
	}
	err := refused()
	require.ErrorIs(t, err, dataproxy.ErrNoEndpoint)
	require.ErrorContains(t, err, "certificate signed by unknown authority")
	err = refused(dataproxy.WithTLSConfig(&tls.Config{RootCAs: roots, ServerName: "other.host"}))
	require.ErrorContains(t, err, "not other.host")
	// Naming an authority must not turn the verification off: not of the name, nor of who signed.
	err = refused(dataproxy.WithCAFile(caFile(t)), dataproxy.WithURL(strings.Replace(c.URL(), "127.0.0.1", "localhost", 1)))
	require.ErrorContains(t, err, "not localhost")
	err = refused(dataproxy.WithCAFile(otherCAFile(t)))
	require.ErrorContains(t, err, "certificate signed by unknown authority")
}

// otherCAFile writes the PEM file of an authority that has signed nothing.
func otherCAFile(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "another authority"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return pemFile(t, cert)
}

// tokens is an Auth made of a function.
type tokens struct {
	get func(ctx context.Context, group string) (string, string, error)
}

func (a tokens) GetToken(ctx context.Context, group string) (string, string, error) {
	return a.get(ctx, group)
}

// Scenario N7: the Manager's Basic auth, and what it says to wrong credentials.
func TestN7_BasicAuth(t *testing.T) {
	c := cluster(t, dataproxytest.WithBasicAuth("admin", "87haw3VYTPqK5fK0"))
	require.NoError(t, connect(t, c, dataproxy.WithBasicAuth("admin", "87haw3VYTPqK5fK0")).Send(patient(t), message("x")))
	require.NoError(t, connect(t, c, dataproxy.WithOption("basic_auth", "admin:87haw3VYTPqK5fK0")).Send(patient(t), message("y")))
	for _, wrong := range []dataproxy.Option{nil, dataproxy.WithBasicAuth("admin", "87haw3vytpqk5fk0"), dataproxy.WithBasicAuth("Admin", "87haw3VYTPqK5fK0")} {
		err := startFails(t, c, wrong)
		require.ErrorIs(t, err, dataproxy.ErrNoEndpoint)
		require.ErrorContains(t, err, "403")
		require.NotContains(t, strings.ToLower(err.Error()), "87haw3vytpqk5fk0")
	}
}

// Scenario N7: a token that expired while running is refreshed, and the list is taken.
func TestN7_TokenIsRefreshedWhileRunning(t *testing.T) {
	const good, expired = "Basic YWRtaW46a2V5", "Basic ZXhwaXJlZA==" // admin:key
	c := cluster(t, dataproxytest.WithNodes(1), dataproxytest.WithBasicAuth("admin", "key"))
	var calls atomic.Int64
	auth := tokens{func(_ context.Context, group string) (string, string, error) {
		if group != "test_group" {
			t.Errorf("asked for group %q", group)
		}
		if calls.Add(1)%2 == 1 {
			return "Authorization", expired, nil
		}
		return "Authorization", good, nil
	}}
	client := connect(t, c, dataproxy.WithAuth(auth), dataproxy.WithUpdateInterval(10*time.Millisecond))
	c.AddNode()
	eventually(t, "the new node is known", func() bool { return len(client.Stats().Nodes) == 2 })
	require.GreaterOrEqual(t, calls.Load(), int64(4))
}

// A GetToken that returns nothing, as one that is not finished yet, must be told what it is that is wrong, and not by a word of
// the HTTP library's after three attempts. No token may be in the text.
func TestHeaderThatGetTokenCannotMeanIsNamed(t *testing.T) {
	c := cluster(t)
	for _, header := range []struct{ key, token, part string }{
		{"", "", `auth: the header name is "": it must be one or more of`},
		{"", "s3cret", `auth: the header name is "": it must be one or more of`},
		{"Bad Header", "s3cret", `auth: the header name is "Bad Header": it must be`},
		{"X:", "s3cret", `auth: the header name is "X:": it must be`},
		{"Tökén", "s3cret", `auth: the header name is "Tökén": it must be`},
		{"Authorization", "s3cret\r\nX-Other: y", "auth: the header value has a control character"},
		{"Authorization", "s3cret\x7f", "auth: the header value has a control character"},
	} {
		calls := 0
		err := startFails(t, c, dataproxy.WithAuth(tokens{func(context.Context, string) (string, string, error) {
			calls++
			return header.key, header.token, nil
		}}))
		require.ErrorIs(t, err, dataproxy.ErrNoEndpoint)
		require.ErrorContains(t, err, header.part)
		require.NotContains(t, err.Error(), "s3cret")
		require.Equal(t, 1, calls)
	}
	require.Zero(t, c.Manager().Calls())
	client := connect(t, c, dataproxy.WithAuth(tokens{func(context.Context, string) (string, string, error) { return "x-Token_1.~", "a b\tc\u00e9", nil }}))
	require.NoError(t, client.Send(patient(t), message("x")))
	connect(t, c, dataproxy.WithAuth(tokens{func(context.Context, string) (string, string, error) { return "X-Empty", "", nil }}))
}

// The user's code of Auth must not hurt the client: it may fail, panic, or never come back.
func TestAuthThatFailsPanicsOrHangsCostsOnlyTheRequest(t *testing.T) {
	c, cause := cluster(t), errors.New("token server is down")
	release := make(chan struct{})
	defer close(release)
	for name, get := range map[string]struct {
		f    func(context.Context, string) (string, string, error)
		part string
	}{
		"fails":  {func(context.Context, string) (string, string, error) { return "", "", cause }, "getting a token for the Manager: token server is down"},
		"panics": {func(context.Context, string) (string, string, error) { panic("in user code") }, "auth: the call for credentials panicked: in user code"},
		"ends":   {func(context.Context, string) (string, string, error) { runtime.Goexit(); return "", "", nil }, "it ended its goroutine"},
		"hangs":  {func(context.Context, string) (string, string, error) { <-release; return "", "", nil }, "auth: the call for credentials did not return in time"},
	} {
		t.Run(name, func(t *testing.T) {
			err := startFails(t, c, dataproxy.WithAuth(tokens{get.f}))
			require.ErrorIs(t, err, dataproxy.ErrNoEndpoint)
			require.ErrorContains(t, err, get.part)

			var bad atomic.Bool
			client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond), dataproxy.WithManagerTimeout(300*time.Millisecond),
				dataproxy.WithAuth(tokens{func(ctx context.Context, group string) (string, string, error) {
					if bad.Load() {
						return get.f(ctx, group)
					}
					return "X-Token", "t", nil
				}}))
			bad.Store(true)
			eventually(t, "the last good list stays", func() bool { return client.Send(patient(t), message("x")) == nil && client.Stats().Acked > 100 })
			if name == "hangs" { // at most one goroutine of ours is lost to it
				require.LessOrEqual(t, goroutinesIn("(*tokenSource).token.func1"), 2) // one of the client that did not start
			}
		})
	}
	require.Zero(t, c.Stats().Nodes[0].Refused)
}

// Scenario N2: the Manager is down at the start and the cache has the list: the client starts, and says so.
func TestN2_StartsFromTheNodeCache(t *testing.T) {
	c := cluster(t)
	cache := filepath.Join(t.TempDir(), "nodes.json")
	connect(t, c, dataproxy.WithNodeCache(cache)).Close()
	c.Manager().Standing(dataproxytest.RefuseConnect())
	log := newMemoLog()
	client := connect(t, c, dataproxy.WithNodeCache(cache), dataproxy.WithLogger(log))
	require.NoError(t, client.Send(patient(t), message("x")))
	eventually(t, "it says so", func() bool { return log.count("starting with the nodes of the cache "+cache) == 1 })
	require.Len(t, client.Stats().Nodes, 3)

	err := startFails(t, c, dataproxy.WithNodeCache(cache), dataproxy.WithGroupID("other_group"))
	require.ErrorIs(t, err, dataproxy.ErrNoEndpoint)
	require.ErrorContains(t, err, "option node_cache: the node cache belongs to another Manager or group")
	require.NoError(t, os.WriteFile(cache, []byte("{broken"), 0o600))
	err = startFails(t, c, dataproxy.WithNodeCache(cache))
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "option node_cache: the node cache is corrupt")
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, makePipe(pipe))
	err = startFails(t, c, dataproxy.WithNodeCache(pipe))
	require.ErrorContains(t, err, "option node_cache: the node cache "+pipe+" is a pipe: it must be a regular file")

	c.Manager().ClearFaults()
	client = connect(t, c, dataproxy.WithNodeCache(cache))
	require.NoError(t, client.Send(patient(t), message("y")), "a corrupt cache does no harm while the Manager answers")
}

// With a cache on disk the start waited for a Manager that was silent until its time-out. The cache comes first; the Manager is asked
// after that, and nothing is said where it answers.
func TestN2_CacheComesBeforeTheManager(t *testing.T) {
	c := cluster(t)
	cache := dataproxy.WithNodeCache(filepath.Join(t.TempDir(), "nodes.json"))
	connect(t, c, cache).Close()
	asked := c.Manager().Calls()
	c.Manager().Standing(dataproxytest.Silence())
	var client dataproxy.FullClient
	log := newMemoLog()
	inTime(t, time.Second, "NewClient", func() {
		client = connect(t, c, cache, dataproxy.WithLogger(log), dataproxy.WithUpdateInterval(time.Hour))
	})
	require.NoError(t, client.Send(patient(t), message("x")))
	eventually(t, "the Manager is asked", func() bool { return c.Manager().Calls() > asked })
	fresh := c.AddNode()
	c.Manager().ClearFaults()
	eventually(t, "its list is in use", func() bool { return lanesPerNode(client)[fresh.Addr()] > 0 })
	client.Close()
	require.Empty(t, log.lines)
}

// The nodes of a cache may be gone: the start then waits for what the Manager says.
func TestN2_NodesOfTheCacheThatAreGoneDoNotFailTheStart(t *testing.T) {
	c := cluster(t)
	cache := dataproxy.WithNodeCache(filepath.Join(t.TempDir(), "nodes.json"))
	connect(t, c, cache).Close()
	for _, n := range c.Nodes() {
		n.Kill()
		c.RemoveNode(n)
	}
	c.AddNode()
	c.Manager().Fault(dataproxytest.Delay(400 * time.Millisecond))
	client := connect(t, c, cache, dataproxy.WithConnTimeout(200*time.Millisecond))
	require.NoError(t, client.Send(patient(t), message("x")))
}

// Of several addresses of the Manager any one is enough.
func TestURLMayHoldSeveralAddresses(t *testing.T) {
	c, away := cluster(t), cluster(t)
	away.Manager().Standing(dataproxytest.RefuseConnect())
	client := connect(t, c, dataproxy.WithURL(away.URL()+","+c.URL()))
	require.NoError(t, client.Send(patient(t), message("x")))
	err := startFails(t, away, dataproxy.WithURL(away.URL()+", http://127.0.0.1:1"))
	require.ErrorContains(t, err, "connection refused; 127.0.0.1:1: ")
	require.ErrorIs(t, startFails(t, away, dataproxy.WithURL(c.URL()+",ftp://h")), dataproxy.ErrInvalidURL)
}

// A cache that cannot be written must not keep a client from starting.
func TestUnwritableNodeCacheCostsALogLine(t *testing.T) {
	log := newMemoLog()
	client := connect(t, cluster(t), dataproxy.WithNodeCache("/no/such/folder/nodes.json"), dataproxy.WithLogger(log))
	require.NoError(t, client.Send(patient(t), message("x")))
	client.Close() // waits for the log
	require.Equal(t, 1, log.count("option node_cache: "))
}

// goroutinesIn counts the goroutines with that function on their stack.
func goroutinesIn(function string) (n int) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, function) {
			n++
		}
	}
	return n
}
