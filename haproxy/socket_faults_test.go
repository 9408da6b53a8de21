package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hacheck/haproxy/haproxytest"
)

// serveText is a socket that answers the first line of the first connection
// with the first text and so on; the last text is for all that follow.
func serveText(t *testing.T, answers ...string) Address {
	t.Helper()
	path := filepath.Join(shortDir(t), "fake.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
					return
				}
				io.WriteString(conn, answers[min(n, len(answers)-1)])
			}()
		}
	}()
	return Address{Network: NetworkUnix, Addr: path}
}

// shortDir is a directory whose paths fit into a unix socket's address.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

const liveInfo = "Name: HAProxy\nVersion: 2.6.12\nPid: 7\nStopping: 0\n\n"

func TestClientFaultsOfAPeer(t *testing.T) {
	stopping := strings.Replace(liveInfo, "Stopping: 0", "Stopping: 1", 1)
	good := liveInfo + header18 + "\n"
	tests := []struct {
		name    string
		answers []string
		kind    error // nil for none
		text    string
	}{
		{"good", []string{good}, nil, ""},
		{"empty", []string{""}, ErrEmpty, "it closed the connection without an answer"},
		{"empty once", []string{"", good}, nil, ""},
		{"truncated", []string{liveInfo + header18}, ErrTruncated, "the answer breaks off within row 1 of show stat"},
		{"truncated twice", []string{liveInfo, liveInfo + header18, good}, nil, ""},
		{"second answer missing", []string{liveInfo}, ErrEmpty, "it closed the connection without an answer"},
		{"too much", []string{good + "x"}, ErrFormat, "the answer is malformed: something follows the last answer"},
		{"garbage", []string{"\x00\xff\x01\n"}, ErrNotHAProxy, `"show info" was answered with "\x00\xff\x01" (is this HAProxy's admin socket?)`},
		{"stopping, then the new process", []string{stopping + header18 + "\n", stopping + header18 + "\n", good}, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr := serveText(t, test.answers...)
			snapshot, err := NewClient(addr).Stat(t.Context(), StatQuery{})
			if test.kind == nil {
				if err != nil || snapshot.Info.Pid != 7 || snapshot.Info.Stopping {
					t.Errorf("%+v, %v", snapshot, err)
				}
				return
			}
			want := "admin socket " + addr.Addr + ": " + test.text
			if !errors.Is(err, test.kind) || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}

	t.Run("only stopping processes", func(t *testing.T) {
		addr := serveText(t, stopping+header18+"\n")
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := NewClient(addr).Stat(ctx, StatQuery{})
		if want := "admin socket " + addr.Addr + ": only processes that are stopping answered (pid 7)"; !errors.Is(err, ErrStopping) || err.Error() != want {
			t.Errorf("%v", err)
		}
	})
	t.Run("two processes answer in turn", func(t *testing.T) {
		var queries []StatQuery
		for id := 1; id <= 600; id++ {
			queries = append(queries, StatQuery{ProxyID: id, Servers: true})
		}
		answers := strings.Repeat(header18+"\n", 600)
		other := strings.Replace(liveInfo, "Pid: 7", "Pid: 8", 1)
		var commands []string
		for _, q := range queries {
			command, err := q.command()
			if err != nil {
				t.Fatal(err)
			}
			commands = append(commands, command)
		}
		lines := joinCommands("show info", commands)
		if len(lines) < 2 {
			t.Fatalf("%d lines for %d queries", len(lines), len(queries))
		}
		part := func(info string, i int) string { return info + answers[:lines[i].commands*(len(header18)+1)] }
		script := []string{part(liveInfo, 0), part(other, 1)}
		for i := range lines {
			script = append(script, part(other, i))
		}
		snapshot, err := NewClient(serveText(t, script...)).Stat(t.Context(), queries...)
		if err != nil || snapshot.Info.Pid != 8 {
			t.Errorf("%+v, %v", snapshot.Info, err)
		}
	})
}

func TestClientFaultsOfASocket(t *testing.T) {
	p := haproxytest.Start(t, plainConfig+fmt.Sprintf("listen l\n    bind 127.0.0.1:%d\n", haproxytest.FreePort(t)))
	expect := func(name string, addr Address, timeout time.Duration, kind error, text string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		start := time.Now()
		_, err := NewClient(addr).Stat(ctx, StatQuery{})
		if want := "admin socket " + addr.String() + ": " + text; !errors.Is(err, kind) || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, want)
		}
		if took := time.Since(start); took > timeout+3*time.Second { // a busy machine is late, a hang is later
			t.Errorf("%s: took %v with a deadline of %v", name, took, timeout)
		}
	}
	none := Address{Network: NetworkUnix, Addr: filepath.Join(p.Dir, "none")}
	expect("no socket", none, 5*time.Second, ErrNoSocket, "there is no socket of this name")
	tcp := Address{Network: NetworkTCP, Addr: fmt.Sprintf("127.0.0.1:%d", haproxytest.FreePort(t))}
	expect("nothing on the port", tcp, 5*time.Second, ErrRefused, "nobody listens on it, haproxy is not running")
	abns := Address{Network: NetworkABNS, Addr: "hacheck-test-none"}
	expect("no abstract socket", abns, 5*time.Second, ErrRefused, "nobody listens on it, haproxy is not running")

	p.Freeze(t)
	const frozen = "haproxy did not answer in time: connected, but not one byte came: is it frozen or overloaded, or are its `stats maxconn` clients all taken?"
	expect("frozen", socketOf(p), 500*time.Millisecond, ErrTimeout, frozen)
	// Fill the queue; what nobody accepted stays in it.
	for full := false; !full; {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := NewClient(socketOf(p)).Info(ctx)
		cancel()
		if full = errors.Is(err, ErrBusy); !full && !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
	}
	expect("queue full", socketOf(p), 500*time.Millisecond, ErrBusy, "its queue of waiting connections is full, haproxy accepts none (frozen, or are its `stats maxconn` clients all taken?)")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient(socketOf(p)).Info(cancelled); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrBusy) {
		t.Errorf("cancelled: %v", err)
	}

	p.Kill()
	expect("stopped", socketOf(p), 5*time.Second, ErrRefused, "nobody listens on it, haproxy is not running")
}

