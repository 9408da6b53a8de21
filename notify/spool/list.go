package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// ErrNoEntry is wrapped by Retry and Drop if there is no event of that ID.
var ErrNoEntry = errors.New("no such event in the spool")

// List gives the entries of the queue in their order, and the files that are
// not entries of this version; nothing is changed.
func (s *Spool) List(ctx context.Context) ([]Entry, []Damaged, error) {
	return s.list(ctx, queueDir)
}

// Dead gives the dead letters in the order of their times: the entries that a
// channel has given up, with its reason in the outcome, and the damaged files.
func (s *Spool) Dead(ctx context.Context) ([]Entry, []Damaged, error) {
	return s.list(ctx, deadDir)
}

func (s *Spool) list(ctx context.Context, dir string) (entries []Entry, damaged []Damaged, err error) {
	names, err := s.names(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return entries, damaged, fmt.Errorf("list %s: %w", s.path(dir), err)
		}
		if isMarker(name) {
			continue
		}
		entry, _, err := s.readEntry(dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist): // delivered meanwhile
		case isDamaged(err):
			damaged = append(damaged, Damaged{Name: name, Dir: dir, Reason: err.Error()})
		case err != nil:
			damaged = append(damaged, Damaged{Name: name, Dir: dir, Reason: explain("read entry", s.path(dir+"/"+name), err).Error()})
		default:
			entries = append(entries, entry)
		}
	}
	return entries, damaged, nil
}

// Retry makes the event of this ID due at once. A dead letter goes back into
// the queue for the channels that gave it up, with a fresh count of attempts,
// and so does a damaged file that can be read now. The caller drains, or the
// drainer that is at work tries it soon.
func (s *Spool) Retry(ctx context.Context, id string) error {
	if err := s.byID(ctx, id, "retry", s.retry); err != nil {
		return err
	}
	return s.wakeDrainer()
}

// RetryAll is Retry for every dead letter and every waiting entry. It goes on
// after an error and returns how many are due now.
func (s *Spool) RetryAll(ctx context.Context) (int, error) {
	count := 0
	var failed []error
	err := s.inTurns(ctx, []string{queueDir, deadDir}, func(dir, name string) {
		if _, ok := entryID(strings.TrimSuffix(name, damagedSuffix)); !ok {
			return
		}
		switch err := s.retry(dir, name); {
		case err == nil:
			count++
		case !errors.Is(err, fs.ErrNotExist): // delivered meanwhile
			failed = append(failed, err)
		}
	})
	if err != nil {
		failed = append(failed, fmt.Errorf("retry all: %w", err))
	}
	if err := s.wakeDrainer(); err != nil {
		failed = append(failed, err)
	}
	return count, errors.Join(failed...)
}

// Drop removes the event of this ID, waiting or dead, for ever.
func (s *Spool) Drop(ctx context.Context, id string) error {
	return s.byID(ctx, id, "drop", s.remove)
}

// DropDead removes all dead letters and the damaged files that were set aside,
// for ever. It goes on after an error and returns how many of both are gone.
func (s *Spool) DropDead(ctx context.Context) (events, damaged int, err error) {
	return s.dropAll(ctx, deadDir)
}

// DropWaiting removes for ever all that waits: for a channel that fails, for one
// that is slow, for others to be told with. See DropDead.
func (s *Spool) DropWaiting(ctx context.Context) (events, damaged int, err error) {
	return s.dropAll(ctx, queueDir)
}

func (s *Spool) dropAll(ctx context.Context, dir string) (events, damaged int, err error) {
	var failed []error
	err = s.inTurns(ctx, []string{dir}, func(dir, name string) {
		if isMarker(name) {
			return // a drain finds the orphan
		}
		if _, entry := entryID(name); !entry {
			if err := s.root.RemoveAll(dir + "/" + name); err != nil { // perhaps a folder
				failed = append(failed, explain("remove", s.path(dir+"/"+name), err))
				return
			}
			damaged++
			return
		}
		switch err := s.remove(dir, name); {
		case err == nil:
			events++
		case !errors.Is(err, fs.ErrNotExist): // delivered meanwhile
			failed = append(failed, err)
		}
	})
	if err != nil {
		failed = append(failed, fmt.Errorf("drop all: %w", err))
	}
	return events, damaged, errors.Join(failed...)
}

// byID does something to the files of an event, all other changes kept out.
func (s *Spool) byID(ctx context.Context, id, verb string, do func(dir, name string) error) error {
	if err := checkID(id); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	release, err := s.lockChanges(ctx)
	if err != nil {
		return err
	}
	defer release()
	found := false
	for _, dir := range []string{queueDir, deadDir} {
		names, err := s.names(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if has, ok := entryID(strings.TrimSuffix(name, damagedSuffix)); !ok || has != id {
				continue
			}
			found = true
			if err := do(dir, name); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("%s event %s: %w", verb, id, ErrNoEntry)
	}
	return nil
}

// retry resets what is not done in an entry and puts it into the queue.
func (s *Spool) retry(dir, name string) error {
	entry, _, err := s.readEntry(dir, name)
	if isDamaged(err) {
		return fmt.Errorf("retry %s: it is still damaged: %w", s.path(dir+"/"+name), err)
	}
	if err != nil {
		return explain("retry: read", s.path(dir+"/"+name), err)
	}
	changed := dir != queueDir
	for channel, before := range entry.Channels {
		outcome := before
		if outcome.State == Dead {
			outcome.State, outcome.Attempts = Pending, 0
		}
		outcome.Next, outcome.Asked = time.Time{}, false
		entry.setOutcome(channel, outcome)
		changed = changed || outcome != before
	}
	if !changed {
		return nil // due already: who has not the time for all gets further the next time
	}
	if err := s.replace(strings.TrimSuffix(name, damagedSuffix), &entry); err != nil {
		return err
	}
	if dir == queueDir {
		return nil
	}
	return s.remove(dir, name)
}
