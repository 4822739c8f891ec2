package dataproxy

import "crypto/tls"

// WithBasicAuth signs the Manager requests with a secret id and key, as the Manager demands since InLong 2.4.0. Default: not
// signed. It excludes WithAuth and WithBasicAuthFile.
func WithBasicAuth(secretID, secretKey string) Option {
	return func(o *Options) { o.BasicAuth = secretID + ":" + secretKey; o.mark("basic_auth") }
}

// WithBasicAuthFile names a file with "secretId:secretKey", in place of WithBasicAuth. It is read again for each request, so that a new
// secret needs no restart; what cannot be read then, or is no such pair, costs a log line, and the last good one stays in use. At the start
// it is an error. Write it anew as a whole, by a rename. Regular files only, no pipe. Default none. It excludes WithAuth and WithBasicAuth.
func WithBasicAuthFile(file string) Option {
	return func(o *Options) { o.BasicAuthFile = file; o.mark("basic_auth_file") }
}

// WithTLSConfig sets how a Manager over https, and with WithNodeTLS a node, is verified, and which certificate it is shown. Default, also
// for nil: the system's roots, no certificate. It excludes WithCAFile and WithClientCertFile. What changes while the client is open is for
// the functions of a tls.Config, such as GetClientCertificate.
func WithTLSConfig(c *tls.Config) Option {
	return func(o *Options) { o.TLSConfig = c }
}

// WithCAFile names a PEM file of the authorities that may sign the Manager's certificate, and with WithNodeTLS that of the nodes, instead of
// the system's roots. It is read again for each connection by TLS; one that cannot be read then, or ends in the middle of a certificate, costs
// a log line, and the last good ones stay in use. At the start it is an error. Regular files only, no pipe. Default: the system's roots. It
// excludes WithTLSConfig.
func WithCAFile(file string) Option {
	return func(o *Options) { o.CAFile = file; o.mark("ca_file") }
}

// WithClientCertFile names a PEM file with the client's certificate, and behind it those of the authorities between it and the root. It is
// shown to a Manager over https, and with WithNodeTLS to what stands before the nodes, where they ask for one. It takes WithClientKeyFile,
// and is read again with it for each connection by TLS; while the two do not fit, as between two writes, a log line says so, and the
// last pair that did stays in use. At the start it is an error. Default none. It excludes WithTLSConfig.
func WithClientCertFile(file string) Option {
	return func(o *Options) { o.ClientCertFile = file; o.mark("client_cert_file") }
}

// WithClientKeyFile names a PEM file with the key of WithClientCertFile, not encrypted. Default none.
func WithClientKeyFile(file string) Option {
	return func(o *Options) { o.ClientKeyFile = file; o.mark("client_key_file") }
}

// WithDialer sets who opens the connections to nodes, say through a tunnel. Default, also for nil: TCP. The network is "tcp", the address a
// node's host:port as the Manager or WithStaticNodes has it: its name is the Dialer's to look up. Its context ends with WithConnTimeout, and
// with the client. It is called from goroutines of the client, from many at a time; one that returns late costs that attempt, one that panics
// too. The client proves each connection by a heartbeat, and owns it: its methods must be safe to call from several goroutines, and end when it
// is closed; it need not know deadlines. Where it is no TCP connection, nor TLS over one, frames that it still holds when the client closes it may arrive all the same,
// as doubles of what was sent elsewhere. It excludes WithSocks; WithNodeTLS speaks TLS over it. The Manager is not asked through it.
func WithDialer(dial Dialer) Option {
	return func(o *Options) { o.Dialer = dial }
}

// WithSocks names a SOCKS5 proxy (host:port) through which nodes are reached. Nodes' host names are its to look up. The Manager is not asked
// through it, see WithURL: HTTPS_PROXY=socks5://host:port does that. Default none: directly. It excludes WithDialer.
func WithSocks(address string) Option {
	return func(o *Options) { o.Socks = address; o.mark("socks") }
}

// WithSocksAuth sets user and password for the proxy of WithSocks, 1 to 255 bytes each; they go there in the clear. Default none.
func WithSocksAuth(user, password string) Option {
	return func(o *Options) { o.SocksAuth = user + ":" + password; o.mark("socks_auth") }
}

// WithNodeTLS speaks TLS with the nodes. A DataProxy speaks none: it is for a proxy before it that ends TLS. Default false. The certificate is
// verified against WithCAFile, WithTLSConfig or the system's roots, for the node's host or WithNodeTLSName.
func WithNodeTLS(on bool) Option {
	return func(o *Options) { o.NodeTLS = on; o.mark("node_tls") }
}

// WithNodeTLSName sets the name that the certificate of each node must have with WithNodeTLS, where nodes are listed by address or stand behind
// one proxy. Default, also for "": the node's host.
func WithNodeTLSName(name string) Option {
	return func(o *Options) { o.NodeTLSName = name; o.mark("node_tls_name") }
}
