package transport

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const ourClient = 0xabcdef

func ackOf(seq uint64) *wire.Answer {
	return &wire.Answer{Type: wire.TypeText, HasID: true, HasMID: true, ID: wire.BatchID{Client: ourClient, Seq: seq}}
}

func tableOf(seqs ...uint64) *inflight[string] {
	t := new(inflight[string])
	for _, seq := range seqs {
		t.push(Written[string]{Item: "frame", Seq: seq, At: time.Unix(int64(seq), 0)})
	}
	return t
}

func seqs[T any](list []Written[T]) (out []uint64) {
	for _, w := range list {
		out = append(out, w.Seq)
	}
	return out
}

// An answer that completes a batch it does not name reports messages as sent that nobody has.
func TestAnswerTakesOnlyTheFrameThatItNames(t *testing.T) {
	const text, binary = wire.TypeText, wire.TypeBinary
	for name, c := range map[string]struct {
		kind   byte
		answer wire.Answer
		want   uint64 // 0: none
	}{
		"first":                  {text, *ackOf(5), 5},
		"last":                   {text, *ackOf(1 << 33), 1 << 33},
		"one not in flight":      {text, *ackOf(7), 0},
		"seq of low 32 bits":     {text, *ackOf(0), 0},
		"another client's":       {text, wire.Answer{Type: text, HasID: true, HasMID: true, ID: wire.BatchID{Client: 1, Seq: 5}}, 0},
		"another client's error": {text, wire.Answer{Type: text, HasID: true, HasMID: true, Code: 2, ID: wire.BatchID{Client: 1, Seq: 5}}, 0},
		"success without mid":    {text, wire.Answer{Type: text}, 0},
		"success with odd mid":   {text, wire.Answer{Type: text, HasMID: true}, 0},
		"error with odd mid":     {text, wire.Answer{Type: text, HasMID: true, Code: 105}, 0},
		"error without mid":      {text, wire.Answer{Type: text, Code: 105}, 5},
		"binary in text mode":    {text, wire.Answer{Type: binary, Uniq: 6}, 0},
		"binary":                 {binary, wire.Answer{Type: binary, Uniq: 6}, 6},
		"binary, low 32 bits":    {binary, wire.Answer{Type: binary, Uniq: 0}, 1 << 33},
		"binary not in flight":   {binary, wire.Answer{Type: binary, Uniq: 9, Code: 1}, 0},
		"text in binary mode":    {binary, *ackOf(5), 0},
		"bare text in binary":    {binary, wire.Answer{Type: text, Code: 105}, 0},
	} {
		table := tableOf(5, 6, 1<<33)
		w, ok := table.take(&c.answer, c.kind, ourClient)
		if ok != (c.want != 0) || ok && w.Seq != c.want {
			t.Errorf("%s: took %d %v, want %d", name, w.Seq, ok, c.want)
		}
		if again, ok := table.take(&c.answer, c.kind, ourClient); ok && c.answer.HasID {
			t.Errorf("%s: a second answer took %d", name, again.Seq)
		}
	}
	empty := tableOf()
	_, ok := empty.take(&wire.Answer{Type: text, Code: 105}, text, ourClient)
	require.False(t, ok, "an error without a mid and nothing in flight")
}

// The error that names nothing belongs to the first frame without an answer, also when frames after it were answered.
func TestErrorWithoutIDMeansTheOldest(t *testing.T) {
	table, bare := tableOf(1, 2, 3, 4), &wire.Answer{Type: wire.TypeText, Code: 105}
	_, ok := table.take(ackOf(2), wire.TypeText, ourClient)
	require.True(t, ok)
	for _, want := range []uint64{1, 3, 4} {
		oldest, ok := table.oldest()
		require.True(t, ok)
		require.Equal(t, want, oldest.Seq)
		w, ok := table.take(bare, wire.TypeText, ourClient)
		require.True(t, ok)
		require.Equal(t, want, w.Seq)
		require.Equal(t, want != 4, w.Guess, "the last one can be meant alone")
	}
	_, ok = table.oldest()
	require.False(t, ok)
}

// The table moves entries about; a lost or doubled one is a message without or with two results.
func TestTableAgreesWithASimpleList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var list []uint64
		table, next := tableOf(), uint64(0)
		for range 500 {
			switch k := random.IntN(10); {
			case k < 5 && len(list) < 60:
				next++
				list = append(list, next)
				table.push(Written[string]{Seq: next})
			case k < 8 && len(list) > 0: // in order
				w, ok := table.take(ackOf(list[0]), wire.TypeText, ourClient)
				require.True(t, ok)
				require.Equal(t, list[0], w.Seq)
				list = list[1:]
			case len(list) > 0:
				i := random.IntN(len(list))
				w, ok := table.take(ackOf(list[i]), wire.TypeText, ourClient)
				require.True(t, ok)
				require.Equal(t, list[i], w.Seq)
				list = slices.Delete(slices.Clone(list), i, i+1)
			}
			require.Equal(t, len(list), table.live)
			if w, ok := table.oldest(); ok {
				require.Equal(t, list[0], w.Seq)
			}
		}
		require.True(t, slices.Equal(list, seqs(table.drain())))
		require.Zero(t, table.live)
	}
}

