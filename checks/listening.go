package checks

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxListeners bounds what is kept of one answer. A balancer with a thousand
// binds and a SO_REUSEPORT socket for each of 64 threads has 64,000.
const maxListeners = 1 << 18

// listeners are the addresses on which this network namespace accepts TCP.
// A dual-stack wildcard socket is in it twice, as [::]:80 and as 0.0.0.0:80.
type listeners []netip.AddrPort

// has reports whether a connection to addr and port would be accepted: by a
// socket bound to addr itself or to the wildcard of its family. The zero Addr
// stands for any address. Interface bindings and zones are not looked at.
func (l listeners) has(addr netip.Addr, port uint16) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(l, func(found netip.AddrPort) bool {
		if found.Port() != port {
			return false
		}
		bound := found.Addr()
		return !addr.IsValid() || bound == addr || bound.IsUnspecified() && bound.Is4() == addr.Is4()
	})
}

// listeningTCP returns the listening TCP sockets of this network namespace,
// sorted, each once, usable as listeners. It needs no privilege.
//
// It asks the kernel for sockets in state LISTEN only (sock_diag(7)): a busy
// balancer has 100,000 connections, and a list of all of them takes longer
// than a check may. Where sock_diag cannot be used (module not there,
// AF_NETLINK refused by the unit's RestrictAddressFamilies) /proc/net/tcp and
// tcp6 are read as far as their listening part goes, which takes some
// milliseconds instead of a quarter of one.
func listeningTCP(ctx context.Context) ([]netip.AddrPort, error) {
	found, err := diagListeners(ctx)
	if err != nil && ctx.Err() == nil {
		var procErr error
		if found, procErr = procListeners(ctx); procErr != nil {
			return nil, fmt.Errorf("list listening sockets: %w; %w", err, procErr)
		}
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("list listening sockets: %w", err)
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	return slices.Compact(found), nil
}

// Layout of the request and the answer, from linux/inet_diag.h.
const (
	diagRequestLen = unix.NLMSG_HDRLEN + 56 // nlmsghdr and inet_diag_req_v2
	diagMsgLen     = 72                     // inet_diag_msg without attributes
	diagSKV6Only   = 11                     // INET_DIAG_SKV6ONLY, sent for every listening IPv6 socket
	tcpListen      = 10                     // TCP_LISTEN
)

// diagListeners asks sock_diag, IPv4 first: one socket can run one dump.
func diagListeners(ctx context.Context) ([]netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open a sock_diag socket: %w", err)
	}
	defer unix.Close(fd)
	var found []netip.AddrPort
	answer := make([]byte, 32<<10) // the kernel sends no more at a time
	for sequence, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		err = diagFamily(ctx, fd, uint32(sequence+1), family, answer, &found)
		if family == unix.AF_INET6 && errors.Is(err, unix.ENOENT) {
			break // a kernel without IPv6 has no such sockets
		}
		if err != nil {
			return nil, fmt.Errorf("ask sock_diag: %w", err)
		}
	}
	return found, nil
}

func diagFamily(ctx context.Context, fd int, sequence uint32, family uint8, answer []byte, found *[]netip.AddrPort) error {
	request := make([]byte, diagRequestLen)
	binary.NativeEndian.PutUint32(request[0:], diagRequestLen)
	binary.NativeEndian.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(request[8:], sequence)
	request[16] = family
	request[17] = unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[20:], 1<<tcpListen)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{}); err != nil {
		return err
	}
	for {
		n, err := receive(ctx, fd, answer)
		if err != nil {
			return err
		}
		done, err := parseDiag(answer[:n], sequence, found)
		if err != nil || done {
			return err
		}
	}
}

// receive waits for a datagram from the kernel until ctx ends.
func receive(ctx context.Context, fd int, buffer []byte) (int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		// Without a deadline a cancellation is seen within a tenth of a second.
		wait := 100 * time.Millisecond
		if deadline, ok := ctx.Deadline(); ok {
			wait = min(wait, time.Until(deadline))
		}
		timeout := unix.NsecToTimeval(max(wait, time.Microsecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return 0, err
		}
		n, _, flags, from, err := unix.Recvmsg(fd, buffer, nil, 0)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case flags&unix.MSG_TRUNC != 0:
			return 0, fmt.Errorf("the answer is larger than %d bytes", len(buffer))
		}
		// Port 0 is the kernel; another process could send here, too.
		if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == 0 {
			return n, nil
		}
	}
}

