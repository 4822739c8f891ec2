package dataproxy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/multierr"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
)

// leastConnLifetime keeps lanes from spending their time on new connections.
const leastConnLifetime = 10 * time.Millisecond

// ValidateAndSetDefault gives every option that was not set its default and checks all of them. It reports all faults at
// once; each names the option, its value and the rule.
func (o *Options) ValidateAndSetDefault() error {
	if o == nil {
		return errors.New("the options are nil")
	}
	o.setDefaults()
	err := multierr.Combine(o.faults...)
	for i := range optionTable {
		err = multierr.Append(err, optionTable[i].checkRange(o))
	}
	err = multierr.Append(err, o.validateGroupID())
	err = multierr.Append(err, o.validateSource())
	if !utf8.ValidString(o.MetricsName) {
		err = multierr.Append(err, fmt.Errorf("option metrics_name = %q: must be UTF-8", o.MetricsName))
	}
	if d := o.SpoolMaxAge; d > 0 && d < time.Second {
		err = multierr.Append(err, fmt.Errorf("option spool_max_age = %q: must be 0, or 1s or more", d))
	}
	err = multierr.Append(err, o.checkSpoolAfter())
	if d := o.MaxConnLifetime; d > 0 && d < leastConnLifetime {
		err = multierr.Append(err, fmt.Errorf("option max_conn_lifetime = %q: must be 0, or %v or more", d, leastConnLifetime))
	}
	for _, k := range sortedKeys(o.AddColumns) {
		if e := CheckAttribute(k, o.AddColumns[k]); e != nil {
			err = multierr.Append(err, fmt.Errorf("option add_columns: %w", e))
		}
	}
	if e := checkTotal(o.AddColumns); e != nil {
		err = multierr.Append(err, fmt.Errorf("option add_columns: %w", e))
	}
	return multierr.Append(err, o.checkAccess())
}

func (o *Options) setDefaults() {
	o.AddColumns = maps.Clone(o.AddColumns) // read later, too, when the caller may have changed its own
	o.StaticNodes = withoutDoubles(o.StaticNodes)
	ackTimeoutGiven := o.AckTimeout != 0 || o.explicit["ack_timeout"]
	for i := range optionTable {
		opt := &optionTable[i]
		if o.explicit[opt.key] {
			continue
		}
		switch p := opt.field(o).(type) {
		case *time.Duration:
			if *p == 0 {
				*p = time.Duration(opt.def)
			}
		case *int:
			if *p == 0 {
				*p = int(opt.def)
			}
		case *string:
			if *p == "" {
				*p = opt.defText
			}
		}
	}
	if !ackTimeoutGiven { // a silent connection must be given up before its messages are
		o.AckTimeout = max(min(o.AckTimeout, o.SendTimeout/3), leastAckTimeout)
	}
	if o.BytePoolWidth == 0 && !o.explicit["byte_pool_width"] {
		o.BytePoolWidth = max(4096, o.BatchingMaxSize)
	}
	if o.MetricsName == "" { // also if it is given as "", as in the existing SDK: a label without a value tells nothing
		o.MetricsName = findOption("metrics_name").defText
	}
	if o.MetricsRegistry == nil {
		o.MetricsRegistry = prometheus.DefaultRegisterer
	}
	if o.Logger == nil {
		o.Logger = defaultLogger()
	}
	if o.ResultHandler == nil {
		o.ResultHandler = func(*BatchResult) {}
	}
}

func withoutDoubles(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (opt *option) checkRange(o *Options) error {
	switch p := opt.field(o).(type) {
	case *time.Duration:
		return opt.checkNumber(int64(*p))
	case *int:
		return opt.checkNumber(int64(*p))
	case *string:
		if opt.kind == kindEnum && !slices.Contains(opt.values, *p) {
			return opt.bad(*p, "must be "+strings.Join(opt.values, " or "))
		}
	}
	return nil
}

func (opt *option) checkNumber(n int64) error {
	switch {
	case n < opt.min:
		return opt.tooLittle(opt.text(n))
	case n > opt.max:
		return opt.tooMuch(opt.text(n))
	}
	return nil
}

func (o *Options) validateGroupID() error {
	if o.GroupID == "" {
		if o.explicit["group_id"] {
			return fmt.Errorf("option group_id = \"\": %w: it is empty: it must have %d to %d characters", ErrInvalidGroupID, minGroupID, maxID)
		}
		return fmt.Errorf("option group_id: %w", ErrGroupIDNotGiven)
	}
	if err := checkGroupID(o.GroupID); err != nil {
		return fmt.Errorf("option group_id: %w: %v", ErrInvalidGroupID, err)
	}
	return nil
}

// validateSource checks where the node list comes from.
func (o *Options) validateSource() error {
	if len(o.StaticNodes) > 0 {
		var err error
		for _, n := range o.StaticNodes {
			if e := discovery.CheckAddress(n); e != nil {
				err = multierr.Append(err, fmt.Errorf("option static_nodes: %w", e))
			}
		}
		return err
	}
	if o.explicit["static_nodes"] {
		return errors.New(`option static_nodes: must name at least one "host:port"`)
	}
	if o.URL == "" {
		if o.explicit["url"] {
			return fmt.Errorf("option url = \"\": %w: it is empty: give the Manager's http://host:port or https://host:port, or set static_nodes", ErrInvalidURL)
		}
		return fmt.Errorf("option url: %w", ErrURLNotGiven)
	}
	if _, err := discovery.ListURLs(o.URL); err != nil {
		return fmt.Errorf("option url = %q: %w: %v", cut(discovery.RedactURL(o.URL)), ErrInvalidURL, err)
	}
	return nil
}

// leastSpoolAfter keeps the spool's goroutine from running all the time.
const leastSpoolAfter = 10 * time.Millisecond

func (o *Options) checkSpoolAfter() error {
	switch d := o.SpoolAfter; {
	case d <= 0:
		return nil
	case d < leastSpoolAfter || d >= o.SendTimeout:
		return fmt.Errorf("option spool_after = %q: must be 0, or %v or more and less than send_timeout, which is %v", d, leastSpoolAfter, o.SendTimeout)
	case o.SpoolResult == SpoolResultStored:
		return fmt.Errorf("option spool_after = %q: must be 0 with spool_result=stored, whose results wait for the disk", d)
	}
	return nil
}
