package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"hacheck/notify"
)

// formatVersion is the version of the files this code writes. Adding a field
// does not change it; what an older program would misunderstand does.
//
// An entry with earlier events has groupedVersion: a program that knows only
// the first would deliver the last event and forget the others.
const (
	formatVersion  = 1
	groupedVersion = 2
)

const (
	// maxEntry bounds a file in bytes: a larger one is damaged. An event has
	// some kilobytes.
	maxEntry = 1 << 20
	// maxEvent leaves room for the outcomes.
	maxEvent = maxEntry - 64<<10
	// maxError bounds a kept error text in bytes.
	maxError = 1 << 10
	maxID    = 128
)

// OutcomeState is how far a channel is with an entry.
type OutcomeState string

// The three states. Done and dead are final, but for Retry.
const (
	Pending OutcomeState = "pending"
	Done    OutcomeState = "done"
	Dead    OutcomeState = "dead"
)

// Outcome is what became of an entry on one channel.
type Outcome struct {
	State OutcomeState `json:"state"`
	// Attempts counts the attempts made, interrupted ones included.
	Attempts int `json:"attempts"`
	// LastError is the last attempt's error, or why the channel was given up;
	// empty after a success.
	LastError   string    `json:"last_error,omitempty"`
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	// Next is when the next attempt is due; zero means now.
	Next time.Time `json:"next,omitzero"`
	// Asked is set if the peer named Next itself: nobody comes back earlier.
	Asked bool `json:"asked,omitempty"`
}

// Entry is one event of the spool, or one notification of several, and its
// outcomes by channel name. A channel without an outcome has not been tried.
type Entry struct {
	Version int          `json:"version"`
	Event   notify.Event `json:"event"`
	// Story is set once it is decided what is told together; Earlier, Count
	// and Since are then those of notify.Notification.
	Story    notify.Story       `json:"story,omitempty"`
	Earlier  []notify.Event     `json:"earlier,omitempty"`
	Count    int                `json:"count,omitempty"`
	Since    *time.Time         `json:"since,omitempty"`
	Channels map[string]Outcome `json:"channels,omitempty"`
	// Seen is when a first outcome was recorded of an event that seemed to come
	// from the future: the clock was set back since, and by its own time it would
	// never be old.
	Seen *time.Time `json:"seen,omitempty"`

	// fields is the file as read. The event goes back as it came, and so does
	// every field that only another version knows.
	fields map[string]json.RawMessage
	// regrouped is set if Story and its like are no longer those read.
	regrouped bool
}

// Notification is what the entry tells.
func (e *Entry) Notification() notify.Notification {
	return notify.Notification{Event: e.Event, Story: e.Story, Earlier: e.Earlier, Count: e.Count, Since: e.Since}
}

// made is when the event was made, as far as the clock is to be believed.
func (e *Entry) made() time.Time {
	if e.Seen != nil && e.Seen.Before(e.Event.Time) {
		return *e.Seen
	}
	return e.Event.Time
}

// outcome is the channel's outcome, pending if there is none.
func (e *Entry) outcome(channel string) Outcome {
	if outcome, ok := e.Channels[channel]; ok {
		return outcome
	}
	return Outcome{State: Pending}
}

func (e *Entry) setOutcome(channel string, outcome Outcome) {
	if e.Channels == nil {
		e.Channels = make(map[string]Outcome)
	}
	e.Channels[channel] = outcome
}

// settled reports whether no channel of the list is pending, and whether any
// channel at all has given up.
func (e *Entry) settled(channels []string) (settled, dead bool) {
	settled = true
	for _, channel := range channels {
		if e.outcome(channel).State == Pending {
			settled = false
		}
	}
	for _, outcome := range e.Channels {
		if outcome.State == Dead {
			dead = true
		}
	}
	return settled, dead
}

// absentChannel is why a channel gives up that is not configured.
const absentChannel = "the channel is no longer configured"

