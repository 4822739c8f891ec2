package dataproxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
)

// Auth signs the requests to the Manager. GetToken returns the name and value of a header, such as "Authorization" and
// "Bearer ..."; a name that no header can have, as an empty one, fails the request. It is called for each question to the Manager, and
// again after a 401 or 403, so it may refresh a token. It runs on a goroutine of its own; the request, which WithManagerTimeout
// bounds, does not wait longer for it than ctx lasts.
type Auth interface {
	GetToken(ctx context.Context, groupID string) (key, token string, err error)
}

// tokenSource calls the user's code. If that panics or never returns, the request fails and the client continues.
type tokenSource struct {
	auth  Auth
	asked atomic.Bool // GetToken runs
}

func (s *tokenSource) token(ctx context.Context, group string) (string, string, error) {
	if !s.asked.CompareAndSwap(false, true) {
		return "", "", errors.New("auth: the call for credentials has not returned since the last request")
	}
	type answer struct {
		key, token string
		err        error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errors.New("auth: the call for credentials did not return: it ended its goroutine")}
		defer func() {
			if r := recover(); r != nil {
				a.err = fmt.Errorf("auth: the call for credentials panicked: %s", oneLine(fmt.Sprint(r)))
			}
			s.asked.Store(false)
			done <- a
		}()
		if a.key, a.token, a.err = s.auth.GetToken(ctx, group); a.err == nil {
			a.err = checkHeader(a.key, a.token)
		}
	}()
	select {
	case a := <-done:
		return a.key, a.token, a.err
	case <-ctx.Done():
		return "", "", fmt.Errorf("auth: the call for credentials did not return in time: %w", ctx.Err())
	}
}

// checkHeader checks what GetToken returned. Its errors never contain the token.
func checkHeader(key, token string) error {
	const others = "!#$%&'*+-.^_`|~"
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	}
	if key == "" || strings.ContainsFunc(key, bad) {
		return fmt.Errorf("auth: the header name is %q: it must be one or more of A-Z a-z 0-9 %s", key, others)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errors.New("auth: the header value has a control character: it must have none")
	}
	return nil
}
