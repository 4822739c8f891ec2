package transport

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

// bytesServer reads until it has n frames, then writes the chunks one by one, each as a packet of its own.
func bytesServer(t *testing.T, n int, chunks func(frames [][]byte) [][]byte) string {
	return server(t, prover(func(c net.Conn) {
		_ = c.(*net.TCPConn).SetNoDelay(true)
		var frames [][]byte
		for range n {
			frame, err := readFrame(c)
			if err != nil {
				return
			}
			frames = append(frames, frame)
		}
		for _, chunk := range chunks(frames) {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
		silent(c)
	}))
}

// Scenario D12: a reader that takes each read for a whole answer loses the batches whose answers are split.
func TestD12_AnswerSplitAtEveryByte(t *testing.T) {
	error109 := func(frame []byte) []byte {
		return answerTo(frame, answer{109, "a&b=c"})
	}
	address := bytesServer(t, 1, func(frames [][]byte) (chunks [][]byte) {
		for _, b := range append(error109(frames[0]), wire.Heartbeat...) {
			chunks = append(chunks, []byte{b})
		}
		return chunks
	})
	s := connect(t, address, config())
	s.send(t, 7, "x")
	e := s.next(t)
	require.Equal(t, event{Written[string]{Item: "x", Seq: 7, At: e.At}, 109, "a&b=c"}, e)

	// Each position alone: the rest of the answer comes together with the next answer.
	sample := frameOf(1, "x")
	for cut := 1; cut < len(answerTo(sample, answer{})); cut++ {
		address := bytesServer(t, 2, func(frames [][]byte) [][]byte {
			first := answerTo(frames[0], answer{})
			return [][]byte{first[:cut], append(first[cut:], error109(frames[1])...)}
		})
		s := connect(t, address, config())
		s.send(t, 1, "x")
		s.send(t, 2, "y")
		if first, second := s.next(t), s.next(t); first.Seq != 1 || first.code != 0 || second.Seq != 2 || second.code != 109 || second.text != "a&b=c" {
			t.Fatalf("cut at %d: %+v, %+v", cut, first, second)
		}
		s.Close()
	}
}

// Scenario D12: many answers in one packet, more than the read buffer holds.
func TestD12_ManyAnswersInOnePacket(t *testing.T) {
	const n = 500
	address := bytesServer(t, n, func(frames [][]byte) [][]byte {
		var all []byte
		for _, f := range frames {
			all = append(all, answerTo(f, answer{})...)
		}
		return [][]byte{all}
	})
	s := connect(t, address, config())
	var frames []byte
	var written []Written[string]
	for seq := range uint64(n) {
		frames = append(frames, frameOf(seq, "x")...)
		written = append(written, Written[string]{Seq: seq})
	}
	_, err := s.Write(frames, written)
	require.NoError(t, err)
	for seq := range uint64(n) {
		require.Equal(t, seq, s.next(t).Seq)
	}
	require.Zero(t, s.InFlight())
}

// Scenario D12: whatever breaks the protocol ends the connection, gives the unanswered frames back and acks none of them. What
// was answered well before it counts.
func TestD12_BrokenAnswersEndTheConnection(t *testing.T) {
	good := func(attr string) string {
		return fmt.Sprintf("\x00\x00\x00%c\x05\x00\x00\x00\x012\x00\x00\x00%c%s", 10+len(attr), len(attr), attr)
	}
	mid := wire.BatchID{Client: ourClient, Seq: 2}.String()
	for name, raw := range map[string]string{
		"length 0":                 "\x00\x00\x00\x00",
		"length -1":                "\xff\xff\xff\xff\x05",
		"length of 2 GiB":          "\x7f\xff\xff\xff\x05\x00",
		"length of the smallest":   "\x80\x00\x00\x00\x05\x00",
		"length above the bound":   "\x00\x10\x00\x01\x05\x00",
		"type 0":                   "\x00\x00\x00\x01\x00",
		"type 5 of one byte":       "\x00\x00\x00\x01\x05",
		"10-byte frame":            "\x00\x00\x00\x0a\x05\x00\x00\x00\x01\x32\x00\x00\x00\x01",
		"attributes too long":      "\x00\x00\x00\x0a\x05\x00\x00\x00\x01\x32\x00\x00\x00\xff",
		"negative body":            "\x00\x00\x00\x0a\x05\xff\xff\xff\xff\x32\x00\x00\x00\x00",
		"errCode not a number":     good("dpIp=1&errCode=x&mid=" + mid),
		"errCode empty":            good("errCode=&mid=" + mid),
		"errCode minus nothing":    good("errCode=-0&mid=" + mid),
		"HTTP":                     "HTTP/1.1 200 OK\r\n\r\n",
		"end inside the length":    "\x00\x00",
		"end inside the answer":    good("dpIp=1&mid=" + mid)[:20],
		"nothing, just the end":    "",
		"success for what is gone": good("dpIp=1&mid=" + wire.BatchID{Client: ourClient, Seq: 1}.String()),
	} {
		t.Run(name, func(t *testing.T) {
			address := server(t, prover(func(c net.Conn) {
				first, _ := readFrame(c)
				_, _ = readFrame(c)
				_, _ = c.Write(append(answerTo(first, answer{}), raw...))
				_ = c.(*net.TCPConn).CloseWrite()
				silent(c)
			}))
			s := connect(t, address, config())
			s.send(t, 1, "first")
			s.send(t, 2, "second")
			left, reason := s.wait(t)
			require.Equal(t, []uint64{2}, seqs(left))
			want := ErrRead
			if strings.HasPrefix(name, "end") || strings.HasPrefix(name, "nothing") || strings.HasPrefix(name, "success") {
				want = ErrPeerClosed
			}
			require.ErrorIs(t, reason, want)
			require.Equal(t, uint64(1), s.next(t).Seq)
			answered, _ := s.waiting()
			require.Zero(t, answered)
			back, err := s.Write(frameOf(3, "x"), []Written[string]{{Seq: 3}})
			require.Len(t, back, 1)
			require.ErrorIs(t, err, want)
		})
	}
}

// Scenario D11: an error answer without a word of its request means the oldest frame; its neighbours succeed.
func TestD11_BareErrorBetweenGoodAnswers(t *testing.T) {
	address := bytesServer(t, 3, func(frames [][]byte) [][]byte {
		return [][]byte{
			answerTo(frames[0], answer{}),
			[]byte("\x00\x00\x00\x24\x05\x00\x00\x00\x012\x00\x00\x00\x1adpIp=127.0.0.1&errCode=105"),
			answerTo(frames[2], answer{}),
		}
	})
	s := connect(t, address, config())
	for seq := uint64(1); seq <= 3; seq++ {
		s.send(t, seq, "x")
	}
	for seq, code := range []int{0, 105, 0} {
		e := s.next(t)
		require.Equal(t, uint64(seq+1), e.Seq)
		require.Equal(t, code, e.code)
	}
}

// Answers that belong to nothing are counted, and change nothing.
func TestUnmatchedAnswersAreReported(t *testing.T) {
	address := bytesServer(t, 1, func(frames [][]byte) [][]byte {
		ack := answerTo(frames[0], answer{})
		binary := "\x00\x00\x00\x0f\x07\x00\x00\x00\x01\x00\x06dpIp=n\xee\x01"
		return [][]byte{answerTo(frameOf(9, "other"), answer{}), []byte(binary), ack, ack}
	})
	s := connect(t, address, config())
	s.send(t, 1, "x")
	require.Equal(t, uint64(1), s.next(t).Seq)
	require.Eventually(t, func() bool { _, n := s.waiting(); return n == 3 }, patience, time.Millisecond)
	for i, seq := range []uint64{9, 0, 1} { // a stranger, one of another kind, the double
		require.Equal(t, seq, s.unmatched[i].ID.Seq)
	}
	answered, _ := s.waiting()
	require.Zero(t, answered)
}

// A binary frame's answer is matched by its uniq.
func TestBinaryFramesAreMatchedByUniq(t *testing.T) {
	cfg := config()
	cfg.Type = wire.TypeBinary
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1), dataproxytest.WithTopics("test_group/s"))
	s := connect(t, cluster.Node(0).Addr(), cfg)
	for i, stream := range []string{"s", "unknown"} {
		seq := uint64(1)<<40 | uint64(i)
		frame := wire.AppendBinary(nil, wire.AppendItem(nil, []byte("x")), []byte("groupId=test_group&streamId="+stream), uint32(seq), 1, 1, false, false)
		_, err := s.Write(frame, []Written[string]{{Seq: seq}})
		require.NoError(t, err)
		e := s.next(t)
		require.Equal(t, seq, e.Seq)
		require.Equal(t, i*115, e.code)
	}
}

