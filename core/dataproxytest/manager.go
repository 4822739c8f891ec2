package dataproxytest

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// requestsKept is how many requests a Manager remembers.
const requestsKept = 256

// ManagerRequest is one request that the Manager got.
type ManagerRequest struct {
	Method string
	Path   string
	Query  url.Values
	Form   url.Values // of the body alone
	Header http.Header
	At     time.Time
}

// Manager is the fake Manager: POST /inlong/manager/openapi/dataproxy/getIpList/{group} and getIpListByClusterName,
// and GET .../openapi/stream/get.
type Manager struct {
	cluster *Cluster
	port    int
	hold    *portHold
	faults  faultQueue

	mu       sync.Mutex
	server   *http.Server // nil while the port is closed
	tls      *tls.Config  // nil for plain http
	demand   [2]string    // a header and its value; none for the name ""
	serving  sync.WaitGroup
	gone     chan struct{}
	closed   bool
	calls    int
	requests []ManagerRequest
	statuses map[string]string
	streams  map[string]map[string]any // by group and stream: what SetStream has changed
	freed    chan struct{}             // closed when silent requests may end
}

func startManager(c *Cluster) (*Manager, error) {
	hold, port, err := holdPort(c.opts.host, c.opts.managerPort)
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	m := &Manager{cluster: c, port: port, hold: hold, tls: c.opts.managerTLS, gone: make(chan struct{}), freed: make(chan struct{}),
		statuses: make(map[string]string), streams: make(map[string]map[string]any)}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.settleListener(); err != nil {
		hold.release()
		return nil, fmt.Errorf("manager: %w", err)
	}
	return m, nil
}

// URL returns the base url, without a path.
func (m *Manager) URL() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	scheme := "http"
	if m.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(m.cluster.opts.advertised, strconv.Itoa(m.port))
}

// Fault queues faults, each for one request. It panics if a kind is not one of a Manager's.
func (m *Manager) Fault(faults ...Fault) {
	for _, f := range faults {
		mustFit(f, forManager)
	}
	m.faults.push(faults...)
}

// Standing applies a fault to every request that finds no queued one, till ClearFaults or the zero Fault. Requests that
// wait in silence are closed then.
func (m *Manager) Standing(f Fault) {
	if f.Kind == "" {
		m.faults.clearStanding()
		m.free()
	} else {
		mustFit(f, forManager)
		m.faults.stand(f)
	}
	m.settle()
}

// ClearFaults ends all faults; requests that wait in silence are closed.
func (m *Manager) ClearFaults() {
	m.faults.clear()
	m.free()
	m.settle()
}

// free ends the requests that wait in silence.
func (m *Manager) free() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.freed)
	m.freed = make(chan struct{})
}

// SetGroupStatus puts a group into a status such as "config_ing", in which the Manager lists no nodes for it. The empty
// text makes it ready again.
func (m *Manager) SetGroupStatus(group, status string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if status == "" {
		delete(m.statuses, group)
		return
	}
	m.statuses[group] = status
}

// Calls returns how many requests came, refused ones included.
func (m *Manager) Calls() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// Requests returns the last requests, at most 256, oldest first.
func (m *Manager) Requests() []ManagerRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]ManagerRequest(nil), m.requests...)
}

// LastRequest returns the newest request; ok is false if there was none.
func (m *Manager) LastRequest() (r ManagerRequest, ok bool) {
	list := m.Requests()
	if len(list) == 0 {
		return r, false
	}
	return list[len(list)-1], true
}

func (m *Manager) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls, m.requests = 0, nil
}

func (m *Manager) note(r *http.Request) {
	_ = r.ParseForm()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if len(m.requests) == requestsKept {
		m.requests = append(m.requests[:0], m.requests[1:]...)
	}
	m.requests = append(m.requests, ManagerRequest{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Form: r.PostForm,
		Header: r.Header.Clone(), At: time.Now(),
	})
}

func (m *Manager) groupStatus(group string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.statuses[group]
}

// knownTenant is the one that a Manager has from the start, and takes a request that names none to mean.
const knownTenant = "public"

// authorised compares as the real one does: the scheme is case-sensitive, followed by one blank; a user is asked for its tenant
// too.
func (m *Manager) authorised(r *http.Request) bool {
	if name, value := m.demanded(); name != "" {
		return r.Header.Get(name) == value
	}
	o := &m.cluster.opts
	if !o.auth {
		return true
	}
	token := base64.StdEncoding.EncodeToString([]byte(o.authID + ":" + o.authKey))
	tenant := r.Header.Get("tenant")
	return r.Header.Get("Authorization") == "Basic "+token && (tenant == "" || tenant == knownTenant)
}

func (m *Manager) settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.settleListener(); err != nil {
		panic("dataproxytest: manager: " + err.Error())
	}
}

// settleListener opens or closes the port as the standing fault wants. The caller holds mu.
func (m *Manager) settleListener() error {
	open := !m.closed && !m.faults.stands(KindRefuseConnect)
	if open == (m.server != nil) {
		return nil
	}
	if !open {
		err := m.server.Close()
		m.server = nil
		return err
	}
	l, err := listen(m.cluster.opts.host, m.port)
	if err != nil {
		return err
	}
	if m.tls != nil {
		l = tls.NewListener(l, m.tls)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(m.serve),
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(discard{}, "", 0), // a TLS client that refuses our certificate is part of a test
	}
	m.server = server
	m.cluster.wg.Add(1)
	go func() {
		defer m.cluster.wg.Done()
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("dataproxytest: manager: " + err.Error())
		}
	}()
	return nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (m *Manager) close() {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return
	}
	m.closed = true
	close(m.gone)
	_ = m.settleListener()
	m.mu.Unlock()
	m.serving.Wait()
	m.hold.release()
}
