package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// asset is an embedded file as it is served.
type asset struct {
	body []byte
	mime string
	hash string // of the content: part of links to it, so that it can be cached for ever
}

// loadAssets reads static/ by path below it.
func loadAssets(from fs.FS) (map[string]asset, error) {
	out := map[string]asset{}
	err := fs.WalkDir(from, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(from, name)
		sum := sha256.Sum256(body)
		out[strings.TrimPrefix(name, "static/")] = asset{body, assetType(name), hex.EncodeToString(sum[:6])}
		return err
	})
	return out, err
}

// assetType does not ask the machine's own table of types, which differs.
func assetType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func (p *Pages) static(w http.ResponseWriter, r *http.Request) {
	p.serveAsset(w, r, r.PathValue("file"))
}

func (p *Pages) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := p.assets[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.mime)
	w.Header().Set("ETag", `"`+a.hash+`"`)
	if r.URL.Query().Get("v") == a.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}
