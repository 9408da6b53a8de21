// Command demo shows hacheck at its main job on a real HAProxy on loopback: a
// healthy node, a node whose back ends died, and the mail about a transition.
// It needs no privileges and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

func main() {
	binary := flag.String("hacheck", "bin/hacheck", "the hacheck to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *binary); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string) error {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hacheck-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{ctx: ctx, binary: binary, dir: dir, mails: make(chan []byte, 4)}
	defer d.stop()
	if err := d.prepare(); err != nil {
		return err
	}

	d.say(`1. Two back ends run. Should this node hold the VIP?`)
	if err := d.hacheck(0, "haproxy"); err != nil {
		return err
	}

	d.say(`2. Both back ends die. HAProxy itself lives, its ports are open and, as the
   servers have no 'check', it still calls them UP. hacheck dials them:`)
	d.stopBackends()
	if err := d.hacheck(1, "haproxy"); err != nil {
		return err
	}

	d.say(`3. keepalived moves the VIP and calls its notify hook. The event is on disk
   before anything is sent; the mail goes to keepalived.conf's notification_email:`)
	if err := d.hacheck(0, "notify", "FAULT", "VI_1"); err != nil {
		return err
	}
	d.say("   The mail that arrived:")
	if err := d.showMail(); err != nil {
		return err
	}

	d.say(`4. The back ends are back. (No keepalived runs in this demo to add the VIP, and the
   mail says so: whether an address is here is asked of the kernel.)`)
	if err := d.startBackends(); err != nil {
		return err
	}
	if err := d.hacheck(0, "haproxy"); err != nil {
		return err
	}
	if err := d.hacheck(0, "notify", "MASTER", "VI_1"); err != nil {
		return err
	}
	if err := d.showMail(); err != nil {
		return err
	}
	d.say("That is all: an exit code in time for keepalived, and a mail that says why.")
	return nil
}

// demo is the small world the commands run in.
type demo struct {
	ctx    context.Context
	binary string
	dir    string

	haproxy      *exec.Cmd
	backendPorts [2]int
	backends     []*http.Server
	relay        *smtp.Server
	mails        chan []byte
}

func (d *demo) say(text string) { fmt.Printf("\n%s\n\n", text) }

// hacheck runs one command, shows it with its answer, and insists on the exit
// code, so that the demo cannot show a wrong answer.
func (d *demo) hacheck(want int, args ...string) error {
	fmt.Printf("   $ hacheck %s\n", strings.Join(args, " "))
	ctx, cancel := context.WithTimeout(d.ctx, 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, d.binary, append([]string{"--config", d.path("hacheck.yaml")}, args...)...)
	output, err := command.CombinedOutput()
	for line := range strings.Lines(string(output)) {
		fmt.Printf("   %s", line)
	}
	code := command.ProcessState.ExitCode()
	fmt.Printf("   (exit code %d)\n", code)
	if code != want {
		return fmt.Errorf("hacheck %s: exit code %d instead of %d: %w", strings.Join(args, " "), code, want, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) prepare() error {
	if err := d.startRelay(); err != nil {
		return err
	}
	if err := d.startBackends(); err != nil {
		return err
	}
	front, err := freePort()
	if err != nil {
		return err
	}
	files := map[string]string{
		"haproxy.cfg": fmt.Sprintf(`global
    stats socket %s mode 600 level user
defaults
    mode tcp
    timeout connect 1s
    timeout client 10s
    timeout server 10s
listen shop
    bind 127.0.0.1:%d
    server shop-1 127.0.0.1:%d inter 3s rise 5 fall 1
    server shop-2 127.0.0.1:%d inter 3s rise 5 fall 1
`, d.path("admin.sock"), front, d.backendPorts[0], d.backendPorts[1]),
		"keepalived.conf": fmt.Sprintf(`global_defs {
    notification_email {
        oncall@example.org
    }
    notification_email_from keepalived@example.org
    smtp_server 127.0.0.1 %s
    router_id demo
}
vrrp_script chk_haproxy {
    script "/usr/bin/hacheck haproxy"
    interval 1
}
vrrp_instance VI_1 {
    state BACKUP
    interface lo
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        192.0.2.100/24
    }
    track_script {
        chk_haproxy
    }
    notify_master "/usr/bin/hacheck notify MASTER VI_1"
    notify_backup "/usr/bin/hacheck notify BACKUP VI_1"
    notify_fault  "/usr/bin/hacheck notify FAULT VI_1"
}
`, port(d.relay.Addr)),
		"hacheck.yaml": fmt.Sprintf(`state_dir: %s
run_dir: %s
haproxy:
  cfg: %s
keepalived:
  conf: %s
checks:
  haproxy:
    unit: ""   # this HAProxy was not started by systemd
`, d.path("state"), d.path("run"), d.path("haproxy.cfg"), d.path("keepalived.conf")),
	}
	for name, content := range files {
		if err := os.WriteFile(d.path(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, sub := range []string{"state", "run"} {
		if err := os.Mkdir(d.path(sub), 0o700); err != nil {
			return err
		}
	}
	return d.startHAProxy()
}

func (d *demo) startHAProxy() error {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		// Debian keeps it out of an ordinary user's PATH.
		program = "/usr/sbin/haproxy"
	}
	d.haproxy = exec.Command(program, "-db", "-f", d.path("haproxy.cfg"))
	if err := d.haproxy.Start(); err != nil {
		return fmt.Errorf("cannot start haproxy: %w (make demo installs it)", err)
	}
	return d.poll("haproxy's admin socket", func() error {
		conn, err := net.Dial("unix", d.path("admin.sock"))
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// poll waits until try succeeds.
func (d *demo) poll(what string, try func() error) error {
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not there after 10 s: %w", what, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (d *demo) startBackends() error {
	for i, number := range d.backendPorts {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", number))
		if err != nil {
			return err
		}
		d.backendPorts[i] = listener.Addr().(*net.TCPAddr).Port
		server := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }),
		}
		d.backends = append(d.backends, server)
		go server.Serve(listener)
	}
	return nil
}

func (d *demo) stopBackends() {
	for _, server := range d.backends {
		server.Close()
	}
	d.backends = nil
}

func (d *demo) startRelay() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.relay = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailbox{d.mails}, nil }))
	d.relay.Addr = listener.Addr().String()
	d.relay.Domain = "localhost"
	go d.relay.Serve(listener)
	return nil
}

func (d *demo) stop() {
	d.stopBackends()
	if d.relay != nil {
		d.relay.Close()
	}
	if d.haproxy != nil && d.haproxy.Process != nil {
		d.haproxy.Process.Kill()
		d.haproxy.Wait()
	}
}

// mailbox keeps the mails a client sends.
type mailbox struct{ mails chan<- []byte }

func (m *mailbox) Mail(string, *smtp.MailOptions) error { return nil }
func (m *mailbox) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (m *mailbox) Reset()                               {}
func (m *mailbox) Logout() error                        { return nil }
func (m *mailbox) Data(r io.Reader) error {
	content, err := io.ReadAll(io.LimitReader(r, 1<<20))
	m.mails <- content
	return err
}

func (d *demo) showMail() error {
	var raw []byte
	select {
	case raw = <-d.mails:
	case <-time.After(10 * time.Second):
		return errors.New("no mail arrived within 10 s")
	}
	message, err := mail.ReadMessage(strings.NewReader(string(raw)))
	if err != nil {
		return fmt.Errorf("the mail cannot be read: %w", err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return fmt.Errorf("the mail's subject cannot be read: %w", err)
	}
	text, err := plainText(message)
	if err != nil {
		return fmt.Errorf("the mail's text cannot be read: %w", err)
	}
	fmt.Printf("   | To: %s\n   | Subject: %s\n   |\n", message.Header.Get("To"), subject)
	for line := range strings.Lines(text) {
		fmt.Printf("   | %s\n", strings.TrimRight(line, "\r\n"))
	}
	return nil
}

// plainText gives the text/plain part of a multipart/alternative mail.
func plainText(message *mail.Message) (string, error) {
	_, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return "", err
		}
		if !strings.HasPrefix(part.Header.Get("Content-Type"), "text/plain") {
			continue
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		return string(text), err
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func port(address string) string {
	_, number, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return number
}
