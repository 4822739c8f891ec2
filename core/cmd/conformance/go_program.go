package main

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// goRun is a plan that is carried out in this process.
type goRun struct {
	plan     *plan
	payloads []byte // of the messages, one after the other: what is sent
	client   dataproxy.FullClient

	mu      sync.Mutex
	lines   []line
	results int
}

func runGo(ctx context.Context, p *plan, payloads []byte) ([]line, error) {
	ctx, cancel := context.WithTimeout(ctx, planTakes)
	defer cancel()
	r := &goRun{plan: p, payloads: payloads}
	opts := []dataproxy.Option{dataproxy.WithLogger(dataproxy.NopLogger()), dataproxy.WithMetricsRegistry(prometheus.NewRegistry())}
	for key, value := range p.options {
		opts = append(opts, dataproxy.WithOption(key, value))
	}
	var err error
	if r.client, err = dataproxy.NewClient(opts...); err != nil {
		code := codeNewConnFailed
		if !errors.Is(err, dataproxy.ErrNoEndpoint) && !errors.Is(err, dataproxy.ErrNoAvailableWorker) {
			code = -2 // an option, as C says it
		}
		return []line{{Step: "client", Code: code, Text: err.Error()}}, nil
	}
	defer r.client.Close()
	r.lines = append(r.lines, line{Step: "client"})
	r.steps(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines, nil
}

func (r *goRun) steps(ctx context.Context) {
	offset := 0
	for i := 0; i < len(r.plan.steps); i++ {
		s := r.plan.steps[i]
		switch s.kind {
		case "message":
			n := 1
			if r.plan.mode == modeBulk {
				n = r.alike(i)
			}
			var batch []dataproxy.Message
			for _, m := range r.plan.messages[s.index : s.index+n] {
				end := offset + len(m.payload)
				batch = append(batch, dataproxy.Message{GroupID: m.group, StreamID: m.stream, Attributes: m.attributes, Time: m.at,
					Payload: r.payloads[offset:end], ItemAttributes: m.ofItem})
				offset = end
			}
			r.send(ctx, s.index, batch)
			i += n - 1
		case "flush":
			bounded, cancel := context.WithTimeout(ctx, s.timeout)
			err := r.client.Flush(bounded)
			cancel()
			r.note(line{Step: "flush", Text: errorText(err), Code: codeOf(err)})
		case "close":
			bounded, cancel := context.WithTimeout(ctx, s.timeout)
			report, err := r.client.Shutdown(bounded)
			cancel()
			r.note(line{Step: "close", Text: errorText(err), Code: codeOf(err), Acked: int(report.Acked), Unsent: int(report.Unsent)})
		}
	}
}

// alike returns how many messages from step i on may go in one call.
func (r *goRun) alike(i int) (n int) {
	first := r.plan.messages[r.plan.steps[i].index]
	for _, s := range r.plan.steps[i:] {
		if s.kind != "message" {
			return n
		}
		if m := r.plan.messages[s.index]; m.group != first.group || m.stream != first.stream || !m.at.Equal(first.at) ||
			!maps.Equal(m.attributes, first.attributes) || !maps.Equal(m.ofItem, first.ofItem) {
			return n
		}
		n++
	}
	return n
}

func (r *goRun) send(ctx context.Context, index int, batch []dataproxy.Message) {
	switch r.plan.mode {
	case modeSync:
		r.result(index, r.client.Send(ctx, batch[0]))
	case modeBulk:
		errs := r.client.SendBatch(ctx, batch)
		for i := range batch {
			if errs == nil {
				r.result(index+i, nil)
			} else {
				r.result(index+i, errs[i])
			}
		}
	default:
		r.client.SendAsync(ctx, batch[0], func(_ dataproxy.Message, err error) { r.result(index, err) })
	}
}

func (r *goRun) result(index int, err error) {
	l := line{Step: "message", Index: index, Code: codeOf(err), Text: errorText(err), Persisted: dataproxy.Acked.String()}
	var e *dataproxy.Error
	if errors.As(err, &e) {
		l.ServerCode, l.Persisted, l.Attempts = e.ServerCode, e.Persisted().String(), e.Attempts
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results++
	r.lines = append(r.lines, l)
}

func (r *goRun) note(l line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.Results = r.results
	r.lines = append(r.lines, l)
}

func codeOf(err error) int {
	var e *dataproxy.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return int(e.Code)
	}
	return int(dataproxy.CodeUnknown)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
