package dataproxy_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/multierr"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// faultsOf returns what validation says of good options with these on top.
func faultsOf(opts ...dataproxy.Option) []error {
	o := valid()
	for _, opt := range opts {
		opt(o)
	}
	return multierr.Errors(o.ValidateAndSetDefault())
}

// A value out of range that is taken silently shows up much later as a hang or a flood; each names the option, value and rule.
func TestEachNumberOutOfRangeIsRefused(t *testing.T) {
	for _, info := range dataproxy.OptionTable() {
		var below, above string
		switch info.Kind {
		case "duration":
			low, err := time.ParseDuration(info.Min)
			require.NoError(t, err)
			below = (low - time.Nanosecond).String()
			if info.Max != "" {
				high, err := time.ParseDuration(info.Max)
				require.NoError(t, err)
				above = (high + time.Nanosecond).String()
			}
		case "int", "size":
			below, above = fmt.Sprint(number(t, info.Min)-1), fmt.Sprint(number(t, info.Max)+1)
		default:
			continue
		}
		for value, rule := range map[string]string{below: "must be " + info.Min + " or more", above: "must be " + info.Max + " or less"} {
			if value == "" {
				continue
			}
			faults := faultsOf(dataproxy.WithOption(info.Key, value))
			require.NotEmpty(t, faults, "%s = %s", info.Key, value)
			require.ErrorContains(t, faults[0], "option "+info.Key+" = ")
			require.ErrorContains(t, faults[0], rule)
			require.ErrorContains(t, dataproxy.ParseOption(info.Key, value), rule)
			seen := map[string]bool{}
			for _, f := range faults {
				require.False(t, seen[f.Error()], "%v is reported twice", f)
				seen[f.Error()] = true
			}
		}
		require.NoError(t, dataproxy.ParseOption(info.Key, info.Min))
		if info.Max != "" {
			require.NoError(t, dataproxy.ParseOption(info.Key, info.Max))
		}
	}
}

func number(t *testing.T, text string) (n int64) {
	t.Helper()
	unit := map[string]int64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[text[len(text)-1:]]
	_, err := fmt.Sscanf(strings.TrimRight(text, "KMG"), "%d", &n)
	require.NoError(t, err)
	return n * max(unit, 1)
}

func TestTextsThatCannotBeReadAreRefused(t *testing.T) {
	for _, c := range []struct{ key, text, part string }{
		{"send_timeout", "", `option send_timeout = "": must be a duration with its unit`},
		{"send_timeout", "30", "must be a duration with its unit"},
		{"send_timeout", "30 s", "must be a duration with its unit"},
		{"worker_num", "", "must be a whole number"},
		{"worker_num", "8.0", `option worker_num = "8.0": must be a whole number`},
		{"worker_num", "8K", "must be a whole number"},
		{"batching_max_size", "40KB", `or one that ends in K, M or G, such as "40K"`},
		{"batching_max_size", "K", "ends in K, M or G"},
		{"batching_max_size", "99999999999999999999KB", "ends in K, M or G"},
		{"send_timeout", "99999999999999999999", "must be a duration with its unit"},
		{"ordered", "yes", `option ordered = "yes": must be true or false`},
		{"ordered", "", "must be true or false"},
		{"add_columns", "a", `must be "name=value" pairs joined by "&"`},
		{"add_columns", "a=1&", "pairs"},
		{"add_columns", "=1", "pairs"},
		{"add_columns", "a=1&a=2", `name "a" is given twice`},
		{"compression", "gzip", `option compression = "gzip": must be none or snappy`},
		{"compression", "", `option compression = "": must be none or snappy`},
		{"compression", "Snappy", "must be none or snappy"},
		{"message_format", "json", "must be text or binary"},
		{"worker_nun", "8", `option "worker_nun": unknown; did you mean "worker_num"?`},
		{"WithWorkerNum", "8", `did you mean "worker_num"?`},
		{"", "8", `option "": unknown`},
		{"Send_Timeout", "1s", `did you mean "send_timeout"?`},
	} {
		require.ErrorContains(t, dataproxy.ParseOption(c.key, c.text), c.part, "%s = %q", c.key, c.text)
		faults := faultsOf(dataproxy.WithOption(c.key, c.text))
		require.Len(t, faults, 1, "%s = %q", c.key, c.text)
		require.ErrorContains(t, faults[0], c.part)
	}
}

