package email

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// secrets are the texts no error may hold.
func secrets() []string {
	return []string{
		testPassword,
		base64.StdEncoding.EncodeToString([]byte(testPassword)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + testUser + "\x00" + testPassword)),
	}
}

func must(t *testing.T, cfg Config) *Notifier {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// config is a configuration for a relay on a port of loopback, without TLS.
func config(port int) Config {
	return Config{Name: "mail", Host: "127.0.0.1", Port: port, TLS: NoTLS, From: "HA <hacheck@example.com>", To: []string{"ops@example.com"}}
}

// passwordFile writes a password file.
func passwordFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withLogin adds a login to a configuration.
func withLogin(t *testing.T, cfg Config) Config {
	t.Helper()
	cfg.Username, cfg.PasswordFile = testUser, passwordFile(t, testPassword+"\n")
	return cfg
}

func TestContract(t *testing.T) {
	for _, mode := range []TLSMode{NoTLS, StartTLS, ImplicitTLS, Opportunistic} {
		t.Run(string(mode), func(t *testing.T) {
			prologue := "220 relay.test ESMTP\r\n250-relay.test\r\n250 STARTTLS\r\n220 go ahead\r\n"
			switch mode {
			case NoTLS:
				prologue = "220 relay.test ESMTP\r\n250-relay.test\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go ahead\r\n"
			case ImplicitTLS:
				prologue = "\x16\x03\x03\x40\x00\x02"
			}
			notifytest.Contract{
				New: func(t *testing.T, address string) notify.Notifier {
					cfg := config(portOf(address))
					cfg.TLS = mode
					if mode != Opportunistic {
						cfg = withLogin(t, cfg)
						cfg.AllowClearAuth = true
					}
					return must(t, cfg)
				},
				Prologue: prologue,
				Secrets:  secrets(),
			}.Run(t)
		})
	}
}

func TestMail(t *testing.T) {
	r := new(relay).start(t)
	cfg := config(r.port)
	cfg.To = []string{"Ops Team <ops@example.com>", "oncall@example.com"}
	n := must(t, cfg)
	event := notifytest.Event()
	if err := n.Notify(t.Context(), notify.Notification{Event: event}); err != nil {
		t.Fatal(err)
	}
	got := r.only(t)
	if got.from != "hacheck@example.com" || strings.Join(got.to, " ") != "ops@example.com oncall@example.com" || got.tls {
		t.Errorf("envelope is %+v", got)
	}
	letter, text, html := parse(t, got.data)
	message := notify.Render(notify.Notification{Event: event}, notify.English)
	subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
	if err != nil || subject != message.Subject {
		t.Errorf("Subject is %q, want %q", subject, message.Subject)
	}
	if text != message.Text || html != message.HTML {
		t.Errorf("text is\n%q, want\n%q\nand HTML\n%q, want\n%q", text, message.Text, html, message.HTML)
	}
	for name, want := range map[string]string{
		"From":               `"HA" <hacheck@example.com>`,
		"To":                 `"Ops Team" <ops@example.com>, <oncall@example.com>`,
		"Message-Id":         "<" + event.ID + "@lb1.example.com>",
		"Date":               "Sun, 02 Mar 2025 14:05:06 +0800",
		"Auto-Submitted":     "auto-generated",
		"Mime-Version":       "1.0",
		"X-Hacheck-Event":    event.ID,
		"X-Hacheck-Name":     "VI_1",
		"X-Hacheck-State":    "FAULT",
		"X-Hacheck-Host":     "lb1.example.com",
		"X-Hacheck-Story":    "transition",
		"X-Hacheck-Severity": "critical",
		"X-Priority":         "1",
		"User-Agent":         "",
	} {
		if got := letter.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	root := letter.Header.Get("References")
	if !strings.HasPrefix(root, "<thread-") || letter.Header.Get("In-Reply-To") != root {
		t.Errorf("References is %q, In-Reply-To %q", root, letter.Header.Get("In-Reply-To"))
	}

	t.Run("a second attempt is the same mail", func(t *testing.T) {
		if err := n.Notify(t.Context(), notify.Notification{Event: event}); err != nil {
			t.Fatal(err)
		}
		if again := r.mails()[1]; !bytes.Equal(again.data, got.data) {
			t.Errorf("second attempt sent\n%s\nfirst\n%s", again.data, got.data)
		}
	})
	t.Run("threads", func(t *testing.T) {
		peer, other := event, event
		peer.Host, peer.State = "lb2.example.com", notify.Master
		other.VIPs = other.VIPs[:1]
		if thread(peer) != root {
			t.Error("the peer's mail is in another thread")
		}
		if thread(other) == root {
			t.Error("another pair's mail is in the same thread")
		}
	})
	t.Run("chinese", func(t *testing.T) {
		cfg := config(r.port)
		cfg.Style.Language = notify.SimplifiedChinese
		if err := must(t, cfg).Notify(t.Context(), notify.Notification{Event: event}); err != nil {
			t.Fatal(err)
		}
		mails := r.mails()
		data := mails[len(mails)-1].data
		letter, text, _ := parse(t, data)
		message := notify.Render(notify.Notification{Event: event}, notify.SimplifiedChinese)
		subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
		if err != nil || subject != message.Subject || text != message.Text {
			t.Errorf("subject %q, text %q", subject, text)
		}
		for i := range len(data) {
			if data[i] >= 0x80 {
				t.Fatalf("byte %d of the mail is not ASCII, 8BITMIME was not agreed", i)
			}
		}
	})
}

// parse takes a mail of two alternatives apart.
func parse(t *testing.T, data []byte) (letter *mail.Message, text, html string) {
	t.Helper()
	letter, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	kind, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type is %q (%v)", letter.Header.Get("Content-Type"), err)
	}
	var parts []string
	reader := multipart.NewReader(letter.Body, params["boundary"])
	for _, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		part, err := reader.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); got != want {
			t.Errorf("part is %q, want %q", got, want)
		}
		var body io.Reader = quotedprintable.NewReader(part)
		if part.Header.Get("Content-Transfer-Encoding") == "base64" {
			body = base64.NewDecoder(base64.StdEncoding, part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strings.ReplaceAll(string(content), "\r\n", "\n"))
	}
	if _, err := reader.NextRawPart(); err != io.EOF {
		t.Errorf("after the two parts: %v, want the end", err)
	}
	return letter, parts[0], parts[1]
}

