package dataproxy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/multierr"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/discovery"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/nearest"
)

// WithOption sets an option by its key and text, as C, Python and configuration files do: "send_timeout" = "30s". Durations
// carry a unit ("20ms", "5m"), sizes are bytes or end in K, M or G (KiB, MiB, GiB), booleans are true or false, maps are
// "name=value&name2=value2", lists are separated by commas. An unknown key or a bad text is reported by NewClient.
func WithOption(key, value string) Option {
	return func(o *Options) {
		if err := setText(o, key, value); err != nil {
			o.faults = append(o.faults, err)
		}
	}
}

// ParseOption checks one key and text alone: whether the key exists, the text can be read and its value is in range.
func ParseOption(key, value string) error {
	var o Options
	if err := setText(&o, key, value); err != nil {
		return err
	}
	return findOption(key).checkRange(&o)
}

func setText(o *Options, key, value string) error {
	opt := findOption(key)
	if opt == nil {
		return errors.New(nearest.Unknown("option", key, optionKeys()))
	}
	if err := opt.parse(o, value); err != nil {
		return err
	}
	o.mark(key)
	return nil
}

func findOption(key string) *option {
	for i := range optionTable {
		if optionTable[i].key == key {
			return &optionTable[i]
		}
	}
	return nil
}

func (opt *option) bad(value, rule string) error {
	if opt.key == "basic_auth" || opt.key == "socks_auth" {
		return fmt.Errorf("option %s: %s", opt.key, rule) // the value is a secret
	}
	return fmt.Errorf("option %s = %q: %s", opt.key, value, rule)
}

func (opt *option) parse(o *Options, value string) error {
	switch p := opt.field(o).(type) {
	case *string:
		*p = value
	case *bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return opt.bad(value, "must be true or false")
		}
		*p = b
	case *time.Duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			if aDuration.MatchString(value) {
				return opt.outOfRange(value)
			}
			return opt.bad(value, `must be a duration with its unit, such as "20ms" or "5m"`)
		}
		*p = d
	case *int:
		n, err := parseInt(value, opt.kind == kindSize)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return opt.outOfRange(value)
		case err != nil:
			return opt.bad(value, err.Error())
		}
		*p = n
	case *[]string:
		*p = splitList(value)
	case *map[string]string:
		m, err := splitMap(value)
		if err != nil {
			return opt.bad(value, err.Error())
		}
		*p = m
	}
	return nil
}

// aDuration matches text that reads as a duration, even one that time.Duration cannot hold.
var aDuration = regexp.MustCompile(`^[-+]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$`)

// outOfRange is the error of a number that Go cannot hold, which is out of the option's range, too.
func (opt *option) outOfRange(value string) error {
	if strings.HasPrefix(value, "-") {
		return opt.tooLittle(value)
	}
	return opt.tooMuch(value)
}

func (opt *option) tooLittle(value string) error {
	return opt.bad(value, "must be "+opt.text(opt.min)+" or more")
}

func (opt *option) tooMuch(value string) error {
	return opt.bad(value, "must be "+opt.text(opt.max)+" or less")
}

// parseInt reads a whole number. Its error is a strconv.ErrRange when it is one, but too large for an int.
func parseInt(value string, size bool) (int, error) {
	digits, unit := value, int64(1)
	if size && value != "" {
		switch value[len(value)-1] {
		case 'K', 'k':
			unit = kib
		case 'M', 'm':
			unit = mib
		case 'G', 'g':
			unit = gib
		}
		if unit > 1 {
			digits = value[:len(value)-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err == nil && (n > math.MaxInt64/unit || n < math.MinInt64/unit),
		errors.Is(err, strconv.ErrRange) && strings.Trim(digits, "+-0123456789") == "": // it stops at the digit that is too many
		return 0, strconv.ErrRange
	case err != nil:
		if size {
			return 0, errors.New(`must be a number of bytes, or one that ends in K, M or G, such as "40K"`)
		}
		return 0, errors.New("must be a whole number")
	}
	return int(n * unit), nil
}

func splitList(value string) []string {
	var list []string
	for item := range strings.SplitSeq(value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

func splitMap(value string) (map[string]string, error) {
	m := make(map[string]string)
	if value == "" {
		return m, nil
	}
	for pair := range strings.SplitSeq(value, "&") {
		name, v, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, errors.New(`must be "name=value" pairs joined by "&"`)
		}
		if _, dup := m[name]; dup {
			return nil, fmt.Errorf("name %q is given twice", name)
		}
		m[name] = v
	}
	return m, nil
}

func optionKeys() []string {
	keys := make([]string, 0, len(optionTable))
	for i := range optionTable {
		keys = append(keys, optionTable[i].key)
	}
	return keys
}

// text writes a value of the option in the form that parse reads.
func (opt *option) text(n int64) string {
	switch {
	case opt.kind == kindDuration:
		s := time.Duration(n).String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return s
	case opt.kind != kindSize || n == 0:
	case n%gib == 0:
		return strconv.FormatInt(n/gib, 10) + "G"
	case n%mib == 0:
		return strconv.FormatInt(n/mib, 10) + "M"
	case n%kib == 0:
		return strconv.FormatInt(n/kib, 10) + "K"
	}
	return strconv.FormatInt(n, 10)
}

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
	for _, k := range slices.Sorted(maps.Keys(o.AddColumns)) {
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
