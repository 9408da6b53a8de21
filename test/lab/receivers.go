//go:build lab

package lab

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"hacheck/notify"
)

// gate is a listener that can be made deaf: connections are taken and never
// answered, which is what a relay behind a VIP that has just moved looks like.
type gate struct {
	net.Listener

	mu   sync.Mutex
	deaf bool
	held []net.Conn
}

// Accept hands over connections unless the gate is deaf.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		deaf := g.deaf
		if deaf {
			g.held = append(g.held, conn)
		}
		g.mu.Unlock()
		if !deaf {
			return conn, nil
		}
	}
}

func (g *gate) setDeaf(deaf bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deaf = deaf
	for _, conn := range g.held {
		_ = conn.Close()
	}
	g.held = nil
}

// letter is one mail as the relay took it.
type letter struct {
	at         time.Time
	peer       string // the node's address
	recipients []string
	messageID  string
	subject    string
	text       string // the plain text part, decoded
}

// post is one webhook request.
type post struct {
	at    time.Time
	key   string // Idempotency-Key
	event notify.Event
}

// receivers are a mail relay on ports 25 and 587 and a webhook on port 8099 of
// the lab's address.
type receivers struct {
	gates  []*gate
	closer []io.Closer
	relay  *smtp.Server

	mu      sync.Mutex
	letters []letter
	posts   []post
	errs    []error
}

const webhookURL = "http://" + labAddress + ":8099/hook"

func startReceivers(network *network) (*receivers, error) {
	r := &receivers{}
	relay := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		peer, _, _ := net.SplitHostPort(conn.Conn().RemoteAddr().String())
		return &session{receivers: r, peer: peer}, nil
	}))
	relay.Domain = "mail.example.org"
	relay.ReadTimeout, relay.WriteTimeout = 30*time.Second, 30*time.Second
	relay.MaxMessageBytes = 1 << 20
	hook := &http.Server{Handler: http.HandlerFunc(r.webhook), ReadTimeout: 30 * time.Second}
	r.closer = append(r.closer, relay, hook)
	r.relay = relay
	for port, serve := range map[uint16]func(net.Listener) error{25: relay.Serve, 587: relay.Serve, 8099: hook.Serve} {
		if err := r.listen(network, netip.AddrPortFrom(netip.MustParseAddr(labAddress), port), serve); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *receivers) listen(network *network, address netip.AddrPort, serve func(net.Listener) error) error {
	listener, err := network.listen(address)
	if err != nil {
		return fmt.Errorf("receiver on %s: %w", address, err)
	}
	g := &gate{Listener: listener}
	r.gates = append(r.gates, g)
	go func() { _ = serve(g) }()
	return nil
}

// relayAlsoOn opens the mail relay's port 25 on another address of the lab.
func (r *receivers) relayAlsoOn(network *network, address string) error {
	return r.listen(network, netip.AddrPortFrom(netip.MustParseAddr(address), 25), r.relay.Serve)
}

func (r *receivers) close() {
	for _, g := range r.gates {
		g.setDeaf(false)
		_ = g.Close()
	}
	for _, c := range r.closer {
		_ = c.Close()
	}
}

func (r *receivers) setDeaf(deaf bool) {
	for _, g := range r.gates {
		g.setDeaf(deaf)
	}
}

func (r *receivers) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// takeErrors returns what peers sent that no receiver could read.
func (r *receivers) takeErrors() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := errors.Join(r.errs...)
	r.errs = nil
	return err
}

func (r *receivers) webhook(w http.ResponseWriter, request *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, 1<<20))
	var event notify.Event
	if err == nil {
		err = json.Unmarshal(body, &event)
	}
	if err != nil {
		r.fail(fmt.Errorf("webhook body from %s: %w: %.200q", request.RemoteAddr, err, body))
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts = append(r.posts, post{now, request.Header.Get("Idempotency-Key"), event})
}

func (r *receivers) mailsSince(moment time.Time) []letter {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []letter
	for _, l := range r.letters {
		if l.at.After(moment) {
			found = append(found, l)
		}
	}
	return found
}

func (r *receivers) postsSince(moment time.Time) []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []post
	for _, p := range r.posts {
		if p.at.After(moment) {
			found = append(found, p)
		}
	}
	return found
}

// session takes mails for the relay.
type session struct {
	receivers  *receivers
	peer       string
	recipients []string
}

func (s *session) Reset()                               { s.recipients = nil }
func (s *session) Logout() error                        { return nil }
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.recipients = append(s.recipients, to)
	return nil
}

func (s *session) Data(body io.Reader) error {
	now := time.Now()
	message, err := mail.ReadMessage(body)
	if err != nil {
		s.receivers.fail(fmt.Errorf("mail from %s: %w", s.peer, err))
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		s.receivers.fail(fmt.Errorf("subject of a mail from %s: %w", s.peer, err))
		return err
	}
	text, err := plainText(message.Header.Get("Content-Type"), message.Header.Get("Content-Transfer-Encoding"), message.Body)
	if err != nil {
		s.receivers.fail(fmt.Errorf("mail %q from %s: %w", subject, s.peer, err))
		return err
	}
	s.receivers.mu.Lock()
	defer s.receivers.mu.Unlock()
	s.receivers.letters = append(s.receivers.letters, letter{
		at: now, peer: s.peer, recipients: slices.Clone(s.recipients),
		messageID: message.Header.Get("Message-Id"), subject: subject, text: text,
	})
	return nil
}

// plainText decodes a mail's text, or the first text/plain part of it.
func plainText(contentType, encoding string, body io.Reader) (string, error) {
	media, params := "text/plain", map[string]string{}
	if contentType != "" {
		var err error
		if media, params, err = mime.ParseMediaType(contentType); err != nil {
			return "", fmt.Errorf("content type %q: %w", contentType, err)
		}
	}
	if strings.HasPrefix(media, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err == io.EOF {
				return "", errors.New("no text/plain part")
			}
			if err != nil {
				return "", err
			}
			text, err := plainText(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
			if err == nil {
				return text, nil
			}
		}
	}
	if media != "text/plain" {
		return "", fmt.Errorf("a part is %s", media)
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	data, err := io.ReadAll(body)
	return string(data), err
}

// servers are what HAProxy sends its traffic to: each answers HTTP 200 to any
// request, on a real socket that can be closed and opened again.
type servers struct {
	network *network

	mu   sync.Mutex
	open map[netip.AddrPort]*http.Server
}

func (s *servers) start(addresses ...netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range addresses {
		if s.open[address] != nil {
			continue
		}
		listener, err := s.network.listen(address)
		if err != nil {
			return fmt.Errorf("server on %s: %w", address, err)
		}
		server := &http.Server{ReadTimeout: 30 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "ok")
		})}
		go func() { _ = server.Serve(listener) }()
		s.open[address] = server
	}
	return nil
}

// kill closes listeners and their connections; the address then refuses.
func (s *servers) kill(addresses ...netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range addresses {
		if server := s.open[address]; server != nil {
			_ = server.Close()
			delete(s.open, address)
		}
	}
}

func (s *servers) killAll() {
	s.mu.Lock()
	open := make([]netip.AddrPort, 0, len(s.open))
	for address := range s.open {
		open = append(open, address)
	}
	s.mu.Unlock()
	s.kill(open...)
}
