//go:build lab

package lab

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"hacheck/notify"
)

// substitution is one change made to a configuration from the field so that it
// runs in the lab. Everything else in the file stays as it was found; text that
// is no longer there is an error, so that the list stays true.
type substitution struct {
	file     string // below testdata
	node     string // "a" or "b"; empty: both
	old, new string
	why      string
}

// installed says which file of testdata goes where on which node.
type installed struct {
	file, path string
	node       string // empty: both
	mode       os.FileMode
}

// named is what notifications are about.
type named struct {
	kind notify.Kind
	name string
	vips []netip.Addr
}

// configuration is one of the field's configurations, fitted to the lab.
type configuration struct {
	name          string
	files         []installed
	substitutions []substitution
	// hacheckYAML is the text of /etc/hacheck/hacheck.yaml; none if empty.
	hacheckYAML string
	// user and group run keepalived's scripts; empty for root.
	user, group string
	// check is the command line of vrrp_script.
	check []string

	subjects []named
	// interval, fall and rise are the vrrp_script's.
	interval   time.Duration
	fall, rise int
	// fault is whether a failing check means FAULT (weight 0) or a lowered
	// priority, which moves the VIP by VRRP's slower way.
	fault bool
	// preempts is whether node a takes the VIPs back when it is well again.
	preempts bool
	// told is whether a stopping keepalived tells the hook.
	told bool
	// spare is a server whose backend has another one, or whose backend is one
	// of several: losing it must not move anything.
	spare netip.AddrPort
	// haproxyCfg is the file below testdata that names the servers.
	haproxyCfg string
	// webhooks is whether hacheckYAML sends to the webhook receiver.
	webhooks bool
	// backend is one that must be named when none can serve.
	backend string
	// recipients is how many mails an event makes.
	recipients int
}

func (c *configuration) vips() []netip.Addr {
	var all []netip.Addr
	for _, subject := range c.subjects {
		all = append(all, subject.vips...)
	}
	return all
}

func addresses(texts ...string) []netip.Addr {
	var parsed []netip.Addr
	for _, text := range texts {
		parsed = append(parsed, netip.MustParseAddr(text))
	}
	return parsed
}

// promptly begins a hacheck.yaml under which every transition is told by itself:
// the scenarios follow each other faster than failovers do, and would be taken
// for a flap.
const promptly = `notify:
  group_interval: 0s
  flap_window: 1s
  flap_settle: 1s
`

// yamlFor is a hacheck.yaml with a mail, a webhook and the journald channel.
func yamlFor(relay string, port int, recipients ...string) string {
	return promptly + fmt.Sprintf(`  channels:
    - type: smtp
      host: %s
      port: %d
      tls: opportunistic
      from: hacheck@example.org
      to: [%s]
    - type: webhook
      url: %s
    - type: journald
`, relay, port, strings.Join(recipients, ", "), webhookURL)
}

// checkCommand is the built-in check, as every configuration calls it.
var checkCommand = []string{"/usr/bin/hacheck", "haproxy"}

// webConfiguration is one instance with an include and an HTTP front end.
func webConfiguration() *configuration {
	return &configuration{
		name: "web",
		files: []installed{
			{file: "web/haproxy.cfg", path: "/etc/haproxy/haproxy.cfg"},
			{file: "web/keepalived-a.conf", path: "/etc/keepalived/keepalived.conf"},
			{file: "web/conf.d/10-check.conf", path: "/etc/keepalived/conf.d/10-check.conf"},
			{file: "web/conf.d/20-vip.conf", path: "/etc/keepalived/conf.d/20-vip.conf"},
		},
		substitutions: []substitution{
			{"web/haproxy.cfg", "", "maxconn 50000", "maxconn 5000", "100,043 open files are more than a machine may allow its containers"},
			{"web/haproxy.cfg", "", "192.0.2.11:8080", "192.0.2.21:8080", "node a has .11"},
			{"web/haproxy.cfg", "", "192.0.2.12:8080", "192.0.2.22:8080", "node b has .12"},
			{"web/keepalived-a.conf", "b", "WEB_A", "WEB_B", "the file was found for one node only"},
			{"web/conf.d/10-check.conf", "", "/usr/bin/hacheck http --timeout 1.5s --status 200 http://127.0.0.1:80/health", "/usr/bin/hacheck haproxy",
				"HAProxy listens on the VIP only, so this check fails always, and its /health answers without any server"},
			{"web/conf.d/20-vip.conf", "", "eth0", "host0", "the node's interface"},
			{"web/conf.d/20-vip.conf", "b", "state MASTER", "state BACKUP", "the file was found for one node only"},
			{"web/conf.d/20-vip.conf", "b", "priority 150", "priority 140", "a weight of -20 moves the VIP only if the gap is smaller"},
			{"web/conf.d/20-vip.conf", "", "    track_script {", "    notify \"/usr/bin/hacheck notify\"\n    track_script {", "found without a hook"},
		},
		hacheckYAML: yamlFor(labAddress, 25, "ops@example.org"),
		webhooks:    true,
		recipients:  1,
		subjects:    []named{{notify.Instance, "VI_1", addresses("192.0.2.100")}},
		interval:    2 * time.Second, fall: 3, rise: 2,
		preempts:   true,
		told:       true,
		spare:      netip.MustParseAddrPort("192.0.2.21:8080"),
		haproxyCfg: "web/haproxy.cfg",
		backend:    "web_servers",
		check:      checkCommand,
	}
}

