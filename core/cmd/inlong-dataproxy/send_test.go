package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func sendArgs(cluster *dataproxytest.Cluster, more ...string) []string {
	return append([]string{"send", "--url", cluster.URL(), "--group", "test_group"}, more...)
}

// program runs the program in this process.
func program(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

func received(cluster *dataproxytest.Cluster) []string {
	var lines []string
	for _, payload := range cluster.Messages() {
		lines = append(lines, string(payload))
	}
	slices.Sort(lines)
	return lines
}

// A line that is dropped, doubled or changed on its way from the file must not be reported as sent.
func TestSendShipsFilesAndStandardInput(t *testing.T) {
	cluster := dataproxytest.Start(t)
	file := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(file, []byte("one\n\ntwo\r\nthree"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := program("four\n", "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--json", file, "-")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if got, want := received(cluster), []string{"four", "one", "three", "two\r"}; !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
	var r report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	if r.Language != "go" || r.Lines != 4 || r.Acked != 4 || r.Failed != 0 || r.Skipped != 1 || r.Seconds <= 0 {
		t.Errorf("result %s", stdout)
	}
	if !strings.Contains(stderr, "4 lines: 4 acked, 0 failed; 1 empty line skipped") {
		t.Errorf("summary %q", stderr)
	}
}

// S8: what has no ack at the end of a run is lost, or counts as failed though the next run delivers it; or the next run sends it again.
func TestSendKeepsLinesInASpool(t *testing.T) {
	cluster := dataproxytest.Start(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "lines")
	args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--spool-dir", dir, "--state", file + ".state", "--json",
		"--option", "send_timeout=300ms", file}
	if err := os.WriteFile(file, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, node := range cluster.Nodes() {
		node.Standing(dataproxytest.ErrorCode(114))
	}
	status, stdout, stderr := program("", args...)
	var r report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 || r.Stored != 3 || r.Acked+r.Failed+r.Waiting != 0 {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	if !strings.Contains(stderr, "3 lines were not acked, and kept by --spool-dir") {
		t.Errorf("summary %q", stderr)
	}
	for _, node := range cluster.Nodes() {
		node.ClearFaults()
	}
	status, stdout, stderr = program("", "spool", "drain", "--url", cluster.URL(), "--group", "test_group", dir)
	if status != 0 {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr = program("", args...); status != 0 {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	if got, want := received(cluster), []string{"one", "three", "two"}; !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
}

// Lines that the spool had kept, and that nodes refused for good later, in this run or in the next one, counted as kept: status 0.
func TestLinesThatTheSpoolGivesUpAreAFailure(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithTopics("test_group/good"))
	args := func(stream, dir string) []string {
		return sendArgs(cluster, "--stream", stream, "--spool-dir", dir, "--option", "max_retries=0", "--option", "spool_result=stored")
	}
	stdin, feed := io.Pipe()
	errs, ended := &said{}, make(chan int, 1)
	go func() { ended <- run(args("bad", t.TempDir()), stdin, io.Discard, errs) }()
	_, err := feed.Write([]byte("line\n"))
	require.NoError(t, err)
	eventually(t, "it is given up", func() bool { return strings.Contains(errs.String(), "of the spool are given up") })
	require.NoError(t, feed.Close())
	require.Equal(t, exitFailure, <-ended, "%s", errs)
	require.Contains(t, errs.String(), "1 line was given up that the spool had kept")

	dir := leaveSpool(t, cluster, dataproxy.Message{StreamID: "bad", Payload: []byte("line")})
	status, _, stderr := program("line\n", args("good", dir)...)
	require.Equal(t, exitFailure, status, stderr)
	require.Contains(t, stderr, "1 line was given up that the spool had kept")
}

// What a run had kept was never delivered by runs that had few lines themselves, as from cron: they were over in a moment.
func TestAShortRunDeliversWhatAnEarlierOneHasKept(t *testing.T) {
	cluster := dataproxytest.Start(t)
	dir := t.TempDir()
	args := []string{"--spool-dir", dir, "--stream", "s", "--option", "send_timeout=2s", "--option", "batching_max_messages=1"}
	for _, node := range cluster.Nodes() {
		node.Standing(dataproxytest.ErrorCode(114))
	}
	const lines = 3000
	status, _, stderr := program(strings.Repeat("line\n", lines), sendArgs(cluster, args...)...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, node := range cluster.Nodes() {
		node.ClearFaults()
	}
	if status, _, stderr = program("last\n", sendArgs(cluster, args...)...); status != 0 || cluster.Count() != lines+1 {
		t.Errorf("status %d, %d lines came of %d: %s", status, cluster.Count(), lines+1, stderr)
	}
}

// A shell script continues after status 0: a single line that was refused must show there.
func TestSendEndsWithOneWhenALineFails(t *testing.T) {
	cluster := dataproxytest.Start(t)
	for _, node := range cluster.Nodes() {
		node.Standing(dataproxytest.ErrorCode(115))
	}
	status, stdout, stderr := program("a\nb\n", "send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--json",
		"--option", "max_retries=0")
	if status != exitFailure {
		t.Errorf("status %d, want %d", status, exitFailure)
	}
	var r report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || r.Lines != 2 || r.Acked != 0 || r.Failed != 2 {
		t.Errorf("result %q, error %v", stdout, err)
	}
	for _, part := range []string{"2 of 2 lines were not sent", "standard input line 1", "115", "code 10011"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr lacks %q: %s", part, stderr)
		}
	}
}

// Anyone who forgets or mistypes something must read which flag to fix, and nothing may be sent.
func TestSendNamesTheFlagThatIsWrong(t *testing.T) {
	cluster := dataproxytest.Start(t)
	good := []string{"--url", cluster.URL(), "--group", "test_group", "--stream", "s"}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no url":           {[]string{"--group", "test_group", "--stream", "s"}, exitUsage, "--url"},
		"no group":         {[]string{"--url", cluster.URL(), "--stream", "s"}, exitUsage, "--group"},
		"no stream":        {[]string{"--url", cluster.URL(), "--group", "test_group"}, exitUsage, "--stream"},
		"bad group":        {[]string{"--url", cluster.URL(), "--group", "a&b=c", "--stream", "s"}, exitUsage, "group"},
		"option unknown":   {append(good, "--option", "send_timeoutt=1s"), exitUsage, `did you mean "send_timeout"?`},
		"option no value":  {append(good, "--option", "send_timeout"), exitUsage, "must be key=value"},
		"option no number": {append(good, "--option", "worker_num=many"), exitUsage, "worker_num"},
		"unknown flag":     {append(good, "--steam", "s"), exitUsage, "--steam"},
		"no such file":     {append(good, "/nonexistent.log"), exitInput, "/nonexistent.log"},
		"no Manager": {[]string{"--url", "http://127.0.0.1:1", "--group", "test_group", "--stream", "s", "--option", "conn_timeout=500ms"},
			exitUnreachable, "cannot start"},
		"format unknown":     {append(good, "--format", "xml"), exitUsage, "lines, json-lines, csv, length"},
		"key of plain lines": {append(good, "--key-column", "k"), exitUsage, "the format lines has no columns"},
		"key without header": {append(good, "--format", "csv", "--no-header", "--key-column", "k"), exitUsage, "column's number"},
		"no such column":     {append(good, "--format", "csv", "--key-column", "k"), exitInput, "the header has only a"},
		"column zero":        {append(good, "--format", "csv", "--no-header", "--key-column", "0"), exitUsage, "column's number, from 1"},
		"bad stream":         {append(good, "--stream", "a b"), exitUsage, "--stream: stream id \"a b\""},
		"rate no number":     {append(good, "--rate", "x"), exitUsage, `"--rate" flag: must be a number`},
		"rate not a number":  {append(good, "--rate", "NaN"), exitUsage, "--rate NaN: must be 0 or more"},
		"rate below zero":    {append(good, "--rate", "-1"), exitUsage, "--rate"},
		"stdin followed":     {append(good, "-F"), exitUsage, "--follow: needs files"},
		"stdin with a state": {append(good, "--state", "x"), exitUsage, "--state: needs files"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := program("a\n", append([]string{"send"}, c.args...)...)
			if status != c.status || !strings.Contains(stderr, c.says) || stdout != "" {
				t.Errorf("status %d, want %d; stdout %q; stderr %q should say %q", status, c.status, stdout, stderr, c.says)
			}
		})
	}
	if n := cluster.Count(); n != 0 {
		t.Errorf("%d messages arrived", n)
	}
}

// An unknown command must not be taken for a success by a script.
func TestUnknownCommandIsAUsageError(t *testing.T) {
	if status, _, stderr := program("", "sned"); status != exitUsage || !strings.Contains(stderr, "sned") {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
	if status, stdout, _ := program("", "version"); status != 0 || !strings.HasPrefix(stdout, "inlong-dataproxy ") {
		t.Errorf("version: status %d, %q", status, stdout)
	}
}

// Scripts go by the statuses that the help lists.
func TestHelpListsTheExitStatuses(t *testing.T) {
	for command, want := range map[string][]int{
		"":       {0, exitFailure, exitUsage, exitUnreachable, exitInput, exitInterrupted},
		"send":   {0, exitFailure, exitUsage, exitUnreachable, exitInput, exitInterrupted},
		"bench":  {0, exitFailure, exitUsage, exitUnreachable, exitInput, exitInterrupted},
		"doctor": {0, exitFailure, exitUsage},
	} {
		_, help, _ := program("", strings.Fields(command+" --help")...)
		_, list, _ := strings.Cut(help, "Exit status:\n")
		list, _, _ = strings.Cut(list, "\n\n")
		var got []int
		for line := range strings.SplitSeq(list, "\n") {
			var status int
			if _, err := fmt.Sscan(line, &status); err == nil {
				got = append(got, status)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s --help lists %v, want %v", command, got, want)
		}
	}
}
