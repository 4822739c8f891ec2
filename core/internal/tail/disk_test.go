//go:build unix

package tail

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One path on a disk that did not answer, as a dead server's, stopped all files, and no signal but SIGKILL ended the program.
func TestADiskThatDoesNotAnswerHoldsUpNoOtherFile(t *testing.T) {
	swap(t, &diskPatience, 500*time.Millisecond)
	d := newFolder(t)
	d.must(os.Mkdir(d.path("dead"), 0o700))
	dead, answers := d.path("dead/app.log"), make(chan struct{})
	d.add("dead/app.log", "late")
	d.add("app.log", "a")
	swap(t, &openFile, func(path string) (*os.File, error) {
		if path == dead {
			<-answers
		}
		return os.Open(path)
	})
	follow := run{paths: []string{"dead/app.log", "app.log"}}
	o, stop := d.follow(follow)
	d.arrives(o, "a")
	d.add("app.log", "b")
	d.arrives(o, "b")
	stop()
	d.same(o, "a", "b")
	if !slices.ContainsFunc(o.faults, func(fault string) bool {
		return strings.HasPrefix(fault, dead) && strings.Contains(fault, "does not answer")
	}) {
		t.Errorf("faults %q", o.faults)
	}
	first := o.disk
	o, stop = d.follow(follow)
	close(answers)
	d.arrives(o, "late")
	stop()
	if d.same(o, "late"); len(o.faults) > 0 {
		t.Errorf("faults %q", o.faults)
	}
	d.answers(first)
	d.answers(o.disk)
}

// A packed file whose disk did not answer in the middle was taken for a damaged one, which is not read again until it changes.
func TestAPackedFileOnADiskThatDoesNotAnswerIsNotDamaged(t *testing.T) {
	d := newFolder(t)
	var text, packed bytes.Buffer
	for rng := rand.New(rand.NewPCG(1, 2)); text.Len() < 1<<20; {
		text.WriteString(strconv.FormatUint(rng.Uint64(), 36) + "\n") // gzip must read the file more than once
	}
	z := gzip.NewWriter(&packed)
	_, err := z.Write(text.Bytes())
	d.must(err)
	d.must(z.Close())
	d.must(os.WriteFile(d.path("app.log.gz"), packed.Bytes(), 0o600))
	asked := &disk{patience: time.Minute, hung: map[string]int{}}
	file, err := asked.openText(d.path("app.log.gz"))
	d.must(err)
	defer file.Close()
	buf := make([]byte, text.Len())
	if _, err := file.ReadAt(buf[:100], 0); err != nil {
		t.Fatal(err)
	}
	asked.hung[file.file().folder] = 1
	if _, err := file.ReadAt(buf, 0); !errors.Is(err, errHangs) || isBroken(err) {
		t.Errorf("error %v, taken for damage: %v", err, isBroken(err))
	}
	delete(asked.hung, file.file().folder)
	if n, err := file.ReadAt(buf, 0); n != len(buf) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(buf, text.Bytes()) {
		t.Errorf("%d bytes of %d, error %v", n, len(buf), err)
	}
}

// answers waits until nobody asks any more.
func (d *folder) answers(of *disk) {
	d.Helper()
	d.eventually("nothing hangs", func() bool {
		of.mu.Lock()
		defer of.mu.Unlock()
		return len(of.hung) == 0
	})
}

// tooLate is what was opened when the caller had given up.
type tooLate struct {
	open   *atomic.Int64
	closed atomic.Bool
}

func (l *tooLate) Close() error {
	if !l.closed.Swap(true) {
		l.open.Add(-1)
	}
	return nil
}

// What is opened when nobody waits any more would stay open, and a folder that answers again would hang for ever.
func TestAnswersThatComeTooLateAreClosedAndEndTheHanging(t *testing.T) {
	d := &disk{patience: time.Millisecond, hung: map[string]int{}}
	var open atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 50 {
				key := strconv.Itoa(i % 3)
				opened, err := ask(d, key, func() (*tooLate, error) {
					time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
					open.Add(1)
					return &tooLate{open: &open}, nil
				})
				if (err == nil) != (opened != nil) {
					t.Errorf("opened %v, error %v", opened, err)
				}
				if err == nil {
					_ = opened.Close()
				}
			}
		})
	}
	all.Wait()
	newFolder(t).answers(d)
	if n := open.Load(); n != 0 {
		t.Errorf("%d are open", n)
	}
	if n, err := ask(d, "0", func() (int, error) { return 1, nil }); n != 1 && err == nil {
		t.Errorf("answered %d, %v", n, err)
	}
}

// While a folder hangs each question would cost one more thread that never ends.
func TestAFolderThatHangsIsNotAsked(t *testing.T) {
	d := &disk{patience: time.Millisecond, hung: map[string]int{}}
	answers := make(chan struct{})
	defer close(answers)
	var asked atomic.Int64
	for range 10 {
		if _, err := ask(d, "dead", func() (int, error) {
			asked.Add(1)
			<-answers
			return 0, nil
		}); err != errHangs {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
