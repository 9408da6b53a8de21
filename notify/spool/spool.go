// Package spool keeps events on disk until every channel has had them: durable
// entries, one drainer at a time, order per instance, backoff, and a folder for
// what could not be delivered. It knows no transport; a channel is a
// notify.Notifier that makes one attempt.
//
// # Layout
//
// Below the state directory:
//
//	spool/queue/    one file an event, <unix nanoseconds, 20 digits>-<event ID>.json
//	spool/tmp/      files on their way into queue
//	spool/dead/     events given up on, with the reason, and damaged files
//	spool/lock      held (flock) by the drainer
//	spool/change    held (flock) while one entry is changed
//	spool/wake      made anew to have a drainer that waits try again
//	states/         the last state of every instance and sync group, what was
//	                told of them, when a channel with a rate limit was used,
//	                and the counters
//
// The lock files are never removed: who removes one allows two drainers.
//
// # Promises
//
// An event whose Put returned nil survives the death of the process and of the
// machine. Delivery is at least once: a process that dies between a channel's
// success and its record makes that channel send this one event again, with
// the same ID. For one channel, the events of one instance or sync group are
// delivered in the order of their times.
//
// # Grouping
//
// Events that belong together become one entry before they are tried: the last
// of them takes in the others, durably, so that every attempt tells the same
// under the same ID, whichever process makes it. See Grouping.
//
// # Ownership
//
// The state directory's own owner and group are the rule: what root creates
// below it is given to them, so that root may write (the hook as keepalived
// runs it) and an unprivileged account drain. A state directory that its group
// may write (2770, for a script user beside the delivery unit's account) makes
// everything below it writable for that group. Modes never depend on the
// umask: keepalived runs scripts with 0177. Nothing outside the state
// directory is touched, whatever links its owner plants in it.
package spool

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"hacheck/notify"
)

const (
	queueDir = "queue"
	tmpDir   = "tmp"
	deadDir  = "dead"

	drainLock  = "lock"
	changeLock = "change"
	statesLock = ".lock"
)

// putSuffix and recordSuffix end the names of temporary files, so that what a
// killed process left behind can be told apart: an event nobody has seen yet,
// or a record that is of no use without its process.
const (
	putSuffix    = ".put"
	recordSuffix = ".record"
)

// Spool is one state directory. Its methods may be called from several
// goroutines, and any number of processes may use one directory.
type Spool struct {
	dir    string // the state directory, for error texts
	root   *os.Root
	states *os.Root
	give   ownership

	// changing keeps the goroutines of this process from polling for the
	// change lock against each other.
	changing sync.Mutex

	// stuck counts, by channel, attempts that ignored their deadline and are
	// still running.
	stuckMu sync.Mutex
	stuck   map[string]int

	// step is Trace's; nil for none.
	step func(string)
}

// Open prepares the spool below the state directory and creates what is
// missing, the state directory itself included. Its errors wrap
// ErrCannotCreate, ErrNotPermitted, ErrReadOnly or ErrDiskFull where one of
// them is the cause. The caller closes the Spool.
func Open(stateDir string) (*Spool, error) {
	top, err := openStateDir(stateDir)
	if err != nil {
		return nil, err
	}
	defer top.Close()

	spool := &Spool{dir: stateDir, stuck: make(map[string]int)}
	info, err := top.Stat(".")
	if err != nil {
		return nil, explain("look at the state directory", stateDir, err)
	}
	spool.give = ownershipOf(info)

	for _, name := range []string{"spool", "spool/" + queueDir, "spool/" + tmpDir, "spool/" + deadDir, "states"} {
		if err := spool.give.makeDir(top, name); err != nil {
			return nil, creating(filepath.Join(stateDir, name), err)
		}
	}
	if spool.root, err = top.OpenRoot("spool"); err != nil {
		return nil, explain("open", spool.path(""), err)
	}
	if spool.states, err = top.OpenRoot("states"); err != nil {
		spool.Close()
		return nil, explain("open", filepath.Join(stateDir, "states"), err)
	}
	if err := spool.writable(); err != nil {
		spool.Close()
		return nil, err
	}
	return spool, nil
}

// OpenReadOnly opens a spool to look at it: List, Dead and LastState work. It
// creates nothing and needs no permission to write. The error wraps
// fs.ErrNotExist if there is no spool yet.
func OpenReadOnly(stateDir string) (*Spool, error) {
	top, err := os.OpenRoot(stateDir)
	if err != nil {
		return nil, explain("open the state directory", stateDir, err)
	}
	defer top.Close()
	spool := &Spool{dir: stateDir, stuck: make(map[string]int)}
	if spool.root, err = top.OpenRoot("spool"); err != nil {
		return nil, explain("open", spool.path(""), err)
	}
	if spool.states, err = top.OpenRoot("states"); err != nil {
		spool.Close()
		return nil, explain("open", filepath.Join(stateDir, "states"), err)
	}
	return spool, nil
}

