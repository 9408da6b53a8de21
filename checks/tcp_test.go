package checks

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve listens and runs handle for each connection, until the test ends.
func serve(t testing.TB, network, address string, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn)
			}()
		}
	}()
	if network == "unix" {
		return "unix:" + address
	}
	return listener.Addr().String()
}

// answering sends text and waits for the peer to close.
func answering(text string) func(net.Conn) {
	return func(conn net.Conn) {
		io.WriteString(conn, text)
		io.Copy(io.Discard, conn)
	}
}

// closedPort returns an address of loopback where nobody listens: the port is
// held by a socket that does not listen.
func closedPort(t testing.TB) string {
	t.Helper()
	_, address := bound(t)
	return address
}

// notAccepting returns the address of a listening TCP socket whose queue is
// full: the kernel drops what else wants to connect, as a host does that is
// gone.
func notAccepting(t testing.TB) string {
	t.Helper()
	fd, address := bound(t)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue of ", address, " does not fill")
	return ""
}

// bound is a TCP socket with an address of loopback.
func bound(t testing.TB) (fd int, address string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, "127.0.0.1:" + strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
}

// expectRun runs the check and compares the whole answer.
func expectRun(t *testing.T, check Check, name string, status Status, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := check.Run(ctx)
	if got.Name != name || got.Status != status || got.Reason != reason {
		t.Errorf("got %s %s %q\nwant %s %q", got.Name, got.Status, got.Reason, status, reason)
	}
}

// authority issues certificates for tests.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // PEM
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return authority{key, cert, file}
}

// server returns a configuration that shows a certificate for host.
func (a authority) server(t testing.TB, host string, ends time.Time) *tls.Config {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: ends, DNSNames: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}}
}

// serveTLS answers "hello" over TLS.
func serveTLS(t testing.TB, config *tls.Config) string {
	return serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		secure := tls.Server(conn, config)
		if secure.Handshake() == nil {
			answering("hello")(secure)
		}
	})
}

func mustRequire(t testing.TB, text string) Require {
	t.Helper()
	require, err := ParseRequire(text)
	if err != nil {
		t.Fatal(err)
	}
	return require
}

