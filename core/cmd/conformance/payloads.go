package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// anyBytes are payloads that a client may mistake for something else: ends of lines and of strings, text in UTF-8 and what
// is none, lengths, attributes, ends of frames; and every byte there is.
func anyBytes() [][]byte {
	all := make([]byte, 256)
	list := [][]byte{
		[]byte("\n"), []byte("ends in a newline\n"), []byte("\r\n"), []byte("\n\n"), []byte("a\nb\r\nc"), []byte(" blank around \t"),
		[]byte("\x00"), []byte("a\x00b\x00"), []byte("\x00\x00\x00\x00"), []byte("x"),
		[]byte("é"), []byte("日本語 \U0001F642 कखग"), []byte("\xEF\xBB\xBFwith a mark"), []byte("\xff\xfe\xc3("), []byte("\xed\xa0\x80"),
		[]byte("a&b=c&mid=1&errCode=5"), []byte("\x00\x00\x00\x05hello"), []byte("\xee\x01"), []byte(`{"k":"v\n"}`),
		[]byte(strings.Repeat("compressible ", 3000)), noise(30_000, 1),
	}
	for i := range all {
		all[i] = byte(i)
		list = append(list, []byte{byte(i)})
	}
	return append(list, all)
}

// anySizes are payloads of every size at which a length word, the bound of compression, a batch or a buffer may go wrong.
func anySizes(longest int) (list [][]byte) {
	sizes := []int{100, 1023, 1024, 1025, 4095, 4096, 4097, 40<<10 - 5, 40<<10 - 4, 40<<10 - 3, 40 << 10, 40<<10 + 1, 65535, 65536, 100_000, 200_000}
	for n := 1; n <= 20; n++ {
		sizes = append(sizes, n, 244+n)
	}
	for i, n := range sizes {
		if n <= longest {
			list = append(list, noise(n, uint64(i)), pattern(n, i))
		}
	}
	return list
}

// numbered are n payloads of size bytes that tell which they are.
func numbered(n, size int) (list [][]byte) {
	for i := range n {
		list = append(list, []byte(fmt.Sprintf("%0*d", size, i)))
	}
	return list
}

// noise is what no compressor makes shorter.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	source := rand.NewPCG(seed, uint64(n))
	for i := range b {
		b[i] = byte(source.Uint64() >> 32)
	}
	return b
}

// pattern is what every compressor makes shorter.
func pattern(n, seed int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%d: a line of a log, much like the others; ", seed), n/20+1)[:n]
}
