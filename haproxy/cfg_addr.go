package haproxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The networks an address in a HAProxy configuration can name, in Address,
// Bind and Server. An Address has one of the first four only.
const (
	NetworkTCP   = "tcp"   // a host and a port
	NetworkUnix  = "unix"  // a path of the file system
	NetworkABNS  = "abns"  // Linux's abstract namespace, the name padded with NUL bytes
	NetworkABNSZ = "abnsz" // the same without the padding, HAProxy 3.1 and later
	NetworkUDP   = "udp"   // datagrams to a host and a port
	NetworkQUIC  = "quic"  // QUIC, that is UDP, on a host and a port
	NetworkFD    = "fd"    // a descriptor inherited by HAProxy; nobody else can dial it
	NetworkOther = "other" // sockpair@, rhttp@, Unix datagrams: nothing a client can dial
)

// sunPathLen is the size of sun_path in Linux's sockaddr_un, see unix(7).
const sunPathLen = 108

// Address is where a client can reach a HAProxy socket.
type Address struct {
	// Network is NetworkUnix, NetworkTCP, NetworkABNS or NetworkABNSZ.
	Network string
	// Addr is the path, the "host:port" (a wildcard host has become the
	// loopback address of its family) or the abstract name without prefix,
	// NUL bytes or "@".
	Addr string
}

// String returns the address as HAProxy's configuration would write it.
func (a Address) String() string {
	if a.Network == NetworkTCP || strings.HasPrefix(a.Addr, "/") && a.Network == NetworkUnix {
		return a.Addr
	}
	return a.Network + "@" + a.Addr
}

// DialArgs returns the arguments for [net.Dialer.DialContext]. An abns name is
// padded with NUL bytes to the whole of sun_path, because that is the name
// HAProxy binds and the kernel compares every byte.
func (a Address) DialArgs() (network, address string) {
	switch a.Network {
	case NetworkABNS:
		name := "@" + a.Addr
		return "unix", name + strings.Repeat("\x00", max(0, sunPathLen-len(name)))
	case NetworkABNSZ:
		return "unix", "@" + a.Addr
	default:
		return a.Network, a.Addr
	}
}

// ParseAddress turns an address as `stats socket` takes it into one that can
// be dialled: "/path", "unix@/path", "127.0.0.1:9999", "ipv4@*:9999",
// "ipv6@[::1]:9999", "abns@name", "abnsz@name". Variables must be expanded
// before. A wildcard host becomes 127.0.0.1 or ::1, since that is where a
// client on this node finds it. It is an error if the address has no stream
// socket that a client could reach (fd@, sockpair@, udp@, quic@), no single
// port from 1 to 65535, or a path longer than the kernel takes (107 bytes).
func ParseAddress(raw string) (Address, error) {
	a, err := parseAddress(raw)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", raw, err)
	}
	return a, nil
}

func parseAddress(raw string) (Address, error) {
	s := splitFamily(raw)
	switch s.network {
	case NetworkUnix:
		switch {
		case s.rest == "":
			return Address{}, errors.New("the path is missing")
		case len(s.rest) >= sunPathLen:
			return Address{}, fmt.Errorf("the path has %d bytes, a unix socket takes at most %d", len(s.rest), sunPathLen-1)
		case strings.ContainsRune(s.rest, 0):
			return Address{}, errors.New("the path holds a NUL byte")
		}
		return Address{Network: NetworkUnix, Addr: s.rest}, nil
	case NetworkABNS, NetworkABNSZ:
		switch {
		case s.rest == "":
			return Address{}, errors.New("the name is missing")
		case len(s.rest) >= sunPathLen:
			return Address{}, fmt.Errorf("the name has %d bytes, a unix socket takes at most %d", len(s.rest), sunPathLen-1)
		}
		return Address{Network: s.network, Addr: s.rest}, nil
	case NetworkTCP:
		host, port := cutPort(s.rest)
		n, end, ok := portRange(port)
		switch {
		case port == "":
			return Address{}, errors.New("a port is missing (the path of a unix socket begins with /)")
		case !ok || n != end:
			return Address{}, fmt.Errorf("%q is not a port from 1 to 65535", port)
		}
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		switch {
		case strings.ContainsAny(host, "@/[]\x00"):
			return Address{}, fmt.Errorf("%q is not a host", host)
		case host == "" || host == "*":
			host = "127.0.0.1"
			if s.family == 6 {
				host = "::1"
			}
		default:
			if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
				host = "127.0.0.1"
				if ip.Is6() {
					host = "::1"
				}
			}
		}
		return Address{Network: NetworkTCP, Addr: net.JoinHostPort(host, strconv.Itoa(n))}, nil
	case NetworkFD:
		return Address{}, errors.New("not dialable: a descriptor HAProxy inherited; name a socket it listens on")
	default:
		return Address{}, errors.New("not dialable: not a stream socket a client can connect to")
	}
}

