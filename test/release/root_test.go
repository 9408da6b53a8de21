//go:build release

package release

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// root is a root file system with mounts, processes and a network of its own:
// nothing that is done there reaches this machine, and it sees none of this
// machine's processes.
type root struct {
	t *testing.T
	// dir is where it is, for who is in its mount namespace.
	dir string
	// leader is the first of its processes, seen from here.
	leader int
}

// newRoot runs a script that mounts what the root needs, $1 being its folder,
// and keeps the namespaces until the test ends, or this process does. The shell is
// their init.
func newRoot(t *testing.T, dir, mounts string) *root {
	t.Helper()
	leader := exec.Command("sh", "-ec", "mount --make-rprivate /\n"+mounts+"\necho ready; cat; exit", "sh", dir)
	leader.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	var complaint bytes.Buffer
	leader.Stderr = &complaint
	in := must(leader.StdinPipe())
	out := must(leader.StdoutPipe())
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = leader.Wait()
	})
	if _, err := out.Read(make([]byte, len("ready\n"))); err != nil {
		in.Close()
		_ = leader.Wait()
		t.Fatalf("making a root: %v\n%s", err, complaint.String())
	}
	return &root{t: t, dir: dir, leader: leader.Process.Pid}
}

// run runs a program of this machine in the root's namespaces.
func (r *root) run(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"--target", fmt.Sprint(r.leader), "--mount", "--pid", "--net", "--ipc", "--uts", "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// shell runs a script inside.
func (r *root) shell(script string) (string, error) {
	return r.run("chroot", r.dir, "sh", "-ec", script)
}

// must is shell for what has to succeed.
func (r *root) must(script string) string {
	r.t.Helper()
	output, err := r.shell(script)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", script, err, output)
	}
	return output
}

// path is a file of the root as it is seen from here.
func (r *root) path(name string) string {
	return filepath.Join("/proc", fmt.Sprint(r.leader), "root", r.dir, name)
}

// emptyRoot is a root with nothing in it but what the packages' scripts call.
func emptyRoot(t *testing.T) *root {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n", 0o644)
	write(t, filepath.Join(dir, "etc/group"), "root:x:0:\n", 0o644)
	write(t, filepath.Join(dir, "dev/null"), "", 0o644)
	command(t, "mkdir", "-p", filepath.Join(dir, "proc"), filepath.Join(dir, "tmp"), filepath.Join(dir, "run"), filepath.Join(dir, "var/lib"))
	libraries := regexp.MustCompile(`(/\S+) \(0x`)
	for _, program := range []string{
		"/bin/bash", "/bin/dash", "/bin/cat", "/bin/grep", "/bin/mkdir", "/bin/rm", "/bin/sed", "/bin/sleep", "/usr/bin/sort", "/usr/bin/tr", "/bin/systemd-sysusers", "/bin/systemd-tmpfiles",
	} {
		files := []string{program}
		for _, match := range libraries.FindAllStringSubmatch(command(t, "ldd", program), -1) {
			files = append(files, match[1])
		}
		for _, file := range files {
			target := filepath.Join(dir, file)
			command(t, "mkdir", "-p", filepath.Dir(target))
			command(t, "cp", "--dereference", file, target)
		}
	}
	if err := os.Symlink("dash", filepath.Join(dir, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	return newRoot(t, dir, `
		mount -t proc proc "$1/proc"
		mount --bind /dev/null "$1/dev/null"`)
}

// debianRoot is this machine's own Debian as it is on the disk, with everything
// that is changed kept in memory, and without a running systemd.
func debianRoot(t *testing.T) *root {
	t.Helper()
	r := newRoot(t, t.TempDir(), `
		mount -t tmpfs -o mode=0755,size=200m tmpfs "$1"
		cd "$1"
		mkdir upper work root
		mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay root
		cd root
		for dir in dev run tmp; do mount -t tmpfs -o mode=0755 tmpfs $dir; done
		for device in null zero urandom; do touch dev/$device; mount --bind /dev/$device dev/$device; done
		mount -t proc proc proc
		# The pages' index is made anew after each change: minutes, on some machines.
		rm -f var/lib/man-db/auto-update`)
	r.dir = filepath.Join(r.dir, "root")
	if _, err := os.Stat(r.path("/var/lib/dpkg/status")); err != nil {
		t.Fatalf("the root's copy has no dpkg: %v (is /var a file system of its own?)", err)
	}
	return r
}

// status describes a file as "0640 root:haproxy file", by the names the root has.
func (r *root) status(name string) string {
	r.t.Helper()
	info, err := os.Lstat(r.path(name))
	if err != nil {
		return "missing"
	}
	stat := info.Sys().(*syscall.Stat_t)
	kind := map[uint32]string{syscall.S_IFDIR: "dir", syscall.S_IFREG: "file", syscall.S_IFLNK: "link"}[stat.Mode&syscall.S_IFMT]
	return fmt.Sprintf("%04o %s:%s %s", stat.Mode&0o7777, r.nameOf("passwd", stat.Uid), r.nameOf("group", stat.Gid), kind)
}

// nameOf finds the name of an id in /etc/passwd or /etc/group.
func (r *root) nameOf(file string, id uint32) string {
	r.t.Helper()
	for line := range strings.Lines(read(r.t, r.path("etc/"+file))) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) > 2 && fields[2] == fmt.Sprint(id) {
			return fields[0]
		}
	}
	return fmt.Sprint(id)
}

