package checks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// TCPOptions say what a TCP check dials and expects.
type TCPOptions struct {
	// Addresses are dialled side by side, 1 to 256 of them: host:port,
	// [IPv6]:port, unix:/path or unix:@abstract. A name is looked up each time
	// and any of its addresses will do.
	Addresses []string
	// Require says how many must answer. The zero value is any.
	Require Require
	// Send is written after connecting, after the TLS handshake if there is one.
	Send []byte
	// Expect must occur in the first 64 KiB that the peer sends. Without it a
	// connection (and handshake) is enough, which says nothing about what is
	// behind a proxy such as HAProxy in TCP mode.
	Expect []byte
	// TLS, when not nil, starts TLS at once.
	TLS *TLSOptions
}

// TCP checks that addresses accept connections and answer as expected.
type TCP struct {
	name    string
	options TCPOptions
	peers   []tcpPeer
	labels  []string
	tls     *tls.Config
}

type tcpPeer struct{ network, address string }

// maxExpect bounds what is read from a peer to find Expect.
const maxExpect = 64 << 10

// NewTCP returns a check of options. It reads the CA file, but dials nothing.
func NewTCP(name string, options TCPOptions) (*TCP, error) {
	if name == "" {
		return nil, errors.New("a check needs a name")
	}
	if err := checkPeers("address", options.Addresses, options.Require); err != nil {
		return nil, err
	}
	if len(options.Expect) > maxExpect {
		return nil, fmt.Errorf("the expected answer has %d bytes, at most %d are read", len(options.Expect), maxExpect)
	}
	check := &TCP{name: name, options: options}
	for _, text := range options.Addresses {
		network, address, err := splitAddress(text)
		if err != nil {
			return nil, err
		}
		if network == "unix" && options.TLS != nil && options.TLS.ServerName == "" && !options.TLS.Insecure {
			return nil, fmt.Errorf("%q: TLS over a unix socket needs a server name to expect in the certificate", text)
		}
		check.peers = append(check.peers, tcpPeer{network, address})
		check.labels = append(check.labels, oneLineMax(text, maxLabel))
	}
	if options.TLS != nil {
		var err error
		if check.tls, err = options.TLS.config(); err != nil {
			return nil, err
		}
	}
	return check, nil
}

// checkPeers judges the list of what a check connects to; noun is singular.
func checkPeers(noun string, peers []string, require Require) error {
	plural := map[string]string{"address": "addresses", "URL": "URLs"}[noun]
	if len(peers) == 0 {
		return fmt.Errorf("no %s is given", noun)
	}
	if len(peers) > maxPeers {
		return fmt.Errorf("%d %s are given, at most %d are checked side by side", len(peers), plural, maxPeers)
	}
	if require.Of(len(peers)) > len(peers) {
		return fmt.Errorf("%s of %d %s can never answer", require, len(peers), plural)
	}
	return nil
}

// Name returns the name given to NewTCP.
func (c *TCP) Name() string { return c.name }

// Run dials all addresses side by side and returns as soon as the answer is
// known.
func (c *TCP) Run(ctx context.Context) Result {
	parts := sideBySide(ctx, c.labels, c.options.Require, func(ctx context.Context, i int) (Status, string) {
		return c.probe(ctx, c.peers[i])
	})
	return combine(c.name, c.options.Require, "addresses answer", parts)
}

func (c *TCP) probe(ctx context.Context, peer tcpPeer) (Status, string) {
	start := time.Now()
	conn, err := dial(ctx, peer.network, peer.address)
	if err != nil {
		if isTimeout(err) {
			return Fail, "did not accept a connection within " + budget(ctx, start)
		}
		return problem(err)
	}
	defer conn.Close()
	stop := bindContext(ctx, conn)
	defer stop()

	if c.tls != nil {
		config := c.tls
		if config.ServerName == "" && peer.network == "tcp" {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(peer.address)
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			if isTimeout(err) {
				return Fail, "did not finish a TLS handshake within " + budget(ctx, start)
			}
			status, words := problem(err)
			return status, "failed the TLS handshake: " + words
		}
		conn = secure
	}
	if len(c.options.Send) > 0 {
		if _, err := conn.Write(c.options.Send); err != nil {
			if isTimeout(err) {
				return Fail, "did not take what was sent within " + budget(ctx, start)
			}
			return problem(err)
		}
	}
	if len(c.options.Expect) == 0 {
		return Pass, "accepts connections"
	}
	seen, found, err := readUntil(conn, c.options.Expect, maxExpect)
	switch want := quote(c.options.Expect); {
	case found:
		return Pass, "answers"
	case err != nil && isTimeout(err) && len(seen) == 0:
		return Fail, "accepted the connection but sent nothing within " + budget(ctx, start)
	case err != nil && isTimeout(err):
		return Fail, fmt.Sprintf("did not send %s within %s, but %s", want, budget(ctx, start), quote(seen))
	case err != nil && len(seen) == 0:
		status, words := problem(err)
		return status, words + " before it sent anything"
	case err != nil:
		return Fail, fmt.Sprintf("did not send %s, but %s", want, quote(seen))
	default:
		return Fail, fmt.Sprintf("did not send %s in its first %d bytes, which begin with %s", want, len(seen), quote(seen))
	}
}

// quote shows the beginning of what a peer sent, or should have sent.
func quote(data []byte) string {
	const shown = 60
	if len(data) > shown {
		return strconv.Quote(string(data[:shown])) + "…"
	}
	return strconv.Quote(string(data))
}

// readUntil reads until want was seen, limit bytes were read (err is nil) or
// reading fails (at the end of what the peer sends with io.EOF).
func readUntil(r io.Reader, want []byte, limit int) (seen []byte, found bool, err error) {
	buffer := make([]byte, 4096)
	for len(seen) < limit {
		n, err := r.Read(buffer[:min(len(buffer), limit-len(seen))])
		// want may have begun in what was read before.
		from := max(len(seen)-len(want)+1, 0)
		seen = append(seen, buffer[:n]...)
		if bytes.Contains(seen[from:], want) {
			return seen, true, nil
		}
		if err != nil {
			return seen, false, err
		}
	}
	return seen, false, nil
}
