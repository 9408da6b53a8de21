package spool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// changeLimit is how long a change waits for the others': each takes two
	// fsyncs.
	changeLimit = 5 * time.Second
	// changeTurn is how long one process keeps the others out that makes many
	// changes, and changePause how long it then leaves to them: longer than any
	// of them sleeps before it tries again. A hook that records what it has
	// delivered must not wait until ten thousand entries are changed.
	changeTurn  = 50 * time.Millisecond
	changePause = 20 * time.Millisecond

	// tmpAge is when a temporary file's process is taken to be dead: it lives
	// for some milliseconds.
	tmpAge = time.Minute

	// damagedSuffix is added to the name of a damaged file in dead.
	damagedSuffix = ".damaged"
	// markerSuffix ends the name of an empty file that says "done", see mark.
	markerSuffix = ".done"
)

// fate is where an entry is after a change.
type fate int

const (
	kept    fate = iota // still in the queue
	gone                // removed before, by hand
	removed             // every channel has had it
	dead                // moved to the dead letters
)

// alter gives a channel of one entry of the queue its outcome, with all other
// changes of any process kept out, and settles the entry if no channel of the
// list is pending any more. An empty channel only settles it. When alter
// returns nil the outcome is durable. What was dropped by hand meanwhile stays
// dropped. Absent is what channels were given up with the entry that are not of
// the list.
func (s *Spool) alter(name string, channels []string, channel string, outcome Outcome) (where fate, absent map[string]Outcome, err error) {
	release, err := s.lockChanges(context.Background())
	if err != nil {
		return kept, nil, err
	}
	defer release()
	entry, _, err := s.readEntry(queueDir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return gone, nil, nil
	}
	if err != nil {
		return kept, nil, explain("read entry", s.path(queueDir+"/"+name), err)
	}
	markers := s.merge(&entry, name, channels)
	if channel != "" {
		entry.setOutcome(channel, outcome)
	}
	if now := time.Now(); entry.Seen == nil && entry.Event.Time.After(now.Add(time.Hour)) {
		entry.Seen = &now
	}
	settled, anyDead := entry.settled(channels)
	if settled {
		absent = entry.giveUpAbsent(channels)
		anyDead = anyDead || len(absent) > 0
	}
	if settled && !anyDead {
		if err := s.remove(queueDir, name); err != nil {
			return kept, nil, err
		}
		s.at("record: removed")
		s.removeMarkers(markers)
		return removed, nil, nil
	}
	if err := s.replace(name, &entry); err != nil {
		if errors.Is(err, ErrDiskFull) && outcome.State == Done {
			err = s.mark(name, channel, err)
		}
		return kept, nil, err
	}
	s.removeMarkers(markers)
	if !settled {
		return kept, nil, nil
	}
	if err := s.moveToDead(name, name); err != nil {
		return kept, nil, explain("move entry "+name+" to", s.path(deadDir), err)
	}
	s.at("record: moved to dead")
	return dead, absent, s.syncDirs(deadDir, queueDir)
}

// moveToDead moves a file of the queue to the dead letters, whose directory
// somebody may have removed to be rid of them. The error is fs.ErrNotExist only
// if there is no such file.
func (s *Spool) moveToDead(name, newName string) error {
	from, to := queueDir+"/"+name, deadDir+"/"+newName
	err := s.root.Rename(from, to)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := s.root.Lstat(from); err != nil {
		return err
	}
	if err := s.give.makeDir(s.root, deadDir); err != nil {
		return err
	}
	return s.root.Rename(from, to)
}

// lockChanges keeps every other change out, in this process and in others.
func (s *Spool) lockChanges(ctx context.Context) (release func(), err error) {
	s.changing.Lock()
	lock, err := s.give.waitLock(ctx, s.root, changeLock, changeLimit)
	if err != nil {
		s.changing.Unlock()
		return nil, explain("lock the entries with", s.path(changeLock), err)
	}
	return func() {
		unlock(lock)
		s.changing.Unlock()
	}, nil
}

