package keepalived

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const defaultSMTPTimeout = 30 * time.Second

// reader turns logical lines into a Config.
type reader struct {
	config *Config
	lines  *lines
	words  []string // of the current line, reused

	// skip counts the open braces of a block that is passed over; skipNext
	// means that it begins with the next line if that is a brace.
	skip int
	// unknown is the keyword of the line before, if keepalived does not know
	// it; unknownDepth counts the open braces of an unknown block outside of
	// all others, whose lines are not reported again.
	unknown      string
	unknownDepth int

	// Indexes into the configuration, by name; of several scripts or files of
	// one name the first.
	instances, groups, scripts, trackFiles map[string]int
	// tracked is what the instance or group being read tracks already.
	tracked map[trackKey]bool
}

// trackKey is a name in track_script, track_file or track_interface.
type trackKey struct{ keyword, name string }

const skipNext = -1

// blockKind is a block whose keywords are looked at one by one.
type blockKind int

const (
	rootBlock blockKind = iota
	globalBlock
	instanceBlock
	authBlock
	hmacBlock
	groupBlock
	scriptBlock
	trackFileBlock
	// droppedBlock has no name or one that is taken; nothing of it is kept,
	// even if it lacks its {.
	droppedBlock
)

// block reads the lines of a block up to its }, or the whole of the file. It
// reports whether the block was passed over.
func (r *reader) block(kind blockKind, wantBrace bool) (skipped bool) {
	for {
		text, ok := r.nextWords()
		if !ok {
			return r.skip != 0
		}
		first := r.words[0]
		if r.skip == skipNext {
			if first == "{" {
				r.skip = 1
				wantBrace = false
				continue
			}
			r.skip = 0
		}
		if r.skip > 0 {
			switch first {
			case "{":
				r.skip++
			case "}":
				r.skip--
				if r.skip == 0 && kind != rootBlock {
					return true
				}
			}
			continue
		}
		if wantBrace {
			wantBrace = false
			if first == "{" {
				continue
			}
			r.report("a { is missing at the begin of the block")
		} else if first == "{" {
			r.unexpectedBrace(kind)
			continue
		}
		if first == "}" {
			if kind != rootBlock {
				return false
			}
			r.unknownDepth = max(r.unknownDepth-1, 0)
			continue
		}
		r.unknown = ""
		if !r.keyword(kind, r.words, text) {
			if r.unknownDepth == 0 {
				r.report("unknown keyword %s%s; keepalived ignores it", r.quote(first), r.within(kind))
			}
			r.unknown = first
		}
	}
}

// unexpectedBrace handles a { that no keyword asked for. keepalived ignores
// the brace itself and reads the lines behind it as if it were not there; a }
// then ends the block around.
func (r *reader) unexpectedBrace(kind blockKind) {
	unknown := r.unknown
	r.unknown = ""
	switch {
	case kind == rootBlock:
		if unknown == "" && r.unknownDepth == 0 {
			r.report("unexpected {; keepalived ignores it")
		}
		r.unknownDepth++
	case unknown != "":
		r.report("keepalived does not skip the unknown block %s: its } ends the block around it", r.quote(unknown))
	default:
		r.report("unexpected {; keepalived ignores it, and the } that belongs to it ends the block around it")
	}
}

// nextWords reads the next line that has words.
func (r *reader) nextWords() (text string, ok bool) {
	for {
		if text, ok = r.lines.next(); !ok {
			return "", false
		}
		var err error
		if r.words, err = appendWords(r.words[:0], text); err != nil && r.skip <= 0 && !isCommand(r.words) {
			r.report("%v; keepalived drops what follows it", err)
		}
		if len(r.words) > 0 {
			return text, true
		}
	}
}

// isCommand says that a line is read again by the rules of commands, which
// allow other quotes.
func isCommand(words []string) bool {
	return len(words) > 0 && (words[0] == "script" || strings.HasPrefix(words[0], "notify"))
}

