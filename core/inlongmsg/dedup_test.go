package inlongmsg

import (
	"fmt"
	"testing"
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
