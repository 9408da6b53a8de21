package keepalived

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// understood is what keepalived itself says of a configuration in the data it
// writes on SIGUSR1, one line a fact.
type understood []string

// TestRealKeepalived compares what the reader makes of files with what the
// installed keepalived does. It runs it in a network namespace of its own
// with interfaces of the right names.
func TestRealKeepalived(t *testing.T) {
	// A copy, in which hacheck does not exist whether it is installed here or
	// not, and the account of script_user does.
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	replacer := strings.NewReplacer("/usr/bin/hacheck", "/nonexistent/hacheck", "keepalived_script haproxy", "root")
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, []byte(replacer.Replace(string(text))), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"real/grammar.conf", "field/dual-vip/keepalived-a.conf", "field/dual-vip/keepalived-b.conf",
		"field/web/keepalived-a.conf", "field/sync/keepalived.conf"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			real := askKeepalived(t, file, "node")
			config, err := Load(file, Options{ConfigID: "node", Version: realVersion(t)})
			if err != nil {
				t.Fatal(err)
			}
			got := facts(config)
			if !slices.Equal(got, real) {
				t.Errorf("the reader and keepalived differ:\n%s", difference(got, real))
			}
			if len(real) < 6 {
				t.Errorf("keepalived told only %q", real)
			}
		})
	}
}

// realVersion asks the installed keepalived for its version.
func realVersion(t *testing.T) string {
	t.Helper()
	output, _ := exec.Command("keepalived", "--version").CombinedOutput()
	_, after, _ := strings.Cut(string(output), "Keepalived v")
	version, _, found := strings.Cut(after, " ")
	if !found {
		t.Fatalf("keepalived --version says %q", output)
	}
	return version
}

// facts gives a Config in the form of understood.
func facts(config *Config) understood {
	g := config.Global
	lines := understood{"router " + g.RouterID}
	if g.Settings.Has("smtp_connect_timeout") {
		lines = append(lines, fmt.Sprintf("timeout %v", g.SMTPConnectTimeout))
	}
	for _, address := range g.NotificationEmail {
		lines = append(lines, "mail "+address)
	}
	for _, in := range config.Instances {
		lines = append(lines, "instance "+in.Name, "interface "+in.Interface,
			fmt.Sprintf("version %d id %d priority %d wants %s", in.VRRPVersion, in.VirtualRouterID, in.Priority, in.State),
			fmt.Sprintf("advert %v preempt %v password %q", in.AdvertInt, !in.Nopreempt, in.AuthPass.Reveal()))
		for _, vip := range in.VIPs {
			text := fmt.Sprintf("vip %v/%d %s %q", vip.Addr, vip.Prefix, vip.Device, vip.Label)
			if vip.Excluded {
				text = "excluded " + text
			}
			lines = append(lines, text)
		}
		for _, peer := range in.UnicastPeers {
			lines = append(lines, "peer "+peer.Addr.String())
		}
		// keepalived resolves symbolic links (/bin) and drops hooks that it
		// cannot execute; so only these are compared.
		for _, hook := range []*Hook{in.Hooks.Backup, in.Hooks.Master, in.Hooks.Any} {
			if hook != nil && strings.HasPrefix(hook.Words[0], "/bin/") {
				lines = append(lines, fmt.Sprintf("hook %q", hook.Words))
			}
		}
		for _, track := range in.TrackScripts {
			if script, _ := config.Script(track.Name); strings.HasPrefix(script.Command.Words[0], "/bin/") {
				lines = append(lines, fmt.Sprintf("tracks %s %d", track.Name, track.Weight))
			}
		}
	}
	for _, group := range config.Groups {
		lines = append(lines, fmt.Sprintf("group %s %s", group.Name, strings.Join(group.Members, " ")))
	}
	for _, script := range config.Scripts {
		if !strings.HasPrefix(script.Command.Words[0], "/bin/") {
			continue
		}
		timeout := script.Timeout
		if !script.Settings.Has("timeout") {
			timeout = 0 // as keepalived says
		}
		lines = append(lines, fmt.Sprintf("script %s %q %v %v %d %d %d", script.Name, script.Command.Words,
			script.Interval, timeout, script.Weight, script.Rise, script.Fall))
	}
	return lines
}

