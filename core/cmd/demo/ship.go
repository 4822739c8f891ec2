package main

import (
	"context"
	"fmt"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// runLimit bounds one program's run; a sound one takes seconds.
const runLimit = 5 * time.Minute

// outcome is what became of one program's run.
type outcome struct {
	program program
	wanted  int
	result  result
	diff    difference
	err     error
	events  string // what happened to the node
	spared  bool   // no node was killed, so that the run shows little
}

// ship runs one program against the cluster, with a node's death in the middle, and compares what arrived.
func ship(ctx context.Context, cluster *dataproxytest.Cluster, p program, src *source) *outcome {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	cluster.Reset()
	o := &outcome{program: p, wanted: src.lines}
	accident := startAccident(ctx, cluster, src.lines)
	bar := startBar(cluster, accident, p.language, src.lines)
	o.result, o.err = p.run(ctx, cluster.URL(), src.path)
	o.events, o.spared = accident.end()
	bar.stop()
	o.diff = src.tally.compare(func(yield func([]byte) bool) {
		cluster.Each(func(r dataproxytest.Record) bool {
			if !r.Kept || r.Group != group || r.Stream != p.stream() {
				return true
			}
			for _, line := range r.Items {
				if !yield(line) {
					return false
				}
			}
			return true
		})
	})
	return o
}

// fault returns why the run was not a success, or "".
func (o *outcome) fault() string {
	switch {
	case o.err != nil:
		return o.err.Error()
	case o.result.Lines != o.wanted:
		return fmt.Sprintf("it sent %s of %s lines", thousands(o.result.Lines), thousands(o.wanted))
	case o.result.Acked != o.wanted || o.result.Failed != 0:
		return fmt.Sprintf("%s of %s lines were acked", thousands(o.result.Acked), thousands(o.wanted))
	case o.diff.missing != 0:
		return fmt.Sprintf("%s lines did not arrive", thousands(o.diff.missing))
	case o.diff.foreign != 0:
		return fmt.Sprintf("%s lines arrived that are not in the file", thousands(o.diff.foreign))
	case o.spared:
		return "no node was killed"
	}
	return ""
}
