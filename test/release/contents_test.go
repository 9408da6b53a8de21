//go:build release

package release

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hacheck/keepalived"
	"hacheck/notify/journal"
)

const examples = "usr/share/doc/hacheck/examples"

// inPlace runs a shell script where the package's programs and man pages are as
// if it was installed, with the interfaces eth0 and eth1 of a node. Nothing of
// it reaches this machine.
func inPlace(root, script string, args ...string) (string, error) {
	const prepare = `
		mount -t overlay overlay -o "lowerdir=$1/usr/bin:/usr/bin" /usr/bin
		mount -t overlay overlay -o "lowerdir=$1/usr/share/man:/usr/share/man" /usr/share/man
		mount -t tmpfs tmpfs /var/cache/man
		ip link add eth0 type veth peer name eth1
		ip address add 192.0.2.11/24 dev eth0
		ip address add 198.51.100.11/24 dev eth1
		ip link set eth0 up
		ip link set eth1 up
		shift
	`
	cmd := exec.Command("unshare", append([]string{"--mount", "--net", "sh", "-ec", prepare + script, "sh", root}, args...)...)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// TestExamples puts every example to keepalived itself and to hacheck's reader.
func TestExamples(t *testing.T) {
	root := unpacked(t, "amd64")
	files := must(filepath.Glob(filepath.Join(root, examples, "*.conf")))
	if len(files) < 4 {
		t.Fatalf("only %q", files)
	}
	for _, file := range append(files, filepath.Join(root, examples, "migration/after.conf")) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if output, err := inPlace(root, `exec keepalived --config-test --use-file "$1"`, file); err != nil || output != "" {
				t.Errorf("keepalived --config-test: %v\n%s", err, output)
			}
			config, err := keepalived.Load(file, keepalived.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range config.Problems {
				t.Error(problem)
			}
			if len(config.Scripts) != 1 || !slices.Equal(config.Scripts[0].Command.Words, []string{"/usr/bin/hacheck", "haproxy"}) {
				t.Errorf("the scripts are %+v", config.Scripts)
			}
			hooked := map[string]bool{}
			for _, group := range config.Groups {
				checkHooks(t, group.Name, group.Hooks)
				for _, member := range group.Members {
					hooked[member] = true
				}
			}
			for _, instance := range config.Instances {
				if len(instance.TrackScripts) != 1 || instance.TrackScripts[0].Name != config.Scripts[0].Name {
					t.Errorf("%s tracks %+v", instance.Name, instance.TrackScripts)
				}
				if !hooked[instance.Name] {
					checkHooks(t, instance.Name, instance.Hooks)
				}
			}
		})
	}
}

// checkHooks: every state that keepalived can tell reaches hacheck, under the
// right name.
func checkHooks(t *testing.T, name string, hooks keepalived.Hooks) {
	t.Helper()
	for state, hook := range map[string]*keepalived.Hook{"MASTER": hooks.Master, "BACKUP": hooks.Backup, "FAULT": hooks.Fault, "STOP": hooks.Stop} {
		want := []string{"/usr/bin/hacheck", "notify", state, name}
		if hook == nil && state != "STOP" && hooks.Any != nil {
			hook, want = hooks.Any, []string{"/usr/bin/hacheck", "notify"}
		}
		if hook == nil || !slices.Equal(hook.Words, want) {
			t.Errorf("%s of %s: the hook is %+v, want %q", state, name, hook, want)
		}
	}
}

// TestMigration: what the examples migrate from is what keepalived runs, with
// its complaint.
func TestMigration(t *testing.T) {
	root := unpacked(t, "amd64")
	before := filepath.Join(root, examples, "migration/before")
	output, err := inPlace(root, `
		mount -t tmpfs tmpfs /etc/keepalived
		install -m 0755 "$1"/*.sh /etc/keepalived
		exec keepalived --config-test --use-file "$1/keepalived.conf"`, before)
	const complaint = "SECURITY VIOLATION - scripts are being executed but script_security not enabled.\n"
	if err == nil || output != complaint {
		t.Errorf("keepalived --config-test: %v\n%s", err, output)
	}
}

var linkPattern = regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)

// TestPages: the package has every page, and no link leads out of it but to the
// web.
func TestPages(t *testing.T) {
	root := filepath.Join(unpacked(t, "amd64"), "usr/share/doc/hacheck")
	links := 0
	for _, folder := range []string{"docs", "docs/zh-CN"} {
		pages := must(filepath.Glob(filepath.Join(top, folder, "*.md")))
		if len(pages) < 10 {
			t.Errorf("only %d pages are in %s", len(pages), folder)
		}
		for _, page := range pages {
			name := filepath.Join(folder, filepath.Base(page))
			text := read(t, filepath.Join(root, name))
			if text != read(t, page) {
				t.Errorf("%s is not the page of the sources", name)
			}
			for _, link := range linkPattern.FindAllStringSubmatch(text, -1) {
				if strings.HasPrefix(link[1], "https://") {
					continue
				}
				links++
				if _, err := os.Stat(filepath.Join(root, folder, link[1])); err != nil {
					t.Errorf("%s: %q leads nowhere: %v", name, link[1], err)
				}
			}
		}
	}
	if links < 40 {
		t.Errorf("only %d links were found", links)
	}
}

