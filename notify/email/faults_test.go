package email

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// steps are the words of a dialogue and how errors name them.
var steps = []struct{ word, name string }{
	{"EHLO", "EHLO"}, {"AUTH", "AUTH PLAIN"}, {"MAIL", "MAIL FROM:<hacheck@example.com>"},
	{"RCPT", "RCPT TO:<ops@example.com>"}, {"DATA", "DATA"}, {"\r\n.\r\n", "end of DATA"},
}

// loggingIn is a notifier that logs in in clear.
func loggingIn(t *testing.T, port int, change ...func(*Config)) *Notifier {
	t.Helper()
	cfg := withLogin(t, config(port))
	cfg.AllowClearAuth = true
	for _, change := range change {
		change(&cfg)
	}
	return must(t, cfg)
}

// TestRefusalAtEachStep lets the relay say no at each step and hang up: what
// is final is what judges the mail.
func TestRefusalAtEachStep(t *testing.T) {
	for _, code := range []int{421, 451, 454, 500, 535, 554} {
		said := fmt.Sprintf("%d because", code)
		for _, step := range steps {
			t.Run(fmt.Sprint(code, " at ", step.name), func(t *testing.T) {
				want, permanent := step.name+": "+said, false
				switch {
				case step.word == "EHLO":
				case step.word == "AUTH" && code >= 500:
					want += "; check username and password_file"
				case step.word == "AUTH":
				case step.word == "RCPT" && code != 421:
					want, permanent = "no recipient was accepted: ops@example.com ("+said+")", code != 535 && code >= 500
				default:
					permanent = code != 535 && code >= 500
				}
				port := converse(t, func(net.Conn) {}, until(step.word, said+"\r\n")...)
				err := loggingIn(t, port).Notify(t.Context(), notifytest.Notification())
				if want = fmt.Sprintf("smtp 127.0.0.1:%d: %s", port, want); err == nil || err.Error() != want {
					t.Fatalf("error is\n%v, want\n%s", err, want)
				}
				if notify.IsPermanent(err) != permanent {
					t.Errorf("permanent is %t, want %t", notify.IsPermanent(err), permanent)
				}
				notifytest.CheckText(t, err, secrets())
			})
		}
	}
}

// TestStallAtEachStep lets the relay fall silent, or answer a byte at a time,
// once the dialogue has come to each step.
func TestStallAtEachStep(t *testing.T) {
	ends := map[string]func(net.Conn){
		"silence": func(conn net.Conn) { io.Copy(io.Discard, conn) }, //nolint:errcheck // until the notifier leaves
		"a byte at a time": func(conn net.Conn) {
			ticker := time.NewTicker(20 * time.Millisecond)
			defer ticker.Stop()
			for text := "250-"; ; text = "x" {
				if _, err := io.WriteString(conn, text[:1]); err != nil {
					return
				}
				<-ticker.C
			}
		},
	}
	for name, end := range ends {
		for _, step := range steps {
			t.Run(name+" at "+step.name, func(t *testing.T) {
				// On a machine that is overloaded the dialogue may not come so far in
				// the first time: it gets more.
				for _, timeout := range []time.Duration{300 * time.Millisecond, 2 * time.Second, 10 * time.Second} {
					port := converse(t, end, until(step.word, "")...)
					n := loggingIn(t, port, func(c *Config) { c.Timeout = timeout })
					start := time.Now()
					err := n.Notify(t.Context(), notifytest.Notification())
					if took := time.Since(start); took > timeout+5*time.Second {
						t.Errorf("Notify took %s", took)
					}
					if err == nil || notify.IsPermanent(err) || !errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("error is %v, want a temporary one that the time is up", err)
					}
					want := fmt.Sprintf("smtp 127.0.0.1:%d: %s: not finished within %s: context deadline exceeded", port, step.name, timeout)
					if err.Error() == want {
						return
					}
					t.Logf("error is\n%v, want\n%s", err, want)
				}
				t.Error("the dialogue did not come so far")
			})
		}
	}
}

