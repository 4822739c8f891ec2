package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// leaveSpool has a client leave messages in a folder while no node takes any.
func leaveSpool(t *testing.T, c *dataproxytest.Cluster, messages ...dataproxy.Message) (dir string) {
	t.Helper()
	dir = t.TempDir()
	client, err := dataproxy.NewClient(dataproxy.WithURL(c.URL()), dataproxy.WithGroupID("test_group"), dataproxy.WithSpoolDir(dir),
		dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithLogger(dataproxy.NopLogger()))
	require.NoError(t, err)
	for _, n := range c.Nodes() {
		n.Standing(dataproxytest.ErrorCode(114))
	}
	for _, m := range messages {
		client.SendAsync(context.Background(), m, nil)
	}
	require.Eventually(t, func() bool { return client.Stats().Spool.Messages == int64(len(messages)) }, time.Minute, time.Millisecond, "they are stored")
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = client.Shutdown(ctx)
	for _, n := range c.Nodes() {
		n.ClearFaults()
	}
	return dir
}

// What is in a spool cannot be seen, or looking at it changes it.
func TestSpoolIsListedPrintedAndExported(t *testing.T) {
	c := dataproxytest.Start(t)
	sent := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	dir := leaveSpool(t, c,
		dataproxy.Message{StreamID: "a", Payload: []byte("one"), Time: sent, Attributes: map[string]string{"color": "red"}},
		dataproxy.Message{StreamID: "b", Payload: []byte("two\nlines"), ItemAttributes: map[string]string{"n": "2"}},
		dataproxy.Message{StreamID: "b", Payload: []byte{0xff}, ItemAttributes: map[string]string{"n": "3"}})
	before := files(t, dir)

	status, stdout, stderr := program("", "spool", "ls", dir)
	require.Zero(t, status, stderr)
	require.Regexp(t, `(?m)^slot-0001 +no +2 +3 +\d+ +2\S+ +0 +0$`, stdout)
	status, stdout, _ = program("", "spool", "ls", "--json", dir)
	require.Zero(t, status)
	require.Contains(t, stdout, `"messages": 3`)
	status, stdout, _ = program("", "spool", "verify", dir)
	require.Zero(t, status)
	require.Contains(t, stdout, "1 file, all sound")

	status, stdout, stderr = program("", "spool", "cat", dir)
	require.Zero(t, status, stderr)
	var all []spooled
	for decoder := json.NewDecoder(strings.NewReader(stdout)); decoder.More(); {
		var m spooled
		require.NoError(t, decoder.Decode(&m))
		all = append(all, m)
	}
	require.Len(t, all, 3)
	slices.SortStableFunc(all, func(a, b spooled) int { return strings.Compare(a.Stream, b.Stream) }) // streams have no order among each other
	require.Equal(t, "test_group a one", fmt.Sprint(all[0].Group, " ", all[0].Stream, " ", all[0].Text))
	require.Contains(t, all[0].Attributes, "color=red")
	require.True(t, all[0].EventTime.Equal(sent))
	require.Equal(t, "n=2 n=3", all[1].ItemAttributes+" "+all[2].ItemAttributes)
	require.Equal(t, []byte{0xff}, all[2].Base64)
	require.Equal(t, []int{0, 1}, []int{all[1].Place, all[2].Place})

	status, stdout, stderr = program("", "spool", "export", "--format", "length", dir)
	require.Zero(t, status, stderr)
	a, b := "\x00\x00\x00\x03one", "\x00\x00\x00\x09two\nlines\x00\x00\x00\x01\xff"
	require.Contains(t, []string{a + b, b + a}, stdout)
	status, stdout, stderr = program("", "spool", "export", "--stream", "a", dir)
	require.Zero(t, status, stderr)
	require.Equal(t, "one\n", stdout)
	status, _, stderr = program("", "spool", "export", dir)
	require.Equal(t, exitFailure, status, "a line end inside a payload makes two of it")
	require.Contains(t, stderr, "--format length")
	require.Equal(t, before, files(t, dir))
}

// files returns the names in a folder with their contents.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var b []byte
			b, err = os.ReadFile(path)
			all[path] = string(b)
		}
		return err
	}))
	return all
}

