package haproxy

import (
	"net/netip"
	"strings"
)

const (
	// maxRange is how many ports of one range are listed. Nobody checks more
	// listeners than that one by one.
	maxRange = 1024
	// maxExtraBinds bounds the binds of a configuration that come from lists
	// and ranges, so that a short file cannot fill memory.
	maxExtraBinds = 16384
)

// bind reads a `bind` line: a list of addresses, then options for all of them.
func (l *loader) bind(args []string) {
	switch {
	case l.proxy == nil || !l.proxy.Kind.HasFrontend():
		l.problem("bind outside of a frontend; HAProxy ignores or refuses it")
		return
	case len(args) == 0:
		l.problem("bind needs an address; it is left out")
		return
	}
	common := Bind{Raw: args[0], Conditional: l.unsure || l.proxy.Conditional, Pos: l.pos}
	l.bindOpts.each(args[1:], func(name, value string) {
		switch name {
		case "name":
			common.Name = value
		case "interface":
			common.Interface = value
		case "namespace":
			common.Namespace = value
		case "transparent":
			common.Transparent = true
		case "ssl":
			common.SSL = true
		case "accept-proxy":
			common.AcceptProxy = true
		case "v4v6":
			common.V4V6, common.V6Only = true, false
		case "v6only":
			common.V4V6, common.V6Only = false, true
		}
	}, l.option("bind "+args[0]))

	first := true
	for address := range strings.SplitSeq(args[0], ",") {
		if address == "" { // HAProxy takes a comma at the end
			continue
		}
		b, end, ok := l.bindAddress(common, l.split.expandAddress(address))
		if !ok {
			continue
		}
		b.Unresolved = l.unresolved()
		if end-b.Port >= maxRange {
			l.problem("bind %s: only the first %d ports of %q are listed", args[0], maxRange, address)
			end = b.Port + maxRange - 1
		}
		for ; b.Port <= end; b.Port++ {
			if !first {
				if l.extra == maxExtraBinds {
					l.problem("bind %s: the configuration has more than %d listeners by lists and ranges; the rest is left out", args[0], maxExtraBinds)
					return
				}
				l.extra++
			}
			first = false
			l.proxy.Binds = append(l.proxy.Binds, b)
		}
	}
}

// bindAddress reads one address of a `bind` line into b. End is the last port
// of a range, b.Port without one.
func (l *loader) bindAddress(b Bind, address string) (_ Bind, end int, ok bool) {
	f := splitFamily(address)
	b.Network = f.network
	switch f.network {
	case NetworkUnix:
		b.Path = l.prefix + f.rest
		return b, 0, true
	case NetworkTCP, NetworkUDP, NetworkQUIC:
	default:
		b.Path = f.rest
		return b, 0, true
	}
	host, ports := cutPort(f.rest)
	b.Port, end, ok = portRange(ports)
	if !ok {
		l.problem("bind %s: %q has no port or range of ports from 1 to 65535; it is left out", b.Raw, address)
		return b, 0, false
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch ip, err := netip.ParseAddr(host); {
	case err == nil:
		b.Addr = ip
	case host != "" && host != "*":
		b.Host = host
	case f.family == 6:
		b.Addr = netip.IPv6Unspecified()
	default:
		b.Addr = netip.IPv4Unspecified()
	}
	return b, end, true
}