func TestHostileEvent(t *testing.T) {
	r := new(relay).start(t)
	event := notifytest.Hostile()
	event.ID = "id>\r\nX-Injected: 1\r\n\r\n" + strings.Repeat("x", 200)
	if err := must(t, config(r.port)).Notify(t.Context(), notify.Notification{Event: event}); err != nil {
		t.Fatal(err)
	}
	got := r.only(t)
	letter, text, html := parse(t, got.data)
	if !utf8.ValidString(text) || !utf8.ValidString(html) {
		t.Error("the text is not UTF-8")
	}
	want := "Auto-Submitted Content-Type Date From Importance In-Reply-To Message-Id Mime-Version Priority References Subject To " +
		"X-Hacheck-Event X-Hacheck-Host X-Hacheck-Name X-Hacheck-Severity X-Hacheck-State X-Hacheck-Story X-Msmail-Priority X-Priority"
	for name, values := range letter.Header {
		if !strings.Contains(" "+want+" ", " "+name+" ") || len(values) != 1 {
			t.Errorf("header %s: %.80q is not one of ours", name, values)
		}
	}
	header, _, _ := bytes.Cut(got.data, []byte("\r\n\r\n"))
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		if len(line) > 998 || bytes.HasPrefix(bytes.ToLower(line), []byte("bcc")) || bytes.HasPrefix(line, []byte("X-Injected")) {
			t.Errorf("header line %.100q (%d bytes)", line, len(line))
		}
	}
	if len(got.to) != 1 {
		t.Errorf("recipients are %q", got.to)
	}
}

// currentTime is what an error on a certificate's dates tells of this moment.
var currentTime = regexp.MustCompile(`current time [0-9T:+Z-]+`)

