// Package atsync_test holds the rules of the whole module: who may import whom, that packages are
// documented and hold no mutable state, and that no file names a folder of somebody's machine.
// docs/architecture.md explains the rules.
package atsync_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "github.com/atsync/atsync"

// pkg is what `go list` tells of one package of the module.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	CgoFiles     []string
	Deps         []string // transitive
	TestImports  []string
	XTestImports []string
}

// name returns the package's folder below the module root: "sinks/duckdb", "" for the root.
func (p pkg) name() string { return relative(p.ImportPath) }

func relative(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

// ours returns the folders of the module's own packages among imports, sorted.
func ours(imports []string) []string {
	var names []string
	for _, imp := range imports {
		if imp == module || strings.HasPrefix(imp, module+"/") {
			names = append(names, relative(imp))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-json=ImportPath,Dir,GoFiles,CgoFiles,Deps,TestImports,XTestImports", "./...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/") {
			packages = append(packages, p)
		}
	}
	if len(packages) < 3 {
		t.Fatalf("go list found only %d packages of %s", len(packages), module)
	}
	return packages
}

// within reports whether folder is root or below it.
func within(folder, root string) bool {
	return folder == root || strings.HasPrefix(folder, root+"/")
}

// allowed says which folders of the module a package may depend on, itself and what is below it aside.
// all is true for packages without such a limit (cmd, bench, the root's tests).
func allowed(name string) (folders []string, all bool) {
	parts := strings.Split(name, "/")
	switch {
	case within(name, "schemas"):
		return []string{"schemas"}, false
	case within(name, "pipeline"):
		return []string{"pipeline", "schemas"}, false
	case within(name, "sources/autotask/autotasktest"):
		return []string{"schemas"}, false
	case len(parts) >= 2 && (parts[0] == "sources" || parts[0] == "sinks"):
		return []string{path.Join(parts[:2]...), "pipeline", "schemas"}, false
	default:
		return nil, true
	}
}

// forbidden returns the members of deps that a package must not depend on.
func forbidden(name string, deps []string) []string {
	folders, all := allowed(name)
	if all {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(deps), func(dep string) bool {
		return within(dep, name) || slices.ContainsFunc(folders, func(f string) bool { return within(dep, f) })
	})
}

func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		name, dep string
		want      bool
	}{
		{"schemas", "pipeline", true},
		{"schemas/views", "schemas", false},
		{"schemas", "schemasx", true},
		{"pipeline", "schemas", false},
		{"pipeline", "sinks/duckdb", true},
		{"pipeline/pipelinetest", "pipeline", false},
		{"sources/autotask", "pipeline", false},
		{"sources/autotask", "sinks/duckdb", true},
		{"sources/other", "sources/autotask", true},
		{"sources/autotask/autotasktest", "schemas", false},
		{"sources/autotask/autotasktest", "pipeline", true},
		{"sources/autotask/autotasktest", "sources/autotask", true},
		{"sinks/duckdb", "sinks/parquet", true},
		{"sinks/duckdb", "sinks/duckdb/internal/copy", false},
		{"sinks/duckdb", "cmd/atsync/internal/config", true},
		{"cmd/atsync", "sinks/duckdb", false},
	} {
		if got := len(forbidden(c.name, []string{c.dep})) > 0; got != c.want {
			t.Errorf("%s → %s: forbidden = %v, want %v", c.name, c.dep, got, c.want)
		}
	}
}

func TestImportRules(t *testing.T) {
	for _, p := range listPackages(t) {
		name, deps := p.name(), ours(p.Deps)
		for _, dep := range forbidden(name, deps) {
			t.Errorf("%s depends on %s", name, dep)
		}
		if within(name, "cmd") {
			continue
		}
		for _, dep := range deps {
			if within(dep, "cmd") {
				t.Errorf("%s depends on %s: only cmd may", name, dep)
			}
			if dep == "sources/autotask/autotasktest" && !within(name, dep) && !within(name, "bench") {
				t.Errorf("%s depends on the simulator outside its tests", name)
			}
		}
		// Tests may use the simulator and the conformance suites, but a source's tests no sink and the reverse.
		for _, dep := range ours(append(slices.Clone(p.TestImports), p.XTestImports...)) {
			crosses := within(name, "schemas") && !within(dep, "schemas") ||
				within(name, "sources") && within(dep, "sinks") ||
				within(name, "sinks") && within(dep, "sources") ||
				name != "" && !within(name, "bench") && within(dep, "cmd")
			if crosses {
				t.Errorf("tests of %s import %s", name, dep)
			}
		}
	}
}

