package haproxy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tenThousand writes a configuration of 1,000 listen sections with 10 servers
// each, about 1 MB.
func tenThousand(b *testing.B) string {
	b.Helper()
	var text strings.Builder
	text.WriteString("global\n    stats socket /run/haproxy/admin.sock mode 660 level admin\n    stats timeout 30s\n\n" +
		"defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n    default-server inter 3s rise 5 fall 1\n\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "listen service-%d\n    bind 10.0.0.1:%d\n    option tcpka\n    balance roundrobin\n", i, 10000+i)
		for j := range 10 {
			fmt.Fprintf(&text, "    server service-%d-%d 10.1.%d.%d:8080 check weight 100 maxconn 200 cookie s%d inter 3s rise 5 fall 2\n", i, j, i/250, i%250, j)
		}
		text.WriteByte('\n')
	}
	file := filepath.Join(b.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// The first two are what the check pays every second.
func BenchmarkLoadConfig(b *testing.B) {
	large := tenThousand(b)
	for _, bm := range []struct {
		name, file string
		only       Want
		servers    int
	}{
		{"small/sockets+binds", "testdata/cfg/field/dual-vip.cfg", WantSockets | WantBinds, 0},
		{"10000servers/sockets+binds", large, WantSockets | WantBinds, 0},
		{"10000servers/sockets", large, WantSockets, 0},
		{"small/all", "testdata/cfg/field/dual-vip.cfg", 0, 16},
		{"10000servers/all", large, 0, 10000},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				cfg, err := LoadConfig(context.Background(), []string{bm.file}, ConfigOptions{Only: bm.only})
				if err != nil || len(cfg.Problems) > 0 || len(cfg.Sockets) != 1 {
					b.Fatalf("%+v, %v", cfg, err)
				}
				servers := 0
				for _, p := range cfg.Proxies {
					servers += len(p.Servers)
				}
				if servers != bm.servers {
					b.Fatalf("%d servers, want %d", servers, bm.servers)
				}
			}
		})
	}
}

func BenchmarkFindConfig(b *testing.B) {
	root := fakeRoot(b, map[string]string{
		"run/haproxy.pid":  "812\n",
		"proc/812/cmdline": "/usr/sbin/haproxy\x00-Ws\x00-f\x00/etc/haproxy/haproxy.cfg\x00",
		"proc/812/environ": "PATH=/bin\x00",
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FindConfig(root); err != nil {
			b.Fatal(err)
		}
	}
}
