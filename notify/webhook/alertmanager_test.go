package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// cluster is two real Alertmanagers that know each other, and what they sent.
type cluster struct {
	members []string // their roots
	mu      sync.Mutex
	sent    []sent
}

// sent is what Alertmanager tells its receiver.
type sent struct {
	Status      string
	GroupLabels map[string]string
	Alerts      []struct {
		Status              string
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
	}
}

// story says a message of Alertmanager's in one line.
func (s sent) story() string {
	var alerts []string
	for _, alert := range s.Alerts {
		alerts = append(alerts, alert.Status+" "+alert.Labels["vrrp_instance"])
	}
	slices.Sort(alerts)
	return s.Status + " " + s.GroupLabels["alertname"] + " of " + s.GroupLabels["node"] + ": " + strings.Join(alerts, ", ")
}

func (c *cluster) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var message sent
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		message.Status = err.Error() // no test waits for that
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, message)
}

// stories are what arrived so far.
func (c *cluster) stories() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, message := range c.sent {
		all = append(all, message.story())
	}
	return all
}

// await polls until what it looks for is there.
func await(t *testing.T, what string, look func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !look(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// startCluster starts both for the length of the test.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	binary, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Fatal("prometheus-alertmanager is not installed: run make test, which installs it")
	}
	c := &cluster{}
	receiver := httptest.NewServer(c)
	t.Cleanup(receiver.Close)
	folder := t.TempDir()
	config := filepath.Join(folder, "alertmanager.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `route:
  receiver: test
  group_by: [alertname, node]
  group_wait: 500ms
  group_interval: 500ms
  repeat_interval: 1h
receivers:
  - name: test
    webhook_configs:
      - url: %s
        send_resolved: true
`, receiver.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	// Alertmanager does not tell which port it got: it is given free ones.
	ports := freePorts(t, 4)
	for i := range 2 {
		web, gossip := ports[2*i], ports[2*i+1]
		var log bytes.Buffer
		command := exec.Command(binary, "--config.file="+config, "--storage.path="+filepath.Join(folder, fmt.Sprint(i)),
			"--web.listen-address="+web, "--cluster.listen-address="+gossip, "--cluster.advertise-address="+gossip,
			"--cluster.peer="+ports[1], "--cluster.settle-timeout=5s")
		command.Stdout, command.Stderr = &log, &log
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			command.Process.Kill() //nolint:errcheck // it may be gone already
			command.Wait()         //nolint:errcheck // killed
			if t.Failed() {
				t.Logf("alertmanager %d said:\n%s", i, log.String())
			}
		})
		c.members = append(c.members, "http://"+web)
	}
	for _, member := range c.members {
		var status struct {
			Cluster struct {
				Status string
				Peers  []any
			}
		}
		await(t, "both members of the cluster know each other", func() bool {
			return get(t.Context(), member+"/api/v2/status", &status) == nil && status.Cluster.Status == "ready" && len(status.Cluster.Peers) == 2
		})
	}
	return c
}

// freePorts finds addresses of loopback nobody listens on, on TCP and UDP. They
// are below those that the kernel gives to connections (from 32768 on), one of
// which could be taken until it is listened on.
func freePorts(t *testing.T, count int) []string {
	t.Helper()
	var addresses []string
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer listener.Close() // only then no port is found twice
		packets, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		packets.Close()
		if addresses = append(addresses, address); len(addresses) == count {
			return addresses
		}
	}
	t.Fatalf("only %d of %d free ports were found", len(addresses), count)
	return nil
}

func get(ctx context.Context, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

// tell gives every member a notification.
func (c *cluster) tell(t *testing.T, notification notify.Notification) {
	t.Helper()
	for _, part := range (Config{Name: "am", Preset: Alertmanager, URLs: c.members, Labels: map[string]string{"site": "berlin"}}).Split() {
		if err := must(t, part).Notify(t.Context(), notification); err != nil {
			t.Fatal(err)
		}
	}
}

// active lists the alerts a member has, by name, instance and severity.
func (c *cluster) active(t *testing.T, member string) []string {
	t.Helper()
	var alerts []struct{ Labels map[string]string }
	if err := get(t.Context(), member+"/api/v2/alerts", &alerts); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, alert := range alerts {
		names = append(names, fmt.Sprintf("%s %s %s", alert.Labels["alertname"], alert.Labels["vrrp_instance"], alert.Labels["severity"]))
	}
	slices.Sort(names)
	return names
}

// TestRealAlertmanager tells two real Alertmanagers of a failover from its
// beginning to its end, and of what they do not take.
func TestRealAlertmanager(t *testing.T) {
	c := startCluster(t)
	both := func(what string, want ...string) {
		t.Helper()
		for _, member := range c.members {
			await(t, what+" at "+member, func() bool { return slices.Equal(c.active(t, member), want) })
		}
	}
	arrives := func(want string) {
		t.Helper()
		await(t, want, func() bool { return slices.Contains(c.stories(), want) })
	}
	at := func(previous, state notify.State) notify.Notification {
		first, second := change("VI_1", previous, state, 0), change("VI_2", previous, state, 0)
		first.Time, second.Time = time.Now().Add(-time.Millisecond), time.Now()
		first.PreviousSince, second.PreviousSince = nil, nil
		return notify.Notification{Event: second, Earlier: []notify.Event{first}}
	}

	c.tell(t, at(notify.Master, notify.Fault))
	both("the alerts of both instances", "VRRPFault VI_1 critical", "VRRPFault VI_2 critical")
	arrives("firing VRRPFault of lb1.example.com: firing VI_1, firing VI_2")

	// A reminder is about the same alert: nothing is said anew, and it stays.
	reminder := at(notify.Fault, notify.Fault)
	reminder.Story = notify.Reminder
	c.tell(t, reminder)
	both("the same alerts", "VRRPFault VI_1 critical", "VRRPFault VI_2 critical")

	c.tell(t, at(notify.Fault, notify.Backup))
	both("no alert")
	arrives("resolved VRRPFault of lb1.example.com: resolved VI_1, resolved VI_2")

	c.tell(t, at(notify.Backup, notify.Master))
	both("the news", "VRRPTransition VI_1 info", "VRRPTransition VI_2 info")
	arrives("firing VRRPTransition of lb1.example.com: firing VI_1, firing VI_2")

	// What happened again is a new alert. A cluster may send one twice.
	before := len(c.stories())
	c.tell(t, at(notify.Master, notify.Fault))
	await(t, "a second FAULT", func() bool {
		return slices.Contains(c.stories()[before:], "firing VRRPFault of lb1.example.com: firing VI_1, firing VI_2")
	})

	hostile := notify.Notification{Event: notifytest.Hostile()}
	hostile.State, hostile.Time = notify.Fault, time.Now()
	c.tell(t, hostile)
	for _, member := range c.members {
		await(t, "the alert of a hostile name", func() bool {
			return slices.ContainsFunc(c.active(t, member), func(name string) bool { return strings.Contains(name, notifytest.Marker) })
		})
	}

	for _, test := range []struct{ body, want string }{
		{`[{"labels":{"a b":"c"}}]`, `400 Bad Request: invalid label set: invalid name "a b" (of several alerts the valid ones were taken)`},
		{`{}`, "400 Bad Request: code 400: parsing alerts body from"},
		{`[`, "400 Bad Request: code 400: parsing alerts body from"},
	} {
		response, err := http.Post(c.members[0]+"/api/v2/alerts", "application/json", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		a := alertmanagerAnswered(response.StatusCode, body)
		if err = outcome(response, a, a.said, Alertmanager, time.Now()); !notify.IsPermanent(err) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want a permanent %q", test.body, err, test.want)
		}
	}
}