func TestTLSModes(t *testing.T) {
	server, ca := certificate(t)
	offering := (&relay{tls: server}).start(t)
	implicit := (&relay{tls: server, implicit: true}).start(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	expired, expiredCA := certify(t, key, time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC))
	stale := (&relay{tls: expired}).start(t)
	clear := new(relay).start(t)
	broken := scripted(t, "220 relay.test\r\n", map[string]string{
		"EHLO": "250-relay.test\r\n250 STARTTLS\r\n", "STARTTLS": "220 go\r\n\x00not TLS at all\r\n", "MAIL": "550 seen\r\n",
	})
	refusing := scripted(t, "220 relay.test\r\n", map[string]string{
		"EHLO": "250-relay.test\r\n250 STARTTLS\r\n", "STARTTLS": "454 TLS not available\r\n", "MAIL": "550 seen\r\n",
	})
	for _, test := range []struct {
		name    string
		mode    TLSMode
		port    int
		ca, as  string
		want    string // how the error ends; empty for success
		secured bool
		relay   *relay
	}{
		{name: "starttls", mode: StartTLS, port: offering.port, ca: ca, as: "relay.test", secured: true, relay: offering},
		{name: "implicit", mode: ImplicitTLS, port: implicit.port, ca: ca, as: "relay.test", secured: true, relay: implicit},
		{name: "opportunistic, offered, unknown CA", mode: Opportunistic, port: offering.port, secured: true, relay: offering},
		{name: "opportunistic, not offered", mode: Opportunistic, port: clear.port, relay: clear},
		{name: "none", mode: NoTLS, port: offering.port, relay: offering},
		{name: "starttls not offered", mode: StartTLS, port: clear.port,
			want: "STARTTLS: the relay does not offer it; use tls: tls if this port speaks TLS from the start, or tls: none for a relay without TLS"},
		{name: "unknown CA", mode: StartTLS, port: offering.port, as: "relay.test",
			want: "STARTTLS: tls: failed to verify certificate: x509: certificate signed by unknown authority; name the CA's certificate in ca_file"},
		{name: "wrong name", mode: StartTLS, port: offering.port, ca: ca, as: "other.test",
			want: "STARTTLS: tls: failed to verify certificate: x509: certificate is valid for relay.test, not other.test; set server_name to a name in the certificate"},
		{name: "expired", mode: StartTLS, port: stale.port, ca: expiredCA, as: "relay.test",
			want: "STARTTLS: tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time TIME is after 2024-02-29T12:00:00Z; renew the relay's certificate, or set this node's clock"},
		{name: "opportunistic, expired", mode: Opportunistic, port: stale.port, secured: true, relay: stale},
		{name: "implicit at a STARTTLS port", mode: ImplicitTLS, port: offering.port, ca: ca,
			want: "TLS handshake: tls: first record does not look like a TLS handshake; the port does not speak TLS from the start; use tls: starttls"},
		{name: "CA file missing", mode: StartTLS, port: offering.port, ca: "/no/ca.pem",
			want: "STARTTLS: read ca_file: open /no/ca.pem: no such file or directory"},
		{name: "refused", mode: StartTLS, port: refusing, want: "STARTTLS: 454 TLS not available"},
		{name: "opportunistic, refused", mode: Opportunistic, port: refusing, want: "MAIL FROM:<hacheck@example.com>: 550 seen"},
		{name: "broken", mode: StartTLS, port: broken, want: "STARTTLS: tls: first record does not look like a TLS handshake; the port does not speak TLS from the start; use tls: starttls"},
		{name: "opportunistic, broken", mode: Opportunistic, port: broken, want: "MAIL FROM:<hacheck@example.com>: 550 seen"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := config(test.port)
			cfg.TLS, cfg.CAFile, cfg.ServerName = test.mode, test.ca, test.as
			err := must(t, cfg).Notify(t.Context(), notifytest.Notification())
			if test.want != "" {
				want := fmt.Sprintf("smtp 127.0.0.1:%d: %s", test.port, test.want)
				if err == nil || currentTime.ReplaceAllString(err.Error(), "current time TIME") != want {
					t.Fatalf("error is\n%v, want\n%s", err, want)
				}
				if notify.IsPermanent(err) != strings.HasSuffix(want, "550 seen") {
					t.Errorf("permanent is %t", notify.IsPermanent(err))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			mails := test.relay.mails()
			if got := mails[len(mails)-1]; got.tls != test.secured {
				t.Errorf("sent over TLS: %t, want %t", got.tls, test.secured)
			}
		})
	}
}

func TestAuth(t *testing.T) {
	server, ca := certificate(t)
	all := []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}
	for _, test := range []struct {
		name       string
		mode       TLSMode
		offered    []string
		chosen     string
		iterations int
		password   string
		used       string
		want       string
	}{
		{name: "best under TLS", mode: StartTLS, offered: all, used: "SCRAM-SHA-256"},
		{name: "best in clear", mode: NoTLS, offered: all[:3], used: "CRAM-MD5"},
		{name: "plain before cram", mode: ImplicitTLS, offered: all[:3], used: "PLAIN"},
		{name: "login", mode: StartTLS, offered: []string{"LOGIN"}, used: "LOGIN"},
		{name: "plain in clear", mode: NoTLS, offered: []string{"PLAIN"}, used: "PLAIN"},
		{name: "scram in clear", mode: NoTLS, offered: all, used: "SCRAM-SHA-256"},
		{name: "named", mode: StartTLS, offered: all, chosen: "login", used: "LOGIN"},
		{name: "named, not offered", mode: StartTLS, offered: all, chosen: "scram-sha-1", want: "AUTH: the relay offers PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256, not [SCRAM-SHA-1]"},
		{name: "none offered", mode: StartTLS, want: "AUTH: the relay does not offer it; remove username, or use the submission port (587 or 465)"},
		{name: "wrong password, plain", mode: StartTLS, offered: []string{"PLAIN"}, password: "wr0ng", want: "AUTH PLAIN: 535 5.7.8 Authentication failed; check username and password_file"},
		{name: "wrong password, scram", mode: StartTLS, offered: all, password: "wr0ng", want: "AUTH SCRAM-SHA-256: 535 5.7.8 Authentication failed; check username and password_file"},
		{name: "scram that computes for ever", mode: StartTLS, offered: all, iterations: 2_000_000_000, want: "AUTH SCRAM-SHA-256: the relay asks for an iteration count outside 4096 to 1000000"},
		{name: "scram that is too cheap", mode: NoTLS, offered: all, iterations: 1, want: "AUTH SCRAM-SHA-256: the relay asks for an iteration count outside 4096 to 1000000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &relay{mechanisms: test.offered, iterations: 4096}
			if test.iterations != 0 {
				r.iterations = test.iterations
			}
			if test.mode != NoTLS {
				r.tls, r.implicit = server, test.mode == ImplicitTLS
			}
			r.start(t)
			cfg := withLogin(t, config(r.port))
			cfg.TLS, cfg.Auth, cfg.AllowClearAuth = test.mode, test.chosen, true
			if test.mode != NoTLS {
				cfg.CAFile, cfg.ServerName = ca, "relay.test"
			}
			if test.password != "" {
				cfg.PasswordFile = passwordFile(t, test.password)
			}
			err := must(t, cfg).Notify(t.Context(), notifytest.Notification())
			if test.want != "" {
				want := fmt.Sprintf("smtp 127.0.0.1:%d: %s", r.port, test.want)
				if err == nil || err.Error() != want || notify.IsPermanent(err) {
					t.Fatalf("error is\n%v, want temporary\n%s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := r.only(t); got.user != testUser || got.method != test.used {
				t.Errorf("logged in as %q by %q, want %q by %q", got.user, got.method, testUser, test.used)
			}
		})
	}
}

// TestPasswordIsReadAtEachAttempt mends a password between two attempts.
func TestPasswordIsReadAtEachAttempt(t *testing.T) {
	r := (&relay{mechanisms: []string{"PLAIN"}}).start(t)
	folder := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	cfg := config(r.port)
	cfg.Username, cfg.PasswordFile, cfg.AllowClearAuth = testUser, "smtp-password", true
	n := must(t, cfg)
	path := filepath.Join(folder, "smtp-password")
	for _, test := range []struct{ content, want string }{
		{"", "read password_file: " + path + ": is empty"},
		{"two\nlines\n", "read password_file: " + path + ": holds more than one line"},
		{strings.Repeat("x", 16<<10+1), "read password_file: " + path + " is larger than 16384 bytes"},
		{"old\n", "AUTH PLAIN: 535 5.7.8 Authentication failed; check username and password_file"},
		{testPassword + "\r\n", ""},
	} {
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := n.Notify(t.Context(), notifytest.Notification())
		if test.want == "" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if want := fmt.Sprintf("smtp 127.0.0.1:%d: %s", r.port, test.want); err == nil || err.Error() != want || notify.IsPermanent(err) {
			t.Errorf("error is\n%v, want temporary\n%s", err, want)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if err := n.Notify(t.Context(), notifytest.Notification()); err == nil || !strings.Contains(err.Error(), `systemd credential: $CREDENTIALS_DIRECTORY is not set`) {
		t.Errorf("error is %v", err)
	}
	if len(r.mails()) != 1 {
		t.Errorf("the relay got %d mails, want 1", len(r.mails()))
	}
}

// TestRelayRepeatsThePassword shows that an answer cannot carry it into an
// error, even cut.
func TestRelayRepeatsThePassword(t *testing.T) {
	for name, said := range map[string]string{
		"in clear": "no " + testPassword,
		"as sent":  "you said LINE",
		"at a cut": strings.Repeat("x", maxReply-4) + testPassword,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := withLogin(t, config(scripted(t, "220 relay.test\r\n", map[string]string{
				"EHLO": "250-relay.test\r\n250 AUTH PLAIN\r\n", "AUTH": "535 " + said + "\r\n", "*": "500 what\r\n", "QUIT": "221 bye\r\n",
			})))
			cfg.AllowClearAuth = true
			err := must(t, cfg).Notify(t.Context(), notifytest.Notification())
			if err == nil || !strings.Contains(err.Error(), "AUTH PLAIN: 535 ") || !strings.Contains(err.Error(), "***") && name != "at a cut" {
				t.Fatalf("error is %v", err)
			}
			notifytest.CheckText(t, err, append(secrets(), testPassword[:4]))
		})
	}
}

// TestCodes is the table of which refusals are final.
func TestCodes(t *testing.T) {
	final := func(code int) bool {
		switch code {
		case 530, 534, 535, 538:
			return false
		}
		return code >= 500
	}
	codes := []int{421, 422, 431, 441, 442, 446, 447, 449, 450, 451, 452, 454, 455, 471,
		500, 501, 502, 503, 504, 510, 511, 512, 515, 523, 530, 534, 535, 538, 541, 550, 551, 552, 553, 554, 555, 556}
	for _, code := range codes {
		for step, change := range map[string]func(*relay, error){
			"MAIL FROM:<hacheck@example.com>": func(r *relay, err error) { r.onMail = err },
			"no recipient was accepted":       func(r *relay, err error) { r.onRcpt = map[string]error{"ops@example.com": err} },
			"end of DATA":                     func(r *relay, err error) { r.onData = err },
		} {
			r := new(relay)
			change(r, reply(code, "because"))
			r.start(t)
			err := must(t, config(r.port)).Notify(t.Context(), notifytest.Notification())
			text := fmt.Sprintf("%d %d.1.1 because", code, code/100)
			want := fmt.Sprintf("smtp 127.0.0.1:%d: %s: %s", r.port, step, text)
			switch {
			case step == "no recipient was accepted" && code == 421:
				want = fmt.Sprintf("smtp 127.0.0.1:%d: RCPT TO:<ops@example.com>: %s", r.port, text)
			case step == "no recipient was accepted":
				want = fmt.Sprintf("smtp 127.0.0.1:%d: %s: ops@example.com (%s)", r.port, step, text)
			}
			if err == nil || err.Error() != want {
				t.Errorf("%s %d: error is\n%v, want\n%s", step, code, err, want)
			}
			if notify.IsPermanent(err) != final(code) {
				t.Errorf("%s %d: permanent is %t, want %t", step, code, notify.IsPermanent(err), final(code))
			}
		}
	}
}

// TestBeforeTheMail shows that nothing is final before the mail was judged.
func TestBeforeTheMail(t *testing.T) {
	for _, test := range []struct {
		greeting string
		replies  map[string]string
		want     string
	}{
		{"554 no service here\r\n", nil, "wait for the greeting: 554 no service here"},
		{"220 hi\r\n", map[string]string{"EHLO": "550 go away\r\n", "HELO": "550 go away\r\n"}, "EHLO: 550 go away"},
		{"220 hi\r\n", map[string]string{"DATA": ""}, "DATA: EOF"},
		{"220 hi\r\n", map[string]string{"RCPT": "421 shutting\u202edown\r\n"}, "RCPT TO:<ops@example.com>: 421 shutting\uFFFDdown"},
		{"220 hi\r\n", map[string]string{"RCPT": "250-no end"}, ""},
		{"220-one\r\n220 two\r\n", map[string]string{"MAIL": "4\r\n"}, "MAIL FROM:<hacheck@example.com>: short response: \"4\""},
	} {
		port := scripted(t, test.greeting, test.replies)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := must(t, config(port)).Notify(ctx, notifytest.Notification())
		cancel()
		if err == nil || notify.IsPermanent(err) {
			t.Errorf("%v: error is %v, want a temporary one", test, err)
			continue
		}
		notifytest.CheckText(t, err, nil)
		if want := fmt.Sprintf("smtp 127.0.0.1:%d: %s", port, test.want); test.want != "" && err.Error() != want {
			t.Errorf("error is\n%v, want\n%s", err, want)
		}
	}
}

// TestResetInTheMiddle breaks the connection while the mail is on its way and
// after it, before the answer: delivered or not, it must be tried again.
func TestResetInTheMiddle(t *testing.T) {
	for _, until := range []string{"Subject", "\r\n.\r\n"} {
		port := converse(t, func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) }, //nolint:errcheck // best effort
			[2]string{"EHLO", "250 hi\r\n"}, [2]string{"MAIL", "250 ok\r\n"}, [2]string{"RCPT", "250 ok\r\n"},
			[2]string{"DATA", "354 go\r\n"}, [2]string{until, ""})
		err := must(t, config(port)).Notify(t.Context(), notifytest.Notification())
		if err == nil || notify.IsPermanent(err) || !strings.Contains(err.Error(), "DATA: ") {
			t.Errorf("after %q: error is %v, want a temporary one at DATA", until, err)
		}
	}
}

