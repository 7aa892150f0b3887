// Package s3test gives tests a real S3 server: MinIO, compiled from the module of
// deploy/minio into the user's cache and started as a program of its own, with
// data of its own, on a free port. It is under the AGPL and linked by nothing.
package s3test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"lms/shared/childproc"
	"lms/shared/freeport"
	"lms/shared/locals3"
)

// Credentials of the server. The default credentials of a store are read from the
// environment, so that a test sets them with Env.
const (
	accessKey = "lms-test"
	secretKey = "lms-test-secret"
)

// Server is a running MinIO.
type Server struct {
	Address string
	client  *s3.Client
	buckets int
	mu      sync.Mutex
}

// Env sets the credentials for stores that this test opens; the test can then not
// be parallel.
func Env(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
}

// Start starts a server that ends with the test. Without the program the test
// fails: what is not tried is not known to work.
func Start(t *testing.T) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Minute)
	defer cancel()
	program, err := Build(ctx, t.Logf)
	require.NoError(t, err, "MinIO: go build in deploy/minio")
	port, err := freeport.One()
	require.NoError(t, err)
	s := &Server{Address: freeport.Address(port)}
	var output bytes.Buffer
	p, err := childproc.Start(childproc.Spec{
		Path: program, Args: []string{"server", "--quiet", "--address", s.Address, t.TempDir()},
		Env:    []string{"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey, "MINIO_BROWSER=off", "HOME=" + t.TempDir(), "GOMEMLIMIT=256MiB"},
		Output: &output, ParentDeath: syscall.SIGKILL,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := p.Stop(context.Background(), syscall.SIGTERM, 10*time.Second)
		require.NoError(t, err)
	})
	require.Eventually(t, s.live, time.Minute, 50*time.Millisecond, "MinIO does not answer at %s", s.Address)
	s.client = s3.New(s3.Options{
		Region: locals3.Region, BaseEndpoint: aws.String("http://" + s.Address), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	return s
}

func (s *Server) live() bool {
	res, err := http.Get("http://" + s.Address + "/minio/health/ready") // bounded by Eventually
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}

// Bucket makes a new bucket and gives its address for objects.Open.
func (s *Server) Bucket(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	s.buckets++
	name := fmt.Sprintf("bucket-%d", s.buckets)
	s.mu.Unlock()
	_, err := s.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name})
	require.NoError(t, err)
	return locals3.Address(name, s.Address)
}

// sourceTree is the top of the source tree that the test runs in. The test's folder
// tells, not the file name that the compiler noted: that one is cut off by
// -trimpath.
func sourceTree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "deploy", "minio", "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no deploy/minio above %s: %w", dir, os.ErrNotExist)
		}
	}
}

// Build compiles the server once per user and version of its module.
func Build(ctx context.Context, say func(format string, args ...any)) (string, error) {
	root, err := sourceTree()
	if err != nil {
		return "", err
	}
	return locals3.Build(ctx, root, func(line string) { say("%s", line) })
}
