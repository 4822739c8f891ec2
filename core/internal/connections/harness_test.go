package connections

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/wire"
)

const patience = 20 * time.Second

// parcel is what the tests have carried.
type parcel struct {
	seq    uint64
	home   *Home[*parcel]
	failed []*Node
	away   atomic.Bool // the connections have it
	ended  atomic.Int32
}

// sender is an owner that sends each parcel until it is acked, and counts attempts that end twice.
type sender struct {
	s      *Set[*parcel]
	doubly atomic.Int32
	acked  sync.WaitGroup
}

func (d *sender) send(p *parcel) {
	p.away.Store(true)
	d.s.Dispatch(p)
}

func (d *sender) back(p *parcel) {
	if !p.away.Swap(false) {
		d.doubly.Add(1)
	}
}

func (*sender) Dead(p *parcel) bool           { return p.ended.Load() > 0 }
func (*sender) Failed(p *parcel) []*Node      { return p.failed }
func (*sender) Home(p *parcel) *Home[*parcel] { return p.home }
func (*sender) Tight() bool                   { return false }

func (*sender) Frame(frames []byte, spare *[]byte, p *parcel, _ *Lane[*parcel], _ time.Time) (all []byte, seq, other uint64) {
	id := wire.BatchID{Client: 1, Seq: p.seq}
	*spare = fmt.Appendf((*spare)[:0], "groupId=g&streamId=s&dt=1&mid=%s&sid=%s&wid=0&cnt=1", id, id)
	return wire.AppendText(frames, wire.AppendItem(nil, []byte("x")), *spare, false), p.seq, 0
}

func (*sender) Writing(*Lane[*parcel], []transport.Written[*parcel]) {}
func (*sender) Unmatched()                                           {}
func (*sender) Dialled(error)                                        {}
func (*sender) Lend() (buf []byte, beside any)                       { return nil, nil }
func (*sender) GiveBack([]byte, any)                                 {}

func (d *sender) again(p *parcel) {
	d.back(p)
	d.send(p)
}

func (d *sender) TooLong(p *parcel, _ *Lane[*parcel], _ int) { d.again(p) }
func (d *sender) Unwritten(p *parcel, _ error)               { d.again(p) }

func (d *sender) Lost(p *parcel, l *Lane[*parcel], _ error, _ bool, _ int) {
	p.failed = []*Node{l.Node}
	d.again(p)
}

func (d *sender) Refused(w transport.Written[*parcel], l *Lane[*parcel], a *wire.Answer) {
	d.s.PutAside(l.Node, w.At, Answer{Code: a.Code})
	d.again(w.Item)
}

func (d *sender) Acked(p *parcel, _ *Lane[*parcel]) {
	d.back(p)
	if p.ended.Add(1) > 1 {
		d.doubly.Add(1)
		return
	}
	d.acked.Done()
}

// harness makes a set that nothing runs in yet. The test waits at its end for what runs.
func harness(t *testing.T) (*Set[*parcel], *sender) {
	owner, lasting, writers := new(sender), new(sync.WaitGroup), new(sync.WaitGroup)
	t.Cleanup(func() { // behind the end of the context
		lasting.Wait()
		writers.Wait()
	})
	owner.s = New(t.Context(), &Config{
		Transport: transport.Config{
			Client: 1, Type: wire.TypeText, ConnTimeout: patience, AckTimeout: patience, HeartbeatInterval: patience, MaxAnswer: 1 << 20,
			GetBuffer: func() []byte { return make([]byte, 4096) }, PutBuffer: func([]byte) {}, Guard: func() {},
		},
		Lanes: 4, WriteBuffer: 1 << 20, FirstPause: time.Millisecond, UpdateInterval: time.Hour, Forget: true,
		Log: silent{}, Lasting: lasting, Writers: writers,
	}, owner)
	return owner.s, owner
}

type silent struct{}

func (silent) Warnf(string, ...any) {}

// badNode answers, and every now and then refuses or closes instead.
func badNode(t *testing.T) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				var r wire.Request
				for {
					frame := make([]byte, 4)
					if _, err := io.ReadFull(in, frame); err != nil {
						return
					}
					frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
					if _, err := io.ReadFull(in, frame[4:]); err != nil || !r.Parse(frame).Ok() {
						return
					}
					answer := wire.AnswerAttr{Attr: r.Attr, NodeIP: "127.0.0.1"}
					switch chance := rand.IntN(200); {
					case r.IsHeartbeat():
						_, _ = conn.Write(wire.AppendHeartbeatAnswer(nil, &r, 1))
						continue
					case chance == 0:
						return
					case chance == 1:
						answer.Code = 114
					}
					_, _ = conn.Write(wire.AppendAnswer(nil, &r, answer))
				}
			}()
		}
	}()
	return listener.Addr().String()
}
