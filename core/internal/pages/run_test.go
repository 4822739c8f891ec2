//go:build !windows

package pages

import (
	"bufio"
	"encoding/json"
	"go/format"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// languages are those that a block may be in, with what the test does with one.
var languages = map[string]struct {
	words []string // what may follow the language, beside file=
	run   func(*session, *block)
}{
	"go":     {[]string{"compile"}, (*session).runGo},
	"c":      {[]string{"compile"}, (*session).runC},
	"cpp":    {[]string{"compile"}, (*session).runCpp},
	"python": {[]string{"compile", "pytest"}, (*session).runPython},
	"sh":     {[]string{"background", "network"}, (*session).runShell},
	"http":   {nil, (*session).runHTTP},
	"yaml":   {nil, (*session).checkYAML},
	"json":   {nil, (*session).checkJSON},
	"text":   {[]string{"output"}, (*session).checkOutput},

	"cmake":      {nil, (*session).keep},
	"dockerfile": {nil, (*session).checkDockerfile},
	"ini":        {nil, (*session).checkUnit},
	"crontab":    {nil, (*session).runCrontab},
}

// put writes the block to a file in the session's folder when it has a name, else to one of its own.
func (s *session) put(b *block, name string) string {
	path := filepath.Join(s.t.TempDir(), name)
	if b.file() != "" {
		path = filepath.Join(s.folder, b.file())
	}
	require.NoError(s.t, os.WriteFile(path, []byte(s.text(b)), 0o600))
	return path
}

func (s *session) runGo(b *block) {
	tidy, err := format.Source([]byte(b.text))
	require.NoError(s.t, err)
	assert.Equal(s.t, string(tidy), b.text, "gofmt")
	path, program := s.put(b, "main.go"), filepath.Join(s.t.TempDir(), "program")
	if strings.HasSuffix(path, "_test.go") {
		s.run("go", "test", "-C", s.checkout, path)
		return
	}
	module := s.checkout
	if strings.Contains(b.text, `/core/otel"`) { // a module of its own
		module = filepath.Join(s.checkout, "core/otel")
	}
	s.run("go", "build", "-C", module, "-o", program, path)
	if !b.has("compile") {
		s.run(program)
	}
}

func (s *session) runC(b *block) {
	s.compile(b, "main.c", "gcc", "-std=c11", "-D_GNU_SOURCE")
}

func (s *session) runCpp(b *block) {
	s.compile(b, "main.cc", "g++", "-std=c++17")
}

func (s *session) compile(b *block, name, compiler string, flags ...string) {
	path, program := s.put(b, name), filepath.Join(s.t.TempDir(), "program")
	library, include := filepath.Join(s.checkout, "build/lib"), filepath.Join(s.checkout, "include")
	flags = append(flags, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread", "-I"+include, "-I"+filepath.Join(include, "inlong_dataproxy/compat"), path,
		"-L"+library, "-linlong_dataproxy", "-Wl,-rpath,"+library, "-o", program)
	s.run(compiler, flags...)
	if !b.has("compile") {
		s.run(program)
	}
}

func (s *session) runPython(b *block) {
	path := s.put(b, "test_page.py")
	python, package_ := filepath.Join(s.checkout, "build/venv/bin/python"), "PYTHONPATH="+filepath.Join(s.checkout, "bindings/python")
	switch {
	case b.has("compile"):
		s.run(python, "-c", "compile(open('"+path+"').read(), '"+path+"', 'exec')")
	case b.has("pytest"):
		s.run("env", package_, python, "-m", "pytest", "-q", "-p", "inlong_dataproxy_pytest", "-p", "no:cacheprovider", path)
		require.Contains(s.t, s.printed, " passed")
	default:
		s.run("env", package_, python, "-W", "error", path)
	}
}

// optional are tools that not every machine has.
var optional = []string{"pkg-config", "cmake", "promtool", "flock", "gunicorn", "celery", "uvicorn", "django"}

func (s *session) runShell(b *block) {
	for _, tool := range optional {
		if strings.Contains(b.text, tool) && !s.hasTool(tool) {
			s.skipped = true
			s.t.Skip(tool + " is not on this machine")
		}
	}
	switch {
	case b.has("network"):
		s.t.Skip("needs the network")
	case b.has("background"):
		s.background(b.text)
	default:
		s.shell(s.text(b))
	}
}

// runHTTP sends a request as it stands.
func (s *session) runHTTP(b *block) {
	text := strings.ReplaceAll(s.text(b)+"\n", "\n", "\r\n") // after the last header is an empty line
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	require.NoError(s.t, err)
	_, body, _ := strings.Cut(text, "\r\n\r\n")
	request, err = http.NewRequestWithContext(s.t.Context(), request.Method, "http://"+request.Host+request.RequestURI, strings.NewReader(body))
	require.NoError(s.t, err)
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	require.Equal(s.t, http.StatusOK, answer.StatusCode)
}

func (s *session) checkYAML(b *block) {
	var value any
	require.NoError(s.t, yaml.Unmarshal([]byte(b.text), &value))
	s.put(b, "page.yml")
}

func (s *session) checkJSON(b *block) {
	require.True(s.t, json.Valid([]byte(b.text)))
	s.put(b, "page.json")
}

// checkOutput compares what the block before printed.
func (s *session) checkOutput(b *block) {
	require.True(s.t, b.has("output"), "a text block is the output of the block before it: say so")
	if s.skipped {
		s.t.Skip("the block before did not run")
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(b.text)), `\.\.\.`, `(?s:.*)`)
	require.Regexp(s.t, "^"+pattern+"$", strings.TrimSpace(s.printed))
}

// hasTool looks for a program where the page's commands find it, or for Python's package of that name.
func (s *session) hasTool(name string) bool {
	for _, command := range [][]string{{"which", name}, {"python", "-c", "import " + name}} {
		cmd := exec.CommandContext(s.t.Context(), "env", command...)
		if cmd.Env = s.env; cmd.Run() == nil {
			return true
		}
	}
	return false
}

// keep writes a file that a block after it uses.
func (s *session) keep(b *block) {
	require.NotEmpty(s.t, b.file(), "nothing reads this block: name its file")
	s.put(b, "")
}

var dockerInstruction = regexp.MustCompile(`^(ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|LABEL|RUN|STOPSIGNAL|USER|VOLUME|WORKDIR) \S`)

// checkDockerfile looks at the instructions: to build it takes a registry.
func (s *session) checkDockerfile(b *block) {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(b.text, "\\\n", "")), "\n")
	for i, line := range lines {
		if line != "" && !strings.HasPrefix(line, "#") {
			require.Regexp(s.t, dockerInstruction, line, "line %d", i+1)
		}
	}
}

// checkUnit lets systemd say what it does not know. That the unit's program is not installed here is no fault of the page.
func (s *session) checkUnit(b *block) {
	path := s.put(b, "page.service")
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		s.t.Skip(err)
	}
	cmd := s.command(s.t.Context(), "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path)
	said, _ := cmd.CombinedOutput()
	for line := range strings.Lines(string(said)) {
		require.Contains(s.t, line, "is not executable", "%s", said)
	}
}
