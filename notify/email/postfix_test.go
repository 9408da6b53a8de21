package email

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hacheck/notify"
	"hacheck/notify/notifytest"
)

// postfixMain and postfixMaster set up a submission server with Cyrus SASL,
// apart from any Postfix of this machine: everything is below one folder.
const (
	postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = relay.test
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
mydestination =
alias_maps =
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = %[1]s/chain.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = relay.test
cyrus_sasl_config_path = %[1]s/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
virtual_mailbox_domains = example.com
virtual_mailbox_maps = inline:{ {ops@example.com = mailbox/} }
virtual_mailbox_base = %[1]s
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`
	postfixMaster = `127.0.0.1:%d inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
`
	saslConfig = `pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: %s/sasl/sasldb2
mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256
`
	// saslPassword is ASCII, as Cyrus and SCRAM disagree about the rest.
	saslPassword = "real-relay-s3cret"
)

// startPostfix runs Postfix for the length of the test. It returns its port,
// the file with its certificate and the folder of its one mailbox.
func startPostfix(t *testing.T) (port int, ca, mailbox string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("Postfix can only be started by root")
	}
	for _, tool := range []string{"/usr/sbin/postfix", "/usr/sbin/saslpasswd2", "/usr/lib/postfix/sbin/smtpd"} {
		if _, err := os.Stat(tool); err != nil {
			t.Fatalf("%s is not installed: run make test, which installs it (packages postfix, sasl2-bin and libsasl2-modules)", tool)
		}
	}
	// Not t.TempDir, which others than root cannot enter.
	folder, err := os.MkdirTemp("", "hacheck-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)

	server, ca := certificate(t)
	key, err := x509.MarshalECPrivateKey(server.Certificates[0].PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificates[0].Certificate[0]})...)
	listener := notifytest.Listen(t)
	port = listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	for _, err := range []error{
		os.Chmod(folder, 0o755),
		os.Mkdir(folder+"/queue", 0o755),
		os.Mkdir(folder+"/data", 0o700),
		os.Mkdir(folder+"/sasl", 0o755),
		os.Mkdir(folder+"/mailbox", 0o700),
		os.Chown(folder+"/data", uid, gid),
		os.Chown(folder+"/mailbox", 65534, 65534),
		os.WriteFile(folder+"/main.cf", fmt.Appendf(nil, postfixMain, folder), 0o644),
		os.WriteFile(folder+"/master.cf", fmt.Appendf(nil, postfixMaster, port), 0o644),
		os.WriteFile(folder+"/chain.pem", chain, 0o600),
		os.WriteFile(folder+"/sasl/smtpd.conf", fmt.Appendf(nil, saslConfig, folder), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	password := exec.Command("/usr/sbin/saslpasswd2", "-p", "-c", "-f", folder+"/sasl/sasldb2", "-u", "relay.test", testUser)
	password.Stdin = strings.NewReader(saslPassword)
	if out, err := password.CombinedOutput(); err != nil {
		t.Fatalf("saslpasswd2: %v: %s", err, out)
	}
	if err := os.Chown(folder+"/sasl/sasldb2", uid, gid); err != nil {
		t.Fatal(err)
	}

	command := exec.Command("/usr/sbin/postfix", "-c", folder, "start-fg")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop := exec.Command("/usr/sbin/postfix", "-c", folder, "stop")
		stop.Run()     //nolint:errcheck // it may have stopped by itself
		command.Wait() //nolint:errcheck // stopped on purpose
		if t.Failed() {
			log, _ := os.ReadFile(folder + "/log")
			t.Logf("postfix said: %s%s", output.Bytes(), log)
		}
	})
	poll(t, "Postfix", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return port, ca, folder + "/mailbox"
}

// TestPostfix delivers through a relay that others wrote, with STARTTLS and
// AUTH, and finds the mail in its mailbox.
func TestPostfix(t *testing.T) {
	port, ca, mailbox := startPostfix(t)
	cfg := config(port)
	cfg.TLS, cfg.CAFile, cfg.ServerName = StartTLS, ca, "relay.test"
	cfg.Username, cfg.PasswordFile = testUser, passwordFile(t, saslPassword)
	event := notifytest.Event()

	for _, mechanism := range []string{"", "scram-sha-256", "scram-sha-1", "plain", "login", "cram-md5"} {
		t.Run("auth "+mechanism, func(t *testing.T) {
			cfg, event := cfg, event
			cfg.Auth = mechanism
			event.ID = "postfix-" + mechanism
			if err := must(t, cfg).Notify(t.Context(), notify.Notification{Event: event}); err != nil {
				t.Fatal(err)
			}
			var data []byte
			poll(t, "mail in the mailbox", func() bool {
				files, _ := filepath.Glob(mailbox + "/new/*")
				for _, file := range files {
					data, _ = os.ReadFile(file)
					if bytes.Contains(data, []byte("<"+event.ID+"@lb1.example.com>")) {
						return true
					}
				}
				return false
			})
			_, text, _ := parse(t, data)
			if want := notify.Render(notify.Notification{Event: event}, notify.English).Text; text != want {
				t.Errorf("text is\n%s, want\n%s", text, want)
			}
		})
	}
	for _, test := range []struct {
		name      string
		change    func(*Config)
		want      string
		permanent bool
	}{
		{"wrong password", func(c *Config) { c.PasswordFile = passwordFile(t, "wr0ng") },
			"AUTH SCRAM-SHA-256: 535 5.7.8 Error: authentication failed: authentication failure; check username and password_file", false},
		{"no login", func(c *Config) { c.Username, c.PasswordFile = "", "" },
			"no recipient was accepted: ops@example.com (554 5.7.1 <ops@example.com>: Recipient address rejected: Access denied)", true},
		{"unknown recipient", func(c *Config) { c.To = append(c.To, "gone@example.com") },
			"delivered to ops@example.com, but not to gone@example.com (550 5.1.1 <gone@example.com>: Recipient address rejected: User unknown in virtual mailbox table)", true},
		{"no TLS", func(c *Config) {
			c.TLS, c.CAFile, c.ServerName, c.Username, c.PasswordFile = NoTLS, "", "", "", ""
		},
			"MAIL FROM:<hacheck@example.com>: 530 5.7.0 Must issue a STARTTLS command first", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := cfg
			test.change(&cfg)
			err := must(t, cfg).Notify(t.Context(), notify.Notification{Event: event})
			want := fmt.Sprintf("smtp 127.0.0.1:%d: %s", port, test.want)
			if err == nil || err.Error() != want || notify.IsPermanent(err) != test.permanent {
				t.Errorf("error is (permanent: %t)\n%v, want (permanent: %t)\n%s", notify.IsPermanent(err), err, test.permanent, want)
			}
		})
	}
}

// poll waits until done, for as long as any machine may need.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after 20s", what)
		}
	}
}
