package checks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"hacheck/haproxy"
)

// Each tracked backend is asked for once, and a question that fails takes nothing
// away from the answer that is there.
func TestTrackedBackends(t *testing.T) {
	rows := []haproxy.Row{{Type: haproxy.RowBackend, Proxy: "shop", Server: "BACKEND"}}
	for i := range 20_000 {
		rows = append(rows, haproxy.Row{Type: haproxy.RowServer, Proxy: fmt.Sprintf("b%d", i/100), Server: fmt.Sprintf("s%d", i%100), Tracked: fmt.Sprintf("probe%d/s", i%3)})
	}
	rows = append(rows,
		haproxy.Row{Type: haproxy.RowServer, Proxy: "last", Server: "own", Tracked: "last/other"},
		haproxy.Row{Type: haproxy.RowServer, Proxy: "last", Server: "seen", Tracked: "b0/s1"},
		haproxy.Row{Type: haproxy.RowServer, Proxy: "last", Server: "strange", Tracked: "a b/s1"},
		haproxy.Row{Type: haproxy.RowServer, Proxy: "last", Server: "none"},
	)
	known := map[string]bool{}
	queries := trackedBackends(rows, known)
	if len(queries) != 3 || queries[0] != (haproxy.StatQuery{Proxy: "probe0", Servers: true}) || queries[2].Proxy != "probe2" {
		t.Errorf("%+v", queries)
	}
	if again := trackedBackends(rows, known); len(again) != 0 {
		t.Errorf("asked again: %+v", again)
	}

	gone := answer{client: haproxy.NewClient(unixSocket(filepath.Join(t.TempDir(), "none")))}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	got, err := NewHAProxy(nil).withTracked(ctx, gone, rows)
	if err != nil || len(got) != len(rows) {
		t.Errorf("%d rows of %d, %v", len(got), len(rows), err)
	}
}

func TestTrackedByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	serve(t, "unix", path, func(conn net.Conn) {
		bufio.NewReader(conn).ReadString('\n')
		io.WriteString(conn, "Name: HAProxy\nPid: 2\nStopping: 0\n\n# pxname,svname,status,weight,act,bck,iid,type,check_status,\nprobe,s,UP,1,1,0,2,2,INI,\n\n")
	})
	a := answer{client: haproxy.NewClient(unixSocket(path)), snapshot: haproxy.Snapshot{Info: haproxy.Info{Pid: 1}}}
	rows := []haproxy.Row{{Type: haproxy.RowServer, Proxy: "shop", Server: "s", Tracked: "probe/s"}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := NewHAProxy(nil).withTracked(ctx, a, rows); !errors.Is(err, errReloaded) {
		t.Errorf("%v", err)
	}
	a.snapshot.Info.Pid = 2
	got, err := NewHAProxy(nil).withTracked(ctx, a, rows)
	if err != nil || len(got) != 2 || !uncheckedYet(got)["shop/s"] {
		t.Errorf("%+v, %v", got, err)
	}
	a.snapshot.Info.Uptime = time.Hour
	if got, err := NewHAProxy(nil).withTracked(ctx, a, rows); err != nil || len(got) != 1 {
		t.Errorf("an old process is asked: %+v, %v", got, err)
	}
}