// dualHAProxy is what both users of dual-vip's haproxy.cfg change in it.
var dualHAProxy = substitution{"dual-vip/haproxy.cfg", "", "198.51.100.", "192.0.2.", "the lab's network"}

// dualConfigurationAsFound is two instances and two VIPs, unicast, with the
// fault it was found with: VI_2 has virtual_router_id 15 here and 28 there.
func dualConfigurationAsFound() *configuration {
	c := &configuration{
		name: "dual-vip",
		files: []installed{
			{file: "dual-vip/haproxy.cfg", path: "/etc/haproxy/haproxy.cfg"},
			{file: "dual-vip/keepalived-a.conf", path: "/etc/keepalived/keepalived.conf", node: "a"},
			{file: "dual-vip/keepalived-b.conf", path: "/etc/keepalived/keepalived.conf", node: "b"},
		},
		substitutions: []substitution{dualHAProxy},
		subjects: []named{
			{notify.Instance, "VI_1", addresses("192.0.2.222")},
			{notify.Instance, "VI_2", addresses("203.0.113.222")},
		},
		interval: 2 * time.Second, fall: 3, rise: 2,
		// Without a channel mail goes where keepalived.conf says.
		hacheckYAML: promptly,
		recipients:  1,
		preempts:    true,
		spare:       netip.MustParseAddrPort("192.0.2.17:3306"),
		haproxyCfg:  "dual-vip/haproxy.cfg",
		backend:     "mysql",
		check:       checkCommand,
	}
	for _, file := range []string{"dual-vip/keepalived-a.conf", "dual-vip/keepalived-b.conf"} {
		c.substitutions = append(c.substitutions,
			substitution{file, "", "198.51.100.", "192.0.2.", "the lab's network"},
			substitution{file, "", "ens192", "host0", "the node's interface"},
			substitution{file, "", "ens160", "net2", "the node's second interface"},
			substitution{file, "", "smtp_server 127.0.0.1", "smtp_server " + labAddress, "the lab's relay"},
		)
	}
	return c
}

// dualConfiguration is the same with one virtual_router_id on both nodes.
func dualConfiguration() *configuration {
	c := dualConfigurationAsFound()
	c.substitutions = append(c.substitutions,
		substitution{"dual-vip/keepalived-b.conf", "", "virtual_router_id 28", "virtual_router_id 15", "both nodes would hold VI_2's VIP"})
	return c
}

// usualConfiguration is dualConfiguration with the usual scripts in hacheck's
// place.
func usualConfiguration() *configuration {
	c := dualConfiguration()
	c.name = "dual-vip, usual scripts"
	c.check = []string{"/etc/keepalived/check_haproxy.sh"}
	c.files = append(c.files,
		installed{file: "usual/check_haproxy.sh", path: "/etc/keepalived/check_haproxy.sh", mode: 0o755},
		installed{file: "usual/notify.sh", path: "/etc/keepalived/notify.sh", mode: 0o755})
	for _, file := range []string{"dual-vip/keepalived-a.conf", "dual-vip/keepalived-b.conf"} {
		c.substitutions = append(c.substitutions,
			substitution{file, "", "/usr/bin/hacheck haproxy", "/etc/keepalived/check_haproxy.sh", "what is compared"},
			substitution{file, "", "/usr/bin/hacheck notify", "/etc/keepalived/notify.sh", "what is compared"})
	}
	return c
}

// syncConfiguration is a sync group whose one hook is the generic notify, run
// by an account of its own. It was found without a haproxy.cfg and gets
// dual-vip's.
func syncConfiguration() *configuration {
	return &configuration{
		name: "sync",
		files: []installed{
			{file: "dual-vip/haproxy.cfg", path: "/etc/haproxy/haproxy.cfg"},
			{file: "sync/keepalived.conf", path: "/etc/keepalived/keepalived.conf"},
		},
		substitutions: []substitution{
			dualHAProxy,
			{"sync/keepalived.conf", "", "$IFACE=eth0", "$IFACE=host0", "the node's interface"},
			{"sync/keepalived.conf", "", "label eth0:62", "label host0:62", "the node's interface"},
			{"sync/keepalived.conf", "", "interface eth1", "interface net2", "the node's second interface"},
			{"sync/keepalived.conf", "b", "LVS_A", "LVS_B", "the file was found for one node only"},
		},
		// The file's own relay and recipients, and the webhook beside them.
		hacheckYAML: yamlFor("mail.example.org", 587, "ops@example.org", "oncall@example.org"),
		webhooks:    true,
		recipients:  2,
		user:        "keepalived_script", group: "haproxy",
		subjects: []named{{notify.Group, "VG1", addresses("192.0.2.61", "192.0.2.62", "2001:db8::61", "10.9.8.61")}},
		interval: 5 * time.Second, fall: 3, rise: 1,
		fault:      true,
		told:       true,
		spare:      netip.MustParseAddrPort("192.0.2.17:3306"),
		haproxyCfg: "dual-vip/haproxy.cfg",
		backend:    "mysql",
		check:      checkCommand,
	}
}