func TestTCP(t *testing.T) {
	up := serve(t, "tcp", "127.0.0.1:0", answering(""))
	up6 := serve(t, "tcp", "[::1]:0", answering(""))
	upUnix := serve(t, "unix", filepath.Join(t.TempDir(), "s"), answering(""))
	upAbstract := serve(t, "unix", "@hacheck-test-"+strconv.Itoa(os.Getpid()), answering(""))
	closed := closedPort(t)
	noSocket := "unix:" + filepath.Join(t.TempDir(), "none")
	redis := serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		buffer := make([]byte, 6)
		if _, err := io.ReadFull(conn, buffer); err == nil && string(buffer) == "PING\r\n" {
			// In pieces, so that what is expected spans two reads.
			io.WriteString(conn, "+PO")
			time.Sleep(time.Millisecond)
			io.WriteString(conn, "NG\r\n")
		}
		io.Copy(io.Discard, conn)
	})
	wrong := serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) { io.WriteString(conn, "-ERR \x1b[31mno\r\n") })
	silent := serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {})
	endless := serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, strings.Repeat("x", 4096)); err != nil {
				return
			}
		}
	})
	ca := newAuthority(t)
	later := time.Now().Add(time.Hour)
	byAddress := serveTLS(t, ca.server(t, "127.0.0.1", later))
	byName := serveTLS(t, ca.server(t, "db.example", later))
	expired := serveTLS(t, ca.server(t, "127.0.0.1", time.Now().Add(-time.Hour)))
	trusted := &TLSOptions{CAFile: ca.file}

	for _, test := range []struct {
		name    string
		options TCPOptions
		require string
		status  Status
		reason  string
	}{
		{"up", TCPOptions{Addresses: []string{up}}, "any", Pass, up + " accepts connections"},
		{"IPv6", TCPOptions{Addresses: []string{up6}}, "any", Pass, up6 + " accepts connections"},
		{"unix", TCPOptions{Addresses: []string{upUnix}}, "any", Pass, upUnix + " accepts connections"},
		{"abstract", TCPOptions{Addresses: []string{upAbstract}}, "any", Pass, upAbstract + " accepts connections"},
		{"name", TCPOptions{Addresses: []string{"localhost:" + up[strings.LastIndex(up, ":")+1:]}}, "any", Pass,
			"localhost:" + up[strings.LastIndex(up, ":")+1:] + " accepts connections"},
		{"closed", TCPOptions{Addresses: []string{closed}}, "any", Fail, closed + " connection refused"},
		{"no socket", TCPOptions{Addresses: []string{noSocket}}, "any", Fail, noSocket + " no such file or directory"},
		{"any of two", TCPOptions{Addresses: []string{up, up6}}, "all", Pass, "2 of 2 addresses answer"},
		{"all of two", TCPOptions{Addresses: []string{closed, up}}, "all", Fail,
			"1 of 2 addresses answer (2 needed): " + closed + " connection refused"},
		{"none of two", TCPOptions{Addresses: []string{closed, noSocket}}, "any", Fail,
			"0 of 2 addresses answer (1 needed): " + closed + " connection refused; " + noSocket + " no such file or directory"},
		{"two thirds", TCPOptions{Addresses: []string{up, closed, upUnix}}, "67%", Fail,
			"2 of 3 addresses answer (3 needed): " + closed + " connection refused"},
		{"answers", TCPOptions{Addresses: []string{redis}, Send: []byte("PING\r\n"), Expect: []byte("+PONG\r\n")}, "any", Pass, redis + " answers"},
		{"wrong answer", TCPOptions{Addresses: []string{wrong}, Expect: []byte("+PONG")}, "any", Fail,
			wrong + ` did not send "+PONG", but "-ERR \x1b[31mno\r\n"`},
		{"closes", TCPOptions{Addresses: []string{silent}, Expect: []byte("+PONG")}, "any", Fail,
			silent + " closed the connection before it sent anything"},
		{"endless", TCPOptions{Addresses: []string{endless}, Expect: []byte("y")}, "any", Fail,
			endless + ` did not send "y" in its first 65536 bytes, which begin with "` + strings.Repeat("x", 60) + `"…`},
		{"TLS", TCPOptions{Addresses: []string{byAddress}, TLS: trusted, Expect: []byte("hello")}, "any", Pass, byAddress + " answers"},
		{"TLS with a server name", TCPOptions{Addresses: []string{byName}, TLS: &TLSOptions{CAFile: ca.file, ServerName: "db.example"}}, "any", Pass,
			byName + " accepts connections"},
		{"TLS for another name", TCPOptions{Addresses: []string{byName}, TLS: &TLSOptions{CAFile: ca.file, ServerName: "other.example"}}, "any", Fail,
			byName + " failed the TLS handshake: shows a certificate that is not accepted: x509: certificate is valid for db.example, not other.example"},
		{"TLS of an unknown authority", TCPOptions{Addresses: []string{byAddress}, TLS: &TLSOptions{}}, "any", Fail,
			byAddress + " failed the TLS handshake: shows a certificate that is not accepted: x509: certificate signed by unknown authority"},
		{"TLS insecure", TCPOptions{Addresses: []string{expired}, TLS: &TLSOptions{Insecure: true}}, "any", Pass, expired + " accepts connections"},
		{"TLS to a plain peer", TCPOptions{Addresses: []string{wrong}, TLS: trusted}, "any", Fail,
			wrong + " failed the TLS handshake: tls: first record does not look like a TLS handshake"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Require = mustRequire(t, test.require)
			check, err := NewTCP("peers", test.options)
			if err != nil {
				t.Fatal(err)
			}
			expectRun(t, check, "peers", test.status, test.reason)
		})
	}

	t.Run("TLS expired", func(t *testing.T) {
		check, err := NewTCP("peers", TCPOptions{Addresses: []string{expired}, TLS: trusted})
		if err != nil {
			t.Fatal(err)
		}
		got := check.Run(t.Context())
		want := expired + " failed the TLS handshake: shows a certificate that is not accepted: x509: certificate has expired or is not yet valid"
		if got.Status != Fail || !strings.HasPrefix(got.Reason, want) {
			t.Errorf("got %s %q\nwant fail %q…", got.Status, got.Reason, want)
		}
	})
}

