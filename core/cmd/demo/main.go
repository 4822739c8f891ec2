// Command demo ships a log file to a fake cluster from Go, C and Python, kills a node in the middle of each run, brings it
// back, and compares what the nodes received with the file. `make demo` builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

const group = "demo_group"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From then on a second signal kills the program.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:])
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case interrupted:
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything is stopped")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	file := flags.String("file", "", "the file to ship (default: the package manager's log of this machine)")
	repeat := flags.Int("repeat", 0, "how many times over to ship it (default: as often as gives a million lines)")
	root := flags.String("root", ".", "the project's folder, where build/ is")
	only := flags.String("languages", "go,c,python", "which programs to run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	programs, err := choosePrograms(*root, strings.Split(*only, ","))
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "inlong-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	src, err := prepareSource(*file, *repeat, folder)
	if err != nil {
		return err
	}
	cluster, err := dataproxytest.NewCluster(dataproxytest.WithNodes(3), dataproxytest.WithTopics(group))
	if err != nil {
		return err
	}
	defer cluster.Close()

	fmt.Printf("Shipping %s.\nTo a fake cluster: Manager %s, nodes%s.\nOne node is killed in the middle of each run and comes back.\n\n",
		src.description, cluster.URL(), addresses(cluster))
	var outcomes []*outcome
	for _, p := range programs {
		o := ship(ctx, cluster, p, src)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		outcomes = append(outcomes, o)
		fmt.Printf("%-8s%s\n", p.language, o.events)
	}
	return printTable(os.Stdout, outcomes)
}

func addresses(cluster *dataproxytest.Cluster) (text string) {
	for _, n := range cluster.Nodes() {
		text += " " + n.Addr()
	}
	return text
}
