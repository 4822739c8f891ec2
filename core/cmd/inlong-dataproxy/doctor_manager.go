package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/access"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
)

// maxSkew is how far the clocks may differ: event times then lie in another minute or partition than they should.
const maxSkew = 30 * time.Second

// checkManager asks for the node list, step by step, so that what is wrong can be told from what is not.
func (d *doctor) checkManager(ctx context.Context) (nodes []string) {
	listURLs, err := discovery.ListURLs(d.options.URL)
	if err != nil {
		d.add(levelFail, "Manager", "Give --url as http://host:port.", "%v", err)
		return nil
	}
	for _, listURL := range listURLs {
		if found := d.checkManagerAt(ctx, listURL); nodes == nil {
			nodes = found
		}
	}
	return nodes
}

func (d *doctor) checkManagerAt(ctx context.Context, listURL string) []string {
	d.tellProxy(listURL)
	ctx, cancel := context.WithTimeout(ctx, d.options.ManagerTimeout)
	defer cancel()
	start := time.Now()
	response, body, err := d.askManager(ctx, listURL)
	if err != nil {
		d.add(levelFail, "Manager", adviceForDial(err), "no answer from %s: %v", hostOf(listURL), cause(err))
		return nil
	}
	took := since(start)
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		d.ok("Manager", "%s answers, in %v", hostOf(listURL), took)
		d.checkClock(response.Header.Get("Date"), took)
		advice := "Give the secret id and key of a Manager user as basic_auth (id:key), best by INLONG_BASIC_AUTH."
		if d.options.BasicAuth != "" || d.options.BasicAuthFile != "" {
			advice = "Check id, key and their letter case. The Manager answers the same when its database is down: ask its administrator."
		}
		d.add(levelFail, "credentials", advice, "the Manager answers %s", response.Status)
		return nil
	case code != http.StatusOK:
		d.add(levelFail, "Manager", "Check host, port and path of --url, and whether it must be https: does a Manager listen there, or a proxy?", "%s answers %s", hostOf(listURL), response.Status)
		return nil
	}
	list, err := discovery.ParseList(body)
	d.ok("Manager", "%s answers, in %v", hostOf(listURL), took)
	d.checkClock(response.Header.Get("Date"), took)
	if err != nil {
		d.groupFault(err)
		return nil
	}
	if d.options.BasicAuth != "" || d.options.BasicAuthFile != "" {
		d.ok("credentials", "accepted, or not asked for")
	}
	d.ok("group", "%s is ready, %s", d.options.GroupID, plural(len(list.Nodes), "node"))
	for _, skipped := range list.Skipped {
		d.add(levelWarn, "nodes", "Have it fixed in the Manager.", "an entry of the Manager's list cannot be used: %v", skipped)
	}
	if limit := list.MaxPacketLength; limit > 0 && limit < d.options.MaxFrameSize {
		d.add(levelWarn, "configuration", "Nothing, if your messages are shorter.", "the Manager allows frames of %d bytes, less than max_frame_size %d: longer messages are refused", limit, d.options.MaxFrameSize)
	}
	return list.Nodes
}

// tellProxy says that the Manager is asked through a proxy: anyone who has set one for a browser may not think of it.
func (d *doctor) tellProxy(listURL string) {
	request, err := http.NewRequest(http.MethodPost, listURL, nil)
	if err != nil {
		return
	}
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		d.add(levelWarn, "Manager", "If that is not meant, name the Manager's host in NO_PROXY.",
			"is asked through the proxy %s, which HTTP_PROXY or HTTPS_PROXY names", proxy.Host)
	}
}

func (d *doctor) askManager(ctx context.Context, listURL string) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, listURL+"/"+url.PathEscape(d.options.GroupID)+"?protocolType=TCP", nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	secret := d.options.BasicAuth
	if file := d.options.BasicAuthFile; file != "" {
		if secret, err = access.ReadBasicAuth(file); err != nil {
			return nil, nil, err
		}
	}
	if secret != "" {
		request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	files, err := d.files().Open(func(error) {})
	if err != nil {
		return nil, nil, err
	}
	transport.TLSClientConfig = files.Config()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	return response, body, err
}

// files are those of TLS.
func (d *doctor) files() access.Files {
	o := &d.options
	return access.Files{CA: o.CAFile, Cert: o.ClientCertFile, Key: o.ClientKeyFile, ServerName: o.NodeTLSName}
}

// groupFault tells of an answer without nodes.
func (d *doctor) groupFault(err error) {
	text, advice := err.Error(), "Ask the Manager's administrator; the text in quotes is the Manager's own."
	switch {
	case errors.Is(err, discovery.ErrNoNodes):
		d.add(levelFail, "nodes", "Check in the Manager that the group's cluster has DataProxy nodes and that they are switched on.", "%v", err)
		return
	case strings.Contains(text, "group not found"):
		advice = "Check the spelling of the group, and that the url is that of the right Manager."
	case strings.Contains(text, "current group status"):
		advice = "The group is not ready: have it approved and configured in the Manager, then wait until its status is successful."
	case strings.Contains(text, "cluster tag"):
		advice = "Give the group a cluster tag in the Manager, and a DataProxy cluster of that tag."
	case strings.Contains(text, "data proxy cluster"):
		advice = "Make a DataProxy cluster with the group's cluster tag in the Manager."
	case strings.Contains(text, "is not the JSON"), strings.Contains(text, `no field "success"`):
		advice = "What answers there is no Manager: check host, port and path of --url."
	}
	d.add(levelFail, "group", advice, "%s: %s", d.options.GroupID, text)
}

func (d *doctor) checkClock(date string, took time.Duration) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return // no Date, no comparison
	}
	skew := time.Since(theirs)
	// The header has whole seconds, and the answer took its time.
	if skew.Abs() > maxSkew+took+time.Second {
		d.add(levelFail, "clock", "Set the clock of this machine (NTP), or that of the Manager: messages carry the time of this one.",
			"this machine is %v from the Manager's time", skew.Round(time.Second))
		return
	}
	d.ok("clock", "agrees with the Manager's")
}

func hostOf(listURL string) string {
	u, err := url.Parse(listURL)
	if err != nil {
		return "the Manager"
	}
	return u.Host
}

// cause cuts off the request, whose url is told already.
func cause(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// adviceForDial says what to do about a connection that could not be made.
func adviceForDial(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("The name %q is not known here: check its spelling and this machine's DNS.", dns.Name)
	case errors.As(err, &authority):
		return "Name the authority that signed the certificate by the option ca_file."
	case strings.Contains(err.Error(), "SOCKS proxy"):
		return "Check the options socks and socks_auth, and what the proxy allows."
	case errors.As(err, &noTLS):
		return "What listens there speaks no TLS: a DataProxy itself does not. Turn node_tls off, or name the port of the proxy before it."
	case errors.As(err, &name):
		return "The certificate is for another name: use that one in --url, or for a node in node_tls_name."
	case strings.Contains(err.Error(), "connection refused"):
		return "Nothing listens there: check host and port, and that the server runs."
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "What listens there closes the connection: a DataProxy's port, perhaps? A Manager's is 8083 by default."
	case strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "The server does not speak https: try http in --url."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "No answer in time: a firewall may drop the packets, or the server hangs. If it is only far or slow, raise conn_timeout for a node, manager_timeout for the Manager."
	}
	return "Check host and port, the network in between, and the server's log."
}