// TestUnits: systemd finds nothing to say about the units, and little that the
// service could do beyond its work.
func TestUnits(t *testing.T) {
	root := unpacked(t, "amd64")
	units := filepath.Join(root, "usr/lib/systemd/system/hacheck-deliver.")
	if output, err := inPlace(root, `exec systemd-analyze verify "$1service" "$1path" "$1timer"`, units); err != nil || output != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, output)
	}
	output := command(t, "systemd-analyze", "security", "--offline=yes", "--json=short", "--threshold=20", units+"service")
	var findings []struct {
		Name     string
		Exposure *json.RawMessage
	}
	if err := json.Unmarshal([]byte(output), &findings); err != nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, output)
	}
	// What is open, and nothing else: the network, because mail and webhooks go
	// there, and what the unit says it leaves out.
	var open []string
	for _, finding := range findings {
		if finding.Exposure != nil {
			open = append(open, finding.Name)
		}
	}
	slices.Sort(open)
	if want := []string{
		"DeviceAllow=", "IPAddressDeny=", "PrivateMounts=", "PrivateNetwork=", "PrivateUsers=", "ProcSubset=", "ProtectProc=",
		"RestrictAddressFamilies=~AF_(INET|INET6)", "RestrictAddressFamilies=~AF_NETLINK", "RestrictAddressFamilies=~AF_UNIX",
		"RestrictSUIDSGID=", "RootDirectory=/RootImage=", "SystemCallFilter=~@privileged", "UMask=",
	}; !slices.Equal(open, want) {
		t.Errorf("open is %q\nwant    %q", open, want)
	}
	// The command that the unit runs is one that hacheck knows.
	service := read(t, units+"service")
	_, start, _ := strings.Cut(service, "\nExecStart=/usr/bin/hacheck ")
	start, _, _ = strings.Cut(start, "\n")
	args := append(strings.Fields(start), "--help")
	if output, err := exec.Command(filepath.Join(root, "usr/bin/hacheck"), args...).CombinedOutput(); err != nil {
		t.Errorf("hacheck %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// TestCatalog: journalctl -x explains a transition in three languages.
func TestCatalog(t *testing.T) {
	root := t.TempDir()
	command(t, "mkdir", "-p", filepath.Join(root, "usr/lib/systemd"), filepath.Join(root, "var/lib/systemd/catalog"))
	command(t, "cp", "-R", filepath.Join(unpacked(t, "amd64"), "usr/lib/systemd/catalog"), filepath.Join(root, "usr/lib/systemd"))
	command(t, "journalctl", "--root="+root, "--update-catalog")
	list := command(t, "journalctl", "--root="+root, "--list-catalog")
	if !strings.HasPrefix(list, journal.TransitionID+" hacheck: ") {
		t.Errorf("the catalog has %s", list)
	}
	// A field that a message may lack is shown by its bare name.
	always := []string{"HACHECK_EVENT_ID", "HACHECK_HOST", "HACHECK_INSTANCE", "HACHECK_KIND", "HACHECK_STATE"}
	for _, file := range []string{"hacheck.catalog", "hacheck.zh_CN.catalog", "hacheck.zh_TW.catalog"} {
		text := read(t, filepath.Join(root, "usr/lib/systemd/catalog", file))
		if !strings.HasPrefix(text, "-- "+journal.TransitionID+"\nSubject: ") {
			t.Errorf("%s is not about a transition:\n%s", file, text)
		}
		for i, part := range strings.Split(text, "@") {
			if i%2 == 1 && !slices.Contains(always, part) {
				t.Errorf("%s has the field %s, which is not in every message", file, part)
			}
		}
	}
}

// TestDocumentsOfTheShells: the man pages are found by the commands' names and
// the completions can be read by their shells.
func TestDocumentsOfTheShells(t *testing.T) {
	root := unpacked(t, "amd64")
	command(t, "bash", "-n", filepath.Join(root, "usr/share/bash-completion/completions/hacheck"))
	command(t, "zsh", "-n", filepath.Join(root, "usr/share/zsh/vendor-completions/_hacheck"))
	command(t, "fish", "--no-execute", filepath.Join(root, "usr/share/fish/vendor_completions.d/hacheck.fish"))
	completed, err := inPlace(root, `exec fish --no-config --command "source $1; complete --do-complete 'hacheck maint'"`,
		filepath.Join(root, "usr/share/fish/vendor_completions.d/hacheck.fish"))
	if err != nil || !strings.HasPrefix(completed, "maintenance\t") {
		t.Errorf("fish completes %q, %v", completed, err)
	}
	for _, page := range []string{"hacheck", "hacheck-haproxy", "hacheck-notify", "hacheck-queue-list", "hacheck.yaml"} {
		output, err := inPlace(root, `LC_ALL=C.UTF-8 MANWIDTH=80 exec man --warnings "$1"`, page)
		if err != nil || !strings.Contains(output, "NAME\n       "+page+" - ") {
			t.Errorf("man %s: %v\n%s", page, err, output)
		}
	}
}
