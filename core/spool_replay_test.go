package dataproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// leave has a client store messages while no node takes any, closes it, and has the nodes back.
func leave(t *testing.T, c *dataproxytest.Cluster, dir string, payloads []string, opts ...dataproxy.Option) {
	t.Helper()
	client := connect(t, c, append(opts, dataproxy.WithSpoolDir(dir))...)
	down(t, c, client)
	for _, p := range payloads {
		client.SendAsync(context.Background(), message(p), nil)
	}
	stored(t, client, len(payloads))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = client.Shutdown(ctx)
	c.Reset()
	up(c)
}

func numbered(n int, text string) (payloads []string) {
	for i := range n {
		payloads = append(payloads, fmt.Sprint(i, text))
	}
	return payloads
}

// S9: the next client has other options: a batch does not fit into its frames, or is written as it was and not as it is to be now.
func TestStoredBatchesAreSentByAClientOfOtherOptions(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]dataproxy.Option{
		"shorter frames":    {dataproxy.WithMaxFrameSize(4 << 10)},
		"binary":            {dataproxy.WithMessageFormat(dataproxy.Binary)},
		"binary, shorter":   {dataproxy.WithMessageFormat(dataproxy.Binary), dataproxy.WithMaxFrameSize(4 << 10)},
		"not compressed":    {dataproxy.WithCompression(dataproxy.None)},
		"synced each batch": {dataproxy.WithSpoolSync(dataproxy.SpoolSyncBatch)},
		"synced at times":   {dataproxy.WithSpoolSync(dataproxy.SpoolSyncInterval), dataproxy.WithSpoolSyncInterval(10 * time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(2))
			dir := t.TempDir()
			payloads := numbered(300, strings.Repeat(" some text", 30))
			leave(t, c, dir, payloads, opts[len(opts)-1])
			client := connect(t, c, append(opts, dataproxy.WithSpoolDir(dir))...)
			var own spoolResults
			for i := range 300 {
				client.SendAsync(context.Background(), streamMessage("s", "own %d", i), own.callback)
			}
			require.NoError(t, c.WaitCount(patient(t), 600))
			require.NoError(t, client.Flush(patient(t)))
			acked, _, _ := own.counts()
			require.Equal(t, 300, acked)
			times := arrived(c)
			for _, p := range payloads {
				require.Equal(t, 1, times[p], p[:5])
			}
			require.EqualValues(t, 300, client.Stats().Acked, "its own alone")
			settled(t, client)
			client.Close()
			require.Empty(t, segmentFiles(t, dir))
		})
	}
}

// A caller whose time is over is told that the message failed, and sends it again, though it is stored and will be delivered; or it is told
// that it is stored, and the batch goes without it.
func TestACallerWhoseTimeIsOverIsToldThatItsMessageIsStored(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithBatchingMaxPublishDelay(50*time.Millisecond))
	down(t, c, client)
	c.Reset()
	var others spoolResults
	for i := range 10 {
		client.SendAsync(context.Background(), streamMessage("s", "other %d", i), others.callback)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := client.Send(ctx, streamMessage("s", "hurried"))
	require.True(t, isCode(err, dataproxy.CodeStored), "%v", err)
	ctx, cancel = context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	errs := client.SendBatch(ctx, []dataproxy.Message{streamMessage("s", "in a batch")})
	require.Len(t, errs, 1)
	require.True(t, isCode(errs[0], dataproxy.CodeStored), "%v", errs[0])
	require.Zero(t, others.count())
	up(c)
	require.NoError(t, c.WaitCount(patient(t), 12))
	require.NoError(t, client.Flush(patient(t)))
	acked, _, _ := others.counts()
	require.Equal(t, 10, acked)
	for payload, times := range arrived(c) {
		require.Equal(t, 1, times, payload)
	}
	require.Len(t, arrived(c), 12)
}

