package row_test

import (
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// One row of 100 bytes in ten fields.
func BenchmarkAppend(b *testing.B) {
	format, err := row.New(row.Settings{Type: row.CSV, Escape: '\\'})
	if err != nil {
		b.Fatal(err)
	}
	texts := []string{"2026-01-02", "user-12345", "GET /index", "0123456789", "some words", "abcdefghij", "200 OK 123", "mozilla/50", "10.0.0.123", "the-last."}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buffer, err = format.Append(buffer[:0], row.Text(texts[0]), row.Text(texts[1]), row.Text(texts[2]), row.Text(texts[3]), row.Text(texts[4]),
			row.Text(texts[5]), row.Text(texts[6]), row.Text(texts[7]), row.Text(texts[8]), row.Text(texts[9])); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buffer)))
}
