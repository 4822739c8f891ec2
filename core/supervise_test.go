package dataproxy_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A list from the cache may be days old: waiting a whole update interval before the Manager is asked again would leave the
// client on nodes that are gone.
func TestN2_ManagerIsAskedAgainSoonAfterAStartFromTheCache(t *testing.T) {
	for name, lazy := range map[string]bool{"start": false, "lazy start": true} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			cache := dataproxy.WithNodeCache(filepath.Join(t.TempDir(), "nodes.json"))
			connect(t, c, cache).Close()
			c.Manager().Standing(dataproxytest.HTTPStatus(403, ""))
			log := newMemoLog()
			client := connect(t, c, cache, dataproxy.WithLogger(log), dataproxy.WithLazyStart(lazy), dataproxy.WithUpdateInterval(24*time.Hour))
			require.NoError(t, client.Send(patient(t), message("x")))
			calls := c.Manager().Calls()
			eventually(t, "asked again", func() bool { return c.Manager().Calls() > calls })
			fresh := c.AddNode()
			c.Manager().ClearFaults()
			eventually(t, "the new list is in use", func() bool { return lanesPerNode(client)[fresh.Addr()] > 0 })
			require.Equal(t, 1, log.count("403"), "told more than once")
		})
	}
}

// Suspects that are black holes, tried one after the other, would keep the supervisor from asking the Manager when the last
// good node dies. They are tried beside each other, some at a time, and a close ends that.
func TestSuspectsAreTriedAtOnceAndDoNotHoldUpTheRefresh(t *testing.T) {
	const more = 4
	c := cluster(t, dataproxytest.WithNodes(1+dataproxy.MostProbes+more))
	good, holes := c.Nodes()[0], c.Nodes()[1:]
	for _, hole := range holes {
		hole.Standing(dataproxytest.BlackHole())
		c.RemoveNode(hole)
	}
	// No dial ends by itself: two that are tried one after the other would not both be seen.
	client := connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithConnTimeout(time.Minute), dataproxy.WithUpdateInterval(time.Hour))
	addrs := []string{good.Addr()}
	for _, hole := range holes {
		addrs = append(addrs, hole.Addr())
	}
	dataproxy.SetNodes(client, addrs...)
	dataproxy.Suspect(client, addrs[1:]...)
	tried := func() (nodes int) {
		for _, hole := range holes {
			if _, total := hole.Connections(); total > 0 {
				nodes++
			}
		}
		return nodes
	}
	dataproxy.EndSuspicion(client)
	eventually(t, "as many as may be are tried", func() bool { return tried() == dataproxy.MostProbes })
	for _, n := range client.Stats().Nodes {
		require.Equal(t, n.Addr != good.Addr(), n.Suspect, "not proven yet: %s", n.Addr)
	}
	require.NoError(t, client.Send(patient(t), message("x")), "the lane stays where it is")
	require.Equal(t, dataproxy.MostProbes, tried())

	freed := 0
	for _, hole := range holes { // each one that ends lets another one begin
		if _, total := hole.Connections(); total > 0 && freed < more {
			hole.Kill()
			freed++
		}
	}
	eventually(t, "all were tried", func() bool { return tried() == len(holes) })
	var failed int64
	for _, n := range client.Stats().Nodes {
		failed += n.Errors
	}
	require.Equal(t, int64(more), failed)

	calls := c.Manager().Calls()
	good.Kill()
	eventually(t, "the Manager is asked", func() bool { return c.Manager().Calls() > calls })
	inTime(t, 0, "close", client.Close)
}

// A suspect is tried again after 30 s. While a silent Manager was being asked it waited for that, ten seconds more, and lanes stayed away from
// a node that was well.
func TestSilentManagerDoesNotHoldUpSuspects(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithManagerTimeout(time.Minute), dataproxy.WithUpdateInterval(10*time.Millisecond))
	c.Manager().Standing(dataproxytest.Silence())
	before := c.Manager().Calls()
	eventually(t, "it is asked without success", func() bool { return c.Manager().Calls() > before })
	suspect := c.Node(0).Addr()
	dataproxy.Suspect(client, suspect)
	dataproxy.EndSuspicion(client)
	eventually(t, "the suspect is tried", func() bool {
		for _, n := range client.Stats().Nodes {
			if n.Addr == suspect {
				return !n.Suspect && n.Lanes > 0
			}
		}
		return false
	})
	inTime(t, 0, "close", client.Close)
}

// Anyone who looks for the node that causes trouble reads this number: connections that it refuses are what a dead one has.
func TestRefusedConnectionsCountAsErrorsOfTheirNode(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	c.Nodes()[0].Kill()
	client, registry := measured(t, c, dataproxy.WithLazyStart(true))
	hurry(t, client)
	eventually(t, "refused many times", func() bool { return value(t, registry, "data_proxy_update_conn_count", "code=10006") >= 20 })
	require.GreaterOrEqual(t, client.Stats().Nodes[0].Errors, int64(20))
}
