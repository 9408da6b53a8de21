package haproxy

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		raw  string
		want Address
	}{
		{"/run/haproxy/admin.sock", Address{"unix", "/run/haproxy/admin.sock"}},
		{"unix@/run/haproxy.sock", Address{"unix", "/run/haproxy.sock"}},
		{"unix@relative.sock", Address{"unix", "relative.sock"}},
		{"uxst@/run/haproxy.sock", Address{"unix", "/run/haproxy.sock"}},
		{"/run/a@b.sock", Address{"unix", "/run/a@b.sock"}},
		{"/run/a:1.sock", Address{"unix", "/run/a:1.sock"}},
		{"abns@haproxy", Address{"abns", "haproxy"}},
		{"abnsz@haproxy", Address{"abnsz", "haproxy"}},
		{"127.0.0.1:9999", Address{"tcp", "127.0.0.1:9999"}},
		{"ipv4@10.0.0.1:9999", Address{"tcp", "10.0.0.1:9999"}},
		{"tcp@localhost:9999", Address{"tcp", "localhost:9999"}},
		{"mptcp4@10.0.0.1:9999", Address{"tcp", "10.0.0.1:9999"}},
		{"stream+ipv4@10.0.0.1:9999", Address{"tcp", "10.0.0.1:9999"}},
		{":9999", Address{"tcp", "127.0.0.1:9999"}},
		{"*:9999", Address{"tcp", "127.0.0.1:9999"}},
		{"0.0.0.0:9999", Address{"tcp", "127.0.0.1:9999"}},
		{":::9999", Address{"tcp", "[::1]:9999"}},
		{"[::]:9999", Address{"tcp", "[::1]:9999"}},
		{"ipv6@:9999", Address{"tcp", "[::1]:9999"}},
		{"ipv6@*:9999", Address{"tcp", "[::1]:9999"}},
		{"ipv6@[fd00::1]:9999", Address{"tcp", "[fd00::1]:9999"}},
		{"fd00::1:9999", Address{"tcp", "[fd00::1]:9999"}},
	}
	for _, tt := range tests {
		got, err := ParseAddress(tt.raw)
		if err != nil || got != tt.want {
			t.Errorf("ParseAddress(%q) = %+v, %v; want %+v", tt.raw, got, err, tt.want)
		}
	}
}

func TestParseAddressErrors(t *testing.T) {
	tests := []struct{ raw, want string }{
		{"", `address "": a port is missing (the path of a unix socket begins with /)`},
		{"haproxy.sock", `address "haproxy.sock": a port is missing (the path of a unix socket begins with /)`},
		{"[::1]", `address "[::1]": a port is missing (the path of a unix socket begins with /)`},
		{"unix@", `address "unix@": the path is missing`},
		{"abns@", `address "abns@": the name is missing`},
		{"fd@3", `address "fd@3": not dialable: a descriptor HAProxy inherited; name a socket it listens on`},
		{"sockpair@4", `address "sockpair@4": not dialable: not a stream socket a client can connect to`},
		{"udp@10.0.0.1:53", `address "udp@10.0.0.1:53": not dialable: not a stream socket a client can connect to`},
		{"quic4@:443", `address "quic4@:443": not dialable: not a stream socket a client can connect to`},
		{"dgram+/run/x", `address "dgram+/run/x": not dialable: not a stream socket a client can connect to`},
		{"127.0.0.1:0", `address "127.0.0.1:0": "0" is not a port from 1 to 65535`},
		{"127.0.0.1:65536", `address "127.0.0.1:65536": "65536" is not a port from 1 to 65535`},
		{"127.0.0.1:1-2", `address "127.0.0.1:1-2": "1-2" is not a port from 1 to 65535`},
		{"tcp@tcp@a:80", `"tcp@a" is not a host`},
		{"/" + strings.Repeat("x", 107), `the path has 108 bytes, a unix socket takes at most 107`},
		{"abns@" + strings.Repeat("x", 108), `the name has 108 bytes, a unix socket takes at most 107`},
		{"/a\x00b", `the path holds a NUL byte`},
	}
	for _, tt := range tests {
		got, err := ParseAddress(tt.raw)
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("ParseAddress(%q) = %+v, %v; want error %q", tt.raw, got, err, tt.want)
		}
	}
}

// The kernel is asked whether a padded and an unpadded abstract name are what
// a server that pads (HAProxy's abns@) or does not (abnsz@) has bound.
func TestAddressDialArgsReachesAbstractSockets(t *testing.T) {
	name := strings.ReplaceAll(strings.TrimPrefix(t.TempDir(), os.TempDir()), "/", "-") // unique on this machine
	for _, network := range []string{NetworkABNS, NetworkABNSZ} {
		t.Run(network, func(t *testing.T) {
			bound := "@" + name
			if network == NetworkABNS {
				bound += strings.Repeat("\x00", 108-len(bound))
			}
			l, err := net.Listen("unix", bound)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			a, err := ParseAddress(network + "@" + name)
			if err != nil {
				t.Fatal(err)
			}
			dialNetwork, dialAddress := a.DialArgs()
			c, err := net.Dial(dialNetwork, dialAddress)
			if err != nil {
				t.Fatalf("dialling %v: %v", a, err)
			}
			c.Close()
		})
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"/run/x", "abns@x", "ipv6@[::1]:80", ":80", "quic+fd@1", "stream+unix@", "@", ":", "]:", "a:-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := ParseAddress(raw)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("ParseAddress(%q) = %+v, whose form %q gives %+v, %v", raw, a, a.String(), again, err)
		}
		if network, address := a.DialArgs(); network == "unix" && len(address) > sunPathLen {
			t.Errorf("%q: %q is too long to dial", raw, address)
		}
	})
}
