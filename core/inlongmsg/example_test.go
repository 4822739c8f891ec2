package inlongmsg_test

import (
	"fmt"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/inlongmsg"
)

// values stands for the values of a topic's records, as any client of Kafka or Pulsar hands them out. docs/GO.md has a program that reads
// a topic of Kafka.
func values() [][]byte { return nil }

func ExampleDedup() {
	doubles := inlongmsg.NewDedup(1_000_000)
	for _, value := range values() {
		m, err := inlongmsg.Decode(value)
		if err != nil {
			fmt.Println("not from a DataProxy, or damaged:", err)
			continue
		}
		if doubles.Seen(&m) {
			continue
		}
		for _, block := range m.Blocks {
			attributes := inlongmsg.Attributes(block.Attr)
			for i, payload := range block.Items {
				fmt.Printf("%s %s %d: %s\n", attributes["streamId"], attributes["mid"], block.Places[i], payload)
			}
		}
	}
	// Output:
}
