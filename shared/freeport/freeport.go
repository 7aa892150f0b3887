// Package freeport finds TCP ports of this machine that nobody uses.
package freeport

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// The range lies below the one from which the kernel takes the local ports of
// outgoing connections (32768 and up on Linux, 49152 on macOS), so a port that
// was free stays free until its owner listens, also across the owner's restart.
const (
	lowest  = 20000
	highest = 32000
)

// reserved is how long a port that was picked is left alone by others: those who
// start whole installations side by side pick for programs that listen later.
const reserved = 2 * time.Minute

// reserve notes in a folder of the machine that a port was picked, and says no
// where somebody has done so just now. Where the folder cannot be used, nobody is
// kept away: picking is then as good as looking.
func reserve(port int, now time.Time) bool {
	dir := filepath.Join(os.TempDir(), "lms-ports-"+strconv.Itoa(os.Getuid()))
	if os.MkdirAll(dir, 0o700) != nil {
		return true
	}
	note := filepath.Join(dir, strconv.Itoa(port))
	f, err := os.OpenFile(note, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		return f.Close() == nil
	}
	info, err := os.Stat(note)
	if err != nil {
		return true
	}
	return now.Sub(info.ModTime()) > reserved && os.Chtimes(note, now, now) == nil
}

// Pick returns n different ports on which 127.0.0.1 can be listened to now, and
// which nobody else has picked within two minutes.
func Pick(n int) ([]int, error) {
	ports := make([]int, 0, n)
	held := make([]net.Listener, 0, n)
	defer func() {
		for _, l := range held {
			_ = l.Close() // nothing was accepted on it
		}
	}()
	start := rand.IntN(highest - lowest)
	for i := range highest - lowest {
		if len(ports) == n {
			return ports, nil
		}
		port := lowest + (start+i)%(highest-lowest)
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue // taken
		}
		held = append(held, l)
		if reserve(port, time.Now()) {
			ports = append(ports, port)
		}
	}
	return nil, errors.New("no free TCP port between 20000 and 32000 on 127.0.0.1: end programs that hold them")
}

// One returns one port.
func One() (int, error) {
	ports, err := Pick(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// Free says whether an address can be listened to now.
func Free(address string) bool {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return false
	}
	l, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Address is a port on the loopback interface.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
