package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

const configHelp = `The configuration comes from flags, then from environment variables (INLONG_ and the key in capitals, such as INLONG_URL,
INLONG_GROUP_ID, INLONG_STREAM, INLONG_SEND_TIMEOUT), then from the YAML file of --config or INLONG_CONFIG, whose lines are
"key: value"; the first of these that has a key wins. The keys are those of "inlong-dataproxy options" and, with "_" for "-",
the flags of send. In a process list everyone can read flags: give basic_auth in the environment or the file.`

// commandKeys are the flags of send that the environment and the file can set too; other commands take those that sharedKeys
// names and ignore the rest, so that all commands can share one file.
var commandKeys = []string{"stream", "format", "encoding", "key_column", "no_header", "follow", "rate", "state", "failed", "rotate_wait", "quiet",
	"progress", "json", "row", "row_separator", "row_kv_separator", "row_line_separator", "row_escape", "row_encoding", "row_columns",
	"row_refuse_empty_first", "row_control_escapes"}

var sharedKeys = []string{"stream", "json"}

// config is what a command was told, from wherever.
type config struct {
	url, group, stream, file string
	options                  []string

	settings map[string]setting // of the client, by key
}

func (c *config) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.url, "url", "", "the Manager's address, a `URL` such as http://127.0.0.1:8083")
	flags.StringVar(&c.group, "group", "", "the InLong `GROUP` (key group_id)")
	flags.StringVar(&c.stream, "stream", "", "the InLong `STREAM`")
	flags.StringVar(&c.file, "config", "", "YAML `FILE` with the keys that neither flags nor environment give")
	flags.StringArrayVar(&c.options, "option", nil, "set an option of the client, as `KEY=VALUE`; may be repeated; \"inlong-dataproxy options\" lists them")
}

// load reads file, environment and flags, in the order of their weight, and wants to know the server and the group.
func (c *config) load(cmd *cobra.Command) error {
	if err := c.read(cmd, sharedKeys); err != nil {
		return err
	}
	return c.require(cmd)
}

// read takes those of the command's flags that the environment and the file may set.
func (c *config) read(cmd *cobra.Command, flagKeys []string) error {
	c.settings = map[string]setting{}
	if cmd.Name() != "doctor" { // which has it in its list
		for _, m := range misspelt() {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: the environment variable %s has no effect; did you mean %s?\n", m.name, m.meant)
		}
	}
	known := append(optionKeys(), commandKeys...)
	flags := cmd.Flags()
	if !flags.Changed("config") {
		c.file = os.Getenv(envName("config"))
	}
	var given []setting
	if c.file != "" {
		settings, err := readConfigFile(c.file, known)
		if err != nil {
			return usagef(cmd, "%v", err)
		}
		given = settings
	}
	for _, key := range known {
		if value := os.Getenv(envName(key)); value != "" {
			given = append(given, setting{key, value, envName(key)})
		}
	}
	for _, s := range given {
		if !slices.Contains(commandKeys, s.key) {
			if err := c.set(s); err != nil {
				return usagef(cmd, "%s: %v", s.from, err)
			}
			continue
		}
		if !slices.Contains(flagKeys, s.key) {
			continue
		}
		if err := setFlag(flags, s); err != nil {
			return usagef(cmd, "%s: %v", s.from, err)
		}
	}
	return c.readFlags(cmd)
}

func (c *config) set(s setting) error {
	if err := dataproxy.ParseOption(s.key, s.value); err != nil {
		return err
	}
	c.settings[s.key] = s
	return nil
}

// setFlag sets a flag of the command, unless it was given as one.
func setFlag(flags *pflag.FlagSet, s setting) error {
	name := strings.ReplaceAll(s.key, "_", "-")
	flag := flags.Lookup(name)
	if flag == nil || flag.Changed && flag.Annotations[fromOutside] == nil {
		return nil
	}
	if err := flag.Value.Set(s.value); err != nil {
		return fmt.Errorf("%s = %q: %s", s.key, s.value, plainFault(err.Error()))
	}
	flag.Changed = true
	return flags.SetAnnotation(name, fromOutside, []string{s.from})
}

// plainFault says what a value must be, where flags tell what a function of Go did not like.
func plainFault(text string) string {
	for _, fault := range []struct {
		goes *regexp.Regexp
		rule string
	}{
		{regexp.MustCompile(`strconv\.Parse\w+: .*value out of range`), "is too large a number"},
		{regexp.MustCompile(`time: invalid duration "[-+]?([\d.]+(ns|us|µs|μs|ms|s|m|h))+"`), "is too long a time"},
		{regexp.MustCompile(`strconv\.ParseFloat: .*`), "must be a number"},
		{regexp.MustCompile(`strconv\.ParseU?[Ii]nt: .*`), "must be a whole number"},
		{regexp.MustCompile(`strconv\.ParseBool: .*`), "must be true or false"},
		{regexp.MustCompile(`time: .*`), "must be a duration with its unit, such as 500ms, 30s or 5m"},
	} {
		text = fault.goes.ReplaceAllString(text, fault.rule)
	}
	return text
}

// fromOutside marks a flag whose value came from the file or the environment, and not from the command line.
const fromOutside = "inlong_from_outside"

func (c *config) readFlags(cmd *cobra.Command) error {
	if c.url != "" {
		c.settings["url"] = setting{"url", c.url, "--url"}
	}
	if c.group != "" {
		c.settings["group_id"] = setting{"group_id", c.group, "--group"}
	}
	for _, text := range c.options {
		key, value, found := strings.Cut(text, "=")
		if !found {
			return usagef(cmd, "--option %q: must be key=value", text)
		}
		if err := c.set(setting{key, value, "--option " + key}); err != nil {
			return usagef(cmd, "--option: %v", err)
		}
	}
	return nil
}

func (c *config) require(cmd *cobra.Command) error {
	if err := c.missing(false); err != nil {
		return usagef(cmd, "%v", err)
	}
	return nil
}

// missing names all that was not given.
func (c *config) missing(stream bool) error {
	var missing []error
	if c.value("url") == "" && c.value("static_nodes") == "" {
		missing = append(missing, errors.New("the url is missing: give --url, the Manager's address, for example --url http://127.0.0.1:8083 (or INLONG_URL, or url in the file)"))
	}
	if c.value("group_id") == "" {
		missing = append(missing, errors.New("the group is missing: give --group (or INLONG_GROUP_ID, or group_id in the file)"))
	}
	if stream {
		missing = append(missing, errors.New("the stream is missing: give --stream (or INLONG_STREAM, or stream in the file)"))
	}
	return errors.Join(missing...)
}

func (c *config) value(key string) string { return c.settings[key].value }

// clientOptions returns the settings as options of a client.
func (c *config) clientOptions() (options []dataproxy.Option) {
	for key, s := range c.settings {
		options = append(options, dataproxy.WithOption(key, s.value))
	}
	return options
}