// Trace has step called with the name of every step that leaves something new
// on disk or on the wire, by whichever goroutine makes it. It is for tests that
// end the process there, and is called before the Spool is used.
func (s *Spool) Trace(step func(name string)) { s.step = step }

// Close gives up the directories. Attempts that still run are not waited for.
func (s *Spool) Close() error {
	err := s.root.Close()
	if s.states != nil {
		err = errors.Join(err, s.states.Close())
	}
	return err
}

// NewID makes an event's ID: the time in UTC to the millisecond, as in
// 20260314T092653589Z-9f86d081884c7d65, 16 bits of what is left of the time, so that
// IDs sort by it, and 48 random bits.
func NewID(now time.Time) string {
	var random [8]byte
	// Never fails: see crypto/rand.Read.
	rand.Read(random[:])
	within := now.Nanosecond() % 1_000_000
	binary.BigEndian.PutUint16(random[:], uint16(within*65536/1_000_000))
	stamp := strings.Replace(now.UTC().Format("20060102T150405.000Z"), ".", "", 1)
	return stamp + "-" + hex.EncodeToString(random[:])
}

// Put writes the event to the disk. When it returns nil the event is durable:
// the file and its name are fsynced. When it fails nothing of it is left in the
// queue, and the caller should deliver at once; errors.Is with ErrDiskFull,
// ErrReadOnly and ErrNotPermitted tells why. Putting one event twice leaves one
// entry.
func (s *Spool) Put(event notify.Event) error { return s.put(Entry{Event: event}) }

// put is Put for an entry that may be a whole notification.
func (s *Spool) put(entry Entry) error {
	event := entry.Event
	data, err := newEntry(entry)
	if err != nil {
		return fmt.Errorf("put event %q into the spool: %w", shorten(event.ID, 80), err)
	}
	name := entryName(event)
	temp, err := s.writeTemp(name+"."+randomName()+putSuffix, data, "put")
	if err != nil {
		return explain("write event "+event.ID+" to", s.path(tmpDir), err)
	}
	if err := s.root.Rename(temp, queueDir+"/"+name); err != nil {
		_ = s.root.Remove(temp) // the rename's error is the one to tell
		return explain("put event "+event.ID+" into", s.path(queueDir), err)
	}
	s.at("put: renamed")
	if err := s.syncDir(queueDir); err != nil {
		// A duplicate is better than an event that a power cut takes away
		// after its caller was told that it is safe: the caller delivers.
		_ = s.root.Remove(queueDir + "/" + name)
		return explain("make event "+event.ID+" durable in", s.path(queueDir), err)
	}
	s.at("put: durable")
	return nil
}

// writeTemp writes a new fsynced file into tmp and returns its path in the
// spool. On failure the file is gone.
func (s *Spool) writeTemp(name string, data []byte, step string) (string, error) {
	temp := tmpDir + "/" + name
	file, err := s.give.createFile(s.root, temp)
	if err != nil {
		return "", err
	}
	s.at(step + ": created")
	_, err = file.Write(data)
	if err == nil {
		s.at(step + ": written")
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = s.root.Remove(temp) // the first error is the one to tell
		return "", err
	}
	s.at(step + ": synced")
	return temp, nil
}

// syncDir makes the names in a directory of the spool durable.
func (s *Spool) syncDir(name string) error {
	dir, err := openDir(s.root, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// names lists a directory of the spool, sorted: by time, then ID.
func (s *Spool) names(name string) ([]string, error) {
	dir, err := openDir(s.root, name)
	if err != nil {
		return nil, explain("list", s.path(name), err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, explain("list", s.path(name), err)
	}
	slices.Sort(names)
	return names, nil
}

// writable reports why this process could not keep events and outcomes. The
// states are not asked: without them an event only lacks the state before.
func (s *Spool) writable() error {
	for _, name := range []string{queueDir, tmpDir, deadDir} {
		if err := mayWrite(s.root, name); err != nil {
			return explain("write to", s.path(name), err)
		}
	}
	return nil
}

func (s *Spool) path(name string) string { return filepath.Join(s.dir, "spool", name) }

func (s *Spool) at(step string) {
	if s.step != nil {
		s.step(step)
	}
}

func randomName() string {
	var random [6]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}