// Nodes that accept and never answer, or answer "not now", or close each time, burn what is stored.
func TestNoOutageBurnsWhatIsStored(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]dataproxytest.Fault{
		"silent": dataproxytest.Silence(), "not now": dataproxytest.ErrorCode(114), "unready": dataproxytest.Unready(),
		"closes": dataproxytest.CloseAfterRead(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(2))
			client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithAckTimeout(50*time.Millisecond),
				dataproxy.WithSendTimeout(time.Second), dataproxy.WithMaxRetries(1))
			var attempts atomic.Int64
			for _, n := range c.Nodes() {
				n.Handle(func(dataproxytest.Record) dataproxytest.Fault {
					attempts.Add(1)
					return fault
				})
			}
			var results spoolResults
			for i := range 200 {
				client.SendAsync(context.Background(), streamMessage(fmt.Sprint("s", i%3), "%d", i), results.callback)
			}
			eventually(t, "results", func() bool { return results.count() == 200 })
			if name != "silent" { // none of those proves a connection
				before := attempts.Load()
				eventually(t, "the outage lasts, and so do the attempts", func() bool { return attempts.Load() > before+6 })
			}
			acked, stored, failed := results.counts()
			require.Zero(t, failed, "%v", results.of)
			require.Equal(t, 200, acked+stored)
			for _, n := range c.Nodes() {
				n.Handle(nil)
			}
			eventually(t, "all arrived", func() bool { return len(arrived(c)) == 200 })
		})
	}
}

// The bound of the disk stops senders though there is memory, or batches that were in memory alone pass as stored.
func TestAFullSpoolIsAsNone(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolMaxBytes(1<<20), dataproxy.WithCompression(dataproxy.None), dataproxy.WithSendTimeout(500*time.Millisecond))
	down(t, c, client)
	c.Reset()
	var results spoolResults
	payload := strings.Repeat("x", 1000)
	for i := range 3000 {
		client.SendAsync(context.Background(), streamMessage("s", "%d %s", i, payload), results.callback)
	}
	eventually(t, "results", func() bool { return results.count() == 3000 })
	acked, stored, failed := results.counts()
	require.Zero(t, acked)
	require.Greater(t, stored, 500)
	require.Greater(t, failed, 1500)
	up(c)
	require.NoError(t, c.WaitCount(patient(t), stored))
	require.NoError(t, client.Flush(patient(t)))
	require.Len(t, arrived(c), stored)
}

const spoolHelperKey = "INLONG_TEST_SPOOL_CLIENT"

// spoolClient is the child of the test below: it sends without end, and says what became of each message.
func spoolClient(dir string) {
	client, err := dataproxy.NewClient(dataproxy.WithGroupID("test_group"), dataproxy.WithURL(os.Getenv("URL")), dataproxy.WithSpoolDir(dir),
		dataproxy.WithSendTimeout(300*time.Millisecond), dataproxy.WithLazyStart(true), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithMaxPendingMessages(5000), dataproxy.WithLogger(dataproxy.NopLogger()))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	lines := make(chan string, 1000)
	go func() {
		for i := 0; ; i++ {
			client.SendAsync(context.Background(), streamMessage("s", "%s %d", os.Getenv("LIFE"), i), func(m dataproxy.Message, err error) {
				switch {
				case err == nil:
					lines <- "acked " + string(m.Payload)
				case isCode(err, dataproxy.CodeStored):
					lines <- "stored " + string(m.Payload)
				default: // the queue was full for too long
					lines <- "refused " + string(m.Payload)
				}
			})
			if i%200 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for line := range lines {
		fmt.Println(line)
	}
}

// S2: the process is killed under load, in an outage and out of it, again and again: what was acked or stored does not arrive, or something
// arrives that nobody sent.
func TestKilledClientsLoseNothingThatWasStored(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(2))
	dir := t.TempDir()
	promised := map[string]bool{}
	for life := range 6 {
		if life%2 == 1 {
			for _, n := range c.Nodes() {
				n.Kill()
			}
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), spoolHelperKey+"="+dir, "URL="+c.URL(), fmt.Sprintf("LIFE=%d", life))
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			kind, payload, _ := strings.Cut(lines.Text(), " ")
			if kind != "refused" {
				promised[payload] = true
			}
			if n == 3000+life*777 {
				require.NoError(t, cmd.Process.Kill())
			}
			if n == 2000 && life%2 == 1 && life > 1 {
				up(c)
			}
		}
		_ = in.Close()
		_ = cmd.Wait()
		up(c)
	}
	connect(t, c, dataproxy.WithSpoolDir(dir))
	eventually(t, "all that was promised", func() bool {
		times := arrived(c)
		for payload := range promised {
			if times[payload] == 0 {
				return false
			}
		}
		return true
	})
	twice := 0
	for payload, times := range arrived(c) {
		var life, i int
		_, err := fmt.Sscanf(payload, "%d %d", &life, &i)
		require.NoError(t, err, "nobody sent %q", payload)
		if times > 1 {
			twice++
		}
	}
	t.Logf("%d promised, %d arrived, %d of those more than once", len(promised), len(arrived(c)), twice)
}

