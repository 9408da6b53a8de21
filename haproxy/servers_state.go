package haproxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// ServerAddr is one server of `show servers state`, with the address HAProxy
// connects to. This command tells it on a socket of level user too, where
// `show stat` leaves its column addr empty.
type ServerAddr struct {
	Backend, Server string
	// Addr is "ip:port"; it is empty for a server without an IP address (a
	// unix socket, a name that did not resolve yet).
	Addr string
}

// ReadServersState reads one answer of `show servers state` to the empty line
// that ends it and calls server for each. The errors are those of
// NewStatReader.
func ReadServersState(in *bufio.Reader, server func(ServerAddr)) error {
	const version = "1\n"
	start, err := in.Peek(len(version))
	if string(start) != version {
		return notATable("show servers state", in, start, err)
	}
	var backend, name, addr, port int // columns
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%w: line %d of show servers state is longer than %d bytes", ErrFormat, n+1, in.Size())
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w within line %d of show servers state", ErrTruncated, n+1)
		case err != nil:
			return err
		}
		if n == 0 {
			continue // the format's version, seen above
		}
		text := string(trimEOL(line))
		if text == "" {
			if n == 1 {
				return fmt.Errorf("%w: show servers state has no header", ErrFormat)
			}
			return nil
		}
		fields := strings.Fields(text)
		if n == 1 {
			backend, name, addr, port = -1, -1, -1, -1
			if len(fields) > 0 && fields[0] == "#" {
				fields = fields[1:]
			}
			for i, field := range fields {
				switch field {
				case "be_name":
					backend = i
				case "srv_name":
					name = i
				case "srv_addr":
					addr = i
				case "srv_port":
					port = i
				}
			}
			if min(backend, name, addr) < 0 {
				return fmt.Errorf("%w: the header of show servers state lacks be_name, srv_name or srv_addr", ErrFormat)
			}
			continue
		}
		if max(backend, name, addr) >= len(fields) {
			return fmt.Errorf("%w: line %d of show servers state has only %d columns", ErrFormat, n+1, len(fields))
		}
		found := ServerAddr{Backend: fields[backend], Server: fields[name]}
		if port >= 0 && port < len(fields) && fields[addr] != "-" {
			if p, err := strconv.ParseUint(fields[port], 10, 16); err == nil {
				found.Addr = net.JoinHostPort(fields[addr], strconv.FormatUint(p, 10))
			}
		}
		server(found)
	}
}