// values reads a block of one entry a line.
func (r *reader) values(entry func(words []string)) {
	keyword := strings.Clone(r.words[0])
	if len(r.words) > 1 {
		r.report("block %s has words before its {; keepalived ignores them", r.quote(keyword))
	}
	wantBrace := true
	for {
		if _, ok := r.nextWords(); !ok {
			return
		}
		words := r.words
		if wantBrace {
			wantBrace = false
			if words[0] == "{" {
				continue
			}
			r.report("a { is missing at the begin of block %s; keepalived takes the lines up to the next } for its entries", r.quote(keyword))
		}
		if words[len(words)-1] == "}" {
			if len(words) > 1 {
				entry(words[:len(words)-1])
			}
			return
		}
		entry(words)
	}
}

// ignoreValue is an entry nothing is kept of.
func ignoreValue([]string) {}

// skipBlock passes over the block that the next brace begins.
func (r *reader) skipBlock() { r.skip = skipNext }

// dropBlock passes over a block that was not kept.
func (r *reader) dropBlock() {
	r.skipBlock()
	r.block(droppedBlock, true)
}

func (r *reader) pos() Pos { return r.lines.pos() }

func (r *reader) report(format string, args ...any) {
	r.problem(r.pos(), fmt.Sprintf(format, args...))
}

// quote shows a word of the configuration in a message: short, in one line,
// and not if its line holds a password.
func (r *reader) quote(word string) string {
	if r.lines.secret {
		return "(hidden: the line holds a password)"
	}
	return quoteShort(word)
}

// quoteShort quotes text from outside for a message, cut to 64 bytes.
func quoteShort(text string) string {
	if len(text) > 64 {
		return strconv.Quote(text[:64]) + "…"
	}
	return strconv.Quote(text)
}

// within names the block for a message.
func (r *reader) within(kind blockKind) string {
	switch kind {
	case globalBlock:
		return " in global_defs"
	case authBlock:
		return " in authentication"
	case hmacBlock:
		return " in auth_hmac"
	case instanceBlock:
		return " in vrrp_instance " + quoteShort(r.instance().Name)
	case groupBlock:
		return " in vrrp_sync_group " + quoteShort(r.group().Name)
	case scriptBlock:
		return " in vrrp_script " + quoteShort(r.script().Name)
	case trackFileBlock:
		return " in track_file " + quoteShort(r.trackFile().Name)
	}
	return " outside of all blocks"
}

// keyword handles a line of a block and reports whether keepalived knows it.
func (r *reader) keyword(kind blockKind, words []string, text string) bool {
	switch kind {
	case globalBlock:
		return r.globalKeyword(words)
	case instanceBlock:
		return r.instanceKeyword(words, text)
	case authBlock:
		return r.authKeyword(words)
	case hmacBlock:
		return hmacKeyword(words[0])
	case groupBlock:
		return r.groupKeyword(words, text)
	case scriptBlock:
		return r.scriptKeyword(words, text)
	case trackFileBlock:
		return r.trackFileKeyword(words)
	case droppedBlock:
		return true
	}
	return r.rootKeyword(words)
}

func (r *reader) rootKeyword(words []string) bool {
	switch words[0] {
	case "global_defs":
		r.lines.once = true
		r.block(globalBlock, true)
		r.lines.once = false
	case "vrrp_instance":
		r.startInstance(words)
	case "vrrp_sync_group":
		r.startGroup(words)
	case "vrrp_script":
		r.startScript(words)
	case "track_file", "vrrp_track_file":
		r.startTrackFile(words)
	case "static_ipaddress", "static_routes", "static_rules", "linkbeat_interfaces", "interface_up_down_delays":
		r.values(ignoreValue)
	case "virtual_server", "virtual_server_group", "SSL", "track_group", "garp_group",
		"bfd_instance", "vrrp_track_process":
		r.skipBlock()
	case "net_namespace", "net_namespace_ipvs", "namespace_with_ipsets", "use_pid_dir",
		"instance", "child_wait_time", "linkbeat_use_polling":
		// They change nothing that the model holds.
	default:
		return false
	}
	return true
}

