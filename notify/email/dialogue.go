package email

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"hacheck/notify"
	"hacheck/notify/secret"
)

// maxRead bounds everything a relay says in one dialogue, in bytes. A real
// one says a few kilobytes, TLS certificates included.
const maxRead = 1 << 20

// quitTime bounds the farewell after the mail was accepted: its outcome does
// not depend on it.
const quitTime = time.Second

// deliver opens a connection, sends the mail and returns the recipients the
// relay rejected. With every recipient rejected nothing is sent and err is
// nil.
//
// The steps are made one by one on the protocol layer of go-mail: its Client
// gives up the whole mail if one recipient is rejected, forgets the context
// after dialling and leaves the connection open if AUTH fails.
func (a attempt) deliver(ctx context.Context) ([]rejection, error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// tls.Conn moves the deadlines when it closes; closing the socket under
	// it ends every read and write for certain.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	var stream net.Conn = conn
	if a.mode == ImplicitTLS {
		config, err := a.tlsConfig()
		if err != nil {
			return nil, &fault{step: stepTLS, err: err}
		}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, &fault{step: stepTLS, err: err, hint: tlsHint(err)}
		}
		stream = secure
	}
	client, err := smtp.NewClient(stream, a.cfg.ServerName)
	if err != nil {
		return nil, &fault{step: stepGreeting, err: err}
	}
	client.SkipSMTPUTF8(a.plainAddresses())
	if err := client.Hello(a.cfg.Helo); err != nil {
		return nil, &fault{step: stepHello, err: err}
	}
	if err := a.startTLS(client); err != nil {
		return nil, err
	}
	if a.cfg.Username != "" {
		if err := a.auth(client); err != nil {
			return nil, err
		}
	}
	rejected, err := a.transact(client)
	if err == nil {
		// The context still closes conn if it ends before that.
		if conn.SetDeadline(time.Now().Add(quitTime)) == nil {
			_ = client.Quit() // the mail's outcome is known already
		}
	}
	return rejected, err
}

// dial opens the TCP connection, with the context's deadline set on it.
func (n *Notifier) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", n.relay())
	if err != nil {
		return nil, &fault{step: stepConnect, err: err}
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			conn.Close()
			return nil, &fault{step: stepConnect, err: err}
		}
	}
	return &boundedConn{Conn: conn, left: maxRead}, nil
}

// boundedConn ends the input of a peer that says too much.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the relay said more than %d bytes", maxRead)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// startTLS encrypts the connection if the mode asks for it.
func (a attempt) startTLS(client *smtp.Client) error {
	if a.mode != StartTLS && a.mode != Opportunistic {
		return nil
	}
	if offered, _ := client.Extension("STARTTLS"); !offered {
		if a.mode == Opportunistic {
			return nil
		}
		return &fault{step: stepStartTLS, err: errors.New("the relay does not offer it"),
			hint: "use tls: tls if this port speaks TLS from the start, or tls: none for a relay without TLS"}
	}
	config, err := a.tlsConfig()
	if err != nil {
		return &fault{step: stepStartTLS, err: err}
	}
	if err := client.StartTLS(config); err != nil {
		return &fault{step: stepStartTLS, err: err, hint: tlsHint(err)}
	}
	return nil
}

// tlsConfig is made anew for each attempt, so that a renewed CA file counts.
func (n *Notifier) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{
		ServerName: n.cfg.ServerName,
		MinVersion: tls.VersionTLS12,
		// Encryption without knowing the peer beats none (RFC 7435).
		InsecureSkipVerify: n.cfg.TLS == Opportunistic,
	}
	if n.cfg.CAFile != "" {
		pool, err := secret.ReadCAs(n.cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		config.RootCAs = pool
	}
	return config, nil
}

// tlsHint says what to do about a failed handshake.
func tlsHint(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the relay's certificate, or set this node's clock"
	case errors.As(err, &unknown):
		return "name the CA's certificate in ca_file"
	case errors.As(err, &name):
		return "set server_name to a name in the certificate"
	case errors.As(err, &record):
		return "the port does not speak TLS from the start; use tls: starttls"
	}
	return ""
}

// mechanism is a SASL mechanism as EHLO lists it.
type mechanism string

// The mechanisms, named as RFC 4954's registry does.
const (
	scramSHA256 mechanism = "SCRAM-SHA-256"
	scramSHA1   mechanism = "SCRAM-SHA-1"
	plain       mechanism = "PLAIN"
	login       mechanism = "LOGIN"
	cramMD5     mechanism = "CRAM-MD5"
)

// preferred lists the mechanisms, best first. Under TLS the plain ones come
// before CRAM-MD5, which many relays offer without having the passwords for
// it; in clear they come last.
func preferred(encrypted bool) []mechanism {
	if encrypted {
		return []mechanism{scramSHA256, scramSHA1, plain, login, cramMD5}
	}
	return []mechanism{scramSHA256, scramSHA1, cramMD5, plain, login}
}

