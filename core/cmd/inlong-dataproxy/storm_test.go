//go:build !windows

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// stormFor is how long the storm lasts. It runs on demand: the schedules of core/internal/tail are the same in steps that can be made again.
func stormFor(t *testing.T) time.Duration {
	text := os.Getenv("INLONG_TEST_STORM")
	if text == "" {
		t.Skip("set INLONG_TEST_STORM, 30s or 10m, to run it")
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

// Six ways of rotation under load, a reader that is behind, outages and kills: each line that was written must have arrived, whole, and
// none twice unless the program was killed, or says so: it sends a line anew whose answer was lost too often.
func TestStormOfRotationsLosesNoLine(t *testing.T) {
	last := stormFor(t)
	for _, kills := range []bool{false, true} {
		t.Run(fmt.Sprintf("kills=%v", kills), func(t *testing.T) {
			t.Parallel()
			s := newStorm(t, kills)
			s.blow(last)
			s.settle()
			s.judge()
		})
	}
}

type storm struct {
	*testing.T
	cluster *dataproxytest.Cluster
	dir     string
	args    []string
	kills   bool
	killed  int

	maybeTwice int // lines, as the last run that followed says

	mu      sync.Mutex
	written map[string]bool
}

var stormPaths = []string{"numbered.log", "dated.log", "copied.log", "packed.log", "link.log", "late.log", "copypacked.log"}

func newStorm(t *testing.T, kills bool) *storm {
	s := &storm{T: t, cluster: dataproxytest.Start(t, dataproxytest.WithNodes(2)), dir: t.TempDir(), kills: kills, written: map[string]bool{}}
	s.args = []string{"send", "--url", s.cluster.URL(), "--group", "test_group", "--stream", "s", "--state", filepath.Join(t.TempDir(), "state"), "--json"}
	return s
}

func (s *storm) paths() (paths []string) {
	for _, name := range stormPaths {
		paths = append(paths, s.path(name))
	}
	return paths
}

func (s *storm) path(name string) string { return filepath.Join(s.dir, name) }

func (s *storm) start() *child {
	args := append(append([]string{}, s.args...), "-F", "--rate", "4000")
	return startChild(s.T, append(args, s.paths()...)...)
}

func (s *storm) blow(last time.Duration) {
	var end time.Time
	var writers sync.WaitGroup
	met := make(chan struct{})
	for i, name := range stormPaths {
		writers.Go(func() { s.write(name, rand.New(rand.NewSource(int64(i))), met, &end) })
	}
	rnd := rand.New(rand.NewSource(time.Now().UnixNano()))
	c := s.start()
	// What was put aside before the first run is not its business.
	eventually(s.T, "all files are met", func() bool { return s.cluster.Count() == len(stormPaths) })
	end = time.Now().Add(last)
	close(met)
	for time.Now().Before(end) {
		time.Sleep(time.Duration(500+rnd.Intn(1500)) * time.Millisecond)
		if rnd.Intn(3) == 0 { // an outage
			for range 1 + rnd.Intn(6) {
				for _, n := range s.cluster.Nodes() {
					n.Kill()
				}
				time.Sleep(time.Duration(rnd.Intn(500)) * time.Millisecond)
				for _, n := range s.cluster.Nodes() {
					n.Revive()
				}
				time.Sleep(time.Duration(rnd.Intn(300)) * time.Millisecond)
			}
		} else if s.kills {
			c.Process.Kill()
			c.Wait()
			s.killed++
			time.Sleep(time.Duration(rnd.Intn(1500)) * time.Millisecond)
			c = s.start()
		}
	}
	writers.Wait()
	// As long as lines come it is only slow. A look at a million lines takes seconds, in which this process's nodes get little: it is for
	// when nothing comes, and its time is not the follower's.
	for last, wait := 0, time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if n := s.cluster.Count(); n != last {
			last, wait = n, time.Now()
		}
		quiet := time.Since(wait)
		if quiet < time.Second && !ended(fmt.Sprint(c.Process.Pid)) {
			continue
		}
		look := time.Now()
		missing := s.missing()
		if missing == nil || ended(fmt.Sprint(c.Process.Pid)) {
			break
		}
		if quiet > 20*time.Second {
			s.Errorf("the follower does not come to the end: %v of %d lines are missing", missing, len(s.written))
			break
		}
		wait = wait.Add(time.Since(look))
	}
	c.Process.Signal(syscall.SIGTERM)
	err := c.Wait()
	if s.Failed() {
		s.Logf("it said: %s", c.stderr)
	}
	require.NoError(s, err, "%s", c.stderr)
	require.NotContains(s, c.stderr.String(), "lost:")
	if told := regexp.MustCompile(`(\d+) lines? may arrive twice`).FindStringSubmatch(c.said()); told != nil {
		s.maybeTwice, err = strconv.Atoi(told[1])
		require.NoError(s, err)
	}
}

// settle is a last run, for what comes late.
func (s *storm) settle() {
	status, _, stderr := program("", append(s.args, s.paths()...)...)
	require.Zero(s, status, "%s", stderr)
	require.NotContains(s, stderr, "lost:")
}

// missing counts the lines that did not come, by file.
func (s *storm) missing() (by map[string]int) {
	got := arrived(s.cluster)
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range s.written {
		if got[line] == 0 {
			if by == nil {
				by = map[string]int{}
			}
			name, _, _ := strings.Cut(line, " ")
			by[name]++
		}
	}
	return by
}

func (s *storm) judge() {
	// A batch whose answer was lost in an outage came twice under its mid, which tells it.
	got, mids := map[string]int{}, map[string]bool{}
	for _, r := range s.cluster.Received() {
		if mid := r.Attr["mid"]; !mids[mid] {
			mids[mid] = true
			for _, item := range r.Items {
				got[string(item)]++
			}
		}
	}
	foreign, twice, doubled := []string{}, []string{}, 0
	for line, n := range got {
		doubled += n - 1 // under another mid
		if n > 1 {
			twice = append(twice, line[:min(len(line), 20)])
		}
		if !s.written[line] {
			foreign = append(foreign, line)
		}
	}
	require.Empty(s, s.missing(), "lines that never came, of %d", len(s.written))
	require.Empty(s, foreign, "lines that nobody wrote")
	if !s.kills && doubled > s.maybeTwice {
		slices.Sort(twice)
		require.Empty(s, twice, "lines that came twice, without a kill; the program knows of %d", s.maybeTwice)
	}
	s.Logf("%d lines arrived, %d of them twice after %d kills; the last run knows of %d", len(s.written), doubled, s.killed, s.maybeTwice)
}

// write is a program that logs, and whatever rotates its file.
func (s *storm) write(name string, rnd *rand.Rand, met chan struct{}, end *time.Time) {
	path, n := s.path(name), 0
	log := func(f *os.File) {
		line := fmt.Sprintf("%s %06d %s", strings.TrimSuffix(name, ".log"), n, strings.Repeat("x", 20+rnd.Intn(300)))
		n++
		s.mu.Lock()
		s.written[line] = true
		s.mu.Unlock()
		_, err := f.WriteString(line + "\n")
		require.NoError(s, err)
	}
	open := func() *os.File {
		target := path
		if name == "link.log" {
			target = s.path(fmt.Sprintf("day-%09d.txt", n))
		}
		f, err := os.OpenFile(target, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(s, err)
		if target != path {
			next := path + ".next"
			require.NoError(s, os.Symlink(target, next))
			require.NoError(s, os.Rename(next, path))
		}
		return f
	}
	f := open()
	log(f)
	<-met
	for time.Now().Before(*end) {
		for range 20 + rnd.Intn(300) {
			log(f)
		}
		time.Sleep(time.Duration(100+rnd.Intn(600)) * time.Millisecond)
		if name == "copied.log" || name == "copypacked.log" {
			s.shift(path)
			s.copy(path, path+".1")
			require.NoError(s, f.Truncate(0))
			if name == "copypacked.log" {
				s.pack(path + ".1")
			}
			continue
		}
		switch name {
		case "dated.log":
			require.NoError(s, os.Rename(path, s.path("dated-"+time.Now().Format("2006-01-02T15-04-05.000000")+".log")))
		case "numbered.log", "packed.log", "late.log":
			s.shift(path)
			require.NoError(s, os.Rename(path, path+".1"))
		}
		old := f
		f = open()
		if name == "late.log" {
			for range 5 {
				log(f)
				log(old)
				time.Sleep(time.Duration(rnd.Intn(20)) * time.Millisecond)
			}
		}
		require.NoError(s, old.Close())
		if name == "packed.log" {
			s.pack(path + ".1")
		}
	}
	require.NoError(s, f.Close())
}

// shift renames .1 to .2 and so on, packed or not.
func (s *storm) shift(path string) {
	n := 1
	for there(fmt.Sprint(path, ".", n)) || there(fmt.Sprint(path, ".", n, ".gz")) {
		n++
	}
	for ; n > 1; n-- {
		for _, ending := range []string{"", ".gz"} {
			if from := fmt.Sprint(path, ".", n-1, ending); there(from) {
				require.NoError(s, os.Rename(from, fmt.Sprint(path, ".", n, ending)))
			}
		}
	}
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (s *storm) copy(from, to string) {
	in, err := os.Open(from)
	require.NoError(s, err)
	defer in.Close()
	out, err := os.Create(to)
	require.NoError(s, err)
	defer out.Close()
	_, err = io.Copy(out, in)
	require.NoError(s, err)
}

// pack is gzip: the packed file has the time of the other, which goes once it is whole.
func (s *storm) pack(path string) {
	data, err := os.ReadFile(path)
	require.NoError(s, err)
	info, err := os.Stat(path)
	require.NoError(s, err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(data)
	require.NoError(s, err)
	require.NoError(s, z.Close())
	require.NoError(s, os.WriteFile(path+".gz", packed.Bytes(), 0o600))
	require.NoError(s, os.Chtimes(path+".gz", info.ModTime(), info.ModTime()))
	require.NoError(s, os.Remove(path))
}
