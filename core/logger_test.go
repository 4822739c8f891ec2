package dataproxy_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// stdout returns what f writes to standard output.
func stdout(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	old := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = old }()
	text := make(chan string)
	go func() {
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	f()
	w.Close()
	return <-text
}

// The seed's default logger writes everything to standard output; ours only what an operator must see.
func TestDefaultLoggerWritesFromWarnUp(t *testing.T) {
	for name, given := range map[string]dataproxy.Option{"unset": nil, "nil": dataproxy.WithLogger(nil), "nil slog": dataproxy.WithSlog(nil)} {
		text := stdout(t, func() {
			o := valid()
			o.Logger = nil
			if given != nil {
				given(o)
			}
			require.NoError(t, o.ValidateAndSetDefault())
			o.Logger.Debug("hidden")
			o.Logger.Debugf("hidden %d", 1)
			o.Logger.Info("hidden")
			o.Logger.Infof("hidden %d", 1)
			o.Logger.Warn("shown ", 1)
			o.Logger.Warnf("shown %d", 2)
			o.Logger.Error("shown ", 3)
			o.Logger.Errorf("shown %d", 4)
		})
		require.NotContains(t, text, "hidden", name)
		lines := strings.Split(strings.TrimSpace(text), "\n")
		require.Len(t, lines, 4, name)
		for i, line := range lines {
			require.Contains(t, line, fmt.Sprintf("shown %d", i+1))
			require.Contains(t, line, []string{"WARN", "WARN", "ERROR", "ERROR"}[i])
			require.True(t, strings.HasPrefix(line, "inlong-dataproxy "), line)
		}
	}
}

// A library that writes to standard output without being asked breaks programs whose output is data.
func TestQuietClientWritesNothing(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	c := cluster(t)
	text := stdout(t, func() {
		client := connect(t, c, dataproxy.WithLogger(dataproxy.NopLogger()))
		c.Node(0).Kill()
		require.NoError(t, client.Send(patient(t), message("x")))
		client.SendAsync(patient(t), message("y"), func(dataproxy.Message, error) { panic("in a callback") })
		require.NoError(t, client.Flush(patient(t)))
		client.Close()
	})
	require.Empty(t, text)
	healthy := stdout(t, func() {
		client := connect(t, cluster(t), dataproxy.WithLogger(nil))
		require.NoError(t, client.Send(patient(t), message("x")))
		client.Close()
	})
	require.Empty(t, healthy, "nothing went wrong, so there is nothing to say")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, left, "files in the working directory")
}

// buffer is a writer for many goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// expensive is an argument that must not be formatted for a line that nobody wants.
type expensive struct{ t *testing.T }

func (e expensive) String() string {
	e.t.Error("formatted for nothing")
	return ""
}

func TestSlogGetsTheLinesWithTheirLevels(t *testing.T) {
	var text safeBuffer
	o := valid()
	dataproxy.WithSlog(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelInfo})))(o)
	o.Logger.Debug(expensive{t})
	o.Logger.Debugf("%v", expensive{t})
	o.Logger.Info("a", 1)
	o.Logger.Infof("b%d", 2)
	o.Logger.Warn("c")
	o.Logger.Warnf("d%%")
	o.Logger.Error("e")
	o.Logger.Errorf("f %v", nil)
	var got []string
	for line := range strings.SplitSeq(strings.TrimSpace(text.String()), "\n") {
		got = append(got, line[strings.Index(line, "level="):])
	}
	require.Equal(t, []string{"level=INFO msg=a1", "level=INFO msg=b2", "level=WARN msg=c", "level=WARN msg=d%", "level=ERROR msg=e",
		`level=ERROR msg="f <nil>"`}, got)
	require.Panics(t, func() { o.Logger.Panic("p") })
	require.Panics(t, func() { o.Logger.Panicf("p %d", 1) })

	c := cluster(t)
	client := connect(t, c, dataproxy.WithSlog(slog.New(slog.NewTextHandler(&text, nil))))
	c.Node(0).Kill()
	eventually(t, "the loss of a node is told", func() bool { return strings.Contains(text.String(), "node "+c.Node(0).Addr()+" is avoided") })
	client.Close()
}

// warns is a user's logger that does something else.
type warns struct {
	dataproxy.Logger
	do func()
}

