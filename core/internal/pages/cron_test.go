//go:build !windows

package pages

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
)

var (
	cronTimes    = regexp.MustCompile(`^([\d*/,-]+ +){5}`)
	cronSetting  = regexp.MustCompile(`^[A-Z_]+=`)
	cronAbsolute = regexp.MustCompile(`/(etc|run|usr/local|var)/`)
)

// runCrontab runs each command twice, as cron does: by sh, in an environment that has hardly anything, and with what follows a "%" as
// its input. The page's folders of the system are below one of the test's own, with what the page says is in them. A command that prints
// anything, for which cron sends mail, is at fault.
func (s *session) runCrontab(b *block) {
	if !s.hasTool("flock") {
		s.skipped = true
		s.t.Skip("flock is not on this machine")
	}
	root := s.t.TempDir()
	at := func(path string) string { return filepath.Join(root, path) }
	for _, dir := range []string{"/etc/inlong", "/run/lock", "/usr/local/bin", "/var/lib/ship", "/var/log", "/home"} {
		require.NoError(s.t, os.MkdirAll(at(dir), 0o700))
	}
	config, err := os.ReadFile(filepath.Join(s.folder, "app.yaml"))
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(at("/etc/inlong/app.yaml"), config, 0o600))
	require.NoError(s.t, os.Symlink(filepath.Join(s.checkout, "build/bin/inlong-dataproxy"), at("/usr/local/bin/inlong-dataproxy")))
	require.NoError(s.t, os.WriteFile(at("/var/log/app.log"), []byte("one\ntwo\n"), 0o600))
	env := []string{"HOME=" + at("/home"), "LOGNAME=ship", "SHELL=/bin/sh", "PATH=/usr/bin:/bin"}
	for line := range strings.Lines(cronAbsolute.ReplaceAllString(b.text, root+"$0")) {
		line = strings.TrimSuffix(line, "\n")
		if cronSetting.MatchString(line) {
			env = append(env, line)
			continue
		}
		times := cronTimes.FindString(line)
		require.NotEmpty(s.t, times, "%q: five times and a command", line)
		command, input := cronCommand(strings.TrimPrefix(line, times))
		for range 2 {
			ctx, cancel := context.WithTimeout(s.t.Context(), patience)
			cmd := s.command(ctx, "/bin/sh", "-c", command)
			cmd.Dir, cmd.Env, cmd.Stdin = at("/home"), env, strings.NewReader(input)
			var both bytes.Buffer
			cmd.Stdout, cmd.Stderr = &both, &both
			err := cmd.Run()
			cancel()
			require.NoError(s.t, err, "%s", both.String())
			require.Empty(s.t, both.String(), "cron would send mail")
		}
	}
	told, err := os.ReadFile(at("/var/log/ship.json"))
	require.NoError(s.t, err)
	require.Regexp(s.t, `(?s)^[^\n]*"acked":2,[^\n]*\n[^\n]*"acked":0,[^\n]*\n$`, string(told))
}

// cronCommand parts a command from its input: cron takes a "%" for a newline, and what follows the first one for the input.
func cronCommand(text string) (command, input string) {
	const percent = "\x00"
	text = strings.ReplaceAll(text, `\%`, percent)
	command, input, _ = strings.Cut(text, "%")
	input = strings.ReplaceAll(input, "%", "\n")
	return strings.ReplaceAll(command, percent, "%"), strings.ReplaceAll(input, percent, "%")
}
