//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// benchmark runs bench against the cluster and returns its report.
func benchmark(t *testing.T, cluster *dataproxytest.Cluster, wantStatus int, args ...string) benchReport {
	t.Helper()
	args = append([]string{"bench", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--json"}, args...)
	status, stdout, stderr := program("", args...)
	if status != wantStatus {
		t.Fatalf("status %d, want %d: %s", status, wantStatus, stderr)
	}
	var r benchReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	return r
}

// A figure of messages that did not arrive, or of another size or number of streams than was asked for, is no figure.
func TestBenchCountsWhatArrives(t *testing.T) {
	cluster := dataproxytest.Start(t)
	r := benchmark(t, cluster, 0, "--count", "1001", "--streams", "3", "--callers", "2", "--size", "100")
	if r.Messages != 1001 || r.Acked != 1001 || r.Failed != 0 || cluster.Count() != 1001 || r.Mode != "async" || len(r.Failures) != 0 {
		t.Errorf("%d arrived; report %+v", cluster.Count(), r)
	}
	streams := map[string]int{}
	for _, frame := range cluster.Received() {
		streams[frame.Stream] += len(frame.Items)
		for _, payload := range frame.Items {
			if len(payload) != 100 {
				t.Fatalf("a message of %d bytes", len(payload))
			}
		}
	}
	if len(streams) != 3 || streams["s_1"] < 333 || streams["s_2"] < 333 || streams["s_3"] < 333 {
		t.Errorf("streams: %v", streams)
	}
	l := r.Latency
	if !slices.IsSorted([]float64{1, l.Min, l.P50, l.P90, l.P99, l.P999, l.P9999, l.Max}) || l.Mean <= 0 {
		t.Errorf("latencies %+v", l)
	}
	acked, sent := int64(0), int64(0)
	for _, p := range r.Intervals {
		acked, sent = acked+p.Acked, sent+p.Sent
	}
	if end := r.Intervals[len(r.Intervals)-1]; sent != 1001 || end.Connections != 8 || end.Nodes != 3 || end.HeapBytes == 0 || end.PendingBytes != 0 {
		t.Errorf("the intervals have %d sent messages; the last one is %+v", sent, end)
	}
	if acked != r.Acked || r.Seconds <= 0 || r.PerSecond <= 0 || r.CPUPerMessage <= 0 {
		t.Errorf("the intervals have %d acked messages; report %+v", acked, r)
	}
}

// A benchmark of a cluster that refuses everything is fast.
func TestBenchTellsFailuresByCode(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithTopics("test_group/s_1"))
	args := []string{"--count", "100", "--streams", "2", "--option", "max_retries=0"}
	r := benchmark(t, cluster, exitFailure, args...)
	if r.Acked != 50 || r.Failed != 50 || len(r.Failures) != 1 {
		t.Fatalf("report %+v", r)
	}
	if f := r.Failures[0]; f.Code != 10011 || f.ServerCode != 115 || f.ServerName != "TOPIC_IS_BLANK" || f.Count != 50 || f.First == "" {
		t.Errorf("failure %+v", f)
	}
	_, stdout, stderr := program("", append([]string{"bench", "--url", cluster.URL(), "--group", "test_group", "--stream", "s"}, args...)...)
	for _, part := range []string{"50 acked, 50 failed", "10011 server_error, server code 115 TOPIC_IS_BLANK", "inlong-dataproxy errors 115"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q lacks %q", stdout, part)
		}
	}
	if !strings.Contains(stderr, "50 of 100 messages were not acked") {
		t.Errorf("stderr %q", stderr)
	}
}

// A caller that waits for a stalled cluster sends late. Times that begin with the late call hide the stall from all messages
// but one.
func TestBenchLatencyBeginsWhenAMessageIsDue(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	cluster.Node(0).Fault(dataproxytest.Delay(300 * time.Millisecond))
	r := benchmark(t, cluster, 0, "--sync", "--rate", "1000", "--count", "200")
	// The last one was due after 199 ms.
	if r.Mode != "sync" || r.Latency.Min < 100_000 {
		t.Errorf("mode %s, latencies %+v", r.Mode, r.Latency)
	}
}

// A plot of an outage showed messages that came late, and neither what was held meanwhile nor that no node was connected.
func TestBenchShowsAnOutage(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	go func() {
		_ = cluster.WaitCount(t.Context(), 100)
		cluster.Node(0).Kill()
	}()
	r := benchmark(t, cluster, 1, "--rate", "1000", "--duration", "1s", "--option", "send_timeout=2s")
	end := r.Intervals[slices.IndexFunc(r.Intervals, func(p point) bool { return p.At > 0.9 })]
	if end.Acked != 0 || end.PendingMessages == 0 || end.PendingBytes < end.PendingMessages*1024 || end.Connections != 0 || end.Nodes != 0 {
		t.Errorf("while its node is dead: %+v", end)
	}
}