func TestRejectedRecipients(t *testing.T) {
	to := []string{"a@example.com", "b@example.com", "c@example.com"}
	gone, full := reply(550, "no such user"), reply(452, "mailbox full")
	for _, test := range []struct {
		name      string
		refuse    map[string]error
		want      string
		permanent bool
		accepted  string
	}{
		{name: "nobody", accepted: "a@example.com b@example.com c@example.com"},
		{name: "one for good", refuse: map[string]error{to[1]: gone}, permanent: true, accepted: "a@example.com c@example.com",
			want: "delivered to a@example.com, c@example.com, but not to b@example.com (550 5.1.1 no such user)"},
		{name: "one for now", refuse: map[string]error{to[0]: full}, accepted: "b@example.com c@example.com",
			want: "delivered to b@example.com, c@example.com, but not to a@example.com (452 4.1.1 mailbox full)"},
		{name: "one of each", refuse: map[string]error{to[0]: full, to[1]: gone}, accepted: "c@example.com",
			want: "delivered to c@example.com, but not to a@example.com (452 4.1.1 mailbox full), b@example.com (550 5.1.1 no such user)"},
		{name: "all for good", refuse: map[string]error{to[0]: gone, to[1]: gone, to[2]: gone}, permanent: true,
			want: "no recipient was accepted: a@example.com (550 5.1.1 no such user), b@example.com (550 5.1.1 no such user), c@example.com (550 5.1.1 no such user)"},
		{name: "all, one for now", refuse: map[string]error{to[0]: gone, to[1]: full, to[2]: gone},
			want: "no recipient was accepted: a@example.com (550 5.1.1 no such user), b@example.com (452 4.1.1 mailbox full), c@example.com (550 5.1.1 no such user)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := (&relay{onRcpt: test.refuse}).start(t)
			cfg := config(r.port)
			cfg.To = to
			err := must(t, cfg).Notify(t.Context(), notifytest.Notification())
			switch {
			case test.want == "":
				if err != nil {
					t.Fatal(err)
				}
			case err == nil || err.Error() != fmt.Sprintf("smtp 127.0.0.1:%d: %s", r.port, test.want):
				t.Errorf("error is\n%v, want\n%s", err, test.want)
			}
			if notify.IsPermanent(err) != test.permanent {
				t.Errorf("permanent is %t, want %t", notify.IsPermanent(err), test.permanent)
			}
			var partial *partialError
			if errors.As(err, &partial) && strings.Join(partial.accepted, " ") != test.accepted {
				t.Errorf("accepted are %q, want %s", partial.accepted, test.accepted)
			}
			var got string
			if mails := r.mails(); len(mails) > 0 {
				got = strings.Join(mails[0].to, " ")
			}
			if got != test.accepted {
				t.Errorf("delivered to %q, want %q", got, test.accepted)
			}
		})
	}
}

