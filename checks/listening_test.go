package checks

import (
	"context"
	"net"
	"net/netip"
	"testing"
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
