package main

import (
	"encoding/binary"
	"fmt"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// message is a message's unique id: all that it is sent with can be made from it.
type message struct{ life, number uint32 }

const (
	group   = "crash_group"
	idBytes = 8
	streams = 7
)

// payload is the id and, up to a length that varies with it, bytes of every value.
func (m message) payload(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, m.life)
	dst = binary.BigEndian.AppendUint32(dst, m.number)
	n := m.number * 37 % 300
	if m.number%1000 == 999 {
		n = 60_000
	}
	for i := range n {
		dst = append(dst, byte(i+m.number))
	}
	return dst
}

func parseMessage(payload []byte) (m message, ok bool) {
	if len(payload) < idBytes {
		return m, false
	}
	return message{binary.BigEndian.Uint32(payload), binary.BigEndian.Uint32(payload[4:])}, true
}

func (m message) stream() string { return fmt.Sprint("stream", m.number%streams) }

// color is its attribute.
func (m message) color() string { return fmt.Sprint(m.life % 3) }

// time is its event time, in seconds, which is what each format keeps.
func (m message) time() time.Time { return time.Unix(1_700_000_000+int64(m.life), 0) }

func (m message) whole() dataproxy.Message {
	return dataproxy.Message{StreamID: m.stream(), Payload: m.payload(nil), Time: m.time(), Attributes: map[string]string{"color": m.color()}}
}

// note is what a client says of itself, 16 bytes on its standard output. What is in the pipe outlives it.
type note struct {
	kind   byte
	number uint32 // of a message; of began, they are below it; of alive, ms for which acks are on their way and wait for the disk
	at     int64  // ns since 1970, by the client's clock
}

const (
	began   = 'b' // messages below number may have been sent
	acked   = 'a'
	stored  = 's' // result "stored"
	refused = 'r' // any other error
	alive   = 'l' // each tick
	opened  = 'o' // the client is there
	drained = 'd' // nothing is left in the spool

	noteBytes = 16
	tick      = 10 * time.Millisecond
)

func (n note) bytes() []byte {
	b := make([]byte, 4, noteBytes)
	b[0] = n.kind
	b = binary.BigEndian.AppendUint32(b, n.number)
	return binary.BigEndian.AppendUint64(b, uint64(n.at))
}

func parseNote(b []byte) note {
	return note{b[0], binary.BigEndian.Uint32(b[4:]), int64(binary.BigEndian.Uint64(b[8:]))}
}
