// Command conformance proves the Go, C and Python clients against a cluster: it sends through every option that touches the
// wire, checks every result, reads back what arrived and compares it with what was sent, byte for byte.
//
//	make conformance MANAGER=http://host:8083 GROUP=my_group STREAM=my_stream [AUTH=id:key] [NODES=host:port,...] [KAFKA=host:9092,... TOPIC=t]
//
// The cluster must know GROUP and STREAM; both are best made for this, since some 440,000 messages stay in TOPIC. AUTH is what
// a Manager asks for; given in the environment instead of the command line, no other user of the machine sees it. NODES are
// DataProxy nodes to reach without the Manager. Of a Kafka that wants no credentials the topic behind the stream is read;
// without KAFKA only results are checked. Without MANAGER and NODES all runs against a fake cluster, to see it work.
//
// It prints a row a case. "ok": every message had the one result that it must have, and what was acked arrived, once, with
// its bytes, attributes and event time, in a frame of its kind. What the addresses given do not allow is skipped and says so.
// Two refusals depend on how a cluster is set up, so an ack of a real one is accepted in their place and told below the table:
// of an unknown stream, where the nodes know a topic for the whole group, and of a frame above the Manager's limit, where the
// nodes take longer ones. The fake cluster must refuse both; inlong-dataproxy mock does with --topic my_group/my_stream, and
// without it knows every group.
// A client that reaches no Manager or no node is made again, three times in all; then its row says "no client", which is no
// difference, and the exit status is 1 as nothing was shown.
// The exit status is 1 when anything differs; CONFORMANCE_FLAGS=--help lists what else can be set.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From then on a second signal kills the program.
	context.AfterFunc(ctx, stop)
	s, err := parse(os.Args[1:], os.Getenv)
	if err == nil {
		err = s.run(ctx, os.Stdout)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case ctx.Err() != nil:
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	root      string
	languages []string
	only      *regexp.Regexp
	inject    *regexp.Regexp // nil: none
	kafka     []string       // brokers to begin with
	topic     string
	wait      time.Duration
	pause     time.Duration // before a client is made once more
	target    *target
}

// parse also takes the variables that make passes on: a key in an argument would be seen by every user of the machine.
func parse(args []string, getenv func(string) string) (*settings, error) {
	s := &settings{target: &target{}, pause: 2 * time.Second}
	t := s.target
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.StringVar(&s.root, "root", ".", "the project's folder, where build/ is")
	languages := flags.String("languages", "go,c,python", "which clients to try")
	only := flags.String("only", "", "run the cases whose name matches this regular expression")
	inject := flags.String("inject", "", "in cases whose name matches this, alter a byte of one payload on its way, to see that it is noticed")
	flags.DurationVar(&s.wait, "wait", time.Minute, "how long to wait for messages to arrive in Kafka")
	flags.Func("option", "key=value: an option of every client, such as ca_file; may be repeated", t.setOption)
	flags.SetOutput(io.Discard) // a fault is reported by main
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(os.Stderr)
			flags.PrintDefaults()
		}
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	var err error
	if s.only, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	if *inject != "" {
		if s.inject, err = regexp.Compile(*inject); err != nil {
			return nil, fmt.Errorf("--inject: %w", err)
		}
	}
	s.languages = strings.Split(*languages, ",")
	t.manager, t.group, t.stream, t.auth = getenv("MANAGER"), getenv("GROUP"), getenv("STREAM"), getenv("AUTH")
	s.kafka, s.topic = addresses(getenv("KAFKA")), getenv("TOPIC")
	t.nodes = addresses(getenv("NODES"))
	t.nodesGiven = len(t.nodes) > 0
	for _, name := range []string{"KAFKA", "NODES"} {
		if getenv(name) != "" && len(addresses(getenv(name))) == 0 {
			return nil, fmt.Errorf("%s %q must be host:port, or several with commas between them", name, getenv(name))
		}
	}
	return s, s.check()
}

// addresses are what a list names, as it is usually written: host:port,host:port.
func addresses(list string) []string {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })
}

func (s *settings) check() error {
	t := s.target
	if s.isTrial() {
		if t.stream+t.auth+s.topic != "" || len(s.kafka) > 0 {
			return errors.New("give MANAGER=http://host:port, or NODES=host:port,...; without both this is a trial on a fake cluster, which needs nothing")
		}
		return nil
	}
	switch {
	case t.group == "" || t.stream == "":
		return errors.New("give GROUP and STREAM, which the cluster must know")
	case (len(s.kafka) == 0) != (s.topic == ""):
		return errors.New("give KAFKA and TOPIC together")
	}
	if err := t.checkIDs(); err != nil {
		return err
	}
	for _, node := range t.nodes {
		if err := discovery.CheckAddress(node); err != nil {
			return fmt.Errorf("NODES: %w", err)
		}
	}
	return nil
}

// isTrial reports whether no cluster was named.
func (s *settings) isTrial() bool { return s.target.manager == "" && len(s.target.nodes) == 0 }