// inTurns does something to every file of some directories, all other changes
// kept out of each and let in between. Who is called may find that a file is not
// there any more. The error says that not all files had their turn.
func (s *Spool) inTurns(ctx context.Context, dirs []string, do func(dir, name string)) error {
	for _, dir := range dirs {
		names, err := s.names(dir)
		if err != nil {
			return err
		}
		for len(names) > 0 {
			if names, err = s.turn(ctx, dir, names, do); err != nil {
				return err
			}
			if len(names) == 0 {
				break
			}
			pause := time.NewTimer(changePause)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return ctx.Err()
			}
		}
	}
	return nil
}

// turn is one turn, for at least one file. It returns the names that are left.
func (s *Spool) turn(ctx context.Context, dir string, names []string, do func(dir, name string)) ([]string, error) {
	release, err := s.lockChanges(ctx)
	if err != nil {
		return names, err
	}
	defer release()
	for began := time.Now(); len(names) > 0; names = names[1:] {
		if err := ctx.Err(); err != nil {
			return names, err
		}
		do(dir, names[0])
		if time.Since(began) >= changeTurn {
			return names[1:], nil
		}
	}
	return names, nil
}

// replace writes an entry of the queue anew.
func (s *Spool) replace(name string, entry *Entry) error {
	data, err := entry.encode()
	if err != nil {
		return err
	}
	temp, err := s.writeTemp(name+"."+randomName()+recordSuffix, data, "record")
	if err != nil {
		return explain("record the outcome of event "+entry.Event.ID+" in", s.path(tmpDir), err)
	}
	if err := s.root.Rename(temp, queueDir+"/"+name); err != nil {
		_ = s.root.Remove(temp) // the rename's error is the one to tell
		return explain("record the outcome of event "+entry.Event.ID+" in", s.path(queueDir), err)
	}
	s.at("record: renamed")
	if err := s.syncDirs(queueDir); err != nil {
		return err
	}
	s.at("record: durable")
	return nil
}

func (s *Spool) remove(dir, name string) error {
	if err := s.root.Remove(dir + "/" + name); err != nil {
		return explain("remove", s.path(dir+"/"+name), err)
	}
	return s.syncDirs(dir)
}

func (s *Spool) syncDirs(names ...string) error {
	for _, name := range names {
		if err := s.syncDir(name); err != nil {
			return explain("sync", s.path(name), err)
		}
	}
	return nil
}

// mark keeps on a full disk that a channel is done with an entry: an empty file
// beside it needs no space for data. Without it every drain would deliver the
// event once more for as long as another channel waits. The error joins cause,
// which led here.
func (s *Spool) mark(name, channel string, cause error) error {
	file, err := s.give.createFile(s.root, queueDir+"/"+markerName(name, channel))
	if err == nil {
		err = file.Close()
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = s.syncDir(queueDir)
	}
	if err != nil {
		return errors.Join(cause, explain("mark an entry as delivered in", s.path(queueDir), err))
	}
	s.at("record: marked")
	return nil
}

// merge adds what the markers say to an entry and returns their names.
func (s *Spool) merge(entry *Entry, name string, channels []string) (markers []string) {
	for _, channel := range channels {
		marker := markerName(name, channel)
		if _, err := s.root.Lstat(queueDir + "/" + marker); err != nil {
			continue
		}
		outcome := entry.outcome(channel)
		outcome.State = Done
		entry.setOutcome(channel, outcome)
		markers = append(markers, marker)
	}
	return markers
}

func (s *Spool) removeMarkers(markers []string) {
	for _, marker := range markers {
		_ = s.root.Remove(queueDir + "/" + marker) // a later drain finds the orphan
	}
}

// removeOrphans removes the markers whose entry is not in the queue.
func (s *Spool) removeOrphans(markers map[string]bool, names []string) {
	for marker := range markers {
		stem := strings.TrimSuffix(marker, markerSuffix)
		entry := stem[:strings.LastIndexByte(stem, '.')] + ".json"
		if _, found := slices.BinarySearch(names, entry); !found {
			s.removeMarkers([]string{marker})
		}
	}
}

