package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// graceTime is how long a command that has exited may take until its
	// output is closed, which what it left running may hold open.
	graceTime = 500 * time.Millisecond
	// lateTime is the same after the end of the context, when its whole group
	// was killed.
	lateTime = 100 * time.Millisecond
	// killTime is how long a killed command may take to go. It takes
	// milliseconds, but for one that waits in the kernel.
	killTime = time.Second
)

// run runs the command once. It returns when ctx ends, and a moment later at
// the latest, whatever the command does.
func (n *Notifier) run(ctx context.Context, input []byte, environment []string) (ending, error) {
	if ctx.Err() != nil {
		return ending{}, context.Cause(ctx)
	}
	type outcome struct {
		ending
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		// keepalived gives its children the umask 0177, under which a
		// command would make files that it cannot use as directories or
		// scripts. 0022 is what scripts are written for. A umask belongs to
		// the process, and other goroutines make files meanwhile; so this
		// thread leaves the others. It is never unlocked, and thus ends with
		// the goroutine. It must not end before: it is the command's parent,
		// whose end kills it.
		runtime.LockOSThread()
		if unix.Unshare(unix.CLONE_FS) == nil {
			unix.Umask(0o022)
		}
		ended, err := n.supervise(ctx, input, environment)
		done <- outcome{ended, err}
	}()
	select {
	case result := <-done:
		return result.ending, result.err
	case <-ctx.Done():
	}
	select {
	case result := <-done:
		return result.ending, result.err
	case <-time.After(killTime):
		// It hangs in the kernel, as on a dead NFS server; even SIGKILL waits.
		return ending{}, fmt.Errorf("%w, and it cannot be killed", context.Cause(ctx))
	}
}

// supervise starts the command and stays until it has gone.
func (n *Notifier) supervise(ctx context.Context, input []byte, environment []string) (ending, error) {
	closeInherited()
	command := exec.Command(n.cfg.Command[0], n.cfg.Command[1:]...)
	command.Env = environment
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{
		// A group of its own, to be killed as a whole.
		Setpgid: true,
		// An attempt that dies has no outcome and is made again; the
		// command must not go on beside that.
		Pdeathsig: syscall.SIGKILL,
	}
	stdin, err := command.StdinPipe()
	if err != nil {
		return ending{}, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return ending{}, err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return ending{}, startHint(n.cfg.Command[0], err)
	}
	pid := command.Process.Pid
	go func() {
		// A command need not read what it is told.
		_, _ = stdin.Write(input)
		stdin.Close()
	}()
	var output tail
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(&output, stdout) // ended by Wait, which closes stdout
		close(closed)
	}()
	exited := make(chan error, 1)
	go func() { exited <- awaitExit(pid) }()

	// Until Wait below, the command keeps its process ID even when dead, so
	// that the group can be no other's.
	var late error
	patience := graceTime
	select {
	case err = <-exited:
	case <-ctx.Done():
		late, patience = context.Cause(ctx), lateTime
		_ = unix.Kill(-pid, unix.SIGKILL)
		err = <-exited
	}
	if err != nil {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		// What it left running holds its output, which nobody reads any more.
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	err = command.Wait()
	text := output.String()
	if late != nil {
		return ending{}, fmt.Errorf("%w%s", late, n.said(text))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return ending{}, err
	}
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return ending{signal: status.Signal(), output: text}, nil
	}
	return ending{code: status.ExitStatus(), output: text}, nil
}

// closeInherited keeps from the command what the parent of this process left
// open in it, as a lock or a socket that something the command leaves behind
// would hold for ever. What this process opened itself is kept from it anyway.
// Without /proc the command gets it all, which is no reason not to run it.
func closeInherited() {
	open, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range open {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// awaitExit waits until a process is dead and leaves its remains.
func awaitExit(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// maxOutput is how much of what a command writes is kept, in bytes.
const maxOutput = 4 << 10

// tail keeps the end of what is written to it. Its zero value is ready.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - maxOutput; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
