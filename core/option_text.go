package dataproxy

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

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

func (opt *option) info() OptionInfo {
	info := OptionInfo{Key: opt.key, Name: opt.name, Kind: opt.kind, Doc: opt.doc, Values: strings.Join(opt.values, "|")}
	switch opt.kind {
	case kindDuration, kindInt, kindSize:
		info.Default, info.Min = opt.text(opt.def), opt.text(opt.min)
		if opt.max != noLimit {
			info.Max = opt.text(opt.max)
		}
		if opt.key == "byte_pool_width" {
			info.Default = "" // depends on another option; the doc says how
		}
	case kindBool:
		info.Default = "false"
	default:
		info.Default = opt.defText
	}
	return info
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

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
