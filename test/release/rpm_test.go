//go:build release

package release

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestRPMLint: what the packages may be told of is in the project's own file.
func TestRPMLint(t *testing.T) {
	r := debianRoot(t)
	write(t, r.path("/lint/rpmlint.toml"), read(t, filepath.Join(top, "packaging/rpm/rpmlint.toml")), 0o644)
	for _, arch := range arches {
		file := rpm(dist, version, arch)
		write(t, r.path("/lint/"+filepath.Base(file)), read(t, file), 0o644)
	}
	// nfpm's names begin with a slash. rpm does not mind, but rpmlint lets cpio
	// unpack them: over the system, and where it finds none of them.
	write(t, r.path("/usr/local/bin/cpio"), "#!/bin/sh\nexec /usr/bin/cpio --no-absolute-filenames \"$@\"\n", 0o755)
	output := r.must("PATH=/usr/local/bin:$PATH rpmlint --config /lint/rpmlint.toml /lint/*.rpm 2>&1")
	if !strings.Contains(output, "2 packages and 0 specfiles checked; 0 errors, 0 warnings") {
		t.Error(output)
	}
}

// TestRPMInRootOfItsOwn installs, upgrades, downgrades and removes the package in
// an empty root with rpm's own database.
func TestRPMInRootOfItsOwn(t *testing.T) {
	r := emptyRoot(t)
	run := func(args ...string) (string, error) {
		return r.run(append([]string{"rpm", "--root", r.dir, "--dbpath", "/var/lib/rpm"}, args...)...)
	}
	must := func(args ...string) {
		t.Helper()
		// Debian's rpm warns of being used at all.
		output, err := run(append(args, "--force-debian")...)
		// A warning is a failure: an account that is missing is only one to rpm.
		warnings := regexp.MustCompile(`(?m)^Creating (group|user) .*\n`).ReplaceAllString(output, "")
		if err != nil || warnings != "" {
			t.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, output)
		}
	}
	const program, file = "/usr/bin/hacheck", "/usr/libexec/keepalived/hacheck"

	if output, err := run("--initdb"); err != nil || output != "" {
		t.Fatalf("rpm --initdb: %v\n%s", err, output)
	}
	// Nothing in the root can be known to rpm: --nodeps.
	must("--install", "--nodeps", rpm(dist, version, "amd64"))
	for path, want := range map[string]string{
		"/usr/bin/hacheck":                                    "0777 root:root link",
		"/usr/libexec/keepalived/hacheck":                     "0755 root:root file",
		"/etc/hacheck":                                        "0755 root:root dir",
		"/etc/hacheck/hacheck.yaml":                           "0640 root:haproxy file",
		"/usr/lib/systemd/system/hacheck-deliver.service":     "0644 root:root file",
		"/usr/lib/systemd/system-preset/50-hacheck.preset":    "0644 root:root file",
		"/usr/lib/systemd/catalog/hacheck.zh_CN.catalog":      "0644 root:root file",
		"/usr/share/man/man1/hacheck-haproxy.1.gz":            "0644 root:root file",
		"/usr/share/man/man5/hacheck.yaml.5.gz":               "0644 root:root file",
		"/usr/share/zsh/site-functions/_hacheck":              "0644 root:root file",
		"/usr/share/bash-completion/completions/hacheck":      "0644 root:root file",
		"/usr/share/fish/vendor_completions.d/hacheck.fish":   "0644 root:root file",
		"/usr/share/doc/hacheck/docs/quickstart.md":           "0644 root:root file",
		"/usr/share/doc/hacheck/docs/zh-CN":                   "0755 root:root dir",
		"/usr/share/doc/hacheck/docs/zh-CN/quickstart.md":     "0644 root:root file",
		"/usr/share/licenses/hacheck/LICENSE":                 "0644 root:root file",
		"/usr/share/licenses/hacheck/third-party-licenses.gz": "0644 root:root file",
		// The post script has run.
		"/var/lib/hacheck":             "2770 hacheck:haproxy dir",
		"/var/lib/hacheck/spool/queue": "2770 hacheck:haproxy dir",
		"/var/lib/hacheck/states":      "2770 hacheck:haproxy dir",
		"/run/hacheck/verdict":         "2775 hacheck:haproxy dir",
	} {
		if got := r.status(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	if target, err := os.Readlink(r.path(program)); err != nil || target != "../libexec/keepalived/hacheck" {
		t.Errorf("/usr/bin/hacheck leads to %q, %v", target, err)
	}
	must("--verify", "--nodeps", "hacheck")
	if output, err := run("--query", "--qf", "%{buildhost} %{license} %{sourcerpm}\n", "hacheck"); err != nil || !strings.HasPrefix(output, "hacheck Apache-2.0 ") {
		t.Errorf("rpm --query: %v, %s", err, output)
	}

	// What the operator and the hook have written survives every change.
	yaml, event := r.path("/etc/hacheck/hacheck.yaml"), r.path("/var/lib/hacheck/spool/queue/event.json")
	write(t, event, "{}", 0o660)
	if err := os.WriteFile(yaml, []byte("timeout: 800ms\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	kept := func(after string) {
		t.Helper()
		if read(t, yaml) != "timeout: 800ms\n" || read(t, event) != "{}" {
			t.Errorf("%s changed hacheck.yaml or the spool", after)
		}
		if got := r.status("/etc/hacheck/hacheck.yaml"); got != "0640 root:haproxy file" {
			t.Errorf("after %s hacheck.yaml is %s", after, got)
		}
	}
	both := []string{version, nextVersion}
	r.watched(both, func() { must("--upgrade", "--nodeps", rpm(next, nextVersion, "amd64")) }, program, file)
	kept("the upgrade")
	r.watched(both, func() { must("--upgrade", "--nodeps", "--oldpackage", rpm(dist, version, "amd64")) }, program, file)
	kept("the downgrade")
	r.watched(both, func() { must("--reinstall", "--nodeps", rpm(dist, version, "amd64")) }, program, file)
	kept("the reinstallation")

	// No more of keepalived is in this root than its name and command line.
	command(t, "cp", filepath.Join(r.dir, "bin/dash"), filepath.Join(r.dir, "tmp/keepalived"))
	refusesToLeave(t, r, `/tmp/keepalived -c 'while :; do sleep 1; done' -`, func() (string, error) { return run("--erase", "hacheck") })
	if output, err := run("--erase", "hacheck"); err != nil || !strings.Contains(output, "hacheck.yaml saved as") {
		t.Fatalf("rpm --erase: %v\n%s", err, output)
	}
	left := []string{}
	err := filepath.WalkDir(r.dir, func(file string, _ fs.DirEntry, err error) error {
		name := strings.TrimPrefix(file, r.dir)
		if err == nil && strings.Contains(name, "hacheck") && !strings.HasPrefix(name, "/var/lib/hacheck/") && !strings.HasPrefix(name, "/run/hacheck/") {
			left = append(left, name)
		}
		return err
	})
	if want := []string{"/etc/hacheck", "/etc/hacheck/hacheck.yaml.rpmsave", "/run/hacheck", "/var/lib/hacheck"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%v; left is %q, want %q", err, left, want)
	}
	if got := r.status(file); got != "missing" {
		t.Errorf("%s is left: %s", file, got)
	}
	if read(t, yaml+".rpmsave") != "timeout: 800ms\n" || read(t, event) != "{}" {
		t.Error("removing changed what the operator and the hook have written")
	}
}
