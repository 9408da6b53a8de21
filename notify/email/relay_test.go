package email

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"hacheck/notify/notifytest"
)

const (
	testUser     = "alerts"
	testPassword = "s3cret-pässword"
)

// certificate makes a certificate for relay.test that is its own CA. It
// returns it ready for a server, and the name of a PEM file with it.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certify(t, key, time.Now().Add(time.Hour))
}

// certify is certificate with a given key and end.
func certify(t *testing.T, key crypto.Signer, end time.Time) (*tls.Config, string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay.test"}, DNSNames: []string{"relay.test"},
		NotBefore: end.Add(-24 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, path
}

// delivery is one mail a relay accepted.
type delivery struct {
	from   string
	to     []string
	data   []byte
	tls    bool
	user   string
	method string
}

// relay is a real SMTP server that can be told to refuse.
type relay struct {
	// Set before start:
	tls        *tls.Config // offers STARTTLS if set
	implicit   bool
	mechanisms []string
	iterations int
	onMail     error
	onRcpt     map[string]error
	onData     error

	port int

	mu         sync.Mutex
	deliveries []delivery
}

// start runs the relay for the length of the test.
func (r *relay) start(t *testing.T) *relay {
	t.Helper()
	listener := notifytest.Listen(t)
	r.port = listener.Addr().(*net.TCPAddr).Port
	server := smtp.NewServer(smtp.BackendFunc(func(conn *smtp.Conn) (smtp.Session, error) {
		return &session{relay: r, conn: conn}, nil
	}))
	server.Domain = "relay.test"
	server.AllowInsecureAuth = true
	server.ErrorLog = quiet{}
	if r.implicit {
		listener = tls.NewListener(listener, r.tls)
	} else {
		server.TLSConfig = r.tls
	}
	go server.Serve(listener) //nolint:errcheck // ends with the test
	t.Cleanup(func() { server.Close() })
	return r
}

// mails are the deliveries so far.
func (r *relay) mails() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]delivery(nil), r.deliveries...)
}

// only is the one delivery there must be.
func (r *relay) only(t *testing.T) delivery {
	t.Helper()
	mails := r.mails()
	if len(mails) != 1 {
		t.Fatalf("the relay got %d mails, want 1", len(mails))
	}
	return mails[0]
}

// quiet drops the server's log: refused handshakes are part of the tests.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// session is one connection to a relay.
type session struct {
	relay *relay
	conn  *smtp.Conn
	mail  delivery
}

