package docs

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

var update = flag.Bool("update", false, "write the configuration reference anew instead of comparing it")

// insideVariable names, in the namespaces, the folder with the built program.
const insideVariable = "HACHECK_DOCS_TEST_FOLDER"

// TestMain runs the tests in mount and network namespaces of their own, so that
// the documented commands can be typed as they stand: with their real paths,
// ports and addresses, and without a trace on the machine.
func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		os.Exit(m.Run()) // it writes into the repository, which the namespaces do not show
	}
	if os.Getenv(insideVariable) != "" {
		if err := prepareNode(); err != nil {
			fmt.Fprintln(os.Stderr, "docs:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	code, err := inNamespaces()
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		code = 1
	}
	os.Exit(code)
}

// inNamespaces builds the program and runs this test again in the namespaces.
func inNamespaces() (int, error) {
	if os.Geteuid() != 0 {
		return 0, errors.New("the documented commands are typed in a mount namespace, which needs root: sudo make test")
	}
	for _, tool := range [...]string{"haproxy", "keepalived", "unshare", "ip", "systemd-sysusers", "systemd-tmpfiles", "setpriv", "amtool", "ansible-playbook"} {
		if _, err := exec.LookPath(tool); err != nil {
			return 0, fmt.Errorf("%s is not installed: run make test, which installs it", tool)
		}
	}
	folder, err := os.MkdirTemp("", "hacheck-docs-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	build := exec.Command("go", "build", "-o", filepath.Join(folder, "hacheck"), "hacheck/cmd/hacheck")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building hacheck: %w\n%s", err, output)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	inside := exec.Command("unshare", append([]string{"--mount", "--net", "--propagation", "private", self}, os.Args[1:]...)...)
	inside.Env = append(os.Environ(), insideVariable+"="+folder)
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = inside.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// prepareScript makes a node as it is after the package was installed, over the
// machine's own files: $1 is a folder with the program, $2 the repository's top.
const prepareScript = `
mount -t tmpfs none "$1/layers" -o mode=0755
for dir in etc usr var root; do
  mkdir -p "$1/layers/$dir.upper" "$1/layers/$dir.work"
  mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$1/layers/$dir.upper,workdir=$1/layers/$dir.work" "/$dir"
done
mount -t tmpfs none /run -o mode=0755
rm -rf /etc/hacheck /var/lib/hacheck /usr/share/doc/hacheck
install -m 0755 "$1/hacheck" /usr/bin/hacheck
install -D -m 0644 "$2/packaging/sysusers.d/hacheck.conf" /usr/lib/sysusers.d/hacheck.conf
install -D -m 0644 "$2/packaging/tmpfiles.d/hacheck.conf" /usr/lib/tmpfiles.d/hacheck.conf
mkdir -p /usr/share/doc/hacheck /etc/keepalived /etc/haproxy
cp -r "$2/packaging/examples" /usr/share/doc/hacheck/examples
cp -r "$2/packaging/keepalived.service.d" /usr/share/doc/hacheck/examples/
systemd-sysusers hacheck.conf >/dev/null
# The loopback has the addresses of the documentation's hosts; eth0 and eth1 are
# what its configurations name.
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth0 up
ip link set eth1 up
ip address add 192.0.2.11/24 dev eth0
ip address add 192.0.2.25/32 dev lo
echo '127.0.0.1 localhost mail.example.org hooks.example.org am-1.example.org am-2.example.org' >>/etc/hosts
`

func prepareNode() error {
	folder := os.Getenv(insideVariable)
	if err := os.Mkdir(filepath.Join(folder, "layers"), 0o755); err != nil {
		return err
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	if output, err := exec.Command("sh", "-ec", prepareScript, "sh", folder, top).CombinedOutput(); err != nil {
		return fmt.Errorf("preparing a node: %w\n%s", err, output)
	}
	return nil
}
