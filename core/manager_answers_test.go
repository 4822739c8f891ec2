package dataproxy_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// basicToken is an Auth that sends this text as it is.
func basicToken(text string) dataproxy.Option {
	return dataproxy.WithAuth(tokens{func(context.Context, string) (string, string, error) { return "Authorization", text, nil }})
}

// gateway stands before the cluster's Manager and changes requests on their way, as a company's proxies do. It returns its url.
func gateway(t *testing.T, c *dataproxytest.Cluster, change func(*http.Request)) string {
	t.Helper()
	manager, err := url.Parse(c.URL())
	require.NoError(t, err)
	s := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(manager)
			change(r.Out)
		},
	})
	t.Cleanup(s.Close)
	return s.URL
}

func withMethod(method string) func(*http.Request) {
	return func(r *http.Request) { r.Method = method }
}

func withTenant(tenant string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("tenant", tenant) }
}

// Every answer that a real Manager 2.4.0 was seen to give in place of a list, with the text that the user of the client
// reads: a text that names the wrong cause sends him to the wrong door.
func TestN1_ManagersAnswersAndWhatTheUserReads(t *testing.T) {
	const (
		id, key = "admin", "87haw3VYTPqK5fK0"
		denied  = "the Manager answered 403 Forbidden: the credentials are missing or wrong, or the Manager's database is down"
		empty   = "the Manager lists no TCP node for the group"
		service = "the Manager refused: There was an error in the service, please try again later or contact the administrator"
		page    = "<!doctype html><html><body><h1>HTTP Status 403 - Forbidden</h1></body></html>"
	)
	base64OfBoth := base64.StdEncoding.EncodeToString([]byte(id + ":" + key))
	right := dataproxy.WithBasicAuth(id, key)
	notReady := func(status string) string {
		return "the Manager refused: current group status=" + status + " was not allowed to get data proxy nodes"
	}
	for name, c := range map[string]struct {
		fault       dataproxytest.Fault
		setUp       func(*dataproxytest.Cluster)
		between     func(*http.Request) // what a gateway before the Manager does to requests
		path, group string              // the path is behind the Manager's base url
		auth        dataproxy.Option
		timeout     time.Duration
		text        string
	}{
		"no credentials":         {text: denied + "; none were given (option basic_auth)"},
		"wrong key":              {auth: dataproxy.WithBasicAuth(id, "87haw3VYTPqK5fK1"), text: denied},
		"key in the wrong case":  {auth: dataproxy.WithBasicAuth(id, "87HAW3VYTPQK5FK0"), text: denied},
		"unknown user":           {auth: dataproxy.WithBasicAuth("nobody", key), text: denied},
		"basic in lower case":    {auth: basicToken("basic " + base64OfBoth), text: denied},
		"two blanks":             {auth: basicToken("Basic  " + base64OfBoth), text: denied},
		"database down":          {auth: right, fault: dataproxytest.HTTPStatus(403, ""), text: denied},
		"403 as a page":          {auth: right, fault: dataproxytest.HTTPStatus(403, page), text: denied},
		"unknown group":          {auth: right, group: "gone_group", text: "the Manager refused: group not found by groupId=gone_group"},
		"group to be submitted":  {auth: right, setUp: groupStatus("to_be_submit"), text: notReady("to_be_submit")},
		"group to be approved":   {auth: right, setUp: groupStatus("to_be_approval"), text: notReady("to_be_approval")},
		"group being configured": {auth: right, setUp: groupStatus("config_ing"), text: notReady("config_ing")},
		"group's config failed":  {auth: right, setUp: groupStatus("config_failed"), text: notReady("config_failed")},
		"group offline":          {auth: right, setUp: groupStatus("config_offline_successful"), text: notReady("config_offline_successful")},
		"no cluster tag": {auth: right, fault: dataproxytest.Failure("not found any cluster tag for groupId=test_group"),
			text: "the Manager refused: not found any cluster tag for groupId=test_group"},
		"no cluster": {auth: right, fault: dataproxytest.Failure("not found any data proxy cluster for groupId=test_group and clusterTag=t"),
			text: "the Manager refused: not found any data proxy cluster for groupId=test_group and clusterTag=t"},
		"unknown tenant":                    {auth: right, between: withTenant("nobody"), text: denied},
		"POST become GET":                   {auth: right, between: withMethod(http.MethodGet), text: service},
		"POST become PUT":                   {auth: right, between: withMethod(http.MethodPut), text: service},
		"cluster without nodes (null list)": {auth: right, fault: dataproxytest.NullList(), text: empty},
		"all nodes off (empty list)": {auth: right, text: empty, setUp: func(c *dataproxytest.Cluster) {
			for _, n := range c.Nodes() {
				c.RemoveNode(n)
			}
		}},
		"bad path":            {auth: right, path: "/inlong/manager/v1", text: "the Manager answered 404 Not Found: the url is not a Manager's, or its path is wrong: most end with the port"},
		"outside the Manager": {auth: right, path: "/elsewhere", text: "the Manager answered 404 Not Found: the url is not a Manager's, or its path is wrong: most end with the port"},
		"database frozen": {auth: right, fault: dataproxytest.Silence(), timeout: 300 * time.Millisecond,
			text: "no answer of the Manager in time: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := cluster(t, dataproxytest.WithBasicAuth(id, key), dataproxytest.WithGroups("test_group"))
			cluster.Manager().Standing(c.fault)
			if c.setUp != nil {
				c.setUp(cluster)
			}
			manager := cluster.URL()
			if c.between != nil {
				manager = gateway(t, cluster, c.between)
			}
			client, err := dataproxy.NewClient(append(basics(cluster), c.auth, dataproxy.WithURL(manager+c.path),
				dataproxy.WithGroupID(cmp.Or(c.group, "test_group")), dataproxy.WithManagerTimeout(cmp.Or(c.timeout, patience)))...)
			require.Nil(t, client)
			require.ErrorIs(t, err, dataproxy.ErrNoEndpoint)
			require.EqualError(t, err, "service has no endpoints: "+c.text)
		})
	}
}

func groupStatus(status string) func(*dataproxytest.Cluster) {
	return func(c *dataproxytest.Cluster) { c.Manager().SetGroupStatus("test_group", status) }
}

// A good answer comes in chunks, without its length, and with cookies; nodes that were switched off are left out of it.
func TestManagersListIsTakenAsItComes(t *testing.T) {
	c := cluster(t)
	c.RemoveNode(c.Node(1))
	r, err := http.Post(c.URL()+"/inlong/manager/openapi/dataproxy/getIpList/test_group", "", nil)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, []string{"chunked"}, r.TransferEncoding)
	require.NotEmpty(t, r.Cookies())
	http.DefaultClient.CloseIdleConnections()

	client := connect(t, c, dataproxy.WithUpdateInterval(10*time.Millisecond))
	eventually(t, "the Manager is asked again", func() bool { return c.Manager().Calls() > 3 })
	for _, request := range c.Manager().Requests() {
		require.Empty(t, request.Header.Get("Cookie"), "a cookie that was set is sent back")
	}
	var listed []string
	for _, n := range client.Stats().Nodes {
		listed = append(listed, n.Addr)
	}
	require.ElementsMatch(t, []string{c.Node(0).Addr(), c.Node(2).Addr()}, listed)
	require.NoError(t, client.Send(patient(t), message("x")))
}