func TestClientOverTCPAndAbstractSocketsAndMaster(t *testing.T) {
	port := haproxytest.FreePort(t)
	name := fmt.Sprintf("hacheck-test-%d", os.Getpid())
	config := strings.Replace(plainConfig, "stats timeout", fmt.Sprintf("stats socket ipv4@127.0.0.1:%d level user\n    stats socket abns@%s level user\n    stats timeout", port, name), 1)
	p := haproxytest.Start(t, config+fmt.Sprintf("listen l\n    bind 127.0.0.1:%d\n    server s 127.0.0.1:9\n", haproxytest.FreePort(t)))
	for _, addr := range []Address{{NetworkTCP, fmt.Sprintf("127.0.0.1:%d", port)}, {NetworkABNS, name}} {
		snapshot, err := NewClient(addr).Stat(t.Context(), StatQuery{Servers: true})
		if err != nil || len(snapshot.Rows) != 1 || snapshot.Rows[0].Addr != "" {
			t.Errorf("%s: %+v, %v", addr, snapshot, err)
		}
		servers, err := NewClient(addr).ServerAddrs(t.Context(), "l", "nobody")
		if err != nil || len(servers) != 1 || servers[0] != (ServerAddr{"l", "s", "127.0.0.1:9"}) {
			t.Errorf("%s: %+v, %v", addr, servers, err)
		}
	}
	if servers, err := NewClient(socketOf(p)).ServerAddrs(t.Context()); err != nil || len(servers) != 1 {
		t.Errorf("all servers: %+v, %v", servers, err)
	}
}

func TestClientRefusesNamesThatHideCommands(t *testing.T) {
	client := NewClient(Address{Network: NetworkUnix, Addr: "/nonexistent"})
	for _, name := range []string{"a;disable server b/c", "a b", "a\nshow info", "ä", strings.Repeat("x", 2000)} {
		if _, err := client.Stat(t.Context(), StatQuery{Proxy: name}); err == nil || !strings.Contains(err.Error(), "cannot be the name of a proxy") {
			t.Errorf("%.20q: %v", name, err)
		}
		if _, err := client.ServerAddrs(t.Context(), name); err == nil || !strings.Contains(err.Error(), "cannot be the name of a backend") {
			t.Errorf("%.20q: %v", name, err)
		}
	}
}

func TestClientTellsTheMasterSocket(t *testing.T) {
	p := haproxytest.Start(t, plainConfig+fmt.Sprintf("listen l\n    bind 127.0.0.1:%d\n", haproxytest.FreePort(t)), "-W", "-S", "{dir}/master.sock")
	client := NewClient(Address{Network: NetworkUnix, Addr: filepath.Join(p.Dir, "master.sock")})
	_, err := client.Stat(t.Context(), StatQuery{})
	// The master opens its socket after the worker.
	for deadline := time.Now().Add(10 * time.Second); (errors.Is(err, ErrRefused) || errors.Is(err, ErrNoSocket) || errors.Is(err, ErrReset)) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
		_, err = client.Stat(t.Context(), StatQuery{})
	}
	if !errors.Is(err, ErrUnknownCommand) || !strings.HasSuffix(err.Error(), "(is this the master's socket? name a worker's `stats socket`)") {
		t.Error(err)
	}
}