// An outage that the spool outlives counted as failures, or the run ended before what was stored was delivered.
func TestBenchWaitsForWhatTheSpoolKeptThroughAnOutage(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	go func() {
		_ = cluster.WaitCount(t.Context(), 100)
		cluster.Node(0).Kill()
		time.Sleep(1500 * time.Millisecond) // messages have their results meanwhile
		cluster.Node(0).Revive()
	}()
	r := benchmark(t, cluster, 0, "--rate", "1000", "--count", "1000", "--option", "send_timeout=500ms", "--option", "spool_dir="+t.TempDir(),
		"--plot", filepath.Join(t.TempDir(), "outage.png"))
	if r.Stored == 0 || r.Left != 0 || r.Acked+r.Stored != 1000 || cluster.Count() < 1000 {
		t.Errorf("acked %d, stored %d, left %d, failed %d, arrived %d", r.Acked, r.Stored, r.Left, r.Failed, cluster.Count())
	}
	stored, replayed := int64(0), int64(0)
	for _, p := range r.Intervals {
		stored, replayed = max(stored, p.Stored), replayed+p.Replayed
	}
	if stored < r.Stored/2 || replayed != r.Stored {
		t.Errorf("%d were in the spool at a time, %d came back of %d", stored, replayed, r.Stored)
	}
}

// Who asks for a rate wants to know what a cluster does at that rate.
func TestBenchKeepsRateAndDuration(t *testing.T) {
	cluster := dataproxytest.Start(t)
	r := benchmark(t, cluster, 0, "--rate", "200", "--count", "100", "--callers", "3")
	if r.Acked != 100 || r.Seconds < 0.49 {
		t.Errorf("%d in %v s", r.Acked, r.Seconds)
	}
	r = benchmark(t, cluster, 0, "--duration", "300ms", "--sync", "--callers", "2")
	if r.Seconds < 0.3 || r.Acked < 2 {
		t.Errorf("%d in %v s", r.Acked, r.Seconds)
	}
	cluster.Reset()
	r = benchmark(t, cluster, 0, "--sync", "--count", "20")
	if frames := len(cluster.Received()); frames != 20 || r.Acked != 20 {
		t.Errorf("one caller that waits for each ack sent %d frames", frames)
	}
}

// A plot that no program opens is found out after the run.
func TestBenchPlots(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := filepath.Join(t.TempDir(), "a.png")
	for _, count := range []string{"1", "3000"} {
		benchmark(t, cluster, 0, "--count", count, "--rate", "10000", "--plot", file)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if drawn, err := png.Decode(bytes.NewReader(data)); err != nil || drawn.Bounds().Dy() != 4*plotHeight {
			t.Errorf("%s messages: %d bytes, error %v", count, len(data), err)
		}
	}
	status, stdout, _ := program("", "bench", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--count", "10", "--plot", "terminal")
	if status != 0 || !strings.Contains(stdout, "messages/s: sent (-) acked (line)") || !strings.Contains(stdout, "p99 (*)") {
		t.Errorf("status %d: %s", status, stdout)
	}
}

// What a C or Python program tells of an outage could be read and not seen.
func TestBenchPlotsWhatAnotherProgramTells(t *testing.T) {
	told := "starting\n0.5 s: 1000 sent, 900 acked, 0 replayed, 0 stored, 16.5 MiB resident\n" +
		"1.5 s: 9000 sent, 900 acked, 0 replayed, 8100 stored, 17.0 MiB resident\nok\n2.5 s: 9000 sent, 900 acked, 8100 replayed, 0 stored, 17.0 MiB resident\n"
	file := filepath.Join(t.TempDir(), "a.png")
	if status, _, stderr := program(told, "bench", "--from", "-", "--plot", file); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if drawn, err := png.Decode(bytes.NewReader(data)); err != nil || drawn.Bounds().Dy() != 3*plotHeight {
		t.Errorf("%d bytes, error %v", len(data), err)
	}
	_, stdout, _ := program(told, "bench", "--from", "-", "--plot", "terminal")
	for _, part := range []string{"messages/s: sent (-) acked (line) from the spool (+)", "memory in MiB: resident", "8K", "messages in the spool"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("no %q: %s", part, stdout)
		}
	}
	for text, want := range map[string]int{"": exitInput, "1 s: x\n2 s: y\n": exitInput} {
		if status, _, stderr := program(text, "bench", "--from", "-", "--plot", "terminal"); status != want || !strings.Contains(stderr, "--from") {
			t.Errorf("%q: status %d, %s", text, status, stderr)
		}
	}
	if status, _, stderr := program(told, "bench", "--from", "-"); status != exitUsage || !strings.Contains(stderr, "--plot") {
		t.Errorf("without --plot: status %d, %s", status, stderr)
	}
}

// Marks that are no round numbers, or end below the highest value, make a plot hard to read.
func TestTicksAreRoundAndReachTheTop(t *testing.T) {
	for highest, want := range map[float64]string{0: "0", 0.3: "0 0.05 0.1 0.15 0.2 0.25 0.3", 7: "0 1 2 3 4 5 6 7",
		93_000: "0 20K 40K 60K 80K 100K", 1.1e6: "0 200K 400K 600K 800K 1M 1.2M"} {
		var labels []string
		for _, mark := range ticks(highest) {
			labels = append(labels, mark.Label)
		}
		if got := strings.Join(labels, " "); got != want {
			t.Errorf("up to %v: %s, want %s", highest, got, want)
		}
	}
}