// text gives a file of testdata as a node gets it.
func (c *configuration) text(file, node string) (string, error) {
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		return "", err
	}
	text := string(data)
	for _, s := range c.substitutions {
		if s.file != file || s.node != "" && s.node != node {
			continue
		}
		if !strings.Contains(text, s.old) {
			return "", fmt.Errorf("testdata/%s no longer has %q, which the lab changes because %s", file, s.old, s.why)
		}
		text = strings.ReplaceAll(text, s.old, s.new)
	}
	return text, nil
}

var serverLine = regexp.MustCompile(`(?m)^\s*server\s+\S+\s+([0-9.]+:[0-9]+)\s`)

// servers are the addresses haproxy.cfg sends traffic to.
func (c *configuration) servers() ([]netip.AddrPort, error) {
	text, err := c.text(c.haproxyCfg, "")
	if err != nil {
		return nil, err
	}
	var found []netip.AddrPort
	for _, match := range serverLine.FindAllStringSubmatch(text, -1) {
		address, err := netip.ParseAddrPort(match[1])
		if err != nil {
			return nil, fmt.Errorf("%s: server %s: %w", c.haproxyCfg, match[1], err)
		}
		found = append(found, address)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("testdata/%s names no server", c.haproxyCfg)
	}
	return found, nil
}

// install replaces the node's configuration by c and leaves HAProxy and
// keepalived stopped.
func (c *configuration) install(ctx context.Context, n *node) error {
	err := n.script(ctx, `
		systemctl stop keepalived haproxy
		systemctl reset-failed
		rm -rf /etc/keepalived /etc/hacheck /var/lib/hacheck /run/hacheck /var/log/keepalived-notify.log
		rm -f /run/haproxy.sock /run/haproxy/*.sock
		if id keepalived_script >/dev/null 2>&1; then userdel keepalived_script; fi`)
	if err != nil {
		return err
	}
	if c.user != "" {
		// The account has no group haproxy on its own: keepalived drops
		// supplementary groups, and script_user's second word must do.
		if err := n.script(ctx, `useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "$1"`, c.user); err != nil {
			return err
		}
	}
	owner, group := "root", "root"
	if c.user != "" {
		owner, group = c.user, c.group
	}
	err = n.script(ctx, `install -d -m 0750 -o "$1" -g "$2" /var/lib/hacheck /run/hacheck`, owner, group)
	if err != nil {
		return err
	}
	for _, file := range c.files {
		if file.node != "" && file.node != n.name {
			continue
		}
		text, err := c.text(file.file, n.name)
		if err != nil {
			return err
		}
		mode := file.mode
		if mode == 0 {
			mode = 0o644
		}
		if err := n.write(file.path, text, mode); err != nil {
			return err
		}
	}
	if c.hacheckYAML != "" {
		return n.write("/etc/hacheck/hacheck.yaml", c.hacheckYAML, 0o644)
	}
	return nil
}

// asUser is a command line as keepalived would run it: the script user, its
// one group, and no supplementary ones.
func (c *configuration) asUser(command ...string) []string {
	if c.user == "" {
		return command
	}
	return append([]string{"setpriv", "--reuid", c.user, "--regid", c.group, "--clear-groups", "--"}, command...)
}

// detection is the longest time a failing check needs to count: one interval
// until it next starts, fall runs, and the deadline of the last.
func (c *configuration) detection() time.Duration {
	return time.Duration(c.fall)*c.interval + time.Second
}

// failover is the longest time from detection to the VIPs on the peer with
// advert_int 1: about 0.7 s by FAULT, 3.2 s by a lowered priority. The rest is
// for a busy machine.
func (c *configuration) failover() time.Duration {
	if c.fault {
		return 2500 * time.Millisecond
	}
	return 5 * time.Second
}

// unusedTestdata lists configurations of the field that no test installs.
func unusedTestdata(all ...*configuration) ([]string, error) {
	used := map[string]bool{"README.md": true}
	for _, c := range all {
		for _, file := range c.files {
			used[file.file] = true
		}
	}
	var unused []string
	err := filepath.WalkDir("testdata", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if name, _ := filepath.Rel("testdata", path); !used[name] {
			unused = append(unused, name)
		}
		return nil
	})
	return unused, err
}
