package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrRunning says that another process has the installation.
var ErrRunning = errors.New("it runs already")

// Lock takes the installation for this process. The kernel gives it back when
// the process ends, however it ends; closing the file does too.
func Lock(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the installation: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		closeErr := f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(ErrRunning, closeErr)
		}
		return nil, errors.Join(fmt.Errorf("lock the installation: %w", err), closeErr)
	}
	return f, nil
}
