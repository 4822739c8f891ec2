package discovery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func TestFetchAsksTheManagerForTCPNodes(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithMaxMessageLength(65536))
	list, err := managerAt(t, cluster.URL()).Fetch(patient(t))
	require.NoError(t, err)
	var want []string
	for _, n := range cluster.Nodes() {
		want = append(want, n.Addr())
	}
	require.ElementsMatch(t, want, list.Nodes)
	require.Equal(t, 65536, list.MaxPacketLength)
	require.Empty(t, list.Skipped)
	request, _ := cluster.Manager().LastRequest()
	require.Equal(t, http.MethodPost, request.Method)
	require.Equal(t, "/inlong/manager/openapi/dataproxy/getIpList/test_group", request.Path)
	require.Equal(t, "TCP", request.Query.Get("protocolType"))
	require.Empty(t, request.Header.Get("Authorization"))
}

// Scenario N1: whatever the Manager does instead of giving a list, the error says it.
func TestN1_EachFailureOfTheManagerIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		fault dataproxytest.Fault
		calls int // requests that it takes; above 1: retried
		part  string
	}{
		"403":          {dataproxytest.HTTPStatus(403, ""), 1, "403 Forbidden: the credentials are missing or wrong, or the Manager's database is down"},
		"401":          {dataproxytest.HTTPStatus(401, ""), 1, "401 Unauthorized"},
		"404":          {dataproxytest.HTTPStatus(404, "<html>"), 1, "404 Not Found: the url is not a Manager's"},
		"500":          {dataproxytest.HTTPStatus(500, "boom"), 3, "the Manager answered 500"},
		"503":          {dataproxytest.HTTPStatus(503, ""), 3, "the Manager answered 503"},
		"429":          {dataproxytest.HTTPStatus(429, ""), 3, "the Manager answered 429"},
		"204":          {dataproxytest.HTTPStatus(204, ""), 1, "the Manager answered 204"},
		"success":      {dataproxytest.Failure("no such thing"), 1, "the Manager refused: no such thing"},
		"group":        {dataproxytest.GroupStatus("config_ing"), 1, "current group status=config_ing was not allowed"},
		"null list":    {dataproxytest.NullList(), 1, "lists no TCP node"},
		"empty list":   {dataproxytest.EmptyList(), 1, "lists no TCP node"},
		"not JSON":     {dataproxytest.HTTPBody("<html>login</html>"), 1, `not the JSON of a node list: invalid character '<'`},
		"empty body":   {dataproxytest.HTTPBody(""), 1, "not the JSON"},
		"null":         {dataproxytest.HTTPBody("null"), 1, `has no field "success": "null"`},
		"array":        {dataproxytest.HTTPBody("[1]"), 1, "not the JSON"},
		"other object": {dataproxytest.HTTPBody(`{"status":"ok"}`), 1, `has no field "success"`},
		"no data":      {dataproxytest.HTTPBody(`{"success":true,"data":null}`), 1, "lists no TCP node"},
		"no reason":    {dataproxytest.HTTPBody(`{"success":false}`), 1, "the Manager refused: no reason given"},
		"refuses":      {dataproxytest.RefuseConnect(), 0, "connection refused"},
		"closes":       {dataproxytest.CloseAfterRead(), 3, "EOF"},
		"resets":       {dataproxytest.ResetAfterRead(), 3, "connection reset"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
			cluster.Manager().Standing(c.fault)
			_, err := managerAt(t, cluster.URL()).Fetch(patient(t))
			require.ErrorContains(t, err, c.part)
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, c.calls, cluster.Manager().Calls())
		})
	}
}

