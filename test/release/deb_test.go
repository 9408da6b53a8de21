//go:build release

package release

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hacheck/notify/journal"
)

func TestLintian(t *testing.T) {
	for _, arch := range arches {
		// Errors and warnings fail; so does an override nobody needs.
		output, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", "--display-info", deb(dist, version, arch)).CombinedOutput()
		if text := string(output); err != nil || strings.Contains(text, "unused-override") || strings.Contains(text, "mismatched-override") {
			t.Errorf("%s: %v\n%s", arch, err, text)
		}
	}
}

func TestDebContents(t *testing.T) {
	for _, arch := range arches {
		list := command(t, "dpkg-deb", "--contents", deb(dist, version, arch))
		got := map[string]string{}
		for line := range strings.Lines(list) {
			fields := strings.Fields(line)
			owner := strings.Replace(fields[1], "0/0", "root/root", 1)
			if owner != "root/root" {
				t.Errorf("%s: %s belongs to %s", arch, fields[5], owner)
			}
			got[strings.TrimPrefix(fields[5], ".")] = fields[0]
		}
		want := map[string]string{
			"/usr/bin/hacheck":                                                  "-rwxr-xr-x",
			"/etc/hacheck/hacheck.yaml":                                         "-rw-r-----",
			"/usr/lib/systemd/system/hacheck-deliver.path":                      "-rw-r--r--",
			"/usr/lib/systemd/system/hacheck-deliver.timer":                     "-rw-r--r--",
			"/usr/lib/systemd/system/hacheck-deliver.service":                   "-rw-r--r--",
			"/usr/lib/sysusers.d/hacheck.conf":                                  "-rw-r--r--",
			"/usr/lib/tmpfiles.d/hacheck.conf":                                  "-rw-r--r--",
			"/usr/lib/systemd/catalog/hacheck.catalog":                          "-rw-r--r--",
			"/usr/lib/systemd/catalog/hacheck.zh_CN.catalog":                    "-rw-r--r--",
			"/usr/lib/systemd/catalog/hacheck.zh_TW.catalog":                    "-rw-r--r--",
			"/usr/share/man/man1/hacheck.1.gz":                                  "-rw-r--r--",
			"/usr/share/man/man1/hacheck-haproxy.1.gz":                          "-rw-r--r--",
			"/usr/share/man/man1/hacheck-config-check.1.gz":                     "-rw-r--r--",
			"/usr/share/man/man5/hacheck.yaml.5.gz":                             "-rw-r--r--",
			"/usr/share/bash-completion/completions/hacheck":                    "-rw-r--r--",
			"/usr/share/zsh/vendor-completions/_hacheck":                        "-rw-r--r--",
			"/usr/share/fish/vendor_completions.d/hacheck.fish":                 "-rw-r--r--",
			"/usr/share/doc/hacheck/changelog.gz":                               "-rw-r--r--",
			"/usr/share/doc/hacheck/changelog.Debian.gz":                        "-rw-r--r--",
			"/usr/share/doc/hacheck/copyright":                                  "-rw-r--r--",
			"/usr/share/doc/hacheck/third-party-licenses.gz":                    "-rw-r--r--",
			"/usr/share/doc/hacheck/docs/README.md":                             "-rw-r--r--",
			"/usr/share/doc/hacheck/docs/quickstart.md":                         "-rw-r--r--",
			"/usr/share/doc/hacheck/docs/zh-CN/README.md":                       "-rw-r--r--",
			"/usr/share/doc/hacheck/docs/zh-CN/quickstart.md":                   "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/one-instance.conf":                 "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/two-instances.conf":                "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/sync-group.conf":                   "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/vrrp3-fast.conf":                   "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/migration/after.conf":              "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/migration/before/notify.sh":        "-rw-r--r--",
			"/usr/share/doc/hacheck/examples/keepalived.service.d/hacheck.conf": "-rw-r--r--",
		}
		for path, mode := range want {
			if got[path] != mode {
				t.Errorf("%s: %s has mode %q, want %q", arch, path, got[path], mode)
			}
		}
		// Installing changes nothing in how the pair behaves.
		for path := range got {
			for _, foreign := range []string{"/keepalived.service.d/", "/haproxy.service.d/", "/etc/keepalived", "/etc/haproxy", "/etc/cron"} {
				if strings.Contains(path, foreign) && !strings.HasPrefix(path, "/usr/share/doc/") {
					t.Errorf("%s: %s is in the package", arch, path)
				}
			}
		}
		control := filepath.Join(t.TempDir(), "control")
		command(t, "dpkg-deb", "--control", deb(dist, version, arch), control)
		if conffiles := read(t, filepath.Join(control, "conffiles")); conffiles != "/etc/hacheck/hacheck.yaml\n" {
			t.Errorf("%s: conffiles are %q", arch, conffiles)
		}
		fields := read(t, filepath.Join(control, "control"))
		for _, line := range []string{"Package: hacheck", "Version: " + version + "-1", "Architecture: " + arch} {
			if !slices.Contains(strings.Split(fields, "\n"), line) {
				t.Errorf("%s: %q is missing in\n%s", arch, line, fields)
			}
		}
	}
}

