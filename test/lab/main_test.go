//go:build lab

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// supervised marks the process that runs the tests.
const supervised = "HACHECK_LAB_SUPERVISED"

// TestMain runs the tests in a child process, so that somebody is left to take
// the lab down after a panic or a kill.
func TestMain(m *testing.M) {
	if os.Getenv(supervised) != "" {
		os.Exit(m.Run())
	}
	os.Exit(supervise())
}

func supervise() int {
	// The kernel sends Pdeathsig when the starting thread ends, so this one
	// must last as long as the process.
	runtime.LockOSThread()
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Env = append(os.Environ(), supervised+"=1")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	if group := runCgroup(); group != "" {
		_ = os.Mkdir(group, 0o755)
		preferCgroup(group)
		_ = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(child.Process.Pid)), 0o644)
		defer func() { _ = os.Remove(group) }()
	}
	go func() {
		for received := range signals {
			_ = child.Process.Signal(received)
		}
	}()
	err := child.Wait()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = max(1, exit.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "lab:", err)
		code = 1
	}

	found := leftovers()
	if len(found) == 0 {
		return code
	}
	lock, err := lockLab()
	if err != nil {
		// Another lab has begun meanwhile; what was found is its own.
		return code
	}
	defer func() { _ = lock.Unlock() }()
	fmt.Fprintf(os.Stderr, "lab: the run ended badly; removing %s\n", strings.Join(found, ", "))
	if err := sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "lab: taking the lab down:", err)
	}
	return max(1, code)
}
