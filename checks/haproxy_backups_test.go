package checks

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"hacheck/haproxy/haproxytest"
)

// HAProxy uses a backup when it holds no other server for up, and one that it does
// not check is up for ever: a backup behind a dead one serves nobody, however well
// it is.
func TestHAProxyBackupsThatAreNotUsed(t *testing.T) {
	free := haproxytest.FreePorts(t, 13)
	live, dead := free[0], free[1]
	serve(t, "tcp", fmt.Sprintf("127.0.0.1:%d", live), func(conn net.Conn) { io.WriteString(conn, "hello") })
	p := haproxytest.Start(t, haproxyGlobal+fmt.Sprintf(`    retries 0
listen unchecked
    bind 127.0.0.1:%[3]d
    server s1 127.0.0.1:%[2]d
    server s2 127.0.0.1:%[1]d check inter 50ms backup
listen checked
    bind 127.0.0.1:%[4]d
    server s1 127.0.0.1:%[2]d check inter 50ms fall 1
    server s2 127.0.0.1:%[1]d backup
listen second
    bind 127.0.0.1:%[5]d
    server s1 127.0.0.1:%[2]d check inter 50ms fall 1
    server s2 127.0.0.1:%[2]d backup
    server s3 127.0.0.1:%[1]d check inter 50ms backup
listen all
    bind 127.0.0.1:%[6]d
    option allbackups
    server s1 127.0.0.1:%[2]d check inter 50ms fall 1
    server s2 127.0.0.1:%[2]d backup
    server s3 127.0.0.1:%[1]d check inter 50ms backup
listen first
    bind 127.0.0.1:%[7]d
    server s1 127.0.0.1:%[1]d check inter 50ms backup
    server s2 127.0.0.1:%[2]d backup
listen drained
    bind 127.0.0.1:%[8]d
    server s1 127.0.0.1:%[2]d weight 0
    server s2 127.0.0.1:%[1]d backup
listen all-unchecked
    bind 127.0.0.1:%[9]d
    option allbackups
    server s1 127.0.0.1:%[2]d backup
    server s2 127.0.0.1:%[1]d backup
listen all-live
    bind 127.0.0.1:%[10]d
    option allbackups
    server s1 127.0.0.1:%[1]d backup
    server s2 127.0.0.1:%[1]d backup
listen live-before
    bind 127.0.0.1:%[11]d
    server s1 127.0.0.1:%[1]d
    server s2 127.0.0.1:%[1]d check inter 50ms backup
listen by-rule
    bind 127.0.0.1:%[12]d
    use-server s2 if TRUE
    server s1 127.0.0.1:%[2]d
    server s2 127.0.0.1:%[1]d check inter 50ms backup
listen by-rule-alone
    bind 127.0.0.1:%[13]d
    use-server s2 if TRUE
    server s1 127.0.0.1:%[2]d check inter 50ms fall 1
    server s2 127.0.0.1:%[1]d check inter 50ms weight 0
`, live, dead, free[2], free[3], free[4], free[5], free[6], free[7], free[8], free[9], free[10], free[11], free[12]))
	refused := fmt.Sprintf("is not checked by HAProxy, 127.0.0.1:%d: connection refused", dead)
	const waits = "is a backup that waits for %s, which haproxy holds for up unchecked"
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		answer := p.Command(t, "show stat -1 4 -1")
		if strings.Count(answer, ",DOWN,") == 4 && strings.Count(answer, ",L4OK,") >= 7 || time.Now().After(deadline) {
			break
		}
	}
	for _, test := range []struct {
		backend string
		minimum Require
		port    int
		serves  bool
		status  Status
		reason  string
	}{
		{"unchecked", RequireAny, free[2], false, Fail, "backend unchecked has no usable server (s1 " + refused + ", s2 " + fmt.Sprintf(waits, "s1") + "); 0 of 1 backends up"},
		{"checked", RequireAny, free[3], true, Pass, "1 of 1 backends up"},
		{"second", RequireAny, free[4], false, Fail, "backend second has no usable server (s1 DOWN: L4CON Connection refused, s2 " + refused + ", s3 " + fmt.Sprintf(waits, "s2") + "); 0 of 1 backends up"},
		{"all", RequireAny, free[5], true, Pass, "1 of 1 backends up"},
		{"first", RequireAny, free[6], true, Pass, "1 of 1 backends up"},
		{"drained", RequireAny, free[7], true, Pass, "1 of 1 backends up"},
		{"all-unchecked", RequireAny, free[8], true, Pass, "1 of 1 backends up"},
		{"all-unchecked", RequireAll, free[8], true, Fail, "backend all-unchecked has 0 usable of 2 servers, 2 required (s1 " + refused + ", s2 is not checked by HAProxy); 0 of 1 backends up"},
		{"all-live", RequireAll, free[9], true, Pass, "1 of 1 backends up"},
		{"live-before", RequireAll, free[10], true, Pass, "1 of 1 backends up"},
		{"by-rule", RequireAny, free[11], true, Pass, "1 of 1 backends up"},
		{"by-rule-alone", RequireAny, free[12], true, Pass, "1 of 1 backends up"},
	} {
		t.Run(test.backend, func(t *testing.T) {
			h := checkOf(p.Config)
			h.WantBackends.Include = []string{test.backend}
			h.WantBackends.Minimum = []BackendMinimum{{test.backend, test.minimum}}
			expect(t, runWithin(t, h, 5*time.Second), test.status, test.reason)
			if served := serves(t, test.port); served != test.serves {
				t.Errorf("HAProxy serves clients: %t, want %t", served, test.serves)
			}
		})
	}
}

// serves reports whether a client of HAProxy reaches a server that greets: what
// clients meet is what a verdict must tell.
func serves(t *testing.T, port int) bool {
	t.Helper()
	for range 4 {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		said, _ := io.ReadAll(conn)
		conn.Close()
		if string(said) == "hello" {
			return true
		}
	}
	return false
}
