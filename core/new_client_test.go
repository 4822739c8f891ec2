package dataproxy_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// startFails makes a client that must not come to be, within its two time-outs.
func startFails(t *testing.T, c *dataproxytest.Cluster, opts ...dataproxy.Option) error {
	t.Helper()
	const connTimeout = 300 * time.Millisecond
	var err error
	inTime(t, 2*connTimeout, "NewClient", func() {
		var client dataproxy.FullClient
		client, err = dataproxy.NewClient(append(append(basics(c), dataproxy.WithConnTimeout(connTimeout), dataproxy.WithManagerTimeout(connTimeout)), opts...)...)
		if client != nil {
			client.Close()
		}
	})
	require.Error(t, err)
	return err
}

// The seed's errors keep their texts, and errors.Is finds them whatever is wrapped around.
func TestMissingAndMalformedSettings(t *testing.T) {
	for name, c := range map[string]struct {
		opts []dataproxy.Option
		is   error
		text string
	}{
		"no url":          {[]dataproxy.Option{dataproxy.WithGroupID("test_group")}, dataproxy.ErrURLNotGiven, "option url: URL is not given"},
		"no group":        {[]dataproxy.Option{dataproxy.WithURL("http://h:1")}, dataproxy.ErrGroupIDNotGiven, "option group_id: group ID is not given"},
		"empty url":       {[]dataproxy.Option{dataproxy.WithGroupID("test_group"), dataproxy.WithURL("")}, dataproxy.ErrInvalidURL, `option url = "": invalid URL: it is empty: give the Manager's http://host:port`},
		"empty group":     {[]dataproxy.Option{dataproxy.WithGroupID(""), dataproxy.WithURL("http://h:1")}, dataproxy.ErrInvalidGroupID, `option group_id = "": invalid group ID: it is empty: it must have 4 to 200 characters`},
		"malformed url":   {[]dataproxy.Option{dataproxy.WithGroupID("test_group"), dataproxy.WithURL("://")}, dataproxy.ErrInvalidURL, `option url = "://": invalid URL: it cannot be parsed`},
		"malformed group": {[]dataproxy.Option{dataproxy.WithGroupID("a b c"), dataproxy.WithURL("http://h:1")}, dataproxy.ErrInvalidGroupID, `character ' '`},
	} {
		client, err := dataproxy.NewClient(c.opts...)
		require.Nil(t, client, name)
		require.ErrorIs(t, err, c.is, name)
		require.ErrorContains(t, err, c.text, name)
	}
	_, err := dataproxy.NewClient()
	require.ErrorIs(t, err, dataproxy.ErrURLNotGiven)
	require.ErrorIs(t, err, dataproxy.ErrGroupIDNotGiven)
}

// Scenario N1: a Manager that is down, silent, refuses or lists nothing ends the start in time, with the cause in the text.
func TestN1_StartFailsInTimeWithTheManagersCause(t *testing.T) {
	for name, c := range map[string]struct {
		fault dataproxytest.Fault
		part  string
	}{
		"down":          {dataproxytest.RefuseConnect(), "connection refused"},
		"silent":        {dataproxytest.Silence(), "no answer of the Manager in time"},
		"403":           {dataproxytest.HTTPStatus(403, ""), "the credentials are missing or wrong, or the Manager's database is down"},
		"500":           {dataproxytest.HTTPStatus(500, ""), "the Manager answered 500"},
		"success=false": {dataproxytest.Failure("group not found by groupId=test_group"), "group not found by groupId=test_group"},
		"not JSON":      {dataproxytest.HTTPBody("<html>"), "not the JSON of a node list"},
		"null list":     {dataproxytest.NullList(), "lists no TCP node"},
		"empty list":    {dataproxytest.EmptyList(), "lists no TCP node"},
		"closes":        {dataproxytest.CloseAfterRead(), "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := cluster(t)
			cluster.Manager().Standing(c.fault)
			err := startFails(t, cluster)
			require.ErrorIs(t, err, dataproxy.ErrNoEndpoint)
			require.ErrorContains(t, err, "service has no endpoints: ")
			require.ErrorContains(t, err, c.part)
			require.NotContains(t, err.Error(), "\n")
			for _, n := range cluster.Nodes() {
				_, total := n.Connections()
				require.Zero(t, total, "a node was contacted")
			}
		})
	}
}

// A start without a single good node must say what each of them did.
func TestStartFailsWhenNoNodeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault dataproxytest.Fault
		parts []string
	}{
		"refuse":     {dataproxytest.RefuseConnect(), []string{"connection refused"}},
		"black hole": {dataproxytest.BlackHole(), []string{"no available worker"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := cluster(t)
			standing(cluster, c.fault)
			err := startFails(t, cluster)
			require.ErrorIs(t, err, dataproxy.ErrNoAvailableWorker)
			for _, part := range c.parts {
				require.ErrorContains(t, err, part)
			}
			for _, n := range cluster.Nodes() {
				if name == "refuse" {
					require.ErrorContains(t, err, n.Addr())
				}
			}
			require.Zero(t, cluster.Count(), "something was sent")
		})
	}
}