func TestTCPParts(t *testing.T) {
	up, closed := serve(t, "tcp", "127.0.0.1:0", answering("")), closedPort(t)
	check, err := NewTCP("peers", TCPOptions{Addresses: []string{up, closed}, Require: RequireAll})
	if err != nil {
		t.Fatal(err)
	}
	got := check.Run(t.Context())
	want := []Result{{Name: closed, Status: Fail, Reason: "connection refused"}, {Name: up, Status: Pass, Reason: "accepts connections"}}
	if len(got.Parts) != 2 || got.Parts[0].Reason != want[0].Reason || got.Parts[0].Name != closed || got.Parts[1].Name != up {
		t.Errorf("got %+v, want %+v", got.Parts, want)
	}
}

// TestTCPDoesNotWaitForMore: one that stalls does not hold up an answer that is
// known, good or bad.
func TestTCPDoesNotWaitForMore(t *testing.T) {
	up := serve(t, "tcp", "127.0.0.1:0", answering("hello"))
	stalled := serve(t, "tcp", "127.0.0.1:0", answering(""))
	closed := closedPort(t)
	for _, test := range []struct {
		addresses []string
		require   Require
		status    Status
		reason    string
	}{
		{[]string{stalled, up}, RequireAny, Pass, "1 of 2 addresses answer: " + stalled + " was not waited for"},
		{[]string{stalled, closed}, RequireAll, Fail,
			"0 of 2 addresses answer (2 needed): " + closed + " connection refused; " + stalled + " was not waited for"},
	} {
		check, err := NewTCP("peers", TCPOptions{Addresses: test.addresses, Expect: []byte("hello"), Require: test.require})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got := check.Run(ctx); got.Status != test.status || got.Reason != test.reason {
			t.Errorf("got %s %q\nwant %s %q", got.Status, got.Reason, test.status, test.reason)
		}
		if ctx.Err() != nil {
			t.Error("it took a minute")
		}
	}
}

