package dataproxy

import "crypto/tls"

// WithBasicAuth signs requests to the Manager with a secret id and key, as the Manager requires since InLong 2.4.0. Default: they are
// not signed. It excludes WithAuth and WithBasicAuthFile.
func WithBasicAuth(secretID, secretKey string) Option {
	return func(o *Options) { o.BasicAuth = secretID + ":" + secretKey; o.mark("basic_auth") }
}

// WithBasicAuthFile names a file with "secretId:secretKey", instead of WithBasicAuth. It is read again for each request, so a new
// secret needs no restart. If it cannot be read then, or has no such pair, a log line says so and the last good pair stays in use; at the
// start that is an error. Replace it as a whole, by a rename. It must be a regular file, not a pipe. Default none. It excludes WithAuth
// and WithBasicAuth.
func WithBasicAuthFile(file string) Option {
	return func(o *Options) { o.BasicAuthFile = file; o.mark("basic_auth_file") }
}

// WithTLSConfig sets how a Manager over https, and with WithNodeTLS a node, is verified, and which certificate the client shows. Default,
// also for nil: the system's roots, no certificate. It excludes WithCAFile and WithClientCertFile. For certificates that change while the
// client is open use the functions of a tls.Config, such as GetClientCertificate.
func WithTLSConfig(c *tls.Config) Option {
	return func(o *Options) { o.TLSConfig = c }
}

// WithCAFile names a PEM file of the authorities that may sign the Manager's certificate, and with WithNodeTLS those of the nodes, instead of
// the system's roots. It is read again for each TLS connection. If it cannot be read then, or ends in the middle of a certificate, a log
// line says so and the last good authorities stay in use; at the start that is an error. It must be a regular file, not a pipe. Default:
// the system's roots. It excludes WithTLSConfig.
func WithCAFile(file string) Option {
	return func(o *Options) { o.CAFile = file; o.mark("ca_file") }
}

// WithClientCertFile names a PEM file with the client's certificate, followed by those of the authorities between it and the root. The
// client shows it to a Manager over https that asks for one, and with WithNodeTLS to a proxy before the nodes that does. It needs
// WithClientKeyFile. Both are read again for each TLS connection. While they do not match, as between two writes, a log line says so and
// the last pair that matched stays in use; at the start that is an error. Default none. It excludes WithTLSConfig.
func WithClientCertFile(file string) Option {
	return func(o *Options) { o.ClientCertFile = file; o.mark("client_cert_file") }
}

// WithClientKeyFile names a PEM file with the unencrypted key of WithClientCertFile. Default none.
func WithClientKeyFile(file string) Option {
	return func(o *Options) { o.ClientKeyFile = file; o.mark("client_key_file") }
}

// WithDialer sets the function that opens connections to nodes, for instance through a tunnel. Default, also for nil: TCP.
//
// The network is "tcp". The address is a node's host:port as the Manager or WithStaticNodes lists it; the Dialer looks up the name. Its
// context ends with WithConnTimeout, and with the client. Many goroutines of the client call it at a time. If it returns late, or panics,
// that attempt to connect fails.
//
// The client sends a heartbeat on each connection first, and owns the connection. Its methods must be safe to call from several
// goroutines, and must return when it is closed; it need not support deadlines. If it is neither TCP nor TLS over TCP, frames that it still
// holds when the client closes it may still arrive, as duplicates of what was sent elsewhere. It excludes WithSocks; WithNodeTLS uses TLS
// over it. Requests to the Manager do not use it.
func WithDialer(dial Dialer) Option {
	return func(o *Options) { o.Dialer = dial }
}

// WithSocks names a SOCKS5 proxy (host:port) through which nodes are reached; the proxy looks up their names. Requests to the Manager do
// not use it; HTTPS_PROXY=socks5://host:port is for them, see WithURL. Default none. It excludes WithDialer.
func WithSocks(address string) Option {
	return func(o *Options) { o.Socks = address; o.mark("socks") }
}

// WithSocksAuth sets user and password for the proxy of WithSocks, 1 to 255 bytes each. They are sent unencrypted. Default none.
func WithSocksAuth(user, password string) Option {
	return func(o *Options) { o.SocksAuth = user + ":" + password; o.mark("socks_auth") }
}

// WithNodeTLS uses TLS to the nodes. A DataProxy has no TLS, so a proxy before it must end it. Default false. The certificate is
// verified against WithCAFile, WithTLSConfig or the system's roots, for the node's host or WithNodeTLSName.
func WithNodeTLS(on bool) Option {
	return func(o *Options) { o.NodeTLS = on; o.mark("node_tls") }
}

// WithNodeTLSName sets the name that the certificate of each node must have with WithNodeTLS, for nodes that are listed by address or
// share one proxy. Default, also for "": the node's host.
func WithNodeTLSName(name string) Option {
	return func(o *Options) { o.NodeTLSName = name; o.mark("node_tls_name") }
}