// A program that tries to start every minute while the cluster is down must not grow.
func TestFailedStartLeavesNothing(t *testing.T) {
	manager, nodes := cluster(t), cluster(t)
	manager.Manager().Standing(dataproxytest.HTTPStatus(500, ""))
	standing(nodes, dataproxytest.BlackHole())
	for _, c := range []*dataproxytest.Cluster{manager, nodes} {
		for range 3 {
			startFails(t, c)
		}
	}
	eventually(t, "the client's goroutines end", func() bool { return ours() == 0 })
}

// Scenario N3: one node refuses and one is a black hole; the start takes as long as the good one does.
func TestN3_StartsFastOnTheOneGoodNode(t *testing.T) {
	for range rounds(5, 50) {
		c := cluster(t)
		c.Node(0).Standing(dataproxytest.RefuseConnect())
		c.Node(1).Standing(dataproxytest.BlackHole())
		inTime(t, time.Second, "start", func() {
			client := connect(t, c, dataproxy.WithConnTimeout(5*time.Second))
			require.NoError(t, client.Send(patient(t), message("x")))
		})
		require.Equal(t, 1, c.Node(2).Count())
	}
}

// The seed's programs give the full url, others the base.
func TestStartTakesBaseAndFullURL(t *testing.T) {
	c := cluster(t)
	for _, path := range []string{"", "/", "/inlong/manager", "/inlong/manager/openapi/dataproxy/getIpList", "/inlong/manager/openapi/dataproxy/getIpList/"} {
		connect(t, c, dataproxy.WithURL(c.URL()+path)).Close()
	}
	for _, r := range c.Manager().Requests() {
		require.Equal(t, "/inlong/manager/openapi/dataproxy/getIpList/test_group", r.Path)
	}
}

// Static nodes make the Manager needless: it is not asked, at the start or later.
func TestStaticNodesNeedNoManager(t *testing.T) {
	c := cluster(t)
	client, err := dataproxy.NewClient(dataproxy.WithGroupID("test_group"), dataproxy.WithStaticNodes(c.Node(1).Addr()),
		dataproxy.WithLogger(dataproxy.NopLogger()), dataproxy.WithMetricsRegistry(prometheus.NewRegistry()),
		dataproxy.WithUpdateInterval(10*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Send(patient(t), message("x")))
	c.Node(1).ResetConnections()
	require.NoError(t, client.Send(patient(t), message("y")))
	require.Equal(t, 2, c.Node(1).Count())
	require.Zero(t, c.Manager().Calls())
}

// With a lazy start nothing is waited for, not even the Manager; what is sent meanwhile arrives once there is a node.
func TestLazyStartReturnsAtOnce(t *testing.T) {
	for name, fault := range map[string]dataproxytest.Fault{
		"Manager silent": dataproxytest.Silence(), "Manager down": dataproxytest.RefuseConnect(), "no nodes": dataproxytest.EmptyList(), "all good": {},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t)
			c.Manager().Standing(fault)
			var client dataproxy.FullClient
			inTime(t, 50*time.Millisecond, "NewClient", func() { client = connect(t, c, dataproxy.WithLazyStart(true)) })
			result := make(chan error, 1)
			client.SendAsync(patient(t), message("x"), func(_ dataproxy.Message, err error) { result <- err })
			c.Manager().ClearFaults()
			require.NoError(t, <-result)
			require.Equal(t, 1, c.Count())
		})
	}
}

// A lazy client whose Manager stays away fails its messages at their deadline, and closes in time.
func TestLazyStartWithoutManagerFailsMessagesAtTheirDeadline(t *testing.T) {
	c := cluster(t)
	c.Manager().Standing(dataproxytest.Silence())
	client := connect(t, c, dataproxy.WithLazyStart(true), dataproxy.WithSendTimeout(100*time.Millisecond))
	inTime(t, 100*time.Millisecond, "Send", func() {
		e := fault(t, client.Send(patient(t), message("x")), dataproxy.CodeSendTimeout)
		require.Equal(t, dataproxy.NotWritten, e.Persisted())
	})
	inTime(t, 100*time.Millisecond, "Close", client.Close)
	_, err := dataproxy.NewClient(dataproxy.WithLazyStart(true))
	require.ErrorIs(t, err, dataproxy.ErrURLNotGiven, "faults of the options are still reported")
}

// Scenario N1: when running, the last good list is kept whatever the Manager does.
func TestN1_RunningClientKeepsTheLastGoodList(t *testing.T) {
	for _, f := range []dataproxytest.Fault{dataproxytest.RefuseConnect(), dataproxytest.HTTPStatus(403, ""), dataproxytest.HTTPStatus(500, ""),
		dataproxytest.Failure("x"), dataproxytest.HTTPBody("{"), dataproxytest.NullList(), dataproxytest.EmptyList(), dataproxytest.CloseAfterRead()} {
		c := cluster(t)
		client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond))
		c.Manager().Standing(f)
		before := c.Manager().Calls()
		if f.Kind != dataproxytest.KindRefuseConnect {
			eventually(t, "the Manager is asked again", func() bool { return c.Manager().Calls() > before })
		}
		require.NoError(t, client.Send(patient(t), message("x")), f.Kind)
		require.Len(t, client.Stats().Nodes, 3, f.Kind)
		client.Close()
	}
}
