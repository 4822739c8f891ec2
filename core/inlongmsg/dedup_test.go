package inlongmsg

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func valueOf(attr string) *Message {
	return &Message{Version: VersionText, Blocks: []Block{{Attr: attr}}}
}

func batchOf(mid int) *Message { return valueOf(fmt.Sprintf("groupId=g&streamId=s&mid=%d", mid)) }

// A double that is let through is counted twice; a value that is taken for one is lost.
func TestDedupTellsDoublesAndNothingElse(t *testing.T) {
	d := NewDedup(100)
	for i := range 100 {
		if d.Seen(batchOf(i)) {
			t.Fatalf("batch %d came once", i)
		}
	}
	for i := range 100 {
		if !d.Seen(batchOf(i)) {
			t.Errorf("batch %d came twice", i)
		}
	}
	for _, other := range []string{"groupId=h&streamId=s&mid=1", "groupId=g&streamId=t&mid=1", "groupId=g&streamId=s&mid=01"} {
		if d.Seen(valueOf(other)) {
			t.Errorf("%s is another batch", other)
		}
	}
	for _, unknown := range []*Message{valueOf("groupId=g&streamId=s"), valueOf("groupId=g&streamId=s&mid="), {},
		{Blocks: []Block{{Attr: "mid=1"}, {Attr: "mid=2"}}}} {
		for range 2 {
			if d.Seen(unknown) {
				t.Errorf("%+v: nothing tells whether it is a double", unknown)
			}
		}
	}
}

// Memory that grows with each batch ends the consumer.
func TestDedupRemembersSoManyBatchesAndNoMore(t *testing.T) {
	d := NewDedup(10)
	for i := range 1000 {
		if d.Seen(batchOf(i)) || !d.Seen(batchOf(i)) || !d.Seen(batchOf(max(i-9, 0))) {
			t.Fatalf("batch %d, or the tenth last one", i)
		}
		if len(d.known) > 10 {
			t.Fatalf("%d batches are remembered", len(d.known))
		}
	}
	if len(d.known) != 10 || d.Seen(batchOf(3)) {
		t.Errorf("%d batches are remembered", len(d.known))
	}
}

// A value that could not be used is read again, and must not be passed over then.
func TestDedupForgetsWhatWasNotUsed(t *testing.T) {
	d := NewDedup(2)
	d.Seen(batchOf(1))
	d.Forget(batchOf(1))
	d.Forget(batchOf(7))
	if d.Seen(batchOf(1)) || !d.Seen(batchOf(1)) {
		t.Error("forgotten, and then there")
	}
	for i := 2; i < 50; i++ {
		if d.Seen(batchOf(i)) || !d.Seen(batchOf(i)) || len(d.known) > 2 {
			t.Fatalf("batch %d: %d remembered", i, len(d.known))
		}
		if i%3 == 0 {
			d.Forget(batchOf(i))
		}
	}
	d.Forget(valueOf(""))
}

// A value that fails again and again must not push out those that were used: their doubles would be used, too.
func TestDedupForgettingTakesNoBatchsPlace(t *testing.T) {
	const most = 7
	rng := rand.New(rand.NewPCG(1, 1))
	d := NewDedup(most)
	var known []int // in the order of coming
	for step := range 20_000 {
		mid := rng.IntN(2 * most)
		at := slices.Index(known, mid)
		if rng.IntN(3) == 0 {
			d.Forget(batchOf(mid))
			if at >= 0 {
				known = slices.Delete(known, at, at+1)
			}
			continue
		}
		if seen := d.Seen(batchOf(mid)); seen != (at >= 0) {
			t.Fatalf("step %d: batch %d of %v: seen: %v", step, mid, known, seen)
		}
		if at < 0 {
			if known = append(known, mid); len(known) > most {
				known = known[1:]
			}
		}
		if len(d.known) != len(known) {
			t.Fatalf("step %d: %d batches are remembered, want %v", step, len(d.known), known)
		}
	}
}

// The ids of a batch are a part of its attributes, all of which would stay in memory with them: up to 64 KB for each batch.
func TestDedupKeepsNoOtherAttributes(t *testing.T) {
	d := NewDedup(10)
	attr := strings.Clone("groupId=g&streamId=s&mid=1&long=" + strings.Repeat("x", 1000))
	d.Seen(valueOf(attr))
	begin := uintptr(unsafe.Pointer(unsafe.StringData(attr)))
	for key := range d.known {
		for _, text := range []string{key.group, key.stream, key.mid} {
			if at := uintptr(unsafe.Pointer(unsafe.StringData(text))); at >= begin && at < begin+uintptr(len(attr)) {
				t.Errorf("%q is a part of the attributes", text)
			}
		}
	}
	runtime.KeepAlive(attr)
}

// Items with attributes of their own are several blocks of one batch.
func TestDedupTakesTheGroupsOfAValueForOneBatch(t *testing.T) {
	d := NewDedup(10)
	m, err := Decode(itemized(2, "a", "k=1", "b", "k=2"))
	if err != nil || len(m.Blocks) != 2 {
		t.Fatal(m, err)
	}
	if d.Seen(&m) || !d.Seen(&m) {
		t.Error("its second coming is a double")
	}
}

// A writer of the queue chose how much of the reader's memory a batch took: its mid may be as long as a value.
func TestDedupRemembersNoIdsThatAreTooLong(t *testing.T) {
	d := NewDedup(10)
	for _, attr := range []string{"groupId=%s&streamId=s&mid=1", "groupId=g&streamId=%s&mid=1", "groupId=g&streamId=s&mid=%s"} {
		long := valueOf(fmt.Sprintf(attr, strings.Repeat("x", 2000)))
		for range 2 {
			if d.Seen(long) || len(d.known) > 0 {
				t.Errorf("%.60s is remembered", attr)
			}
		}
		usual := valueOf(fmt.Sprintf(attr, strings.Repeat("x", 200)))
		if d.Seen(usual) || !d.Seen(usual) {
			t.Errorf("%.60s is not remembered", attr)
		}
		d.Forget(usual)
	}
}

// A sink that is down makes every value one to forget: each looked through all that are remembered, from the oldest place on, while others
// waited.
func BenchmarkDedupForgetsTheLatest(b *testing.B) {
	d := NewDedup(100_000)
	for mid := range 190_000 {
		d.Seen(batchOf(mid))
	}
	last := batchOf(-1)
	for b.Loop() {
		d.Seen(last)
		d.Forget(last)
	}
}
