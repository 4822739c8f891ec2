package main

import (
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.uber.org/multierr"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/nearest"
)

// checkConfig finds faults, which end the examination, and settings that are allowed and hardly meant.
func (d *doctor) checkConfig() bool {
	for _, option := range d.config.clientOptions() {
		option(&d.options)
	}
	if err := d.options.ValidateAndSetDefault(); err != nil {
		for _, fault := range multierr.Errors(err) {
			d.add(levelFail, "configuration", `Correct the value; "inlong-dataproxy options NAME" tells its range.`, "%v", fault)
		}
		return false
	}
	o, before := &d.options, d.failed
	warn := func(advice, format string, args ...any) { d.add(levelWarn, "configuration", advice, format, args...) }
	if o.AckTimeout >= o.SendTimeout {
		warn("Make ack_timeout a third of send_timeout or less.",
			"ack_timeout %v is not shorter than send_timeout %v: a message whose node is silent has no time for another one", o.AckTimeout, o.SendTimeout)
	}
	if o.BatchingMaxPublishDelay >= o.SendTimeout/2 {
		warn("Lower batching_max_publish_delay; 20ms is the default.",
			"batching_max_publish_delay %v uses up most of send_timeout %v", o.BatchingMaxPublishDelay, o.SendTimeout)
	}
	if o.BatchingMaxSize > o.MaxFrameSize {
		warn("Make batching_max_size smaller than max_frame_size.", "batching_max_size %d is over max_frame_size %d and never reached", o.BatchingMaxSize, o.MaxFrameSize)
	}
	if (o.BasicAuth != "" || o.BasicAuthFile != "") && len(o.StaticNodes) == 0 {
		if u, err := url.Parse(o.URL); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			warn("Use https, or be sure of the network.", "basic_auth travels in the clear to %s", u.Hostname())
		}
	}
	d.checkSecretFile()
	d.checkEnvironment()
	if before == d.failed {
		d.ok("configuration", "group %s, %d settings", o.GroupID, len(d.config.settings))
	}
	return true
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkSecretFile looks for secrets that others on this machine can read.
func (d *doctor) checkSecretFile() {
	openTo := func(file string) (mode os.FileMode, others bool) {
		info, err := os.Stat(file)
		if file == "" || err != nil {
			return 0, false
		}
		return info.Mode().Perm(), info.Mode().Perm()&0o077 != 0
	}
	for _, key := range []string{"basic_auth", "socks_auth"} {
		secret := d.config.settings[key]
		if mode, others := openTo(d.config.file); others && strings.HasPrefix(secret.from, d.config.file) {
			d.add(levelWarn, "configuration", "chmod 600 "+d.config.file, "the file holds %s and others may read it (mode %v)", key, mode)
		}
		if strings.HasPrefix(secret.from, "--") {
			d.add(levelWarn, "configuration", "Give it as "+envName(key)+" or in the file of --config.", "%s was given as a flag, which everyone on this machine can read", key)
		}
	}
	for _, secret := range []struct{ key, file string }{{"basic_auth_file", d.options.BasicAuthFile}, {"client_key_file", d.options.ClientKeyFile}} {
		if mode, _ := openTo(secret.file); mode&0o007 != 0 { // a group of its own is how an orchestrator lets a process in
			d.add(levelWarn, "configuration", "chmod o= "+secret.file, "everyone on this machine may read the %s (mode %v)", secret.key, mode)
		}
	}
}

func (d *doctor) checkEnvironment() {
	for _, m := range misspelt() {
		d.add(levelWarn, "configuration", "Rename it to "+m.meant+", if that is meant.", "the environment variable %s has no effect", m.name)
	}
}

type misspeltVariable struct{ name, meant string }

// misspelt are variables that are nearly ours. Others that begin with INLONG_ belong to other programs.
func misspelt() (all []misspeltVariable) {
	keys := append(append(optionKeys(), commandKeys...), "config")
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		key, ours := strings.CutPrefix(name, "INLONG_")
		key = strings.ToLower(key)
		if !ours || slices.Contains(keys, key) {
			continue
		}
		if best := nearest.Name(key, keys); best != "" {
			all = append(all, misspeltVariable{name, envName(best)})
		}
	}
	return all
}

// adviceFor is what to do about an error.
func adviceFor(e *dataproxy.Error) string {
	if c, known := explain(e); known {
		return c.Advice
	}
	return "The server's code is none that this program knows: see the node's log."
}

// meaningOf is the cause of an error, which its text does not tell.
func meaningOf(e *dataproxy.Error) string {
	if c, known := explain(e); known {
		return c.Meaning
	}
	return "a code that this program does not know"
}

// explain finds what the program errors says of an error.
func explain(e *dataproxy.Error) (info codeInfo, known bool) {
	from, code := fromClient, int(e.Code)
	if e.ServerCode != 0 {
		from, code = fromServer, e.ServerCode
	}
	for _, c := range allCodes() {
		if c.From == from && c.Code == code {
			return c, true
		}
	}
	return info, false
}
