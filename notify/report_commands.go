package notify

import (
	"slices"
	"strings"
	"time"
)

// logLead is how long before the event the journal is shown from: enough to
// hold the failed checks and the adverts that led to it.
const logLead = 2 * time.Minute

// commands are what to look at next in this state, in the logs from shortly
// before it began. People paste them into a
// root shell, so that nothing from the event gets in that is not a plain word.
func (event Event) commands(began time.Time, p *phrases) []command {
	var commands []command
	devices := event.devices()
	addresses := command{line: "ip -br addr", purpose: p.nextAddresses}
	if len(devices) == 1 {
		addresses.line += " show dev " + devices[0]
	}
	commands = append(commands, addresses)

	var since string
	if year := began.UTC().Year(); !began.IsZero() && year > 1970 && year < 10000 {
		// In UTC, which journalctl reads the same on a node of any zone.
		since = began.Add(-logLead).UTC().Format(` --since "2006-01-02 15:04:05 UTC"`)
	}
	commands = append(commands, command{line: "journalctl -u keepalived" + since, purpose: p.nextKeepalivedLog})

	check := command{purpose: p.nextCheck}
	switch {
	case event.Verdict == nil || event.Verdict.Check == "haproxy":
		check.line = "hacheck haproxy"
	case isCommand(event.Verdict.Command):
		check.line = event.Verdict.Command
	case madeUp(event.Verdict.Check):
		check = command{line: "hacheck status", purpose: p.nextStatus}
	case isWord(event.Verdict.Check, 64):
		check.line = "hacheck check " + event.Verdict.Check
	}
	service := []command{check, {line: "systemctl status haproxy", purpose: p.nextHAProxy}}
	if check.line == "" {
		service = service[1:]
	}
	adverts := command{line: "tcpdump -c 10 -nni any 'ip proto 112 or ip6 proto 112'", purpose: p.nextAdverts}
	if isWord(event.Interface, maxDeviceName) {
		adverts.line = strings.Replace(adverts.line, "any", event.Interface, 1)
	}

	switch event.State {
	case Master:
		commands = append(commands, service...)
		commands = append(commands, command{line: "systemctl status keepalived haproxy", purpose: p.nextPeer})
	case Fault:
		commands = append(commands, service...)
		if !event.failing() {
			commands = append(commands, command{line: "ip -br link", purpose: p.nextLinks})
		}
		commands = append(commands, command{line: "ip -br addr", purpose: p.nextPeerAddresses})
	case Stop, Deleted:
		commands = append(commands, command{line: "systemctl status keepalived", purpose: p.nextKeepalived}, command{line: "ip -br addr", purpose: p.nextPeerAddresses})
	case MasterRxLowerPri:
		commands = append(commands, adverts, command{line: "ip -br addr", purpose: p.nextPeerAddresses}, command{line: "systemctl status keepalived haproxy", purpose: p.nextPeer})
	default:
		commands = append(commands, service...)
		if event.holds(no) {
			commands = append(commands, command{line: "ip -br addr", purpose: p.nextPeerAddresses})
		}
	}
	if !event.Known && !event.unread(SourceConfiguration) {
		commands = append(commands, command{line: "grep -rnE 'vrrp_(instance|sync_group)' /etc/keepalived/", purpose: p.nextConfiguration})
	}
	return commands
}

// maxDeviceName is IFNAMSIZ of linux/if.h without the NUL.
const maxDeviceName = 15

// devices are the interfaces the addresses are wanted on or were seen on.
func (event Event) devices() []string {
	var devices []string
	add := func(device string) {
		if isWord(device, maxDeviceName) && !slices.Contains(devices, device) {
			devices = append(devices, device)
		}
	}
	for _, vip := range event.VIPs {
		if vip.Presence == Present {
			add(vip.PresentOn)
		}
		add(orElse(vip.Device, event.Interface))
	}
	add(event.Interface)
	return devices
}

// isWord reports whether a shell takes text as one plain word that is no
// option.
func isWord(text string, limit int) bool {
	if text == "" || len(text) > limit || text[0] == '-' {
		return false
	}
	for i := range len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("._:@-", rune(c)) {
			return false
		}
	}
	return true
}

// madeUp reports whether a verdict's name is one that hacheck made of a command
// line: a word, '-' and eight hexadecimal digits. No check can be run by it.
func madeUp(name string) bool {
	const digits = 8
	dash := len(name) - digits - 1
	return dash > 0 && name[dash] == '-' && strings.Trim(name[dash+1:], "0123456789abcdef") == ""
}

// isCommand reports whether a shell takes text as it stands as one command: a
// path or a name with plain arguments.
func isCommand(text string) bool {
	const most = 120
	if text == "" || len(text) > most || text[0] == '-' {
		return false
	}
	for _, word := range strings.Split(text, " ") {
		if !isWord(strings.TrimLeft(strings.Map(plainInArguments, word), "-"), most) {
			return false
		}
	}
	return true
}

// plainInArguments turns the further characters that are plain within a
// command's arguments into one that is plain in a word.
func plainInArguments(c rune) rune {
	if strings.ContainsRune("/=%,+", c) {
		return '.'
	}
	return c
}