// askKeepalived starts keepalived on a file, waits for it to have come up and
// reads what it says of itself.
func askKeepalived(t *testing.T, file, id string) understood {
	t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Fatal("keepalived is not installed: run make test, which installs it")
	}
	if os.Geteuid() != 0 {
		t.Skip("keepalived and its network namespace need root")
	}
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The dump goes to $TMPDIR. Ends of veth pairs stand for the interfaces.
	script := `set -e
for name in eth0 eth1 ens160 ens192; do
  ip link add $name type veth peer name p-$name
  ip link set $name up; ip link set p-$name up
done
ip addr add 192.0.2.5/24 dev eth0; ip addr add 10.9.8.5/24 dev eth1
ip addr add 198.51.100.11/24 dev ens192; ip addr add 198.51.100.12/24 dev ens192
ip addr add 203.0.113.11/24 dev ens160; ip addr add 203.0.113.12/24 dev ens160
exec keepalived --dont-fork --log-console --log-detail --vrrp --no-syslog --use-file="$1" --config-id="$2" \
  --pid="$3/main.pid" --vrrp_pid="$3/vrrp.pid" --checkers_pid="$3/checkers.pid" --bfd_pid="$3/bfd.pid"`
	command := exec.Command("sh", "-c", script, "sh", file, id, dir)
	command.Env = append(os.Environ(), "TMPDIR="+dir)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	logName := filepath.Join(dir, "log")
	log, err := os.Create(logName)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { command.Wait(); close(ended) }()
	defer func() {
		command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			command.Process.Kill()
			<-ended
		}
	}()
	text := func() []byte { text, _ := os.ReadFile(logName); return text }
	within(t, ended, text, "keepalived to come up", func() bool {
		return bytes.Contains(text(), []byte("Startup complete"))
	})
	// A hook of this keepalived would find the file by its parent.
	found, opts, err := FindConfig(Search{Parent: command.Process.Pid})
	if err != nil || found != file || opts.ConfigID != id {
		t.Errorf("FindConfig = %s, %+v, %v, want %s and %s", found, opts, err, file, id)
	}
	if err := command.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	var data []byte
	within(t, ended, text, "keepalived to write its data", func() bool {
		data, _ = os.ReadFile(filepath.Join(dir, "keepalived.data"))
		return bytes.Contains(data, []byte("-< Interfaces >-"))
	})
	return parseData(data)
}