// parseDiag adds the sockets of one datagram to found and reports whether the
// dump is complete. Messages with another sequence number are skipped.
func parseDiag(datagram []byte, sequence uint32, found *[]netip.AddrPort) (done bool, err error) {
	for len(datagram) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(datagram))
		if size < unix.NLMSG_HDRLEN || size > len(datagram) {
			return false, fmt.Errorf("a message of %d bytes in a datagram with %d left", size, len(datagram))
		}
		kind := binary.NativeEndian.Uint16(datagram[4:])
		body := datagram[unix.NLMSG_HDRLEN:size]
		mine := binary.NativeEndian.Uint32(datagram[8:]) == sequence
		datagram = datagram[min(nlAlign(size), len(datagram)):]
		if !mine {
			continue
		}
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			// Both begin with a negative errno, or 0.
			if len(body) >= 4 {
				if errno := int32(binary.NativeEndian.Uint32(body)); errno < 0 {
					return true, unix.Errno(-errno)
				}
			}
			return true, nil
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(*found) >= maxListeners {
				return false, fmt.Errorf("more than %d listening sockets", maxListeners)
			}
			if err := addDiagSocket(body, found); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// addDiagSocket reads one inet_diag_msg.
func addDiagSocket(body []byte, found *[]netip.AddrPort) error {
	if len(body) < diagMsgLen {
		return fmt.Errorf("a socket of %d bytes, want %d", len(body), diagMsgLen)
	}
	if body[1] != tcpListen {
		return nil
	}
	port := binary.BigEndian.Uint16(body[4:])
	switch body[0] {
	case unix.AF_INET:
		*found = append(*found, netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[8:12])), port))
	case unix.AF_INET6:
		v6only := false
		for attrs := body[diagMsgLen:]; len(attrs) >= 4; {
			size := int(binary.NativeEndian.Uint16(attrs))
			if size < 4 || size > len(attrs) {
				return fmt.Errorf("an attribute of %d bytes with %d left", size, len(attrs))
			}
			if binary.NativeEndian.Uint16(attrs[2:]) == diagSKV6Only && size > 4 {
				v6only = attrs[4] != 0
			}
			attrs = attrs[min(nlAlign(size), len(attrs)):]
		}
		addV6(netip.AddrFrom16([16]byte(body[8:24])), port, v6only, found)
	}
	return nil
}

// addV6 adds an IPv6 socket, a dual-stack wildcard for both families.
func addV6(addr netip.Addr, port uint16, v6only bool, found *[]netip.AddrPort) {
	*found = append(*found, netip.AddrPortFrom(addr.Unmap(), port))
	if addr.IsUnspecified() && !v6only {
		*found = append(*found, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
}

// nlAlign rounds up to the 4 bytes netlink aligns messages and attributes to.
func nlAlign(size int) int { return (size + 3) &^ 3 }

// procListeners reads the listening sockets from /proc. The kernel lists them
// before all connections (Documentation/networking/proc_net_tcp.rst), so that
// reading stops there and costs the same whatever the number of connections.
// /proc does not tell which IPv6 sockets are IPv6 only: the default for new
// sockets, net.ipv6.bindv6only, is taken for all.
func procListeners(ctx context.Context) ([]netip.AddrPort, error) {
	bindv6only, _ := os.ReadFile("/proc/sys/net/ipv6/bindv6only")
	v6only := strings.TrimSpace(string(bindv6only)) == "1"
	var found []netip.AddrPort
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) && path == "/proc/net/tcp6" {
			break // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		err = parseProcTCP(ctx, file, v6only, &found)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return found, nil
}

// States of /proc/net/tcp that come with the listening sockets: half-open
// connections are listed beside their listener by kernels before 4.4.
const (
	procSynRecv = "03"
	procListen  = "0A"
)

func parseProcTCP(ctx context.Context, r io.Reader, v6only bool, found *[]netip.AddrPort) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), 4096)
	lines.Scan() // the heading
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			return fmt.Errorf("line %.60q has %d fields, want 4", lines.Text(), len(fields))
		}
		if fields[3] == procSynRecv {
			continue
		}
		if fields[3] != procListen {
			return nil
		}
		if len(*found) >= maxListeners {
			return fmt.Errorf("more than %d listening sockets", maxListeners)
		}
		if err := addProcSocket(fields[1], v6only, found); err != nil {
			return err
		}
	}
	return lines.Err()
}

// addProcSocket reads a local address such as 0100007F:0050: 32-bit words in
// the machine's byte order, written as hexadecimal numbers.
func addProcSocket(local string, v6only bool, found *[]netip.AddrPort) error {
	addrText, portText, _ := strings.Cut(local, ":")
	raw, err := hex.DecodeString(addrText)
	port, portErr := strconv.ParseUint(portText, 16, 16)
	if err != nil || portErr != nil || len(raw) != 4 && len(raw) != 16 {
		return fmt.Errorf("%.60q is not an address and port", local)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	if addr.Is4() {
		*found = append(*found, netip.AddrPortFrom(addr, uint16(port)))
		return nil
	}
	addV6(addr, uint16(port), v6only, found)
	return nil
}