// TestWiring holds that concrete sources and sinks are named in one place.
func TestWiring(t *testing.T) {
	exceptions := map[string][]string{
		"main.go": {"sinks/duckdb"},                  // CopyChild: the binary copies warehouses as its own child
		"demo.go": {"sources/autotask/autotasktest"}, // the simulator that the demo syncs from
	}
	for _, p := range listPackages(t) {
		if !within(p.name(), "cmd") {
			continue
		}
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles) {
			f := parse(t, filepath.Join(p.Dir, file), parser.ImportsOnly)
			var may []string
			if p.name() == "cmd/atsync" {
				may = exceptions[file]
				if file == "wire.go" || strings.HasPrefix(file, "wire_") {
					may = []string{"sources", "sinks"}
				}
			}
			for _, spec := range f.Imports {
				imp, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				for _, dep := range ours([]string{imp}) {
					concrete := within(dep, "sources") || within(dep, "sinks")
					if concrete && !slices.ContainsFunc(may, func(m string) bool { return within(dep, m) }) {
						t.Errorf("%s/%s imports %s: only wire*.go name concrete sources and sinks", p.name(), file, dep)
					}
				}
			}
		}
	}
}

func parse(t *testing.T, file string, mode parser.Mode) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, mode|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		files := slices.Concat(p.GoFiles, p.CgoFiles)
		documented := len(files) == 0 || slices.ContainsFunc(files, func(file string) bool {
			doc := parse(t, filepath.Join(p.Dir, file), parser.ParseComments|parser.PackageClauseOnly).Doc.Text()
			return strings.HasPrefix(doc, "Package ") || strings.HasPrefix(doc, "Command ") || strings.HasPrefix(doc, "Atsync ")
		})
		if !documented {
			t.Errorf("%s has no package comment", p.name())
		}
	}
}

// TestNoMutablePackageState allows package variables that are never written (sentinel errors, tables,
// embedded files, sync.OnceValue functions) and refuses the rest, and func init.
func TestNoMutablePackageState(t *testing.T) {
	for _, p := range listPackages(t) {
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		for _, finding := range mutableState(fset, files) {
			t.Error(p.name() + ": " + finding)
		}
	}
}

