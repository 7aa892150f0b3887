package localpg

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/xi2/xz"
)

// The binaries are those that Maven Central carries for embedding, pinned by
// version and checksum.
const (
	fetchVersion = "17.6.0"
	fetchMajor   = 17
	fetchGroup   = "io/zonky/test/postgres"
	maxArchive   = 64 << 20
)

// RepositoryVariable names another Maven repository to fetch from: a mirror.
const RepositoryVariable = "LMS_POSTGRES_REPOSITORY"

// repository is the Maven repository that the embedded-postgres library is set
// to; it has no accessor for it. What comes from there is checked against our
// own checksums.
func repository() (string, error) {
	if mirror := os.Getenv(RepositoryVariable); mirror != "" {
		return strings.TrimSuffix(mirror, "/"), nil
	}
	for _, setting := range strings.Fields(fmt.Sprint(embeddedpostgres.DefaultConfig())) {
		if strings.HasPrefix(setting, "https://") {
			return setting, nil
		}
	}
	return "", errors.New("no repository is known: name one by " + RepositoryVariable)
}

func fetchChecksums() map[string]string {
	return map[string]string{
		"linux-amd64":        "23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d",
		"linux-arm64v8":      "84427ea54a5238247924ef3b0f940e7d027e58760f19d7325242e50d22fa014a",
		"linux-amd64-alpine": "8584bc6a7818e96344d291733460a1fecb98f133dfd7beba95fc57e4b02f0462",
		"darwin-amd64":       "f1d6d39896ca48e65d6dbcb492d809df0d4952c65299de8af6e08d2208eae3e0",
		"darwin-arm64v8":     "e87ee36767dee4f00f829d7a52e4a216e2fdebe5934c5683730940aabe570721",
	}
}

func platform() string {
	arch := runtime.GOARCH
	if arch == "arm64" {
		arch = "arm64v8"
	}
	name := runtime.GOOS + "-" + arch
	if _, err := os.Stat("/etc/alpine-release"); err == nil {
		name += "-alpine"
	}
	return name
}

func fetchedDir(cacheDir string) string {
	return filepath.Join(cacheDir, fetchVersion+"-"+platform())
}

func fetchedBinDir(cacheDir string) string { return filepath.Join(fetchedDir(cacheDir), "bin") }

const installHint = "install PostgreSQL (Debian: apt install postgresql; macOS: brew install postgresql) or name its programs by " + BinariesVariable

// fetch brings the binaries into the cache, once for all processes.
func fetch(ctx context.Context, cacheDir string, progress func(string)) (Binaries, error) {
	name := platform()
	sum, ok := fetchChecksums()[name]
	if !ok {
		return Binaries{}, fmt.Errorf("PostgreSQL was not found and cannot be fetched for %s: %s", name, installHint)
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return Binaries{}, fmt.Errorf("make the cache folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cacheDir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return Binaries{}, fmt.Errorf("lock the cache folder: %w", err)
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return Binaries{}, fmt.Errorf("lock the cache folder: %w", err)
	}
	dir := fetchedDir(cacheDir)
	if b, err := inspect(ctx, filepath.Join(dir, "bin")); err == nil {
		b.Fetched = true
		return b, nil
	}
	base, err := repository()
	if err != nil {
		return Binaries{}, err
	}
	url := fmt.Sprintf("%s/%s/embedded-postgres-binaries-%s/%s/embedded-postgres-binaries-%s-%s.jar", base, fetchGroup, name, fetchVersion, name, fetchVersion)
	archive, err := download(ctx, url, progress)
	if err != nil {
		return Binaries{}, fmt.Errorf("PostgreSQL was not found on this machine and could not be fetched from %s (%w): %s", url, err, installHint)
	}
	if got := sha256.Sum256(archive); hex.EncodeToString(got[:]) != sum {
		return Binaries{}, fmt.Errorf("what came from %s is not what is expected (SHA-256 %x): %s", url, got, installHint)
	}
	if err := unpack(archive, dir); err != nil {
		return Binaries{}, fmt.Errorf("unpack PostgreSQL into %s: %w", dir, err)
	}
	b, err := inspect(ctx, filepath.Join(dir, "bin"))
	if err != nil {
		return Binaries{}, fmt.Errorf("the fetched PostgreSQL does not run here (%w): %s", err, installHint)
	}
	b.Fetched = true
	progress("PostgreSQL " + b.Version + " is ready in " + dir)
	return b, nil
}

func download(ctx context.Context, url string, progress func(string)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was read, or given up
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	total := "?"
	if res.ContentLength > 0 {
		total = fmt.Sprintf("%.0f", float64(res.ContentLength)/1e6)
	}
	progress("fetching PostgreSQL " + fetchVersion + " (" + total + " MB), since none is installed")
	var buf bytes.Buffer
	last := time.Now()
	chunk := make([]byte, 1<<17)
	for {
		n, err := res.Body.Read(chunk)
		buf.Write(chunk[:n])
		if buf.Len() > maxArchive {
			return nil, errors.New("it is larger than expected")
		}
		if time.Since(last) > 2*time.Second {
			last = time.Now()
			progress(fmt.Sprintf("fetching PostgreSQL: %.1f of %s MB", float64(buf.Len())/1e6, total))
		}
		if errors.Is(err, io.EOF) {
			return buf.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// unpack writes the .txz inside the jar into a folder beside dir and renames
// it, so that a half-written one is never taken for whole.
func unpack(archive []byte, dir string) error {
	zr, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "unpack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // gone already after the rename
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	for _, f := range zr.File {
		if strings.HasSuffix(f.Name, ".txz") {
			if err := untar(f, tmp); err != nil {
				return err
			}
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.Rename(tmp, dir)
		}
	}
	return errors.New("the archive holds no binaries")
}

func untar(f *zip.File, dir string) error {
	rc, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }() // read-only
	xr, err := xz.NewReader(rc, 0)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // no entry gets out of it
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for tr := tar.NewReader(xr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := writeEntry(root, h, tr); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func writeEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := filepath.Clean(h.Name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, os.FileMode(h.Mode).Perm()|0o444)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return errors.Join(err, out.Close())
	default:
		return nil
	}
}
