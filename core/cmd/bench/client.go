package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/cmd/internal/loglines"
)

// The kinds of jobs.
const (
	kindBare   = "bare"
	kindTrip   = "trip"
	kindAsync  = "async"
	kindSteady = "steady"
	kindSync   = "sync"
	kindIdle   = "idle"
)

// asyncStep is how many messages are sent between two looks at the clock.
const asyncStep = 1024

// connect makes a client with the default options, but one that waits when its queue is full.
func connect(j job) (dataproxy.FullClient, error) {
	options := []dataproxy.Option{dataproxy.WithGroupID(benchGroup), dataproxy.WithBlockIfQueueIsFull(true)}
	if j.Server.URL != "" {
		options = append(options, dataproxy.WithURL(j.Server.URL))
	}
	for key, value := range j.Options {
		options = append(options, dataproxy.WithOption(key, value))
	}
	return dataproxy.NewClient(options...)
}

// load sends asynchronously and counts the results.
type load struct {
	client  dataproxy.FullClient
	corpus  []byte
	size    int
	streams []string
	callers int
	makers  []maker // one for each caller, nil for lines as they are

	acked, failed atomic.Int64
	fault         atomic.Pointer[error]
}

func newLoad(j job, client dataproxy.FullClient) (*load, error) {
	corpus, err := openCorpus(j.Corpus, j.Size)
	if err != nil {
		return nil, err
	}
	l := &load{client: client, corpus: corpus, size: j.Size, streams: []string{benchStream}, callers: max(j.Callers, 1)}
	for range l.callers {
		m, err := newMaker(j)
		if err != nil {
			return nil, err
		}
		l.makers = append(l.makers, m)
	}
	for i := 1; i < j.Streams; i++ {
		l.streams = append(l.streams, fmt.Sprintf("%s_%d", benchStream, i))
	}
	return l, nil
}

func (l *load) result(_ dataproxy.Message, err error) {
	if err != nil {
		first := err // err itself would be allocated for every message
		l.fault.CompareAndSwap(nil, &first)
		l.failed.Add(1)
		return
	}
	l.acked.Add(1)
}

// run sends with all callers and returns when every message has its result.
func (l *load) run(p pace) (int64, error) {
	sent := l.push(p)
	return sent, l.settle(sent)
}

// push sends with all callers.
func (l *load) push(p pace) int64 {
	var total atomic.Int64
	var callers sync.WaitGroup
	for i := range l.callers {
		callers.Go(func() { total.Add(l.send(p, loglines.NewCursor(l.corpus, l.size, i), l.makers[i])) })
	}
	callers.Wait()
	return total.Load()
}

// settle returns when every message has its result; it must be an ack.
func (l *load) settle(sent int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.client.Flush(ctx); err != nil {
		return err
	}
	acked, failed := l.acked.Swap(0), l.failed.Swap(0)
	if failed > 0 {
		return fmt.Errorf("%d of %d messages failed: %w", failed, failed+acked, *l.fault.Load())
	}
	if acked != sent {
		return fmt.Errorf("%d messages were sent and %d have a result", sent, acked)
	}
	return nil
}

// send is one caller: each message goes to the next stream.
func (l *load) send(p pace, corpus *loglines.Cursor, make maker) (sent int64) {
	ctx, result, stream := context.Background(), dataproxy.Callback(l.result), 0
	for n := p.next(0); n > 0; n = p.next(sent) {
		for range n {
			msg := dataproxy.Message{StreamID: l.streams[stream], Payload: corpus.Next()}
			if make != nil {
				msg = make(msg)
			}
			l.client.SendAsync(ctx, msg, result)
			if stream++; stream == len(l.streams) {
				stream = 0
			}
		}
		sent += n
	}
	return sent
}

// withLoad runs f with the load of a client that lives as long.
func withLoad(j job, f func(l *load) (sample, error)) (sample, error) {
	options, remove, err := j.spoolOptions()
	if err != nil {
		return sample{}, err
	}
	defer remove()
	j.Options = options
	client, err := connect(j)
	if err != nil {
		return sample{}, err
	}
	defer client.Close()
	l, err := newLoad(j, client)
	if err != nil {
		return sample{}, err
	}
	return f(l)
}

func runAsync(j job) (sample, error) {
	return withLoad(j, func(l *load) (sample, error) {
		if _, err := l.run(j.warmUp(asyncStep)); err != nil {
			return sample{}, err
		}
		return j.Profiles.profiled(func() (sample, error) {
			m := startMeter()
			sent, err := l.run(j.measured(asyncStep, l.callers))
			return m.stop(sent), err
		})
	})
}

// runSteady counts the allocations of the steady state: when the queue does not grow any more.
func runSteady(j job) (sample, error) {
	return withLoad(j, func(l *load) (sample, error) {
		filled := l.fill(seconds(2 * j.Seconds))
		m := startMeter()
		sent := l.push(j.measured(asyncStep, l.callers))
		s := m.stop(sent)
		return s, l.settle(filled + sent)
	})
}

// fill sends until the queue has stopped growing for a while, or for the given time at the longest.
func (l *load) fill(atMost time.Duration) (sent int64) {
	const part = 50 * time.Millisecond
	highest := int64(0)
	for steady, end := 0, time.Now().Add(atMost); steady < 4 && time.Now().Before(end); {
		sent += l.push(pace{step: asyncStep, end: time.Now().Add(part)})
		if pending := l.client.Stats().PendingBytes; pending > highest+highest/100 {
			highest, steady = pending, 0
		} else {
			steady++
		}
	}
	return sent
}

func runSync(j job) (sample, error) {
	client, err := connect(j)
	if err != nil {
		return sample{}, err
	}
	defer client.Close()
	corpus, err := openCorpus(j.Corpus, j.Size)
	if err != nil {
		return sample{}, err
	}
	callers := make([]*loglines.Cursor, max(j.Callers, 1))
	for i := range callers {
		callers[i] = loglines.NewCursor(corpus, j.Size, i)
	}
	return measureCalls(j, len(callers), func(caller int) error {
		return client.Send(context.Background(), dataproxy.Message{StreamID: benchStream, Payload: callers[caller].Next()})
	})
}

// measureCalls lets callers make one call after the other, and takes the time of each.
func measureCalls(j job, callers int, call func(caller int) error) (sample, error) {
	run := func(p pace, times [][]float64) error {
		faults := make([]error, callers)
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				for sent := int64(0); p.next(sent) > 0 && faults[i] == nil; sent++ {
					began := time.Now()
					faults[i] = call(i)
					if times != nil {
						times[i] = append(times[i], float64(time.Since(began))/float64(time.Microsecond))
					}
				}
			})
		}
		group.Wait()
		return errors.Join(faults...)
	}
	if err := run(j.warmUp(1), nil); err != nil {
		return sample{}, err
	}
	times := make([][]float64, callers)
	for i := range times {
		times[i] = make([]float64, 0, 1<<20/callers)
	}
	m := startMeter()
	err := run(j.measured(1, callers), times)
	all := slices.Concat(times...)
	s := m.stop(int64(len(all)))
	slices.Sort(all)
	s.P50, s.P99 = percentile(all, 0.50), percentile(all, 0.99)
	return s, err
}
