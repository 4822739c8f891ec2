//go:build !windows

package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/tail"
)

// A quote that was left open held all rows after it, up to a frame's length, and nothing told of it. It is told, and costs its row alone.
func TestAQuoteThatIsLeftOpenIsToldAndCostsItsRow(t *testing.T) {
	own := unendedRow
	unendedRow = time.Millisecond
	t.Cleanup(func() { unendedRow = own })
	cluster := dataproxytest.Start(t)
	client, err := dataproxy.NewClient(dataproxy.WithURL(cluster.URL()), dataproxy.WithGroupID("test_group"))
	require.NoError(t, err)
	defer client.Close()
	path, text := writeFile(t, "a.csv", "a,b\n0,\"one\nrow\"\n1,\"open\n2,x\n"), &said{}
	log := slog.New(slog.NewTextHandler(text, nil))
	s := &shipment{client: client, stream: "s", format: format{name: "csv", encoding: "utf-8", longest: 1000}, follow: true, log: log}
	s.files = tail.Open(tail.Config{Paths: []string{path}, Follow: true, Rotated: true, Log: log})
	defer s.files.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	stop := s.resend(ctx)
	go func() { ended <- s.run(ctx) }()
	eventually(t, "it is told", func() bool {
		return strings.Contains(text.String(), "a row does not end") && strings.Contains(text.String(), "line=4")
	})
	require.Equal(t, int64(1), s.lines.Load(), "the rows after it wait")
	const rows = 200
	for i := range rows {
		appendTo(t, path, fmt.Sprintf("%d,more\n", i+3))
	}
	eventually(t, "the others are sent", func() bool { return s.acked.Load() == rows+2 })
	cancel()
	require.NoError(t, <-ended)
	stop()
	require.Equal(t, int64(1), s.lost.Load())
	require.Contains(t, text.String(), "line 4: input log is invalid: the row is not CSV: the row does not end: is a quote left open?")
	require.Equal(t, rows+2, cluster.Count())
}
