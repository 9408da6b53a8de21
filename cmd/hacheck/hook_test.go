package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"hacheck/notify"
)

// relay is a real SMTP server that keeps what it gets.
type relay struct {
	listener net.Listener
	mu       sync.Mutex
	mails    [][]byte
}

func startRelay(t *testing.T) *relay {
	t.Helper()
	r := &relay{listener: listenLoopback(t)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{r}, nil }))
	server.Domain = "localhost"
	go server.Serve(r.listener)
	t.Cleanup(func() { server.Close() })
	return r
}

func (r *relay) received() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.mails...)
}

type session struct{ relay *relay }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }
func (s *session) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.mails = append(s.relay.mails, content)
	return err
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// node is a directory with a configuration and the places hacheck writes to.
type node struct {
	t   *testing.T
	dir string
}

func newNode(t *testing.T, notifySection string) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir()}
	conf, err := filepath.Abs("testdata/field/dual-vip/keepalived-a.conf")
	if err != nil {
		t.Fatal(err)
	}
	n.configure(fmt.Sprintf("state_dir: %s/state\nrun_dir: %s/run\nkeepalived: {conf: %s}\nhaproxy: {socket: %s/none.sock}\n%s", n.dir, n.dir, conf, n.dir, notifySection))
	return n
}

func (n *node) configure(content string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, "hacheck.yaml"), []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) command(args ...string) *exec.Cmd {
	return exec.CommandContext(n.t.Context(), "hacheck", append([]string{"--config", filepath.Join(n.dir, "hacheck.yaml")}, args...)...)
}

// queued are the events on disk that wait for delivery.
func (n *node) queued() map[string]notify.Event {
	n.t.Helper()
	files, err := filepath.Glob(filepath.Join(n.dir, "state/spool/queue/*.json"))
	if err != nil {
		n.t.Fatal(err)
	}
	events := map[string]notify.Event{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			n.t.Fatal(err)
		}
		var entry struct {
			Event   notify.Event
			Earlier []notify.Event
		}
		if err := json.Unmarshal(content, &entry); err != nil {
			n.t.Fatalf("%s: %v", file, err)
		}
		for _, event := range append(entry.Earlier, entry.Event) {
			events[event.ID] = event
		}
	}
	return events
}

func smtpChannel(address string) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf("notify:\n  channels:\n    - {type: smtp, host: %s, port: %s, tls: none, from: lb@example.org, to: ops@example.org}\n", host, port)
}

