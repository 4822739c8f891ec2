package dataproxy_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// Rows that are written by other settings than the stream's are read as other fields.
func TestRowsAreWrittenAsTheManagerSays(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithBasicAuth("id", "key"))
	cluster.Manager().SetStream("test_group", "test_stream", map[string]any{"dataType": "KV", "dataSeparator": "38", "kvSeparator": "58",
		"dataEscapeChar": "\\", "fieldList": []any{map[string]any{"fieldName": "name", "fieldType": "string"}}})
	options := []dataproxy.Option{dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("test_group"), dataproxy.WithBasicAuth("id", "key")}

	stream, err := dataproxy.AskStream(context.Background(), "test_stream", options...)
	require.NoError(t, err)
	require.Equal(t, []row.Column{{Name: "name", Type: "string"}}, stream.Columns)
	format, err := row.New(stream.Settings)
	require.NoError(t, err)
	payload, err := format.Append(nil, row.Text("a&b"))
	require.NoError(t, err)
	require.Equal(t, `name:a\&b`, string(payload))
	request, _ := cluster.Manager().LastRequest()
	require.Equal(t, []string{http.MethodGet, "/inlong/manager/openapi/stream/get"}, []string{request.Method, request.Path})
}

// A stream's settings hold credentials of what it is written to, and errors are logged.
func TestNoErrorAboutAStreamShowsWhatTheManagerAnswered(t *testing.T) {
	cluster := dataproxytest.Start(t)
	options := []dataproxy.Option{dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("test_group")}
	ask := func() error {
		_, err := dataproxy.AskStream(context.Background(), "test_stream", options...)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
		return err
	}
	sinks := []any{map[string]any{"password": "s3cret"}}
	cluster.Manager().SetStream("test_group", "test_stream", map[string]any{"dataType": "JSON", "sinkList": sinks})
	require.ErrorIs(t, ask(), row.ErrNoRows)
	cluster.Manager().SetStream("test_group", "test_stream", map[string]any{"dataSeparator": "|", "sinkList": sinks})
	require.ErrorContains(t, ask(), "dataSeparator")
	cluster.Manager().SetStream("test_group", "test_stream", map[string]any{"fieldList": "none", "sinkList": sinks})
	require.ErrorContains(t, ask(), "fieldList")
	for _, body := range []string{`{"password":"s3cret"}`, `{"success":true,"data":"s3cret"`, `s3cret`} {
		cluster.Manager().Fault(dataproxytest.HTTPBody(body))
		require.ErrorContains(t, ask(), "no Manager")
	}
}

// Anyone who gets a Go error of JSON cannot tell that the stream's name is misspelt, or that the Manager is down.
func TestAskingForAStreamSaysWhatIsWrong(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithBasicAuth("id", "key"), dataproxytest.WithTopics("test_group/test_stream"))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	auth := dataproxy.WithBasicAuth("id", "key")
	ask := func(stream string, options ...dataproxy.Option) error {
		_, err := dataproxy.AskStream(context.Background(), stream,
			append([]dataproxy.Option{dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("test_group")}, options...)...)
		return err
	}
	require.NoError(t, ask("test_stream", auth))
	require.ErrorContains(t, ask("other", auth), "stream other of group test_group: the Manager refused: Inlong stream does not exist")
	require.ErrorContains(t, ask("test_stream"), "403")
	require.ErrorIs(t, ask("other", auth), dataproxy.ErrNoEndpoint)
	require.ErrorContains(t, ask("no stream", auth), "stream id")
	_, err = dataproxy.AskStream(context.Background(), "test_stream", dataproxy.WithGroupID("test_group"))
	require.ErrorIs(t, err, dataproxy.ErrURLNotGiven)
	_, err = dataproxy.AskStream(context.Background(), "test_stream", dataproxy.WithGroupID("test_group"), dataproxy.WithStaticNodes("127.0.0.1:1"))
	require.ErrorContains(t, err, "static_nodes")
	// The first address says nothing: the second one is asked while there is time.
	require.NoError(t, ask("test_stream", auth, dataproxy.WithURL("http://"+silent.Addr().String()+","+cluster.URL()), dataproxy.WithManagerTimeout(2*time.Second)))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = dataproxy.AskStream(ctx, "test_stream", dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("test_group"), auth)
	require.ErrorIs(t, err, context.Canceled)
}