// TestDebOnANode takes the package through the life of a node that has HAProxy
// and keepalived, without systemd running.
func TestDebOnANode(t *testing.T) {
	r := debianRoot(t)
	const keepalivedConf = "/etc/keepalived/keepalived.conf"
	r.must(`dpkg --purge hacheck 2>/dev/null || true
		mkdir -p /packages /etc/keepalived
		dpkg-query --show --showformat '${db:Status-Status}\n' haproxy keepalived | grep -v '^installed$' && exit 1
		grep -qs hacheck /etc/passwd /etc/group && exit 1
		true`)
	for name, file := range map[string]string{"this": deb(dist, version, "amd64"), "next": deb(next, nextVersion, "amd64")} {
		write(t, r.path("/packages/"+name), read(t, file), 0o644)
	}
	before := r.changes()
	fresh := func() []string {
		return slices.DeleteFunc(r.changes(), func(change string) bool {
			_, name, _ := strings.Cut(change, " ")
			return slices.Contains(before, change) ||
				// dpkg's and shadow's own books, and the catalog compiled anew.
				strings.HasPrefix(name, "/var/lib/dpkg/") || name == "/var/log/dpkg.log" ||
				slices.Contains([]string{"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/var/lib/systemd/catalog/database"}, name)
		})
	}

	r.must("dpkg --install /packages/this")
	for path, want := range map[string]string{
		"/usr/bin/hacheck":             "0755 root:root file",
		"/etc/hacheck":                 "0755 root:root dir",
		"/etc/hacheck/hacheck.yaml":    "0640 root:haproxy file",
		"/var/lib/hacheck":             "2770 hacheck:haproxy dir",
		"/var/lib/hacheck/spool/queue": "2770 hacheck:haproxy dir",
		"/var/lib/hacheck/states":      "2770 hacheck:haproxy dir",
		"/run/hacheck/verdict":         "2775 hacheck:haproxy dir",
		"/etc/systemd/system/multi-user.target.wants/hacheck-deliver.path": "0777 root:root link",
		"/etc/systemd/system/timers.target.wants/hacheck-deliver.timer":    "0777 root:root link",
	} {
		if got := r.status(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if got := r.must("id hacheck; getent passwd hacheck"); !strings.Contains(got, "haproxy") || !strings.Contains(got, ":/var/lib/hacheck:/usr/sbin/nologin\n") {
		t.Errorf("the account is %s", got)
	}
	r.must("dpkg --verify hacheck && journalctl --list-catalog " + journal.TransitionID)
	// Beyond its own files there is the account and that its units are enabled.
	own := strings.Split(r.must("dpkg --listfiles hacheck"), "\n")
	for _, change := range fresh() {
		kind, name, _ := strings.Cut(change, " ")
		allowed := kind == "new" && (slices.Contains(own, name) || strings.HasPrefix(name, "/var/lib/hacheck") ||
			strings.Contains(name, "/hacheck-deliver.") || strings.Contains(name, "/deb-systemd-helper-enabled")) ||
			slices.Contains([]string{"changed /etc/passwd", "changed /etc/shadow", "changed /etc/group", "changed /etc/gshadow"}, change)
		if !allowed {
			t.Errorf("installing: %s", change)
		}
	}

	// What the operator and the hook have written survives every change, and the
	// rights that the operator has given, too.
	const yaml, event = "/etc/hacheck/hacheck.yaml", "/var/lib/hacheck/spool/queue/event.json"
	r.must("echo 'timeout: 800ms' >" + yaml + "; chgrp keepalived_script " + yaml + " 2>/dev/null || chgrp daemon " + yaml + "; echo {} >" + event)
	rights := r.status(yaml)
	kept := func(after string) {
		t.Helper()
		if read(t, r.path(yaml)) != "timeout: 800ms\n" || read(t, r.path(event)) != "{}\n" {
			t.Errorf("%s changed hacheck.yaml or the spool", after)
		}
		if got := r.status(yaml); got != rights {
			t.Errorf("after %s hacheck.yaml is %s, was %s", after, got, rights)
		}
	}
	const program = "/usr/bin/hacheck"
	both := []string{version, nextVersion}
	r.watched(both, func() { r.must("dpkg --install /packages/next") }, program)
	kept("the upgrade")
	r.watched(both, func() { r.must("dpkg --install /packages/this") }, program)
	kept("the downgrade")
	r.watched(both, func() { r.must("dpkg --install /packages/this") }, program)
	kept("the reinstallation")

	// A disk that gets full in the middle: the old program stays.
	r.must("fallocate --length $(($(df --output=avail --block-size=1M / | tail -n 1) - 6))M /ballast")
	if output, err := r.shell("dpkg --install /packages/next"); err == nil || !strings.Contains(output, "No space left on device") {
		t.Errorf("upgrading on a full disk: %v\n%s", err, output)
	}
	r.must("rm /ballast")
	if got := r.must("hacheck version; dpkg-query --show --showformat '${Version} ${db:Status-Status}' hacheck"); !strings.HasPrefix(got, "hacheck "+version+" (") || !strings.HasSuffix(got, version+"-1 installed") {
		t.Errorf("after the upgrade that failed there is %s", got)
	}
	kept("the upgrade that failed")

	// What is disabled stays so.
	r.must("systemctl --quiet disable hacheck-deliver.timer; dpkg --install /packages/next")
	if got := r.status("/etc/systemd/system/timers.target.wants/hacheck-deliver.timer"); got != "missing" {
		t.Errorf("the upgrade enabled the timer again: %s", got)
	}

	refusesToLeave(t, r, "keepalived --dont-fork", func() (string, error) { return r.shell("dpkg --remove hacheck") })
	r.must("dpkg --remove hacheck")
	kept("removing")
	if got := r.status(program); got != "missing" {
		t.Errorf("%s is left: %s", program, got)
	}
	r.must("dpkg --install /packages/this")
	kept("installing it again")
	// A keepalived that is started later would not find it.
	r.must("kill $(pidof keepalived); while pidof keepalived; do sleep 0.01; done; echo 'script /usr/bin/hacheck' >" + keepalivedConf)
	if output := r.must("dpkg --remove hacheck"); !strings.Contains(output, "still names hacheck, in\n"+keepalivedConf+"\n") {
		t.Errorf("no warning: %s", output)
	}
	r.must("dpkg --purge hacheck; rm -rf /etc/elsewhere")
	if left := slices.DeleteFunc(fresh(), func(change string) bool { return strings.HasSuffix(change, keepalivedConf) }); len(left) > 0 {
		t.Errorf("purging leaves\n%s", strings.Join(left, "\n"))
	}
	if got := r.status("/run/hacheck"); got != "missing" {
		t.Errorf("purging leaves /run/hacheck: %s", got)
	}
	if got := r.must("getent group haproxy"); !strings.HasPrefix(got, "haproxy:") {
		t.Errorf("HAProxy's group: %s", got)
	}
}
