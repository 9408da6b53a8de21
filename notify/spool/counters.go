package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// Counters are what all drains of this spool did since it was made.
type Counters struct {
	// Duplicates are the reports of a transition that another report had
	// already told; SetAside are damaged files; Expunged are dead letters
	// deleted because there were too many.
	Duplicates int `json:"duplicates"`
	SetAside   int `json:"set_aside"`
	Expunged   int `json:"expunged"`
	// Channels has the rest by channel name.
	Channels map[string]ChannelCounters `json:"channels"`
}

// ChannelCounters are one channel's part of the Counters.
type ChannelCounters struct {
	// Delivered counts the notifications that arrived, Failed the attempts that
	// failed, Dead the notifications given up.
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`
	Dead      int `json:"dead"`
	// LastSuccess and LastFailure are zero if there was none.
	LastSuccess time.Time `json:"last_success,omitzero"`
	LastFailure time.Time `json:"last_failure,omitzero"`
}

const countersFile = "counters.json"

// Counters reads the counters. Those of a drain that was killed are missing
// from them.
func (s *Spool) Counters() (Counters, error) {
	counters := Counters{Channels: map[string]ChannelCounters{}}
	data, err := readFile(s.states, countersFile, maxEntry)
	if errors.Is(err, fs.ErrNotExist) {
		return counters, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &counters)
	}
	if err != nil {
		return counters, explain("read the counters in", s.statePath(countersFile), err)
	}
	if counters.Channels == nil {
		counters.Channels = map[string]ChannelCounters{}
	}
	return counters, nil
}

// saveCounters adds what this drain counted since it was called last. The drain
// lock is held.
func (d *drainer) saveCounters() {
	d.mu.Lock()
	fresh := d.counted
	fresh.SetAside, fresh.Expunged = len(d.report.SetAside)-d.saved.SetAside, d.report.Expunged-d.saved.Expunged
	d.saved.SetAside, d.saved.Expunged = len(d.report.SetAside), d.report.Expunged
	d.counted = Counters{Channels: map[string]ChannelCounters{}}
	d.mu.Unlock()
	if len(fresh.Channels) == 0 && fresh.Duplicates+fresh.SetAside+fresh.Expunged == 0 {
		return
	}
	total, err := d.s.Counters()
	if err != nil {
		// What cannot be read is begun anew: the events matter, not these.
		total = Counters{Channels: map[string]ChannelCounters{}}
	}
	total.Duplicates += fresh.Duplicates
	total.SetAside += fresh.SetAside
	total.Expunged += fresh.Expunged
	for _, name := range slices.Sorted(maps.Keys(fresh.Channels)) {
		sum, more := total.Channels[name], fresh.Channels[name]
		sum.Delivered += more.Delivered
		sum.Failed += more.Failed
		sum.Dead += more.Dead
		if more.LastSuccess.After(sum.LastSuccess) {
			sum.LastSuccess = more.LastSuccess
		}
		if more.LastFailure.After(sum.LastFailure) {
			sum.LastFailure = more.LastFailure
		}
		total.Channels[name] = sum
	}
	data, err := json.Marshal(total)
	if err == nil {
		err = d.s.writeState(countersFile, data)
	}
	if err != nil {
		d.forgets(fmt.Errorf("keep the counters: %w", err))
	}
}
