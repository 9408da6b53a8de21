package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"hacheck/checks"
	"hacheck/notify/journal"
)

// journalBudget bounds what a run may spend on talking to journald, which
// blocks its senders when it is frozen.
const journalBudget = 50 * time.Millisecond

// remember keeps the verdict under a name for the notify hook and tells the
// journal when it differs from the one before, which last may know already.
// Neither can change the verdict: what goes wrong here is a warning.
func (a *app) remember(verdict checks.Verdict, name string, last *lookup[lastVerdict]) {
	verdict.Name = name
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.keep(verdict, last)
	}()
	select {
	case <-done:
	case <-time.After(rememberBudget):
		a.log.Warn("the verdict was not kept in time", "run_dir", a.config.RunDir)
	}
}

// rememberBudget bounds keeping a verdict, which takes less than a millisecond
// unless the file system hangs. The exit code waits for it.
const rememberBudget = 40*time.Millisecond + journalBudget

func (a *app) keep(verdict checks.Verdict, last *lookup[lastVerdict]) {
	before, known, err := a.replace(verdict, last)
	if err != nil {
		a.log.Warn("cannot keep the verdict for the notify hook", "error", err)
		// Without a memory every run looks like a change. A line a second for a
		// healthy node would be a nuisance; for a failed one it is the only
		// trace there is, and journald limits the rate.
		if verdict.Status.Healthy() {
			return
		}
		known = false
	}
	if known && before.Status == verdict.Status {
		return
	}
	if !known && verdict.Status == checks.Pass {
		return
	}
	fields := map[string]string{
		"HACHECK_CHECK":  verdict.Name,
		"HACHECK_STATUS": verdict.Status.String(),
		"HACHECK_REASON": verdict.Reason,
	}
	if known {
		fields["HACHECK_PREVIOUS"] = before.Status.String()
	}
	a.toJournal(verdictPriority[verdict.Status], verdictLine(verdict), fields)
}

// changeWait is how long a run whose verdict differs waits for one that keeps
// its own in this moment.
const changeWait = 20 * time.Millisecond

// replace keeps the verdict and gives the one before. Two runs at once, as when
// keepalived starts the next before the last has ended, would both find the same
// one before: a change is kept one at a time.
func (a *app) replace(verdict checks.Verdict, last *lookup[lastVerdict]) (before checks.Verdict, known bool, err error) {
	<-last.done // the caller has a clock
	found, err := last.value, last.err
	if file, _ := checks.StatVerdict(a.config.RunDir, verdict.Name); changed(found.file, file) {
		found, err = a.readVerdict(verdict.Name)
	}
	if err != nil {
		a.log.Warn("cannot read the last verdict", "error", err)
	}
	before, known = found.Verdict, found.known
	if !known || before.Status != verdict.Status {
		ctx, cancel := context.WithTimeout(context.Background(), changeWait)
		defer cancel()
		// Without the lock a change is told twice at worst.
		if release, err := checks.LockVerdicts(ctx, a.config.RunDir); err == nil {
			defer release()
			if last, err := checks.LoadVerdict(a.config.RunDir, verdict.Name); err == nil {
				before, known = last, true
			}
		}
	}
	return before, known, checks.SaveVerdict(a.config.RunDir, verdict)
}

// lastVerdict is the verdict that was kept last, and the file it was read from.
type lastVerdict struct {
	checks.Verdict
	known bool
	file  fs.FileInfo
}

// askVerdict begins to read the last verdict, beside the check: parsing the parts
// of a large HAProxy takes longer than writing them.
func (a *app) askVerdict(name string) *lookup[lastVerdict] {
	return lookUp(func() (lastVerdict, error) { return a.readVerdict(name) })
}

func (a *app) readVerdict(name string) (last lastVerdict, err error) {
	// The file first: a verdict that is replaced meanwhile counts as an old one.
	last.file, _ = checks.StatVerdict(a.config.RunDir, name)
	last.Verdict, err = checks.LoadVerdict(a.config.RunDir, name)
	last.known = err == nil
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return last, err
}

var verdictPriority = map[checks.Status]journal.Priority{
	checks.Pass: journal.Notice, checks.Warn: journal.Warning,
	checks.Fail: journal.Error, checks.Unknown: journal.Error,
}

// tellJournal repeats a failed command's complaint in the journal when it came
// from keepalived, whose children have the null device for stderr. Checks tell
// the journal themselves, once per change.
func (a *app) tellJournal(command *cobra.Command, err error) {
	if command.Name() != "notify" && command.Name() != "deliver" {
		return
	}
	if command.Flags().Changed(dryRunFlag) || command.Flags().Changed(testFlag) {
		return // a person reads it
	}
	a.toJournal(journal.Error, "hacheck "+command.Name()+": "+err.Error(), nil)
}

// warnJournal tells the journal of something that did not end the command.
func (a *app) warnJournal(err error) {
	a.toJournal(journal.Warning, "hacheck: "+err.Error(), nil)
}

func (a *app) toJournal(priority journal.Priority, message string, fields map[string]string) {
	ctx, cancel := context.WithTimeout(context.Background(), journalBudget)
	defer cancel()
	if err := journal.Send(ctx, priority, message, fields); err != nil && a.log != nil {
		a.log.Debug("journald did not take a message", "error", err, "message", message)
	}
}
