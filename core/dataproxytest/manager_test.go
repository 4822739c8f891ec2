package dataproxytest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// reply is an answer of the Manager, read to its end.
type reply struct {
	*http.Response
	body string
}

func request(method, target string, form url.Values, header http.Header) (reply, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp, string(body)}, err
}

func post(target string, form url.Values) (reply, error) {
	return request(http.MethodPost, target, form, nil)
}

func mustPost(t *testing.T, target string) reply {
	t.Helper()
	r, err := post(target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	nullAnswer = `{"success":true,"errMsg":null,"data":{"clusterId":null,"reportSourceType":null,"isIntranet":null,` +
		`"isSwitch":null,"load":20,"maxPacketLength":null,"nodeList":null}}`
	emptyAnswer = `{"success":true,"errMsg":null,"data":{"clusterId":1,"reportSourceType":null,"isIntranet":null,` +
		`"isSwitch":null,"load":20,"maxPacketLength":524288,"nodeList":[]}}`
)

func failed(text string) string { return `{"success":false,"errMsg":"` + text + `","data":null}` }

// Pins: any answer of the Manager's table that differs from the real one's, body byte for byte.
func TestManagerAnswers(t *testing.T) {
	c := Start(t, WithNodes(1), WithGroups("g", "h"), WithNodePorts(0))
	c.Manager().SetGroupStatus("h", "config_ing")
	_, port, _ := net.SplitHostPort(c.Node(0).Addr())
	list := `{"success":true,"errMsg":null,"data":{"clusterId":1,"reportSourceType":null,"isIntranet":null,"isSwitch":null,` +
		`"load":20,"maxPacketLength":524288,"nodeList":[{"id":1,"ip":"127.0.0.1","port":` + port +
		`,"protocolType":"TCP","nodeLoad":65535}]}}`
	for _, test := range []struct {
		name, method, path string
		form               url.Values
		status             int
		body               string // with a * in place of the time
	}{
		{"list", "POST", byGroup + "/g", nil, 200, list},
		{"trailing slash", "POST", byGroup + "/g/", nil, 200, list},
		{"form as Java sends it", "POST", byGroup + "/g", url.Values{"ip": {"10.0.0.1"}, "protocolType": {"TCP"}}, 200, list},
		{"query", "POST", byGroup + "/g?protocolType=tcp", nil, 200, list},
		{"empty protocol", "POST", byGroup + "/g?protocolType=", nil, 200, list},
		{"other protocol", "POST", byGroup + "/g?protocolType=UDP", nil, 200, nullAnswer},
		{"two protocols", "POST", byGroup + "/g", url.Values{"protocolType": {"TCP,HTTP"}}, 200, nullAnswer},
		{"cluster", "POST", byClusterName + "/default_cluster", nil, 200, list},
		{"unknown cluster", "POST", byClusterName + "/other", nil, 200, nullAnswer},
		{"unknown group", "POST", byGroup + "/x", nil, 200, failed("group not found by groupId=x")},
		{"group not ready", "POST", byGroup + "/h", nil, 200,
			failed("current group status=config_ing was not allowed to get data proxy nodes")},
		{"get", "GET", byGroup + "/g", nil, 200, failed(serviceError)},
		{"put", "PUT", byGroup + "/g", nil, 200, failed(serviceError)},
		{"no group", "POST", byGroup, nil, 404, `{"timestamp":*,"status":404,"error":"Not Found","path":"` + byGroup + `"}`},
		{"bad path", "POST", managerRoot + "/x/y", nil, 404,
			`{"timestamp":*,"status":404,"error":"Not Found","path":"` + managerRoot + `/x/y"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := request(test.method, c.URL()+test.path, test.form, nil)
			if err != nil {
				t.Fatal(err)
			}
			head, tail, timed := strings.Cut(test.body, "*")
			if r.StatusCode != test.status || !timed && r.body != test.body ||
				!strings.HasPrefix(r.body, head) || !strings.HasSuffix(r.body, tail) {
				t.Errorf("status %d, body %s\nwant %d, %s", r.StatusCode, r.body, test.status, test.body)
			}
			if r.Header.Get("Content-Type") != "application/json" || len(r.Cookies()) == 0 ||
				len(r.TransferEncoding) != 1 || r.TransferEncoding[0] != "chunked" {
				t.Errorf("header %v, transfer encoding %v", r.Header, r.TransferEncoding)
			}
		})
	}
	if r := mustPost(t, c.URL()+"/elsewhere"); r.StatusCode != 404 || !strings.Contains(r.body, "<html>") {
		t.Errorf("outside the Manager: %d %s", r.StatusCode, r.body)
	}
	c.RemoveNode(c.Node(0))
	if r := mustPost(t, c.URL()+byGroup+"/g"); r.body != emptyAnswer {
		t.Errorf("all nodes off: %s", r.body)
	}
	c.ListNode(c.Node(0))
	if r := mustPost(t, c.URL()+byGroup+"/g"); r.body != list {
		t.Errorf("node back: %s", r.body)
	}
}

// Pins: credentials that only look right are let in, or 403 comes in another form.
func TestManagerAuthorisation(t *testing.T) {
	c := Start(t, WithBasicAuth("admin", "87haw3VYTPqK5fK0"))
	const right = "Basic YWRtaW46ODdoYXczVllUUHFLNWZLMA=="
	for header, status := range map[string]int{
		right: 200, "": 403, "basic YWRtaW46ODdoYXczVllUUHFLNWZLMA==": 403,
		"Basic  YWRtaW46ODdoYXczVllUUHFLNWZLMA==": 403, "Basic YWRtaW46eA==": 403, "Bearer x": 403,
	} {
		r, err := request("POST", c.URL()+byGroup+"/g", nil, http.Header{"Authorization": {header}})
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != status {
			t.Errorf("%q: %d, want %d", header, r.StatusCode, status)
		}
		if status != 403 {
			continue
		}
		var answer struct {
			Timestamp            int64
			Status               int
			Error, Path          string
			TrailingOrUnexpected any
		}
		if err := json.Unmarshal([]byte(r.body), &answer); err != nil || answer.Status != 403 || answer.Error != "Forbidden" ||
			answer.Path != byGroup+"/g" || answer.Timestamp == 0 || r.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%q: %s (%v)", header, r.body, err)
		}
	}
	for tenant, status := range map[string]int{"public": 200, "": 200, "nobody": 403} {
		r, err := request("POST", c.URL()+byGroup+"/g", nil, http.Header{"Authorization": {right}, "Tenant": {tenant}})
		if err != nil || r.StatusCode != status {
			t.Errorf("tenant %q: %d, want %d (%v)", tenant, r.StatusCode, status, err)
		}
	}
	r, err := request("POST", c.URL()+byGroup+"/g", nil, http.Header{"Accept": {"text/html,*/*"}})
	if err != nil || r.StatusCode != 403 || !strings.Contains(r.body, "<html>") {
		t.Errorf("page: %d %s (%v)", r.StatusCode, r.body, err)
	}
}

// Pins: a Manager fault that does nothing, or strikes more than once.
func TestManagerFaults(t *testing.T) {
	c := Start(t)
	m, target := c.Manager(), c.URL()+byGroup+"/g"
	good := mustPost(t, target).body
	for _, test := range []struct {
		fault  Fault
		status int
		body   string
	}{
		{HTTPStatus(500, "oops"), 500, "oops"},
		{HTTPBody("<not json"), 200, "<not json"},
		{Failure("no tag"), 200, failed("no tag")},
		{GroupStatus("to_be_submit"), 200, failed("current group status=to_be_submit was not allowed to get data proxy nodes")},
		{NullList(), 200, nullAnswer},
		{EmptyList(), 200, emptyAnswer},
		{Delay(time.Millisecond), 200, good},
	} {
		m.Fault(test.fault)
		if r := mustPost(t, target); r.StatusCode != test.status || r.body != test.body {
			t.Errorf("%s: %d %s", test.fault.Kind, r.StatusCode, r.body)
		}
		if r := mustPost(t, target); r.body != good {
			t.Errorf("after %s: %s", test.fault.Kind, r.body)
		}
	}
	m.Fault(HTTPStatus(403, ""))
	if r := mustPost(t, target); !strings.Contains(r.body, `"status":403,"error":"Forbidden"`) {
		t.Errorf("403 without a body: %s", r.body)
	}
	for _, f := range []Fault{RefuseConnect(), CloseAfterRead(), ResetAfterRead()} {
		m.Fault(f)
		if r, err := post(target, nil); err == nil {
			t.Errorf("%s: %s", f.Kind, r.body)
		}
	}
	m.Standing(RefuseConnect())
	if _, err := post(target, nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refusing Manager: %v", err)
	}
	m.ClearFaults()
	if r := mustPost(t, target); r.body != good {
		t.Errorf("after refusing: %s", r.body)
	}
}

// Pins: a silent Manager that answers, or that cannot be freed.
func TestSilentManager(t *testing.T) {
	c := Start(t)
	m := c.Manager()
	m.Standing(Silence())
	done := make(chan error, 1)
	go func() { _, err := post(c.URL()+byGroup+"/g", nil); done <- err }()
	eventually(t, "request noted", func() bool { return m.Calls() == 1 })
	select {
	case err := <-done:
		t.Fatalf("answered: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	m.ClearFaults()
	if err := <-done; err == nil {
		t.Error("the freed request got an answer")
	}
	mustPost(t, c.URL()+byGroup+"/g")
}

// Pins: requests that a test cannot look at.
func TestManagerRemembersRequests(t *testing.T) {
	c := Start(t)
	m := c.Manager()
	if _, ok := m.LastRequest(); ok {
		t.Error("a request before any")
	}
	_, err := request("POST", c.URL()+byGroup+"/g?a=1", url.Values{"protocolType": {"TCP"}}, http.Header{"X-Key": {"v"}})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := m.LastRequest()
	if r.Method != "POST" || r.Path != byGroup+"/g" || r.Form.Get("protocolType") != "TCP" || r.Form.Has("a") ||
		r.Query.Get("a") != "1" || r.Header.Get("X-Key") != "v" {
		t.Errorf("%+v", r)
	}
	for range 300 {
		mustPost(t, c.URL()+byGroup+"/g")
	}
	if len(m.Requests()) != 256 || m.Calls() != 301 {
		t.Errorf("%d kept of %d", len(m.Requests()), m.Calls())
	}
}

// Pins: a Manager that cannot speak https.
func TestManagerTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{{127, 0, 0, 1}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c := Start(t, WithManagerTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}))
	if _, err := post(c.URL()+byGroup+"/g", nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	resp, err := client.Post(c.URL()+byGroup+"/g", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !strings.HasPrefix(c.URL(), "https://") || resp.StatusCode != 200 {
		t.Errorf("%s: %d", c.URL(), resp.StatusCode)
	}
}

// A port that is opened again at once: the listener that was closed may still be there, as long as its Accept has not returned.
func TestManagerComesBackAtOnce(t *testing.T) {
	c := Start(t)
	var stop atomic.Bool
	defer stop.Store(true)
	for range 2 * runtime.GOMAXPROCS(0) { // what keeps an Accept from returning
		go func() {
			for !stop.Load() {
			}
		}()
	}
	for range 50 {
		c.Manager().Standing(RefuseConnect())
		c.Manager().ClearFaults()
	}
}
