package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"hacheck/notify"
)

// memoir is what drains remember of an instance or sync group from one to the
// next: what was told of it and when. It is written under the drain lock and
// not forced to the disk: without it a flap is noticed later, no more.
type memoir struct {
	Version int         `json:"version"`
	Kind    notify.Kind `json:"kind"`
	Name    string      `json:"name"`
	// Newest is the last transition taken up, by which another report of the
	// same one is known.
	Newest sighting `json:"newest"`
	// Transitions and Told are the times of the last transitions told, and of
	// the last notifications about them.
	Transitions []time.Time `json:"transitions,omitempty"`
	Told        []time.Time `json:"told,omitempty"`
	// Asides are the times of the last notifications about nothing but what
	// happened within a state.
	Asides []time.Time `json:"asides,omitempty"`
	// Looked is when it was last found out whether a FAULT lasts.
	Looked time.Time `json:"looked,omitzero"`
	// Flap is set from the notice of a flap to its end.
	Flap *flap `json:"flap,omitempty"`
}

type sighting struct {
	ID    string       `json:"id"`
	State notify.State `json:"state"`
	Time  time.Time    `json:"time"`
	// Appended is set if keepalived appended the state to the words of a plain
	// notify, which is the form with a priority.
	Appended bool `json:"appended,omitempty"`
}

// flap is a flap that goes on.
type flap struct {
	Since time.Time `json:"since"`
	Count int       `json:"count"`
	// Told is when it was last said that it goes on, Last the last transition
	// told then.
	Told time.Time    `json:"told"`
	Last notify.Event `json:"last"`
}

const (
	memoirPrefix = "t-"
	// maxMemoir bounds a memoir's file in bytes: it holds one event.
	maxMemoir = maxEntry
	// maxTimes bounds the times a memoir keeps of one kind.
	maxTimes = 200
)

// past is a remembered time, or zero if it lies in the future: the clock was set
// back since, and nothing may wait until it is there again.
func past(at, now time.Time) time.Time {
	if at.After(now) {
		return time.Time{}
	}
	return at
}

// last is when the last transition of a flap was.
func (m *memoir) last(now time.Time) time.Time {
	if m.Flap == nil {
		return time.Time{}
	}
	return past(m.Flap.Last.Time, now)
}

// lastOf is the last of some remembered times, zero if there is none.
func lastOf(times []time.Time, now time.Time) time.Time {
	if len(times) == 0 {
		return time.Time{}
	}
	return past(times[len(times)-1], now)
}

// toldSince counts the notifications from a time on.
func toldSince(told []time.Time, from time.Time) (count int) {
	for _, at := range told {
		if !at.Before(from) {
			count++
		}
	}
	return count
}

// note remembers that a batch was told.
func (m *memoir) note(batch batch, story notify.Story, now time.Time, g *Grouping) {
	var last *item // transition
	for _, item := range batch.items {
		m.Newest = item.sighting()
		if counts(item.state) {
			last = item
			m.Transitions = append(m.Transitions, item.when(now))
		}
	}
	if last == nil && len(batch.items) > 0 {
		m.Asides = append(m.Asides, now)
	} else {
		m.Told = append(m.Told, now)
	}
	switch {
	case story == notify.Settled:
		m.Flap, m.Transitions, m.Told = nil, nil, []time.Time{now}
	case story == notify.Flapping && last.event != nil:
		m.Flap = &flap{Since: batch.since, Count: batch.count, Told: now, Last: *last.event}
	}
	m.Told = recent(m.Told, now, max(g.FlapWindow, g.Interval))
	m.Asides = recent(m.Asides, now, max(g.FlapNotice, g.Interval))
	m.Transitions = recent(m.Transitions, now, g.FlapWindow)
}

// noteTold is note for the drain, and is kept.
func (d *drainer) noteTold(batch batch, story notify.Story, now time.Time) {
	batch.memory.note(batch, story, now, d.policy.Grouping)
	d.keep(batch.subject, batch.memory)
}

// recent keeps the times that are not older than the age, nor in the future,
// and not too many of them.
func recent(times []time.Time, now time.Time, age time.Duration) []time.Time {
	times = slices.DeleteFunc(times, func(at time.Time) bool { return now.Sub(at) > age || at.After(now) })
	return times[max(0, len(times)-maxTimes):]
}

// memoir gives the memoir of a subject. The caller holds d.mu.
func (d *drainer) memoir(who subject) *memoir {
	memory, ok := d.memoirs[who]
	if !ok {
		memory = &memoir{Kind: who.kind, Name: who.name}
		d.memoirs[who] = memory
	}
	return memory
}

// recall reads all memoirs. One that cannot be read is done without.
func (d *drainer) recall(now time.Time) {
	names, err := d.s.stateNames(memoirPrefix)
	if err != nil {
		d.forgets(err)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		var memory memoir
		if data, err := readFile(d.s.states, name, maxMemoir); err != nil || json.Unmarshal(data, &memory) != nil || memory.Version != formatVersion {
			continue
		}
		if memory.Newest.Time.After(now) {
			memory.Newest = sighting{}
		}
		d.memoirs[subject{memory.Kind, memory.Name}] = &memory
	}
}

// keep writes a memoir, and warns if it cannot.
func (d *drainer) keep(who subject, memory *memoir) {
	if err := d.write(who, memory); err != nil {
		d.forgets(err)
	}
}

func (d *drainer) write(who subject, memory *memoir) error {
	memory.Version = formatVersion
	d.mu.Lock()
	data, err := json.Marshal(memory)
	d.mu.Unlock()
	if err == nil {
		err = d.s.writeState(memoirPrefix+fileStem(string(who.kind)+"\x00"+who.name, who.name)+".json", data)
	}
	if err != nil {
		return fmt.Errorf("remember what was told of %s: %w", shorten(who.name, 80), err)
	}
	return nil
}

// forgets warns that something could not be remembered, unless somebody took
// the directory of the states away: Open tells that, and makes it anew.
func (d *drainer) forgets(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		d.warn(err)
	}
}

// noteSummary remembers what a summary told.
func (d *drainer) noteSummary(items []*item, now time.Time) {
	told := map[subject]*memoir{}
	d.mu.Lock()
	for _, item := range items {
		told[item.subject] = d.memoir(item.subject)
		told[item.subject].Newest = item.sighting()
	}
	d.mu.Unlock()
	for who, memory := range told {
		memory.Flap, memory.Transitions, memory.Told = nil, nil, []time.Time{now}
		d.keep(who, memory)
	}
}

// stateNames lists the files of the states whose names begin with prefix.
func (s *Spool) stateNames(prefix string) ([]string, error) {
	dir, err := openDir(s.states, ".")
	if err != nil {
		return nil, explain("list", s.statePath(""), err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, explain("list", s.statePath(""), err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, ".json")
	}), nil
}

// fileStem is a file name made of a name that may hold anything: its start for
// people, and a hash of what it stands for.
func fileStem(identity, name string) string {
	sum := sha256.Sum256([]byte(identity))
	readable := make([]byte, 0, 40)
	for i := 0; i < len(name) && len(readable) < cap(readable); i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			readable = append(readable, c)
		default:
			readable = append(readable, '_')
		}
	}
	return string(readable) + "-" + hex.EncodeToString(sum[:16])
}