// changes lists what is not as on this machine's own disk, as "new /a",
// "changed /b" and "gone /c". Only a debianRoot can tell.
func (r *root) changes() []string {
	r.t.Helper()
	var all []string
	upper := r.path("../upper")
	err := filepath.WalkDir(upper, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || file == upper {
			return err
		}
		name := strings.TrimPrefix(file, upper)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		_, missing := os.Lstat(name)
		switch {
		// The overlay's mark for what was removed.
		case info.Mode()&fs.ModeCharDevice != 0 && info.Sys().(*syscall.Stat_t).Rdev == 0:
			all = append(all, "gone "+name)
		case missing != nil:
			all = append(all, "new "+name)
		case info.Mode().IsRegular() && read(r.t, file) != read(r.t, name):
			all = append(all, "changed "+name)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// watched runs the first of the files again and again while change runs, the way
// keepalived does. At any instant it must be there, be whole and be one of the
// versions. That no instant is missed is the kernel's word: nothing may happen to
// the names of the files but that another file is renamed to them.
func (r *root) watched(versions []string, change func(), files ...string) {
	r.t.Helper()
	names := map[int32]string{}
	inotify := must(unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC))
	defer unix.Close(inotify)
	for _, file := range files {
		folder := must(unix.InotifyAddWatch(inotify, filepath.Dir(r.path(file)),
			unix.IN_CREATE|unix.IN_DELETE|unix.IN_MODIFY|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF))
		names[int32(folder)] = file
	}

	stop := make(chan struct{})
	ran, looked := make(chan struct{}), make(chan struct{})
	seen, runs, looks := map[string]int{}, 0, 0
	program := r.path(files[0])
	go func() {
		defer close(ran)
		for last := false; !last; {
			select {
			case <-stop:
				last = true
			default:
			}
			runs++
			output, err := exec.Command(program, "version").Output()
			if err != nil {
				r.t.Errorf("run %d of %s: %v", runs, files[0], err)
			}
			line, _, _ := strings.Cut(string(output), " (")
			seen[strings.TrimPrefix(line, "hacheck ")]++
		}
	}()
	go func() {
		defer close(looked)
		tick := time.NewTicker(100 * time.Microsecond)
		defer tick.Stop()
		for {
			looks++
			// Whether execve would succeed: keepalived takes a failure for healthy.
			if err := unix.Access(program, unix.X_OK); err != nil {
				r.t.Errorf("look %d: %s: %v", looks, files[0], err)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	func() {
		// Also when the change ends the test.
		defer func() {
			close(stop)
			<-ran
			<-looked
		}()
		change()
	}()
	for version := range seen {
		if !slices.Contains(versions, version) {
			r.t.Errorf("%s said it is version %q, which is none of %q", files[0], version, versions)
		}
	}
	replaced := map[string]int{}
	for _, event := range events(r.t, inotify) {
		file := names[event.folder]
		switch {
		case event.mask&unix.IN_Q_OVERFLOW != 0:
			r.t.Error("the kernel had more to tell than it could keep")
		case event.mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0:
			r.t.Errorf("the folder of %s was removed", file)
		case event.name != filepath.Base(file):
		case event.mask&unix.IN_MOVED_TO != 0:
			replaced[file]++
		default:
			r.t.Errorf("%s was not only replaced: inotify event %#x", file, event.mask)
		}
	}
	r.t.Logf("%d runs (%v), %d looks, replaced %v", runs, seen, looks, replaced)
	if replaced[files[len(files)-1]] == 0 {
		r.t.Errorf("%s was not replaced at all", files[len(files)-1])
	}
}

// event is one of inotify(7).
type event struct {
	folder int32
	mask   uint32
	name   string
}

// events gives all that has happened up to now.
func events(t *testing.T, inotify int) []event {
	t.Helper()
	var all []event
	buffer := make([]byte, 64<<10)
	for {
		n, err := unix.Read(inotify, buffer)
		if err == unix.EAGAIN {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for rest := buffer[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			// wd, mask, cookie and the name's length, 32 bits each, then the name.
			length := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			name, _, _ := bytes.Cut(rest[unix.SizeofInotifyEvent:length], []byte{0})
			all = append(all, event{folder: int32(binary.NativeEndian.Uint32(rest)), mask: binary.NativeEndian.Uint32(rest[4:]), name: string(name)})
			rest = rest[length:]
		}
	}
}

// refusesToLeave: keepalived takes a check that is gone for healthy, so the
// package stays while a keepalived runs that names it. In the end one runs whose
// configuration has it in a comment only. The command to start it takes the
// options -f FILE and --use-file=FILE.
func refusesToLeave(t *testing.T, r *root, keepalived string, remove func() (string, error)) {
	t.Helper()
	const main, other, included = "/etc/keepalived/keepalived.conf", "/etc/elsewhere/lb.conf", "/etc/elsewhere/scripts.conf"
	const check = "vrrp_script chk {\n    script \"/usr/bin/hacheck haproxy\"\n}\n"
	running := ""
	start := func(options string, files map[string]string) {
		t.Helper()
		for _, file := range []string{main, other, included} {
			if text, ok := files[file]; ok {
				write(t, r.path(file), text, 0o644)
			} else if err := os.Remove(r.path(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if running != "" {
			r.must("kill " + running + "; while [ -e /proc/" + running + " ]; do sleep 0.01; done")
		}
		running = strings.TrimSpace(r.must(keepalived + " " + options + " </dev/null >/dev/null 2>&1 & echo $!"))
		r.must("while read -r name </proc/" + running + "/comm; [ $name != keepalived ]; do sleep 0.01; done")
	}
	for _, c := range []struct {
		options string
		files   map[string]string
		named   string
	}{
		{"", map[string]string{main: check}, main},
		{"", map[string]string{main: "include " + included + "\n", included: check}, included},
		{"-f " + other, map[string]string{other: check}, other},
		{"--use-file=" + other, map[string]string{main: "", other: check}, other},
	} {
		start(c.options, c.files)
		output, err := remove()
		if err == nil || !strings.Contains(output, "hacheck is not removed: keepalived is running and its configuration names\nhacheck, in\n"+c.named+"\n") {
			t.Fatalf("removed under a running keepalived with %s, or not told why not: %v\n%s", c.named, err, output)
		}
		if output, err := exec.Command(r.path("/usr/bin/hacheck"), "version").CombinedOutput(); err != nil {
			t.Fatalf("after the refusal: %v\n%s", err, output)
		}
	}
	start("", map[string]string{main: "# " + strings.ReplaceAll(check, "\n", "\n# ")})
}

// whoNamesIt takes the functions that look for users of hacheck out of a
// package's script.
func whoNamesIt(t *testing.T, script string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, filepath.Join(top, script)), "\nrunning=no\n")
	text, _, ended := strings.Cut(text, "\nif [ \"$1\" ")
	if !found || !ended {
		t.Fatalf("%s has no functions from running=no to its first condition", script)
	}
	return "running=no\n" + text
}

// TestWhoNamesIt: whatever form a running keepalived has the check in, the
// packages' scripts find it, or say that they cannot tell. Debian's sh is dash,
// that of most others bash.
func TestWhoNamesIt(t *testing.T) {
	functions := whoNamesIt(t, "packaging/deb/prerm")
	if other := whoNamesIt(t, "packaging/rpm/preun"); other != functions {
		t.Fatalf("prerm and preun do not look alike:\n%s\n%s", functions, other)
	}
	r := emptyRoot(t)
	command(t, "cp", filepath.Join(r.dir, "bin/dash"), filepath.Join(r.dir, "tmp/keepalived"))
	write(t, r.path("/tmp/look"), "set -e\n"+functions+"if who_names_it; then echo \"$found\"; fi\necho running=$running\n", 0o755)

	const main = "/etc/keepalived/keepalived.conf"
	const check = "vrrp_script chk {\n    script \"/usr/bin/hacheck haproxy\"\n}\n"
	type files map[string]string
	for name, c := range map[string]struct {
		options string
		// files have a text, or "-> TARGET".
		files files
		named string
	}{
		"path":                   {"", files{main: check}, main},
		"bare name":              {"", files{main: "script \"hacheck haproxy\"\n"}, main},
		"bare name, no quotes":   {"", files{main: "notify hacheck\n"}, main},
		"in a parameter":         {"", files{main: "$CHECK=hacheck\nscript $CHECK\n"}, main},
		"after a quoted mark":    {"", files{main: "script \"sh -c '[ ! -e /off ] && hacheck haproxy'\"\n"}, main},
		"script of keepalived's": {"", files{main: "script /etc/keepalived/chk.sh\n", "/etc/keepalived/chk.sh": "#!/bin/sh\nif ! hacheck haproxy; then exit 1; fi\n"}, "/etc/keepalived/chk.sh"},
		"link":                   {"", files{main: "-> /mnt/lb.conf", "/mnt/lb.conf": check}, main},
		"not UTF-8":              {"", files{main: "# \xff\n" + check}, main},

		"include":                    {"", files{main: "include /mnt/a.conf\n", "/mnt/a.conf": check}, "/mnt/a.conf"},
		"include, quoted":            {"", files{main: "  include \"/mnt/a.conf\"\n", "/mnt/a.conf": check}, "/mnt/a.conf"},
		"include, remarked":          {"", files{main: "includer /mnt/a.conf # the pair\n", "/mnt/a.conf": check}, "/mnt/a.conf"},
		"include, conditional":       {"", files{main: "@node1 include /mnt/a.conf\n", "/mnt/a.conf": check}, "/mnt/a.conf"},
		"include in an include":      {"", files{main: "include /mnt/a.conf\n", "/mnt/a.conf": "include b.d/*.conf\n", "/mnt/b.d/c.conf": check}, "/mnt/b.d/c.conf"},
		"include upwards":            {"", files{main: "include ../../mnt/a.conf\n", "/mnt/a.conf": check}, "/mnt/a.conf"},
		"include of a class":         {"", files{main: "include /mnt/[0-9].conf\n", "/mnt/1.conf": check}, "/mnt/1.conf"},
		"include of a link":          {"", files{main: "include /mnt/a.conf\n", "/mnt/a.conf": "-> b/c", "/mnt/b/c": check}, "/mnt/a.conf"},
		"includes in a circle":       {"", files{main: "include /mnt/d/a.conf\n", "/mnt/d/a.conf": "include ../d/a.conf\ninclude b.conf\n", "/mnt/d/b.conf": check}, "/mnt/d/b.conf"},
		"braces":                     {"", files{main: "include /mnt/{a,b}.conf\n", "/mnt/b.conf": check}, "/mnt/b.conf"},
		"braces in braces":           {"", files{main: "include /mnt/{x/{,cat,dog},bar}.conf\n", "/mnt/x/dog.conf": check}, "/mnt/x/dog.conf"},
		"braces with nothing":        {"", files{main: "include /mnt/a{b,}.conf\n", "/mnt/a.conf": check}, "/mnt/a.conf"},
		"two pairs of braces":        {"", files{main: "include /mnt/{a,b}{c,d}*\n", "/mnt/bd.conf": check}, "/mnt/bd.conf"},
		"empty braces":               {"", files{main: "include /mnt/{}\n"}, main + " (perhaps: it includes /mnt/{})"},
		"braces that are not closed": {"", files{main: "include /mnt/{a,b\n"}, main + " (perhaps: it includes /mnt/{a,b)"},
		"include with a blank":       {"", files{main: "include /mnt/a b.conf\n"}, main + " (perhaps: it includes /mnt/a b.conf)"},
		"include of a parameter":     {"", files{main: "include $DIR/a.conf\n"}, main + " (perhaps: it includes $DIR/a.conf)"},
		"include on two lines":       {"", files{main: "include \\\n/mnt/a.conf\n"}, main + " (perhaps: it includes \\)"},

		"-f FILE":                 {"-f /mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"-fFILE":                  {"-f/mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"-lf FILE":                {"-lf /mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"-nDlfFILE":               {"-nDlf/mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"--use-file FILE":         {"--use-file /mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"--use-file=FILE":         {"--use-file=/mnt/lb.conf", files{main: "", "/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"--us=FILE":               {"--us=/mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"-f FILE with an include": {"-f /mnt/lb.conf", files{"/mnt/lb.conf": "include sub.conf\n", "/mnt/sub.conf": check}, "/mnt/sub.conf"},
		"-f FILE of the folder":   {"-f mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},
		"-f FILE that is gone":    {"-f /mnt/lb.conf", nil, "/mnt/lb.conf (perhaps: it cannot be read)"},
		"-p FILE and -f FILE":     {"-p/run/if.pid -f /mnt/lb.conf", files{"/mnt/lb.conf": check}, "/mnt/lb.conf"},

		"nothing":                 {"", nil, ""},
		"comment":                 {"", files{main: "# " + strings.ReplaceAll(check, "\n", "\n# ") + "\n ! script hacheck\n"}, ""},
		"another's name":          {"", files{main: "script /usr/bin/xhacheck\nscript /usr/bin/hacheck-old\nscript \"cat /etc/hacheck/hacheck.yaml\"\n"}, ""},
		"include of nothing":      {"", files{main: "include conf.d/*.conf\n# include a b\n"}, ""},
		"include of a stranger":   {"-p/run/if.pid", files{main: "include /mnt/{a,b}.conf\n", "/mnt/a.conf": "", "/mnt/c.conf": check}, ""},
		"words that only look so": {"", files{main: "include_check readable match\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r.must("rm -rf /etc/keepalived /mnt; mkdir -p /etc/keepalived /mnt")
			for file, text := range c.files {
				target, link := strings.CutPrefix(text, "-> ")
				if !link {
					write(t, r.path(file), text, 0o644)
				} else if err := os.Symlink(target, r.path(file)); err != nil {
					t.Fatal(err)
				}
			}
			// Its name, its folder and its command line are all that is looked at.
			output := r.must("cd /; /tmp/keepalived -c 'echo ready; while :; do sleep 1; done' - " + c.options + " >/tmp/ready 2>&1 &\n" +
				"while ! [ -s /tmp/ready ]; do sleep 0.01; done\n" +
				"for sh in dash 'bash --posix'; do echo $sh; LC_ALL=C $sh /tmp/look || echo \"exit status $?\"; done; kill $!; rm /tmp/ready")
			found := "running=yes\n"
			if c.named != "" {
				found = c.named + "\n" + found
			}
			want := "dash\n" + found + "bash --posix\n" + found
			if output != want {
				t.Errorf("got\n%swant\n%s", output, want)
			}
		})
	}
}
