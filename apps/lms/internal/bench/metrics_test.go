//go:build bench

package bench

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// histogram is the cumulative counts of one Prometheus histogram by bound.
type histogram struct {
	bounds []float64
	counts []float64
	count  float64
}

// lagHistogram reads how long after their commit events had their effect in
// enrollment, all handlers together.
func lagHistogram(t *testing.T, b *bed) histogram {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", b.w.Process(t, "enrollment", "service").Ports["http"]))
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	sums := map[float64]float64{}
	var order []float64
	h := histogram{}
	for scan := bufio.NewScanner(res.Body); scan.Scan(); {
		line := scan.Text()
		switch {
		case strings.HasPrefix(line, "lms_inbox_lag_seconds_bucket"):
			_, rest, _ := strings.Cut(line, `le="`)
			bound, rest, _ := strings.Cut(rest, `"`)
			le, err := strconv.ParseFloat(bound, 64)
			require.NoError(t, err)
			v, err := strconv.ParseFloat(rest[strings.LastIndex(rest, " ")+1:], 64)
			require.NoError(t, err)
			if _, ok := sums[le]; !ok {
				order = append(order, le)
			}
			sums[le] += v
		case strings.HasPrefix(line, "lms_inbox_lag_seconds_count"):
			v, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
			require.NoError(t, err)
			h.count += v
		}
	}
	for _, le := range order {
		h.bounds, h.counts = append(h.bounds, le), append(h.counts, sums[le])
	}
	return h
}

// quantile is the upper bound of the bucket in which the quantile of what came
// between two readings lies.
func quantile(before, after histogram, q float64) time.Duration {
	total := after.count - before.count
	for i, le := range after.bounds {
		old := 0.0
		if i < len(before.counts) {
			old = before.counts[i]
		}
		if after.counts[i]-old >= q*total {
			return time.Duration(le * float64(time.Second))
		}
	}
	return time.Hour
}

var lastCount float64

// quietSince says that events arrived after a reading and none since the last
// call.
func quietSince(t *testing.T, b *bed, since histogram) bool {
	n := lagHistogram(t, b).count
	quiet := n > since.count && n == lastCount
	lastCount = n
	return quiet
}
