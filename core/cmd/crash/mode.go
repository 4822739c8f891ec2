package main

import (
	"fmt"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// mode is how the clients of a run differ from the default.
type mode struct {
	Ordered bool
	After   time.Duration
	Result  string
}

// options are those of a client, except its address.
func (m mode) options() (options []dataproxy.Option) {
	if m.Result != "" {
		options = append(options, dataproxy.WithSpoolResult(dataproxy.SpoolResult(m.Result)))
	}
	return append(options, dataproxy.WithOrdered(m.Ordered), dataproxy.WithSpoolAfter(m.After))
}

// check finds what is wrong with a mode before anything is started.
func (m mode) check() error {
	o := dataproxy.Options{GroupID: group, StaticNodes: []string{"127.0.0.1:1"}, SendTimeout: sendTimeout}
	for _, option := range m.options() {
		option(&o)
	}
	if err := o.ValidateAndSetDefault(); err != nil {
		return fmt.Errorf("--result, --after: %w", err)
	}
	return nil
}