// family is an address with its prefixes taken off.
type family struct {
	network string // one of the Network constants
	family  int    // 4 or 6 where a prefix asks for one, else 0
	rest    string
}

// splitFamily takes the prefixes off an address as HAProxy's str2sa_range()
// does (configuration manual, section 11.1): one of "stream+", "dgram+" and
// "quic+", then the address family. Prefixes are case-sensitive there.
func splitFamily(raw string) family {
	transport, rest := "", raw
	for _, p := range [...]string{"stream+", "dgram+", "quic+"} {
		if after, ok := strings.CutPrefix(raw, p); ok {
			transport, rest = p, after
			break
		}
	}
	f := family{network: NetworkTCP, rest: rest}
	if prefix, after, ok := strings.Cut(rest, "@"); ok {
		f.rest = after
		switch prefix {
		case "unix", "uxst":
			f.network = NetworkUnix
		case "abns":
			f.network = NetworkABNS
		case "abnsz":
			f.network = NetworkABNSZ
		case "ip", "tcp", "mptcp":
		case "ipv4", "tcp4", "mptcp4":
			f.family = 4
		case "ipv6", "tcp6", "mptcp6":
			f.family = 6
		case "udp":
			f.network = NetworkUDP
		case "udp4":
			f.network, f.family = NetworkUDP, 4
		case "udp6":
			f.network, f.family = NetworkUDP, 6
		case "quic4":
			f.network, f.family = NetworkQUIC, 4
		case "quic6":
			f.network, f.family = NetworkQUIC, 6
		case "fd":
			f.network = NetworkFD
		case "sockpair", "rhttp", "uxdg":
			f.network = NetworkOther
		default: // not a prefix: a path or a name may hold an @
			f.rest = rest
			if strings.HasPrefix(rest, "/") {
				f.network = NetworkUnix
			}
		}
	} else if strings.HasPrefix(rest, "/") {
		f.network = NetworkUnix
	}
	switch {
	case transport == "dgram+" && f.network == NetworkTCP:
		f.network = NetworkUDP
	case transport == "dgram+" && f.network != NetworkUDP && f.network != NetworkQUIC:
		f.network = NetworkOther
	case transport == "quic+" && (f.network == NetworkTCP || f.network == NetworkUDP):
		f.network = NetworkQUIC
	}
	return f
}

// cutPort splits "host:port" where HAProxy does: at the last colon, unless a
// closing bracket comes after it. So ":::8080" is "::" and "8080", and "[::1]"
// has no port.
func cutPort(s string) (host, port string) {
	if i := strings.LastIndexAny(s, ":]"); i >= 0 && s[i] == ':' {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// portRange reads "80" or "8000-8010"; both ends are from 1 to 65535.
func portRange(s string) (low, high int, ok bool) {
	first, last, isRange := strings.Cut(s, "-")
	low, ok = port(first)
	if !ok || !isRange {
		return low, low, ok
	}
	high, ok = port(last)
	return low, high, ok && low <= high
}

func port(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n > 0
}
