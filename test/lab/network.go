//go:build lab

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// The lab's namespace and what is in it. The addresses are TEST-NET-1 and
// TEST-NET-3 (RFC 5737); nothing leaves the namespace, so they cannot collide
// with this machine's own.
const (
	nsName     = "hacheck-lab"
	mainBridge = "br0" // the nodes' host0
	sideBridge = "br1" // the nodes' net2, for second instances
	labAddress = "192.0.2.1"
	sideLabNet = "203.0.113.1/24"
)

// network is the lab's namespace with its two bridges.
type network struct {
	ns     netns.NsHandle
	handle *netlink.Handle
	bridge map[string]netlink.Link

	mu        sync.Mutex
	addresses []string // on mainBridge, beside labAddress
}

// inNamespace runs f on a thread that has entered ns. Sockets f opens belong
// to that namespace for good. The thread is not reused: its goroutine ends
// locked to it.
func inNamespace(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			done <- fmt.Errorf("entering the network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// newNetwork makes the namespace, its bridges and the lab's own addresses.
func newNetwork() (*network, error) {
	made := make(chan error, 1)
	n := &network{bridge: map[string]netlink.Link{}}
	go func() {
		// NewNamed moves its thread into the new namespace; see inNamespace.
		runtime.LockOSThread()
		var err error
		n.ns, err = netns.NewNamed(nsName)
		made <- err
	}()
	if err := <-made; err != nil {
		return nil, fmt.Errorf("making network namespace %s: %w", nsName, err)
	}
	var err error
	if n.handle, err = netlink.NewHandleAt(n.ns); err != nil {
		return nil, err
	}
	loopback, err := n.handle.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	if err := n.handle.LinkSetUp(loopback); err != nil {
		return nil, err
	}
	for name, address := range map[string]string{mainBridge: labAddress + "/24", sideBridge: sideLabNet} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		link := &netlink.Bridge{LinkAttrs: attrs}
		if err := n.handle.LinkAdd(link); err != nil {
			return nil, fmt.Errorf("adding bridge %s: %w", name, err)
		}
		addr, err := netlink.ParseAddr(address)
		if err != nil {
			return nil, err
		}
		if err := n.handle.AddrAdd(link, addr); err != nil {
			return nil, fmt.Errorf("adding %s to %s: %w", address, name, err)
		}
		if err := n.handle.LinkSetUp(link); err != nil {
			return nil, err
		}
		n.bridge[name] = link
	}
	return n, nil
}

// enslave puts the host side of a node's extra veth on the side bridge.
func (n *network) enslave(name string) error {
	link, err := n.handle.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	if err := n.handle.LinkSetMaster(link, n.bridge[sideBridge]); err != nil {
		return err
	}
	return n.handle.LinkSetUp(link)
}

// listen opens a TCP listener in the namespace, giving the lab the address if
// it does not have it yet.
func (n *network) listen(address netip.AddrPort) (net.Listener, error) {
	if err := n.own(address.Addr()); err != nil {
		return nil, err
	}
	var listener net.Listener
	err := inNamespace(n.ns, func() (err error) {
		listener, err = net.Listen("tcp", address.String())
		return err
	})
	return listener, err
}

func (n *network) own(address netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if text := address.String(); text != labAddress && !slices.Contains(n.addresses, text) {
		addr, err := netlink.ParseAddr(text + "/32")
		if err != nil {
			return err
		}
		if err := n.handle.AddrAdd(n.bridge[mainBridge], addr); err != nil {
			return fmt.Errorf("adding %s: %w", text, err)
		}
		n.addresses = append(n.addresses, text)
	}
	return nil
}

// disown takes back every address listen gave, so that the next configuration
// starts with none.
func (n *network) disown() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, text := range n.addresses {
		addr, err := netlink.ParseAddr(text + "/32")
		if err != nil {
			return err
		}
		if err := n.handle.AddrDel(n.bridge[mainBridge], addr); err != nil {
			return fmt.Errorf("removing %s: %w", text, err)
		}
	}
	n.addresses = nil
	return nil
}

func (n *network) close() error {
	if n.handle != nil {
		n.handle.Close()
	}
	if n.ns.IsOpen() {
		_ = n.ns.Close()
	}
	return netns.DeleteNamed(nsName)
}

// addressChange is one address that came to or left a node.
type addressChange struct {
	at      time.Time
	address netip.Addr
	added   bool
}

// addressLog follows a node's addresses by netlink from outside the node: one
// clock, this process's, times both nodes.
type addressLog struct {
	stop chan struct{}

	mu      sync.Mutex
	held    map[netip.Addr]bool
	changes []addressChange
	err     error
}

// followAddresses subscribes in the namespace and begins with what is there.
func followAddresses(ns netns.NsHandle) (*addressLog, error) {
	l := &addressLog{stop: make(chan struct{}), held: map[netip.Addr]bool{}}
	updates := make(chan netlink.AddrUpdate, 64)
	err := netlink.AddrSubscribeWithOptions(updates, l.stop, netlink.AddrSubscribeOptions{
		Namespace:    &ns,
		ListExisting: true,
		ErrorCallback: func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.err = err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("subscribing to addresses: %w", err)
	}
	go func() {
		for update := range updates {
			now := time.Now()
			address, ok := netip.AddrFromSlice(update.LinkAddress.IP)
			if !ok {
				continue
			}
			address = address.Unmap()
			l.mu.Lock()
			if l.held[address] != update.NewAddr {
				l.held[address] = update.NewAddr
				l.changes = append(l.changes, addressChange{now, address, update.NewAddr})
			}
			l.mu.Unlock()
		}
	}()
	return l, nil
}

func (l *addressLog) close() { close(l.stop) }

// count says how many of addresses the node holds now.
func (l *addressLog) count(addresses []netip.Addr) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, address := range addresses {
		if l.held[address] {
			n++
		}
	}
	return n
}

// lastArrival is when the last of addresses came to the node after since, and
// whether any did.
func (l *addressLog) lastArrival(addresses []netip.Addr, since time.Time) (time.Time, bool) {
	var last time.Time
	for _, change := range l.since(addresses, since) {
		if change.added {
			last = change.at
		}
	}
	return last, !last.IsZero()
}

// since gives the changes of addresses after a moment, in order.
func (l *addressLog) since(addresses []netip.Addr, moment time.Time) []addressChange {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []addressChange
	for _, change := range l.changes {
		if change.at.After(moment) && slices.Contains(addresses, change.address) {
			found = append(found, change)
		}
	}
	return found
}