// Scenario N1: a Manager that never answers must cost the time allowed and no more, wherever it stops.
func TestN1_SilentManagerCostsTheTimeAllowed(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	cluster.Manager().Standing(dataproxytest.Silence())
	halfway := serving(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"success":`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	later := serving(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for name, c := range map[string]struct{ url, part string }{
		"no answer":    {cluster.URL(), "no answer of the Manager in time"},
		"half a body":  {halfway.URL, "reading the Manager's answer: context deadline exceeded"},
		"asks to wait": {later.URL, "the Manager answered 503"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		start := time.Now()
		_, err := managerAt(t, c.url).Fetch(ctx)
		cancel()
		require.ErrorContains(t, err, c.part, name)
		require.Less(t, time.Since(start), patience/2, name)
	}
}

// A request that failed by chance must not keep the client from starting.
func TestFetchTriesAgainAfterAnAccident(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	cluster.Manager().Fault(dataproxytest.ResetAfterRead(), dataproxytest.HTTPStatus(502, ""))
	list, err := managerAt(t, cluster.URL()).Fetch(patient(t))
	require.NoError(t, err)
	require.Len(t, list.Nodes, 1)
	require.Equal(t, 3, cluster.Manager().Calls())
}

// An answer that breaks off is as much an accident as one that does not begin: the first one that did ended the start.
func TestFetchTriesAgainAfterAnAnswerThatBreaksOff(t *testing.T) {
	const whole = `{"success":true,"data":{"nodeList":[{"ip":"h","port":1}]}}`
	for name, head := range map[string]string{"length": fmt.Sprint("Content-Length: ", len(whole)), "chunked": "Transfer-Encoding: chunked"} {
		var calls atomic.Int64
		server := serving(t, func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) == 3 {
				_, _ = w.Write([]byte(whole))
				return
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n20\r\n%s", head, whole[:20])
				_ = conn.Close()
			}
		})
		list, err := managerAt(t, server.URL).Fetch(patient(t))
		require.NoError(t, err, name)
		require.Equal(t, []string{"h:1"}, list.Nodes)
		calls.Store(3)
		_, err = managerAt(t, server.URL).Fetch(patient(t))
		require.ErrorContains(t, err, "reading the Manager's answer: unexpected EOF", name)
		require.EqualValues(t, 6, calls.Load(), name)
	}
}

// An answer that would come again was asked for three times, and the user waited.
func TestWhatWouldComeAgainIsAskedOnce(t *testing.T) {
	var calls atomic.Int64
	status := http.StatusNotImplemented
	handler := func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(status)
	}
	server := serving(t, handler)
	for _, status = range []int{http.StatusBadRequest, http.StatusNotFound, http.StatusNotImplemented} {
		calls.Store(0)
		_, err := managerAt(t, server.URL).Fetch(patient(t))
		require.ErrorContains(t, err, http.StatusText(status))
		require.EqualValues(t, 1, calls.Load(), status)
	}
	var opened atomic.Int64
	distrusted := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	distrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	distrusted.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	distrusted.StartTLS()
	defer distrusted.Close()
	_, err := managerAt(t, distrusted.URL).Fetch(patient(t))
	require.ErrorContains(t, err, "certificate")
	require.EqualValues(t, 1, opened.Load(), "handshakes")
}

// A Manager that answers 500 and then takes long: "no answer in time" alone would send its user to the network.
func TestN1_AnswerBeforeTheLastAttemptIsTold(t *testing.T) {
	var calls atomic.Int64
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := managerAt(t, server.URL).Fetch(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "no answer of the Manager in time: ")
	require.ErrorContains(t, err, "the attempt before: the Manager answered 500 Internal Server Error")
}

// Scenario N7: a token that expired is refreshed after a 401 or 403, once a fetch.
func TestN7_TokenIsRefreshedWhenDenied(t *testing.T) {
	for _, status := range []int{401, 403} {
		var valid atomic.Value
		valid.Store("second")
		server := serving(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Token") != valid.Load() {
				w.WriteHeader(status)
				return
			}
			_, _ = w.Write([]byte(`{"success":true,"data":{"nodeList":[{"ip":"h","port":1}]}}`))
		})
		tokens := []string{"first", "second", "third", "fourth"}
		calls := 0
		m := managerAt(t, server.URL)
		m.Authorize = func(_ context.Context, group string) (string, string, error) {
			require.Equal(t, "test_group", group)
			calls++
			return "X-Token", tokens[calls-1], nil
		}
		_, err := m.Fetch(patient(t))
		require.NoError(t, err, status)
		require.Equal(t, 2, calls)
		valid.Store("never")
		_, err = m.Fetch(patient(t))
		require.ErrorContains(t, err, fmt.Sprint(status))
		require.Equal(t, 4, calls, "one refresh a fetch")
	}
}

// One address of the Manager is broken and the other one denies: the fault of the first hid that a new token was called for.
func TestN7_TokenIsRefreshedWhenOneOfTheAddressesDenies(t *testing.T) {
	broken := serving(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	good := servingTheSecondToken(t)
	m := managerAt(t, broken.URL)
	m.ListURLs = append(m.ListURLs, managerAt(t, good.URL).ListURLs...)
	m.Authorize = firstAndSecondToken()
	list, err := m.Fetch(patient(t))
	require.NoError(t, err)
	require.Equal(t, []string{"h:1"}, list.Nodes)
}

func TestFetchSaysThatNoTokenCouldBeHad(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	m, cause := managerAt(t, cluster.URL()), errors.New("the token server is down")
	m.Authorize = func(context.Context, string) (string, string, error) { return "", "", cause }
	_, err := m.Fetch(patient(t))
	require.ErrorIs(t, err, cause)
	for _, c := range [][2]string{{"", "s3cret"}, {"Bad Header", "s3cret"}, {"Authorization", "s3cret\r\nX: y"}} {
		m.Authorize = func(context.Context, string) (string, string, error) { return c[0], c[1], nil }
		_, err = m.Fetch(patient(t))
		require.Error(t, err, "%q", c)
		require.NotContains(t, err.Error(), "s3cret")
	}
	require.Zero(t, cluster.Manager().Calls())
}

// Scenario N8: https with a private authority works when it is trusted, and a certificate that is not in order is refused.
func TestN8_CertificatesAreVerified(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	good := dataproxytest.Start(t, dataproxytest.WithNodes(1), dataproxytest.WithManagerTLS(ours.issue(t, "127.0.0.1", time.Now().Add(time.Hour))))
	expired := dataproxytest.Start(t, dataproxytest.WithNodes(1), dataproxytest.WithManagerTLS(ours.issue(t, "127.0.0.1", time.Now().Add(-time.Hour))))
	wrongHost := dataproxytest.Start(t, dataproxytest.WithNodes(1), dataproxytest.WithManagerTLS(ours.issue(t, "10.1.2.3", time.Now().Add(time.Hour))))
	for name, c := range map[string]struct {
		cluster *dataproxytest.Cluster
		trusted *authority
		part    string
	}{
		"trusted":         {good, ours, ""},
		"system roots":    {good, nil, "certificate signed by unknown authority"},
		"other authority": {good, other, "certificate signed by unknown authority"},
		"expired":         {expired, ours, "certificate has expired"},
		"wrong host":      {wrongHost, ours, "certificate is valid for 10.1.2.3, not 127.0.0.1"},
	} {
		c.cluster.Reset()
		m := managerAt(t, c.cluster.URL())
		if c.trusted != nil {
			m.TLS = c.trusted.trust
		}
		list, err := m.Fetch(patient(t))
		if c.part == "" {
			require.NoError(t, err, name)
			require.Len(t, list.Nodes, 1)
			continue
		}
		require.ErrorContains(t, err, c.part, name)
		require.Zero(t, c.cluster.Manager().Calls(), name)
	}
	plain := managerAt(t, strings.Replace(good.URL(), "https:", "http:", 1))
	_, err := plain.Fetch(patient(t))
	require.Error(t, err)
}

// Scenario H7: anyone who can make the Manager's address answer with a redirect must not get the credentials, least of all in the
// clear.
func TestH7_RedirectGetsNoCredentials(t *testing.T) {
	var asked atomic.Int32
	elsewhere := serving(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		for location, part := range map[string]string{
			elsewhere.URL + "/x?token=s3cret-too":                  fmt.Sprintf("a redirect to %q: it is not followed", elsewhere.URL),
			strings.Replace(elsewhere.URL, "//", "//u:s3cret@", 1): fmt.Sprintf("a redirect to %q: it is not followed", elsewhere.URL),
			"/login":   fmt.Sprintf("the Manager answered %d %s, a redirect to \"https://127.0.0.1:", status, http.StatusText(status)),
			"":         fmt.Sprint("the Manager answered ", status),
			"http://%": "failed to parse Location header",
		} {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			}))
			m := managerAt(t, server.URL)
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			m.TLS = func() *tls.Config { return &tls.Config{RootCAs: roots} }
			m.Authorize = func(context.Context, string) (string, string, error) { return "X-Token", "s3cret", nil }
			_, err := m.Fetch(patient(t))
			server.Close()
			require.ErrorContains(t, err, part)
			require.NotContains(t, err.Error(), "s3cret")
		}
	}
	require.Zero(t, asked.Load(), "requests to where a redirect led")
}

// Many a network has no way out but the proxy that the environment names. Go reads the environment once a process, so
// the client runs in one of its own.
func TestFetchGoesThroughTheProxyOfTheEnvironment(t *testing.T) {
	const manager = "http://manager.example.com:8083"
	if os.Getenv("INLONG_TEST_BEHIND_PROXY") != "" {
		m := managerAt(t, manager)
		m.Authorize = func(context.Context, string) (string, string, error) { return "X-Token", "t0ken", nil }
		list, err := m.Fetch(patient(t))
		fmt.Println(list.Nodes, err)
		return
	}
	var seen []string
	proxy := serving(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.URL.String(), r.Header.Get("Proxy-Authorization"), r.Header.Get("X-Token"))
		_, _ = w.Write(listOf(`{"ip":"h","port":1}`))
	})
	behind := func(proxy, except string) string {
		child := exec.Command(os.Args[0], "-test.run", "^TestFetchGoesThroughTheProxyOfTheEnvironment$")
		child.Env = append(os.Environ(), "INLONG_TEST_BEHIND_PROXY=1", "http_proxy=", "HTTP_PROXY="+proxy, "no_proxy=", "NO_PROXY="+except)
		out, err := child.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), "pa55word")
		return string(out)
	}
	require.Contains(t, behind(strings.Replace(proxy.URL, "//", "//user:pa55word@", 1), ""), "[h:1] <nil>")
	require.Equal(t, []string{manager + "/inlong/manager/openapi/dataproxy/getIpList/test_group?protocolType=TCP",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("user:pa55word")), "t0ken"}, seen)
	require.Contains(t, behind("http://user:pa55word@127.0.0.1:1", ""), "proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused")
	require.Contains(t, behind(proxy.URL, "example.com"), "lookup manager.example.com")
	require.Len(t, seen, 3)
}

// An answer without an end must not fill the memory.
func TestFetchReadsABoundedAnswer(t *testing.T) {
	chunk := strings.Repeat(" ", 1<<20)
	sent := new(atomic.Int64)
	server := serving(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			n, err := w.Write([]byte(chunk))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	_, err := managerAt(t, server.URL).Fetch(patient(t))
	require.ErrorContains(t, err, "the Manager's answer has more than 16 MiB, too much for a list of nodes")
	require.Less(t, sent.Load(), int64(4*maxAnswer))
}

// The Manager's url may hold a password; no error text may.
func TestErrorsDoNotHoldThePassword(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	for _, fault := range []dataproxytest.Fault{dataproxytest.RefuseConnect(), dataproxytest.HTTPStatus(500, ""), dataproxytest.CloseAfterRead(),
		dataproxytest.HTTPStatus(403, ""), dataproxytest.Silence()} {
		cluster.Manager().Standing(fault)
		m := managerAt(t, strings.Replace(cluster.URL(), "http://", "http://someone:pa55word@", 1))
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_, err := m.Fetch(ctx)
		cancel()
		require.Error(t, err)
		require.NotContains(t, err.Error(), "pa55word")
		cluster.Manager().ClearFaults()
	}
}
