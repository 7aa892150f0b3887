package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrRunning says that another process has the installation.
var ErrRunning = errors.New("it runs already")

// patience is how long a killed predecessor may take to die: the kernel gives
// its lock back when its last thread has gone.
const patience = 1500 * time.Millisecond

// Lock takes the installation for this process. The kernel gives it back when
// the process ends, however it ends; closing the file does too.
func Lock(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the installation: %w", err)
	}
	for deadline := time.Now().Add(patience); ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock the installation: %w", err), f.Close())
		case time.Now().After(deadline):
			return nil, errors.Join(ErrRunning, f.Close())
		}
		time.Sleep(20 * time.Millisecond)
	}
}
