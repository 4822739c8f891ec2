package dataproxy_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// dashboard is what of Grafana's model holds queries.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct{ List []struct{ Query string } }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("operating/dashboard.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

type ruleFile struct {
	Groups []struct {
		Rules []struct{ Alert, Expr string }
	}
}

func readAlerts(t *testing.T) (r ruleFile) {
	t.Helper()
	text, err := os.ReadFile("operating/alerts.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &r))
	return r
}

// A renamed metric leaves a panel empty and an alert silent for ever.
func TestDashboardAndAlertsUseMetricsThatExist(t *testing.T) {
	known := map[string]string{} // series, with the label that it has beside name
	for _, m := range dataproxy.Metrics() {
		known[m.Name] = m.Label
		if m.Kind == "histogram" {
			known[m.Name+"_bucket"], known[m.Name+"_sum"], known[m.Name+"_count"] = m.Label, m.Label, m.Label
			delete(known, m.Name)
		}
	}
	python, err := os.ReadFile("../bindings/python/inlong_dataproxy/prometheus.py")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`(?m)^    (inlong_dataproxy_\w+) `).FindAllStringSubmatch(string(python), -1) {
		known[m[1]] = ""
	}
	series, label := regexp.MustCompile(`\b(?:inlong_dataproxy|data_proxy)_\w+`), regexp.MustCompile(`\b(code|worker|state) *[!=]`)
	check := func(where, expression string) (metrics int) {
		for _, at := range series.FindAllStringIndex(expression, -1) {
			metric, rest := expression[at[0]:at[1]], expression[at[1]:]
			has, ok := known[metric]
			require.True(t, ok, "%s: there is no series %s", where, metric)
			if strings.HasPrefix(rest, "{") {
				selector, _, _ := strings.Cut(rest, "}")
				for _, l := range label.FindAllStringSubmatch(selector, -1) {
					require.Equal(t, has, l[1], "%s: label of %s", where, metric)
				}
			}
			metrics++
		}
		return metrics
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			require.NotZero(t, check(p.Title, target.Expr), "%s asks for nothing of ours", p.Title)
		}
	}
	for _, v := range d.Templating.List {
		check("variable", v.Query)
	}
	for _, g := range readAlerts(t).Groups {
		for _, rule := range g.Rules {
			require.NotZero(t, check(rule.Alert, rule.Expr), "%s asks for nothing of ours", rule.Alert)
		}
	}
}

// Anyone who is woken by an alert looks it up; anyone who finds a line in a log, too.
func TestOperatingPageExplainsEveryAlertAndLogLine(t *testing.T) {
	page, err := os.ReadFile("docs/OPERATING.md")
	require.NoError(t, err)
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|").FindAllStringSubmatch(string(page), -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			explained[name[1]] = true
		}
	}
	there := map[string]bool{}
	for _, g := range readAlerts(t).Groups {
		for _, rule := range g.Rules {
			there[rule.Alert] = true
		}
	}
	for line := range logLines(t) {
		there[line] = true
	}
	there[dataproxy.LinesDropped] = true
	python := pythonLogLines(t)
	require.Greater(t, len(python), 1)
	for _, line := range python {
		there[line] = true
	}
	require.Greater(t, len(there), 10)
	require.Equal(t, there, explained)
}

// pythonLogLines returns the formats of the lines that the Python package adds to those of the core.
func pythonLogLines(t *testing.T) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("../bindings/python/inlong_dataproxy/*.py")
	require.NoError(t, err)
	inFolders, err := filepath.Glob("../bindings/python/inlong_dataproxy/*/*.py")
	require.NoError(t, err)
	files = append(files, inFolders...)
	call := regexp.MustCompile(`\b_log\.(?:debug|info|warning|error|exception|critical)\((\w+|"[^"]*")`)
	for _, path := range files {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, c := range call.FindAllStringSubmatch(string(source), -1) {
			format := c[1]
			if constant := regexp.MustCompile(`(?m)^` + format + ` = (".*")$`).FindStringSubmatch(string(source)); constant != nil {
				format = constant[1]
			}
			text, err := strconv.Unquote(format)
			require.NoError(t, err, "%s: %s is no text", path, format)
			lines = append(lines, text)
		}
	}
	return lines
}

// logLines returns the formats that the client logs with, by their first line.
func logLines(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	inFolders, err := filepath.Glob("internal/connections/*.go")
	require.NoError(t, err)
	files = append(files, inFolders...)
	lines := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains([]string{"Warnf", "Errorf", "Countf"}, method.Sel.Name) {
				return true
			}
			logger, ok := method.X.(*ast.SelectorExpr)
			if !ok || !strings.EqualFold(logger.Sel.Name, "log") {
				return true
			}
			first := 0
			if method.Sel.Name == "Countf" {
				first = 1
			}
			format, ok := call.Args[first].(*ast.BasicLit)
			require.True(t, ok, "%s: a log line whose format is not written where it is logged", path)
			text, err := strconv.Unquote(format.Value)
			require.NoError(t, err)
			line, _, _ := strings.Cut(text, "\n")
			lines[line] = true
			return true
		})
	}
	return lines
}

// A rule file that Prometheus refuses, or an alert that does not fire, is found when it is needed.
func TestPromtoolAcceptsRulesAndQueries(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip(err)
	}
	run := func(args ...string) {
		out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	run("check", "rules", "operating/alerts.yml")
	run("test", "rules", "operating/alerts_test.yml")

	type rule map[string]string
	var rules []rule
	variables := strings.NewReplacer("$__rate_interval", "1m", "$name", ".*", "$job", ".*")
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			rules = append(rules, rule{"record": "query:" + strconv.Itoa(len(rules)), "expr": variables.Replace(target.Expr)})
		}
	}
	require.NotEmpty(t, rules)
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "queries.yml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	run("check", "rules", file)
}
