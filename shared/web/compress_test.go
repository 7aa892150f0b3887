package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"lms/shared/apperr"
	"lms/shared/web"
)

// long adds an operation whose answer grows.
func long(r *web.Router) {
	web.Stream(r, web.Op{Method: "GET", Path: "/api/v1/long", ID: "long", Summary: "Long", Access: web.Public(), Produces: []string{"text/csv"}, Long: true},
		func(_ context.Context, in *struct {
			Lines int  `query:"lines"`
			Fail  bool `query:"fail"`
		}, w http.ResponseWriter, _ *http.Request,
		) error {
			w.Header().Set("Content-Type", "text/csv")
			for i := range in.Lines {
				if _, err := fmt.Fprintf(w, "%d,%d points,posted\n", i, i*i%100); err != nil {
					return err
				}
			}
			if in.Fail {
				return apperr.Forbidden("No.")
			}
			return nil
		})
}

func TestLongAnswersAreCompressedForWhoTakesThat(t *testing.T) {
	t.Parallel()
	_, c, _, _ := fixture(t)
	zip := c.With("Accept-Encoding", "gzip")
	plain := c.GET("/api/v1/long?lines=20000").Expect(200)
	require.Empty(t, plain.Header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", plain.Header.Get("Vary"))
	res := zip.GET("/api/v1/long?lines=20000").Expect(200)
	require.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", res.Header.Get("Vary"))
	require.Less(t, len(res.Body), len(plain.Body)/2)
	z, err := gzip.NewReader(bytes.NewReader(res.Body))
	require.NoError(t, err)
	got, err := io.ReadAll(z)
	require.NoError(t, err)
	require.Equal(t, plain.Body, got)

	// Nothing is out yet: a problem like any other. In the middle: no end.
	res = zip.GET("/api/v1/long?fail=true&lines=0").Expect(403)
	require.Empty(t, res.Header.Get("Content-Encoding"))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { zip.GET("/api/v1/long?fail=true&lines=1") })
	require.Empty(t, zip.GET("/api/v1/report").Expect(200).Header.Get("Content-Encoding"))
}
