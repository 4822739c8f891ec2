package discovery

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A Manager that has just started takes seconds for its first answer, and a request may be lost: neither is a Manager that is away.
func TestSlowManagerIsNoManagerThatIsAway(t *testing.T) {
	const allowed = 3 * time.Second
	for name, slow := range map[string]func(call int64, w http.ResponseWriter, r *http.Request){
		"its first answer is lost": func(call int64, _ http.ResponseWriter, r *http.Request) {
			if call == 1 {
				<-r.Context().Done()
			}
		},
		"each answer takes most of the time": func(_ int64, _ http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(allowed / 2):
			case <-r.Context().Done():
			}
		},
		"what is asked beside the first is refused": func(call int64, w http.ResponseWriter, r *http.Request) {
			if call > 1 {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			select {
			case <-time.After(allowed / 2):
			case <-r.Context().Done():
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			server := serving(t, func(w http.ResponseWriter, r *http.Request) {
				slow(calls.Add(1), w, r)
				_, _ = w.Write([]byte(`{"success":true,"data":{"nodeList":[{"ip":"h","port":1}]}}`))
			})
			ctx, cancel := context.WithTimeout(context.Background(), allowed)
			defer cancel()
			list, err := managerAt(t, server.URL).Fetch(ctx)
			require.NoError(t, err)
			require.Equal(t, []string{"h:1"}, list.Nodes)
			require.Greater(t, calls.Load(), int64(1), "it was asked again")
		})
	}
}

// Of several addresses one that is dead, silent, refuses or answers nonsense costs a moment and not the start; the one that answered
// is asked first from then on.
func TestAddressesOfTheManagerAreTriedInTurn(t *testing.T) {
	for name, bad := range map[string]dataproxytest.Fault{
		"dead": dataproxytest.RefuseConnect(), "silent": dataproxytest.Silence(), "refuses": dataproxytest.HTTPStatus(403, ""),
		"nonsense": dataproxytest.HTTPBody("<html>"),
	} {
		t.Run(name, func(t *testing.T) {
			away, here := dataproxytest.Start(t, dataproxytest.WithNodes(1)), dataproxytest.Start(t, dataproxytest.WithNodes(2))
			away.Manager().Standing(bad)
			m := managerAt(t, away.URL())
			m.ListURLs = append(m.ListURLs, managerAt(t, here.URL()).ListURLs...)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			list, err := m.Fetch(ctx)
			require.NoError(t, err)
			require.Len(t, list.Nodes, 2)
			calls := away.Manager().Calls()
			_, err = m.Fetch(ctx)
			require.NoError(t, err)
			require.Equal(t, calls, away.Manager().Calls())

			here.Manager().Standing(dataproxytest.HTTPStatus(404, ""))
			_, err = m.Fetch(ctx)
			require.ErrorContains(t, err, strings.TrimPrefix(here.URL(), "http://")+": the Manager answered 404")
			require.ErrorContains(t, err, strings.TrimPrefix(away.URL(), "http://")+": ")
		})
	}
}

// servingTheSecondToken is a Manager for which the first token of firstAndSecondToken has expired.
func servingTheSecondToken(t *testing.T) *httptest.Server {
	return serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "second" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(listOf(`{"ip":"h","port":1}`))
	})
}

// firstAndSecondToken has no third one.
func firstAndSecondToken() func(context.Context, string) (header, token string, err error) {
	tokens := []string{"first", "second"}
	return func(context.Context, string) (header, token string, err error) {
		token, tokens = tokens[0], tokens[1:]
		return "X-Token", token, nil
	}
}

// One address says that the token has expired while another one is silent: the new token was asked for after the end of the whole
// time, which did not help.
func TestN7_TokenIsRefreshedBesideAnAddressThatIsSilent(t *testing.T) {
	silent := serving(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	good := servingTheSecondToken(t)
	m := managerAt(t, good.URL)
	m.ListURLs = append(m.ListURLs, managerAt(t, silent.URL).ListURLs...)
	for name, ask := range map[string]func(context.Context) error{
		"nodes":    func(ctx context.Context) error { _, err := m.Fetch(ctx); return err },
		"a stream": func(ctx context.Context) error { _, err := m.Stream(ctx, "s"); return err },
	} {
		m.Authorize = firstAndSecondToken()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		require.NoError(t, ask(ctx), name)
		cancel()
	}
}