// value returns the first word after the keyword. Without one keepalived does
// not start.
func (r *reader) value(words []string) (string, bool) {
	if len(words) > 1 {
		return strings.Clone(words[1]), true
	}
	r.report("%s has no value; keepalived stops here with a configuration error", words[0])
	return "", false
}

// name returns the single word that names a block.
func (r *reader) name(words []string) (string, bool) {
	if len(words) == 2 {
		return strings.Clone(words[1]), true
	}
	r.report("%s needs one name; keepalived skips the block", words[0])
	return "", false
}

// onOff reads a keyword that may be followed by a truth value.
func (r *reader) onOff(words []string) (on, ok bool) {
	if len(words) < 2 {
		return true, true
	}
	switch words[1] {
	case "true", "on", "yes":
		return true, true
	case "false", "off", "no":
		return false, true
	}
	r.report("%s: %s is none of on, off, true, false, yes, no; keepalived ignores it", words[0], r.quote(words[1]))
	return false, false
}

// integer reads a decimal number as C does: what follows the digits is
// reported and ignored. It fails outside the range.
func (r *reader) integer(keyword, text string, least, most int64) (int64, bool) {
	digits := strings.TrimLeft(text, blanks)
	end := 0
	if end < len(digits) && (digits[0] == '-' || digits[0] == '+') {
		end++
	}
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	number, err := strconv.ParseInt(digits[:end], 10, 64)
	if err != nil && end == 0 {
		number = 0 // as strtol does without digits
	} else if err != nil {
		number = math.MaxInt64
		if digits[0] == '-' {
			number = math.MinInt64
		}
	}
	if number < least || number > most {
		r.report("%s: %s is not a number from %d to %d", keyword, r.quote(text), least, most)
		return number, false
	}
	if end < len(digits) || end == 0 {
		r.report("%s: %s is not a number; keepalived takes it as %d", keyword, r.quote(text), number)
	}
	return number, true
}

// seconds reads a number of seconds with up to six decimals.
func (r *reader) seconds(keyword, text string, least, most time.Duration) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	microseconds, err := strconv.ParseUint(whole+(fraction + "000000")[:6], 10, 63)
	if err != nil || microseconds > math.MaxInt64/1000 || strings.HasPrefix(whole, "+") {
		r.report("%s: %s is not a number of seconds; keepalived ignores it", keyword, r.quote(text))
		return 0, false
	}
	duration := time.Duration(microseconds) * time.Microsecond
	if len(fraction) > 6 && fraction[6] >= '5' && fraction[6] <= '9' {
		duration += time.Microsecond
	}
	if duration < least || duration > most {
		r.report("%s: %s is not from %v to %v", keyword, r.quote(text), least, most)
		return 0, false
	}
	return duration, true
}

// command reads a script line: one quoted command; further words are ignored.
func (r *reader) command(keyword, text string) (Command, bool) {
	command := Command{Pos: r.pos()}
	_, after, _ := cutBlank(text)
	command.Text = strings.Clone(after)
	outer, err := commandWords(text)
	if err == nil && len(outer) > 1 {
		command.Words, err = commandWords(outer[1])
	}
	if err != nil {
		r.report("%s: %v; keepalived drops the command", keyword, err)
		return command, false
	}
	if len(outer) < 2 || len(command.Words) == 0 {
		r.report("%s has no command; keepalived drops it", keyword)
		return command, false
	}
	command.Ignored = outer[2:]
	return command, true
}

// hook reads a notify line: a command, a user and a group.
func (r *reader) hook(slot **Hook, words []string, text string) {
	if *slot != nil {
		r.report("%s is given already at %v; keepalived ignores this one", words[0], (*slot).Pos)
		return
	}
	command, ok := r.command(words[0], text)
	if !ok {
		return
	}
	hook := &Hook{Command: command}
	if len(command.Ignored) > 0 {
		hook.User, hook.Ignored = command.Ignored[0], command.Ignored[1:]
	}
	if len(hook.Ignored) > 0 {
		hook.Group, hook.Ignored = hook.Ignored[0], hook.Ignored[1:]
	}
	*slot = hook
}