// TestSplit lets one recipient's relay trouble repeat nothing to the others.
func TestSplit(t *testing.T) {
	r := (&relay{onRcpt: map[string]error{"b@example.com": reply(452, "mailbox full")}}).start(t)
	cfg := config(r.port)
	cfg.To = []string{"A <a@example.com>", "b@example.com", "a@example.com"}
	parts := cfg.Split()
	if len(parts) != 2 || parts[0].Name != "mail/a@example.com" || parts[1].Name != "mail/b@example.com" {
		t.Fatalf("parts are %+v", parts)
	}
	for i, part := range parts {
		err := must(t, part).Notify(t.Context(), notifytest.Notification())
		if (err != nil) != (i == 1) || notify.IsPermanent(err) {
			t.Errorf("%s: %v", part.Name, err)
		}
	}
	got := r.only(t)
	letter, _, _ := parse(t, got.data)
	if strings.Join(got.to, " ") != "a@example.com" || letter.Header.Get("To") != `"A" <a@example.com>, <b@example.com>, <a@example.com>` {
		t.Errorf("delivered to %q, shown as %q", got.to, letter.Header.Get("To"))
	}
	one := config(1)
	if parts := one.Split(); len(parts) != 1 || parts[0].Name != "mail/ops@example.com" {
		t.Errorf("parts of one recipient are %+v", parts)
	}
}

