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
	probeLimit = 64
	// probeTimeout is how long a server may take to accept a connection: one
	// lost SYN is repeated after 1 s only, too late for a check that runs
	// every second.
	probeTimeout = 300 * time.Millisecond
)

// target is a server to be dialled.
type target struct {
	backend *backend
	server  *server
	address string
}

// probe dials targets, several at a time, and settles their servers. It skips
// those whose backend is decided by then. It calls up when a dial has decided a
// backend to be up, and ends when that returns true or ctx ends. A server that
// had patience's time and did not answer is not usable; one that the end of ctx
// cut short stays unsettled.
func probe(ctx context.Context, targets []target, limit int, patience time.Duration, up func() (enough bool)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		target
		use   usability
		words string
	}
	outcomes := make(chan outcome, len(targets)) // so that no dial waits for a reader
	active := 0
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
			return
		}
		o := <-outcomes
		active--
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
			return unsettled, address + " was not waited for"
		}
		return unusable, fmt.Sprintf("%s: no answer in %d ms", address, patience.Milliseconds())
	}
	status, words := problem(err)
	if status == Unknown {
		return unsettled, address + ": " + words
	}
	return unusable, address + ": " + words
}
