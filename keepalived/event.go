package keepalived

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The kinds of an Event, spelled as keepalived does.
const (
	KindInstance = "INSTANCE"
	KindGroup    = "GROUP"
)

// The states keepalived tells its hooks and FIFOs. The last three are not
// states but events: a MASTER saw an advert of lower priority, and the
// priority changed while MASTER or BACKUP.
const (
	StateMaster           = "MASTER"
	StateBackup           = "BACKUP"
	StateFault            = "FAULT"
	StateStop             = "STOP"
	StateDeleted          = "DELETED"
	StateMasterRxLowerPri = "MASTER_RX_LOWER_PRI"
	StateMasterPriority   = "MASTER_PRIORITY"
	StateBackupPriority   = "BACKUP_PRIORITY"
)

const stateList = "MASTER, BACKUP, FAULT, STOP, DELETED, MASTER_RX_LOWER_PRI, MASTER_PRIORITY or BACKUP_PRIORITY"

// Event is what keepalived tells about one instance or sync group.
type Event struct {
	// Kind is KindInstance or KindGroup, or empty for the short form of a
	// hook, which does not say: look for Name in the Config.
	Kind string
	// Name is kept as it came: it may hold any bytes but NUL, also line breaks
	// and invalid UTF-8. The kernel bounds it to 128 KiB as an argument, and
	// ParseFIFO to the length of a line.
	Name string
	// State is one of the State constants.
	State string
	// Priority is the effective priority, 0 to 255, if HasPriority; it is 0
	// for groups.
	Priority    int
	HasPriority bool
}

// ParseArgs reads the arguments of a notify hook, without the program and the
// command: the short form "STATE NAME" that people write behind
// notify_master and the like, or the four words "INSTANCE|GROUP NAME STATE
// PRIORITY" that keepalived appends to a generic notify. States and kinds are
// read in any case. Every error says what the line in keepalived.conf should
// look like.
func ParseArgs(args []string) (Event, error) {
	switch len(args) {
	case 2:
		return parseShort(args[0], args[1])
	case 4:
		return parseLong(args)
	case 0:
		return Event{}, errors.New(`no event: want STATE NAME, or INSTANCE|GROUP NAME STATE PRIORITY as keepalived appends to notify "…"` +
			"; quote the whole command in keepalived.conf, or keepalived drops its arguments")
	case 6:
		if _, err := parseLong(args[2:]); err == nil {
			return Event{}, fmt.Errorf("6 words, of which keepalived appended the last four: write notify without %s %s behind the command",
				quoteShort(args[0]), quoteShort(args[1]))
		}
	}
	words := fmt.Sprintf("%d words are", len(args))
	if len(args) == 1 {
		words = "1 word is"
	}
	return Event{}, fmt.Errorf("%s no event: want STATE NAME, or INSTANCE|GROUP NAME STATE PRIORITY; quote a name with blanks", words)
}

func parseShort(stateText, name string) (Event, error) {
	state, ok := parseState(stateText)
	if !ok {
		if _, swapped := parseState(name); swapped {
			return Event{}, fmt.Errorf("%s is no state, but %s is: the state comes first, STATE NAME", quoteShort(stateText), quoteShort(name))
		}
		return Event{}, unknownState(stateText)
	}
	if name == "" {
		return Event{}, errors.New("the name of the instance or group is empty: want STATE NAME")
	}
	return Event{Name: name, State: state}, nil
}

func parseLong(args []string) (Event, error) {
	event := Event{Kind: strings.ToUpper(args[0]), Name: args[1], HasPriority: true}
	if event.Kind != KindInstance && event.Kind != KindGroup {
		return Event{}, fmt.Errorf("%s is neither INSTANCE nor GROUP: want INSTANCE|GROUP NAME STATE PRIORITY", quoteShort(args[0]))
	}
	if event.Name == "" {
		return Event{}, errors.New("the name of the instance or group is empty: want INSTANCE|GROUP NAME STATE PRIORITY")
	}
	var ok bool
	if event.State, ok = parseState(args[2]); !ok {
		return Event{}, unknownState(args[2])
	}
	var err error
	event.Priority, err = parsePriority(args[3])
	if err != nil {
		return Event{}, err
	}
	return event, nil
}

func unknownState(text string) error {
	return fmt.Errorf("%s is not a state: want %s", quoteShort(text), stateList)
}