// TestQuitIsNotAwaited lets the relay stall once it has accepted the mail.
func TestQuitIsNotAwaited(t *testing.T) {
	port := converse(t, func(conn net.Conn) { io.Copy(io.Discard, conn) }, //nolint:errcheck // stalls until the notifier leaves
		[2]string{"EHLO", "250 hi\r\n"}, [2]string{"MAIL", "250 ok\r\n"}, [2]string{"RCPT", "250 ok\r\n"},
		[2]string{"DATA", "354 go\r\n"}, [2]string{"\r\n.\r\n", "250 queued\r\n"})
	start := time.Now()
	if err := must(t, config(port)).Notify(t.Context(), notifytest.Notification()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("Notify took %s, want about a second", took)
	}
}

func TestNewErrors(t *testing.T) {
	good := func(change func(*Config)) Config {
		cfg := Config{Name: "mail", Host: "relay.example", From: "a@example.com", To: []string{"b@example.com"}}
		change(&cfg)
		return cfg
	}
	for _, test := range []struct {
		want string
		cfg  Config
	}{
		{"name: is missing", good(func(c *Config) { c.Name = "" })},
		{"host: is missing; give the mail relay's name or address", good(func(c *Config) { c.Host = "" })},
		{`host: "relay:25" has a port in it; put that into port`, good(func(c *Config) { c.Host = "relay:25" })},
		{`host: "re lay" is not a host name or an address`, good(func(c *Config) { c.Host = "re lay" })},
		{"port: 65536 is not within 1 to 65535", good(func(c *Config) { c.Port = 65536 })},
		{"timeout: 1h0m0s is not within 0s to 10m0s", good(func(c *Config) { c.Timeout = time.Hour })},
		{`tls: "ssl" is none of starttls, tls, opportunistic, none`, good(func(c *Config) { c.TLS = "ssl" })},
		{`ca_file: "ca.pem" is not an absolute path`, good(func(c *Config) { c.CAFile = "ca.pem" })},
		{"ca_file: has no effect with tls: none, which checks no certificate; use starttls or tls, or remove it", good(func(c *Config) { c.TLS = NoTLS; c.CAFile = "/ca.pem" })},
		{"ca_file: has no effect with tls: opportunistic, which checks no certificate; use starttls or tls, or remove it", good(func(c *Config) { c.TLS = Opportunistic; c.CAFile = "/ca.pem" })},
		{"server_name: has no effect with tls: none; use starttls or tls, or remove it", good(func(c *Config) { c.TLS = NoTLS; c.ServerName = "relay" })},
		{"username: is missing though password_file is set", good(func(c *Config) { c.PasswordFile = "/p" })},
		{"username: is missing though auth is set", good(func(c *Config) { c.Auth = "plain" })},
		{"password_file: is missing though username is set", good(func(c *Config) { c.Username = "u" })},
		{`password_file: is neither an absolute path nor the bare name of a systemd credential`, good(func(c *Config) { c.Username = "u"; c.PasswordFile = "a/b" })},
		{"tls: opportunistic never logs in, as the relay's certificate is not checked; use starttls or tls, or remove username", good(func(c *Config) {
			c.TLS = Opportunistic
			c.Username = "u"
			c.PasswordFile = "/p"
			c.AllowClearAuth = true
		})},
		{"tls: none would send the password in clear; use starttls or tls, or set allow_clear_auth", good(func(c *Config) { c.TLS = NoTLS; c.Username = "u"; c.PasswordFile = "/p" })},
		{`auth: "ntlm" is none of plain, login, cram-md5, scram-sha-1, scram-sha-256`, good(func(c *Config) { c.Auth = "ntlm"; c.Username = "u"; c.PasswordFile = "/p" })},
		{"from: is missing; give a mail address", good(func(c *Config) { c.From = "" })},
		{`from: "nobody" is not a mail address such as ops@example.com or "Ops <ops@example.com>"`, good(func(c *Config) { c.From = "nobody" })},
		{"to: is missing; name at least one recipient", good(func(c *Config) { c.To = nil })},
		{`to[1]: "a@b\r\nRCPT TO:<x@y>" is not a mail address such as ops@example.com or "Ops <ops@example.com>"`, good(func(c *Config) { c.To = append(c.To, "a@b\r\nRCPT TO:<x@y>") })},
		{`helo: "a b" is not a host name`, good(func(c *Config) { c.Helo = "a b" })},
	} {
		if _, err := New(test.cfg); err == nil || err.Error() != test.want {
			t.Errorf("error is\n%v, want\n%s", err, test.want)
		}
	}
	for mode, port := range map[TLSMode]int{"": 587, StartTLS: 587, ImplicitTLS: 465, Opportunistic: 25, NoTLS: 25} {
		if n := must(t, good(func(c *Config) { c.TLS = mode })); n.cfg.Port != port || n.cfg.Timeout != DefaultTimeout {
			t.Errorf("tls %q: port %d and timeout %s, want %d and %s", mode, n.cfg.Port, n.cfg.Timeout, port, DefaultTimeout)
		}
	}
}

