//go:build unix

package tail

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"
)

// The bytes of a file that was packed by xz came as two lines that nobody had logged, with status 0; so did those of bzip2.
func TestWhatCannotBeUnpackedIsRefused(t *testing.T) {
	d := newFolder(t)
	for name, head := range map[string]string{"a.xz": "\xfd7zXZ\x00", "a.lz4": "\x04\x22\x4d\x18", "a.zip": "PK\x03\x04", "a.Z": "\x1f\x9d\x90"} {
		d.must(os.WriteFile(d.path(name), []byte(head+"one\ntwo\n"), 0o600))
		o := d.do(run{paths: []string{name}, state: d.path(name + ".state")})
		if len(o.got()) > 0 || len(o.faults) != 1 || !strings.Contains(o.faults[0], "it is packed by") {
			t.Errorf("%s: read %q, faults %q", name, o.got(), o.faults)
		}
	}
}

func TestBzip2IsUnpacked(t *testing.T) {
	d := newFolder(t)
	packed, err := base64.StdEncoding.DecodeString(bzip2OfOneTwo)
	d.must(err)
	d.must(os.WriteFile(d.path("a.bz2"), packed, 0o600))
	d.same(d.once("a.bz2"), "one", "two")
}

const bzip2OfOneTwo = "QlpoOTFBWSZTWacUK3cAAALBgAAQAgGEgCAAIYAMAjj1G4u5IpwoSFOKFbuA"

// Rotation packs by xz: what is in there and was not read would be missed in silence, with status 0. Where all was read it is no fault.
func TestWhatWasPutAsideAndCannotBeUnpackedIsNamed(t *testing.T) {
	d := newFolder(t)
	xz := func(lines ...string) {
		d.rename("app.log", "app.log.1")
		info, err := os.Stat(d.path("app.log.1"))
		d.must(err)
		d.must(os.WriteFile(d.path("app.log.1.xz"), []byte("\xfd7zXZ\x00one\n"), 0o600))
		d.must(os.Chtimes(d.path("app.log.1.xz"), info.ModTime(), info.ModTime()))
		d.remove("app.log.1")
		d.add("app.log", lines...)
	}
	d.add("app.log", "a")
	d.same(d.once("app.log"), "a")
	xz("b")
	o := d.once("app.log")
	if d.same(o, "b"); len(o.faults) > 0 {
		t.Errorf("all was read, and there are faults %q", o.faults)
	}
	pause()
	d.add("app.log", "unread")
	xz("c")
	o = d.once("app.log")
	if d.same(o, "c"); len(o.faults) != 1 || !strings.Contains(o.faults[0], "app.log.1.xz") || strings.Count(o.log.String(), "packed by xz") != 1 {
		t.Errorf("faults %q; it said: %s", o.faults, o.log.String())
	}
	if o := d.once("app.log"); len(o.faults) > 0 {
		t.Errorf("the next run has faults %q", o.faults)
	}
}

// What gzip, zstd or bzip2 appended to a packed file that had been read to its end was never read while it was followed: nothing said so.
func TestWhatIsAppendedToAPackedFileIsRead(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	d.pack("app.log")
	d.add("more", "b")
	d.pack("more")
	member, err := os.ReadFile(d.path("more.gz"))
	d.must(err)
	o, stop := d.follow(run{paths: []string{"app.log.gz"}})
	d.arrives(o, "a")
	for _, part := range [][]byte{member[:12], member[12:]} {
		f, err := os.OpenFile(d.path("app.log.gz"), os.O_APPEND|os.O_WRONLY, 0)
		d.must(err)
		_, err = f.Write(part)
		d.must(err)
		d.must(f.Close())
	}
	d.arrives(o, "a", "b")
	d.same(stop(), "a", "b")
}
