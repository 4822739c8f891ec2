package discovery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/multierr"
)

const maxAnswer = 16 << 20 // the most that is read of the Manager's answer; a list of 100,000 nodes is shorter

// ErrNoNodes says that the Manager answered with success but without any TCP node.
var ErrNoNodes = errors.New("the Manager lists no TCP node for the group")

// List is the Manager's answer about a group's nodes.
type List struct {
	Nodes []string // host:port, sorted, each once
	// MaxPacketLength is the administrator's bound of a frame, 0 if none was set.
	MaxPacketLength int
	// Skipped names the entries that cannot be used, and why.
	Skipped []error
}

// Manager asks an InLong Manager. The zero value of an optional field turns it off.
type Manager struct {
	ListURLs []string // see ListURLs; each an address of the same Manager
	Group    string
	// TLS returns the configuration for a request over https; optional.
	TLS func() *tls.Config
	// Authorize returns the header that signs the requests; optional.
	Authorize func(ctx context.Context, group string) (header, token string, err error)

	answered atomic.Int32 // the address that gave the last good answer; it is asked first
}

// answer is the result of asking one address.
type answer struct {
	address, turn int
	list          List
	err           error
}

// Fetch asks the addresses for the node list, one after the other, and returns the first good answer. It does not give up an
// address that is silent for a while, since a Manager that has just started takes seconds. Instead it asks the next one at the same
// time, or the same one again, as a request may be lost. Fetch ends when ctx does, or when each address has failed and none is
// being asked.
func (m *Manager) Fetch(ctx context.Context) (List, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the other requests
	signed, err := m.sign(ctx)
	if err != nil {
		return List{}, err
	}
	answers, through := make(chan answer), make(chan struct{})
	defer close(through)
	first, asked, open := int(m.answered.Load()), 0, 0
	next := func() {
		turn := asked
		address := (first + turn) % len(m.ListURLs)
		asked, open = asked+1, open+1
		go func() {
			a := answer{address: address, turn: turn}
			defer func() {
				if r := recover(); r != nil { // a panic of this library must not end the process
					a.err = fmt.Errorf("internal fault: %v\n%s", r, debug.Stack())
				}
				select {
				case answers <- a:
				case <-through:
				}
			}()
			a.list, a.err = m.askOne(ctx, m.ListURLs[address], signed)
		}()
	}
	faults, told := make([]error, len(m.ListURLs)), make([]int, len(m.ListURLs))
	patience := m.patience(ctx)
	silence := time.NewTicker(patience)
	defer silence.Stop()
	for next(); ; {
		select {
		case a := <-answers:
			open--
			if a.err == nil {
				m.answered.Store(int32(a.address))
				return a.list, nil
			}
			switch {
			case !errors.Is(a.err, context.DeadlineExceeded):
				faults[a.address], told[a.address] = a.err, 0
			case faults[a.address] == nil || a.turn < told[a.address]: // no time was left: the address that was asked first has the best error
				faults[a.address], told[a.address] = a.err, a.turn
			}
			switch {
			case asked < len(m.ListURLs) && ctx.Err() == nil:
				next()
				silence.Reset(patience)
			case open == 0: // otherwise a slow one may still give a good answer
				return List{}, m.fault(faults)
			}
		case <-silence.C:
			if ctx.Err() == nil {
				next()
			}
		}
	}
}

// patience is how long an address may be silent before another one is asked at the same time. It is such that all of them are
// asked, and one again, before ctx ends.
func (m *Manager) patience(ctx context.Context) time.Duration {
	at, bounded := ctx.Deadline()
	if !bounded {
		return longestPatience
	}
	return min(longestPatience, max(time.Until(at)/time.Duration(len(m.ListURLs)+2), time.Millisecond))
}

const longestPatience = 5 * time.Second

// fault joins the errors of the addresses.
func (m *Manager) fault(faults []error) error {
	if len(faults) == 1 {
		return faults[0]
	}
	var all error
	for i, err := range faults {
		if u, e := url.Parse(m.ListURLs[i]); e == nil && err != nil {
			all = multierr.Append(all, fmt.Errorf("%s: %w", u.Host, err))
		}
	}
	return all
}

// credentials sign requests.
type credentials struct {
	header, token string
	renew         func() (credentials, error) // asks Authorize again, the first time that it is called; nil if requests are not signed
}

// sign gets the credentials for all requests of one question.
func (m *Manager) sign(ctx context.Context) (credentials, error) {
	if m.Authorize == nil {
		return credentials{}, nil
	}
	ask := func() (c credentials, err error) {
		if c.header, c.token, err = m.Authorize(ctx, m.Group); err != nil {
			return c, fmt.Errorf("getting a token for the Manager: %w", err)
		}
		return c, nil
	}
	c, err := ask()
	c.renew = sync.OnceValues(ask)
	return c, err
}