func parseState(text string) (string, bool) {
	if len(text) > len(StateMasterRxLowerPri) {
		return "", false
	}
	switch state := strings.ToUpper(text); state {
	case StateMaster, StateBackup, StateFault, StateStop, StateDeleted,
		StateMasterRxLowerPri, StateMasterPriority, StateBackupPriority:
		return state, true
	}
	return "", false
}

func parsePriority(text string) (int, error) {
	priority, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("%s is not a priority: want a number from 0 to 255", quoteShort(text))
	}
	return int(priority), nil
}

// maxFIFOLine bounds a line from a FIFO: keepalived writes no longer ones, as
// it reads no name longer than a line of its configuration.
const maxFIFOLine = 8192

// FIFOEvent is a line from a notify FIFO: either a VRRP event or one about a
// virtual or real server.
type FIFOEvent struct {
	// Event is set for INSTANCE and GROUP lines; its Kind is "VS" or "RS" for
	// the others, and its State then UP or DOWN.
	Event
	// RealServer is set for RS lines, such as "[192.0.2.7]:tcp:80".
	RealServer string
	// VirtualServer is set for VS and RS lines: an address as above, "FWM 5"
	// for a firewall mark, or "[GROUP]:80" for a virtual server group.
	VirtualServer string
}

// The kinds and states of lines about servers (LVS).
const (
	KindVirtualServer = "VS"
	KindRealServer    = "RS"
	StateUp           = "UP"
	StateDown         = "DOWN"
)

// ParseFIFO reads one line of keepalived's notify_fifo, vrrp_notify_fifo or
// lvs_notify_fifo, with or without its line end. NUL bytes are left out:
// newer versions write one behind each VS and RS line, which then comes before
// the next. A line of more than 8192 bytes is an error.
func ParseFIFO(line []byte) (FIFOEvent, error) {
	if len(line) > maxFIFOLine {
		return FIFOEvent{}, fmt.Errorf("a line of %d bytes is no event: keepalived writes at most %d", len(line), maxFIFOLine)
	}
	text := strings.ReplaceAll(string(line), "\x00", "")
	text = strings.TrimRight(text, "\r\n")
	kind, rest, ok := strings.Cut(text, " ")
	if ok {
		switch kind {
		case KindInstance, KindGroup:
			return parseVRRPLine(kind, rest, text)
		case KindVirtualServer, KindRealServer:
			return parseServerLine(kind, rest, text)
		}
	}
	return FIFOEvent{}, fmt.Errorf("%s is no event: want INSTANCE, GROUP, VS or RS", quoteShort(text))
}

// parseVRRPLine reads `"NAME" STATE PRIORITY`. keepalived escapes nothing, so
// the last quote ends the name.
func parseVRRPLine(kind, rest, line string) (FIFOEvent, error) {
	end := strings.LastIndex(rest, `" `)
	if end < 1 || rest[0] != '"' {
		return FIFOEvent{}, fmt.Errorf(`%s is no event: want %s "NAME" STATE PRIORITY`, quoteShort(line), kind)
	}
	stateText, priority, ok := strings.Cut(rest[end+2:], " ")
	if !ok {
		return FIFOEvent{}, fmt.Errorf(`%s is no event: want %s "NAME" STATE PRIORITY`, quoteShort(line), kind)
	}
	event, err := parseLong([]string{kind, rest[1:end], stateText, priority})
	if err != nil {
		return FIFOEvent{}, fmt.Errorf("%s is no event: %w", quoteShort(line), err)
	}
	return FIFOEvent{Event: event}, nil
}

// parseServerLine reads "VS SERVER STATE" and "RS SERVER VIRTUAL STATE".
func parseServerLine(kind, rest, line string) (FIFOEvent, error) {
	event := FIFOEvent{Event: Event{Kind: kind}}
	var ok bool
	if kind == KindRealServer {
		event.RealServer, rest, ok = strings.Cut(rest, " ")
		if !ok {
			return FIFOEvent{}, fmt.Errorf("%s is no event: want RS SERVER VIRTUAL-SERVER UP|DOWN", quoteShort(line))
		}
	}
	end := strings.LastIndexByte(rest, ' ')
	if end < 1 {
		return FIFOEvent{}, fmt.Errorf("%s is no event: want %s SERVER … UP|DOWN", quoteShort(line), kind)
	}
	event.VirtualServer, event.State = rest[:end], rest[end+1:]
	if event.State != StateUp && event.State != StateDown {
		return FIFOEvent{}, fmt.Errorf("%s is no event: %s is neither UP nor DOWN", quoteShort(line), quoteShort(event.State))
	}
	return event, nil
}
