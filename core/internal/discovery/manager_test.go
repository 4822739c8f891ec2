package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
		"404":          {dataproxytest.HTTPStatus(404, "<html>"), 1, "404 Not Found"},
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
			m.TLS = c.trusted.trust()
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
	require.ErrorContains(t, err, "not the JSON")
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