func (s *session) AuthMechanisms() []string { return s.relay.mechanisms }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.mail.method = mechanism
	check := func(user, password string) error {
		if user != testUser || password != testPassword {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	case sasl.Login:
		return &loginServer{check: check}, nil
	case "CRAM-MD5":
		return &cramServer{done: func() { s.mail.user = testUser }}, nil
	case "SCRAM-SHA-256":
		return &scramServer{iterations: s.relay.iterations, done: func() { s.mail.user = testUser }}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.mail.from, s.mail.to = from, nil
	return s.relay.onMail
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.relay.onRcpt[to]; err != nil {
		return err
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.relay.onData != nil {
		return s.relay.onData
	}
	done := s.mail
	done.data = data
	_, done.tls = s.conn.TLSConnectionState()
	s.relay.mu.Lock()
	s.relay.deliveries = append(s.relay.deliveries, done)
	s.relay.mu.Unlock()
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// loginServer speaks LOGIN.
type loginServer struct {
	check func(user, password string) error
	step  int
	user  string
}

func (s *loginServer) Next(response []byte) ([]byte, bool, error) {
	s.step++
	switch s.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		s.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, s.check(s.user, string(response))
}

// cramServer speaks CRAM-MD5 (RFC 2195).
type cramServer struct {
	done func()
	step int
}

func (s *cramServer) Next(response []byte) ([]byte, bool, error) {
	const challenge = "<1896.697170952@relay.test>"
	if s.step++; s.step == 1 {
		return []byte(challenge), false, nil
	}
	mac := hmac.New(md5.New, []byte(testPassword))
	io.WriteString(mac, challenge) //nolint:errcheck // a hash never fails
	if string(response) != testUser+" "+hex.EncodeToString(mac.Sum(nil)) {
		return nil, true, smtp.ErrAuthFailed
	}
	s.done()
	return nil, true, nil
}

// scramServer speaks SCRAM-SHA-256 (RFC 5802, RFC 7677).
type scramServer struct {
	iterations  int
	done        func()
	step        int
	first, bare string
}

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	s.step++
	switch s.step {
	case 1:
		return nil, false, nil
	case 2:
		s.bare = strings.TrimPrefix(string(response), "n,,")
		_, nonce, _ := strings.Cut(s.bare, ",r=")
		s.first = "r=" + nonce + "server,s=" + base64.StdEncoding.EncodeToString([]byte("salt-and-pepper")) + ",i=" + strconv.Itoa(s.iterations)
		return []byte(s.first), false, nil
	case 3:
		without, proof, _ := strings.Cut(string(response), ",p=")
		salted, err := pbkdf2.Key(sha256.New, testPassword, []byte("salt-and-pepper"), s.iterations, sha256.Size)
		if err != nil {
			return nil, true, err
		}
		message := s.bare + "," + s.first + "," + without
		clientKey := keyed(salted, "Client Key")
		stored := sha256.Sum256(clientKey)
		signature := keyed(stored[:], message)
		for i := range signature {
			signature[i] ^= clientKey[i]
		}
		if proof != base64.StdEncoding.EncodeToString(signature) {
			return nil, true, smtp.ErrAuthFailed
		}
		return []byte("v=" + base64.StdEncoding.EncodeToString(keyed(keyed(salted, "Server Key"), message))), false, nil
	}
	s.done()
	return nil, true, nil
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, text) //nolint:errcheck // a hash never fails
	return mac.Sum(nil)
}

// scripted is a relay that says what a real one never would: it answers each
// line that begins with a word of replies with the text there, verbatim; an
// empty answer closes the connection, and a NUL byte in it waits until the
// client has said more. Other lines get "250 ok".
func scripted(t *testing.T, greeting string, replies map[string]string) int {
	t.Helper()
	return portOf(notifytest.Serve(t, func(conn net.Conn, _ <-chan struct{}) {
		fmt.Fprint(conn, greeting)
		buffer, pending := make([]byte, 4096), []byte(nil)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			pending = append(pending, buffer[:n]...)
			for {
				line, rest, found := bytes.Cut(pending, []byte("\r\n"))
				if !found {
					break
				}
				pending = rest
				reply := "250 ok\r\n"
				for word, text := range replies {
					if strings.HasPrefix(string(line), word) {
						reply = strings.ReplaceAll(text, "LINE", string(line))
					}
				}
				if reply == "" {
					return
				}
				now, later, wait := strings.Cut(reply, "\x00")
				fmt.Fprint(conn, now)
				if wait {
					conn.Read(buffer) //nolint:errcheck // whatever it says
					fmt.Fprint(conn, later)
				}
			}
		}
	}))
}

// portOf is the port of an address.
func portOf(address string) int {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	return port
}

// dialogue is what a relay hears and answers as it takes a mail, with a login.
var dialogue = [][2]string{
	{"EHLO", "250-relay.test\r\n250 AUTH PLAIN\r\n"}, {"AUTH", "235 ok\r\n"}, {"MAIL", "250 ok\r\n"},
	{"RCPT", "250 ok\r\n"}, {"DATA", "354 go\r\n"}, {"\r\n.\r\n", "250 queued\r\n"},
}

// until is a dialogue up to a word, to which the relay answers otherwise.
func until(word, answer string) [][2]string {
	for i, step := range dialogue {
		if step[0] == word {
			return append(slices.Clone(dialogue[:i]), [2]string{word, answer})
		}
	}
	return nil
}

// converse is a relay that goes through one dialogue: it waits for each text
// from its client and answers it, and ends the connection by end.
func converse(t *testing.T, end func(net.Conn), steps ...[2]string) int {
	t.Helper()
	listener := notifytest.Listen(t)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 relay.test\r\n")
		buffer, heard := make([]byte, 64<<10), []byte(nil)
		for _, step := range steps {
			for !bytes.Contains(heard, []byte(step[0])) {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				heard = append(heard, buffer[:n]...)
			}
			fmt.Fprint(conn, step[1])
		}
		end(conn)
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

// reply makes a relay's refusal.
func reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: text}
}