// TestTCPUnixQueueFull: a unix socket whose queue is full for a moment is busy,
// not dead.
func TestTCPUnixQueueFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Close() })

	check, err := NewTCP("peers", TCPOptions{Addresses: []string{"unix:" + path}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	want := regexp.MustCompile(`^unix:\S+ (did not accept a connection|gave no answer) within \d+ms$`)
	if got := check.Run(ctx); got.Status != Fail || !want.MatchString(got.Reason) {
		t.Errorf("while it is full: got %s %q, want %q", got.Status, got.Reason, want)
	}

	results := make(chan Result)
	ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() { results <- check.Run(ctx) }()
	accepted, _, err := syscall.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(accepted)
	if got := <-results; got.Status != Pass {
		t.Errorf("when there is room again: got %s %q", got.Status, got.Reason)
	}
}

func TestTCPUnknown(t *testing.T) {
	// .invalid never resolves (RFC 6761); without a resolver nothing is known.
	check, err := NewTCP("peers", TCPOptions{Addresses: []string{"name.invalid:80"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	got := check.Run(ctx)
	if got.Status.Healthy() || !strings.HasPrefix(got.Reason, "name.invalid:80 ") {
		t.Errorf("got %s %q", got.Status, got.Reason)
	}
}

func TestNewTCPErrors(t *testing.T) {
	dir := t.TempDir()
	notPEM := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		options TCPOptions
		want    string
	}{
		{TCPOptions{}, "no address is given"},
		{TCPOptions{Addresses: make([]string, 257)}, "257 addresses are given, at most 256 are checked side by side"},
		{TCPOptions{Addresses: []string{"a:1"}, Require: mustRequire(t, "2")}, "2 of 1 addresses can never answer"},
		{TCPOptions{Addresses: []string{""}}, "an address is empty"},
		{TCPOptions{Addresses: []string{"db"}}, `"db" has no port: write db:PORT`},
		{TCPOptions{Addresses: []string{"::1"}}, `"::1" has no port: write [::1]:PORT`},
		{TCPOptions{Addresses: []string{"[::1]"}}, `"[::1]" has no port: write [::1]:PORT`},
		{TCPOptions{Addresses: []string{"1:2:3"}}, `"1:2:3" is not an address: write host:port, [IPv6]:port or unix:/path`},
		{TCPOptions{Addresses: []string{"[1:2]:3"}}, `"[1:2]:3": "1:2" is not an IPv6 address`},
		{TCPOptions{Addresses: []string{":80"}}, `":80" has no host: write 127.0.0.1:80`},
		{TCPOptions{Addresses: []string{"*:80"}}, `"*:80" has no host: write 127.0.0.1:80`},
		{TCPOptions{Addresses: []string{"a b:80"}}, `"a b:80": "a b" is not a host`},
		{TCPOptions{Addresses: []string{"db:mysql"}}, `"db:mysql": "mysql" is not a port: a port is a number from 1 to 65535`},
		{TCPOptions{Addresses: []string{"db:0"}}, `"db:0": "0" is not a port: a port is a number from 1 to 65535`},
		{TCPOptions{Addresses: []string{"db:65536"}}, `"db:65536": "65536" is not a port: a port is a number from 1 to 65535`},
		{TCPOptions{Addresses: []string{"http://db/"}}, `"http://db/" is a URL: write host:port`},
		{TCPOptions{Addresses: []string{"/run/x"}}, `"/run/x" is a path: write unix:/run/x`},
		{TCPOptions{Addresses: []string{"unix:run/x"}}, `"unix:run/x": "run/x" is not the path of a unix socket: it begins with / (or with @ for an abstract one)`},
		{TCPOptions{Addresses: []string{"unix:/" + strings.Repeat("x", 107)}},
			`"unix:/` + strings.Repeat("x", 107) + `": the path of a unix socket has at most 107 bytes, this one has 108`},
		{TCPOptions{Addresses: []string{"unix:/x"}, TLS: &TLSOptions{}}, `"unix:/x": TLS over a unix socket needs a server name to expect in the certificate`},
		{TCPOptions{Addresses: []string{"a:1"}, TLS: &TLSOptions{CAFile: dir + "/none"}}, "CA file: open " + dir + "/none: no such file or directory"},
		{TCPOptions{Addresses: []string{"a:1"}, TLS: &TLSOptions{CAFile: notPEM}}, "CA file " + notPEM + " holds no PEM certificate"},
		{TCPOptions{Addresses: []string{"a:1"}, Expect: make([]byte, 65537)}, "the expected answer has 65537 bytes, at most 65536 are read"},
	} {
		if _, err := NewTCP("peers", test.options); err == nil || err.Error() != test.want {
			t.Errorf("%q: got %v\nwant %s", test.options.Addresses, err, test.want)
		}
	}
	if _, err := NewTCP("", TCPOptions{Addresses: []string{"a:1"}}); err == nil || err.Error() != "a check needs a name" {
		t.Errorf("no name: %v", err)
	}
}

func FuzzSplitAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "unix:/run/x", "unix:@x", "db:80", ":", "[", "\xff:1", "\n", "a:\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		network, address, err := splitAddress(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		if network != "unix" {
			if _, _, err := splitAddress(address); err != nil {
				t.Errorf("%q gives %q, and that %v", text, address, err)
			}
		}
	})
}
