package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// plan is what one process does, as the environment says it.
type plan struct {
	URL, Dir string
	Mode     mode
	Life     uint32
	Seed     uint64
	Drain    bool   // it sends nothing, and says when nothing is left
	Step     string // of the disk, at which it ends; empty: it is killed from outside
	Nth      int64
	After    bool
	Fails    string // a step that fails once
	Log      string // the file of its log

	logger dataproxy.Logger
}

// sendTimeout is that of the clients.
const sendTimeout = 300 * time.Millisecond

// mostMessages is how many messages one life sends at most.
const mostMessages = 30_000

// live is the child: a client under load, until it is killed.
func live(p *plan) error {
	point := &failpoint{step: p.Step, after: p.After, fails: p.Fails}
	point.left.Store(p.Nth)
	spool.Disk = failingDisk{spool.Disk, point}
	say := func(kind byte, number uint32) {
		_, _ = os.Stdout.Write(note{kind, number, time.Now().UnixNano()}.bytes())
	}
	log, err := os.OpenFile(p.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	p.logger = lines{dataproxy.NopLogger(), log}
	random := rand.New(rand.NewPCG(p.Seed, 1))
	client, err := dataproxy.NewClient(p.options(random)...)
	if err != nil {
		return err
	}
	say(opened, 0)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	if p.Drain {
		return p.drain(client, say, ended)
	}
	go func() {
		for {
			say(alive, uint32((point.waits()+trip(client))/time.Millisecond))
			time.Sleep(tick)
		}
	}()
	load := load{life: p.Life, client: client, say: say, ordered: p.Mode.Ordered}
	for range 2 {
		seed := random.Uint64()
		go load.run(rand.New(rand.NewPCG(seed, 2)))
	}
	<-ended // its parent is gone
	return errors.New("was not killed")
}

// trip is how much later than a message arrives its ack may be known: the nodes share a busy process with the judge.
func trip(client dataproxy.FullClient) (longest time.Duration) {
	for _, n := range client.Stats().Nodes {
		longest = max(longest, n.RoundTrip.P99)
	}
	return longest
}

// options are drawn anew for each life: the next one finds what another one has left.
func (p *plan) options(random *rand.Rand) []dataproxy.Option {
	// A segment is an eighth of the room: the smaller, the more are begun and removed.
	room := pick(random, 1<<20, 8<<20, 256<<20)
	sync := pick(random, dataproxy.SpoolSyncOff, dataproxy.SpoolSyncInterval, dataproxy.SpoolSyncBatch)
	if p.Step != "" { // that comes about
		room = 1 << 20
	}
	if strings.HasPrefix(p.Step, "sync") || p.Fails != "" {
		sync = pick(random, dataproxy.SpoolSyncInterval, dataproxy.SpoolSyncBatch)
	}
	format, compression := pick(random, dataproxy.Text, dataproxy.Binary), pick(random, dataproxy.None, dataproxy.Snappy)
	pending, batch := pick(random, 1000, 20_000), pick(random, 3, 50)
	p.logger.Infof("life %d: spool_max_bytes %d, spool_sync %s, %s, %s, %d pending messages, %d a batch; %s", p.Life, room, sync, format, compression, pending, batch, p.Step)
	return append(p.Mode.options(), []dataproxy.Option{
		dataproxy.WithURL(p.URL), dataproxy.WithGroupID(group), dataproxy.WithSpoolDir(p.Dir), dataproxy.WithLogger(p.logger),
		dataproxy.WithMetricsRegistry(prometheus.NewRegistry()), dataproxy.WithLazyStart(true),
		// Nodes share a busy process with the judge: an answer that is late must not cost a connection, and what was written to it.
		dataproxy.WithSendTimeout(sendTimeout), dataproxy.WithAckTimeout(time.Minute), dataproxy.WithBlockIfQueueIsFull(true),
		dataproxy.WithRetryInitialInterval(5 * time.Millisecond), dataproxy.WithMaxPendingBytes(8 << 20),
		dataproxy.WithSpoolSyncInterval(50 * time.Millisecond),
		dataproxy.WithMaxPendingMessages(pending), dataproxy.WithSpoolMaxBytes(room), dataproxy.WithSpoolSync(sync),
		dataproxy.WithMessageFormat(format), dataproxy.WithCompression(compression), dataproxy.WithBatchingMaxMessages(batch),
	}...)
}

// lines writes what a client logs to a file.
type lines struct {
	dataproxy.Logger
	to *os.File
}

func (l lines) line(text string) {
	fmt.Fprintln(l.to, time.Now().Format("15:04:05.000000"), text)
}

func (l lines) Info(args ...any)                  { l.line(fmt.Sprint(args...)) }
func (l lines) Warn(args ...any)                  { l.line(fmt.Sprint(args...)) }
func (l lines) Error(args ...any)                 { l.line(fmt.Sprint(args...)) }
func (l lines) Infof(format string, args ...any)  { l.line(fmt.Sprintf(format, args...)) }
func (l lines) Warnf(format string, args ...any)  { l.line(fmt.Sprintf(format, args...)) }
func (l lines) Errorf(format string, args ...any) { l.line(fmt.Sprintf(format, args...)) }

func pick[T any](random *rand.Rand, choices ...T) T { return choices[random.IntN(len(choices))] }

// load is what senders share.
type load struct {
	life   uint32
	client dataproxy.FullClient
	say    func(kind byte, number uint32)
	// ordered: a message is sent before the next one has its number.
	ordered bool
	sending sync.Mutex

	mu        sync.Mutex
	next      uint32
	announced uint32
}

// take returns the number of the next message. That it may have been sent is said before it is.
func (l *load) take() (number uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == mostMessages {
		return 0, false
	}
	if l.next == l.announced {
		l.announced += 250
		l.say(began, l.announced)
	}
	l.next++
	return l.next - 1, true
}

// run sends in bursts.
func (l *load) run(random *rand.Rand) {
	for {
		for range 1 + random.IntN(100) {
			if !l.one() {
				return
			}
		}
		time.Sleep(time.Duration(random.IntN(5000)) * time.Microsecond)
	}
}

// one sends the next message.
func (l *load) one() (ok bool) {
	if l.ordered {
		l.sending.Lock()
		defer l.sending.Unlock()
	}
	number, ok := l.take()
	if !ok {
		return false
	}
	m := message{l.life, number}
	l.client.SendAsync(context.Background(), m.whole(), func(_ dataproxy.Message, err error) {
		var e *dataproxy.Error
		switch {
		case err == nil:
			l.say(acked, number)
		case errors.As(err, &e) && e.Code == dataproxy.CodeStored:
			l.say(stored, number)
		default:
			l.say(refused, number)
		}
	})
	return true
}

// drain has everything delivered that is in the folder, and closes the client once nothing is left. A slot may be adopted a moment after
// the start of a client; one that has not got it by then is closed, and the next one looks for it.
func (p *plan) drain(client dataproxy.FullClient, say func(kind byte, number uint32), ended chan struct{}) error {
	for {
		// Looks are counted, not time: a process that was stopped would close with batches on their way, which come again.
		for looks := 0; looks < adoption && p.left(); looks++ {
			if client.Stats().Spool.Batches > 0 {
				looks = 0
			}
			select {
			case <-ended:
				return errors.New("was ended before all was delivered")
			case <-time.After(tick):
			}
		}
		client.Close()
		if !p.left() {
			say(drained, 0)
			return nil
		}
		var err error
		if client, err = dataproxy.NewClient(p.options(rand.New(rand.NewPCG(p.Seed, 3)))...); err != nil {
			return err
		}
	}
}

// left reports whether anything is in the folder.
func (p *plan) left() bool {
	segments, err := filepath.Glob(filepath.Join(p.Dir, "slot-*", "*.seg"))
	return err != nil || len(segments) > 0
}

// adoption is for how many looks a client has nothing, though something is left, before the next one is opened: it adopts slots at its
// start, which takes a slow disk a while.
const adoption = 200
