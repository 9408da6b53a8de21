package checks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// stalled accepts, reads nothing and writes nothing.
func stalled(t *testing.T, network, address string) string {
	return serve(t, network, address, func(conn net.Conn) { <-t.Context().Done() })
}

// dripping begins an answer and sends a byte of it now and then, for ever.
func dripping(t *testing.T, begin string) string {
	return serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		io.WriteString(conn, begin)
		for range time.Tick(10 * time.Millisecond) {
			if _, err := conn.Write([]byte("x")); err != nil || t.Context().Err() != nil {
				return
			}
		}
	})
}

// TestDeadline runs every kind of check against peers that stall: each answers
// when its time is over, does not claim health, and names the peer and the
// time.
func TestDeadline(t *testing.T) {
	const limit = 200 * time.Millisecond
	dir := t.TempDir()
	tcp := stalled(t, "tcp", "127.0.0.1:0")
	unix := stalled(t, "unix", filepath.Join(dir, "peer"))
	bus := filepath.Join(dir, "bus")
	stalled(t, "unix", bus)
	halfBus := filepath.Join(dir, "halfbus")
	serve(t, "unix", halfBus, stallAfterAuth)
	garbledBus := filepath.Join(dir, "garbledbus")
	serve(t, "unix", garbledBus, func(conn net.Conn) { // a line that never ends
		for {
			if _, err := io.WriteString(conn, "REJECTED "); err != nil {
				return
			}
		}
	})
	full := notAccepting(t)
	ca := newAuthority(t)

	newTCP := func(options TCPOptions) Check { return must(NewTCP("check", options)) }
	newHTTP := func(options HTTPOptions) Check { return must(NewHTTP("check", options)) }
	newSystemd := func(bus systemdBus) Check {
		check := must(NewSystemd("check", []string{"haproxy"}, RequireAny))
		check.bus = bus
		return check
	}
	for _, test := range []struct {
		name   string
		check  Check
		status Status
		peer   string
	}{
		{"tcp, no connection", newTCP(TCPOptions{Addresses: []string{full}}), Fail, full},
		{"tcp, no answer", newTCP(TCPOptions{Addresses: []string{tcp}, Expect: []byte("x")}), Fail, tcp},
		{"tcp, wrong answer", newTCP(TCPOptions{Addresses: []string{dripping(t, "")}, Expect: []byte("y")}), Fail, "127.0.0.1:"},
		{"tcp, nothing is read", newTCP(TCPOptions{Addresses: []string{tcp}, Send: make([]byte, 64<<20)}), Fail, tcp},
		{"tcp, no handshake", newTCP(TCPOptions{Addresses: []string{tcp}, TLS: &TLSOptions{CAFile: ca.file}}), Fail, tcp},
		{"tcp, unix", newTCP(TCPOptions{Addresses: []string{unix}, Expect: []byte("x")}), Fail, unix},
		{"tcp, several", newTCP(TCPOptions{Addresses: []string{tcp, unix, full}, Expect: []byte("x"), Require: RequireAll}), Fail, tcp},
		{"http, no connection", newHTTP(HTTPOptions{URLs: []string{"http://" + full}}), Fail, full},
		{"http, no answer", newHTTP(HTTPOptions{URLs: []string{"http://" + tcp}}), Fail, tcp},
		{"http, no header", newHTTP(HTTPOptions{URLs: []string{"http://" + dripping(t, "HTTP/1.1 200 OK\r\nX: ")}}), Fail, "http://127.0.0.1:"},
		{"http, no body", newHTTP(HTTPOptions{URLs: []string{"http://" + dripping(t, "HTTP/1.1 200 OK\r\n\r\n")}, Contains: "y"}), Fail, "http://127.0.0.1:"},
		{"http, no handshake", newHTTP(HTTPOptions{URLs: []string{"https://" + tcp}, TLS: TLSOptions{Insecure: true}}), Fail, tcp},
		{"http, unix", newHTTP(HTTPOptions{URLs: []string{unix + ":/"}, Header: http.Header{"A": {"b"}}}), Fail, unix},
		{"systemd, no authentication", newSystemd(systemdBus{address: "unix:path=" + bus}), Unknown, bus},
		{"systemd, no Hello", newSystemd(systemdBus{address: "unix:path=" + halfBus}), Unknown, halfBus},
		{"systemd, no end of line", newSystemd(systemdBus{address: "unix:path=" + garbledBus}), Unknown, garbledBus},
		{"systemd, private socket", newSystemd(systemdBus{address: "unix:path=" + dir + "/none", private: halfBus}), Unknown, halfBus},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now() // before the deadline is set: whatever delays this goroutine must not count as an early answer
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			got := test.check.Run(ctx)
			took := time.Since(start)
			if took < limit {
				t.Errorf("answers after %v, before its time is over: %+v", took, got)
			}
			// Far above what it takes on a busy machine, far below a hang.
			if took > limit+5*time.Second {
				t.Errorf("answers after %v", took)
			}
			if got.Name != "check" || got.Status != test.status {
				t.Errorf("got %+v, want %v", got, test.status)
			}
			want := regexp.MustCompile(regexp.QuoteMeta(test.peer) + ".* within \\d+ms")
			if !want.MatchString(got.Reason) {
				t.Errorf("the reason does not name %s and the time: %q", test.peer, got.Reason)
			}
		})
	}
}

