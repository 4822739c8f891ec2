package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// An id that names another frame than before makes a consumer drop messages, or take doubles; a judge that forgets too much or too little
// does not see it.
func TestJudgeFindsFramesThatChange(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		id    string
		items []string
		later time.Duration
		want  int64
	}{
		"the same again":    {"x", []string{"a", "bc"}, time.Second, 0},
		"another id":        {"y", []string{"a"}, time.Second, 0},
		"an item less":      {"x", []string{"a"}, time.Second, 1},
		"another order":     {"x", []string{"bc", "a"}, time.Second, 1},
		"cut another way":   {"x", []string{"ab", "c"}, time.Second, 1},
		"within its time":   {"x", []string{"a"}, 3 * sendTimeout, 1},
		"long after it all": {"x", []string{"a"}, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudge()
			record := func(id string, at time.Time, items ...string) *dataproxytest.Record {
				r := &dataproxytest.Record{Attr: map[string]string{"mid": id}, At: at}
				for _, item := range items {
					r.Items = append(r.Items, []byte(item))
				}
				return r
			}
			j.frame(record("x", now, "a", "bc"))
			j.frame(record("z", now.Add(c.later), "z"))
			j.frame(record(c.id, now.Add(c.later), c.items...))
			require.Equal(t, c.want, j.snapshot().Changed)
			j.frame(record("z", now.Add(time.Hour), "z"))
			require.LessOrEqual(t, len(j.frames.of), 2)
		})
	}
}
