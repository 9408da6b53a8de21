package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"hacheck/notify"
)

const (
	// maxState bounds a state file in bytes.
	maxState = 64 << 10
	// statesLimit is how long SaveState waits for others: keepalived gives the
	// hook one second when it stops, and each other needs well under a
	// millisecond.
	statesLimit = 500 * time.Millisecond
)

// memory is the file of an instance's or sync group's last state.
type memory struct {
	Version int          `json:"version"`
	Kind    notify.Kind  `json:"kind"`
	Name    string       `json:"name"`
	State   notify.State `json:"state"`
	// Since is when the state began, Time when it was last told.
	Since time.Time `json:"since"`
	Time  time.Time `json:"time"`
	ID    string    `json:"id"`
}

func (m memory) subject() subject { return subject{m.Kind, m.Name} }

// LastState is the state an instance or sync group had when SaveState was last
// called for it, and since when. ok is false if none is known; an error says
// that one is kept but cannot be read.
func (s *Spool) LastState(kind notify.Kind, name string) (state notify.State, since time.Time, ok bool, err error) {
	file := stateFile(kind, name)
	last, err := s.readState(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", time.Time{}, false, nil
	}
	if err != nil {
		return "", time.Time{}, false, explain("read the last state in", s.statePath(file), err)
	}
	return last.State, last.Since, true, nil
}

// SaveState remembers the event's state for LastState. Hooks of one instance
// run side by side and end in any order: an event older than the remembered
// one does not replace it, and a state told again keeps the time it began.
// MASTER_RX_LOWER_PRI and the changes of priority are no states and are
// ignored. It waits up to half a second for others that save.
//
// Unlike an event, a state is not forced to the disk: after a power cut the
// next message may lack the state before.
func (s *Spool) SaveState(event notify.Event) error {
	switch event.State {
	case "", notify.MasterRxLowerPri, notify.MasterPriority, notify.BackupPriority:
		return nil
	}
	file := stateFile(event.Kind, event.Name)
	lock, err := s.give.waitLock(context.Background(), s.states, statesLock, statesLimit)
	if err != nil {
		return explain("lock the states with", s.statePath(statesLock), err)
	}
	defer unlock(lock)

	next := memory{
		Version: formatVersion, Kind: event.Kind, Name: shorten(event.Name, 4<<10),
		State: event.State, Since: event.Time, Time: event.Time, ID: event.ID,
	}
	// A file that cannot be read is replaced: it is only a memory.
	if last, err := s.readState(file); err == nil {
		// A remembered time in the future is the mark of a clock that was set
		// back since, not of a newer event.
		if last.Time.After(event.Time) && !last.Time.After(time.Now()) {
			if last.State == event.State || !event.Time.After(last.Since) {
				return nil
			}
			// What was taken for one long state was left in between.
			next = last
			next.Since = last.Time
		} else if last.State == event.State && last.Since.Before(event.Time) {
			next.Since = last.Since
		}
	}
	data, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the state of %s: %w", shorten(event.Name, 80), err)
	}
	return s.writeState(file, data)
}

func (s *Spool) writeState(name string, data []byte) error {
	// The lock is held: who else wrote this file was killed over it.
	temp := name + ".tmp"
	_ = s.states.Remove(temp) // createFile tells if it is still there
	file, err := s.give.createFile(s.states, temp)
	if err != nil {
		return explain("write the last state to", s.statePath(temp), err)
	}
	_, err = file.Write(data)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	s.at("state: written")
	if err == nil {
		err = s.states.Rename(temp, name)
	}
	if err != nil {
		_ = s.states.Remove(temp) // the first error is the one to tell
		return explain("write the last state to", s.statePath(name), err)
	}
	s.at("state: renamed")
	return nil
}

func (s *Spool) readState(name string) (memory, error) {
	data, err := readFile(s.states, name, maxState)
	if err != nil {
		return memory{}, err
	}
	return decodeState(data)
}

func decodeState(data []byte) (memory, error) {
	var last memory
	if err := json.Unmarshal(data, &last); err != nil {
		return memory{}, &damagedError{"it is not a state: " + err.Error()}
	}
	if last.Version != formatVersion {
		return memory{}, &damagedError{fmt.Sprintf("it has format version %d, this program knows %d", last.Version, formatVersion)}
	}
	if last.State == "" {
		return memory{}, &damagedError{"it holds no state"}
	}
	return last, nil
}

// stateFile is the name of a state's file.
func stateFile(kind notify.Kind, name string) string {
	return "s-" + fileStem(string(kind)+"\x00"+name, name) + ".json"
}

func (s *Spool) statePath(name string) string { return filepath.Join(s.dir, "states", name) }
