package dataproxy_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/inlong-dataproxy/inlong-dataproxy"
	maxLines   = 400
	manual     = "include/inlong_dataproxy.h" // the manual of C, which is one piece
)

// Dependencies that point both ways, a wire package that waits on a socket, or code that opens connections beside the
// transport creep in one import at a time; this test refuses the first one.
func TestDependenciesPointOneWay(t *testing.T) {
	files := 0
	for path, source := range repositoryFiles(t, ".go") {
		files++
		for _, fault := range dependencyFaults(path, source) {
			t.Error(fault)
		}
	}
	if files < 10 {
		t.Fatalf("only %d Go files found: the test looks at the wrong folder", files)
	}
}

// A file that grows past what one can read at a sitting is never split later.
func TestNoFileIsTooLong(t *testing.T) {
	for path, source := range repositoryFiles(t, ".go", ".c", ".h", ".hpp", ".py") {
		if n := bytes.Count(source, []byte("\n")); n > maxLines && path != manual {
			t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
		}
	}
}

// The two tests above pass on any tree if the rules themselves do not bite.
func TestDependencyRulesBite(t *testing.T) {
	for name, c := range map[string]struct{ path, body string }{
		"internal imports the root":  {"core/internal/lane/a.go", `import _ "` + modulePath + `/core"`},
		"internal imports the fake":  {"core/internal/lane/a.go", `import _ "` + modulePath + `/core/dataproxytest"`},
		"wire locks":                 {"core/internal/wire/a.go", `import _ "sync"`},
		"wire opens files":           {"core/internal/wire/a.go", `import _ "os"`},
		"wire starts a goroutine":    {"core/internal/wire/a.go", `func f() { go f() }`},
		"wire uses a channel":        {"core/internal/wire/a.go", `var c chan int`},
		"the root dials":             {"core/a.go", `import "net"; var _, _ = net.Dial("", "")`},
		"a type in access.go":        {"core/access.go", `import "net"; type other func() net.Conn`},
		"discovery holds a net.Conn": {"core/internal/discovery/a.go", `import "net"; var _ net.Conn`},
		"core imports capi":          {"core/a.go", `import _ "` + modulePath + `/capi"`},
		"core imports bindings":      {"core/cmd/x/a.go", `import _ "` + modulePath + `/bindings/python"`},
		"core uses cgo":              {"core/a.go", `import "C"`},
		"a retry calls a Callback":   {"core/retry.go", `func f(cb Callback) { go func() { cb() }() }`},
		"a retry calls a receiver":   {"core/retry.go", `func (b *batch) f() { b.r.receive(1) }`},
		"a retry calls the handler":  {"core/retry.go", `func (c *client) f() { c.opts.ResultHandler(nil) }`},
		"lanes ask the Manager":      {"core/internal/connections/a.go", `import _ "` + modulePath + `/core/internal/discovery"`},
		"the root imports a program": {"core/a.go", `import _ "` + modulePath + `/core/cmd/x"`},
		"the root reads Kafka":       {"core/a.go", `import _ "github.com/twmb/franz-go/pkg/kgo"`},
	} {
		if len(dependencyFaults(c.path, []byte("package p\n"+c.body))) == 0 {
			t.Errorf("%s: not refused", name)
		}
	}
	for path, body := range map[string]string{
		"core/internal/transport/a.go":   `import "net"; var _ net.Conn`,
		"core/internal/connections/a.go": `import _ "` + modulePath + `/core/internal/transport"`,
		"core/access.go":                 `import "net"; type Dialer func() net.Conn`,
		"core/a.go":                      `import "net"; var _, _, _ = net.SplitHostPort("")`,
		"core/completion.go":             `func f(cb Callback) { cb() }`,
		"core/send.go":                   `func refuse(cb Callback) { cb() }`,
		"capi/a.go":                      `import "C"; import _ "` + modulePath + `/core"`,
		"core/a_test.go":                 `import _ "` + modulePath + `/core/dataproxytest"`,
	} {
		if faults := dependencyFaults(path, []byte("package p\n"+body)); len(faults) > 0 {
			t.Errorf("refused without reason: %v", faults)
		}
	}
}