// S1: the ways in bulk wait in an outage for what is in flight, although it is stored.
func TestBulkWaysGoOnInAnOutageWhileTheDiskHasRoom(t *testing.T) {
	t.Parallel()
	for name, send := range bulkWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(2))
			var results outcomes
			var stored atomic.Int64
			client := connect(t, c, dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithMaxPendingBytes(4<<20), dataproxy.WithBlockIfQueueIsFull(true),
				dataproxy.WithSendTimeout(5*time.Second), dataproxy.WithResultHandler(func(r *dataproxy.BatchResult) {
					if r.Err != nil && r.Err.Code == dataproxy.CodeStored {
						stored.Add(int64(len(r.Tags)))
					}
					results.handle(r)
				}))
			down(t, c, client)
			c.Reset()
			const messages = 20_000
			payloads := make([][]byte, messages)
			for i := range payloads {
				payloads[i] = fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 500))
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				send(client, payloads, &results)
			}()
			if name == "SendBatch" { // it waits for its results
				eventually(t, "all are accepted", func() bool { return client.Stats().Accepted >= messages })
			} else {
				select {
				case <-sent:
				case <-time.After(patience):
					t.Fatal("senders wait")
				}
			}
			up(c)
			<-sent
			require.NoError(t, c.WaitCount(patient(t), messages))
			require.NoError(t, client.Flush(patient(t)))
			require.Len(t, arrived(c), messages)
			require.EqualValues(t, messages, results.acked.Load()+results.failed.Load())
		})
	}
}

// Item attributes of stored messages are read back as messages of their own, or are lost.
func TestStoredItemAttributesComeBack(t *testing.T) {
	t.Parallel()
	c := cluster(t, dataproxytest.WithNodes(1))
	dir := t.TempDir()
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithMessageFormat(dataproxy.Binary))
	down(t, c, client)
	for i := range 10 {
		msg := streamMessage("s", "%d", i)
		msg.ItemAttributes = map[string]string{"n": fmt.Sprint(i)}
		client.SendAsync(context.Background(), msg, nil)
	}
	stored(t, client, 10)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = client.Shutdown(ctx)
	c.Reset()
	up(c)
	text := connect(t, c, dataproxy.WithSpoolDir(dir))
	require.NoError(t, text.Send(patient(t), message("its own")))
	text.Close()
	require.Len(t, segmentFiles(t, dir), 1, "it cannot send them, and leaves them")
	require.Equal(t, 1, c.Count())
	connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithMessageFormat(dataproxy.Binary))
	require.NoError(t, c.WaitCount(patient(t), 11))
	found := 0
	for _, r := range c.Received() {
		for i, own := range r.ItemAttrs {
			require.Equal(t, "n="+string(r.Items[i]), own)
			found++
		}
	}
	require.Equal(t, 10, found)
}

// What is stored takes more of the disk than the network, and is compressed once more each time it is sent.
func TestTheDiskHasTheBytesOfTheNetwork(t *testing.T) {
	t.Parallel()
	for _, format := range []dataproxy.MessageFormat{dataproxy.Text, dataproxy.Binary} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			c := cluster(t, dataproxytest.WithNodes(1))
			dir := t.TempDir()
			payloads := numbered(1000, strings.Repeat(" some text", 30))
			leave(t, c, dir, payloads, dataproxy.WithMessageFormat(format))
			onDisk := int64(0)
			for _, file := range segmentFiles(t, dir) {
				info, err := os.Stat(file)
				require.NoError(t, err)
				onDisk += info.Size()
			}
			require.Less(t, onDisk, int64(1000*300/4), "bytes on the disk")
			client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithMessageFormat(format))
			require.NoError(t, c.WaitCount(patient(t), 1000))
			onceEach(t, c, 1000)
			for _, r := range c.Received() {
				require.True(t, r.Compressed)
			}
			settled(t, client)
		})
	}
}
