//go:build unix

package tail

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A run may be killed after the rename and before there is a new file: what comes then is no first meeting.
func TestARunThatEndsInTheMiddleOfARotationLosesNothing(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	o, stop := d.follow(run{paths: []string{"app.log"}, wait: time.Minute})
	d.arrives(o, "a")
	d.rename("app.log", "app.log.1")
	d.eventually("it is seen to be gone", func() bool {
		places, err := Places(d.path("state"))
		return err == nil && o.save() == nil && len(places) == 0
	})
	stop()
	d.rename("app.log.1", "app.log.2")
	d.add("app.log.1", "b")
	d.add("app.log", "c")
	d.same(d.once("app.log"), "b", "c")
}

// A file may be copied, packed and truncated again before a byte of it was read: only the copies tell that there was anything.
func TestContentThatCameAndWentUnreadIsFoundInItsCopies(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	d.same(d.once("app.log"), "a")
	d.truncate("app.log")
	d.same(d.once("app.log"))
	d.add("app.log", "b")
	d.copytruncate("app.log", "app.log.1")
	d.add("app.log", "c")
	d.rename("app.log.1", "app.log.2")
	d.pack("app.log.2")
	d.copytruncate("app.log", "app.log.1")
	d.same(d.once("app.log"), "b", "c")
}

// The number of a packed and deleted file goes to the next one that is packed, which nobody has met.
func TestTheNumberOfADeletedFileHidesNoOther(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	d.same(d.once("app.log"), "a")
	for i := range 4 {
		want := []string{}
		for j := range 3 {
			line := string(rune('b'+i)) + string(rune('0'+j))
			want = append(want, line)
			d.add("app.log", line)
			for n := 20; n > 0; n-- {
				from := filepath.Join("app.log." + strconv.Itoa(n) + ".gz")
				if _, err := os.Stat(d.path(from)); err == nil {
					d.rename(from, "app.log."+strconv.Itoa(n+1)+".gz")
				}
			}
			d.copytruncate("app.log", "app.log.1")
			d.pack("app.log.1")
		}
		d.same(d.once("app.log"), want...)
	}
}
