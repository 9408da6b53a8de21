package keepalived

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindConfig(t *testing.T) {
	const etc = "etc/keepalived/keepalived.conf"
	proc := func(pid string, args ...string) []string {
		return []string{"proc/" + pid + "/cmdline", strings.Join(args, "\x00") + "\x00"}
	}
	for _, test := range []struct {
		name   string
		files  []string
		parent int
		want   string
		id     string
	}{
		{"default", []string{etc, ""}, 0, etc, ""},
		{"old default", []string{"usr/local/" + etc, ""}, 0, "usr/local/" + etc, ""},
		{"both defaults", []string{"usr/local/" + etc, "", etc, ""}, 0, etc, ""},
		{"running", append(proc("7", "/usr/sbin/keepalived", "-D", "-f", "/srv/ka.conf", "-i", "node-a"), "run/keepalived.pid", "7\n", etc, ""), 0, "srv/ka.conf", "node-a"},
		{"running with the default", append(proc("7", "/usr/sbin/keepalived", "--dont-fork"), "run/keepalived.pid", "7\n", etc, "", "etc/default/keepalived", "DAEMON_ARGS='-f /other'"), 0, etc, ""},
		{"vrrp process only", append(proc("8", "keepalived", "--use-file=/srv/ka.conf", "--config-id", "x"), "run/vrrp.pid", "8"), 0, "srv/ka.conf", "x"},
		{"pid directory", append(proc("9", "keepalived", "-nDf/srv/ka.conf"), "run/keepalived/keepalived_one.pid", "9"), 0, "srv/ka.conf", ""},
		{"another program has the pid", append(proc("7", "/usr/bin/vim", "-f", "/srv/ka.conf"), "run/keepalived.pid", "7", etc, ""), 0, etc, ""},
		{"process gone", []string{"run/keepalived.pid", "7", etc, ""}, 0, etc, ""},
		{"nonsense in the pid file", []string{"run/keepalived.pid", "-1 x", etc, ""}, 0, etc, ""},
		{"parent first", append(append(proc("7", "keepalived", "-f", "/a"), proc("8", "keepalived", "-f", "/b")...), "run/keepalived.pid", "7"), 8, "b", ""},
		{"parent is a shell", append(append(proc("7", "keepalived", "-f", "/a"), proc("8", "-bash")...), "run/keepalived.pid", "7"), 8, "a", ""},
		{"relative without cwd", append(proc("7", "keepalived", "-f", "ka.conf"), "run/keepalived.pid", "7"), 0, "ka.conf", ""},
		{"debian", []string{"etc/default/keepalived", "# Options\nDAEMON_ARGS=\"-D -f /srv/ka.conf --config-id=n\"\n", etc, ""}, 0, "srv/ka.conf", "n"},
		{"debian with a quoted path", []string{"etc/default/keepalived", "DAEMON_ARGS='-f \"/srv/k a.conf\"'\n", etc, ""}, 0, "srv/k a.conf", ""},
		{"the last assignment", []string{"etc/default/keepalived", "export DAEMON_ARGS=-f/one\nDAEMON_ARGS=-f/two\n#DAEMON_ARGS=-f/three", etc, ""}, 0, "two", ""},
		{"red hat", []string{"etc/sysconfig/keepalived", "KEEPALIVED_OPTIONS=\"-D -f /srv/ka.conf\"\n", etc, ""}, 0, "srv/ka.conf", ""},
		{"options without a file", []string{"etc/default/keepalived", "DAEMON_ARGS=\"-i n\"\n", etc, ""}, 0, etc, "n"},
		{"values that look like options", append(proc("7", "keepalived", "-p", "-f", "-S", "-i", "--pid", "--use-file=/no", "-g", "-f", "/srv/ka.conf"), "run/keepalived.pid", "7"), 0, "srv/ka.conf", ""},
		{"abbreviated", append(proc("7", "keepalived", "--use", "/srv/ka.conf", "--config-i=z", "--con=q"), "run/keepalived.pid", "7"), 0, "srv/ka.conf", "z"},
		{"after --", append(proc("7", "keepalived", "--", "-f", "/srv/ka.conf"), "run/keepalived.pid", "7", etc, ""), 0, etc, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for i := 0; i < len(test.files); i += 2 {
				write(t, filepath.Join(root, test.files[i]), test.files[i+1], 0o644)
			}
			path, opts, err := FindConfig(Search{Root: root, Parent: test.parent})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "path", path, filepath.Join(root, test.want))
			equal(t, "id", opts.ConfigID, test.id)
		})
	}
}

func TestFindConfigRelativeToProcess(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "proc/7/cmdline"), "keepalived\x00-f\x00ka.conf\x00", 0o644)
	write(t, filepath.Join(root, "run/keepalived.pid"), "7\n", 0o644)
	if err := os.Symlink("/srv/ha", filepath.Join(root, "proc/7/cwd")); err != nil {
		t.Fatal(err)
	}
	path, _, err := FindConfig(Search{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "path", path, filepath.Join(root, "srv/ha/ka.conf"))
}

func TestFindConfigNothing(t *testing.T) {
	_, _, err := FindConfig(Search{Root: t.TempDir()})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("FindConfig in an empty directory: %v", err)
	}
	equal(t, "error", err.Error(), "cannot find keepalived's configuration: no keepalived runs with -f, no distribution option names a file, "+
		"and there is neither /etc/keepalived/keepalived.conf nor /usr/local/etc/keepalived/keepalived.conf: file does not exist")
}
