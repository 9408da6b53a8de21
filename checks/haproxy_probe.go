package checks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// probeLimit is how many servers are dialled at the same time.
	probeLimit = 512
	// filesKept is how many files this process has open beside its dials, with
	// some to spare.
	filesKept = 64
	// probeTimeout is how long a server may take to accept a connection: one
	// lost SYN is repeated after 1 s only, too late for a check that runs
	// every second.
	probeTimeout = 300 * time.Millisecond
	// leastPatience is below what probeTimeout is cut to when many servers have
	// to share the time: far above the way to a server of the same site.
	leastPatience = 100 * time.Millisecond
)

// share returns the patience with which as many dials as there are targets end
// by ctx's deadline: not more than most, nor less than the least that tells a
// dead server from a live one.
func share(ctx context.Context, most time.Duration, targets, limit int) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok || targets <= limit {
		return most
	}
	rounds := (targets + limit - 1) / limit
	// A tenth is left for the dials' own time.
	each := time.Until(deadline) / time.Duration(rounds) * 9 / 10
	return min(most, max(each, leastPatience))
}

// openFiles cuts n to the number of files this process may still open, without
// a question for the numbers that always do.
func openFiles(n int) int {
	var limit unix.Rlimit
	if n <= filesKept || unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur > uint64(n)+filesKept {
		return n
	}
	return max(1, int(limit.Cur)-filesKept)
}

// target is a server to be dialled.
type target struct {
	backend *backend
	server  *server
	address string
}

// probe dials targets, several at a time, and settles their servers. It skips
// those whose backend is decided by then. It calls up when a dial has decided a
// backend to be up, and ends when that returns true or ctx ends, and refused when the
// first server turns out not to be usable. A server that
// had patience's time and did not answer is not usable; one that the end of ctx
// cut short, or that was not dialled before it, is late.
func probe(ctx context.Context, targets []target, limit int, patience time.Duration, up func() (enough bool), refused func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		target
		use   usability
		words string
	}
	outcomes := make(chan outcome, len(targets)) // so that no dial waits for a reader
	active, told := 0, false
	for next := 0; ; {
		for ; active < limit && next < len(targets) && ctx.Err() == nil; next++ {
			t := targets[next]
			if t.backend.decided() {
				continue
			}
			active++
			go func() {
				use, words := dialServer(ctx, t.address, patience)
				outcomes <- outcome{t, use, words}
			}()
		}
		if active == 0 {
			for _, t := range targets[next:] {
				if !t.backend.decided() {
					t.server.use, t.server.words = late, t.server.words+", "+t.address+" was not dialled in time"
				}
			}
			return
		}
		o := <-outcomes
		active--
		if o.use == unusable && !told {
			told = true
			refused()
		}
		before := o.backend.decided()
		o.server.use, o.server.words = o.use, o.server.words+", "+o.words
		if !before && o.backend.status() == Pass && up() {
			return
		}
	}
}

// dialServer asks the kernel at address whether it would take a connection.
//
// It does so as HAProxy's own layer 4 checks do: the handshake's last packet is
// held back and a reset sent in its place, so that the application does not see
// a connection at all. Otherwise it would log an aborted one every second, and
// MySQL would lock this node out after 100 (max_connect_errors).
func dialServer(ctx context.Context, address string, patience time.Duration) (usability, string) {
	dialer := net.Dialer{
		Timeout:   patience,
		KeepAlive: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				// Best effort: without it the application sees a short connection.
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
			})
		},
	}
	start := time.Now()
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
		return usable, address + " accepts connections"
	}
	if isTimeout(err) || errors.Is(err, context.Canceled) {
		if time.Since(start) < patience {
			return late, address + " was not waited for"
		}
		return unusable, fmt.Sprintf("%s: no answer in %d ms", address, patience.Milliseconds())
	}
	status, words := problem(err)
	if status == Unknown {
		return unsettled, address + ": " + words
	}
	return unusable, address + ": " + words
}
