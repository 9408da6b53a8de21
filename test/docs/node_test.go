package docs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// haproxyCfg is the node's HAProxy, in the style of Debian's file.
const haproxyCfg = `global
    stats socket /run/haproxy/admin.sock mode 660 level admin
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 10s
frontend web
    bind :80
    default_backend shop
backend shop
    server app1 127.0.0.1:8081 check inter 100ms rise 1 fall 1
    server app2 127.0.0.1:8082 check inter 100ms rise 1 fall 1
listen mysql
    mode tcp
    bind :3306
    server m1 127.0.0.1:3307 inter 3s rise 5 fall 1
`

// patience is how long something may take on a busy machine.
const patience = 20 * time.Second

// node is what the commands of one page are typed on.
type node struct {
	haproxy  *exec.Cmd
	backends []*http.Server
}

// newNode gives a node as the package and a healthy HAProxy leave it.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{}
	top := repository(t)
	run(t, `rm -rf /etc/hacheck /etc/keepalived /etc/cron.d/hacheck /var/lib/hacheck /run/hacheck /run/haproxy
mkdir -p /etc/keepalived /etc/cron.d /etc/systemd/system
install -d -m 2775 -o haproxy -g haproxy /run/haproxy
install -D -m 0640 -g haproxy "$1/packaging/hacheck.yaml" /etc/hacheck/hacheck.yaml
systemd-tmpfiles --create hacheck.conf
cp "$1/packaging/examples/one-instance.conf" /etc/keepalived/keepalived.conf
printf secret >/etc/hacheck/smtp-password
chmod 0640 /etc/hacheck/smtp-password
chgrp haproxy /etc/hacheck/smtp-password
ip address del 192.0.2.100/24 dev eth0 2>/dev/null || true`, top)
	write(t, "/etc/haproxy/haproxy.cfg", haproxyCfg)
	n.startBackends(t)
	n.startMail(t)
	n.startAlertmanagers(t)
	n.haproxy = exec.Command("haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg")
	n.haproxy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.haproxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.haproxy.Process.Kill()
		n.haproxy.Wait()
		n.stopBackends()
	})
	n.await(t, "OK haproxy: 2 of 2 backends up")
	run(t, "hacheck haproxy") // as keepalived has done by the time somebody looks
	return n
}

// await waits until the check says so.
func (n *node) await(t *testing.T, want string) {
	t.Helper()
	var output []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		// What decides this is in the run directory of its own.
		output, _ = exec.Command("hacheck", "--run-dir", t.TempDir(), "--socket", "/run/haproxy/admin.sock", "haproxy").CombinedOutput()
		if strings.Contains(string(output), want) {
			return
		}
	}
	t.Fatalf("the node never says %q, but %s", want, output)
}

// setState brings HAProxy into one of the states the pages speak of.
func (n *node) setState(t *testing.T, state string) {
	t.Helper()
	switch state {
	case "healthy":
		if n.backends == nil {
			n.startBackends(t)
		}
		n.await(t, "OK haproxy")
	case "backends-dead":
		n.stopBackends()
		n.await(t, "0 of 2 backends up")
	default:
		t.Fatalf("there is no state %q", state)
	}
}

func (n *node) startBackends(t *testing.T) {
	t.Helper()
	for _, address := range []string{"127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:3307"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })}
		n.backends = append(n.backends, server)
		go server.Serve(listener)
	}
}

func (n *node) stopBackends() {
	for _, server := range n.backends {
		server.Close()
	}
	n.backends = nil
}

// startMail runs the relay of the documentation's keepalived.conf.
func (n *node) startMail(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "192.0.2.25:25")
	if err != nil {
		t.Fatal(err)
	}
	relay := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return mailbox{}, nil }))
	relay.Domain = "mail.example.org"
	go relay.Serve(listener)
	t.Cleanup(func() { relay.Close() })
}

// mailbox takes every mail.
type mailbox struct{}

func (mailbox) Mail(string, *smtp.MailOptions) error { return nil }
func (mailbox) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (mailbox) Reset()                               {}
func (mailbox) Logout() error                        { return nil }
func (mailbox) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// startAlertmanagers stands for the members of a cluster.
func (n *node) startAlertmanagers(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:9093")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v2/alerts" {
			http.NotFound(w, r)
		}
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// typed runs one command line as a person at the node would, and gives what it
// prints and its exit code.
func (n *node) typed(t *testing.T, line string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", line)
	command.Dir = "/root"
	text, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", line, errors.Join(err, context.Cause(ctx)))
	}
	return string(text), code
}

// run runs a script that must not fail.
func run(t *testing.T, script string, args ...string) {
	t.Helper()
	if output, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// repository is the top of the repository.
func repository(t testing.TB) string {
	t.Helper()
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(top, "go.mod")); err != nil {
		t.Fatal(fmt.Errorf("%s is not the top of the repository: %w", top, err))
	}
	return top
}
