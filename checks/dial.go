package checks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// TLSOptions say how a peer's certificate is judged. The zero value demands
// one that the system's roots vouch for and that names the host dialled.
type TLSOptions struct {
	// ServerName is sent as SNI and must be in the certificate. Empty stands
	// for the host of the address or URL.
	ServerName string
	// CAFile is a PEM file with the roots to trust instead of the system's.
	CAFile string
	// Insecure accepts any certificate.
	Insecure bool
}

// config reads the CA file and returns a client's configuration.
func (o TLSOptions) config() (*tls.Config, error) {
	config := &tls.Config{ServerName: o.ServerName, InsecureSkipVerify: o.Insecure}
	if o.CAFile == "" {
		return config, nil
	}
	pem, err := readBounded(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no PEM certificate", o.CAFile)
	}
	return config, nil
}

// maxCAFile is several times the system's whole bundle.
const maxCAFile = 4 << 20

// readBounded reads a regular file. Opening anything else must not wait, which a
// FIFO without a writer would.
func readBounded(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxCAFile+1))
	if err == nil && len(content) > maxCAFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxCAFile)
	}
	return content, err
}

// splitAddress reads host:port, [v6]:port, unix:/path or unix:@abstract and
// returns what a dialler takes.
func splitAddress(text string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if err := checkSocketPath(path); err != nil {
			return "", "", fmt.Errorf("%q: %w", text, err)
		}
		return "unix", path, nil
	}
	if text == "" {
		return "", "", errors.New("an address is empty")
	}
	if strings.HasPrefix(text, "/") {
		return "", "", fmt.Errorf("%q is a path: write unix:%s", text, oneLine(text))
	}
	if strings.Contains(text, "://") {
		return "", "", fmt.Errorf("%q is a URL: write host:port", text)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if addr, err := netip.ParseAddr(text); err == nil && addr.Is6() {
			return "", "", fmt.Errorf("%q has no port: write [%s]:PORT", text, oneLine(text))
		}
		var addrErr *net.AddrError
		if errors.As(err, &addrErr) && addrErr.Err == "missing port in address" {
			return "", "", fmt.Errorf("%q has no port: write %s:PORT", text, oneLine(text))
		}
		return "", "", fmt.Errorf("%q is not an address: write host:port, [IPv6]:port or unix:/path", text)
	}
	if host == "" || host == "*" {
		return "", "", fmt.Errorf("%q has no host: write 127.0.0.1:%s", text, oneLine(port))
	}
	if err := checkHost(host); err != nil {
		return "", "", fmt.Errorf("%q: %w", text, err)
	}
	if err := checkPort(port); err != nil {
		return "", "", fmt.Errorf("%q: %w", text, err)
	}
	return "tcp", net.JoinHostPort(host, port), nil
}

func checkPort(port string) error {
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return fmt.Errorf("%q is not a port: a port is a number from 1 to 65535", port)
	}
	return nil
}

// checkHost refuses what can be neither an address nor a name.
func checkHost(host string) error {
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an IPv6 address", host)
		}
		return nil
	}
	if len(host) > 253 || strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\@,;"'<>[]{}()|^`, r)
	}) {
		return fmt.Errorf("%q is not a host", host)
	}
	return nil
}

// checkSocketPath refuses what no unix socket can be called. The limit is
// sun_path's 108 bytes with its closing NUL (unix(7)).
func checkSocketPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@") || len(path) < 2:
		return fmt.Errorf("%q is not the path of a unix socket: it begins with / (or with @ for an abstract one)", path)
	case len(path) > 107:
		return fmt.Errorf("the path of a unix socket has at most 107 bytes, this one has %d", len(path))
	case strings.ContainsRune(path, 0):
		return errors.New("the path of a unix socket has no NUL byte")
	}
	return nil
}

// dial connects within ctx. A unix socket whose queue is full refuses with
// EAGAIN instead of letting a connection wait as TCP does: it is asked again
// until ctx ends, because a peer that is busy for a moment is not gone. Errors
// do not name the address: every caller does.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	// No keep-alive probes: the connection ends with the check.
	dialer := net.Dialer{KeepAlive: -1}
	for {
		conn, err := dialer.DialContext(ctx, network, address)
		var opErr *net.OpError
		if errors.As(err, &opErr) {
			err = opErr.Err
		}
		if !errors.Is(err, syscall.EAGAIN) || network != "unix" {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("its queue is full: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// bindContext lets reads and writes on conn end with ctx, at its deadline and
// when it is cancelled. The returned function undoes the second.
func bindContext(ctx context.Context, conn net.Conn) (stop func() bool) {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}

// budget says how long ctx allows from start on, for reasons such as "no
// answer within 200ms".
func budget(ctx context.Context, start time.Time) string {
	deadline, ok := ctx.Deadline()
	if !ok || ctx.Err() != nil && time.Now().Before(deadline) {
		return time.Since(start).Round(time.Millisecond).String() + " (then cancelled)"
	}
	return max(deadline.Sub(start).Round(time.Millisecond), 0).String()
}

// endedBy reports whether err comes from the end of ctx, or of another deadline.
// Some packages return ctx's cause for it, which can be any error.
func endedBy(ctx context.Context, err error) bool {
	return isTimeout(err) || ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
}

// isTimeout reports whether err says that ctx or a deadline ended it.
func isTimeout(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// problem puts an error of a connection into a few words without repeating
// the address. The status is Unknown where the trouble is this process's own
// and says nothing about the peer.
func problem(err error) (Status, string) {
	var dnsErr *net.DNSError
	var errno syscall.Errno
	var certErr *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dnsErr):
		if dnsErr.IsNotFound {
			return Fail, "has a name that does not resolve (" + dnsErr.Err + ")"
		}
		return Unknown, "has a name that cannot be looked up now (" + dnsErr.Err + ")"
	case errors.As(err, &certErr):
		return Fail, "shows a certificate that is not accepted: " + certErr.Err.Error()
	case errors.As(err, &errno):
		return errnoStatus(errno), errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Fail, "closed the connection"
	}
	return Fail, err.Error()
}

// errnoStatus tells trouble of this process from an answer of the peer's host.
func errnoStatus(errno syscall.Errno) Status {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, // this machine is out of something
		syscall.EADDRNOTAVAIL,         // no local port is left
		syscall.EACCES, syscall.EPERM, // this user or this machine's firewall
		syscall.EAFNOSUPPORT:
		return Unknown
	}
	return Fail
}
