package keepalived

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// big is a configuration of at least the given number of lines: instances with
// all that is usual, and a definition in use.
func big(lines int) string {
	var text strings.Builder
	text.WriteString("$NET=10\nvrrp_script chk { script \"/usr/bin/hacheck haproxy\" }\n")
	for n := range lines/19 + 1 { // an instance has 19 lines
		fmt.Fprintf(&text, `vrrp_instance VI_%d {
    state BACKUP
    interface eth0 # comment
    virtual_router_id %d
    priority 100
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass "K!f26b90"
    }
    virtual_ipaddress {
        ${NET}.%d.%d.1/24 dev eth0 label eth0:1
        10.%d.%d.2
    }
    track_script {
        chk weight -20
    }
    notify "/usr/bin/hacheck notify"

}
`, n, n%255+1, n/256%256, n%256, n/256%256, n%256)
	}
	return text.String()
}

func benchmarkLoad(b *testing.B, text string) {
	name := filepath.Join(b.TempDir(), "keepalived.conf")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		config, err := Load(name, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if len(config.Problems) > 0 {
			b.Fatal(config.Problems[0])
		}
	}
}

// The budget is well under a second.
func BenchmarkLoad100000Lines(b *testing.B) { benchmarkLoad(b, big(100_000)) }

// What a hook pays.
func BenchmarkLoadField(b *testing.B) {
	text, err := os.ReadFile("testdata/field/dual-vip/keepalived-a.conf")
	if err != nil {
		b.Fatal(err)
	}
	benchmarkLoad(b, string(text))
}

func BenchmarkLocalAddresses(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LocalAddresses(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindConfig(b *testing.B) {
	root := b.TempDir()
	for name, text := range map[string]string{"proc/7/cmdline": "keepalived\x00-f\x00/srv/ka.conf\x00", "run/keepalived.pid": "7\n"} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, _, err := FindConfig(Search{Root: root}); err != nil {
			b.Fatal(err)
		}
	}
}
