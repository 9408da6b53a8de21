package checks

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListeningTCP(t *testing.T) {
	addr := func(network, address string, control ...func(*net.ListenConfig)) netip.AddrPort {
		t.Helper()
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return netip.MustParseAddrPort(l.Addr().String())
	}
	loopback4 := addr("tcp4", "127.0.0.1:0")
	loopback6 := addr("tcp6", "[::1]:0")
	dual := addr("tcp", "[::]:0")   // Go asks for a dual-stack socket
	only6 := addr("tcp6", "[::]:0") // and here for IPV6_V6ONLY
	wild4 := addr("tcp4", "0.0.0.0:0")

	ip := netip.MustParseAddr
	for _, source := range []struct {
		name string
		read func(context.Context) ([]netip.AddrPort, error)
		// knowsV6Only: /proc does not say which sockets are IPv6 only.
		knowsV6Only bool
	}{
		{"chosen", listeningTCP, true},
		{"sock_diag", diagListeners, true},
		{"proc", procListeners, false},
	} {
		t.Run(source.name, func(t *testing.T) {
			read, err := source.read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			found := listeners(read)
			for _, test := range []struct {
				addr netip.Addr
				port uint16
				want bool
			}{
				{ip("127.0.0.1"), loopback4.Port(), true},
				{ip("::ffff:127.0.0.1"), loopback4.Port(), true},
				{ip("127.0.0.2"), loopback4.Port(), false},
				{ip("0.0.0.0"), loopback4.Port(), false},
				{ip("::1"), loopback4.Port(), false},
				{netip.Addr{}, loopback4.Port(), true},
				{ip("::1"), loopback6.Port(), true},
				{ip("::1%lo"), loopback6.Port(), true},
				{ip("127.0.0.1"), loopback6.Port(), false},
				{ip("192.0.2.7"), dual.Port(), true},
				{ip("2001:db8::7"), dual.Port(), true},
				{ip("0.0.0.0"), dual.Port(), true},
				{ip("::"), dual.Port(), true},
				{ip("2001:db8::7"), only6.Port(), true},
				{ip("192.0.2.7"), only6.Port(), !source.knowsV6Only},
				{ip("192.0.2.7"), wild4.Port(), true},
				{ip("2001:db8::7"), wild4.Port(), false},
			} {
				if got := found.has(test.addr, test.port); got != test.want {
					t.Errorf("has(%v, %d) = %v, want %v", test.addr, test.port, got, test.want)
				}
			}
		})
	}
}

// diagMessage builds a netlink message as the kernel does.
func diagMessage(kind uint16, sequence uint32, body []byte) []byte {
	message := make([]byte, unix.NLMSG_HDRLEN, nlAlign(unix.NLMSG_HDRLEN+len(body)))
	binary.NativeEndian.PutUint32(message, uint32(unix.NLMSG_HDRLEN+len(body)))
	binary.NativeEndian.PutUint16(message[4:], kind)
	binary.NativeEndian.PutUint32(message[8:], sequence)
	return append(message, body...)[:cap(message)]
}

// diagBody builds an inet_diag_msg.
func diagBody(family, state uint8, addr netip.Addr, port uint16, attrs ...byte) []byte {
	body := make([]byte, diagMsgLen)
	body[0], body[1] = family, state
	binary.BigEndian.PutUint16(body[4:], port)
	copy(body[8:], addr.AsSlice())
	return append(body, attrs...)
}

func errnoBody(errno unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
}