// giveUpAbsent gives up what is pending on channels that are not of the list,
// and returns what became of it there: a channel that was renamed or left out of
// the configuration must not take its events with it unseen.
func (e *Entry) giveUpAbsent(channels []string) map[string]Outcome {
	absent := make(map[string]Outcome)
	for name, outcome := range e.Channels {
		if outcome.State == Pending && !slices.Contains(channels, name) {
			const link = "; before that: "
			before := strings.TrimPrefix(outcome.LastError, absentChannel)
			if before = strings.TrimPrefix(before, link); before != "" {
				before = link + before
			}
			outcome.State, outcome.LastError = Dead, shorten(absentChannel+before, maxError)
			e.Channels[name] = outcome
			absent[name] = outcome
		}
	}
	return absent
}

// newEntry is the file of an event that no channel has seen.
func newEntry(entry Entry) ([]byte, error) {
	if err := checkID(entry.Event.ID); err != nil {
		return nil, err
	}
	entry.Version = formatVersion
	if len(entry.Earlier) > 0 {
		entry.Version = groupedVersion
	}
	data, err := json.Marshal(entry)
	if err != nil {
		return nil, fmt.Errorf("encode it: %w", err)
	}
	if len(data) > maxEvent {
		return nil, tooLarge(data)
	}
	return data, nil
}

// errTooLarge is the error of an entry that leaves no room for the outcomes.
var errTooLarge = fmt.Errorf("at most %d are kept", maxEvent)

func tooLarge(data []byte) error { return fmt.Errorf("it has %d bytes, %w", len(data), errTooLarge) }

// encode is the file of an entry that was read.
func (e *Entry) encode() ([]byte, error) {
	channels, err := json.Marshal(e.Channels)
	if err != nil {
		return nil, fmt.Errorf("encode the outcomes: %w", err)
	}
	e.fields["channels"] = channels
	if e.Seen != nil {
		if e.fields["seen"], err = json.Marshal(e.Seen); err != nil {
			return nil, fmt.Errorf("encode when event %s was seen: %w", e.Event.ID, err)
		}
	}
	if e.regrouped {
		if err := e.encodeGroup(); err != nil {
			return nil, err
		}
	}
	data, err := json.Marshal(e.fields)
	if err != nil {
		return nil, fmt.Errorf("encode entry %s: %w", e.Event.ID, err)
	}
	return data, nil
}

// encodeGroup puts what is told together into the fields.
func (e *Entry) encodeGroup() error {
	version := formatVersion
	if len(e.Earlier) > 0 {
		version = groupedVersion
	}
	for name, value := range map[string]any{
		"version": version, "story": e.Story, "earlier": e.Earlier, "count": e.Count, "since": e.Since,
	} {
		data, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encode the events of %s: %w", e.Event.ID, err)
		}
		e.fields[name] = data
	}
	return nil
}

// decodeEntry reads an entry file. Fields it does not know are kept.
func decodeEntry(data []byte) (Entry, error) {
	if len(data) > maxEntry {
		return Entry{}, fmt.Errorf("it has more than %d bytes", maxEntry)
	}
	var entry Entry
	if err := json.Unmarshal(data, &entry.fields); err != nil {
		return Entry{}, fmt.Errorf("it is not a JSON object: %w", err)
	}
	// The version first: the rest may mean something else in another one.
	if err := json.Unmarshal(orNull(entry.fields["version"]), &entry.Version); err != nil {
		return Entry{}, fmt.Errorf("its version: %w", err)
	}
	if entry.Version != formatVersion && entry.Version != groupedVersion {
		return Entry{}, fmt.Errorf("it has format version %d, this program knows %d to %d", entry.Version, formatVersion, groupedVersion)
	}
	if err := json.Unmarshal(orNull(entry.fields["event"]), &entry.Event); err != nil {
		return Entry{}, fmt.Errorf("its event: %w", err)
	}
	if err := checkID(entry.Event.ID); err != nil {
		return Entry{}, err
	}
	for _, field := range []struct {
		name string
		to   any
	}{{"story", &entry.Story}, {"earlier", &entry.Earlier}, {"count", &entry.Count}, {"since", &entry.Since}, {"seen", &entry.Seen}} {
		if err := json.Unmarshal(orNull(entry.fields[field.name]), field.to); err != nil {
			return Entry{}, fmt.Errorf("its %s: %w", field.name, err)
		}
	}
	if err := json.Unmarshal(orNull(entry.fields["channels"]), &entry.Channels); err != nil {
		return Entry{}, fmt.Errorf("its outcomes: %w", err)
	}
	for channel, outcome := range entry.Channels {
		switch outcome.State {
		case Pending, Done, Dead:
		default:
			return Entry{}, fmt.Errorf("its outcome for channel %q is %q, not pending, done or dead",
				shorten(channel, 80), shorten(string(outcome.State), 80))
		}
		outcome.Attempts = max(outcome.Attempts, 0)
		entry.Channels[channel] = outcome
	}
	return entry, nil
}

