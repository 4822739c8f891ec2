package dataproxy

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"

	"go.uber.org/multierr"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/access"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/connections"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/transport"
)

// Dialer opens a connection to a node's "host:port"; the DialContext of a [net.Dialer] is one. See WithDialer.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// newManager makes the Manager that is asked for nodes; nil with static nodes. stale is told that a file has changed and cannot be used now.
func (o *Options) newManager(stale func(error)) (*discovery.Manager, error) {
	if len(o.StaticNodes) > 0 {
		return nil, nil
	}
	listURLs, err := discovery.ListURLs(o.URL)
	if err != nil {
		return nil, err
	}
	files, err := o.tlsFiles().Open(stale)
	if err != nil {
		return nil, err
	}
	m := &discovery.Manager{ListURLs: listURLs, Group: o.GroupID, TLS: files.Config}
	basic := func(idAndKey string) (string, string, error) {
		return "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(idAndKey)), nil
	}
	switch {
	case o.Auth != nil:
		m.Authorize = (&tokenSource{auth: o.Auth}).token
	case o.BasicAuthFile != "":
		file, err := access.Keep(o.readBasicAuth, stale)
		if err != nil {
			return nil, err
		}
		m.Authorize = func(context.Context, string) (string, string, error) { return basic(file.Get()) }
	case o.BasicAuth != "":
		m.Authorize = func(context.Context, string) (string, string, error) { return basic(o.BasicAuth) }
	}
	return m, nil
}

// stale logs that a file has changed and cannot be used now, for example because it is half written.
func (c *client) stale(err error) {
	c.log.Warnf("%v; what it held before stays in use", subject(err.Error()))
}

func (o *Options) readBasicAuth() (string, error) {
	text, err := access.ReadBasicAuth(o.BasicAuthFile)
	if err != nil {
		return "", fmt.Errorf("option basic_auth_file = %q: %w", o.BasicAuthFile, err)
	}
	return text, nil
}

func (o *Options) tlsFiles() access.Files {
	return access.Files{CA: o.CAFile, Cert: o.ClientCertFile, Key: o.ClientKeyFile, Base: o.TLSConfig, ServerName: o.NodeTLSName}
}

// checkAccess checks credentials, certificates and proxy.
func (o *Options) checkAccess() (err error) {
	fault := func(format string, args ...any) { err = multierr.Append(err, fmt.Errorf(format, args...)) }
	for _, one := range []struct{ key, value string }{{"ca_file", o.CAFile}, {"client_cert_file", o.ClientCertFile}} {
		if one.value != "" && o.TLSConfig != nil {
			fault("option %s: cannot be given together with WithTLSConfig", one.key)
		}
	}
	if (o.ClientCertFile == "") != (o.ClientKeyFile == "") {
		fault("options client_cert_file and client_key_file must be given together")
	}
	err = multierr.Append(err, multierr.Combine(o.tlsFiles().Check()...))
	if o.BasicAuth != "" {
		if o.Auth != nil {
			fault("option basic_auth: cannot be given together with auth (WithAuth)")
		}
		if e := access.CheckPair(o.BasicAuth, "secretId:secretKey"); e != nil {
			fault("option basic_auth: %w", e)
		}
	}
	if o.BasicAuthFile != "" {
		if o.Auth != nil || o.BasicAuth != "" {
			fault("option basic_auth_file: cannot be given together with basic_auth or auth (WithAuth)")
		}
		_, e := o.readBasicAuth()
		err = multierr.Append(err, e)
	}
	if o.Socks != "" {
		if o.Dialer != nil {
			fault("option socks: cannot be given together with WithDialer")
		}
		if e := discovery.CheckHostPort(o.Socks); e != nil {
			fault("option socks = %q: %w", cut(discovery.RedactURL(o.Socks)), e)
		}
	}
	if o.SocksAuth != "" {
		if o.Socks == "" {
			fault("option socks_auth: is for the proxy of the option socks, which is not given")
		}
		if e := access.CheckPair(o.SocksAuth, "user:password"); e != nil {
			fault("option socks_auth: %w", e)
		} else if user, password, _ := strings.Cut(o.SocksAuth, ":"); max(len(user), len(password)) > transport.LongestSocksField {
			fault("option socks_auth: user and password must have %d bytes or less each", transport.LongestSocksField)
		}
	}
	if o.NodeTLSName != "" && !o.NodeTLS {
		fault("option node_tls_name = %q: is for node_tls, which is off", cut(o.NodeTLSName))
	}
	return err
}

// findWay decides how nodes are reached, if not by TCP alone. stale is as newManager's.
func (o *Options) findWay(to *transport.Config, stale func(error)) error {
	switch {
	case o.Dialer != nil:
		to.Open = (&transport.UserDialer{Dial: o.Dialer, Most: int64(o.WorkerNum + connections.MostProbes)}).Open
	case o.Socks != "":
		to.Open = transport.Socks(o.Socks, o.SocksAuth)
	}
	if !o.NodeTLS {
		return nil
	}
	files, err := o.tlsFiles().Open(stale)
	if err == nil {
		to.TLS = files.To
	}
	return err
}
