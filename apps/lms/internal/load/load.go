// Package load is a closed-loop load generator: a fixed number of connections,
// each sending its next request when the last one was answered. Load goes to
// loopback only and is bounded in time.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Options of a run.
type Options struct {
	Connections int
	Duration    time.Duration
	Warmup      time.Duration // requests of this time are not counted
	// Next makes request i of connection c; requests of one connection never
	// overlap. io.EOF ends the connection: there are no more.
	Next func(c, i int) (*http.Request, error)
	// Accept says whether an answer counts as success; nil: any 2xx or 304.
	Accept func(status int) bool
}

// Result of a run.
type Result struct {
	Requests int
	Errors   int // answers that were not accepted, and requests without answer
	Elapsed  time.Duration
	P50, P99 time.Duration
	Statuses map[int]int
}

// PerSecond is the rate of accepted answers.
func (r Result) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Elapsed.Seconds()
}

// ErrNotLoopback refuses a target that is not on this machine.
var ErrNotLoopback = errors.New("load goes to loopback only")

type lane struct {
	took     []time.Duration
	statuses map[int]int
	errors   int
	err      error
}

// Run sends requests until the time is up. Each connection is one goroutine on
// one socket: what the generator itself takes of the machine's cores is missing
// to what is measured, and net/http's client takes as much as a small service.
func Run(ctx context.Context, o Options) (Result, error) {
	begin := time.Now().Add(o.Warmup)
	ctx, cancel := context.WithDeadline(ctx, begin.Add(o.Duration))
	defer cancel()
	lanes := make([]lane, o.Connections)
	var wg sync.WaitGroup
	for c := range lanes {
		wg.Go(func() { lanes[c].run(ctx, o, c, begin) })
	}
	wg.Wait()
	return summarize(lanes, min(o.Duration, max(time.Since(begin), time.Millisecond)))
}

func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%w: %s", ErrNotLoopback, addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func (l *lane) run(ctx context.Context, o Options, c int, begin time.Time) {
	l.statuses = map[int]int{}
	l.took = make([]time.Duration, 0, 1<<14)
	var s socket
	defer s.close()
	for i := 0; ctx.Err() == nil; i++ {
		req, err := o.Next(c, i)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			l.err = err
			return
		}
		start := time.Now()
		status, err := s.roundTrip(ctx, req)
		took := time.Since(start)
		switch {
		case errors.Is(err, ErrNotLoopback):
			l.err = err
			return
		case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
			return // cut off by the end of the run
		case start.Before(begin):
			continue
		case err != nil:
			l.errors++
		case !accepted(o, status):
			l.errors++
			l.statuses[status]++
		default:
			l.statuses[status]++
			l.took = append(l.took, took)
		}
	}
}

func accepted(o Options, status int) bool {
	if o.Accept != nil {
		return o.Accept(status)
	}
	return status >= 200 && status < 300 || status == http.StatusNotModified
}

// socket is one connection, opened when it is first needed and after a failure.
type socket struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

func (s *socket) close() {
	if s.conn != nil {
		_ = s.conn.Close() // nothing waits to be written
		s.conn = nil
	}
}

func (s *socket) roundTrip(ctx context.Context, req *http.Request) (status int, err error) {
	if s.conn == nil {
		if err := s.open(ctx, req.URL.Host); err != nil {
			return 0, err
		}
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := req.Write(s.out); err != nil {
		return 0, err
	}
	if err := s.out.Flush(); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(s.in, req)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	if res.Close {
		s.close()
	}
	return res.StatusCode, res.Body.Close()
}

func (s *socket) open(ctx context.Context, address string) error {
	conn, err := dialLoopback(ctx, "tcp", address)
	if err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	s.conn, s.in, s.out = conn, bufio.NewReaderSize(conn, 16<<10), bufio.NewWriterSize(conn, 4<<10)
	return nil
}

func summarize(lanes []lane, elapsed time.Duration) (Result, error) {
	r := Result{Elapsed: elapsed, Statuses: map[int]int{}}
	var all []time.Duration
	for _, l := range lanes {
		if l.err != nil {
			return r, l.err
		}
		r.Errors += l.errors
		all = append(all, l.took...)
		for s, n := range l.statuses {
			r.Statuses[s] += n
		}
	}
	r.Requests = len(all)
	if len(all) > 0 {
		slices.Sort(all)
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, nil
}