func TestWarnings(t *testing.T) {
	path := passwordFile(t, "x")
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	cfg := config(25)
	cfg.TLS, cfg.Username, cfg.PasswordFile, cfg.CAFile = StartTLS, "u", path, "/no/ca"
	want := fmt.Sprintf("[password_file: %s is open to every account (mode 0604); chmod 0640 it ca_file: open /no/ca: no such file or directory]", path)
	if got := fmt.Sprint(must(t, cfg).Warnings()); got != want {
		t.Errorf("warnings are %s, want %s", got, want)
	}
	if got := must(t, config(25)).Warnings(); got != nil {
		t.Errorf("warnings are %q, want none", got)
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("01JQ", "lb1", "VI_1", "MASTER", "reason")
	f.Add("\r\n", "a\r\nX: y", "\x00\xff", "é\u2028", ".\r\nQUIT")
	f.Add("", "", "", "", "")
	n, err := New(config(25))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, host, name, state, reason string) {
		event := notifytest.Event()
		event.ID, event.Host, event.Name, event.State = id, host, name, notify.State(state)
		event.Verdict.Reason = reason
		data, err := n.compose(notify.Notification{Event: event})
		if err != nil {
			t.Fatal(err)
		}
		letter, _, _ := parse(t, data)
		if len(letter.Header) != 20 && len(letter.Header) != 16 {
			t.Errorf("%d headers: %v", len(letter.Header), letter.Header)
		}
		for name, values := range letter.Header {
			if len(values) != 1 {
				t.Errorf("%s comes %d times", name, len(values))
			}
		}
		for line := range bytes.SplitSeq(data, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
				t.Errorf("line %.200q has %d bytes or a bare line break", line, len(line))
			}
		}
	})
}
