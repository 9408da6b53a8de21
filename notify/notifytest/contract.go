// Package notifytest holds the tests that every notifier passes, whatever its
// transport. It is for tests only.
package notifytest

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
)

// slack is how long after its context's end Notify may return on a busy
// machine.
const slack = 3 * time.Second

// Contract is a notifier under test.
type Contract struct {
	// New makes a notifier for a peer at an address of 127.0.0.1, host and
	// port. It may be called several times.
	New func(t *testing.T, address string) notify.Notifier
	// Prologue is what a real peer of this transport says first, so that a
	// slow peer gets past the beginning of the dialogue.
	Prologue string
	// ClientFirst is set if the peer speaks only after the notifier has.
	ClientFirst bool
	// Secrets are the texts no error may hold.
	Secrets []string
}

// Run runs every test of the contract.
func (c Contract) Run(t *testing.T) {
	for _, peer := range peers(c.Prologue) {
		t.Run(peer.name, func(t *testing.T) { c.against(t, peer) })
	}
	t.Run("nobody listens", func(t *testing.T) {
		listener := Listen(t)
		address := listener.Addr().String()
		listener.Close()
		err := c.New(t, address).Notify(t.Context(), Notification())
		c.CheckTemporary(t, err)
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("error %v does not say that the connection was refused", err)
		}
	})
	t.Run("context already over", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		listener := Listen(t)
		err := c.New(t, listener.Addr().String()).Notify(ctx, Notification())
		c.CheckTemporary(t, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v is not context.Canceled", err)
		}
	})
}

// against lets one odd peer meet both ways a context ends.
func (c Contract) against(t *testing.T, peer peer) {
	notifier := c.New(t, Serve(t, func(conn net.Conn, done <-chan struct{}) {
		if c.ClientFirst {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				return
			}
		}
		peer.serve(conn, done)
	}))
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		c.checkEnds(ctx, t, notifier, peer, context.DeadlineExceeded)
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(300*time.Millisecond, cancel)
		defer timer.Stop()
		c.checkEnds(ctx, t, notifier, peer, context.Canceled)
	})
}

func (c Contract) checkEnds(ctx context.Context, t *testing.T, notifier notify.Notifier, peer peer, want error) {
	t.Helper()
	done := make(chan error, 1)
	start := time.Now()
	go func() { done <- notifier.Notify(ctx, Notification()) }()
	select {
	case err := <-done:
		c.CheckTemporary(t, err)
		if peer.endless && !errors.Is(err, want) {
			t.Errorf("error %v is not %v", err, want)
		}
	case <-time.After(300*time.Millisecond + slack):
		t.Fatalf("Notify is still busy after %s, its context ended after 300ms", time.Since(start))
	}
}

// CheckTemporary fails unless err is a failure worth another attempt, in one
// line without a secret.
func (c Contract) CheckTemporary(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("Notify reports success")
	}
	if notify.IsPermanent(err) {
		t.Errorf("error %q is permanent, want temporary", err)
	}
	CheckText(t, err, c.Secrets)
}

// CheckText fails if the text of err, or of any error it wraps, holds a
// secret, or if it is not one line of bounded length that begins lower case.
func CheckText(t *testing.T, err error, secrets []string) {
	t.Helper()
	for _, wrapped := range chain(err) {
		for _, secret := range secrets {
			if strings.Contains(wrapped.Error(), secret) {
				t.Errorf("error %q holds the secret %q", wrapped, secret)
			}
		}
	}
	text := err.Error()
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("error %q holds a control character", text)
	}
	if len(text) > 1000 {
		t.Errorf("the error has %d bytes: %.200q…", len(text), text)
	}
	if text == "" || text[0] >= 'A' && text[0] <= 'Z' {
		t.Errorf("error %q does not begin lower case", text)
	}
}

// chain lists err and everything it wraps.
func chain(err error) []error {
	if err == nil {
		return nil
	}
	all := []error{err}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		all = append(all, chain(wrapper.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, wrapped := range wrapper.Unwrap() {
			all = append(all, chain(wrapped)...)
		}
	}
	return all
}

// peer is a peer that behaves oddly.
type peer struct {
	name string
	// endless is set if only the end of the context can end the attempt.
	endless bool
	// serve handles one connection and returns when done is closed.
	serve func(conn net.Conn, done <-chan struct{})
}

// peers lists the odd peers.
func peers(prologue string) []peer {
	return []peer{
		{name: "accepts and stalls", endless: true, serve: func(_ net.Conn, done <-chan struct{}) { <-done }},
		{name: "begins and stalls", endless: true, serve: func(conn net.Conn, done <-chan struct{}) {
			write(conn, prologue)
			<-done
		}},
		// The pace of a tarpit, only quicker: every byte is progress, and
		// none of them brings the end nearer.
		{name: "one byte at a time", endless: true, serve: func(conn net.Conn, done <-chan struct{}) {
			drip(conn, done, prologue)
		}},
		{name: "accepts and closes", serve: func(net.Conn, <-chan struct{}) {}},
		{name: "resets", serve: func(conn net.Conn, _ <-chan struct{}) {
			if tcp, ok := conn.(*net.TCPConn); ok {
				tcp.SetLinger(0) //nolint:errcheck // the reset is a best effort
			}
		}},
		{name: "talks nonsense", serve: func(conn net.Conn, _ <-chan struct{}) {
			write(conn, "\x00\xff\x1b[31m%s%n\r\n\r\n")
		}},
		{name: "never ends its line", serve: func(conn net.Conn, done <-chan struct{}) {
			block := prologue + strings.Repeat("x", 64<<10)
			for write(conn, block) {
				select {
				case <-done:
					return
				default:
				}
				block = block[len(block)-64<<10:]
			}
		}},
	}
}

func write(conn net.Conn, text string) bool {
	_, err := conn.Write([]byte(text))
	return err == nil
}

// drip writes text and then blanks for ever, a byte each 20 ms.
func drip(conn net.Conn, done <-chan struct{}, text string) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		b := "x"
		if i < len(text) {
			b = text[i : i+1]
		}
		if !write(conn, b) {
			return
		}
	}
}

// Listen opens a TCP port on loopback for the length of the test.
func Listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// Serve runs a peer for the length of the test and returns its address of
// loopback. Each connection is given to handle, whose done is closed at the end
// of the test, and closed behind it.
func Serve(t *testing.T, handle func(net.Conn, <-chan struct{})) string {
	t.Helper()
	listener := Listen(t)
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn, done)
			}()
		}
	}()
	return listener.Addr().String()
}