// A time axis that ran to 2.5 s for a run of 2 s showed a gap in which nothing seemed to be sent.
func TestTimeAxisEndsWithTheRun(t *testing.T) {
	for _, end := range []float64{0.1, 2, 2.01, 7.3} {
		marks := ticksWithin(end)
		if last := marks[len(marks)-1]; last.Value != end {
			t.Errorf("a run of %v s: the axis ends at %v", end, last.Value)
		}
	}
}

// The bar of a run that is limited by time must not wait for a number of messages.
func TestBenchDrawsProgress(t *testing.T) {
	cluster := dataproxytest.Start(t)
	for _, limit := range [][]string{{"--count", "50"}, {"--duration", "300ms"}} {
		status, _, stderr := program("", append([]string{"bench", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--rate", "200",
			"--progress"}, limit...)...)
		if status != 0 || !strings.Contains(stderr, " acked, 0 failed, ") || !strings.Contains(stderr, "messages/s eta ") {
			t.Errorf("%v: status %d, %q", limit, status, stderr)
		}
	}
}

// Each wrong flag is named before anything is sent, and what is configured for the real cluster must not see a benchmark of
// the mock.
func TestBenchNamesTheFlagThatIsWrong(t *testing.T) {
	cluster := dataproxytest.Start(t)
	good := []string{"--url", cluster.URL(), "--group", "test_group", "--stream", "s"}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no stream":      {good[:4], exitUsage, "--stream"},
		"bad stream":     {append(good, "--stream", "a&b"), exitUsage, "--stream"},
		"bad option":     {append(good, "--option", "ack_timeout=-1s"), exitUsage, "ack_timeout"},
		"size":           {append(good, "--size", "0"), exitUsage, "--size 0"},
		"size too large": {append(good, "--size", "600000"), exitUsage, "max_frame_size"},
		"streams":        {append(good, "--streams", "0"), exitUsage, "--streams 0"},
		"callers":        {append(good, "--callers", "-1"), exitUsage, "--callers -1"},
		"rate":           {append(good, "--rate", "NaN"), exitUsage, "--rate NaN"},
		"duration":       {append(good, "--duration", "0s"), exitUsage, "--duration 0s"},
		"count":          {append(good, "--count", "-5"), exitUsage, "--count -5"},
		"plot":           {append(good, "--plot", "x.gif"), exitUsage, "--plot"},
		"plot nowhere":   {append(good, "--plot", "/nonexistent/x.png"), exitInput, "/nonexistent/x.png"},
		"mock and url":   {append(good, "--mock"), exitUsage, "--mock"},
		"no server":      {append(good, "--url", "http://127.0.0.1:1", "--option", "conn_timeout=300ms"), exitUnreachable, "cannot start"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := program("", append([]string{"bench"}, c.args...)...)
			if status != c.status || !strings.Contains(stderr, c.says) || stdout != "" {
				t.Errorf("status %d, want %d; stdout %q; stderr %q should say %q", status, c.status, stdout, stderr, c.says)
			}
		})
	}
	t.Setenv("INLONG_URL", cluster.URL())
	t.Setenv("INLONG_STATIC_NODES", cluster.Node(0).Addr())
	t.Setenv("INLONG_TEST_AS_PROGRAM", "1")
	status, stdout, stderr := program("", "bench", "--mock", "--count", "100", "--json")
	if status != 0 || !strings.Contains(stdout, `"acked": 100`) {
		t.Errorf("--mock: status %d, %q, %s", status, stdout, stderr)
	}
	if n := cluster.Count(); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

// A Ctrl-C goes to the mock too, which must answer what is on its way; and a mock that outlives its benchmark is in the way
// for ever.
func TestBenchAndItsMockEndTogether(t *testing.T) {
	start := func() (c *child, stdout *bytes.Buffer, mock string) {
		stdout = new(bytes.Buffer)
		c = newChild("bench", "--mock", "--duration", "5m", "--json")
		c.Stdout, c.SysProcAttr = stdout, &syscall.SysProcAttr{Setpgid: true}
		c.start(t)
		eventually(t, "the mock is there", func() bool {
			threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.Process.Pid))
			for _, thread := range threads {
				if children, _ := os.ReadFile(thread); len(children) > 0 {
					mock = strings.TrimSpace(string(children))
				}
			}
			return mock != ""
		})
		return c, stdout, mock
	}
	c, stdout, mock := start()
	time.Sleep(300 * time.Millisecond) // some messages
	if err := syscall.Kill(-c.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	var r benchReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || c.ProcessState.ExitCode() != exitInterrupted || r.Failed != 0 || !ended(mock) {
		t.Errorf("status %d, %d failed, error %v: %s", c.ProcessState.ExitCode(), r.Failed, err, c.stderr)
	}
	c, _, mock = start()
	c.Process.Kill()
	c.Wait()
	eventually(t, "the mock ends", func() bool { return ended(mock) })
}