// A number that no int64 holds was called no number at all: the user looked for a typing mistake.
func TestNumbersThatNoIntegerHoldsAreOutOfRange(t *testing.T) {
	numbers := 0
	for _, o := range dataproxy.OptionTable() {
		var large []string
		switch o.Kind {
		case "int":
			large = []string{"99999999999999999999"}
		case "size":
			large = []string{"99999999999999999999", "9223372036854775807G", "99999999999999999999k"}
		case "duration":
			large = []string{"999999999999h", "99999999999999999999ns", "1.5h999999999999m"}
		default:
			continue
		}
		numbers++
		for _, text := range large {
			err := dataproxy.ParseOption(o.Key, text)
			require.ErrorContains(t, err, fmt.Sprintf("option %s = %q: must be ", o.Key, text))
			require.ErrorContains(t, err, " or less")
			err = dataproxy.ParseOption(o.Key, "-"+text)
			require.ErrorContains(t, err, fmt.Sprintf("option %s = %q: must be %s or more", o.Key, "-"+text, o.Min))
			faults := faultsOf(dataproxy.WithOption(o.Key, text))
			require.Len(t, faults, 1)
			require.ErrorContains(t, faults[0], "or less")
		}
	}
	require.Greater(t, numbers, 20)
}

// Rules that are more than a range.
func TestValuesThatBreakARuleAreRefused(t *testing.T) {
	noCertificate := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(noCertificate, []byte("nothing"), 0o600))
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct {
		opt  dataproxy.Option
		part string
	}{
		"group too short":      {dataproxy.WithGroupID("abc"), `option group_id: invalid group ID: group id "abc" has 3 characters: it must have 4 to 200`},
		"group too long":       {dataproxy.WithGroupID(long), "has 300 characters"},
		"group with &":         {dataproxy.WithGroupID("a&b=c"), `has the character '&': only A-Z a-z 0-9 _ . - are allowed`},
		"url not http":         {dataproxy.WithURL("ftp://h"), `option url = "ftp://h": invalid URL: its scheme is "ftp"`},
		"url without host":     {dataproxy.WithURL("http://"), "names no host"},
		"url malformed":        {dataproxy.WithURL("127.0.0.1:8083"), `option url = "127.0.0.1:8083": invalid URL: it cannot be parsed`},
		"node without port":    {dataproxy.WithStaticNodes("h"), `option static_nodes: node "h": it must be host:port`},
		"node port":            {dataproxy.WithStaticNodes("h:0"), `port "0" must be 1 to 65535`},
		"no nodes":             {dataproxy.WithStaticNodes(), `option static_nodes: must name at least one "host:port"`},
		"column injected":      {dataproxy.WithAddColumns(map[string]string{"a": "1&isAck=false"}), `option add_columns: value "1&isAck=false" of attribute "a" has the character '&'`},
		"column reserved":      {dataproxy.WithAddColumns(map[string]string{"isAck": "false"}), `option add_columns: attribute name "isAck" is reserved`},
		"columns too long":     {dataproxy.WithAddColumns(map[string]string{"a": strings.Repeat("x", 4096)}), "option add_columns: the attributes have 4099 bytes together: they must have 4096 or less"},
		"CA file missing":      {dataproxy.WithCAFile("/no/such/file"), `option ca_file = "/no/such/file": open /no/such/file`},
		"CA file empty":        {dataproxy.WithCAFile(noCertificate), "holds no PEM certificate"},
		"auth without key":     {dataproxy.WithBasicAuth("id", ""), `option basic_auth: must be "secretId:secretKey", both not empty`},
		"auth without id":      {dataproxy.WithBasicAuth("", "k3y"), "both not empty"},
		"auth without colon":   {dataproxy.WithOption("basic_auth", "k3y"), "both not empty"},
		"metrics name":         {dataproxy.WithMetricsName("\xff"), `option metrics_name = "\xff": must be UTF-8`},
		"lifetime too short":   {dataproxy.WithMaxConnLifetime(time.Nanosecond), `option max_conn_lifetime = "1ns": must be 0, or 10ms or more`},
		"stored too soon":      {dataproxy.WithSpoolAfter(time.Millisecond), `option spool_after = "1ms": must be 0, or 10ms or more and less than send_timeout, which is 30s`},
		"stored too late":      {dataproxy.WithSpoolAfter(time.Minute), `option spool_after = "1m0s": must be 0, or 10ms or more and less than send_timeout, which is 30s`},
		"age too short":        {dataproxy.WithSpoolMaxAge(time.Millisecond), `option spool_max_age = "1ms": must be 0, or 1s or more`},
		"lifetime negative":    {dataproxy.WithMaxConnLifetime(-1), "option max_conn_lifetime"},
		"empty compression":    {dataproxy.WithCompression(""), "option compression"},
		"unknown format":       {dataproxy.WithMessageFormat("Text"), `option message_format = "Text": must be text or binary`},
		"retries below zero":   {dataproxy.WithMaxRetries(-1), `option max_retries = "-1": must be 0 or more`},
		"workers explicitly 0": {dataproxy.WithWorkerNum(0), `option worker_num = "0": must be 1 or more`},
	} {
		faults := faultsOf(c.opt)
		require.Len(t, faults, 1, "%s: %v", name, faults)
		require.ErrorContains(t, faults[0], c.part, name)
		require.NotContains(t, faults[0].Error(), "k3y", "a secret")
		require.Less(t, len(faults[0].Error()), 400, name)
	}
	faults := faultsOf(dataproxy.WithCAFile(caFile(t)), dataproxy.WithTLSConfig(&tls.Config{}), dataproxy.WithBasicAuth("a", "b"), dataproxy.WithAuth(tokens{}))
	require.Len(t, faults, 2)
	require.ErrorContains(t, faults[0], "option ca_file: cannot be given together with WithTLSConfig")
	require.ErrorContains(t, faults[1], "option basic_auth: cannot be given together with auth (WithAuth)")
}

