package spool

import (
	"os"
	"slices"
	"time"
)

// wakeFile is made anew by who wants what waits to be tried again while another
// process is the drainer, which may be waiting out a pause.
const wakeFile = "wake"

// wakeDrainer tells the drainer, if there is one, that there is a reason to try
// again.
func (s *Spool) wakeDrainer() error {
	temp := tmpDir + "/" + wakeFile + "." + randomName()
	file, err := s.give.createFile(s.root, temp)
	if err == nil {
		file.Close()
		if err = s.root.Rename(temp, wakeFile); err != nil {
			_ = s.root.Remove(temp) // the rename's error is the one to tell
		}
	}
	if err != nil {
		return explain("wake the drainer with", s.path(wakeFile), err)
	}
	return nil
}

// woken reports whether somebody has called wakeDrainer since it was asked last.
func (d *drainer) woken() bool {
	last := d.lastWake
	info, err := d.s.root.Lstat(wakeFile)
	if err != nil {
		return false
	}
	d.lastWake = info
	return last == nil || !os.SameFile(last, info) || !last.ModTime().Equal(info.ModTime())
}

// reconsider makes the pauses of the channels end early, as a new event does, and
// takes over what a person has changed in the entries: that a channel which gave
// one up is to try again, or that it need not wait as long as its peer asked.
func (d *drainer) reconsider() {
	d.mu.Lock()
	items := slices.Clone(d.items)
	d.mu.Unlock()
	for _, item := range items {
		d.mu.Lock()
		var changeable []string
		for name, outcome := range item.outcomes {
			if outcome.State == Dead || outcome.Asked {
				changeable = append(changeable, name)
			}
		}
		d.mu.Unlock()
		if len(changeable) == 0 {
			continue
		}
		entry, _, err := d.s.readEntry(queueDir, item.name)
		if err != nil {
			continue // an attempt would find out why
		}
		d.mu.Lock()
		for _, name := range changeable {
			item.outcomes[name] = entry.outcome(name)
		}
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.lines {
		line.gaveUp = false
	}
	d.newsAt = time.Now()
	d.announce()
}
