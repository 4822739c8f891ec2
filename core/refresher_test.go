package dataproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
)

// In an outage of all nodes each client asked the Manager each second, and a thousand clients did so together, for as long as it
// lasted. It is asked less and less often while it tells nothing new, and at once where something changes.
func TestOutageOfAllNodesDoesNotHammerTheManager(t *testing.T) {
	list := "1"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if list == "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, `{"success":true,"data":{"nodeList":[{"ip":"h","port":%s}]}}`, list)
	}))
	defer server.Close()
	c := &client{ctx: context.Background(), manager: &discovery.Manager{ListURLs: []string{server.URL}, Group: "test_group"}}
	c.opts.ManagerTimeout, c.opts.UpdateInterval = time.Minute, time.Hour
	c.nodes = nodes{c: c, changed: make(chan struct{}), kick: make(chan struct{}, 1)}
	fail := func() {
		for _, n := range c.nodes.list {
			n.cause = errors.New("down")
		}
		c.nodes.count()
	}
	r := refresher{c: c}
	require.NoError(t, r.ask())
	require.Equal(t, refreshPause, r.pause)
	require.Greater(t, r.due(), time.Minute)
	fail()
	require.LessOrEqual(t, r.due(), refreshPause, "all nodes have failed")
	for i := range 6 {
		require.NoError(t, r.ask())
		most := min(2*refreshPause<<i, maxBackOff)
		require.GreaterOrEqual(t, r.pause, most/2)
		require.LessOrEqual(t, r.due(), most)
	}
	list = ""
	require.Error(t, r.ask())
	require.GreaterOrEqual(t, r.pause, maxBackOff/2, "nor when it fails itself")
	list = "2"
	require.NoError(t, r.ask())
	require.Equal(t, refreshPause, r.pause, "there are other nodes")
	fail()
	require.NoError(t, r.ask())
	c.nodes.list[0].cause = nil
	c.nodes.count()
	require.NoError(t, r.ask())
	require.Equal(t, refreshPause, r.pause, "a node is back")
	require.Greater(t, r.due(), time.Minute)
}
