package dataproxy_test

import (
	"crypto/tls"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// A program written for the existing Go SDK must compile with only its import path changed: these are the options' types there.
var (
	_ = []func(string) dataproxy.Option{dataproxy.WithGroupID, dataproxy.WithURL, dataproxy.WithMetricsName}
	_ = []func(time.Duration) dataproxy.Option{dataproxy.WithUpdateInterval, dataproxy.WithConnTimeout, dataproxy.WithSendTimeout,
		dataproxy.WithBatchingMaxPublishDelay, dataproxy.WithMaxConnLifetime, dataproxy.WithRetryInitialInterval}
	_ = []func(int) dataproxy.Option{dataproxy.WithWriteBufferSize, dataproxy.WithReadBufferSize, dataproxy.WithSocketSendBufferSize,
		dataproxy.WithSocketRecvBufferSize, dataproxy.WithBufferPoolSize, dataproxy.WithBytePoolSize, dataproxy.WithBytePoolWidth,
		dataproxy.WithWorkerNum, dataproxy.WithMaxRetries, dataproxy.WithBatchingMaxMessages, dataproxy.WithBatchingMaxSize,
		dataproxy.WithMaxPendingMessages}
	_ = []func(bool) dataproxy.Option{dataproxy.WithBlockIfQueueIsFull, dataproxy.WithRetryOnServerError}

	_ func(dataproxy.BufferPool) dataproxy.Option             = dataproxy.WithBufferPool
	_ func(dataproxy.BytePool) dataproxy.Option               = dataproxy.WithBytePool
	_ func(dataproxy.Logger) dataproxy.Option                 = dataproxy.WithLogger
	_ func(prometheus.Registerer) dataproxy.Option            = dataproxy.WithMetricsRegistry
	_ func(map[string]string) dataproxy.Option                = dataproxy.WithAddColumns
	_ func(dataproxy.Auth) dataproxy.Option                   = dataproxy.WithAuth
	_ func(*slog.Logger) dataproxy.Option                     = dataproxy.WithSlog
	_ func(*tls.Config) dataproxy.Option                      = dataproxy.WithTLSConfig
	_ func(*dataproxy.Options) error                          = (*dataproxy.Options).ValidateAndSetDefault
	_ func(...dataproxy.Option) (dataproxy.FullClient, error) = dataproxy.NewClient
)

// A changed default changes the behaviour of every program that does not set the option.
func TestSeedDefaultsAreKept(t *testing.T) {
	o := dataproxy.Options{GroupID: "test_group", URL: "http://h:8083"}
	require.NoError(t, o.ValidateAndSetDefault())
	want := dataproxy.Options{
		GroupID: "test_group", URL: "http://h:8083", UpdateInterval: 5 * time.Minute, ConnTimeout: 3 * time.Second,
		WriteBufferSize: 8 << 20, ReadBufferSize: 1 << 20, SocketSendBufferSize: 8 << 20, SocketRecvBufferSize: 1 << 20,
		BufferPoolSize: 409600, BytePoolSize: 409600, BytePoolWidth: 40 << 10, MetricsName: "dataproxy-go", WorkerNum: 8,
		SendTimeout: 30 * time.Second, MaxRetries: 2, BatchingMaxPublishDelay: 20 * time.Millisecond, BatchingMaxMessages: 50,
		BatchingMaxSize: 40 << 10, MaxPendingMessages: 204800, RetryInitialInterval: 100 * time.Millisecond,
		MaxPendingBytes: 256 << 20, AckTimeout: 10 * time.Second, Compression: dataproxy.Snappy, MessageFormat: dataproxy.Text,
		MaxFrameSize: 512 << 10, HeartbeatInterval: 30 * time.Second, ManagerTimeout: 10 * time.Second,
		SpoolMaxBytes: 1 << 30, SpoolSync: dataproxy.SpoolSyncOff, SpoolSyncInterval: time.Second, SpoolResult: dataproxy.SpoolResultAcked,
	}
	require.Equal(t, prometheus.DefaultRegisterer, o.MetricsRegistry)
	require.NotNil(t, o.Logger)
	o.MetricsRegistry, o.Logger, o.ResultHandler = nil, nil, nil
	require.Equal(t, want, o)

	o = dataproxy.Options{GroupID: "test_group", URL: "http://h:8083", BatchingMaxSize: 100}
	require.NoError(t, o.ValidateAndSetDefault())
	require.Equal(t, 4096, o.BytePoolWidth, "max(4096, BatchingMaxSize)")
}

// setters returns the doc comment of every With function.
func setters(t *testing.T) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	files, err := filepath.Glob("option_setters*.go")
	require.NoError(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "With") {
				docs[f.Name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
	}
	return docs
}

// An option that is not in the table does not exist in C and Python.
func TestEveryOptionIsInTheTable(t *testing.T) {
	onlyGo := map[string]bool{ // their values are Go objects
		"WithBufferPool": true, "WithBytePool": true, "WithLogger": true, "WithSlog": true, "WithMetricsRegistry": true, "WithAuth": true,
		"WithTLSConfig": true, "WithResultHandler": true, "WithHooks": true, "WithDialer": true,
	}
	table, keys := map[string]bool{}, map[string]bool{}
	for _, info := range dataproxy.OptionTable() {
		require.False(t, table[info.Name] || keys[info.Key], "%s is there twice", info.Key)
		table[info.Name], keys[info.Key] = true, true
		require.NotEmpty(t, info.Doc, info.Key)
		require.Equal(t, info.Key, strings.ToLower(info.Key))
	}
	for name := range setters(t) {
		require.NotEqual(t, onlyGo[name], table[name], name)
		delete(table, name)
	}
	require.Empty(t, table, "rows without a function")
}

// spoken writes a table's number in the forms that doc comments use.
func spoken(kind, text string) []string {
	switch kind {
	case "duration":
		d, _ := time.ParseDuration(text)
		forms := []string{}
		for unit, name := range map[time.Duration]string{time.Hour: "h", time.Minute: "minute", time.Second: "s", time.Millisecond: "ms"} {
			if d > 0 && d%unit == 0 {
				forms = append(forms, fmt.Sprintf("%d %s", d/unit, name))
			}
		}
		return append(forms, "0")
	case "size":
		return []string{strings.NewReplacer("K", " KiB", "M", " MiB", "G", " GiB").Replace(text), text + " byte", text}
	case "int":
		n, _ := strconv.Atoi(text)
		for bits := range 40 {
			if n == 1<<bits {
				return []string{text, fmt.Sprintf("2^%d", bits)}
			}
		}
	case "bool":
		if text == "false" {
			return []string{"false"}
		}
	}
	return []string{text}
}

// Prose that repeats a constant drifts: each setter's comment must state the table's default and range.
func TestDocCommentsTellTheTable(t *testing.T) {
	docs := setters(t)
	for _, info := range dataproxy.OptionTable() {
		doc := docs[info.Name]
		require.True(t, strings.HasPrefix(doc, info.Name+" "), info.Name)
		if info.Kind == "enum" {
			doc = strings.ToLower(doc)
		}
		says := func(what, text string) {
			for _, form := range spoken(info.Kind, text) {
				if strings.Contains(doc, form) {
					return
				}
			}
			t.Errorf("%s: the comment does not tell the %s %s: %s", info.Name, what, text, doc)
		}
		if info.Key != "group_id" && info.Key != "url" {
			require.Contains(t, doc, "efault", info.Name)
		}
		if info.Default != "" {
			says("default", info.Default)
		}
		if info.Kind == "duration" || info.Kind == "int" || info.Kind == "size" {
			says("minimum", info.Min)
			if info.Max != "" {
				says("maximum", info.Max)
			}
		}
	}
}

// A key that sets another field than its With function does is an option that C and Python do not have.
func TestKeysSetWhatTheFunctionsSet(t *testing.T) {
	dir := t.TempDir()
	_, cert, key := newAuthority(t).issue(t, "client")
	certFile, keyFile, authFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "auth")
	replace(t, certFile, cert)
	replace(t, keyFile, key)
	replace(t, authFile, []byte("id:key"))
	// What a key needs beside it. Only the certificate and its key need each other.
	beside := map[string]dataproxy.Option{
		"client_cert_file": dataproxy.WithClientKeyFile(keyFile), "client_key_file": dataproxy.WithClientCertFile(certFile),
		"socks_auth": dataproxy.WithSocks("proxy:1080"), "node_tls_name": dataproxy.WithNodeTLS(true),
	}
	for key, c := range map[string]struct {
		text string
		with dataproxy.Option
	}{
		"group_id":                   {"other_group", dataproxy.WithGroupID("other_group")},
		"url":                        {"http://x", dataproxy.WithURL("http://x")},
		"update_interval":            {"1h30m", dataproxy.WithUpdateInterval(90 * time.Minute)},
		"conn_timeout":               {"10ms", dataproxy.WithConnTimeout(10 * time.Millisecond)},
		"manager_timeout":            {"20s", dataproxy.WithManagerTimeout(20 * time.Second)},
		"write_buffer_size":          {"1G", dataproxy.WithWriteBufferSize(1 << 30)},
		"read_buffer_size":           {"1025", dataproxy.WithReadBufferSize(1025)},
		"socket_send_buffer_size":    {"2k", dataproxy.WithSocketSendBufferSize(2048)},
		"socket_recv_buffer_size":    {"2m", dataproxy.WithSocketRecvBufferSize(2 << 20)},
		"buffer_pool_size":           {"1", dataproxy.WithBufferPoolSize(1)},
		"byte_pool_size":             {"2", dataproxy.WithBytePoolSize(2)},
		"byte_pool_width":            {"3", dataproxy.WithBytePoolWidth(3)},
		"metrics_name":               {"n", dataproxy.WithMetricsName("n")},
		"metrics_streams":            {"7", dataproxy.WithMetricsStreams(7)},
		"worker_num":                 {"1024", dataproxy.WithWorkerNum(1024)},
		"send_timeout":               {"1ms", dataproxy.WithSendTimeout(time.Millisecond)},
		"max_retries":                {"0", dataproxy.WithMaxRetries(0)},
		"batching_max_publish_delay": {"0", dataproxy.WithBatchingMaxPublishDelay(0)},
		"batching_max_messages":      {"32767", dataproxy.WithBatchingMaxMessages(32767)},
		"batching_max_size":          {"16M", dataproxy.WithBatchingMaxSize(16 << 20)},
		"max_pending_messages":       {"7", dataproxy.WithMaxPendingMessages(7)},
		"block_if_queue_is_full":     {"true", dataproxy.WithBlockIfQueueIsFull(true)},
		"add_columns":                {"a=1&b=", dataproxy.WithAddColumns(map[string]string{"a": "1", "b": ""})},
		"max_conn_lifetime":          {"5m", dataproxy.WithMaxConnLifetime(5 * time.Minute)},
		"retry_on_server_error":      {"1", dataproxy.WithRetryOnServerError(true)},
		"retry_initial_interval":     {"1m", dataproxy.WithRetryInitialInterval(time.Minute)},
		"max_pending_bytes":          {"1K", dataproxy.WithMaxPendingBytes(1024)},
		"ack_timeout":                {"1h", dataproxy.WithAckTimeout(time.Hour)},
		"ordered":                    {"true", dataproxy.WithOrdered(true)},
		"static_nodes":               {"a:1, [::1]:2,,a:1", dataproxy.WithStaticNodes("a:1", "[::1]:2")},
		"node_cache":                 {"/tmp/x", dataproxy.WithNodeCache("/tmp/x")},
		"lazy_start":                 {"true", dataproxy.WithLazyStart(true)},
		"basic_auth":                 {"id:key:with:colons", dataproxy.WithBasicAuth("id", "key:with:colons")},
		"ca_file":                    {caFile(t), dataproxy.WithCAFile(caFile(t))},
		"basic_auth_file":            {authFile, dataproxy.WithBasicAuthFile(authFile)},
		"client_cert_file":           {certFile, dataproxy.WithClientCertFile(certFile)},
		"client_key_file":            {keyFile, dataproxy.WithClientKeyFile(keyFile)},
		"socks":                      {"proxy:1080", dataproxy.WithSocks("proxy:1080")},
		"socks_auth":                 {"user:pass:word", dataproxy.WithSocksAuth("user", "pass:word")},
		"node_tls":                   {"true", dataproxy.WithNodeTLS(true)},
		"node_tls_name":              {"node.example", dataproxy.WithNodeTLSName("node.example")},
		"compression":                {"none", dataproxy.WithCompression(dataproxy.None)},
		"message_format":             {"binary", dataproxy.WithMessageFormat(dataproxy.Binary)},
		"max_frame_size":             {"20M", dataproxy.WithMaxFrameSize(20 << 20)},
		"heartbeat_interval":         {"50s", dataproxy.WithHeartbeatInterval(50 * time.Second)},
		"trim_trailing_newline":      {"true", dataproxy.WithTrimTrailingNewline(true)},
		"spool_dir":                  {"/tmp/x", dataproxy.WithSpoolDir("/tmp/x")},
		"spool_max_bytes":            {"1024G", dataproxy.WithSpoolMaxBytes(1 << 40)},
		"spool_after":                {"100ms", dataproxy.WithSpoolAfter(100 * time.Millisecond)},
		"spool_sync":                 {"batch", dataproxy.WithSpoolSync(dataproxy.SpoolSyncBatch)},
		"spool_sync_interval":        {"1h", dataproxy.WithSpoolSyncInterval(time.Hour)},
		"spool_result":               {"stored", dataproxy.WithSpoolResult(dataproxy.SpoolResultStored)},
		"spool_max_age":              {"48h", dataproxy.WithSpoolMaxAge(48 * time.Hour)},
	} {
		byText, byFunction := valid(), valid()
		plain := valid()
		dataproxy.WithOption(key, c.text)(byText)
		c.with(byFunction)
		if with := beside[key]; with != nil {
			with(byText)
			with(byFunction)
			if !strings.HasPrefix(key, "client_") {
				with(plain)
			}
		}
		for _, o := range []*dataproxy.Options{byText, byFunction, plain} {
			require.NoError(t, o.ValidateAndSetDefault(), key)
		}
		if key == "ca_file" {
			byText.CAFile, byFunction.CAFile = "same", "same"
		}
		require.Equal(t, exported(byFunction), exported(byText), key)
		require.NotEqual(t, exported(plain), exported(byText), "%s changes nothing", key)
		delete(untested, key)
	}
	require.Empty(t, untested)
}

var untested = func() map[string]bool {
	keys := map[string]bool{}
	for _, info := range dataproxy.OptionTable() {
		keys[info.Key] = true
	}
	return keys
}()

func valid() *dataproxy.Options {
	o := new(dataproxy.Options)
	dataproxy.WithGroupID("test_group")(o)
	dataproxy.WithURL("http://127.0.0.1:8083")(o)
	dataproxy.WithLogger(dataproxy.NopLogger())(o)
	return o
}

// exported returns the fields that a user sees, without the interfaces.
func exported(o *dataproxy.Options) map[string]any {
	fields, v := map[string]any{}, reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && f.Type.Kind() != reflect.Interface && f.Type.Kind() != reflect.Func {
			fields[f.Name] = v.Field(i).Interface()
		}
	}
	return fields
}