// markerName is made of the entry's name and the channel's, which may hold
// anything.
func markerName(name, channel string) string {
	sum := sha256.Sum256([]byte(channel))
	return strings.TrimSuffix(name, ".json") + "." + hex.EncodeToString(sum[:8]) + markerSuffix
}

func isMarker(name string) bool {
	stem, ok := strings.CutSuffix(name, markerSuffix)
	if !ok {
		return false
	}
	dot := strings.LastIndexByte(stem, '.')
	if dot < 0 {
		return false
	}
	_, ok = entryID(stem[:dot] + ".json")
	return ok
}

// setAside moves a damaged file out of the queue and reports whether it is
// dealt with.
func (d *drainer) setAside(name string, cause error) bool {
	damaged := Damaged{Name: damagedName(name), Dir: deadDir, Reason: cause.Error()}
	if err := d.s.moveToDead(name, damaged.Name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		damaged.Name, damaged.Dir = name, queueDir
		d.warn(explain("set aside damaged entry "+name+" in", d.s.path(deadDir), err))
	} else if err := d.s.syncDirs(deadDir, queueDir); err != nil {
		d.warn(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report.SetAside = append(d.report.SetAside, damaged)
	return damaged.Dir == queueDir
}

func damagedName(name string) string {
	const limit = 200 // of the 255 bytes a name may have
	if len(name) > limit {
		sum := sha256.Sum256([]byte(name))
		name = hex.EncodeToString(sum[:])
	}
	return name + damagedSuffix
}

// tidyTmp deals with the temporary files of processes that were killed: an
// event that is complete is put into the queue, the rest is removed.
func (d *drainer) tidyTmp() {
	names, err := d.s.names(tmpDir)
	if err != nil {
		d.warn(err)
		return
	}
	for _, name := range names {
		temp := tmpDir + "/" + name
		info, err := d.s.root.Lstat(temp)
		if err != nil {
			continue
		}
		if age := time.Since(info.ModTime()); age < tmpAge && age > -tmpAge {
			continue
		}
		if err := d.recover(temp); err != nil {
			d.warn(err)
		}
	}
}

func (d *drainer) recover(temp string) error {
	data, err := readFile(d.s.root, temp, maxEntry)
	if err == nil && strings.HasSuffix(temp, putSuffix) {
		entry, err := decodeEntry(data)
		if err == nil {
			name := entryName(entry.Event)
			// Never replace an entry: it may hold outcomes.
			if err := d.s.root.Link(temp, queueDir+"/"+name); err == nil {
				d.report.Recovered++
				if err := d.s.syncDirs(queueDir); err != nil {
					return err
				}
			} else if !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				return explain("recover event "+entry.Event.ID+" into", d.s.path(queueDir), err)
			}
		}
	}
	if err != nil && !isDamaged(err) {
		return explain("read", d.s.path(temp), err)
	}
	if err := d.s.root.RemoveAll(temp); err != nil {
		return explain("remove the leftover", d.s.path(temp), err)
	}
	return nil
}

// trimDead deletes the oldest dead letters beyond the limits.
func (d *drainer) trimDead() {
	if d.report.Dead == 0 && len(d.report.SetAside) == 0 {
		return // nothing was added
	}
	names, err := d.s.names(deadDir)
	if err != nil {
		d.warn(err)
		return
	}
	sizes := make([]int64, len(names))
	var bytes int64
	for i, name := range names {
		if info, err := d.s.root.Lstat(deadDir + "/" + name); err == nil {
			sizes[i] = info.Size()
			bytes += sizes[i]
		}
	}
	for i, name := range names {
		if len(names)-i <= d.policy.MaxEntries && bytes <= d.policy.MaxBytes {
			return
		}
		if err := d.s.root.RemoveAll(deadDir + "/" + name); err != nil {
			d.warn(explain("delete the oldest dead letter", d.s.path(filepath.Join(deadDir, name)), err))
			return
		}
		bytes -= sizes[i]
		d.report.Expunged++
	}
}
