package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkStore is a batch of 50 messages of 100 bytes, compressed to half, from one call to its ack, ten batches a call; beside it a
// bare loop that writes the same bytes.
func BenchmarkStore(b *testing.B) {
	const group = 10
	records := make([]Record, group)
	for i := range records {
		records[i] = batchOf(i + 1)
		records[i].Body = make([]byte, 2600)
	}
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync=%v/spool", sync), func(b *testing.B) {
			mode := SyncOff
			if sync {
				mode = SyncBatch
			}
			s, err := Open(b.TempDir(), Options{Sync: mode})
			require.NoError(b, err)
			defer s.Close()
			b.ReportAllocs()
			var refs []Ref
			for n := 1; b.Loop(); n++ {
				if refs, err = s.Append(refs[:0], records, true); err != nil {
					b.Fatal(err)
				}
				if sync {
					if err := s.Sync(); err != nil {
						b.Fatal(err)
					}
				}
				for _, r := range refs {
					s.Ack(r)
				}
				if n%100 == 0 {
					_ = s.FlushAcks(false)
				}
			}
		})
		b.Run(fmt.Sprintf("sync=%v/bare", sync), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "file"))
			require.NoError(b, err)
			defer f.Close()
			bytes := make([]byte, group*records[0].size())
			for b.Loop() {
				if _, err := f.Write(bytes); err != nil {
					b.Fatal(err)
				}
				if sync {
					if err := f.Sync(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkReadBack reads a backlog of such batches.
func BenchmarkReadBack(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	require.NoError(b, err)
	defer s.Close()
	r := batchOf(1)
	r.Body = make([]byte, 2600)
	records := make([]Record, 1000)
	for i := range records {
		records[i] = r
	}
	_, err = s.Append(nil, records, false)
	require.NoError(b, err)
	b.ReportAllocs()
	var refs []Ref
	for b.Loop() {
		ref, _, ok := s.Next()
		if !ok {
			b.StopTimer()
			for _, r := range refs {
				s.Release(r)
			}
			refs = refs[:0]
			b.StartTimer()
			continue
		}
		refs = append(refs, ref)
	}
}