// Fixing one fault to see the next one is a deployment each.
func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	_, err := dataproxy.NewClient(
		dataproxy.WithWorkerNum(-1), dataproxy.WithSendTimeout(0), dataproxy.WithMaxFrameSize(1), dataproxy.WithOption("no_such", "1"),
		dataproxy.WithOption("ordered", "maybe"), dataproxy.WithAddColumns(map[string]string{"mid": "1", "ok": "1", "": "2"}),
		dataproxy.WithOption("worker_num", "0"), dataproxy.WithStaticNodes("a", "b:1", "c:0"),
	)
	var texts []string
	for _, e := range multierr.Errors(err) {
		texts = append(texts, e.Error())
	}
	require.Equal(t, []string{
		`option "no_such": unknown`,
		`option ordered = "maybe": must be true or false`,
		`option worker_num = "0": must be 1 or more`,
		`option send_timeout = "0s": must be 1ms or more`,
		`option max_frame_size = "1": must be 1K or more`,
		"option group_id: group ID is not given",
		`option static_nodes: node "a": it must be host:port, or [address]:port for IPv6`,
		`option static_nodes: node "c:0": port "0" must be 1 to 65535`,
		`option add_columns: the attribute with value "2" has an empty name`,
		`option add_columns: attribute name "mid" is reserved by the protocol`,
	}, texts)
}

// An unset option has its default; an option set to zero is zero.
func TestExplicitZeroIsToldFromUnset(t *testing.T) {
	o := valid()
	dataproxy.WithMaxRetries(0)(o)
	dataproxy.WithBatchingMaxPublishDelay(0)(o)
	require.NoError(t, o.ValidateAndSetDefault())
	require.Zero(t, o.MaxRetries)
	require.Zero(t, o.BatchingMaxPublishDelay)
	require.Equal(t, 30*time.Second, o.SendTimeout)
	require.NoError(t, o.ValidateAndSetDefault(), "a second time")
	require.Zero(t, o.MaxRetries)
}

// nil given for an object means that its default is wanted, never a crash later.
func TestNilObjectsMeanTheDefault(t *testing.T) {
	o := valid()
	for _, opt := range []dataproxy.Option{dataproxy.WithLogger(nil), dataproxy.WithSlog(nil), dataproxy.WithMetricsRegistry(nil),
		dataproxy.WithBufferPool(nil), dataproxy.WithBytePool(nil), dataproxy.WithAuth(nil), dataproxy.WithTLSConfig(nil),
		dataproxy.WithAddColumns(nil), dataproxy.WithResultHandler(nil)} {
		opt(o)
	}
	require.NoError(t, o.ValidateAndSetDefault())
	require.Equal(t, prometheus.DefaultRegisterer, o.MetricsRegistry)
	o.Logger.Debugf("goes nowhere: below WARN")
	client := connect(t, cluster(t), nil, dataproxy.WithSlog(nil), dataproxy.WithLogger(dataproxy.NopLogger()), dataproxy.WithAuth(nil), nil)
	require.NoError(t, client.Send(patient(t), message("x")))
}

// The caller's map and slice are its own: it may change them while the client runs.
func TestOptionsKeepNoHoldOnTheCallersValues(t *testing.T) {
	c := cluster(t)
	columns, nodes := map[string]string{"column": "1"}, []string{c.Node(0).Addr(), c.Node(0).Addr()}
	client := connect(t, c, dataproxy.WithAddColumns(columns), dataproxy.WithStaticNodes(nodes...))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			columns[fmt.Sprint(i)], nodes[0] = "x", "broken"
		}
	}()
	for i := range 20 {
		msg := message("x")
		msg.Attributes = map[string]string{"other": fmt.Sprint(i)}
		require.NoError(t, client.Send(patient(t), msg))
	}
	<-done
	require.Len(t, client.Stats().Nodes, 1, "a node given twice is one")
	for _, r := range c.Received() {
		require.Equal(t, "1", r.Attr["column"])
	}
}
