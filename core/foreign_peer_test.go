package dataproxy_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tcptest"
)

func staticClient(address string, opts ...dataproxy.Option) (dataproxy.FullClient, error) {
	return dataproxy.NewClient(append([]dataproxy.Option{dataproxy.WithStaticNodes(address), dataproxy.WithGroupID("test_group"),
		dataproxy.WithLogger(dataproxy.NopLogger()), dataproxy.WithMetricsRegistry(prometheus.NewRegistry())}, opts...)...)
}

// A port that sends back what it gets answers a heartbeat rightly, and a text frame that came back passed for an ack: all data was lost, and
// each send returned nil.
func TestD17_EchoIsNoAck(t *testing.T) {
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		for _, size := range []int{1, 2, 300} {
			t.Run(fmt.Sprint(format, " ", size), func(t *testing.T) {
				t.Parallel()
				client, err := staticClient(tcptest.Serve(t, tcptest.Listen(t), func(c net.Conn) { _, _ = io.Copy(c, c) }), dataproxy.WithMessageFormat(format),
					dataproxy.WithSendTimeout(3*time.Second), dataproxy.WithAckTimeout(500*time.Millisecond))
				require.NoError(t, err)
				defer client.Close()
				err = client.Send(patient(t), message(string(make([]byte, size))))
				require.ErrorContains(t, err, "no DataProxy")
				require.Zero(t, client.Stats().Acked)
			})
		}
	}
}

// A wrong address in the configuration cost hours: the error said that something is late, or nothing at all.
func TestD17_ErrorSaysWhatIsThereInsteadOfADataProxy(t *testing.T) {
	t.Parallel()
	plain, secured := httptest.NewServer(http.NotFoundHandler()), httptest.NewUnstartedServer(http.NotFoundHandler())
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	secured.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secured.Close)
	for name, c := range map[string]struct{ address, part string }{
		"HTTP":    {plain.Listener.Addr().String(), "an HTTP server answers here"},
		"TLS":     {secured.Listener.Addr().String(), "or a server of another protocol"},
		"silence": {tcptest.Serve(t, tcptest.Listen(t), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "(no node answered within 1s|not a byte came)"},
	} {
		t.Run(name, func(t *testing.T) {
			// A peer has a tenth of the time to say what it is. On a busy machine it may need another try.
			eventually(t, "NewClient tells it", func() bool {
				_, err := staticClient(c.address, dataproxy.WithConnTimeout(time.Second))
				return assert.ErrorIs(t, err, dataproxy.ErrNoAvailableWorker) && regexp.MustCompile(c.part).MatchString(err.Error())
			})
			lazy, err := staticClient(c.address, dataproxy.WithConnTimeout(time.Second), dataproxy.WithLazyStart(true), dataproxy.WithSendTimeout(4*time.Second))
			require.NoError(t, err)
			defer lazy.Close()
			if name == "silence" {
				c.part = "not a byte came"
			}
			eventually(t, "the error of a message tells it", func() bool {
				err := lazy.Send(patient(t), message("x"))
				return assert.True(t, isCode(err, dataproxy.CodeSendTimeout)) && assert.Equal(t, dataproxy.NotWritten, err.(*dataproxy.Error).Persisted()) &&
					strings.Contains(err.Error(), c.part)
			})
		})
	}
}