// TestResetAtEachStep breaks the connection instead of an answer. After the
// end of DATA nobody knows whether the mail was taken: the next attempt is
// the very same mail, so that whoever gets both can tell.
func TestResetAtEachStep(t *testing.T) {
	for _, step := range append(slices.Clone(steps), struct{ word, name string }{"Subject", "DATA"}) {
		t.Run(step.name+" "+step.word, func(t *testing.T) {
			script := until(step.word, "")
			if script == nil {
				script = append(slices.Clone(dialogue[:5]), [2]string{step.word, ""})
			}
			port := converse(t, func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) }, script...) //nolint:errcheck // best effort
			err := loggingIn(t, port).Notify(t.Context(), notifytest.Notification())
			if err == nil || notify.IsPermanent(err) || !strings.Contains(err.Error(), step.name[:4]) {
				t.Errorf("error is %v, want a temporary one at %s", err, step.name)
			}
			notifytest.CheckText(t, err, secrets())
		})
	}
	t.Run("then the same mail", func(t *testing.T) {
		heard := make(chan []byte, 1)
		port := portOf(notifytest.Serve(t, func(conn net.Conn, _ <-chan struct{}) {
			buffer, all, done := make([]byte, 64<<10), []byte(nil), 0
			fmt.Fprint(conn, "220 relay.test\r\n")
			for done < len(dialogue) {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if all = append(all, buffer[:n]...); !bytes.Contains(all, []byte(dialogue[done][0])) {
					continue
				}
				if done++; done < len(dialogue) {
					fmt.Fprint(conn, dialogue[done-1][1])
				}
			}
			_, mail, _ := bytes.Cut(all, []byte("DATA\r\n"))
			mail = bytes.TrimSuffix(mail, []byte(".\r\n"))
			select {
			case heard <- mail: // the first: taken, and nothing said
				conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // best effort
			default:
				if first := <-heard; !bytes.Equal(mail, first) {
					t.Errorf("the second attempt sent\n%s\nthe first\n%s", mail, first)
				}
				fmt.Fprint(conn, "250 queued\r\n")
				conn.Read(buffer) //nolint:errcheck // QUIT
			}
		}))
		n := loggingIn(t, port)
		if err := n.Notify(t.Context(), notifytest.Notification()); err == nil || notify.IsPermanent(err) {
			t.Fatalf("error of the first attempt is %v", err)
		}
		if err := n.Notify(t.Context(), notifytest.Notification()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAnswersInjectedBeforeTLS lets somebody on the way put answers behind that
// to STARTTLS, in clear: they must not be taken for what the relay says under
// TLS, such as which logins it offers (RFC 3207, section 6).
func TestAnswersInjectedBeforeTLS(t *testing.T) {
	server, ca := certificate(t)
	heard := make(chan string, 1)
	port := portOf(notifytest.Serve(t, func(conn net.Conn, _ <-chan struct{}) {
		lines := bufio.NewReader(conn)
		fmt.Fprint(conn, "220 relay.test\r\n")
		lines.ReadString('\n') //nolint:errcheck // EHLO
		fmt.Fprint(conn, "250-relay.test\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
		lines.ReadString('\n') //nolint:errcheck // STARTTLS
		fmt.Fprint(conn, "220 go\r\n250-relay.test\r\n250 AUTH PLAIN LOGIN\r\n235 in\r\n")
		secure := tls.Server(conn, server)
		lines.Reset(secure)
		said, err := lines.ReadString('\n')
		if err != nil {
			heard <- err.Error()
			return
		}
		fmt.Fprint(secure, "250 relay.test\r\n") // no AUTH
		rest, _ := io.ReadAll(lines)
		heard <- said + string(rest)
	}))
	cfg := withLogin(t, config(port))
	cfg.TLS, cfg.CAFile, cfg.ServerName, cfg.Helo = StartTLS, ca, "relay.test", "lb1.example.com"
	err := must(t, cfg).Notify(t.Context(), notifytest.Notification())
	want := fmt.Sprintf("smtp 127.0.0.1:%d: AUTH: the relay does not offer it; remove username, or use the submission port (587 or 465)", port)
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v, want\n%s", err, want)
	}
	if got := <-heard; got != "EHLO lb1.example.com\r\n" {
		t.Errorf("under TLS the relay heard %q", got)
	}
}

// TestSomeRefusedThenAll lets the relay refuse one recipient for now, and then
// the mail for good: the one may still get it.
func TestSomeRefusedThenAll(t *testing.T) {
	for refusal, permanent := range map[string]bool{"452 full": false, "550 gone": true} {
		port := converse(t, func(net.Conn) {}, [2]string{"EHLO", "250 hi\r\n"}, [2]string{"MAIL", "250 ok\r\n"},
			[2]string{"RCPT TO:<ops", "250 ok\r\n"}, [2]string{"RCPT TO:<two", refusal + "\r\n"}, [2]string{"DATA", "554 no\r\n"})
		cfg := config(port)
		cfg.To = append(cfg.To, "two@example.com")
		err := must(t, cfg).Notify(t.Context(), notifytest.Notification())
		if want := fmt.Sprintf("smtp 127.0.0.1:%d: DATA: 554 no", port); err == nil || err.Error() != want || notify.IsPermanent(err) != permanent {
			t.Errorf("error is (permanent: %t) %v, want (permanent: %t) %s", notify.IsPermanent(err), err, permanent, want)
		}
	}
}

// TestSecrets is the test all channels share: whatever the relay does, nothing
// tells the password.
func TestSecrets(t *testing.T) {
	prologues := map[string]string{
		"from the start": "",
		"at AUTH":        "220 relay.test\r\n250-relay.test\r\n250 AUTH PLAIN\r\n",
		"at the mail":    "220 relay.test ESMTP\r\n250-relay.test\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go ahead\r\n",
		"as a refusal":   "220 relay.test ESMTP\r\n250-relay.test\r\n250 AUTH PLAIN\r\n535-",
	}
	for name, prologue := range prologues {
		t.Run(name, func(t *testing.T) {
			notifytest.Contract{
				New:      func(t *testing.T, address string) notify.Notifier { return loggingIn(t, portOf(address)) },
				Prologue: prologue,
				Secrets:  secrets(),
			}.NoSecrets(t)
		})
	}
	t.Run("a password file that cannot be used", func(t *testing.T) {
		for _, content := range []string{"", testPassword + "\n" + testPassword} {
			n := loggingIn(t, 1, func(c *Config) { c.PasswordFile = passwordFile(t, content) })
			notifytest.Secrets(t, n, secrets())
		}
	})
}
