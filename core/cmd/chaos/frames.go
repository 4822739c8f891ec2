package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// frames remembers what came under each batch id: a consumer tells doubles by it, so it must name the same messages each time.
type frames struct {
	of     map[string]frame
	oldest time.Time
}

type frame struct {
	items uint64 // a hash of them, in their order
	at    time.Time
}

// frame notes a frame that a node read, refused or not.
func (j *judge) frame(r *dataproxytest.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.frames.changed(r) {
		j.tally.Changed++
	}
}

// changed notes a frame and reports whether its id came before with other items.
func (f *frames) changed(r *dataproxytest.Record) bool {
	if f.of == nil {
		f.of = make(map[string]frame)
	}
	h := xxhash.New()
	for _, item := range r.Items {
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(item))))
		_, _ = h.Write(item)
	}
	id, now := r.Attr["mid"], frame{h.Sum64(), r.At}
	before, again := f.of[id]
	f.of[id] = now
	if r.At.Sub(f.oldest) > sendTimeout { // a batch is not written after its deadline, but may be with a slow node
		f.oldest = r.At
		for id, seen := range f.of {
			if r.At.Sub(seen.at) > 3*sendTimeout {
				delete(f.of, id)
			}
		}
	}
	return again && before.items != now.items
}

// shortFrames is a Manager that has lowered the length of a frame below that of batches, and of some messages.
func (w *wrecker) shortFrames() dataproxytest.Fault {
	var list []string
	for i, n := range w.cluster.Nodes() {
		host, port, _ := net.SplitHostPort(n.Addr())
		list = append(list, fmt.Sprintf(`{"id":%d,"ip":%q,"port":%s,"protocolType":"TCP"}`, i+1, host, port))
	}
	return dataproxytest.HTTPBody(fmt.Sprintf(`{"success":true,"errMsg":null,"data":{"maxPacketLength":%d,"nodeList":[%s]}}`,
		600+w.random.IntN(8000), strings.Join(list, ",")))
}
