package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../../.."

// languages are the clients, with what must be there to try them.
var languages = map[string]string{
	"Go": "go.mod", "C": "build/conformance/send_plan", "Python": "build/lib/libinlong_dataproxy.so",
}

// try runs the program with these variables and arguments and returns what it printed.
func try(t *testing.T, variables map[string]string, args ...string) (string, error) {
	t.Helper()
	s, err := parse(append([]string{"--root", root, "--option", "conn_timeout=30s", "--option", "manager_timeout=30s"}, args...), func(name string) string { return variables[name] })
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = s.run(t.Context(), &out)
	return out.String(), err
}

// needBuilt skips what needs the C library, which `make build` and `make test-go` build.
func needBuilt(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Skipf("not built, see make build: %v", err)
	}
}

// A client that changes, loses or doubles a message under some option is found by its users otherwise.
func TestEveryCaseHoldsInEveryLanguage(t *testing.T) {
	for language, built := range languages {
		t.Run(language, func(t *testing.T) {
			needBuilt(t, built)
			out, err := try(t, nil, "--languages", language)
			if err != nil || strings.Contains(out, "FAILED") || strings.Contains(out, "skipped:") {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, test := range cases() {
				if !strings.Contains(out, test.name) {
					t.Errorf("no row of %q in\n%s", test.name, out)
				}
			}
		})
	}
}

// A comparison that finds nothing is worth nothing: one byte of one payload is altered on its way, in each language.
func TestWrongPayloadIsFoundAndTheCaseNamed(t *testing.T) {
	for language, built := range languages {
		t.Run(language, func(t *testing.T) {
			needBuilt(t, built)
			out, err := try(t, nil, "--languages", language, "--only", "sizes", "--inject", "binary, Snappy: sizes")
			if err == nil || err.Error() != "1 of 4 runs differ from what must hold" {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(out, "\nbinary, Snappy: sizes, "+language+": altered 1: message ") || strings.Count(out, "FAILED") != 1 ||
				strings.Contains(out, "lost") || strings.Contains(out, "extra") {
				t.Error(out)
			}
		})
	}
}

// A case that does not look at what arrived would say ok whatever did.
func TestEveryCaseFindsAWrongPayload(t *testing.T) {
	out, err := try(t, nil, "--languages", "go", "--inject", ".")
	if err == nil {
		t.Fatal(out)
	}
	for _, test := range cases() {
		want := "FAILED"
		if test.name == "wrong credentials" { // the one case that sends nothing
			want = "ok"
		}
		if verdict := row(t, out, test.name); verdict != want {
			t.Errorf("%s: %s, want %s", test.name, verdict, want)
		}
		named := test.name + ", Go: altered 1: message "
		if strings.HasSuffix(test.name, ": bytes") { // which has every message of one byte
			named = test.name + ", Go: lost 1 of 278 acked, "
		}
		if want == "FAILED" && !strings.Contains(out, named) {
			t.Errorf("no %q in\n%s", named, out)
		}
	}
}

// live is a cluster that is given as a user gives his own.
func live(t *testing.T, opts ...dataproxytest.Option) (*dataproxytest.Cluster, map[string]string) {
	t.Helper()
	c := dataproxytest.Start(t, append([]dataproxytest.Option{dataproxytest.WithTopics("live_group/live_stream")}, opts...)...)
	return c, map[string]string{"MANAGER": c.URL(), "GROUP": "live_group", "STREAM": "live_stream"}
}

// row returns what the table says of a case, after the number of messages.
func row(t *testing.T, out, name string) string {
	t.Helper()
	for text := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(text, name+"  "); ok {
			_, verdict, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return strings.TrimSpace(verdict)
		}
	}
	t.Fatalf("no row of %q in\n%s", name, out)
	return ""
}

// What the addresses do not allow must be said, not passed over: a row that says ok was tried.
func TestWhatTheAddressesDoNotAllowIsSkippedAndSaidSo(t *testing.T) {
	c, variables := live(t)
	for name, test := range map[string]struct {
		set                map[string]string
		head               string
		nodes, credentials string
	}{
		"Manager alone": {nil, "Manager " + c.URL(), "skipped: no NODES given", "skipped: no AUTH given"},
		"nodes too":     {map[string]string{"NODES": c.Node(0).Addr()}, "nodes " + c.Node(0).Addr() + ",", "ok", "skipped: no AUTH given"},
		"a Manager that asks for nothing": {map[string]string{"AUTH": "id:key"}, "Manager",
			"skipped: no NODES given", "skipped: the Manager asks for no credentials"},
		"nodes alone": {map[string]string{"MANAGER": "", "NODES": c.Node(1).Addr() + "," + c.Node(2).Addr(), "AUTH": "id:key"},
			"no Manager, nodes " + c.Node(1).Addr() + " " + c.Node(2).Addr(), "ok", "skipped: no MANAGER given"},
	} {
		t.Run(name, func(t *testing.T) {
			given := maps.Clone(variables)
			maps.Copy(given, test.set)
			out, err := try(t, given, "--languages", "go", "--only", "given nodes|wrong credentials")
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(out, "not read back, since KAFKA is not given: only acks are checked") || !strings.Contains(out, test.head) {
				t.Error(out)
			}
			if nodes, credentials := row(t, out, "given nodes"), row(t, out, "wrong credentials"); nodes != test.nodes || credentials != test.credentials {
				t.Errorf("given nodes %q, wrong credentials %q", nodes, credentials)
			}
		})
	}
}

// A cluster that does something else than it should, with what the user reads.
func TestDifferencesOfAClusterAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*dataproxytest.Cluster)
		opts  []dataproxytest.Option
		want  string // of the fault
	}{
		"a node refuses": {want: ": code 10011: server error: server code 105", spoil: func(c *dataproxytest.Cluster) {
			c.Node(0).Standing(dataproxytest.ErrorCode(105))
		}},
		"a node is silent": {want: ": code 10001: message send timeout", spoil: func(c *dataproxytest.Cluster) {
			c.Node(0).Standing(dataproxytest.DropAnswer())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c, variables := live(t, dataproxytest.WithNodes(1))
			test.spoil(c)
			out, err := try(t, variables, "--languages", "go", "--only", "text: added columns", "--option", "send_timeout=300ms", "--option", "max_retries=0")
			if err == nil || row(t, out, "text: added columns") != "FAILED" || !strings.Contains(out, "text: added columns, Go: message ") ||
				!strings.Contains(out, test.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// What a cluster of the user's may do, the fake may not: a fake that acks an unknown stream, or a frame that is too long, has
// lost what it is there to show.
func TestAnAckInPlaceOfARefusalIsToldOfARealClusterAndAFaultOfTheFake(t *testing.T) {
	const unknown, tooLong = "unknown group or stream: 115", "frame too long for a node"
	c, variables := live(t, dataproxytest.WithTopics("live_group")) // one topic for all its streams
	out, err := try(t, variables, "--languages", "go", "--only", unknown)
	if err != nil || row(t, out, unknown) != "ok" || !strings.Contains(out, unknown+", Go: message 1 was acked: the node knows a topic for the group alone") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, test := range cases() {
		if test.name != unknown && test.name != tooLong {
			continue
		}
		for _, target := range []*target{{stream: "s", nodes: []string{"n:1"}, frameLimit: 1000}, {stream: "s", nodes: []string{"n:1"}, frameLimit: 1000, fake: c}} {
			p := target.newPlan("t")
			test.make(target, p)
			accepted := 0
			for _, m := range p.messages {
				if m.refusal != nil && m.refusal.wrong(line{}) == "" {
					accepted++
				}
			}
			if want := map[bool]int{true: 0, false: 1}[target.fake != nil]; accepted != want {
				t.Errorf("%s: %d acks are as good as the refusal, want %d; fake: %v", test.name, accepted, want, target.fake != nil)
			}
		}
	}
}

func TestUselessSettingsAreRefused(t *testing.T) {
	c, variables := live(t, dataproxytest.WithBasicAuth("id", "key"))
	with := func(pairs ...string) map[string]string {
		given := maps.Clone(variables)
		for i := 0; i < len(pairs); i += 2 {
			given[pairs[i]] = pairs[i+1]
		}
		return given
	}
	for name, test := range map[string]struct {
		variables map[string]string
		args      []string
		want      string
	}{
		"a stream and no cluster":     {map[string]string{"STREAM": "s"}, nil, "give MANAGER=http://host:port, or NODES=host:port"},
		"no group":                    {with("GROUP", ""), nil, "give GROUP and STREAM"},
		"no stream":                   {with("STREAM", ""), nil, "give GROUP and STREAM"},
		"Kafka without a topic":       {with("KAFKA", "h:1"), nil, "give KAFKA and TOPIC together"},
		"a topic without Kafka":       {with("TOPIC", "t"), nil, "give KAFKA and TOPIC together"},
		"several Kafkas, none there":  {with("AUTH", "id:key", "KAFKA", "127.0.0.1:1,127.0.0.1:2", "TOPIC", "t"), nil, "127.0.0.1:2, TOPIC t: unable to dial: dial tcp 127.0.0.1:"},
		"a comma for Kafka":           {with("KAFKA", ",", "TOPIC", "t"), nil, `KAFKA "," must be host:port`},
		"a comma for nodes":           {map[string]string{"NODES": ","}, nil, `NODES "," must be host:port`},
		"a group that cannot be":      {with("GROUP", "g"), nil, `GROUP, AUTH: option group_id: invalid group ID: group id "g" has 1 characters: it must have 4 to 200`},
		"a stream that cannot be":     {with("STREAM", "a b"), nil, `STREAM: stream id "a b" has the character ' '`},
		"half of the credentials":     {with("AUTH", "id"), nil, `AUTH: option basic_auth: must be "secretId:secretKey", both not empty`},
		"no key in the credentials":   {with("AUTH", "id:"), nil, `AUTH: option basic_auth: must be "secretId:secretKey", both not empty`},
		"a node without a port":       {with("NODES", "h:1,i"), nil, `NODES: node "i": it must be host:port`},
		"a Manager of another kind":   {with("MANAGER", "ftp://h"), nil, `MANAGER "ftp://h": its scheme is "ftp": it must be http or https`},
		"a password in the Manager":   {with("MANAGER", strings.Replace(c.URL(), "//", "//id:s3cret@", 1)), nil, "MANAGER ...@" + strings.TrimPrefix(c.URL(), "http://") + ": the Manager answered 403 Forbidden"},
		"a password in no url":        {with("MANAGER", "http://id:s3cret@h h"), nil, `MANAGER "...@h h": it cannot be parsed`},
		"no credentials":              {with(), nil, "MANAGER " + c.URL() + ": the Manager answered 403 Forbidden"},
		"wrong credentials":           {with("AUTH", "id:s3cret"), nil, "403 Forbidden"},
		"a group that is not there":   {with("AUTH", "id:key", "GROUP", "nope_group"), nil, "group not found by groupId=nope_group"},
		"no Kafka there":              {with("AUTH", "id:key", "KAFKA", "127.0.0.1:1", "TOPIC", "t"), nil, "KAFKA 127.0.0.1:1, TOPIC t: "},
		"an option with a variable":   {nil, []string{"--option", "url=http://h"}, `"url" has a variable of its own`},
		"an option that is not there": {nil, []string{"--option", "linger=1s"}, "linger"},
		"a word":                      {nil, []string{"bytes"}, `"bytes" is no flag`},
		"an unknown language":         {nil, []string{"--languages", "cobol"}, `--languages: "cobol" is none of go, c, python`},
		"half an expression":          {nil, []string{"--only", "("}, "--only: error parsing regexp"},
		"half an expression to spoil": {nil, []string{"--inject", "("}, "--inject: error parsing regexp"},
		"an unknown case":             {nil, []string{"--only", "xyz"}, `--only: no case has a name that matches "xyz"`},
		"an unknown case to spoil":    {nil, []string{"--inject", "xyz"}, `--inject: no case that is run has a name that matches "xyz"`},
		"nothing built":               {nil, []string{"--root", t.TempDir(), "--languages", "c"}, "the C program is not built, see make build"},
		"no library":                  {nil, []string{"--root", t.TempDir(), "--languages", "python"}, "the Python package has no library, see make build"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := try(t, test.variables, append([]string{"--languages", "go"}, test.args...)...)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v, want %q\n%s", err, test.want, out)
			}
		})
	}
}
