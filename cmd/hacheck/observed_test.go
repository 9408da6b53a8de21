package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// These variables let a test follow the program through the steps of its spool:
// noteSteps names a file that gets each step's name, and killAt has a count, a
// blank and the name of a step: the process is killed when it reaches it for
// that time.
const (
	noteSteps = "HACHECK_TEST_NOTE_STEPS"
	killAt    = "HACHECK_TEST_KILL_AT"
)

// observed is the program as the tests run it: main, but for the two variables.
func observed() {
	a := newApp()
	if path := os.Getenv(noteSteps); path != "" {
		a.step = func(name string) { noteStep(path, name) }
	}
	if count, name, found := strings.Cut(os.Getenv(killAt), " "); found {
		a.step = killer(count, name)
	}
	os.Exit(int(a.main(os.Args[1:])))
}

func noteStep(path, name string) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err == nil {
		_, err = fmt.Fprintln(file, name)
		file.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func killer(count, name string) func(string) {
	left, _ := strconv.Atoi(count)
	var mu sync.Mutex
	return func(step string) {
		mu.Lock()
		defer mu.Unlock()
		if step != name {
			return
		}
		if left--; left <= 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}
}

// stepsOf are the steps that the runs noted in a file, each once.
func stepsOf(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	seen := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if step := strings.TrimSpace(line); !seen[step] {
			seen[step] = true
			steps = append(steps, step)
		}
	}
	return steps
}
