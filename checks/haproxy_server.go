package checks

import (
	"net"
	"net/netip"
	"strings"

	"hacheck/haproxy"
)

// usability is what hacheck makes of one server for new connections.
type usability int

const (
	// unsettled: HAProxy does not know (yet); a dial can tell.
	unsettled usability = iota
	// late: it is unsettled, and time was up before a dial could tell.
	late
	// usable: HAProxy sends new connections there, and has a reason to.
	usable
	// unusable: HAProxy sends no new connections there, or they would fail.
	unusable
)

// server is one server of a backend as this check sees it.
type server struct {
	row haproxy.Row
	use usability
	// words complete a sentence that begins with the server's name.
	words string
	// waits is set for a backup that HAProxy may never come to, see holdBackups;
	// released for one that has waited.
	waits, released bool
}

// backup reports whether s is to serve only when others do not.
func (s server) backup() bool { return s.row.Backup > 0 }

// upForEver reports whether HAProxy sends clients to s whether it lives or not.
func (s server) upForEver() bool {
	status, err := haproxy.ParseServerStatus(s.row.Status)
	return err == nil && status.State == haproxy.ServerNoCheck && s.row.Weight != 0
}

// newServer judges a server by HAProxy's word. This is what each status means:
//
//	UP, UP n/m             usable: checked, or tracking one that is
//	  with check INI       not known yet: a start or a reload was just now
//	  with weight 0        not usable: no new connections go there
//	DOWN, DOWN n/m         not usable; n/m is on its way up, but not there
//	DOWN (agent)           not usable
//	MAINT, MAINT (via …),
//	MAINT (resolution)     not usable
//	NOLB, NOLB n/m         not usable: persistent connections only
//	DRAIN, DRAIN n/m,
//	DRAIN (agent)          not usable: persistent connections only
//	no check               not known: HAProxy calls it UP for ever
//	  with its agent well  usable
//	  with weight 0        not usable
//	anything else          not known
//
// A backup server counts like any other, as it serves when the others are gone,
// unless HAProxy never comes to it: see holdBackups.
func newServer(row haproxy.Row) server {
	status, err := haproxy.ParseServerStatus(row.Status)
	if err != nil {
		return server{row: row, use: unsettled, words: "has the unknown status " + oneLineMax(row.Status, 40)}
	}
	switch status.State {
	case haproxy.ServerUp, haproxy.ServerNoCheck:
		switch {
		case row.Weight == 0:
			return server{row: row, use: unusable, words: "has weight 0"}
		case status.State == haproxy.ServerUp && row.CheckStatus == "INI":
			return server{row: row, use: unsettled, words: "was not checked yet"}
		case status.State == haproxy.ServerUp:
			return server{row: row, use: usable, words: row.Status}
		case agentIsWell(row.AgentStatus):
			return server{row: row, use: usable, words: "is up by its agent"}
		}
		return server{row: row, use: unsettled, words: "is not checked by HAProxy"}
	case haproxy.ServerDown:
		return server{row: row, use: unusable, words: downWords(row, status)}
	case haproxy.ServerNoLB:
		return server{row: row, use: unusable, words: row.Status + " (asked for no new connections)"}
	}
	return server{row: row, use: unusable, words: row.Status} // MAINT and DRAIN
}

// agentIsWell reports whether the agent answered last time (configuration
// manual, agent-check). What it answered is in the server's state already.
func agentIsWell(status string) bool { return status == "L7OK" || status == "CHECKED" }

// downWords says why HAProxy holds a server for down.
func downWords(row haproxy.Row, status haproxy.ServerStatus) string {
	var why []string
	switch {
	case status.Agent:
		why = []string{row.LastAgent}
	case row.CheckStatus == "" && row.Tracked != "":
		why = []string{"like " + row.Tracked}
	default:
		why = []string{row.CheckStatus, row.CheckCode, row.LastCheck}
	}
	var words []string
	for _, word := range why {
		if word != "" {
			words = append(words, oneLineMax(word, 80))
		}
	}
	if len(words) == 0 {
		return row.Status
	}
	return row.Status + ": " + strings.Join(words, " ")
}

// noAddress stands for the address of a server of which HAProxy knows none.
const noAddress = "-"

// dialAddress returns the address of a server that can be dialled, or why it
// cannot.
func (s server) dialAddress() (address, obstacle string) {
	host, port, err := net.SplitHostPort(s.row.Addr)
	switch {
	case s.row.Addr == "":
		return "", "its address is not known"
	case s.row.Addr == noAddress:
		return "", "it has no address to be dialled (is it a unix socket, or a name that does not resolve?)"
	case s.row.Addr == "unix":
		return "", "a unix socket is not dialled"
	case err != nil:
		return "", "its address " + oneLineMax(s.row.Addr, 60) + " cannot be dialled"
	case port == "0":
		return "", "it has no port of its own"
	}
	if ip, err := netip.ParseAddr(host); err != nil || ip.IsUnspecified() {
		return "", "its address " + oneLineMax(s.row.Addr, 60) + " cannot be dialled"
	}
	return s.row.Addr, ""
}