// known reports whether m is a mechanism auth can do.
func known(m mechanism) bool {
	switch m {
	case scramSHA256, scramSHA1, plain, login, cramMD5:
		return true
	}
	return false
}

// auth logs in. New made sure that the mode is encrypted or clear AUTH allowed.
func (a attempt) auth(client *smtp.Client) error {
	_, list := client.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(list))
	wanted := preferred(a.mode != NoTLS)
	if a.cfg.Auth != "" {
		wanted = []mechanism{mechanism(strings.ToUpper(a.cfg.Auth))}
	}
	for _, m := range wanted {
		for _, o := range offered {
			if string(m) == o {
				return a.authWith(client, m)
			}
		}
	}
	if len(offered) == 0 {
		return &fault{step: stepAuth, err: errors.New("the relay does not offer it"), hint: "remove username, or use the submission port (587 or 465)"}
	}
	return &fault{step: stepAuth, err: fmt.Errorf("the relay offers %s, not %v", notify.OneLine(list, maxReply), wanted)}
}

// authWith logs in by one mechanism.
func (a attempt) authWith(client *smtp.Client, m mechanism) error {
	var auth smtp.Auth
	user, password := a.cfg.Username, a.password
	host, clear := a.cfg.ServerName, a.cfg.AllowClearAuth
	switch m {
	case scramSHA256:
		auth = boundedSCRAM{smtp.ScramSHA256Auth(user, password)}
	case scramSHA1:
		auth = boundedSCRAM{smtp.ScramSHA1Auth(user, password)}
	case plain:
		auth = smtp.PlainAuth("", user, password, host, clear)
	case login:
		auth = smtp.LoginAuth(user, password, host, clear)
	case cramMD5:
		auth = smtp.CRAMMD5Auth(user, password)
	}
	if err := client.Auth(auth); err != nil {
		hint := ""
		if reply := (*textproto.Error)(nil); errors.As(err, &reply) && reply.Code >= 500 {
			hint = "check username and password_file"
		}
		return &fault{step: stepAuth + " " + string(m), err: err, hint: hint}
	}
	return nil
}

// boundedSCRAM refuses an iteration count that would make this node compute
// for minutes, whatever the context says, or that makes guessing the password
// from the exchange cheap (RFC 7677, section 4, asks for at least 4096).
type boundedSCRAM struct{ smtp.Auth }

const (
	minIterations = 4096
	maxIterations = 1_000_000
)

// Next looks at the count in the server's first message, r=…,s=…,i=COUNT.
func (a boundedSCRAM) Next(fromServer []byte, more bool) ([]byte, error) {
	if more && bytes.HasPrefix(fromServer, []byte("r=")) {
		for field := range bytes.SplitSeq(fromServer, []byte(",")) {
			count, found := bytes.CutPrefix(field, []byte("i="))
			if !found {
				continue
			}
			if i, err := strconv.Atoi(string(count)); err != nil || i < minIterations || i > maxIterations {
				return nil, fmt.Errorf("the relay asks for an iteration count outside %d to %d", minIterations, maxIterations)
			}
		}
	}
	return a.Auth.Next(fromServer, more)
}

// transact sends the mail to every recipient the relay takes.
func (a attempt) transact(client *smtp.Client) ([]rejection, error) {
	if err := client.Mail(path(a.from)); err != nil {
		return nil, &fault{step: stepMail + ":" + path(a.from), err: err, judged: true}
	}
	var rejected []rejection
	for _, to := range a.to {
		err := client.Rcpt(path(to))
		var reply *textproto.Error
		switch {
		case err == nil:
		case errors.As(err, &reply) && reply.Code != 421:
			rejected = append(rejected, rejection{address: to.Address, reply: a.replyText(reply), permanent: permanent(reply.Code)})
		default:
			// 421 closes the connection (RFC 5321, section 3.8).
			return nil, &fault{step: stepRcpt + ":" + path(to), err: err}
		}
	}
	if len(rejected) == len(a.to) {
		return rejected, nil
	}
	body, err := client.Data()
	if err != nil {
		return rejected, &fault{step: stepData, err: err, judged: true}
	}
	if _, err := body.Write(a.letter); err != nil {
		return rejected, &fault{step: stepData, err: err}
	}
	if err := body.Close(); err != nil {
		return rejected, &fault{step: stepEnd, err: err, judged: true}
	}
	return rejected, nil
}

// path writes an address as MAIL and RCPT want it.
func path(address *mail.Address) string {
	return (&mail.Address{Address: address.Address}).String()
}

// plainAddresses reports whether no address needs SMTPUTF8 (RFC 6531).
func (n *Notifier) plainAddresses() bool {
	for _, address := range append([]*mail.Address{n.from}, n.to...) {
		for i := range len(address.Address) {
			if address.Address[i] >= 0x80 {
				return false
			}
		}
	}
	return true
}