// An answer longer than the lent buffer must fit, one above the bound must not; the pool gets back what it lent, once.
func TestReadBufferGrowsUpToItsBound(t *testing.T) {
	for name, c := range map[string]struct {
		lent, text int
		ok         bool
	}{
		"fits":          {8192, 100, true},
		"grows":         {600, 30000, true},
		"no buffer":     {0, 30000, true},
		"over the edge": {600, 70000, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.MaxAnswer = 64 << 10
			lent := make([]byte, c.lent)
			var given, taken int
			cfg.GetBuffer = func() []byte { given++; return lent }
			cfg.PutBuffer = func(b []byte) {
				taken++
				if len(b) != len(lent) || len(b) > 0 && &b[0] != &lent[0] {
					t.Errorf("another buffer of %d bytes came back", len(b))
				}
			}
			s := connect(t, bytesServer(t, 1, func(frames [][]byte) [][]byte {
				return [][]byte{answerTo(frames[0], answer{114, strings.Repeat("x", c.text)})}
			}), cfg)
			s.send(t, 1, "x")
			if c.ok {
				require.Len(t, s.next(t).text, c.text)
				s.Close()
			}
			left, reason := s.wait(t)
			if !c.ok {
				require.Equal(t, []uint64{1}, seqs(left))
				require.ErrorIs(t, reason, wire.ErrAnswer)
				require.ErrorContains(t, reason, "it must be 1 to 65536")
			}
			require.Equal(t, 1, given)
			require.Equal(t, 1, taken)
		})
	}
}
