package dataproxytest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	managerRoot   = "/inlong/manager"
	byGroup       = managerRoot + "/openapi/dataproxy/getIpList"
	byClusterName = managerRoot + "/openapi/dataproxy/getIpListByClusterName"
	aboutStream   = managerRoot + "/openapi/stream/get"

	serviceError = "There was an error in the service, please try again later or contact the administrator"
)

// Field order is the real one's.
type managerAnswer struct {
	Success bool      `json:"success"`
	ErrMsg  *string   `json:"errMsg"`
	Data    *nodeList `json:"data"`
}

type nodeList struct {
	ClusterID        *int        `json:"clusterId"`
	ReportSourceType *string     `json:"reportSourceType"`
	IsIntranet       *int        `json:"isIntranet"`
	IsSwitch         *int        `json:"isSwitch"`
	Load             int         `json:"load"`
	MaxPacketLength  *int        `json:"maxPacketLength"`
	NodeList         []nodeEntry `json:"nodeList"`
}

type nodeEntry struct {
	ID           int    `json:"id"`
	IP           string `json:"ip"`
	Port         int    `json:"port"`
	ProtocolType string `json:"protocolType"`
	NodeLoad     int    `json:"nodeLoad"`
}

type statusAnswer struct {
	Timestamp int64  `json:"timestamp"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Path      string `json:"path"`
}

func (m *Manager) serve(w http.ResponseWriter, r *http.Request) {
	if !m.begin() {
		abort(w, true)
		return
	}
	defer m.serving.Done()
	m.note(r)
	f := m.faults.take(onConnect)
	if f.Kind == "" {
		f = m.faults.take(onData)
	}
	switch f.Kind {
	case KindRefuseConnect, KindResetAfterRead:
		abort(w, true)
	case KindCloseAfterRead:
		abort(w, false)
	case KindSilence:
		m.wait(r, 1<<62)
		abort(w, false)
	case KindDelay:
		if m.wait(r, f.Delay) {
			m.answer(w, r, Fault{})
		}
	default:
		m.answer(w, r, f)
	}
}

// begin counts a request; false once the Manager closes. The close waits for those that were counted: the server's own Close does
// not wait for a request that is only starting.
func (m *Manager) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.serving.Add(1)
	return true
}

// wait returns true after d, false if the request or the cluster ended, or silence was cleared, before.
func (m *Manager) wait(r *http.Request, d time.Duration) bool {
	m.mu.Lock()
	freed := m.freed
	m.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-freed:
	case <-m.gone:
	case <-r.Context().Done():
	}
	return false
}

func abort(w http.ResponseWriter, reset bool) {
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := nc.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = nc.Close()
}

func (m *Manager) answer(w http.ResponseWriter, r *http.Request, f Fault) {
	switch f.Kind {
	case KindHTTPStatus:
		if f.Text == "" {
			writeStatus(w, r, f.Code)
			return
		}
		contentType := "application/json"
		if strings.HasPrefix(f.Text, "<") {
			contentType = "text/html;charset=UTF-8"
		}
		writeBody(w, f.Code, contentType, f.Text)
		return
	case KindHTTPBody:
		writeBody(w, http.StatusOK, "application/json", f.Text)
		return
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	if path != managerRoot && !strings.HasPrefix(path, managerRoot+"/") {
		writeBody(w, http.StatusNotFound, "text/html;charset=utf-8", statusPage(http.StatusNotFound))
		return
	}
	if !m.authorised(r) {
		writeStatus(w, r, http.StatusForbidden)
		return
	}
	if path == aboutStream {
		writeJSON(w, m.stream(r, f))
		return
	}
	endpoint, name := path, ""
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		endpoint, name = path[:i], path[i+1:]
	}
	switch {
	case name == "" || endpoint != byGroup && endpoint != byClusterName:
		writeStatus(w, r, http.StatusNotFound)
	case r.Method != http.MethodPost:
		writeJSON(w, failure(serviceError))
	default:
		writeJSON(w, m.list(endpoint == byGroup, name, r.Form, f))
	}
}

func (m *Manager) list(ofGroup bool, name string, form url.Values, f Fault) managerAnswer {
	status := ""
	if ofGroup {
		status = m.groupStatus(name)
	}
	if f.Kind == KindGroupStatus {
		status = f.Text
	}
	switch {
	case f.Kind == KindFailure:
		return failure(f.Text)
	case ofGroup && !m.cluster.opts.groupKnown(name):
		return failure("group not found by groupId=" + name)
	case status != "":
		return failure(fmt.Sprintf("current group status=%s was not allowed to get data proxy nodes", status))
	}
	none := managerAnswer{Success: true, Data: &nodeList{Load: 20}}
	if f.Kind == KindNullList || !ofGroup && name != m.cluster.opts.clusterName {
		return none
	}
	if protocol := form.Get("protocolType"); protocol != "" && !strings.EqualFold(protocol, "TCP") {
		return none
	}
	if len(m.cluster.Nodes()) == 0 {
		return none
	}
	cluster, limit := 1, m.cluster.opts.maxMessageLength
	list := &nodeList{ClusterID: &cluster, Load: 20, MaxPacketLength: &limit, NodeList: []nodeEntry{}}
	if f.Kind != KindEmptyList {
		for _, n := range m.cluster.listed() {
			list.NodeList = append(list.NodeList, nodeEntry{
				ID: n.index + 1, IP: m.cluster.opts.advertised, Port: n.port, ProtocolType: "TCP", NodeLoad: 65535,
			})
		}
	}
	return managerAnswer{Success: true, Data: list}
}

func failure(text string) managerAnswer { return managerAnswer{ErrMsg: &text} }

func writeJSON(w http.ResponseWriter, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // the types above always marshal
	}
	writeBody(w, http.StatusOK, "application/json", string(body))
}

// writeStatus answers JSON unless the client asks for a page.
func writeStatus(w http.ResponseWriter, r *http.Request, status int) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		writeBody(w, status, "text/html;charset=UTF-8", statusPage(status))
		return
	}
	body, err := json.Marshal(statusAnswer{time.Now().UnixMilli(), status, http.StatusText(status), r.URL.Path})
	if err != nil {
		panic(err)
	}
	writeBody(w, status, "application/json", string(body))
}

func statusPage(status int) string {
	return fmt.Sprintf("<!doctype html><html><body><h1>HTTP Status %d - %s</h1></body></html>",
		status, http.StatusText(status))
}

// writeBody sends the body in chunks and with a cookie, as the real one does.
func writeBody(w http.ResponseWriter, status int, contentType, body string) {
	http.SetCookie(w, &http.Cookie{Name: "rememberMe", Value: "deleteMe", Path: managerRoot, MaxAge: 0})
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = http.NewResponseController(w).Flush() // before the body's end, so that its length is not known
	_, _ = w.Write([]byte(body))
}
