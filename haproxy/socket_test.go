package haproxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hacheck/haproxy/haproxytest"
)

// socketOf is the address of a process's admin socket.
func socketOf(p *haproxytest.Process) Address {
	return Address{Network: NetworkUnix, Addr: p.Socket}
}

const plainConfig = `
global
    stats socket {dir}/admin.sock mode 600 level admin
    stats timeout 10s
defaults
    mode tcp
    timeout connect 1s
    timeout client 5s
    timeout server 5s
`

func TestStatOfARealProcess(t *testing.T) {
	port := haproxytest.FreePort(t)
	p := haproxytest.Start(t, plainConfig+fmt.Sprintf(`
frontend www
    bind 127.0.0.1:%d
    default_backend www
backend www
    server s1 127.0.0.1:1 weight 1 inter 3s
    server s2 [::1]:2
`, port))
	client := NewClient(socketOf(p))
	snapshot, err := client.Stat(t.Context(), StatQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if snapshot.Info.Pid != p.Cmd.Process.Pid || snapshot.Info.Stopping || !strings.HasPrefix(snapshot.Info.Version, "2.") {
		t.Errorf("info = %+v", snapshot.Info)
	}
	var got []string
	for _, row := range snapshot.Rows {
		got = append(got, fmt.Sprintf("%s/%s %d #%d %s %s", row.Proxy, row.Server, row.Type, row.ProxyID, row.Status, row.Addr))
	}
	want := "www/FRONTEND 0 #2 OPEN \nwww/s1 2 #3 no check 127.0.0.1:1\nwww/s2 2 #3 no check [::1]:2\nwww/BACKEND 1 #3 UP "
	if strings.Join(got, "\n") != want {
		t.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
	// By name HAProxy finds the frontend, by id the backend.
	byName, err := client.Stat(t.Context(), StatQuery{Proxy: "www", Servers: true, Backends: true}, StatQuery{Proxy: "nobody"})
	if err != nil || len(byName.Rows) != 0 {
		t.Errorf("by name: %v, %v", byName.Rows, err)
	}
	byID, err := client.Stat(t.Context(), StatQuery{Proxy: "nobody"}, StatQuery{ProxyID: 3, Servers: true})
	if err != nil || len(byID.Rows) != 2 {
		t.Errorf("by id: %v, %v", byID.Rows, err)
	}
}

// TestRejectedWithSeverity: `severity-output` puts a severity before the words.
func TestRejectedWithSeverity(t *testing.T) {
	for _, severity := range []string{"number", "string"} {
		p := haproxytest.Start(t, "global\n    stats socket {dir}/admin.sock level user severity-output "+severity+"\ndefaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\n")
		client := NewClient(socketOf(p))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		snapshot, err := client.Stat(ctx, StatQuery{Proxy: "nobody"})
		if err != nil || len(snapshot.Rows) != 0 {
			t.Errorf("%s: %d rows, %v", severity, len(snapshot.Rows), err)
		}
		if servers, err := client.ServerAddrs(ctx, "nobody"); err != nil || len(servers) != 0 {
			t.Errorf("%s: %d servers, %v", severity, len(servers), err)
		}
	}
	for text, want := range map[string]error{
		"[3]: Permission denied": ErrDenied,
		"[err]: No such proxy.":  ErrNoProxy,
		"[3] No such proxy.":     ErrNotHAProxy,
	} {
		if err := (&RejectedError{Text: text}); !errors.Is(err, want) {
			t.Errorf("%q is not %v", text, want)
		}
	}
}
