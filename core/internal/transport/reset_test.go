package transport

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A connection that was given up was closed in good order: the kernel kept sending what it held when the node woke up, megabytes of
// batches that were acked elsewhere long before. One that owes nothing ends with a FIN.
func TestConnectionThatOwesAnswersIsReset(t *testing.T) {
	for name, end := range map[string]func(s *session){
		"given up for silence": func(*session) {},
		"closed by us":         func(s *session) { s.Close() },
		"failed":               func(s *session) { s.Fail(ErrRead) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			if name == "given up for silence" {
				cfg.AckTimeout = 200 * time.Millisecond
			}
			ended, outcome, got := make(chan struct{}), make(chan error, 1), 0
			s := connect(t, server(t, prover(func(conn net.Conn) {
				_ = conn.(*net.TCPConn).SetReadBuffer(4096)
				<-ended
				buf := make([]byte, 64<<10)
				for {
					n, err := conn.Read(buf)
					got += n
					if err != nil {
						outcome <- err
						return
					}
				}
			})), cfg)
			frame := frameOf(1, string(make([]byte, 16<<20)))
			written := make(chan struct{})
			go func() {
				defer close(written)
				_, _ = s.Write(frame, []Written[string]{{Item: "x", Seq: 1}})
			}()
			require.Eventually(t, func() bool { return s.InFlight() == 1 }, patience, time.Millisecond)
			end(s)
			_, _ = s.wait(t)
			<-written
			close(ended)
			select {
			case err := <-outcome:
				require.ErrorIs(t, err, syscall.ECONNRESET)
			case <-time.After(patience):
				require.Fail(t, "the node's side does not end")
			}
			require.Less(t, got, len(frame)/2)
		})
	}
	t.Run("owes nothing", func(t *testing.T) {
		outcome := make(chan error, 1)
		s := connect(t, server(t, prover(func(conn net.Conn) {
			frame, err := readFrame(conn)
			if err == nil {
				_, err = conn.Write(answerTo(frame, answer{}))
			}
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			outcome <- err
		})), config())
		s.send(t, 1, "x")
		s.next(t)
		s.Close()
		require.Equal(t, io.EOF, <-outcome)
	})
}
