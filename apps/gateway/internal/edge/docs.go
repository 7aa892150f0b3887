package edge

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"lms/shared/web"
)

// assets are the files of Swagger UI, compressed, and our page around them.
//
//go:embed docs
var assets embed.FS

// docsPolicy lets the page load what we serve, and nothing else. Swagger UI
// sets styles on elements and draws with data: images.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type asset struct {
	kind  string
	plain []byte
	zip   []byte
}

// newDocs serves the page that explains the API, from the binary alone.
func newDocs() (http.Handler, error) {
	files := map[string]asset{}
	for name, kind := range map[string]string{
		"index.html": "text/html; charset=utf-8", "start.js": "text/javascript; charset=utf-8",
		"swagger-ui.css": "text/css; charset=utf-8", "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
		"LICENSE": "text/plain; charset=utf-8",
	} {
		a, err := readAsset(name)
		if err != nil {
			return nil, fmt.Errorf("documentation page: %s: %w", name, err)
		}
		a.kind = kind
		files[name] = a
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serveAsset(w, r, files) }), nil
}

func readAsset(name string) (asset, error) {
	if plain, err := fs.ReadFile(assets, "docs/"+name); err == nil {
		return asset{plain: plain}, nil
	}
	zip, err := fs.ReadFile(assets, "docs/"+name+".gz")
	if err != nil {
		return asset{}, err //nolint:wrapcheck // the caller names the file
	}
	z, err := gzip.NewReader(bytes.NewReader(zip))
	if err != nil {
		return asset{}, err //nolint:wrapcheck // the caller names the file
	}
	plain, err := io.ReadAll(z)
	return asset{plain: plain, zip: zip}, err //nolint:wrapcheck // the caller names the file
}

func serveAsset(w http.ResponseWriter, r *http.Request, files map[string]asset) {
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/docs"), "/")
	if name == "" {
		name = "index.html"
	}
	a, ok := files[name]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if a.zip != nil && web.AcceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = a.zip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // the client is gone; nobody is left to tell
	}
}

// writeMaybeZipped writes a large document of our own.
func writeMaybeZipped(w http.ResponseWriter, r *http.Request, b []byte) {
	w.Header().Add("Vary", "Accept-Encoding")
	if !web.AcceptsGzip(r.Header.Get("Accept-Encoding")) {
		_, _ = w.Write(b) // the client is gone; nobody is left to tell
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write(b) // the client is gone; nobody is left to tell
	_ = z.Close()     // likewise
}