func orNull(raw json.RawMessage) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

// checkID demands letters, digits and '-': the ID becomes a file name, a
// Message-ID and an HTTP header.
func checkID(id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("event ID of %d bytes: 1 to %d are allowed", len(id), maxID)
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return fmt.Errorf("event ID %q: only letters, digits and '-' are allowed", id)
		}
	}
	return nil
}

// stampDigits is the width of the time in an entry's name.
const stampDigits = 20

// entryName sorts by time, then ID. Times that nanoseconds since 1970 cannot
// express (before it, and after 2262) sort first.
func entryName(event notify.Event) string {
	stamp := event.Time.UnixNano()
	if year := event.Time.Year(); year < 1970 || year > 2261 || stamp < 0 {
		stamp = 0
	}
	return fmt.Sprintf("%0*d-%s.json", stampDigits, stamp, event.ID)
}

// entryID is the event ID in an entry's file name.
func entryID(name string) (string, bool) {
	rest, ok := strings.CutSuffix(name, ".json")
	if !ok || len(rest) < stampDigits+2 || rest[stampDigits] != '-' {
		return "", false
	}
	for _, c := range []byte(rest[:stampDigits]) {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	id := rest[stampDigits+1:]
	return id, checkID(id) == nil
}

// damagedError marks a file that no later reading will understand better, in
// contrast to one that could not be read.
type damagedError struct{ reason string }

func (e *damagedError) Error() string { return e.reason }

// readEntry reads one entry file of the spool. A *damagedError says that the
// file is not an entry of this version.
func (s *Spool) readEntry(dir, name string) (Entry, int64, error) {
	id, ok := entryID(strings.TrimSuffix(name, damagedSuffix))
	if !ok {
		return Entry{}, 0, &damagedError{"its name is not an entry's"}
	}
	data, err := readFile(s.root, dir+"/"+name, maxEntry)
	if err != nil {
		return Entry{}, 0, err
	}
	entry, err := decodeEntry(data)
	if err != nil {
		return Entry{}, 0, &damagedError{err.Error()}
	}
	if entry.Event.ID != id {
		return Entry{}, 0, &damagedError{fmt.Sprintf("it holds event %s, not the one in its name", entry.Event.ID)}
	}
	return entry, int64(len(data)), nil
}

// readFile reads a regular file of at most limit bytes. Anything else in its
// place is a *damagedError, and nothing a link or a FIFO can do hangs it.
func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &damagedError{"it is " + describe(info) + ", not a file"}
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &damagedError{"it is " + describe(info) + ", not a file"}
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &damagedError{fmt.Sprintf("it has more than %d bytes", limit)}
	}
	return data, nil
}

func isDamaged(err error) bool {
	var damaged *damagedError
	return errors.As(err, &damaged)
}

// shorten cuts a text of unknown origin to at most limit bytes of valid UTF-8.
func shorten(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	const mark = "…"
	cut := limit - len(mark)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + mark
}