// askOne asks one address for the node list.
func (m *Manager) askOne(ctx context.Context, listURL string, signed credentials) (List, error) {
	target := listURL + "/" + url.PathEscape(m.Group) + "?protocolType=TCP"
	body, err := m.exchange(ctx, http.MethodPost, target, signed)
	if err != nil {
		return List{}, err
	}
	return ParseList(body)
}

// exchange sends one request, with a few retries, and returns the answer's body. After a 401 or 403 it renews the credentials,
// since a token may have expired. It does that here because another address that is silent would use up the time for it.
func (m *Manager) exchange(ctx context.Context, method, target string, signed credentials) ([]byte, error) {
	// Each request has its own connection: there are minutes between two requests, and an idle socket would survive a fork.
	transport := &http.Transport{
		// In networks where programs reach the outside only through a proxy, these variables are set. Nothing else uses a proxy.
		Proxy:             http.ProxyFromEnvironment,
		DisableKeepAlives: true,
	}
	if m.TLS != nil && strings.HasPrefix(target, "https:") { // an http.Transport changes the configuration that it gets
		transport.TLSClientConfig = m.TLS().Clone()
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if signed.renew == nil {
		body, err := ask(ctx, transport, req)
		if errors.Is(err, errDenied) {
			err = fmt.Errorf("%w; none were given (option basic_auth)", err)
		}
		return body, err
	}
	req.Header.Set(signed.header, signed.token)
	body, err := ask(ctx, transport, req)
	if !errors.Is(err, errDenied) {
		return body, err
	}
	again, err := signed.renew()
	if err != nil {
		return nil, err
	}
	req.Header.Del(signed.header)
	req.Header.Set(again.header, again.token)
	return ask(ctx, transport, req)
}

// pauses are the pauses before the second and the third attempt. Retry-After is ignored, because the Manager is asked again later
// in any case.
var pauses = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}

// ask sends a request without a body, and repeats it if the fault may be temporary.
func ask(ctx context.Context, way http.RoundTripper, req *http.Request) ([]byte, error) {
	var before error // of the attempt before, which the user must see if there is no time for another one
	late := func(err error) error {
		if before != nil {
			err = fmt.Errorf("%w; the attempt before: %w", err, before)
		}
		return fmt.Errorf("no answer of the Manager in time: %w", err)
	}
	for attempt := 0; ; attempt++ {
		body, err := askOnce(way, req)
		if ctx.Err() != nil && err != nil {
			var ofURL *url.Error // the url is the user's own; what matters is that there was no answer
			if errors.As(err, &ofURL) {
				err = ofURL.Err
			}
			return nil, late(err)
		}
		if err == nil || attempt == len(pauses) || !worthAnother(err) {
			return body, err
		}
		before = err
		select {
		case <-time.After(pauses[attempt]):
		case <-ctx.Done():
			return nil, late(ctx.Err())
		}
	}
}

// askOnce returns the body of a good answer.
func askOnce(way http.RoundTripper, req *http.Request) ([]byte, error) {
	resp, err := (&http.Client{Transport: way, CheckRedirect: stay}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the Manager: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode, redirectHost(resp)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the Manager's answer: %w", err)
	case len(body) > maxAnswer:
		return nil, errTooMuch
	}
	return body, nil
}

var errTooMuch = fmt.Errorf("the Manager's answer has more than %d MiB, too much for a list of nodes", maxAnswer>>20)

// worthAnother reports whether an error may be gone at the next attempt.
func worthAnother(err error) bool {
	var status *statusError
	if errors.As(err, &status) {
		return status.code == http.StatusTooManyRequests || status.code >= http.StatusInternalServerError && status.code != http.StatusNotImplemented
	}
	var distrust *tls.CertificateVerificationError
	return !errors.As(err, &distrust) && err != errTooMuch
}

// stay does not follow a redirect: the header that signs the request would go to any host that it names, perhaps unencrypted.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// redirectHost returns the host that a redirect leads to. The rest of the url may be secret.
func redirectHost(resp *http.Response) string {
	if resp.StatusCode/100 != 3 {
		return ""
	}
	to, err := resp.Location()
	if err != nil {
		return ""
	}
	return to.Scheme + "://" + to.Host
}

type statusError struct {
	code int
	to   string // of a redirect
}

// errDenied is wrapped by each statusError that concerns credentials.
var errDenied = errors.New("denied")

func (e *statusError) Is(target error) bool { return target == errDenied && e.denied() }

func (e *statusError) denied() bool {
	return e.code == http.StatusUnauthorized || e.code == http.StatusForbidden
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the Manager answered %d %s", e.code, http.StatusText(e.code))
	if e.to != "" {
		text += fmt.Sprintf(", a redirect to %q: it is not followed, since the request is signed; give the url of the Manager itself", e.to)
	}
	if e.denied() {
		// The real Manager answers 403 in both cases.
		text += ": the credentials are missing or wrong, or the Manager's database is down"
	}
	if e.code == http.StatusNotFound {
		text += ": the url is not a Manager's, or its path is wrong: most end with the port"
	}
	return text
}

// printable escapes characters that a terminal would obey, or that nobody could see.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
