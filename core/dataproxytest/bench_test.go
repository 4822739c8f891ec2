package dataproxytest

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// BenchmarkNode sends frames of 50 messages of 100 B in writes of 16 frames and reads the answers. The CPU of that
// bare client is part of the figure.
func BenchmarkNode(b *testing.B) {
	for name, opts := range map[string][]Option{
		"frames":  nil,
		"digest":  {WithDigestRecorder()},
		"counts":  {WithoutRecorder()},
		"trusted": {WithoutRecorder(), WithTrustedBodies()},
	} {
		b.Run(name, func(b *testing.B) {
			c := Start(b, append(opts, WithNodes(1))...)
			var body []byte
			for i := range 50 {
				body = wire.AppendItem(body, fmt.Appendf(nil, "%-100s", fmt.Sprintf("2026-01-02 03:04:05 INFO request %d served in %d ms", i*7919, i*i%97)))
			}
			attr := []byte("groupId=test_group&streamId=test_stream&dt=1700000000000&mid=0123456789abcdef&sid=0123456789abcdef&cnt=50")
			frame := wire.AppendText(nil, body, attr, true)
			var write []byte
			const perWrite = 16
			for range perWrite {
				write = append(write, frame...)
			}
			nc, err := net.Dial("tcp", c.Node(0).Addr())
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			if _, err := nc.Write(frame); err != nil {
				b.Fatal(err)
			}
			head := make([]byte, 4)
			if _, err := io.ReadFull(nc, head); err != nil {
				b.Fatal(err)
			}
			size := int(head[2])<<8 | int(head[3])
			if _, err := io.CopyN(io.Discard, nc, int64(size)); err != nil {
				b.Fatal(err)
			}
			rounds := b.N/perWrite + 1
			b.ResetTimer()
			done := make(chan error, 1)
			go func() {
				buf, want := make([]byte, 256<<10), rounds*perWrite*(size+4)
				for want > 0 {
					n, err := nc.Read(buf)
					if want -= n; err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			for range rounds {
				if _, err := nc.Write(write); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(rounds*perWrite)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}