func TestParseDiag(t *testing.T) {
	v4 := diagBody(unix.AF_INET, tcpListen, netip.MustParseAddr("127.0.0.1"), 80)
	v6only := binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, 5), diagSKV6Only)
	v6 := diagBody(unix.AF_INET6, tcpListen, netip.IPv6Unspecified(), 81, append(v6only, 1, 0, 0, 0)...)
	badAttr := diagBody(unix.AF_INET6, tcpListen, netip.IPv6Unspecified(), 81, 200, 0, 0, 0)
	established := diagBody(unix.AF_INET, 1, netip.MustParseAddr("127.0.0.1"), 82)
	done := diagMessage(unix.NLMSG_DONE, 7, errnoBody(0))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, test := range []struct {
		name     string
		datagram []byte
		want     string
	}{
		{"sockets", join(diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, v4), diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, v6), done), "[127.0.0.1:80 [::]:81] true <nil>"},
		{"more to come", diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, v4), "[127.0.0.1:80] false <nil>"},
		{"of another question", join(diagMessage(unix.SOCK_DIAG_BY_FAMILY, 6, v4), done), "[] true <nil>"},
		{"not listening", join(diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, established), done), "[] true <nil>"},
		{"refused", diagMessage(unix.NLMSG_ERROR, 7, errnoBody(unix.ENOENT)), "[] true no such file or directory"},
		{"broken off", diagMessage(unix.NLMSG_DONE, 7, errnoBody(unix.EINTR)), "[] true interrupted system call"},
		{"short socket", diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, v4[:20]), "[] false a socket of 20 bytes, want 72"},
		{"short datagram", diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, v4)[:30], "[] false a message of 88 bytes in a datagram with 30 left"},
		{"bad attribute", diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, badAttr), "[] false an attribute of 200 bytes with 4 left"},
		{"empty", nil, "[] false <nil>"},
	} {
		var found []netip.AddrPort
		done, err := parseDiag(test.datagram, 7, &found)
		if got := fmt.Sprint(found, done, err); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestParseProcTCP(t *testing.T) {
	const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := func(local, state string) string {
		return "   0: " + local + " 00000000:0000 " + state + " 00000000:00000000\n"
	}
	native := func(big string) string { // an address as this machine's kernel writes it
		raw, _ := hex.DecodeString(big)
		for i := 0; i < len(raw); i += 4 {
			binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
		}
		return strings.ToUpper(hex.EncodeToString(raw))
	}
	loopback := native("7F000001")
	zero6 := strings.Repeat("0", 32)
	for _, test := range []struct {
		name, text string
		v6only     bool
		want       string
	}{
		{"IPv4", heading + line(loopback+":0050", "0A"), false, "[127.0.0.1:80] <nil>"},
		{"wildcard, dual-stack", heading + line(zero6+":0050", "0A"), false, "[[::]:80 0.0.0.0:80] <nil>"},
		{"wildcard, IPv6 only", heading + line(zero6+":0050", "0A"), true, "[[::]:80] <nil>"},
		{"IPv6", heading + line(native("20010DB8000000000000000000000007")+":0051", "0A"), false, "[[2001:db8::7]:81] <nil>"},
		{"half-open ones between", heading + line(loopback+":0050", "03") + line(loopback+":0051", "0A"), false, "[127.0.0.1:81] <nil>"},
		{"stops at connections", heading + line(loopback+":0050", "0A") + line(loopback+":0050", "01") + "nonsense", false, "[127.0.0.1:80] <nil>"},
		{"empty", "", false, "[] <nil>"},
		{"few fields", heading + "0: x\n", false, `[] line "0: x" has 2 fields, want 4`},
		{"bad address", heading + line("7F0001:0050", "0A"), false, `[] "7F0001:0050" is not an address and port`},
		{"bad port", heading + line(loopback+":00500", "0A"), false, "[127.0.0.1:1280] <nil>"},
		{"no port", heading + line(loopback, "0A"), false, `[] "` + loopback + `" is not an address and port`},
		{"long line", heading + strings.Repeat("x", 5000), false, "[] bufio.Scanner: token too long"},
	} {
		var found []netip.AddrPort
		err := parseProcTCP(t.Context(), strings.NewReader(test.text), test.v6only, &found)
		if got := fmt.Sprint(found, " ", err); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestListeningTCPObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := listeningTCP(ctx); !errors.Is(err, context.Canceled) || err.Error() != "list listening sockets: ask sock_diag: context canceled" {
		t.Errorf("got %v", err)
	}
	if _, err := procListeners(ctx); !errors.Is(err, context.Canceled) || err.Error() != "read /proc/net/tcp: context canceled" {
		t.Errorf("got %v", err)
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, diagBody(unix.AF_INET, tcpListen, netip.MustParseAddr("127.0.0.1"), 80)))
	f.Add(diagMessage(unix.SOCK_DIAG_BY_FAMILY, 7, diagBody(unix.AF_INET6, tcpListen, netip.IPv6Unspecified(), 80, 5, 0, 11, 0, 1)))
	f.Add(diagMessage(unix.NLMSG_DONE, 7, errnoBody(0)))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		var found []netip.AddrPort
		parseDiag(datagram, 7, &found)
		if len(found) > len(datagram)/diagMsgLen*2 {
			t.Errorf("%d sockets from %d bytes", len(found), len(datagram))
		}
	})
}

func FuzzParseProcTCP(f *testing.F) {
	f.Add("heading\n 0: 0100007F:0050 00000000:0000 0A\n")
	f.Add("heading\n 0: 00000000000000000000000000000000:0050 0 0A\n")
	f.Fuzz(func(t *testing.T, text string) {
		var found []netip.AddrPort
		if err := parseProcTCP(t.Context(), strings.NewReader(text), false, &found); err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Errorf("%q", err)
		}
	})
}

func BenchmarkListeningTCP(b *testing.B) {
	for name, read := range map[string]func(context.Context) ([]netip.AddrPort, error){"sock_diag": diagListeners, "proc": procListeners} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := read(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
