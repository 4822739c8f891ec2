package main

import (
	"fmt"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	rows "github.com/inlong-dataproxy/inlong-dataproxy/core/row"
)

// distinctItems is how many messages in a row have attributes of their own that differ.
const distinctItems = 20_000

// maker makes what is sent of a line of the corpus; one for each caller. A pointer would move each message to the heap.
type maker func(dataproxy.Message) dataproxy.Message

// newMaker returns nil for a job whose messages are lines of the corpus as they are.
func newMaker(j job) (maker, error) {
	switch {
	case j.Row:
		format, err := rows.New(rows.Settings{Type: rows.CSV, Escape: '\\'})
		var made []byte
		return func(msg dataproxy.Message) dataproxy.Message {
			line := msg.Payload[:len(msg.Payload)-1] // its newline would have to be escaped
			n := len(line) / 10
			if made, err = format.Append(made[:0], rows.Bytes(line[:n]), rows.Bytes(line[n:2*n]), rows.Bytes(line[2*n:3*n]), rows.Bytes(line[3*n:4*n]),
				rows.Bytes(line[4*n:5*n]), rows.Bytes(line[5*n:6*n]), rows.Bytes(line[6*n:7*n]), rows.Bytes(line[7*n:8*n]), rows.Bytes(line[8*n:9*n]),
				rows.Bytes(line[9*n:])); err != nil {
				panic(err) // the corpus has nothing that a row refuses
			}
			return msg // the line: a row is longer and compresses otherwise, which is not what making it costs
		}, err
	case j.Items:
		all, next := make([]map[string]string, distinctItems), 0
		for i := range all {
			all[i] = map[string]string{"trace": fmt.Sprintf("%032x", uint64(i+1)*0x9e3779b97f4a7c15)}
		}
		return func(msg dataproxy.Message) dataproxy.Message {
			msg.ItemAttributes = all[next]
			if next++; next == len(all) {
				next = 0
			}
			return msg
		}, nil
	}
	return nil, nil
}
