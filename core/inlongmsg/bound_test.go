package inlongmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// bombs are values of at most a megabyte that decode to very much.
func bombs() map[string][]byte {
	var itemized []byte
	for i := range maxItemized {
		itemized = wire.AppendItem(wire.AppendItem(itemized, []byte("x")), fmt.Appendf(nil, "k=%d", i))
	}
	empty := make([]byte, 2<<20) // half a million items
	attr := []byte("groupId=g&streamId=s&mid=1&long=" + strings.Repeat("x", 30_000))
	framed := func(body []byte, compressed, items bool) []byte {
		value := wire.AppendBinary([]byte{magic, VersionBinary}, body, attr, 1, 1, 1, compressed, items)
		return append(value, magic, VersionBinary)
	}
	text := append([]byte{magic, VersionText}, make([]byte, 12)...)
	text[13] = 1
	packed := s2.EncodeSnappy(nil, empty)
	text = append(binary.BigEndian.AppendUint16(text, 4), "dt=1"...)
	text = append(binary.BigEndian.AppendUint32(text, uint32(len(packed)+1)), 1)
	return map[string][]byte{
		"attributes of items": framed(itemized, false, true),
		"items":               framed(empty, true, false),
		"items of text":       append(append(text, packed...), magic, VersionText),
	}
}

// A value of half a megabyte decoded to two gigabytes, which took the consumer and all that ran beside it.
func TestAValueThatTakesTooMuchMemoryIsRefused(t *testing.T) {
	for name, value := range bombs() {
		t.Run(name, func(t *testing.T) {
			if len(value) > 1<<20 {
				t.Fatalf("the value has %d bytes", len(value))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Decoder{MaxBytes: 20 << 20}.Decode(value)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrTooLarge) || !errors.Is(err, ErrMalformed) || !strings.Contains(fmt.Sprint(err), "MaxBytes") {
				t.Errorf("error %v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 100<<20 {
				t.Errorf("it took %d bytes on the way", took)
			}
		})
	}
	huge := binary.AppendUvarint([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 6, 1}, DefaultMaxBytes+1)
	if _, err := Decode(append(append([]byte{magic, VersionText}, huge...), magic, VersionText)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("without a bound of its own: %v", err)
	}
	if _, err := (Decoder{MaxBytes: 4 << 10}).Decode(itemized(2, "a", "k=1", "b", "k=2")); err != nil {
		t.Errorf("a value within the bound: %v", err)
	}
}
