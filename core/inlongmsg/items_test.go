package inlongmsg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// itemized is a value of a binary frame whose items have attributes of their own: payload and attributes by turns.
func itemized(count int, parts ...string) []byte {
	var body []byte
	for _, part := range parts {
		body = binary.BigEndian.AppendUint32(body, uint32(len(part)))
		body = append(body, part...)
	}
	frame := wire.AppendBinary([]byte{magic, VersionBinary}, body, []byte("groupId=g&streamId=s&mid=1"), 1, 1, uint16(count), false, true)
	return append(frame, magic, VersionBinary)
}

// A consumer puts items with the same attributes together, and the frame's values before theirs: anyone who counts on the order that was
// sent, or on a value of an item, is wrong.
func TestItemsWithAttributesAreReadInGroups(t *testing.T) {
	m, err := Decode(itemized(4, "C1", "k=a", "C2", "k=b&x=1", "C3", "k=a", "C4", "x=1&k=b&mid=2"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range m.Blocks {
		got = append(got, fmt.Sprintf("%s: %s %v", b.Attr, b.Items, b.Places))
	}
	want := "groupId=g&streamId=s&mid=1&k=a: [C1 C3] [0 2]; groupId=g&streamId=s&mid=1&k=b&x=1: [C2 C4] [1 3]"
	if strings.Join(got, "; ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "; "), want)
	}
}

// A decoder that reads around one bad item says of a record that nobody can read that it arrived.
func TestOneBadItemMakesTheWholeValueUnreadable(t *testing.T) {
	for name, value := range map[string][]byte{
		"empty item":         itemized(2, "a", "k=1", "", "k=2"),
		"empty attributes":   itemized(2, "a", "k=1", "b", ""),
		"no =":               itemized(2, "a", "k=1", "b", "k"),
		"two =":              itemized(2, "a", "k=1", "b", "k=2=3"),
		"& at the end":       itemized(2, "a", "k=1", "b", "k=2&"),
		"a key twice":        itemized(2, "a", "k=1", "b", "k=2&k=3"),
		"no last attributes": itemized(2, "a", "k=1", "b"),
		"too many":           itemized(32768, "a", "k=1"),
	} {
		if m, err := Decode(value); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}