// within polls until done, at most 20 s and only while keepalived lives.
func within(t *testing.T, ended <-chan struct{}, log func() []byte, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-ended:
			t.Fatalf("keepalived ended while waiting for %s:\n%s", what, log())
		case <-deadline:
			t.Fatalf("waited 20 s for %s:\n%s", what, log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// parseData reads keepalived.data.
func parseData(data []byte) understood {
	var lines understood
	var instance map[string]string
	var vips, peers, hooks, tracks []string
	flush := func() {
		if instance == nil {
			return
		}
		password := instance["Password"]
		lines = append(lines, "instance "+instance["VRRP Instance"], "interface "+instance["Interface"],
			fmt.Sprintf("version %s id %s priority %s wants %s", instance["VRRP Version"], instance["Virtual Router ID"], instance["Priority"], instance["Wantstate"]),
			fmt.Sprintf("advert %s preempt %v password %q", seconds(instance["Advert interval"]), instance["Preempt"] == "enabled", password))
		lines = append(lines, vips...)
		lines = append(lines, peers...)
		lines = append(lines, hooks...)
		lines = append(lines, tracks...)
		instance, vips, peers, hooks, tracks = nil, nil, nil, nil, nil
	}
	var group, list, script string
	var values map[string]string
	flushGroup := func() {
		if group != "" {
			lines = append(lines, group)
		}
		group = ""
	}
	flushScript := func() {
		if values != nil {
			lines = append(lines, fmt.Sprintf("script %s %s %s %s %s %s %s", script, values["Command"], seconds(values["Interval"]),
				seconds(values["Timeout"]), values["Weight"], values["Rise"], values["Fall"]))
		}
		values = nil
	}
	section := ""
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for scanner.Scan() {
		line := scanner.Text()
		indent := len(line) - len(strings.TrimLeft(line, " "))
		key, value, assigned := strings.Cut(strings.TrimSpace(line), " = ")
		if strings.HasPrefix(line, "------<") {
			flush()
			flushGroup()
			flushScript()
			section = strings.Trim(line, "-<> ")
			continue
		}
		switch {
		case section == "Global definitions":
			switch {
			case key == "Router ID":
				lines = append(lines, "router "+value)
			case key == "Smtp server connection timeout":
				lines = append(lines, "timeout "+seconds(value))
			case indent == 3 && strings.Contains(line, "@"):
				lines = append(lines, "mail "+strings.TrimSpace(line))
			}
		case section == "VRRP Topology" && indent == 1 && key == "VRRP Instance":
			flush()
			instance = map[string]string{key: value}
		case section == "VRRP Topology" && indent == 3:
			list = strings.TrimSpace(line)
			if assigned {
				if kind, is := strings.CutSuffix(key, " transition script"); is {
					// Backup, Master and Generic, in keepalived's order.
					if !strings.HasPrefix(kind, "Fault") && !strings.HasPrefix(kind, "Stop") {
						hooks = append(hooks, "hook "+words(value))
					}
				} else {
					instance[key] = value
				}
			}
		case section == "VRRP Topology" && indent == 5:
			text := strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(list, "Virtual IP Excluded"):
				vips = append(vips, "excluded vip "+vipFact(text))
			case strings.HasPrefix(list, "Virtual IP"):
				vips = append(vips, "vip "+vipFact(text))
			case strings.HasPrefix(list, "Unicast Peer"):
				peers = append(peers, "peer "+strings.Fields(text)[0])
			case strings.HasPrefix(list, "Tracked scripts"):
				tracks = append(tracks, "tracks "+strings.Replace(text, " weight ", " ", 1))
			}
		case section == "VRRP Sync groups" && key == "VRRP Sync Group":
			flushGroup()
			name, _, _ := strings.Cut(value, ",")
			group = "group " + name
		case section == "VRRP Sync groups" && indent == 5:
			group += " " + strings.TrimSpace(line)
		case section == "VRRP Scripts" && key == "VRRP Script":
			flushScript()
			script, values = value, map[string]string{}
		case section == "VRRP Scripts" && assigned:
			if key == "Command" {
				value = words(value)
			}
			values[key] = value
		}
		if section == "VRRP Topology" && indent == 3 && !assigned && !strings.HasSuffix(list, ":") {
			list = ""
		}
	}
	return lines
}

// vipFact turns "10.0.0.1/24 brd … dev eth0 scope global label x" into the
// form of facts. A missing prefix is the longest.
func vipFact(text string) string {
	fields := strings.Fields(text)
	address, device, label := fields[0], "", ""
	peer := false
	for i, field := range fields[:len(fields)-1] {
		switch field {
		case "dev":
			device = fields[i+1]
		case "label":
			label = fields[i+1]
		case "peer":
			peer = true
		}
	}
	if !strings.Contains(address, "/") || peer {
		address, _, _ = strings.Cut(address, "/")
		if strings.Contains(address, ":") {
			address += "/128"
		} else {
			address += "/32"
		}
	}
	return fmt.Sprintf("%s %s %q", address, device, label)
}

// words reads "'/usr/bin/true' 'a' 'b c', uid:gid 0:0" as a Go list, and
// undoes that /bin is a link.
func words(text string) string {
	text, _, _ = strings.Cut(text, ", uid:gid")
	list, err := commandWords(text)
	if err != nil || len(list) == 0 {
		return text
	}
	list[0] = strings.TrimPrefix(list[0], "/usr")
	return fmt.Sprintf("%q", list)
}

// seconds reads "3 sec", "1000 milli-sec" and "30".
func seconds(text string) string {
	number, unit, _ := strings.Cut(text, " ")
	if unit = map[string]string{"milli-sec": "ms"}[unit]; unit == "" {
		unit = "s"
	}
	duration, err := time.ParseDuration(number + unit)
	if err != nil {
		return text
	}
	return duration.String()
}

// difference shows the lines that only one side has.
func difference(got, want understood) string {
	var text strings.Builder
	for _, line := range got {
		if !slices.Contains(want, line) {
			fmt.Fprintf(&text, "  reader:     %s\n", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			fmt.Fprintf(&text, "  keepalived: %s\n", line)
		}
	}
	if text.Len() == 0 {
		fmt.Fprintf(&text, "  only in the order:\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return text.String()
}