// A table that keeps what was answered grows with the life of a connection.
func TestTableDoesNotGrowInSteadyState(t *testing.T) {
	table := new(inflight[*int])
	for seq := uint64(1); seq <= 200000; seq++ {
		table.push(Written[*int]{Item: new(int), Seq: seq})
		if seq > 100 {
			_, ok := table.take(ackOf(seq-100), wire.TypeText, ourClient)
			require.True(t, ok)
		}
	}
	require.LessOrEqual(t, cap(table.entries), 512)
	for range 100 {
		_, ok := table.take(&wire.Answer{Type: wire.TypeText, Code: 1}, wire.TypeText, ourClient)
		require.True(t, ok)
	}
	for _, e := range table.entries[:cap(table.entries)] {
		require.Nil(t, e.Item, "an answered frame is still held")
	}
}

// One lost answer must not make every later one search the whole table: the lane would fall behind and look dead.
func TestOneLostAnswerDoesNotSlowTheOthers(t *testing.T) {
	const n = 300_000 // squared, this takes minutes
	table := tableOf(0)
	for seq := uint64(1); seq <= n; seq++ {
		table.push(Written[string]{Seq: seq})
	}
	start := time.Now()
	for seq := uint64(1); seq <= n; seq++ {
		w, ok := table.take(ackOf(seq), wire.TypeText, ourClient)
		if !ok || w.Seq != seq {
			t.Fatalf("%d: %d, %v", seq, w.Seq, ok)
		}
	}
	require.Less(t, time.Since(start), 10*time.Second)
	require.Equal(t, []uint64{0}, seqs(table.drain()))
}

// A frame whose item was forgotten still has its place in the order of answers: an error that names nothing would else fail the batch
// behind it. It holds next to nothing, and no answer is taken for it that belongs to another frame.
func TestForgottenFramesKeepTheirPlace(t *testing.T) {
	const dead, live = "dead", "live"
	fill := func(first uint64, count int, item string, t *inflight[string]) {
		for i := range uint64(count) {
			t.push(Written[string]{Item: item, Seq: first + i, At: time.Unix(1, 0)})
		}
	}
	isDead := func(item string) bool { return item == dead }
	for name, mode := range map[string]struct {
		kind   byte
		first  uint64
		answer func(seq uint64) *wire.Answer
	}{
		"text": {wire.TypeText, 100, ackOf},
		"binary, where the numbers begin anew": {wire.TypeBinary, 1<<32 - 700,
			func(seq uint64) *wire.Answer { return &wire.Answer{Type: wire.TypeBinary, Uniq: uint32(seq)} }},
	} {
		t.Run(name, func(t *testing.T) {
			table, first := new(inflight[string]), mode.first
			fill(first, 2*keptSlots, dead, table)
			fill(first+2*keptSlots, 2, live, table)
			fill(first+3*keptSlots, 2*keptSlots, dead, table)
			fill(first+50, 1, live, table) // tried again: its number is among those of the first run
			table.forget(isDead)
			require.Len(t, table.entries, 2+3, "two runs, three that are kept")
			require.Equal(t, 4*keptSlots, table.forgotten)
			take := func(a *wire.Answer) Written[string] {
				w, ok := table.take(a, mode.kind, ourClient)
				require.True(t, ok)
				return w
			}
			require.Equal(t, live, take(mode.answer(first+50)).Item)
			require.Empty(t, take(mode.answer(first+1)).Item)
			for range 2*keptSlots - 1 {
				if mode.kind == wire.TypeText {
					require.Empty(t, take(&wire.Answer{Type: wire.TypeText, Code: 105}).Item)
				} else {
					require.Empty(t, take(mode.answer(first+7)).Item)
				}
			}
			oldest, ok := table.oldest()
			require.True(t, ok)
			require.Equal(t, first+2*keptSlots, oldest.Seq)
			require.Equal(t, live, take(mode.answer(first+2*keptSlots)).Item)
			require.Equal(t, []uint64{first + 2*keptSlots + 1}, seqs(table.drain()))
			require.Equal(t, 2*keptSlots, table.forgotten)
		})
	}
}