// A damaged file passes as sound, or as one of which nothing is left.
func TestSpoolVerifyNamesWhatIsDamaged(t *testing.T) {
	c := dataproxytest.Start(t)
	dir := leaveSpool(t, c, dataproxy.Message{StreamID: "a", Payload: []byte("payload one")}, dataproxy.Message{StreamID: "b", Payload: []byte("payload two")})
	segments, err := filepath.Glob(filepath.Join(dir, "slot-0001", "*.seg"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	b, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	b[bytes.Index(b, []byte("payload one"))] ^= 1
	require.NoError(t, os.WriteFile(segments[0], b, 0o600))
	status, stdout, stderr := program("", "spool", "verify", dir)
	require.Equal(t, exitFailure, status, stderr)
	require.Contains(t, stdout, segments[0])
	require.Contains(t, stdout, "1 message can be delivered")
	for _, command := range []string{"cat", "export"} { // or somebody removes the folder, as its help says
		status, stdout, stderr = program("", "spool", command, dir)
		require.Equal(t, exitFailure, status, command)
		require.Contains(t, stdout, "payload two")
		require.Contains(t, stderr, "1 file could not be read whole")
	}

	status, stdout, stderr = program("", "spool", "drain", "--url", c.URL(), "--group", "test_group", "--option", "message_format=binary", dir)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "1 message delivered, 0 given up")
	status, stdout, _ = program("", "spool", "verify", dir)
	require.Equal(t, exitFailure, status)
	require.Contains(t, stdout, filepath.Join("quarantine", filepath.Base(segments[0])))

	newer := binary.BigEndian.AppendUint32([]byte("INLSPOOL"), 2)
	newer = append(newer, make([]byte, 48)...)
	newer = binary.BigEndian.AppendUint32(newer, crc32.Checksum(newer, crc32.MakeTable(crc32.Castagnoli)))
	require.NoError(t, os.WriteFile(segments[0], newer, 0o600))
	status, _, stderr = program("", "spool", "drain", "--url", c.URL(), "--group", "test_group", dir)
	require.Equal(t, exitFailure, status, "a file of a newer version is left")
	require.Contains(t, stderr, "1 file could not be read whole")
}

// What a program has left that runs no more is never delivered.
func TestSpoolDrainDeliversWhatIsLeft(t *testing.T) {
	c := dataproxytest.Start(t)
	var messages []dataproxy.Message
	for n := range 200 {
		messages = append(messages, dataproxy.Message{GroupID: "other_group", StreamID: fmt.Sprint("s", n%5), Payload: fmt.Append(nil, n)})
	}
	dir := leaveSpool(t, c, messages...)
	drain := []string{"spool", "drain", "--url", c.URL(), "--group", "test_group", dir}
	for _, n := range c.Nodes() {
		n.Standing(dataproxytest.ErrorCode(114))
	}
	status, stdout, stderr := program("", append(drain, "--timeout", "300ms")...)
	require.Equal(t, exitFailure, status)
	require.Contains(t, stdout, "0 messages delivered")
	require.Contains(t, stderr, "left")
	for _, n := range c.Nodes() {
		n.ClearFaults()
	}
	status, stdout, stderr = program("", drain...)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "200 messages delivered, 0 given up, 0 batches left")
	require.Equal(t, 200, c.Count())
	for _, r := range c.Received() {
		require.True(t, r.Group == "other_group" || !r.Kept)
	}
	status, stdout, stderr = program("", drain...)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "0 messages delivered")
}

// Messages that were too old to be delivered were said to be refused by nodes.
func TestSpoolDrainTellsNoOtherCauseThanTheLog(t *testing.T) {
	c := dataproxytest.Start(t)
	dir := leaveSpool(t, c, dataproxy.Message{StreamID: "a", Payload: []byte("old")})
	for _, n := range c.Nodes() {
		n.Standing(dataproxytest.ErrorCode(114)) // so that it gets old
	}
	status, stdout, stderr := program("", "spool", "drain", "--url", c.URL(), "--group", "test_group", "--option", "spool_max_age=1s", dir)
	require.Equal(t, exitFailure, status)
	require.Contains(t, stdout, "1 given up")
	require.Contains(t, stderr, "older than spool_max_age")
	require.Contains(t, stderr, "1 message given up: the log says why")
}

