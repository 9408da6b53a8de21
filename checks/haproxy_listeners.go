package checks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"

	"hacheck/haproxy"
)

// kernelListeners is what listens in this network namespace.
type kernelListeners struct {
	found listeners
	err   error
}

// kernelListeners asks the kernel unless addresses are of no interest.
//
// It asks instead of dialling. In TCP mode a dial makes HAProxy connect to a
// backend server and log it, every second; on a BACKUP node a dial to the VIP
// reaches the MASTER; and for a frozen HAProxy the kernel accepts all the same.
func (h *HAProxy) kernelListeners(ctx context.Context) kernelListeners {
	if h.WantListeners.Skip || len(h.WantListeners.Addresses) == 0 && h.Config == nil {
		return kernelListeners{}
	}
	list := h.listening
	if list == nil {
		list = listeningTCP
	}
	found, err := list(ctx)
	return kernelListeners{found, err}
}

// listeners judges the frontends by HAProxy's word and the addresses by the
// kernel's.
func (h *HAProxy) listeners(s sources, a answer, kernel kernelListeners) Result {
	part := Result{Name: "listeners"}
	open, total, example := 0, 0, ""
	for _, row := range a.snapshot.Rows {
		if row.Type != haproxy.RowFrontend {
			continue
		}
		total++
		switch {
		case openFrontend(row):
			open++
		case example != "":
		case row.Status == "PAUSED":
			example = " (" + oneLineMax(row.Proxy, 60) + " is PAUSED: by hand, or by a reload that cannot bind an address?)"
		default:
			example = " (" + oneLineMax(row.Proxy, 60) + " is " + oneLineMax(row.Status, 20) + ")"
		}
	}
	if a.lives && open == 0 {
		part.Status, part.Reason = Fail, "no frontend is open"+example
		return part
	}
	addresses := h.addresses(s, kernel)
	switch {
	case addresses.Status == Fail && a.lives && len(h.WantListeners.Addresses) == 0 && h.WantListeners.Require.Of(1<<20) == 1:
		// An open frontend listens somewhere: it was started with another
		// configuration than the one read, or in another network namespace.
		part.Status = Warn
		part.Reason = addresses.Reason + ", although haproxy has open frontends: was haproxy.cfg changed since the last reload?"
	case addresses.Status != Unknown:
		part.Status, part.Reason = addresses.Status, addresses.Reason
	case a.lives && h.WantBackends.exact(): // not all were asked for
		part.Status, part.Reason = Pass, "a frontend is open"
	case a.lives:
		part.Status, part.Reason = Pass, fmt.Sprintf("%d of %d frontends open", open, total)
	default:
		part.Status, part.Reason = Unknown, addresses.Reason
	}
	return part
}

// excuseListeners takes back that no address listens where it may be
// haproxy.cfg that is to blame: it was changed and is not reloaded yet, or is
// readable in part only. A socket on which nobody listens any more, or behind
// which HAProxy hangs, leaves no such doubt.
func (h *HAProxy) excuseListeners(s sources, a answer, unit, listeners Result) Result {
	guessed := len(h.WantListeners.Addresses) == 0 && h.WantListeners.Require.Of(1<<20) == 1
	if listeners.Status != Fail || !guessed || a.lives || a.refused || a.part.Status == Fail && !a.gone {
		return listeners
	}
	switch {
	case unit.Status == Pass:
		listeners.Status = Warn
		listeners.Reason += ", although " + unit.Reason + ": was haproxy.cfg changed since the last reload?"
	case s.config != nil && len(s.config.Unread) > 0:
		listeners.Status = Unknown
		listeners.Reason += ", but others may: " + oneLineMax(s.config.Unread[0], 100) + " cannot be read"
	}
	return listeners
}

// addresses looks the addresses up among the kernel's.
func (h *HAProxy) addresses(s sources, kernel kernelListeners) Result {
	unknown := func(reason string) Result { return Result{Status: Unknown, Reason: oneLineMax(reason, 300)} }
	if h.WantListeners.Skip {
		return unknown("listening addresses are not looked at")
	}
	var names, missing []string
	look := func(name string, there bool) {
		names = append(names, name)
		if !there {
			missing = append(missing, name)
		}
	}
	if len(h.WantListeners.Addresses) > 0 {
		for _, addr := range h.WantListeners.Addresses {
			look(addr.String(), kernel.found.has(addr.Addr(), addr.Port()))
		}
	} else {
		if s.config == nil {
			if errors.Is(s.err, fs.ErrNotExist) || errors.Is(s.err, errNoConfig) {
				return unknown("listening addresses are not known without haproxy.cfg")
			}
			return unknown(fmt.Sprintf("listening addresses are not known: %v", s.err))
		}
		for _, proxy := range s.config.Proxies {
			if proxy.Disabled || proxy.Conditional {
				continue
			}
			for _, bind := range proxy.Binds {
				// What listens elsewhere or by another protocol is not in the
				// kernel's list; a name may resolve to anything.
				if bind.Network != haproxy.NetworkTCP || bind.Namespace != "" || bind.Conditional || bind.Unresolved || bind.Host != "" || !bind.Addr.IsValid() {
					continue
				}
				addr := bind.Addr
				look(netip.AddrPortFrom(addr, uint16(bind.Port)).String(), kernel.found.has(addr, uint16(bind.Port)))
			}
		}
	}
	if kernel.err != nil {
		return unknown(kernel.err.Error())
	}
	if len(names) == 0 {
		return unknown("haproxy.cfg binds no TCP address of this network namespace")
	}
	need, there := h.WantListeners.Require.Of(len(names)), len(names)-len(missing)
	words := fmt.Sprintf("%d of %d addresses listen", there, len(names))
	if len(missing) > 0 {
		words += ", not " + someOf(missing, 3)
	}
	result := Result{Status: Pass, Reason: words}
	switch {
	case there < need:
		result.Status = Fail
		if need > 1 {
			result.Reason += fmt.Sprintf(" (%s required)", h.WantListeners.Require)
		}
	case len(missing) > 0:
		result.Status = Warn
	}
	return result
}

// someOf joins the first most names and says how many more there are.
func someOf(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