func (l warns) Warn(...any)  { l.do() }
func (l warns) Error(...any) { l.do() }

// A Logger that never returned held up the lane that had something to say, for good: nothing was sent over it any more.
func TestLoggerThatNeverReturnsHoldsUpNobody(t *testing.T) {
	gate := make(chan struct{})
	t.Cleanup(func() { close(gate) })
	c := cluster(t)
	client := connect(t, c, dataproxy.WithLogger(warns{dataproxy.NopLogger(), func() { <-gate }}), dataproxy.WithMaxRetries(100))
	for _, n := range c.Nodes() {
		n.ResetConnections()
		require.NoError(t, client.Send(patient(t), message("x")))
	}
	client.SendAsync(patient(t), message("y"), func(dataproxy.Message, error) { panic("in a callback") })
	client.SendAsync(patient(t), dataproxy.Message{StreamID: "test_stream"}, nil) // refused, which only the log hears of
	require.NoError(t, client.Flush(patient(t)))
	eventually(t, "all lanes are back", func() bool { return usableLanes(client) == 8 })
	inTime(t, time.Second, "Close", client.Close)
}

// FailNow in a test's Logger is a runtime.Goexit: it ended the lane that had something to say.
func TestLoggerThatEndsItsGoroutineCostsNoLane(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithLogger(warns{dataproxy.NopLogger(), runtime.Goexit}), dataproxy.WithMaxRetries(100))
	for range 3 {
		for _, n := range c.Nodes() {
			n.ResetConnections()
		}
		eventually(t, "all lanes are back", func() bool { return usableLanes(client) == 8 })
		require.NoError(t, client.Send(patient(t), message("x")))
	}
}

// A Logger that ships its lines through the client waited for room that its own goroutine was to give back, and all senders with it.
func TestLoggerMaySendThroughItsClient(t *testing.T) {
	c := cluster(t, dataproxytest.WithNodes(1))
	standing(c, dataproxytest.ErrorCode(109))
	var client dataproxy.FullClient
	logged := make(chan error, 100)
	client = connect(t, c, dataproxy.WithWorkerNum(1), dataproxy.WithMaxPendingMessages(1), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithLogger(warns{dataproxy.NopLogger(), func() { logged <- client.Send(patient(t), message("a line")) }}))
	inTime(t, time.Second, "sending", func() {
		for range 24 {
			client.SendAsync(patient(t), message("x"), nil)
		}
		require.NoError(t, client.Flush(patient(t)))
	})
	fault(t, <-logged, dataproxy.CodeServerError)
}

// A Logger may close its client: that must not wait for the Logger.
func TestLoggerMayCloseItsClient(t *testing.T) {
	c := cluster(t)
	var client dataproxy.FullClient
	closed := make(chan error, 100)
	client = connect(t, c, dataproxy.WithLogger(warns{dataproxy.NopLogger(), func() {
		_, err := client.Shutdown(patient(t))
		closed <- err
	}}))
	inTime(t, 500*time.Millisecond, "Shutdown", func() {
		client.SendAsync(patient(t), dataproxy.Message{StreamID: "test_stream"}, nil) // refused, which the log hears of
		require.NoError(t, <-closed)
	})
}

// panicking is a user's logger at its worst.
type panicking struct{ dataproxy.Logger }

func (panicking) Warn(...any)           { panic("in a logger") }
func (panicking) Warnf(string, ...any)  { panic("in a logger") }
func (panicking) Error(...any)          { panic("in a logger") }
func (panicking) Errorf(string, ...any) { panic("in a logger") }

// The logger is user code too: its panic must not close the client, nor end the process.
func TestPanicInTheLoggerHurtsNobody(t *testing.T) {
	c := cluster(t)
	client := connect(t, c, dataproxy.WithLogger(panicking{dataproxy.NopLogger()}), dataproxy.WithMaxRetries(10))
	for _, n := range c.Nodes() {
		n.Fault(dataproxytest.CloseAfterRead())
		require.NoError(t, client.Send(patient(t), message("x")))
	}
	client.SendAsync(patient(t), message("y"), func(dataproxy.Message, error) { panic("in a callback") })
	require.NoError(t, client.Flush(patient(t)))
	require.NoError(t, client.Send(patient(t), message("z")))
	require.Zero(t, client.Stats().Failed)
}