// A wrong folder looks as an empty spool.
func TestSpoolRefusesWhatIsNone(t *testing.T) {
	for _, command := range []string{"ls", "verify", "cat", "export"} {
		status, _, stderr := program("", "spool", command, t.TempDir())
		require.Equal(t, exitInput, status)
		require.Contains(t, stderr, "is no spool")
		status, _, _ = program("", "spool", command, filepath.Join(t.TempDir(), "none"))
		require.Equal(t, exitInput, status)
		status, _, _ = program("", "spool", command)
		require.Equal(t, exitUsage, status)
	}
	status, _, _ := program("", "spool", "drain", "--url", "http://127.0.0.1:1", "--group", "test_group", t.TempDir())
	require.Equal(t, exitInput, status)
	status, _, _ = program("", "spool", "export", "--format", "xml", t.TempDir())
	require.Equal(t, exitUsage, status)
	status, _, _ = program("", "spool", "drain", t.TempDir())
	require.Equal(t, exitUsage, status)
}

// A batch that is compressed, as most are, is printed as it lies on the disk, or not at all.
func TestSpoolPrintsWhatIsCompressed(t *testing.T) {
	c := dataproxytest.Start(t)
	payload := strings.Repeat("some text ", 100)
	dir := leaveSpool(t, c, dataproxy.Message{StreamID: "a", Payload: []byte(payload)})
	status, stdout, stderr := program("", "spool", "cat", dir)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, payload)
	status, stdout, stderr = program("", "spool", "export", dir)
	require.Zero(t, status, stderr)
	require.Equal(t, payload+"\n", stdout)
	for _, file := range files(t, dir) {
		require.NotContains(t, file, payload)
	}
}

// A batch that no client can read hid all that were stored after it, and passed as sound.
func TestSpoolPassesByWhatNoClientCanRead(t *testing.T) {
	dir := t.TempDir()
	store, err := spool.Open(dir, spool.Options{})
	require.NoError(t, err)
	for _, body := range []string{"\x00\x00\x00\x03one", "no messages", "\x00\x00\x00\x03two"} {
		_, err = store.Append(nil, []spool.Record{{Group: "g", Stream: "s", Messages: 1, Body: []byte(body)}}, false)
		require.NoError(t, err)
	}
	require.NoError(t, store.Close())
	for _, command := range []string{"cat", "export", "verify"} {
		status, stdout, stderr := program("", "spool", command, dir)
		require.Equal(t, exitFailure, status, command)
		require.Contains(t, stderr, "its body has other messages", command)
		require.Equal(t, command != "verify", strings.Contains(stdout, "two"), command)
	}
}

// A folder that the client cannot use is found when the first outage comes; or the doctor leaves something in it.
func TestDoctorLooksAtTheSpool(t *testing.T) {
	c := dataproxytest.Start(t)
	doctor := func(dir string) (int, string) {
		status, stdout, _ := program("", "doctor", "--url", c.URL(), "--group", "test_group", "--option", "spool_dir="+dir, "--option", "spool_max_bytes=1M")
		return status, stdout
	}
	dir := leaveSpool(t, c, dataproxy.Message{StreamID: "a", Payload: []byte("one")}, dataproxy.Message{StreamID: "b", Payload: []byte("two")})
	before := files(t, dir)
	status, stdout := doctor(dir)
	require.Zero(t, status, stdout)
	require.Contains(t, stdout, "2 messages in 2 batches, 0 slots in use")
	require.Equal(t, before, files(t, dir))

	fresh := filepath.Join(dir, "not", "there")
	status, stdout = doctor(fresh)
	require.Zero(t, status, stdout)
	require.Contains(t, stdout, "0 messages in 0 batches")
	require.NoDirExists(t, filepath.Dir(fresh))

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	status, stdout = doctor(filepath.Join(file, "x"))
	require.Equal(t, exitFailure, status)
	require.Contains(t, stdout, "spool: ")

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "slot-0001", "quarantine"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slot-0001", "quarantine", "x.seg"), nil, 0o600))
	status, stdout = doctor(dir)
	require.Zero(t, status, "a warning")
	require.Contains(t, stdout, "1 in quarantine")
}
