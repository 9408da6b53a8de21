package keepalived

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses are the addresses configured on this node's interfaces, with the
// name of the interface. Of an address that is on several interfaces the one
// that the kernel lists first is kept.
type Addresses map[netip.Addr]string

// On returns the interface that has the address.
func (a Addresses) On(addr netip.Addr) (device string, ok bool) {
	device, ok = a[addr]
	return device, ok
}

// maxDumps is how often a dump is tried that the kernel says changed under it.
const maxDumps = 3

// LocalAddresses asks the kernel (netlink, RTM_GETADDR and RTM_GETLINK) which
// addresses are on an interface of this network namespace. It needs no
// privilege. Whether keepalived believes itself to be MASTER has no part in it.
func LocalAddresses(ctx context.Context) (Addresses, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot list this node's addresses: %w", context.Cause(ctx))
	}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("cannot list this node's addresses: netlink socket: %w", err)
	}
	defer handle.Close()
	if deadline, ok := ctx.Deadline(); ok {
		// A timeout of 0 would mean none; the kernel answers in microseconds.
		if err := handle.SetSocketTimeout(max(time.Until(deadline), time.Millisecond)); err != nil {
			return nil, fmt.Errorf("cannot list this node's addresses: netlink timeout: %w", err)
		}
	}
	var listed []netlink.Addr
	var links []netlink.Link
	for range maxDumps {
		if err = ctx.Err(); err != nil {
			return nil, fmt.Errorf("cannot list this node's addresses: %w", context.Cause(ctx))
		}
		if listed, err = handle.AddrList(nil, netlink.FAMILY_ALL); err == nil {
			links, err = handle.LinkList()
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	// What an interrupted dump did list is true of some moment of it.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("cannot list this node's addresses: netlink dump: %w", err)
	}
	names := make(map[int]string, len(links))
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	addresses := make(Addresses, len(listed))
	for _, entry := range listed {
		if entry.IPNet == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(entry.IP)
		if !ok {
			continue
		}
		if _, exists := addresses[addr]; !exists {
			addresses[addr] = names[entry.LinkIndex]
		}
	}
	return addresses, nil
}
