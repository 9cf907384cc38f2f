package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

const maxFile = 4 << 20 // bytes

// Find returns the configuration file to use: the one named, else the one that the variable ATSYNC_CONFIG
// names, else config.yaml or atsync.yaml in the current directory. It does not promise that the file exists:
// Load says what to do if it doesn't.
func Find(named string, environ []string) string {
	if named != "" {
		return named
	}
	for _, pair := range environ {
		if path, ok := strings.CutPrefix(pair, EnvConfig+"="); ok && path != "" {
			named = path
		}
	}
	if named != "" {
		return named
	}
	for _, name := range []string{"config.yaml", "atsync.yaml"} {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return "config.yaml"
}

// Load reads and checks a configuration file together with the ATSYNC_… variables of environ ("NAME=value").
// An error is of type Problems and holds every mistake of both.
func Load(path string, environ []string) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, Problems{fileProblem(path, err)}
	}
	return parse(path, data, environ)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("is larger than %d MiB: it can't be a configuration", maxFile>>20)
	}
	return data, err
}

func fileProblem(path string, err error) Problem {
	p := Problem{File: path, What: err.Error(), Fix: "name a readable file with --config"}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		p.What = "can't be read: " + pe.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.What = "there is no such file"
		p.Fix = "name yours with --config or " + EnvConfig +
			"; atsync init makes one, and config.example.yaml shows all keys"
	case errors.Is(err, fs.ErrPermission):
		p.What, p.Fix = "may not be read", "give the user that runs atsync the right to read it"
	}
	return p
}

// Parse is [Load] for what a file of that path would hold.
func Parse(path string, data []byte, environ []string) (*Config, error) {
	return parse(path, data, environ)
}

// parse is Load for a file's content.
func parse(path string, data []byte, environ []string) (*Config, error) {
	k := koanf.New(".")
	doc := newDocument(path)
	if err := k.Load(confmap.Provider(defaults(doc.root, "", map[string]any{}), "."), nil); err != nil {
		return nil, Problems{{File: path, What: err.Error()}}
	}
	if err := k.Load(rawbytes.Provider(data), doc); err != nil {
		return nil, orSelf(doc.problems, path, err)
	}
	tenants, _ := k.Get("tenants").(map[string]any)
	over := newOverrides(doc.root, tenants)
	err := k.Load(env.Provider(".", env.Opt{
		Prefix: envPrefix, TransformFunc: over.transform, EnvironFunc: func() []string { return lastWins(environ) },
	}), nil)
	if err != nil {
		return nil, orSelf(nil, path, err)
	}
	cfg := &Config{dir: filepath.Dir(path)}
	inherit(k, doc.root, tenants)
	if err := decode(k, cfg); err != nil {
		if problems := append(doc.problems, over.problems...); len(problems) > 0 {
			problems.sort()
			return nil, problems
		}
		return nil, orSelf(nil, path, err)
	}
	cfg.resolvePaths()
	c := &checker{cfg: cfg, doc: doc, over: over, k: k}
	c.run()
	problems := append(doc.problems, over.problems...)
	if len(problems) > 0 {
		problems.sort()
		return nil, problems
	}
	cfg.Warnings.sort()
	cfg.raw, cfg.origins = k.Raw(), c.origins()
	return cfg, nil
}

// lastWins keeps the last of several settings of one variable, as the operating system does.
func lastWins(environ []string) []string {
	at := map[string]int{}
	var out []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if i, ok := at[name]; ok {
			out[i] = pair
			continue
		}
		at[name] = len(out)
		out = append(out, pair)
	}
	return out
}

func orSelf(ps Problems, path string, err error) Problems {
	if len(ps) > 0 {
		return ps
	}
	return Problems{{File: path, What: err.Error()}}
}

// inherit gives each tenant what it leaves out of the section sync.
func inherit(k *koanf.Koanf, root field, tenants map[string]any) {
	section, _ := root.child("sync")
	for name := range tenants {
		for _, f := range section.fields {
			own, common := "tenants."+name+".sync."+f.key, "sync."+f.key
			if !k.Exists(own) && k.Exists(common) {
				_ = k.Set(own, k.Get(common)) // fails only for a merge function of one's own
			}
		}
	}
}

// decode fills cfg strictly: no unknown keys, no weak typing. What is wrong was reported before; this is
// the second lock on the door.
func decode(k *koanf.Koanf, cfg *Config) error {
	return k.UnmarshalWithConf("", cfg, koanf.UnmarshalConf{
		Tag: "koanf",
		DecoderConfig: &mapstructure.DecoderConfig{
			ErrorUnused: true,
			DecodeHook: mapstructure.ComposeDecodeHookFunc(
				mapstructure.StringToTimeDurationHookFunc(),
				mapstructure.TextUnmarshallerHookFunc(),
			),
		},
	})
}

// resolvePaths joins relative paths to the file's folder.
func (c *Config) resolvePaths() {
	c.DataDir = c.path(c.DataDir)
	c.sinkFolder = strings.HasSuffix(c.Sink.Path, "/") || strings.HasSuffix(c.Sink.Path, `\`)
	switch {
	case c.Sink.Path == "" && c.Sink.Type == SinkParquet:
		c.Sink.Path = filepath.Join(c.DataDir, "lake")
	case c.Sink.Path == "":
		c.Sink.Path = filepath.Join(c.DataDir, "{tenant}.duckdb")
	case !isURL(c.Sink.Path):
		c.Sink.Path = c.path(c.Sink.Path)
	}
}

func (c *Config) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(c.dir, filepath.FromSlash(p))
}