func TestMutableState(t *testing.T) {
	for name, c := range map[string]struct {
		src  string
		want string // part of the one finding; empty: none
	}{
		"sentinel":      {`import "errors"; var errX = errors.New("x")`, ""},
		"table":         {`var names = map[string]int{"a": 1}; func f() int { return names["a"] }`, ""},
		"assertion":     {`type i interface{}; var _ i = 1`, ""},
		"embed":         {"import _ \"embed\"\n//go:embed x.txt\nvar text string", ""},
		"once":          {`import "sync"; var load = sync.OnceValue(func() int { return 1 })`, ""},
		"shadow":        {`var n = []int{1}; func f() { n := 2; n = 3; _ = n }`, ""},
		"zero value":    {`var count int`, "count"},
		"make":          {`var m = make(map[string]int)`, "m"},
		"pointer":       {`type s struct{}; var m = &s{}`, "m"},
		"mutex":         {`import "sync"; var mu sync.Mutex`, "mu"},
		"mutex value":   {`import "sync"; var mu = sync.Mutex{}`, "mu"},
		"hook":          {`var now = func() int { return 1 }`, "now"},
		"assigned":      {`var n = 1; func f() { n = 2 }`, "n"},
		"incremented":   {`var n = 1; func f() { n++ }`, "n"},
		"element":       {`var m = map[string]int{}; func f() { m["a"] = 1 }`, "m"},
		"deleted":       {`var m = map[string]int{}; func f() { delete(m, "a") }`, "m"},
		"address taken": {`var n = 1; func f() *int { return &n }`, "n"},
		"init":          {`func init() {}`, "init"},
		"method init":   {`type s struct{}; func (s) init() {}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, "x.go", "package x\n"+c.src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			got := mutableState(fset, []*ast.File{f})
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want+" ")) {
				t.Errorf("found %q, want one about %q", got, c.want)
			}
		})
	}
}

// mutableState finds package variables that look made to change, writes to package variables, and
// func init. It reports each variable once.
func mutableState(fset *token.FileSet, files []*ast.File) []string {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	// Imports are not resolved, which gives expected errors: to tell a package variable from a local one the
	// package alone is enough.
	conf := types.Config{
		Importer:    importerFunc(func(string) (*types.Package, error) { return nil, errors.New("not loaded") }),
		Error:       func(error) {},
		FakeImportC: true,
		Sizes:       types.SizesFor("gc", build.Default.GOARCH),
	}
	checked, _ := conf.Check("x", fset, files, info)
	var found []string
	seen := map[string]bool{}
	report := func(pos token.Pos, name, what string) {
		if !seen[name] {
			seen[name] = true
			found = append(found, fmt.Sprintf("%s: %s %s", filepath.Base(fset.Position(pos).String()), name, what))
		}
	}
	write := func(e ast.Expr) {
		if id := root(e); id != nil {
			if v, ok := info.Uses[id].(*types.Var); ok && v.Parent() == checked.Scope() {
				report(id.Pos(), id.Name, "is a package variable that is written to")
			}
		}
	}
	for _, f := range files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					report(d.Pos(), "init", "functions are not used here: wire by hand")
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					declared(d, report)
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, lhs := range n.Lhs {
					write(lhs)
				}
			case *ast.IncDecStmt:
				write(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					write(n.X)
				}
			case *ast.CallExpr:
				if fun, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && (fun.Name == "delete" || fun.Name == "clear") {
					write(n.Args[0])
				}
			}
			return true
		})
	}
	return found
}

// declared reports the variables of a declaration that can only be meant to change.
func declared(d *ast.GenDecl, report func(token.Pos, string, string)) {
	for _, spec := range d.Specs {
		s, ok := spec.(*ast.ValueSpec)
		if !ok || strings.Contains(comments(d.Doc, s.Doc), "//go:embed") {
			continue
		}
		for i, name := range s.Names {
			switch {
			case name.Name == "_":
			case len(s.Values) == 0:
				report(name.Pos(), name.Name, "is a package variable without a value")
			case i < len(s.Values) && changes(s.Values[i]):
				report(name.Pos(), name.Name, "is a package variable that is made to change")
			}
		}
	}
}

// changes reports whether a value is of a kind that is only useful if it changes: a fresh map or slice,
// a pointer, a function that can be replaced, something of sync.
func changes(e ast.Expr) bool {
	switch v := e.(type) {
	case *ast.UnaryExpr:
		return v.Op == token.AND
	case *ast.FuncLit:
		return true
	case *ast.CallExpr:
		fun, ok := v.Fun.(*ast.Ident)
		return ok && (fun.Name == "make" || fun.Name == "new")
	case *ast.CompositeLit:
		sel, ok := v.Type.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		from, ok := sel.X.(*ast.Ident)
		return ok && (from.Name == "sync" || from.Name == "atomic")
	default:
		return false
	}
}

// root returns the variable that an assignable expression is a part of: m of m[k].f.
func root(e ast.Expr) *ast.Ident {
	switch v := e.(type) {
	case *ast.Ident:
		return v
	case *ast.IndexExpr:
		return root(v.X)
	case *ast.SelectorExpr:
		return root(v.X)
	case *ast.StarExpr:
		return root(v.X)
	case *ast.ParenExpr:
		return root(v.X)
	default:
		return nil
	}
}

// comments returns the text of comment groups as written, directives included.
func comments(groups ...*ast.CommentGroup) string {
	var b strings.Builder
	for _, g := range groups {
		if g != nil {
			for _, c := range g.List {
				b.WriteString(c.Text + "\n")
			}
		}
	}
	return b.String()
}

type importerFunc func(string) (*types.Package, error)

func (f importerFunc) Import(p string) (*types.Package, error) { return f(p) }

// TestNoLocalPaths holds that no text file names a folder of the machine it was written on.
func TestNoLocalPaths(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// Written in two parts, so that this file is not its own finding.
	patterns := []string{"/" + `home/[a-z_][a-z0-9_-]*/`, "/" + `Users/[A-Za-z]`, `[A-Za-z]:\\` + `Users\\`, `(^|[^\w.])/` + `root/`,
		regexp.QuoteMeta(here) + `(/|\b)`}
	local := regexp.MustCompile(strings.Join(patterns, "|"))
	files := projectFiles(t)
	if !slices.Contains(files, "go.mod") {
		t.Fatalf("the list of files lacks go.mod: %q", files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) { // deleted, not yet committed
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(text) {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			if m := local.FindString(line); m != "" {
				t.Errorf("%s:%d names a local path: %s", file, i+1, m)
			}
		}
	}
}

// projectFiles lists the files that belong to the project: those that git tracks or would add. Where there
// is no git (an unpacked archive), every file does.
func projectFiles(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err == nil {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	var files []string
	err = filepath.WalkDir(".", func(name string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (name == ".git" || name == "bin") {
			return filepath.SkipDir
		}
		if entry.Type().IsRegular() {
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
