package connections

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
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
	t.Cleanup(func() { // after the end of the context
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

// badNodes answer, and every now and then refuse or close instead.
func badNodes(t *testing.T, n int) (addrs []string) {
	for _, node := range dataproxytest.Start(t, dataproxytest.WithNodes(n), dataproxytest.WithoutRecorder()).Nodes() {
		node.Handle(func(dataproxytest.Record) dataproxytest.Fault {
			switch rand.IntN(200) {
			case 0:
				return dataproxytest.CloseAfterRead()
			case 1:
				return dataproxytest.ErrorCode(114)
			}
			return dataproxytest.Fault{}
		})
		addrs = append(addrs, node.Addr())
	}
	return addrs
}