// dependencyFaults checks one Go file; path is relative to the repository, with slashes.
func dependencyFaults(path string, source []byte) (faults []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, 0)
	if err != nil {
		return []string{err.Error()}
	}
	report := func(at token.Pos, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s:%d: ", path, fset.Position(at).Line)+fmt.Sprintf(format, args...))
	}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if reason := refusedImport(path, imported); reason != "" {
			report(spec.Pos(), "imports %q: %s", imported, reason)
		}
	}
	isTest := strings.HasSuffix(path, "_test.go")
	inWire := within(path, "core/internal/wire") && !isTest
	mayConnect := isTest || within(path, "core/internal/transport", "core/internal/tcptest", "core/dataproxytest", "core/cmd", "capi")
	rootFile := !isTest && strings.HasPrefix(path, "core/") && strings.Count(path, "/") == 1
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			if rootFile && path != "core/completion.go" && callsUser(n) {
				report(n.Pos(), "%s calls a user's function: only completion.go and refuse do", n.Name)
			}
		case *ast.GoStmt:
			if inWire {
				report(n.Pos(), "the wire package knows no goroutines")
			}
		case *ast.ChanType:
			if inWire {
				report(n.Pos(), "the wire package knows no channels")
			}
		case *ast.TypeSpec:
			return path != "core/access.go" || n.Name.Name != "Dialer" // what WithDialer takes
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && pkg.Name == "net" && connects(n.Sel.Name) && !mayConnect {
				report(n.Pos(), "net.%s: only the transport touches connections", n.Sel.Name)
			}
		}
		return true
	})
	return faults
}

// callsUser reports whether a function other than refuse, whose callers' messages never had a batch, calls a Callback that it
// was given, or what hands a result to one.
func callsUser(f *ast.FuncDecl) (found bool) {
	callbacks := map[string]bool{}
	for _, param := range f.Type.Params.List {
		if typ, ok := param.Type.(*ast.Ident); ok && typ.Name == "Callback" {
			for _, name := range param.Names {
				callbacks[name.Name] = f.Name.Name != "refuse"
			}
		}
	}
	ast.Inspect(f, func(node ast.Node) bool {
		if call, ok := node.(*ast.CallExpr); ok {
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				found = found || callbacks[fun.Name]
			case *ast.SelectorExpr:
				found = found || fun.Sel.Name == "receive" || fun.Sel.Name == "ResultHandler"
			}
		}
		return true
	})
	return found
}

// refusedImport returns why the file at path must not import the package, or "".
func refusedImport(path, imported string) string {
	isTest := strings.HasSuffix(path, "_test.go")
	own, isOwn := strings.CutPrefix(imported, modulePath+"/")
	switch {
	case imported == "C" && !within(path, "capi"):
		return "only capi uses cgo"
	case within(path, "core") && isOwn && !within(own, "core"):
		return "core depends on nothing above it"
	case within(path, "core/internal") && own == "core":
		return "internal packages do not know the root"
	case within(path, "core/internal") && !isTest && isOwn && !within(own, "core/internal"):
		return "internal packages depend on internal packages only"
	case within(path, "core/internal/connections") && !isTest && isOwn &&
		!within(own, "core/internal/fifo", "core/internal/transport", "core/internal/wire"):
		return "connections know nothing of what they carry, nor where it is from"
	case !within(path, "core/cmd") && within(own, "core/cmd"):
		return "programs are not imported"
	case !within(path, "core/cmd") && within(imported, "github.com/twmb/franz-go"):
		return "only programs read Kafka: it must not be linked into a client"
	case within(path, "core/internal/wire") && !isTest && notForWire(imported):
		return "the wire package turns bytes into values and back, and waits for nothing"
	case within(path, "core") && !within(path, "core/dataproxytest", "core/cmd") && !isTest && own == "core/dataproxytest":
		return "the client does not need the fake"
	}
	return ""
}

func notForWire(imported string) bool {
	for _, pkg := range []string{"net", "sync", "context", "os", "io", "runtime", "log", "syscall"} {
		if within(imported, pkg) {
			return true
		}
	}
	return false
}

// connects reports whether a name of package net belongs to connections, not to the parsing of addresses.
func connects(name string) bool {
	for _, part := range []string{"Conn", "Dial", "Listen", "Buffers", "Pipe"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// within reports whether path is one of the folders or below it.
func within(path string, folders ...string) bool {
	for _, folder := range folders {
		if path == folder || strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}

// repositoryFiles returns the files with these endings by their path from the top, without what a build makes.
func repositoryFiles(t *testing.T, endings ...string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name != ".." && (name == "build" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".egg-info")) {
				return filepath.SkipDir
			}
			return nil
		}
		for _, ending := range endings {
			if filepath.Ext(name) == ending {
				source, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				files[strings.TrimPrefix(filepath.ToSlash(path), "../")] = source
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