// The hook is killed in the moment it reaches for the network: the event is on
// disk by then, and the next run delivers it.
func TestKilledAtFirstNetworkContact(t *testing.T) {
	trap := listenLoopback(t)
	n := newNode(t, smtpChannel(trap.Addr().String()))
	for i := range 10 {
		hook := n.command("notify", "MASTER", fmt.Sprintf("VI_%d", i))
		if err := hook.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := trap.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := hook.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		hook.Wait()
		if got := len(n.queued()); got != i+1 {
			t.Fatalf("run %d: %d events on disk when the network was touched, want %d", i, got, i+1)
		}
	}
	waiting := n.queued()
	relay := startRelay(t)
	content, err := os.ReadFile(filepath.Join(n.dir, "hacheck.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	n.configure(strings.Replace(string(content), portOf(trap), portOf(relay.listener), 1))
	if output, err := n.command("deliver", "--now").CombinedOutput(); err != nil {
		t.Fatalf("deliver: %v\n%s", err, output)
	}
	// Events that waited together may be told by one mail, which names them all.
	arrived := map[string]int{}
	for _, raw := range relay.received() {
		for _, event := range waiting {
			if bytes.Contains(raw, []byte(event.Name)) {
				arrived[event.Name]++
			}
		}
	}
	for _, event := range waiting {
		if arrived[event.Name] != 1 {
			t.Errorf("%s arrived %d times", event.Name, arrived[event.Name])
		}
	}
	if left := n.queued(); len(left) != 0 {
		t.Errorf("%d events still wait", len(left))
	}
}

// The hook is killed after every delay from its start on: what it said was
// recorded is on disk, and what is on disk is whole.
func TestKilledAtAnyTime(t *testing.T) {
	closed := listenLoopback(t)
	closed.Close()
	n := newNode(t, smtpChannel(closed.Addr().String()))
	recorded := map[string]bool{}
	killed := 0
	for i := range 60 {
		var stdout bytes.Buffer
		// Each its own instance: one event told twice would be kept once.
		hook := n.command("notify", "BACKUP", fmt.Sprintf("VI_%d", i))
		hook.Stdout = &stdout
		if err := hook.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(i)*300*time.Microsecond, func() { hook.Process.Kill() })
		if err := hook.Wait(); err != nil {
			killed++
		}
		timer.Stop()
		if _, id, found := strings.Cut(stdout.String(), " recorded as "); found {
			recorded[strings.Fields(id)[0]] = true
		}
	}
	onDisk := n.queued()
	for id := range recorded {
		if _, there := onDisk[id]; !there {
			t.Errorf("event %s was said to be recorded and is not on disk", id)
		}
	}
	t.Logf("60 hooks, %d killed, %d recorded, %d on disk", killed, len(recorded), len(onDisk))
	if killed == 0 {
		t.Error("no hook was killed: the delays show nothing")
	}
}

func portOf(listener net.Listener) string {
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// Whatever keepalived passes as a name, mail keeps its headers and JSON its form.
func TestHostileNames(t *testing.T) {
	relay := startRelay(t)
	var mu sync.Mutex
	var bodies [][]byte
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, body)
	}))
	defer hook.Close()
	n := newNode(t, smtpChannel(relay.listener.Addr().String())+"    - {type: webhook, url: '"+hook.URL+"'}\n")
	names := []string{
		"VI_1\r\nBcc: victim@example.org",
		"VI_1\n\n<script>alert(1)</script>",
		`VI_"1"\`,
		strings.Repeat("x", 10_000),
		"VI_\xff\xfe\x80",
		"--help",
		"../../../etc/passwd",
		"\u202eIV_1",
	}
	for _, name := range names {
		if output, err := n.command("notify", "MASTER", name).CombinedOutput(); err != nil {
			t.Errorf("%.40q: %v\n%s", name, err, output)
		}
	}
	mails := relay.received()
	if len(mails) != len(names) || len(bodies) != len(names) {
		t.Fatalf("%d mails and %d posts arrived, want %d each", len(mails), len(bodies), len(names))
	}
	for i, raw := range mails {
		message, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Errorf("%.40q: the mail cannot be read: %v", names[i], err)
			continue
		}
		if message.Header.Get("Bcc") != "" || message.Header.Get("To") != "<ops@example.org>" {
			t.Errorf("%.40q: headers were injected: %v", names[i], message.Header)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
		if err != nil || !utf8.ValidString(subject) || strings.ContainsAny(subject, "\r\n\u202e") || len(subject) > 1000 {
			t.Errorf("%.40q: subject %q, %v", names[i], subject, err)
		}
	}
	for i, body := range bodies {
		var event struct {
			Name  string `json:"name"`
			State string `json:"state"`
			Known bool   `json:"known"`
		}
		if err := json.Unmarshal(body, &event); err != nil {
			t.Errorf("%.40q: the JSON is broken: %v", names[i], err)
		}
		if event.State != "MASTER" || event.Known {
			t.Errorf("%.40q: posted as %+v", names[i], event)
		}
	}
}

// A hook whose budget begins anew, for an event that another one left to it, tells
// what became of the first all the same.
func TestHookTellsOfEveryRound(t *testing.T) {
	var n *node
	var other sync.Once
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other.Do(func() {
			if output, err := n.command("notify", "MASTER", "VI_2").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
		w.WriteHeader(http.StatusNotFound)
	}))
	defer receiver.Close()
	url := "http://" + receiver.Listener.Addr().String()
	// The limit makes that event wait for longer than any budget.
	n = newNode(t, "notify:\n  channels:\n    - {type: webhook, name: chat, url: '"+url+"', rate_limit: 1/1h}\n")
	receiver.Start()
	output, err := n.command("notify", "MASTER", "VI_1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{
		`msg="not delivered" channel=chat`, `instance=VI_1 state=MASTER attempts=1 fate="given up"`,
		`msg="the event is recorded, not all of it is delivered" error="1 delivery was given up (see 'hacheck queue list')"`,
		"0 delivered, 0 deferred, 1 given up; 1 event waits", "0 delivered, 0 deferred, 0 given up; 1 event waits",
	} {
		if !strings.Contains(string(output), want) {
			t.Errorf("the hook does not say %s:\n%s", want, output)
		}
	}
}