// TestDeadlineWithCause: a cause in place of the deadline's own error does not
// change what is said about the peer.
func TestDeadlineWithCause(t *testing.T) {
	tcp, full := stalled(t, "tcp", "127.0.0.1:0"), notAccepting(t)
	for _, cause := range []error{
		fmt.Errorf("the time of keepalived.conf is over: %w", context.DeadlineExceeded),
		errors.New("the time is over"),
	} {
		for _, test := range []struct {
			check Check
			words string
		}{
			{must(NewTCP("check", TCPOptions{Addresses: []string{full}})), "did not accept a connection within "},
			{must(NewTCP("check", TCPOptions{Addresses: []string{tcp}, Expect: []byte("x")})), "accepted the connection but sent nothing within "},
			{must(NewHTTP("check", HTTPOptions{URLs: []string{"http://" + full}})), "did not accept a connection within "},
			{must(NewHTTP("check", HTTPOptions{URLs: []string{"http://" + tcp}})), "accepted the connection but did not answer within "},
			{must(NewHTTP("check", HTTPOptions{URLs: []string{"http://" + dripping(t, "HTTP/1.1 200 OK\r\n\r\n")}, Contains: "y"})), "body did not bring"},
		} {
			ctx, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(500*time.Millisecond), cause)
			got := test.check.Run(ctx)
			cancel()
			if got.Status != Fail || !strings.Contains(got.Reason, test.words) {
				t.Errorf("%v: %+v, want %q", cause, got, test.words)
			}
		}
	}
}

// TestCancel: a check ends, too, when it is cancelled without a deadline.
func TestCancel(t *testing.T) {
	dir := t.TempDir()
	tcp := stalled(t, "tcp", "127.0.0.1:0")
	bus := filepath.Join(dir, "bus")
	stalled(t, "unix", bus)
	systemd := must(NewSystemd("systemd", []string{"haproxy"}, RequireAny))
	systemd.bus = systemdBus{address: "unix:path=" + bus}
	for _, check := range []Check{
		must(NewTCP("tcp", TCPOptions{Addresses: []string{tcp}, Expect: []byte("x")})),
		must(NewHTTP("http", HTTPOptions{URLs: []string{"http://" + tcp}})),
		systemd,
	} {
		t.Run(check.Name(), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			done := make(chan Result, 1)
			go func() { done <- check.Run(ctx) }()
			select {
			case got := <-done:
				if got.Status.Healthy() || !regexp.MustCompile(`within \d+ms \(then cancelled\)$`).MatchString(got.Reason) {
					t.Errorf("got %+v", got)
				}
			case <-time.After(30 * time.Second):
				t.Error("it does not end")
			}
		})
	}
}

// stallAfterAuth lets a D-Bus client in and does not answer any more.
func stallAfterAuth(conn net.Conn) {
	buffer := make([]byte, 4096)
	for _, answer := range []string{"REJECTED EXTERNAL\r\n", "OK 0123456789abcdef0123456789abcdef\r\n"} {
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if buffer[n-1] == '\n' {
				break
			}
		}
		io.WriteString(conn, answer)
	}
	io.Copy(io.Discard, conn)
}

func must[C any](check C, err error) C {
	if err != nil {
		panic(err)
	}
	return check
}
